//! The jobs that look at videos and have not been recorded.
//!
//! A job's end is announced by a message, and the message may be lost. The upload's event finds
//! the same job again, as often as it comes, so nothing would ever be told of it. Hence
//! [`RunningJobs`]: a job is noted before the event that started it counts as handled, and
//! forgotten once what it saw is recorded. Whoever finds one that is old asks for its result
//! without a message.
//!
//! Noting and forgetting may go wrong in one way: the event comes once more while the message is
//! handled, and the job is noted again after it was forgotten. Then it is found later, when what
//! it saw is recorded already, and forgotten again.

use std::future::Future;
use std::time::{Duration, SystemTime};

use runtime::s3::{BucketName, ObjectKey, Sequencer};

use crate::MediaType;
use crate::catalogue::{Catalogue, CatalogueError, RecordError, record_detection};
use crate::detector::{DetectError, JobId, VideoJobs};

/// How long a job stays in the table if nothing deletes it. Rekognition keeps results as long.
pub const RUNNING_JOB_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A job that was started for the change of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// The job.
    pub id: JobId,
    /// Key of the video.
    pub name: ObjectKey,
    /// The change that the job was started for.
    pub sequencer: Sequencer,
    /// When it was started, or found again. Whole seconds.
    pub started_at: SystemTime,
}

/// Remembers jobs.
pub trait RunningJobs {
    /// Remembers a job. One that is known is remembered from now on.
    fn note(&self, job: &RunningJob) -> impl Future<Output = Result<(), CatalogueError>>;

    /// All jobs that are remembered.
    fn list(&self) -> impl Future<Output = Result<Vec<RunningJob>, CatalogueError>>;

    /// Forgets a job, whether it is known or not.
    fn forget(&self, job: &JobId) -> impl Future<Output = Result<(), CatalogueError>>;
}

/// Starts jobs and remembers them: a job that is not remembered counts as not started.
#[derive(Debug)]
pub struct NotedJobs<J, R> {
    /// What starts jobs.
    pub jobs: J,
    /// Where they are remembered.
    pub running: R,
}

impl<J: VideoJobs, R: RunningJobs> VideoJobs for NotedJobs<J, R> {
    async fn start(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> Result<JobId, DetectError> {
        let id = self.jobs.start(bucket, key, sequencer).await?;
        let job = RunningJob {
            id: id.clone(),
            name: key.clone(),
            sequencer: sequencer.clone(),
            started_at: SystemTime::now(),
        };
        let noted = self.running.note(&job).await;
        noted.map_err(|error| DetectError::Retryable(error.to_string()))?;
        Ok(id)
    }
}

/// Records what a job saw in the video that the change at `sequencer` stored, or why nothing ever
/// will be, and forgets the job. An error that another try may mend is returned.
pub async fn record_result(
    catalogue: &impl Catalogue,
    running: &impl RunningJobs,
    job: &JobId,
    name: ObjectKey,
    sequencer: Sequencer,
    seen: Result<Vec<String>, DetectError>,
) -> Result<(), RecordError> {
    record_detection(catalogue, name, sequencer, MediaType::Video, seen).await?;
    running.forget(job).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemoryJobs, Starts};

    /// Remembers nothing.
    struct Forgetful;

    impl RunningJobs for Forgetful {
        async fn note(&self, job: &RunningJob) -> Result<(), CatalogueError> {
            Err(CatalogueError {
                action: "note the job of",
                name: job.name.to_string(),
                reason: "throttled".into(),
            })
        }

        async fn list(&self) -> Result<Vec<RunningJob>, CatalogueError> {
            Ok(Vec::new())
        }

        async fn forget(&self, _: &JobId) -> Result<(), CatalogueError> {
            Ok(())
        }
    }

    async fn start<R: RunningJobs>(running: R) -> (Result<JobId, DetectError>, Vec<RunningJob>) {
        let noted = NotedJobs {
            jobs: Starts(|_: &ObjectKey, _: &Sequencer| Ok(JobId::new("job"))),
            running,
        };
        let (bucket, key) = (
            BucketName::new("bucket"),
            ObjectKey::new("clip.mp4").unwrap(),
        );
        let sequencer = Sequencer::parse("01").unwrap();
        let started = noted.start(&bucket, &key, &sequencer).await;
        (started, noted.running.list().await.unwrap())
    }

    #[tokio::test]
    async fn a_job_is_started_and_noted_or_neither() {
        let (started, running) = start(MemoryJobs::default()).await;
        assert_eq!(started, Ok(JobId::new("job")));
        assert_eq!(running.len(), 1);
        assert_eq!(running[0].name.as_str(), "clip.mp4");

        let (started, _) = start(Forgetful).await;
        let error = started.unwrap_err();
        assert!(matches!(error, DetectError::Retryable(_)));
        assert!(error.to_string().contains("throttled"), "{error}");
    }
}
