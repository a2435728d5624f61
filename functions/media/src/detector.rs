//! The port to what sees labels in images.

use std::future::Future;

use crate::key::{BucketName, ObjectKey};

/// Why an object can never be labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The detector's error code, as in `InvalidImageFormatException`.
    pub code: String,
    /// The detector's explanation.
    pub message: String,
}

/// Why an object was not labelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// Trying again cannot help as long as the object stays what it is.
    #[error("{}: {}", .0.code, .0.message)]
    Permanent(Failure),
    /// Anything else: throttling that outlasted the retries, a missing permission,
    /// no network. Another try may succeed, at once or after someone has acted.
    #[error("could not detect the labels: {0}")]
    Retryable(String),
}

/// Sees labels in an image of the bucket.
pub trait LabelDetector {
    /// The names of the labels seen in the object's present content: distinct, in
    /// the detector's order.
    fn detect(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Vec<String>, DetectError>>;
}
