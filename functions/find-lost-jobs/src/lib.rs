//! Records the results of jobs whose message was lost.
//!
//! `handle-object-created` notes each job that it starts, and `add-video-file` forgets it when
//! Rekognition's message has come. A job that is still known a while later has not ended, or its
//! message is lost. So this function, which a schedule invokes, asks Rekognition for the results of
//! old jobs, and records them as `add-video-file` does. A message that comes at the same time, or
//! later, finds the change recorded.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error};
use media::catalogue::{Catalogue, RecordError};
use media::detector::{DetectError, Failure, VideoResults};
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::rekognition::RekognitionResults;
use media::running::{RunningJob, RunningJobs, record_result};
use runtime::schedule::ScheduleEvent;
use runtime::{Aws, Environment, Service};
use tracing::{info, warn};

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = FindLostJobs {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        running: DynamoJobs::new(&aws, &environment)?,
        results: RekognitionResults::new(&aws),
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// Jobs that were started later are left alone: most messages come within minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A job that has not ended by then never will. Rekognition takes videos of 6 hours.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/limits.html>
const LONGEST_JOB: Duration = Duration::from_secs(24 * 60 * 60);

/// The function, with what it works on.
#[derive(Debug)]
pub struct FindLostJobs<C, J, R> {
    /// Where changes are recorded.
    pub catalogue: C,
    /// The jobs that are not recorded.
    pub running: J,
    /// What jobs saw.
    pub results: R,
}

/// Jobs whose results could not be recorded now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of {total} old jobs failed: {}", failures.len(), failures.join("; "))]
pub struct LostJobsError {
    total: usize,
    failures: Vec<String>,
}

impl From<LostJobsError> for Diagnostic {
    fn from(error: LostJobsError) -> Self {
        Self {
            error_type: "LostJobsError".into(),
            error_message: error.to_string(),
        }
    }
}

impl<C: Catalogue, J: RunningJobs, R: VideoResults> FindLostJobs<C, J, R> {
    /// Handles one event. Jobs are as old as they were at the schedule's time.
    pub async fn handle(&self, event: ScheduleEvent) -> Result<(), LostJobsError> {
        let jobs = self.running.list().await.map_err(|error| LostJobsError {
            total: 0,
            failures: vec![error.to_string()],
        })?;
        let (mut total, mut failures) = (0, Vec::new());
        for job in jobs {
            let age = age(&job, event.scheduled_time);
            if age < PATIENCE {
                continue;
            }
            total += 1;
            // One that fails hides no other.
            if let Err(error) = self.find(&job, age).await {
                failures.push(format!("{}: {error}", job.id));
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(LostJobsError { total, failures })
        }
    }

    async fn find(&self, job: &RunningJob, age: Duration) -> Result<(), RecordError> {
        let RunningJob {
            id,
            name,
            sequencer,
            ..
        } = job;
        let state = self.catalogue.state(name).await?;
        if state.is_some_and(|state| state.supersedes(sequencer)) {
            info!(%name, %sequencer, job = %id, "forgotten: this change or a later one is recorded");
            self.running.forget(id).await?;
            return Ok(());
        }
        let seen = match self.results.labels(id).await {
            Err(DetectError::Running) if age < LONGEST_JOB => {
                info!(%name, %sequencer, job = %id, "the job has not ended yet");
                return Ok(());
            }
            Err(DetectError::Running) => Err(DetectError::Permanent(Failure {
                code: "LabelDetectionNotEnded".into(),
                message: "Rekognition has not looked at the video within a day: upload it again"
                    .into(),
            })),
            seen => seen,
        };
        warn!(%name, %sequencer, job = %id, "no message reported the end of this job");
        let (catalogue, running) = (&self.catalogue, &self.running);
        record_result(
            catalogue,
            running,
            id,
            name.clone(),
            sequencer.clone(),
            seen,
        )
        .await
    }
}

/// Nothing, if the clocks of two machines differ.
fn age(job: &RunningJob, at: SystemTime) -> Duration {
    at.duration_since(job.started_at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    use media::catalogue::{ChangeKind, ObjectChange};
    use media::detector::JobId;
    use media::testing::{MemoryCatalogue, MemoryJobs, Saw};
    use media::{MediaItem, MediaType};
    use runtime::s3::{ObjectKey, Sequencer};

    const EVENT: &str = include_str!("../../../assets/events/find-lost-jobs.json");
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn event() -> ScheduleEvent {
        serde_json::from_str(EVENT).unwrap()
    }

    fn clip() -> ObjectKey {
        ObjectKey::new("clip.mp4").unwrap()
    }

    fn sequencer(text: &str) -> Sequencer {
        Sequencer::parse(text).unwrap()
    }

    /// The function, with a job of this age for each id.
    async fn function<F>(
        ages: &[(&str, Duration)],
        saw: F,
    ) -> FindLostJobs<MemoryCatalogue, MemoryJobs, Saw<F>>
    where
        F: Fn(&JobId) -> Result<Vec<String>, DetectError>,
    {
        let running = MemoryJobs::default();
        for (id, age) in ages {
            let job = RunningJob {
                id: JobId::new(*id),
                name: clip(),
                sequencer: sequencer("02"),
                started_at: event().scheduled_time - *age,
            };
            running.note(&job).await.unwrap();
        }
        FindLostJobs {
            catalogue: MemoryCatalogue::default(),
            running,
            results: Saw(saw),
        }
    }

    async fn known<C, R>(function: &FindLostJobs<C, MemoryJobs, R>) -> Vec<String> {
        let jobs = function.running.list().await.unwrap();
        jobs.iter().map(|job| job.id.to_string()).collect()
    }

    #[tokio::test]
    async fn an_old_job_is_recorded_and_forgotten() {
        let function = function(
            &[("old", HOUR), ("new", PATIENCE - Duration::from_secs(1))],
            |job| Ok(vec![job.to_string()]),
        )
        .await;
        function.handle(event()).await.unwrap();
        let item = MediaItem {
            name: clip(),
            media_type: MediaType::Video,
            labels: vec!["old".into()],
        };
        assert_eq!(function.catalogue.item(&clip()), Some(item));
        assert_eq!(known(&function).await, ["new"]);
    }

    #[tokio::test]
    async fn a_failed_job_is_recorded_with_its_reason() {
        for code in ["LabelDetectionFailed", "ResourceNotFoundException"] {
            let failure = Failure {
                code: code.into(),
                message: "because".into(),
            };
            let function = function(&[("old", HOUR)], |_| {
                Err(DetectError::Permanent(failure.clone()))
            })
            .await;
            function.handle(event()).await.unwrap();
            let state = function.catalogue.state(&clip()).await.unwrap().unwrap();
            assert_eq!(state.failure, Some(failure.clone()));
            assert_eq!(known(&function).await, [""; 0]);
        }
    }

    #[tokio::test]
    async fn a_job_may_run_for_a_day() {
        let running = |_: &JobId| Err(DetectError::Running);
        let patient = function(&[("old", LONGEST_JOB - HOUR)], running).await;
        patient.handle(event()).await.unwrap();
        assert_eq!(known(&patient).await, ["old"]);
        assert_eq!(patient.catalogue.state(&clip()).await.unwrap(), None);

        let impatient = function(&[("old", LONGEST_JOB)], running).await;
        impatient.handle(event()).await.unwrap();
        assert_eq!(known(&impatient).await, [""; 0]);
        let state = impatient.catalogue.state(&clip()).await.unwrap().unwrap();
        assert_eq!(state.failure.unwrap().code, "LabelDetectionNotEnded");
    }

    #[tokio::test]
    async fn a_job_that_is_recorded_is_forgotten() {
        let function = function(&[("old", HOUR)], |_| panic!("nothing to fetch")).await;
        let removed = ObjectChange {
            name: clip(),
            sequencer: sequencer("03"),
            kind: ChangeKind::Removed,
        };
        function.catalogue.record(&removed).await.unwrap();
        function.handle(event()).await.unwrap();
        assert_eq!(known(&function).await, [""; 0]);
        assert_eq!(function.catalogue.item(&clip()), None);
    }

    #[tokio::test]
    async fn a_job_that_cannot_be_asked_for_hides_no_other_and_fails_the_event() {
        let function = function(&[("a", HOUR), ("b", HOUR)], |job| match job.as_str() {
            "a" => Err(DetectError::Retryable("throttled".into())),
            _ => Ok(vec![]),
        })
        .await;
        let error = function.handle(event()).await.unwrap_err().to_string();
        assert!(error.starts_with("1 of 2 old jobs failed: a: "), "{error}");
        assert!(error.contains("throttled"), "{error}");
        assert_eq!(known(&function).await, ["a"]);
        assert!(function.catalogue.item(&clip()).is_some());
    }

    #[test]
    fn a_job_from_the_future_is_new() {
        let job = RunningJob {
            id: JobId::new("job"),
            name: clip(),
            sequencer: sequencer("02"),
            started_at: UNIX_EPOCH + HOUR,
        };
        assert_eq!(age(&job, UNIX_EPOCH), Duration::ZERO);
    }
}
