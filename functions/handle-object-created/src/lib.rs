//! Labels an image that was stored in the bucket, and records it in the catalogue. Of a
//! video, it starts the job that does: `add-video-file` records what the job saw.
//!
//! Other files are none of the catalogue's. One that can never be labelled is
//! recorded as such, and the event is done. Whatever else goes wrong fails the event:
//! Lambda tries it again, and in the end keeps it in the failure queue.
//!
//! The state is read first, so that an event that comes late or twice costs no
//! detection. What makes it harmless is the catalogue's rule, not this reading. As
//! long as a video's job runs, there is no such state, and it is the job's
//! idempotency that keeps a repeated event from starting another.

use media::MediaType;
use media::catalogue::{Catalogue, RecordError, record_detection};
use media::detector::{LabelDetector, VideoJobs};
use runtime::records::RecordsError;
use runtime::s3::{BucketName, Notification, ObjectEvent};
use tracing::info;

/// Beginnings of the names of this function's events.
const EVENTS: &[&str] = &["ObjectCreated:"];

/// The function, with what it works on.
#[derive(Debug)]
pub struct HandleObjectCreated<C, D, J> {
    /// The bucket that the catalogue is of.
    pub bucket: BucketName,
    /// Where changes are recorded.
    pub catalogue: C,
    /// What sees the labels of images.
    pub detector: D,
    /// What starts looking at videos.
    pub jobs: J,
}

impl<C: Catalogue, D: LabelDetector, J: VideoJobs> HandleObjectCreated<C, D, J> {
    /// Handles one event.
    pub async fn handle(&self, event: Notification) -> Result<(), RecordsError> {
        let object_created = async |event| self.object_created(event).await;
        event.for_each(&self.bucket, EVENTS, object_created).await
    }

    async fn object_created(&self, event: ObjectEvent) -> Result<(), RecordError> {
        let ObjectEvent {
            key: name,
            sequencer,
        } = event;
        let Some(media_type) = MediaType::of(&name) else {
            info!(%name, "skipped: its extension is that of no image or video");
            return Ok(());
        };
        let state = self.catalogue.state(&name).await?;
        if state.is_some_and(|state| state.supersedes(&sequencer)) {
            info!(%name, %sequencer, "skipped: this change or a later one is recorded");
            return Ok(());
        }
        let detected = match media_type {
            MediaType::Image => self.detector.detect(&self.bucket, &name).await,
            MediaType::Video => match self.jobs.start(&self.bucket, &name, &sequencer).await {
                Ok(job) => {
                    info!(%name, %sequencer, %job, "a job looks at the video");
                    return Ok(());
                }
                Err(error) => Err(error),
            },
        };
        let catalogue = &self.catalogue;
        record_detection(catalogue, name, sequencer, media_type, detected).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    use lambda_runtime::Diagnostic;
    use media::Failure;
    use media::detector::{DetectError, JobId};
    use media::testing::{MemoryCatalogue, Sees, Starts};
    use runtime::s3::{ObjectKey, Sequencer};
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/handle-object-created.json");

    type NoJobs = Starts<fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>>;

    /// The function, for images.
    fn function<F>(sees: F) -> HandleObjectCreated<MemoryCatalogue, Sees<F>, NoJobs>
    where
        F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
    {
        HandleObjectCreated {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
            detector: Sees(sees),
            jobs: Starts(|key, _| panic!("{key} is no video")),
        }
    }

    type NoImages = Sees<fn(&ObjectKey) -> Result<Vec<String>, DetectError>>;

    /// The function, for videos.
    fn video_function<F>(starts: F) -> HandleObjectCreated<MemoryCatalogue, NoImages, Starts<F>>
    where
        F: Fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>,
    {
        HandleObjectCreated {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
            detector: Sees(|key| panic!("{key} is no image")),
            jobs: Starts(starts),
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(name).unwrap()
    }

    /// The sample event with a record for each of these keys, encoded as they are.
    fn event(keys: &[&str]) -> Notification {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let record = event["Records"][0].clone();
        let with_key = |key: &&str| {
            let mut record = record.clone();
            record["s3"]["object"]["key"] = (*key).into();
            record
        };
        event["Records"] = keys.iter().map(with_key).collect();
        serde_json::from_value(event).unwrap()
    }

    #[tokio::test]
    async fn the_sample_event_is_labelled() {
        let function = function(|key| Ok(vec![key.to_string()]));
        function
            .handle(serde_json::from_str(EVENT).unwrap())
            .await
            .unwrap();
        let name = key("holiday photos/dog+ball.jpg");
        let item = function.catalogue.item(&name).unwrap();
        assert_eq!(item.labels, ["holiday photos/dog+ball.jpg"]);
        assert_eq!(item.media_type, MediaType::Image);
    }

    #[tokio::test]
    async fn every_image_is_labelled_and_nothing_else() {
        let function = function(|_| Ok(vec!["Dog".into()]));
        let keys = ["a.jpg", "notes.txt", "B.PNG", "mp4"];
        function.handle(event(&keys)).await.unwrap();
        let stored: Vec<_> = keys
            .into_iter()
            .filter(|name| function.catalogue.item(&key(name)).is_some())
            .collect();
        assert_eq!(stored, ["a.jpg", "B.PNG"]);
    }

    #[tokio::test]
    async fn a_repeated_event_looks_once() {
        let looks = Cell::new(0);
        let function = function(|_| {
            looks.set(looks.get() + 1);
            Ok(vec![])
        });
        for _ in 0..3 {
            function.handle(event(&["a.jpg"])).await.unwrap();
        }
        assert_eq!(looks.get(), 1);
    }

    #[tokio::test]
    async fn a_failing_record_hides_no_other_and_fails_the_event() {
        let function = function(|key| match key.as_str() {
            "a.jpg" => Err(DetectError::Retryable("throttled".into())),
            _ => Ok(vec!["Dog".into()]),
        });
        let error = function
            .handle(event(&["a.jpg", "50%.jpg", "b.jpg"]))
            .await
            .unwrap_err();
        assert!(function.catalogue.item(&key("b.jpg")).is_some());
        assert_eq!(function.catalogue.state(&key("a.jpg")).await.unwrap(), None);
        let message = error.to_string();
        assert!(
            message.starts_with("2 of 3 records failed: \"a.jpg\": "),
            "{message}"
        );
        assert!(
            message.contains("throttled") && message.contains("\"50%.jpg\""),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_permanent_failure_is_recorded_and_the_event_is_done() {
        let failure = Failure {
            code: "InvalidImageFormatException".into(),
            message: "Request has invalid image format".into(),
        };
        let function = function(|_| Err(DetectError::Permanent(failure.clone())));
        function.handle(event(&["a.jpg"])).await.unwrap();
        let state = function.catalogue.state(&key("a.jpg")).await.unwrap();
        assert_eq!(state.unwrap().failure, Some(failure.clone()));
        assert_eq!(function.catalogue.item(&key("a.jpg")), None);
    }
    #[tokio::test]
    async fn a_videos_job_is_started_for_its_change_and_nothing_is_recorded() {
        let started = RefCell::new(Vec::new());
        let function = video_function(|key, sequencer| {
            started.borrow_mut().push((key.clone(), sequencer.clone()));
            Ok(JobId::new("job"))
        });
        for _ in 0..2 {
            function.handle(event(&["my+clip.MP4"])).await.unwrap();
        }
        // The same job: that is for `VideoJobs` to know.
        let change = (
            key("my clip.MP4"),
            Sequencer::parse("0055AED6DCD90281E5").unwrap(),
        );
        assert_eq!(*started.borrow(), [change.clone(), change]);
        let state = function.catalogue.state(&key("my clip.MP4")).await.unwrap();
        assert_eq!(state, None);
    }

    #[tokio::test]
    async fn no_job_is_started_for_a_change_that_is_recorded() {
        let function = video_function(|_, _| panic!("nothing is left to do"));
        let sequencer = Sequencer::parse("0055AED6DCD90281E5").unwrap();
        let name = key("clip.mp4");
        let labels = Ok(vec!["Dog".into()]);
        let catalogue = &function.catalogue;
        record_detection(catalogue, name, sequencer, MediaType::Video, labels)
            .await
            .unwrap();
        function.handle(event(&["clip.mp4"])).await.unwrap();
    }

    #[tokio::test]
    async fn a_video_that_no_job_can_look_at_is_recorded() {
        let failure = Failure {
            code: "VideoTooLargeException".into(),
            message: "too large".into(),
        };
        let function = video_function(|_, _| Err(DetectError::Permanent(failure.clone())));
        function.handle(event(&["clip.mov"])).await.unwrap();
        let state = function.catalogue.state(&key("clip.mov")).await.unwrap();
        assert_eq!(state.unwrap().failure, Some(failure.clone()));
    }

    #[tokio::test]
    async fn too_many_jobs_fail_the_event() {
        let limit = Failure {
            code: "LimitExceededException".into(),
            message: "20 jobs".into(),
        };
        let function = video_function(|_, _| Err(DetectError::Throttled(limit.clone())));
        let error = function.handle(event(&["clip.avi"])).await.unwrap_err();
        let diagnostic = Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "LimitExceededException");
        let message = diagnostic.error_message;
        assert!(
            message.ends_with("LimitExceededException: 20 jobs"),
            "{message}"
        );
        let state = function.catalogue.state(&key("clip.avi")).await.unwrap();
        assert_eq!(state, None);
    }
}
