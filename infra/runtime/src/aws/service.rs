//! The services that functions call, and the endpoints of each.

use std::error::Error;

use aws_smithy_runtime_api::client::endpoint::{EndpointResolverParams, SharedEndpointResolver};

/// An AWS service that functions call.
///
/// Not an enum: the rules for endpoints are large, and this way the linker leaves those
/// of services that a function does not name out of its zip.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// As in the variable that AWS's SDKs read for another endpoint of this service alone.
    pub(crate) id: &'static str,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) rules: fn(region: &str, bucket: Option<&str>) -> Result<Rules, BoxError>,
}

/// The SDK's own rules for endpoints of one service, and what to apply them to.
pub(crate) type Rules = (SharedEndpointResolver, EndpointResolverParams);

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The endpoint rules of a service whose endpoint depends on the region only.
macro_rules! rules {
    ($sdk:ident) => {
        |region, _| {
            use $sdk::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let params = Params::builder().region(region).build()?;
            Ok((
                DefaultResolver::new().into_shared_resolver(),
                EndpointResolverParams::new(params),
            ))
        }
    };
}

impl<'a> Service<'a> {
    /// Of all services.
    pub(crate) const IDS: [&'static str; 7] = [
        "DYNAMODB",
        "EVENTBRIDGE",
        "REKOGNITION",
        "S3",
        "SECRETS_MANAGER",
        "SQS",
        "SSM",
    ];

    /// Amazon DynamoDB.
    pub const DYNAMODB: Self = Self {
        id: "DYNAMODB",
        bucket: None,
        rules: rules!(aws_sdk_dynamodb),
    };

    /// Amazon EventBridge.
    #[cfg(feature = "eventbridge")]
    pub const EVENTBRIDGE: Self = Self {
        id: "EVENTBRIDGE",
        bucket: None,
        rules: rules!(aws_sdk_eventbridge),
    };

    /// Amazon Rekognition.
    pub const REKOGNITION: Self = Self {
        id: "REKOGNITION",
        bucket: None,
        rules: rules!(aws_sdk_rekognition),
    };

    /// Amazon SQS.
    pub const SQS: Self = Self {
        id: "SQS",
        bucket: None,
        rules: rules!(aws_sdk_sqs),
    };

    /// AWS Secrets Manager.
    #[cfg(feature = "secrets")]
    pub const SECRETS_MANAGER: Self = Self {
        id: "SECRETS_MANAGER",
        bucket: None,
        rules: rules!(aws_sdk_secretsmanager),
    };

    /// AWS Systems Manager, which Parameter Store is part of.
    #[cfg(feature = "parameters")]
    pub const SSM: Self = Self {
        id: "SSM",
        bucket: None,
        rules: rules!(aws_sdk_ssm),
    };

    /// Amazon S3, for calls about one bucket: each has a host of its own, unless a custom
    /// endpoint is the host of all. [`crate::s3::client`] makes the client.
    pub const fn s3(bucket: &'a str) -> Self {
        Self {
            id: "S3",
            bucket: Some(bucket),
            rules: |region, bucket| {
                use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
                let params = Params::builder()
                    .region(region)
                    .set_bucket(bucket.map(String::from))
                    .build()?;
                Ok((
                    DefaultResolver::new().into_shared_resolver(),
                    EndpointResolverParams::new(params),
                ))
            },
        }
    }
}
