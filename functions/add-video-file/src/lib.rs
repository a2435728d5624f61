//! Records what a job saw in a video, when Rekognition tells that it has ended.
//!
//! `handle-object-created` started the job for a change of the object, whose place
//! among the changes comes back with the message. So the result is recorded by the
//! same rule as an image's: that of an object which was deleted or replaced since, and
//! one that is delivered twice, are superseded. A job that failed is
//! recorded as a failure with Rekognition's reason.
//!
//! A job that someone started by hand has no place in the order. Its labels are stored
//! by the rule that [`media::catalogue`] has for that. Its failure is left to who
//! started it.

use std::process::ExitCode;

use lambda_runtime::Error;
use media::catalogue::{Catalogue, RecordError};
use media::completion::{Completion, JobEnd, JobStatus};
use media::detector::{DetectError, Failure, JobId, VideoResults};
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::rekognition::RekognitionResults;
use media::running::{RunningJobs, record_result};
use media::{MediaItem, MediaType, media_bucket};
use runtime::records::RecordsError;
use runtime::s3::{BucketName, ObjectKey};
use runtime::{Aws, Environment, Service};
use tracing::{info, warn};

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = AddVideoFile {
        bucket: media_bucket(&environment)?,
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        running: DynamoJobs::new(&aws, &environment)?,
        results: RekognitionResults::new(&aws),
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct AddVideoFile<C, J, R> {
    /// The bucket that the catalogue is of.
    pub bucket: BucketName,
    /// Where changes are recorded.
    pub catalogue: C,
    /// The jobs that are not recorded.
    pub running: J,
    /// What jobs saw.
    pub results: R,
}

impl<C: Catalogue, J: RunningJobs, R: VideoResults> AddVideoFile<C, J, R> {
    /// Handles one event.
    pub async fn handle(&self, event: Completion) -> Result<(), RecordsError> {
        let job_ended = async |end| self.job_ended(end).await;
        event.for_each(&self.bucket, job_ended).await
    }

    async fn job_ended(&self, end: JobEnd) -> Result<(), RecordError> {
        let JobEnd {
            job,
            status,
            key: name,
            sequencer,
        } = end;
        if MediaType::of(&name) != Some(MediaType::Video) {
            info!(%name, %job, "skipped: its extension is not that of a video");
            return Ok(());
        }
        let state = self.catalogue.state(&name).await?;
        let Some(sequencer) = sequencer else {
            if state.is_some() {
                info!(%name, %job, "dropped: started by hand, and its change or a later one is recorded");
                return Ok(());
            }
            return self.save(name, &job, status).await;
        };
        if state.is_some_and(|state| state.supersedes(&sequencer)) {
            info!(%name, %sequencer, %job, "dropped: this change or a later one is recorded");
            self.running.forget(&job).await?;
            return Ok(());
        }
        let seen = self.result(&job, status).await;
        let (catalogue, running) = (&self.catalogue, &self.running);
        record_result(catalogue, running, &job, name, sequencer, seen).await
    }

    /// Stores what a job by hand saw.
    async fn save(
        &self,
        name: ObjectKey,
        job: &JobId,
        status: JobStatus,
    ) -> Result<(), RecordError> {
        match self.result(job, status).await {
            Ok(labels) => {
                let item = MediaItem {
                    name,
                    media_type: MediaType::Video,
                    labels,
                };
                let outcome = self.catalogue.save(&item, None).await?;
                info!(name = %item.name, %job, ?outcome, "labelled by hand");
                Ok(())
            }
            Err(DetectError::Permanent(Failure { code, message })) => {
                warn!(%name, %job, code, reason = message, "a job started by hand failed");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the job saw. Of a failed one too the result is asked for, as the message
    /// does not tell the reason.
    async fn result(&self, job: &JobId, status: JobStatus) -> Result<Vec<String>, DetectError> {
        let result = self.results.labels(job).await;
        match (status, result) {
            (JobStatus::Failed | JobStatus::Error, Ok(_)) => Err(DetectError::Permanent(Failure {
                code: "LabelDetectionFailed".into(),
                message: "Rekognition gives no reason".into(),
            })),
            (_, result) => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use media::catalogue::{ChangeKind, ObjectChange};
    use media::testing::{MemoryCatalogue, MemoryJobs, Saw};
    use runtime::s3::Sequencer;
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/add-video-file.json");
    const JOB: &str = "6de014b0a2121e4bf09e31856a18719e22ab0c6d7fb8d5c4e3a2917f6b5d4c3e";
    const SEQUENCER: &str = "0055AED6DCD90281E7";

    fn function<F>(saw: F) -> AddVideoFile<MemoryCatalogue, MemoryJobs, Saw<F>>
    where
        F: Fn(&JobId) -> Result<Vec<String>, DetectError>,
    {
        AddVideoFile {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
            running: MemoryJobs::default(),
            results: Saw(saw),
        }
    }

    fn dog() -> Result<Vec<String>, DetectError> {
        Ok(vec!["Dog".into(), "Animal".into()])
    }

    fn failure(code: &str) -> Failure {
        Failure {
            code: code.into(),
            message: "because".into(),
        }
    }

    fn clip() -> ObjectKey {
        ObjectKey::new("holiday videos/dog+ball.mp4").unwrap()
    }

    fn sequencer(text: &str) -> Sequencer {
        Sequencer::parse(text).unwrap()
    }

    /// The sample event with another message.
    fn event(change: impl Fn(&mut Value)) -> Completion {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let text = &mut event["Records"][0]["Sns"]["Message"];
        let mut message = serde_json::from_str(text.as_str().unwrap()).unwrap();
        change(&mut message);
        *text = message.to_string().into();
        serde_json::from_value(event).unwrap()
    }

    fn by_hand(message: &mut Value) {
        message["JobTag"] = Value::Null;
    }

    async fn remove(catalogue: &MemoryCatalogue, at: &str) {
        let change = ObjectChange {
            name: clip(),
            sequencer: sequencer(at),
            kind: ChangeKind::Removed,
        };
        catalogue.record(&change).await.unwrap();
    }

    #[tokio::test]
    async fn the_sample_event_stores_what_its_job_saw() {
        let function = function(|job| {
            assert_eq!(job.as_str(), JOB);
            dog()
        });
        function.handle(event(|_| {})).await.unwrap();
        assert_eq!(
            function.catalogue.item(&clip()),
            Some(MediaItem {
                name: clip(),
                media_type: MediaType::Video,
                labels: dog().unwrap(),
            })
        );
        let state = function.catalogue.state(&clip()).await.unwrap().unwrap();
        assert_eq!(
            (state.sequencer, state.failure),
            (sequencer(SEQUENCER), None)
        );
    }

    #[tokio::test]
    async fn a_repeated_message_fetches_nothing() {
        let fetches = Cell::new(0);
        let function = function(|_| {
            fetches.set(fetches.get() + 1);
            dog()
        });
        for _ in 0..3 {
            function.handle(event(|_| {})).await.unwrap();
        }
        assert_eq!(fetches.get(), 1);
    }

    #[tokio::test]
    async fn a_result_is_dropped_once_the_object_was_deleted() {
        let function = function(|_| panic!("nothing to fetch"));
        remove(&function.catalogue, "0055AED6DCD90281E8").await;
        for change in [|_: &mut Value| {}, by_hand] {
            function.handle(event(change)).await.unwrap();
            assert_eq!(function.catalogue.item(&clip()), None);
        }
    }

    #[tokio::test]
    async fn a_failed_job_is_recorded_with_rekognitions_reason_if_it_gives_one() {
        let permanent = |code| Err(DetectError::Permanent(failure(code)));
        for status in ["FAILED", "ERROR"] {
            for (saw, reason) in [
                (permanent("LabelDetectionFailed"), "because"),
                (permanent("ResourceNotFoundException"), "because"),
                (dog(), "Rekognition gives no reason"),
            ] {
                let function = function(|_| saw.clone());
                let failed = event(|message| message["Status"] = status.into());
                function.handle(failed).await.unwrap();
                let state = function.catalogue.state(&clip()).await.unwrap();
                assert_eq!(state.unwrap().failure.unwrap().message, reason);
                assert_eq!(function.catalogue.item(&clip()), None);
            }
        }
    }

    #[tokio::test]
    async fn a_result_that_cannot_be_fetched_now_fails_the_event() {
        for change in [|_: &mut Value| {}, by_hand] {
            let function = function(|_| Err(DetectError::Retryable("throttled".into())));
            let error = function.handle(event(change)).await.unwrap_err();
            assert!(error.to_string().contains("throttled"), "{error}");
            assert_eq!(function.catalogue.state(&clip()).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_job_by_hand_is_stored_until_the_objects_own_is() {
        let function = function(|job| Ok(vec![job.to_string()]));
        let started_by_hand = || {
            event(|message| {
                message["JobId"] = "by hand".into();
                message["JobTag"] = "cats".into();
            })
        };
        let labels = || function.catalogue.item(&clip()).unwrap().labels;
        function.handle(started_by_hand()).await.unwrap();
        assert_eq!(labels(), ["by hand"]);
        assert_eq!(function.catalogue.state(&clip()).await.unwrap(), None);
        function.handle(event(|_| {})).await.unwrap();
        assert_eq!(labels(), [JOB]);
        function.handle(started_by_hand()).await.unwrap();
        assert_eq!(labels(), [JOB]);
    }

    #[tokio::test]
    async fn the_failure_of_a_job_by_hand_leaves_no_trace() {
        let failed = failure("LabelDetectionFailed");
        let function = function(|_| Err(DetectError::Permanent(failed.clone())));
        function.handle(event(by_hand)).await.unwrap();
        assert_eq!(function.catalogue.state(&clip()).await.unwrap(), None);
        assert_eq!(function.catalogue.item(&clip()), None);
    }

    #[tokio::test]
    async fn other_files_leave_no_trace() {
        for name in ["clip.mkv", "sample.jpg"] {
            let function = function(|_| panic!("nothing to fetch"));
            let other = event(|message| message["Video"]["S3ObjectName"] = name.into());
            function.handle(other).await.unwrap();
            let key = ObjectKey::new(name).unwrap();
            assert_eq!(function.catalogue.state(&key).await.unwrap(), None);
        }
    }
}
