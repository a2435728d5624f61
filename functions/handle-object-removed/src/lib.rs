//! Takes an object that was deleted, or that a lifecycle rule expired, out of the
//! catalogue.
//!
//! The removal is recorded even if the catalogue never had the object: the event of
//! its upload may still be on its way.
//!
//! The bucket must not be versioned. With versions, the removal of an old version
//! and that of the newest one look alike in a notification.

use media::MediaType;
use media::catalogue::{Catalogue, CatalogueError, ChangeKind, ObjectChange};
use media::key::BucketName;
use media::notification::{Notification, NotificationError, ObjectEvent};
use tracing::info;

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
    pub async fn handle(&self, event: Notification) -> Result<(), NotificationError> {
        let object_removed = async |event| self.object_removed(event).await;
        event.for_each(&self.bucket, EVENTS, object_removed).await
    }

    async fn object_removed(&self, event: ObjectEvent) -> Result<(), CatalogueError> {
        let ObjectEvent {
            key: name,
            sequencer,
        } = event;
        if MediaType::of(&name).is_none() {
            info!(%name, "skipped: its extension is that of no image or video");
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
