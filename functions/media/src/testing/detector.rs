use runtime::s3::{BucketName, ObjectKey, Sequencer};

use crate::detector::{DetectError, JobId, LabelDetector, VideoJobs, VideoResults};

/// A detector that sees in an object what a closure says.
#[derive(Debug)]
pub struct Sees<F>(pub F);

impl<F> LabelDetector for Sees<F>
where
    F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
{
    async fn detect(
        &self,
        _bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<String>, DetectError> {
        self.0(key)
    }
}

/// Starts the job that a closure says.
#[derive(Debug)]
pub struct Starts<F>(pub F);

impl<F> VideoJobs for Starts<F>
where
    F: Fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>,
{
    async fn start(
        &self,
        _bucket: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> Result<JobId, DetectError> {
        self.0(key, sequencer)
    }
}

/// Jobs that saw what a closure says.
#[derive(Debug)]
pub struct Saw<F>(pub F);

impl<F> VideoResults for Saw<F>
where
    F: Fn(&JobId) -> Result<Vec<String>, DetectError>,
{
    async fn labels(&self, job: &JobId) -> Result<Vec<String>, DetectError> {
        self.0(job)
    }
}
