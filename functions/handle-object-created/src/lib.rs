//! Labels an image that was stored in the bucket, and records it in the catalogue.
//!
//! Videos are recognised and left alone; other files are none of the catalogue's.
//! An image that can never be labelled is recorded as such, and the event is done.
//! Whatever else goes wrong fails the event: Lambda tries it again, and in the end keeps it
//! in the failure queue.
//!
//! The state is read first, so that an event that comes late or twice costs no
//! detection. What makes it harmless is the catalogue's rule, not this reading.

use media::MediaType;
use media::catalogue::{Catalogue, CatalogueError, ChangeKind, ObjectChange};
use media::detector::{DetectError, LabelDetector};
use media::key::BucketName;
use media::notification::{Notification, NotificationError, ObjectEvent};
use tracing::{info, warn};

/// Beginnings of the names of this function's events.
const EVENTS: &[&str] = &["ObjectCreated:"];

/// Why one object is not in the catalogue yet.
#[derive(Debug, thiserror::Error)]
enum ObjectError {
    #[error(transparent)]
    Detect(#[from] DetectError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct HandleObjectCreated<C, D> {
    /// The bucket that the catalogue is of.
    pub bucket: BucketName,
    /// Where changes are recorded.
    pub catalogue: C,
    /// What sees the labels.
    pub detector: D,
}

impl<C: Catalogue, D: LabelDetector> HandleObjectCreated<C, D> {
    /// Handles one event.
    pub async fn handle(&self, event: Notification) -> Result<(), NotificationError> {
        let object_created = async |event| self.object_created(event).await;
        event.for_each(&self.bucket, EVENTS, object_created).await
    }

    async fn object_created(&self, event: ObjectEvent) -> Result<(), ObjectError> {
        let name = &event.key;
        match MediaType::of(name) {
            Some(MediaType::Image) => self.image_created(event).await,
            Some(MediaType::Video) => {
                info!(%name, "video left alone: only images are labelled");
                Ok(())
            }
            None => {
                info!(%name, "skipped: its extension is that of no image or video");
                Ok(())
            }
        }
    }

    async fn image_created(&self, event: ObjectEvent) -> Result<(), ObjectError> {
        let ObjectEvent {
            key: name,
            sequencer,
        } = event;
        let state = self.catalogue.state(&name).await?;
        if state.is_some_and(|state| state.supersedes(&sequencer)) {
            info!(%name, %sequencer, "skipped: this change or a later one is recorded");
            return Ok(());
        }
        let kind = match self.detector.detect(&self.bucket, &name).await {
            Ok(labels) => ChangeKind::Labelled {
                media_type: MediaType::Image,
                labels,
            },
            Err(DetectError::Permanent(failure)) => {
                let (code, message) = (&failure.code, &failure.message);
                warn!(%name, %sequencer, code, message, "cannot be labelled");
                ChangeKind::Failed(failure)
            }
            Err(error @ DetectError::Retryable(_)) => return Err(error.into()),
        };
        let change = ObjectChange {
            name,
            sequencer,
            kind,
        };
        let outcome = self.catalogue.record(&change).await?;
        let ObjectChange {
            name,
            sequencer,
            kind,
        } = change;
        let labels = match kind {
            ChangeKind::Labelled { labels, .. } => labels.len(),
            ChangeKind::Failed(_) | ChangeKind::Removed => 0,
        };
        info!(%name, %sequencer, labels, ?outcome, "image handled");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use media::testing::{MemoryCatalogue, Sees};
    use media::{Failure, ObjectKey};
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/handle-object-created.json");

    fn function<F>(sees: F) -> HandleObjectCreated<MemoryCatalogue, Sees<F>>
    where
        F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
    {
        HandleObjectCreated {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
            detector: Sees(sees),
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
        let keys = ["a.jpg", "clip.mp4", "notes.txt", "B.PNG"];
        function.handle(event(&keys)).await.unwrap();
        let stored: Vec<_> = keys
            .into_iter()
            .filter(|name| function.catalogue.item(&key(name)).is_some())
            .collect();
        assert_eq!(stored, ["a.jpg", "B.PNG"]);
        assert_eq!(
            function.catalogue.state(&key("clip.mp4")).await.unwrap(),
            None
        );
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
}
