//! Labels the images and videos that Rekognition did not take at first.
//!
//! They wait in two queues, and come from there in batches of one kind. As long as Rekognition takes
//! them, the objects of a batch are labelled in turn. The first that it refuses, and all after it,
//! go back to the end of the line: so a line of any length costs one refused call for each batch and
//! time of waiting, and no object waits for so long that its queue forgets it.
//!
//! An object goes back before its message is deleted. If the function ends between the two, the
//! object is in the line twice. That does no harm: what is labelled already is skipped, and a job
//! for a change is started once.
//!
//! Whatever else goes wrong with an object is a failed message: SQS delivers it again, and in the end
//! keeps it in the failure queue.

use std::cell::Cell;
use std::process::ExitCode;

use lambda_runtime::Error;
use media::catalogue::Catalogue;
use media::detector::{LabelDetector, VideoJobs};
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::labelling::{Labelled, Labelling};
use media::rekognition::{Channel, RekognitionDetector, RekognitionJobs};
use media::running::NotedJobs;
use media::sqs::WaitingQueues;
use media::waiting::{WaitingLine, WaitingObject};
use media::{MediaType, media_bucket};
use runtime::records::Failed;
use runtime::s3::ObjectEvent;
use runtime::sqs::{SqsEvent, SqsResponse, UnidentifiedMessage};
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
    let channel = Channel::named_by(&environment)?;
    let function = LabelWaiting {
        labelling: Labelling {
            catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
            detector: RekognitionDetector::new(&aws, &bucket).asking_once(&aws),
            jobs: NotedJobs {
                jobs: RekognitionJobs::new(&aws, &bucket, channel)?.asking_once(&aws),
                running: DynamoJobs::new(&aws, &environment)?,
            },
            bucket,
        },
        waiting: WaitingQueues::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION, Service::SQS])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct LabelWaiting<C, D, J, W> {
    /// What labels objects.
    pub labelling: Labelling<C, D, J>,
    /// Where objects wait.
    pub waiting: W,
}

impl<C: Catalogue, D: LabelDetector, J: VideoJobs, W: WaitingLine> LabelWaiting<C, D, J, W> {
    /// Handles one batch.
    pub async fn handle(&self, event: SqsEvent) -> Result<SqsResponse, UnidentifiedMessage> {
        let refused = Cell::new(None);
        let label = async |object: WaitingObject| self.label(object.try_into()?, &refused).await;
        event.for_each("a waiting object", label).await
    }

    /// Labels an object, unless one before it was refused.
    async fn label(
        &self,
        event: ObjectEvent,
        refused: &Cell<Option<MediaType>>,
    ) -> Result<(), Failed> {
        if refused.get().is_none()
            && let Labelled::Refused(media_type, refusal) =
                self.labelling.label(event.clone()).await?
        {
            let (code, reason) = (&refusal.code, &refusal.message);
            info!(name = %event.key, %media_type, code, reason, "refused: the rest of the batch waits");
            refused.set(Some(media_type));
        }
        if let Some(media_type) = refused.get() {
            self.waiting.wait(media_type, &event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use media::Failure;
    use media::detector::{DetectError, JobId};
    use media::testing::{MemoryCatalogue, MemoryLine, Sees, Starts};
    use runtime::s3::{BucketName, ObjectKey, Sequencer};
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/label-waiting.json");

    type NoJobs = Starts<fn(&ObjectKey, &Sequencer) -> Result<JobId, DetectError>>;

    fn function<F>(sees: F) -> LabelWaiting<MemoryCatalogue, Sees<F>, NoJobs, MemoryLine>
    where
        F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
    {
        LabelWaiting {
            labelling: Labelling {
                bucket: BucketName::new("amzn-s3-demo-bucket"),
                catalogue: MemoryCatalogue::default(),
                detector: Sees(sees),
                jobs: Starts(|key, _| panic!("{key} is not a video")),
            },
            waiting: MemoryLine::default(),
        }
    }

    /// A batch of images. The id of each message is its key.
    fn batch(keys: &[&str]) -> SqsEvent {
        let record = |key: &&str| {
            let body = json!({"key": key, "sequencer": "0055AED6DCD90281E5"});
            json!({"messageId": key, "body": body.to_string()})
        };
        let records: Vec<Value> = keys.iter().map(record).collect();
        serde_json::from_value(json!({"Records": records})).unwrap()
    }

    fn throttled() -> DetectError {
        DetectError::Throttled(Failure {
            code: "ThrottlingException".into(),
            message: "slow down".into(),
        })
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(name).unwrap()
    }

    #[tokio::test]
    async fn the_sample_event_is_labelled() {
        let function = function(|_| Ok(vec!["Dog".into()]));
        let response = function.handle(serde_json::from_str(EVENT).unwrap()).await;
        assert_eq!(response.unwrap().failed(), <[&str; 0]>::default());
        let name = key("holiday photos/dog+ball.jpg");
        let item = function.labelling.catalogue.item(&name).unwrap();
        assert_eq!(item.labels, ["Dog"]);
    }

    #[tokio::test]
    async fn after_the_first_refusal_nothing_more_is_asked_and_the_rest_waits() {
        let asked = RefCell::new(Vec::new());
        let function = function(|key| {
            asked.borrow_mut().push(key.to_string());
            match key.as_str() {
                "b.jpg" => Err(throttled()),
                _ => Ok(vec!["Dog".into()]),
            }
        });
        let keys = ["a.jpg", "b.jpg", "c.jpg", "d.png"];
        let response = function.handle(batch(&keys)).await.unwrap();
        assert_eq!(response.failed(), <[&str; 0]>::default());
        assert_eq!(*asked.borrow(), ["a.jpg", "b.jpg"]);
        let waiting = function.waiting.take();
        let waiting: Vec<_> = waiting.iter().map(|event| event.key.as_str()).collect();
        assert_eq!(waiting, ["b.jpg", "c.jpg", "d.png"]);
        // The next batch asks again.
        function.handle(batch(&["c.jpg"])).await.unwrap();
        assert!(function.labelling.catalogue.item(&key("c.jpg")).is_some());
    }

    #[tokio::test]
    async fn an_object_that_cannot_wait_is_a_failed_message_and_none_is_lost() {
        let function = function(|_| Err(throttled()));
        function.waiting.refuse("b.jpg");
        let response = function.handle(batch(&["a.jpg", "b.jpg", "c.jpg"])).await;
        assert_eq!(response.unwrap().failed(), ["b.jpg"]);
        assert_eq!(function.waiting.take().len(), 2);
    }

    #[tokio::test]
    async fn what_fails_otherwise_is_a_failed_message_and_does_not_wait() {
        let function = function(|key| match key.as_str() {
            "a.jpg" => Err(DetectError::Retryable("no network".into())),
            _ => Ok(vec![]),
        });
        let mut event = json!({"Records": [{"messageId": "odd", "body": r#"{"key": "x.jpg", "sequencer": "now"}"#}]});
        let of_batch = ["a.jpg", "b.jpg"].map(|key| {
            let body = json!({"key": key, "sequencer": "0055AED6DCD90281E5"});
            json!({"messageId": key, "body": body.to_string()})
        });
        event["Records"].as_array_mut().unwrap().extend(of_batch);
        let response = function
            .handle(serde_json::from_value(event).unwrap())
            .await;
        assert_eq!(response.unwrap().failed(), ["odd", "a.jpg"]);
        assert_eq!(function.waiting.take(), []);
        assert!(function.labelling.catalogue.item(&key("b.jpg")).is_some());
    }
}
