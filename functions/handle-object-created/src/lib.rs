//! Labels an image that was stored in the bucket, and records it in the catalogue. Of a
//! video, it starts the job that does: `add-video-file` records what the job saw.
//!
//! Other files are none of the catalogue's. One that can never be labelled is
//! recorded as such, and the event is done. An object that Rekognition does not take for now
//! waits in a queue for `label-waiting`, and the event is done, too. Whatever else goes wrong fails
//! the event: Lambda tries it again, and in the end keeps it in the failure queue.

use std::process::ExitCode;

use lambda_runtime::Error;
use media::catalogue::Catalogue;
use media::detector::{LabelDetector, VideoJobs};
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::labelling::{Labelled, Labelling};
use media::media_bucket;
use media::rekognition::{Channel, RekognitionDetector, RekognitionJobs};
use media::running::NotedJobs;
use media::sqs::WaitingQueues;
use media::waiting::WaitingLine;
use runtime::records::{Failed, RecordsError};
use runtime::s3::{Notification, ObjectEvent};
use runtime::{Aws, Environment, Service};
use tracing::info;

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = media_bucket(&environment)?;
    let function = HandleObjectCreated {
        labelling: Labelling {
            catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
            detector: RekognitionDetector::new(&aws, &bucket),
            jobs: NotedJobs {
                jobs: RekognitionJobs::new(&aws, &bucket, Channel::named_by(&environment)?)?,
                running: DynamoJobs::new(&aws, &environment)?,
            },
            bucket,
        },
        waiting: WaitingQueues::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// Beginnings of the names of this function's events.
const EVENTS: &[&str] = &["ObjectCreated:"];

/// The function, with what it works on.
#[derive(Debug)]
pub struct HandleObjectCreated<C, D, J, W> {
    /// What labels objects.
    pub labelling: Labelling<C, D, J>,
    /// Where objects wait that Rekognition does not take for now.
    pub waiting: W,
}

impl<C: Catalogue, D: LabelDetector, J: VideoJobs, W: WaitingLine> HandleObjectCreated<C, D, J, W> {
    /// Handles one event.
    pub async fn handle(&self, event: Notification) -> Result<(), RecordsError> {
        let object_created = async |event| self.object_created(event).await;
        let bucket = &self.labelling.bucket;
        event.for_each(bucket, EVENTS, object_created).await
    }

    async fn object_created(&self, event: ObjectEvent) -> Result<(), Failed> {
        let labelled = self.labelling.label(event.clone()).await?;
        if let Labelled::Refused(media_type, refusal) = labelled {
            let (code, reason) = (&refusal.code, &refusal.message);
            info!(name = %event.key, %media_type, code, reason, "refused: it waits");
            self.waiting.wait(media_type, &event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    use media::catalogue::record_detection;
    use media::detector::{DetectError, JobId};
    use media::testing::{MemoryCatalogue, MemoryLine, Sees, Starts};
    use media::{Failure, MediaType};
    use runtime::s3::{BucketName, ObjectKey, Sequencer};
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/handle-object-created.json");

    type NoJobs = Starts<fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>>;

    /// The function, for images.
    fn function<F>(sees: F) -> HandleObjectCreated<MemoryCatalogue, Sees<F>, NoJobs, MemoryLine>
    where
        F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
    {
        HandleObjectCreated {
            labelling: Labelling {
                bucket: BucketName::new("amzn-s3-demo-bucket"),
                catalogue: MemoryCatalogue::default(),
                detector: Sees(sees),
                jobs: Starts(|key, _| panic!("{key} is not a video")),
            },
            waiting: MemoryLine::default(),
        }
    }

    type NoImages = Sees<fn(&ObjectKey) -> Result<Vec<String>, DetectError>>;

    /// The function, for videos.
    fn video_function<F>(
        starts: F,
    ) -> HandleObjectCreated<MemoryCatalogue, NoImages, Starts<F>, MemoryLine>
    where
        F: Fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>,
    {
        HandleObjectCreated {
            labelling: Labelling {
                bucket: BucketName::new("amzn-s3-demo-bucket"),
                catalogue: MemoryCatalogue::default(),
                detector: Sees(|key| panic!("{key} is not an image")),
                jobs: Starts(starts),
            },
            waiting: MemoryLine::default(),
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
        let item = function.labelling.catalogue.item(&name).unwrap();
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
            .filter(|name| function.labelling.catalogue.item(&key(name)).is_some())
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
        assert!(function.labelling.catalogue.item(&key("b.jpg")).is_some());
        assert_eq!(
            function
                .labelling
                .catalogue
                .state(&key("a.jpg"))
                .await
                .unwrap(),
            None
        );
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
        let state = function
            .labelling
            .catalogue
            .state(&key("a.jpg"))
            .await
            .unwrap();
        assert_eq!(state.unwrap().failure, Some(failure.clone()));
        assert_eq!(function.labelling.catalogue.item(&key("a.jpg")), None);
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
        let state = function
            .labelling
            .catalogue
            .state(&key("my clip.MP4"))
            .await
            .unwrap();
        assert_eq!(state, None);
    }

    #[tokio::test]
    async fn no_job_is_started_for_a_change_that_is_recorded() {
        let function = video_function(|_, _| panic!("nothing is left to do"));
        let sequencer = Sequencer::parse("0055AED6DCD90281E5").unwrap();
        let name = key("clip.mp4");
        let labels = Ok(vec!["Dog".into()]);
        let catalogue = &function.labelling.catalogue;
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
        let state = function
            .labelling
            .catalogue
            .state(&key("clip.mov"))
            .await
            .unwrap();
        assert_eq!(state.unwrap().failure, Some(failure.clone()));
    }

    #[tokio::test]
    async fn what_rekognition_does_not_take_waits_and_the_event_is_done() {
        let limit = Failure {
            code: "LimitExceededException".into(),
            message: "20 jobs".into(),
        };
        let function = video_function(|_, _| Err(DetectError::Throttled(limit.clone())));
        function.handle(event(&["a.avi", "b.avi"])).await.unwrap();
        let waiting = function.waiting.take();
        let keys: Vec<_> = waiting.iter().map(|event| event.key.as_str()).collect();
        assert_eq!(keys, ["a.avi", "b.avi"]);
        let state = function.labelling.catalogue.state(&key("a.avi")).await;
        assert_eq!(state.unwrap(), None);
    }

    #[tokio::test]
    async fn what_cannot_wait_fails_the_event() {
        let limit = Failure {
            code: "ThrottlingException".into(),
            message: "slow down".into(),
        };
        let function = function(|_| Err(DetectError::Throttled(limit.clone())));
        function.waiting.refuse("a.jpg");
        let error = function.handle(event(&["a.jpg", "b.jpg"])).await;
        let message = error.unwrap_err().to_string();
        assert!(
            message
                .starts_with("1 of 2 records failed: \"a.jpg\": could not send \"a.jpg\" to the queue of waiting objects: "),
            "{message}"
        );
        assert_eq!(function.waiting.take().len(), 1);
    }
}
