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
