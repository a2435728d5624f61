//! The ports to what sees labels.
//!
//! An image is looked at while the caller waits. A video takes minutes, so it is the
//! subject of a job: one function starts it, and when it has ended, a message
//! ([`crate::completion`]) makes another fetch what it saw.

use std::fmt;
use std::future::Future;

use runtime::s3::{BucketName, ObjectKey, Sequencer};
use serde::Deserialize;

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
    /// The detector takes no more for now: calls come too fast, or too many jobs run. Nothing is
    /// wrong with the object or the function, and a later try will succeed.
    #[error("{}: {}", .0.code, .0.message)]
    Throttled(Failure),
    /// The job has not ended yet.
    #[error("the job has not ended yet")]
    Running,
    /// Anything else: a missing permission, no network. Another try may succeed, at once or
    /// after someone has acted.
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

/// Identifies a job that looks at a video.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Takes the id as it is.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as Rekognition writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts jobs that look at videos of the bucket.
pub trait VideoJobs {
    /// Starts a job for the change of a video at `sequencer`, or finds the one that
    /// was started for it before. The job looks at what the object holds by then, and
    /// the message at its end carries the sequencer.
    fn start(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> impl Future<Output = Result<JobId, DetectError>>;
}

/// Knows what jobs saw.
pub trait VideoResults {
    /// The names of the labels that a job which has ended saw: distinct, the surest first.
    fn labels(&self, job: &JobId) -> impl Future<Output = Result<Vec<String>, DetectError>>;
}
