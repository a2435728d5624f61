//! Labels from Amazon Rekognition.

use std::time::Duration;

use aws_sdk_rekognition::Client;
use aws_sdk_rekognition::error::ProvideErrorMetadata;
use aws_sdk_rekognition::operation::detect_labels::{DetectLabelsError, DetectLabelsOutput};
use aws_sdk_rekognition::types::{Image, S3Object};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::detector::{DetectError, Failure, LabelDetector};
use crate::key::{BucketName, ObjectKey};
use crate::runtime::{Aws, Service};
use crate::service_error::describe;

/// Labels that Rekognition is less sure of are left out. Percent.
const MIN_CONFIDENCE: f32 = 50.0;

/// Throttling is retried here for a few seconds, with the SDK's jitter. What outlasts
/// that is left to Lambda's retries, which wait for minutes.
const MAX_ATTEMPTS: u32 = 5;
const INITIAL_BACKOFF: Duration = Duration::from_millis(300);
const MAX_BACKOFF: Duration = Duration::from_secs(3);

/// All attempts together, so that the function ends with an error of ours and not
/// with Lambda's timeout.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Detects labels with Rekognition Image.
#[derive(Debug, Clone)]
pub struct RekognitionDetector {
    client: Client,
}

impl RekognitionDetector {
    /// Builds the client.
    pub fn new(aws: &Aws) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(MAX_ATTEMPTS)
            .with_initial_backoff(INITIAL_BACKOFF)
            .with_max_backoff(MAX_BACKOFF);
        let config = aws_sdk_rekognition::config::Builder::from(&aws.config(Service::Rekognition))
            .retry_config(retries)
            .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }
}

impl LabelDetector for RekognitionDetector {
    async fn detect(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<String>, DetectError> {
        let object = S3Object::builder()
            .bucket(bucket.as_str())
            .name(key.as_str())
            .build();
        let output = self
            .client
            .detect_labels()
            .image(Image::builder().s3_object(object).build())
            .min_confidence(MIN_CONFIDENCE)
            .send()
            .await
            .map_err(|error| {
                error.as_service_error().and_then(permanent).map_or_else(
                    || DetectError::Retryable(describe(&error)),
                    DetectError::Permanent,
                )
            })?;
        Ok(label_names(output))
    }
}

/// The errors that say something of the object itself. Rekognition answers
/// `InvalidS3ObjectException` both for an object that is not there and for one it
/// may not read, and its message does not tell which.
fn permanent(error: &DetectLabelsError) -> Option<Failure> {
    use DetectLabelsError as E;
    let (code, metadata) = match error {
        E::ImageTooLargeException(e) => ("ImageTooLargeException", e.meta()),
        E::InvalidImageFormatException(e) => ("InvalidImageFormatException", e.meta()),
        E::InvalidParameterException(e) => ("InvalidParameterException", e.meta()),
        E::InvalidS3ObjectException(e) => ("InvalidS3ObjectException", e.meta()),
        _ => return None,
    };
    Some(Failure {
        code: code.into(),
        message: metadata.message().unwrap_or("no explanation").into(),
    })
}

/// Rekognition lists the parents of a label as labels too, so their names suffice.
fn label_names(output: DetectLabelsOutput) -> Vec<String> {
    let mut names = Vec::new();
    for name in output
        .labels
        .into_iter()
        .flatten()
        .filter_map(|label| label.name)
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Wire;
    use serde_json::{Value, json};

    async fn detect(wire: &Wire) -> Result<Vec<String>, DetectError> {
        let key = ObjectKey::new("my dog+1%.jpg").unwrap();
        RekognitionDetector::new(&wire.aws())
            .detect(&BucketName::new("bucket"), &key)
            .await
    }

    fn error(code: &str) -> (u16, Value) {
        (
            400,
            json!({"__type": code, "Message": "because", "Code": code}),
        )
    }

    #[tokio::test]
    async fn names_are_distinct_and_in_rekognitions_order() {
        let wire = Wire::new([(
            200,
            json!({"Labels": [
                {"Name": "German Shepherd", "Confidence": 85.7, "Parents": [{"Name": "Dog"}]},
                {"Name": "Dog", "Confidence": 85.7, "Parents": [{"Name": "Animal"}]},
                {"Name": "Animal", "Confidence": 85.7},
                {"Name": "Dog", "Confidence": 60.0},
            ]}),
        )]);
        assert_eq!(
            detect(&wire).await.unwrap(),
            ["German Shepherd", "Dog", "Animal"]
        );
        assert_eq!(
            wire.requests(),
            [(
                "RekognitionService.DetectLabels".into(),
                json!({
                    "Image": {"S3Object": {"Bucket": "bucket", "Name": "my dog+1%.jpg"}},
                    "MinConfidence": 50.0,
                })
            )]
        );
    }

    #[tokio::test]
    async fn an_image_without_labels_has_none() {
        let wire = Wire::new([(200, json!({"Labels": []}))]);
        assert_eq!(detect(&wire).await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn errors_of_the_object_are_permanent() {
        for code in [
            "ImageTooLargeException",
            "InvalidImageFormatException",
            "InvalidParameterException",
            "InvalidS3ObjectException",
        ] {
            let wire = Wire::new([error(code)]);
            assert_eq!(
                detect(&wire).await,
                Err(DetectError::Permanent(Failure {
                    code: code.into(),
                    message: "because".into(),
                }))
            );
            assert_eq!(wire.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_denial_is_not_the_objects_fault() {
        let wire = Wire::new([error("AccessDeniedException")]);
        let error = detect(&wire).await.unwrap_err();
        assert!(matches!(&error, DetectError::Retryable(_)), "{error:?}");
        assert!(
            error.to_string().contains("AccessDeniedException: because"),
            "{error}"
        );
        assert_eq!(wire.requests().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_rekognitions_is_told_by_its_status() {
        let wire = Wire::new([(404, json!({}))]);
        let error = detect(&wire).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("HTTP status 404 and no error code"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn throttling_is_retried_and_then_left_to_lambda() {
        let wire = Wire::new([
            error("ProvisionedThroughputExceededException"),
            (200, json!({})),
        ]);
        assert_eq!(detect(&wire).await.unwrap(), [""; 0]);

        let attempts = MAX_ATTEMPTS as usize;
        let wire = Wire::new(vec![error("ThrottlingException"); attempts]);
        assert!(matches!(
            detect(&wire).await,
            Err(DetectError::Retryable(_))
        ));
        assert_eq!(wire.requests().len(), attempts);
    }
}
