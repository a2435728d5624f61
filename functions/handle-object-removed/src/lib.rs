//! Takes an object that was deleted, or that a lifecycle rule expired, out of the
//! catalogue.
//!
//! The removal is recorded even if the catalogue never had the object: the event of
//! its upload may still be on its way.
//!
//! The bucket must not be versioned. With versions, the removal of an old version
//! and that of the newest one look alike in a notification.

use std::process::ExitCode;

use lambda_runtime::Error;
use media::catalogue::{Catalogue, CatalogueError, ChangeKind, ObjectChange};
use media::dynamodb::{DynamoCatalogue, Tables};
use media::{MediaType, media_bucket};
use runtime::records::RecordsError;
use runtime::s3::{BucketName, Notification, ObjectEvent};
use runtime::{Aws, Environment, Service};
use tracing::info;

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = HandleObjectRemoved {
        bucket: media_bucket(&environment)?,
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// Beginnings of the names of this function's events.
const EVENTS: &[&str] = &["ObjectRemoved:", "LifecycleExpiration:"];

/// The function, with what it works on.
#[derive(Debug)]
pub struct HandleObjectRemoved<C> {
    /// The bucket that the catalogue is of.
    pub bucket: BucketName,
    /// Where changes are recorded.
    pub catalogue: C,
}

impl<C: Catalogue> HandleObjectRemoved<C> {
    /// Handles one event.
    pub async fn handle(&self, event: Notification) -> Result<(), RecordsError> {
        let object_removed = async |event| self.object_removed(event).await;
        event.for_each(&self.bucket, EVENTS, object_removed).await
    }

    async fn object_removed(&self, event: ObjectEvent) -> Result<(), CatalogueError> {
        let ObjectEvent {
            key: name,
            sequencer,
        } = event;
        if MediaType::of(&name).is_none() {
            info!(%name, "skipped: its extension is not that of an image or video");
            return Ok(());
        }
        let change = ObjectChange {
            name,
            sequencer,
            kind: ChangeKind::Removed,
        };
        let outcome = self.catalogue.record(&change).await?;
        info!(name = %change.name, sequencer = %change.sequencer, ?outcome, "removal handled");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::testing::MemoryCatalogue;
    use runtime::s3::{ObjectKey, Sequencer};
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/handle-object-removed.json");

    fn function() -> HandleObjectRemoved<MemoryCatalogue> {
        HandleObjectRemoved {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
        }
    }

    async fn store(catalogue: &MemoryCatalogue, name: &ObjectKey, sequencer: &str) {
        let change = ObjectChange {
            name: name.clone(),
            sequencer: Sequencer::parse(sequencer).unwrap(),
            kind: ChangeKind::Labelled {
                media_type: MediaType::of(name).unwrap(),
                labels: vec![],
            },
        };
        catalogue.record(&change).await.unwrap();
    }

    fn event(change: impl Fn(&mut Value)) -> Notification {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        change(&mut event["Records"][0]);
        serde_json::from_value(event).unwrap()
    }

    #[tokio::test]
    async fn images_and_videos_go_whether_deleted_or_expired() {
        for event_name in ["ObjectRemoved:Delete", "LifecycleExpiration:Delete"] {
            for name in ["a.jpg", "clip.mp4"] {
                let function = function();
                let key = ObjectKey::new(name).unwrap();
                store(&function.catalogue, &key, "00").await;
                let removal = event(|record| {
                    record["eventName"] = event_name.into();
                    record["s3"]["object"]["key"] = name.into();
                });
                function.handle(removal).await.unwrap();
                assert_eq!(function.catalogue.item(&key), None, "{event_name} {name}");
            }
        }
    }

    #[tokio::test]
    async fn the_sample_event_is_remembered() {
        let function = function();
        function.handle(event(|_| {})).await.unwrap();
        let key = ObjectKey::new("holiday photos/dog+ball.jpg").unwrap();
        store(&function.catalogue, &key, "0055AED6DCD90281E5").await;
        assert_eq!(function.catalogue.item(&key), None);
        store(&function.catalogue, &key, "0055AED6DCD90281E7").await;
        assert!(function.catalogue.item(&key).is_some());
    }

    #[tokio::test]
    async fn other_files_leave_no_trace() {
        let function = function();
        let removal = event(|record| record["s3"]["object"]["key"] = "notes.txt".into());
        function.handle(removal).await.unwrap();
        let key = ObjectKey::new("notes.txt").unwrap();
        assert_eq!(function.catalogue.state(&key).await.unwrap(), None);
    }
}
