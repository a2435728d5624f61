//! Where a stage is deployed: endpoint, region, account and the clients that reach it.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::SdkConfig;

use crate::error::{Error, Kind, Result};

/// How often a call is tried that AWS throttles or fails. Where one of five calls fails, one
/// of 400 000 fails so often.
pub(crate) const ATTEMPTS_MAX: u32 = 8;

/// What a [`Target`] is resolved from. Unset fields come from the AWS
/// configuration: environment, profile, SSO, container or instance role.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The stage's region.
    pub region: Option<String>,
    /// An AWS-compatible endpoint for every service.
    pub endpoint_url: Option<String>,
    /// The only account that the stage may be deployed to.
    pub account: Option<String>,
    /// Fixed credentials (access key id, secret access key), for a local endpoint.
    pub static_credentials: Option<(String, String)>,
}

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
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    pub(crate) logs: aws_sdk_cloudwatchlogs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) poll: PollInterval,
}

/// How often a state is asked for while waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollInterval {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl PollInterval {
    /// AWS throttles polling; an endpoint on this machine does not.
    fn for_endpoint(endpoint_url: Option<&str>) -> Self {
        let local = endpoint_url
            .is_some_and(|url| url.contains("//127.0.0.1") || url.contains("//localhost"));
        if local {
            Self {
                first: Duration::from_millis(10),
                longest: Duration::from_millis(100),
            }
        } else {
            Self {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(3),
            }
        }
    }

    /// Waits that grow by half each time, up to the longest.
    pub(crate) fn waits(self) -> Waits {
        Waits {
            next: self.first,
            longest: self.longest,
        }
    }
}

/// The waits between asking and asking again.
#[derive(Debug)]
pub(crate) struct Waits {
    next: Duration,
    longest: Duration,
}

impl Waits {
    /// Waits, each time longer.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.advance()).await;
    }

    fn advance(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 3 / 2).min(self.longest);
        wait
    }
}

impl Target {
    /// Finds the region and credentials, and asks STS who the caller is.
    ///
    /// # Errors
    /// When there is no region, no credentials, the credentials are refused, the endpoint
    /// cannot be reached, or the account is not the one that the stage allows.
    pub async fn connect(settings: &Settings) -> Result<Self> {
        Self::identified(&sdk_config(settings).await, settings.account.as_deref()).await
    }

    /// Asks STS who the caller is, and whether that is who it shall be.
    async fn identified(config: &SdkConfig, allowed: Option<&str>) -> Result<Self> {
        let region = config
            .region()
            .map(ToString::to_string)
            .ok_or_else(|| {
                Error::new("no AWS region is set")
                    .hint("set `region` for the stage in infra/stages.yaml, or AWS_REGION, or a region in the AWS profile")
            })?;
        let identity = aws_sdk_sts::Client::new(config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| Error::aws("find out which AWS account this is", &error))?;
        let account = identity.account().unwrap_or_default().to_owned();
        if let Some(allowed) = allowed
            && allowed != account
        {
            return Err(Error::new(format!("the credentials belong to account {account}, but this stage is for account {allowed}"))
                .of_kind(Kind::AccessDenied)
                .hint("use the right AWS_PROFILE, or change `account` in infra/stages.yaml"));
        }
        Ok(Self {
            caller_arn: identity.arn().unwrap_or_default().to_owned(),
            region,
            account,
            ..Self::from_config(config)
        })
    }

    pub(crate) fn from_config(config: &SdkConfig) -> Self {
        // Buckets are addressed by path on local endpoints: `bucket.127.0.0.1` does not resolve.
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(config.endpoint_url().is_some())
            .build();
        Self {
            region: String::new(),
            account: String::new(),
            caller_arn: String::new(),
            endpoint_url: config.endpoint_url().map(str::to_owned),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(config),
            streams: aws_sdk_dynamodbstreams::Client::new(config),
            poll: PollInterval::for_endpoint(config.endpoint_url()),
        }
    }
}

async fn sdk_config(settings: &Settings) -> SdkConfig {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(https)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint_url) = &settings.endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    if let Some((access_key_id, secret_access_key)) = &settings.static_credentials {
        loader = loader.credentials_provider(aws_credential_types::Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "stage",
        ));
    }
    loader.load().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let mut waits = PollInterval::for_endpoint(None).waits();
        let waits = [(); 7].map(|()| waits.advance().as_millis());
        assert_eq!(waits, [500, 750, 1125, 1687, 2531, 3000, 3000]);
    }

    #[tokio::test]
    async fn only_the_stages_own_account_is_deployed_to() {
        use crate::testing::{Aws, query};

        let aws = Aws::new().on(
            "GetCallerIdentity",
            [query(
                "GetCallerIdentity",
                "<Arn>arn:aws:iam::123456789012:user/ann</Arn><UserId>AIDA</UserId><Account>123456789012</Account>",
            )],
        );
        let target = Target::identified(&aws.config(), Some("123456789012")).await;
        assert_eq!(
            target.unwrap().caller_arn,
            "arn:aws:iam::123456789012:user/ann"
        );
        let refused = Target::identified(&aws.config(), Some("210987654321")).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Kind::AccessDenied);
        assert!(
            error.what().contains("belong to account 123456789012"),
            "{error}"
        );
    }
}
