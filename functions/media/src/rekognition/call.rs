//! Calls of Rekognition, and what their errors say.

use std::error::Error;
use std::time::Duration;

use aws_sdk_rekognition::Client;
use aws_sdk_rekognition::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_rekognition::operation::RequestId;
use aws_sdk_rekognition::types::S3Object;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runtime::s3::{self, BucketName, ObjectKey};
use runtime::service_error::ServiceError;
use runtime::{Aws, Service};

use crate::detector::{DetectError, Failure};

/// Labels that Rekognition is less sure of are left out. Percent.
pub(super) const MIN_CONFIDENCE: f32 = 50.0;

/// Throttling, and too many jobs at a time, are retried here for two seconds at most, with the
/// SDK's jitter: a function that waits is paid for. That is enough for a few objects at once. What
/// outlasts it waits in a queue, or is left to Lambda's retries, which wait for minutes.
pub(super) const MAX_ATTEMPTS: u32 = 4;
pub(super) const INITIAL_BACKOFF: Duration = Duration::from_millis(300);
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// All attempts together, so that the function ends with an error of ours and not
/// with Lambda's timeout.
const TIMEOUT: Duration = Duration::from_secs(25);

pub(super) fn client(aws: &Aws) -> Client {
    client_retrying(
        aws,
        RetryConfig::standard()
            .with_max_attempts(MAX_ATTEMPTS)
            .with_initial_backoff(INITIAL_BACKOFF)
            .with_max_backoff(MAX_BACKOFF),
    )
}

/// A client without retries, for who has something else to do when Rekognition refuses.
pub(super) fn client_asking_once(aws: &Aws) -> Client {
    client_retrying(aws, RetryConfig::disabled())
}

fn client_retrying(aws: &Aws, retries: RetryConfig) -> Client {
    let config = aws_sdk_rekognition::config::Builder::from(&aws.config(Service::REKOGNITION))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .build();
    Client::from_conf(config)
}

pub(super) fn s3_object(bucket: &BucketName, key: &ObjectKey) -> S3Object {
    S3Object::builder()
        .bucket(bucket.as_str())
        .name(key.as_str())
        .build()
}

/// Rekognition's error codes for calls that come too fast, and for too many jobs at a time.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/error-handling.html>
pub(super) const THROTTLING: [&str; 3] = [
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
];

/// `failure` is what the error says of the object, if it says something.
pub(super) fn to_detect_error<E>(
    failure: Option<Failure>,
    error: &SdkError<E, HttpResponse>,
) -> DetectError
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    if let Some(failure) = failure {
        return DetectError::Permanent(failure);
    }
    let throttling = error.meta();
    match throttling.code().filter(|code| THROTTLING.contains(code)) {
        Some(code) => DetectError::Throttled(to_failure(code, throttling)),
        None => DetectError::Retryable(ServiceError::of(error).to_string()),
    }
}

/// What `InvalidS3ObjectException` means. Rekognition answers it for an object that is not
/// there, and also for one that it may not read with the caller's permissions. Only the first
/// is permanent. The second has a cause that somebody can mend, or that passes: a bucket
/// policy, a key policy, or a new role that IAM has not spread yet.
/// <https://docs.aws.amazon.com/rekognition/latest/APIReference/API_InvalidS3ObjectException.html>
pub(super) async fn unreadable(
    objects: &aws_sdk_s3::Client,
    bucket: &BucketName,
    key: &ObjectKey,
    answer: &ErrorMetadata,
) -> DetectError {
    let failure = to_failure("InvalidS3ObjectException", answer);
    let why = match s3::exists(objects, bucket.as_str(), key.as_str()).await {
        Ok(false) => return DetectError::Permanent(failure),
        Ok(true) => "the object exists, so a policy keeps Rekognition from reading it".into(),
        Err(reason) => format!("S3 does not say whether the object exists: {reason}"),
    };
    let Failure { code, message } = failure;
    DetectError::Retryable(format!("{code}: {message} ({why})"))
}

pub(super) fn to_failure(code: &str, metadata: &ErrorMetadata) -> Failure {
    Failure {
        code: code.into(),
        message: metadata.message().unwrap_or("no explanation").into(),
    }
}
