//! Labels of images.

use aws_sdk_rekognition::Client;
use aws_sdk_rekognition::error::ProvideErrorMetadata;
use aws_sdk_rekognition::operation::detect_labels::{DetectLabelsError, DetectLabelsOutput};
use aws_sdk_rekognition::types::Image;
use runtime::Aws;
use runtime::s3::{self, BucketName, ObjectKey};

use super::call::{
    MIN_CONFIDENCE, client, client_asking_once, s3_object, to_detect_error, to_failure, unreadable,
};
use crate::detector::{DetectError, Failure, LabelDetector};

/// Detects labels with Rekognition Image.
#[derive(Debug, Clone)]
pub struct RekognitionDetector {
    client: Client,
    objects: aws_sdk_s3::Client,
}

impl RekognitionDetector {
    /// Builds the clients, for the images of a bucket.
    pub fn new(aws: &Aws, bucket: &BucketName) -> Self {
        Self {
            client: client(aws),
            objects: s3::client(aws, bucket.as_str()),
        }
    }

    /// A detector that does not ask again when Rekognition refuses or fails.
    #[must_use]
    pub fn asking_once(self, aws: &Aws) -> Self {
        let client = client_asking_once(aws);
        Self { client, ..self }
    }
}

impl LabelDetector for RekognitionDetector {
    async fn detect(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<String>, DetectError> {
        let image = Image::builder().s3_object(s3_object(bucket, key)).build();
        let request = self.client.detect_labels().image(image);
        match request.min_confidence(MIN_CONFIDENCE).send().await {
            Ok(output) => Ok(label_names(output)),
            Err(error) => Err(match error.as_service_error() {
                Some(DetectLabelsError::InvalidS3ObjectException(answer)) => {
                    unreadable(&self.objects, bucket, key, answer.meta()).await
                }
                answer => to_detect_error(answer.and_then(image_failure), &error),
            }),
        }
    }
}

/// The errors that say something of the image itself. `InvalidS3ObjectException` is not among
/// them: see [`unreadable`].
fn image_failure(error: &DetectLabelsError) -> Option<Failure> {
    use DetectLabelsError as E;
    let (code, metadata) = match error {
        E::ImageTooLargeException(e) => ("ImageTooLargeException", e.meta()),
        E::InvalidImageFormatException(e) => ("InvalidImageFormatException", e.meta()),
        E::InvalidParameterException(e) => ("InvalidParameterException", e.meta()),
        _ => return None,
    };
    Some(to_failure(code, metadata))
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
