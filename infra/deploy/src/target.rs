//! Where a stage is deployed: endpoint, region, account and the clients that reach it.

use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

use crate::network::configuration::Endpoint;
use crate::network::http_client::{Client, Limits};
use crate::poll::PollInterval;

/// How long an invocation is waited for: a function runs for 15 minutes at most.
const INVOCATION_MAX: Duration = Duration::from_secs(16 * 60);

/// A resolved place to deploy to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The region.
    pub region: String,
    /// The account, twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub caller_arn: String,
    /// The AWS-compatible endpoint, if it is not AWS itself.
    pub endpoint_url: Option<String>,
    /// What is used instead of AWS's usual endpoints.
    pub detours: Vec<Endpoint>,
    pub(crate) s3_endpoint_url: Option<String>,
    pub(crate) config: SdkConfig,
    /// For what is not AWS's API.
    pub(crate) http_client: Client,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    /// For invocations, which may take as long as a function may run.
    pub(crate) invocations: aws_sdk_lambda::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) poll: PollInterval,
}

impl Target {
    /// What clients of services are made from that this crate has none of.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }

    /// The client of S3, which addresses buckets as the endpoint needs it.
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// `aws`, or the partition of China, a government or another cloud of AWS's.
    pub fn partition(&self) -> &str {
        self.caller_arn.split(':').nth(1).unwrap_or("aws")
    }

    /// The clients of a target whose region, account and caller are still to be found.
    pub(crate) fn from_config(
        config: &SdkConfig,
        http_client: Client,
        detours: Vec<Endpoint>,
    ) -> Self {
        let at = |service| {
            detours
                .iter()
                .find(|detour| detour.is_url() && detour.serves(service))
                .map(|detour| detour.url.clone())
        };
        let (endpoint_url, s3_endpoint_url) = (at("CloudFormation"), at("S3"));
        // Buckets are addressed by path on local endpoints: `bucket.127.0.0.1` does not resolve.
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(s3_endpoint_url.is_some())
            .build();
        // A function may work for longer than anything else is waited for.
        let invocations = aws_sdk_lambda::config::Builder::from(config)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Limits::USUAL.connect)
                    .read_timeout(INVOCATION_MAX)
                    .build(),
            )
            .build();
        Self {
            region: String::new(),
            account: String::new(),
            caller_arn: String::new(),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            invocations: aws_sdk_lambda::Client::from_conf(invocations),
            lambda: aws_sdk_lambda::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(config),
            streams: aws_sdk_dynamodbstreams::Client::new(config),
            poll: PollInterval::for_endpoint(endpoint_url.as_deref()),
            endpoint_url,
            s3_endpoint_url,
            config: config.clone(),
            http_client,
            detours,
        }
    }
}
