//! The catalogue of media files, and the rule that keeps it in step with the bucket.
//!
//! # The problem
//! S3 delivers events at least once and in any order, and Lambda retries an event
//! for hours. A late "created" must not bring a deleted item back, and an old one
//! must not replace the labels of a newer object.
//!
//! # The rule
//! Beside the item of a key, [`Catalogue`] keeps the key's [`State`]: the sequencer
//! of the last change recorded. Item and state move together, in one transaction,
//! and only when the change's sequencer is greater than the recorded one. So the
//! state only moves forward, and the item is always the one that belongs to the
//! state. A change that comes late or twice is [`Outcome::Superseded`]: nothing is
//! left to do for it, which is not an error.
//!
//! A deletion leaves a state behind (a tombstone), or the event of an earlier
//! upload could not be told from that of a new one. It expires after
//! [`TOMBSTONE_LIFETIME`]; nothing is delivered that late.
//!
//! # Why labels may be read late
//! A handler labels the object that is in the bucket when it looks, which may be a
//! newer one than its event was about. That is harmless. S3 reads are strongly
//! consistent, so the content is that of the event or of a later change; if later,
//! the later change has an event of its own with a greater sequencer, which is
//! either recorded already (and the write is superseded) or will be.
//!
//! The same holds for a video, whose labels come minutes later and in another
//! function: its job is started after the event, looks after that, and carries the
//! event's sequencer to its end. Until then nothing is recorded, so the
//! item, if there is one, is that of the object before. A state of "being
//! labelled" would tell no more than the missing item does, and would have to be
//! of lesser order than the result with the same sequencer.
//!
//! # By hand
//! `detect-labels` is invoked with a key and has no sequencer, so it cannot take
//! part in the order. [`Catalogue::save`] writes the item only if the state is still the
//! one that was read *before* the object was looked at, and leaves the state as it
//! is. Let `r` be the read of the state, `d` the look at the object, `w` the write;
//! `r` comes before `d`, `d` before `w`. Take any change `c` of the object:
//!
//! - `c` before `d`: the labels are those of `c` or of a later change, by the
//!   consistency of S3. For a deletion, `d` finds no object, and there is no `w`.
//! - `c` after `d`, recorded before `w`: it moved the state after `r`, so the write
//!   is refused, and the caller starts again from `r`.
//! - `c` after `d`, recorded after `w`: recording it replaces or deletes the item.
//!
//! So in the end the item is never that of a deleted or replaced object. The state
//! may have the sequencer of an event before the labels' content; that only means
//! that the event of that content, when it comes, is recorded again.
//!
//! A video's job that someone starts by hand ends with a message, and nobody read
//! the state before it looked. Its labels may be those of an object that was replaced
//! and whose successor is recorded, and no read can tell. But there is one
//! state that was surely the same before: none. With `None` for the state seen, the
//! argument above holds, as a key that has a state never goes back to none while an
//! event of it can be on its way. So such labels are stored for a key of which no
//! change is recorded: an object older than the app, or one whose own job has not
//! ended. Otherwise the catalogue holds what the object's own job saw.

use std::future::Future;
use std::time::Duration;

use runtime::records::RecordFailure;
use runtime::s3::{ObjectKey, Sequencer};
use tracing::{info, warn};

use crate::detector::{DetectError, Failure};
use crate::media_type::MediaType;

/// How long a deletion is remembered: longer than any event can be on its way.
/// Lambda retries an asynchronous event for 6 hours, the failure queue keeps it for
/// 14 days; the rest is margin for redriving it.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An item of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaItem {
    /// Key of the object.
    pub name: ObjectKey,
    /// Kind of file.
    pub media_type: MediaType,
    /// Names of the labels, distinct, in the detector's order.
    pub labels: Vec<String>,
}

/// What an event says of an object, with its place in the object's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChange {
    /// Key of the object.
    pub name: ObjectKey,
    /// Place among the changes of this key.
    pub sequencer: Sequencer,
    /// What became of the object.
    pub kind: ChangeKind,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was stored, and labelled: the item is stored or replaced.
    Labelled {
        /// Kind of file.
        media_type: MediaType,
        /// Names of the labels.
        labels: Vec<String>,
    },
    /// It was stored, and can never be labelled. The reason is recorded, and the
    /// item, if there is one, goes: its labels are those of an older object.
    Failed(Failure),
    /// It was deleted, and so is its item.
    Removed,
}

/// The last change recorded for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Place of that change.
    pub sequencer: Sequencer,
    /// Why the object could not be labelled, if that was the outcome.
    pub failure: Option<Failure>,
}

impl State {
    /// Whether nothing is left to do for the change at `sequencer`: it, or one that
    /// came after it, is recorded.
    pub fn supersedes(&self, sequencer: &Sequencer) -> bool {
        self.sequencer >= *sequencer
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The catalogue now holds the change.
    Recorded,
    /// The catalogue holds a later state, and was left as it is.
    Superseded,
}

/// Why the catalogue could not be read or written. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {action} {name:?} in the catalogue: {reason}")]
pub struct CatalogueError {
    /// What was tried, as in "record".
    pub action: &'static str,
    /// Which item.
    pub name: String,
    /// What the storage said.
    pub reason: String,
}

/// The ordered catalogue. See the [module](self) for the rule its writers rely on.
pub trait Catalogue {
    /// The state of a key, as of now: every write that ended before is seen.
    fn state(
        &self,
        name: &ObjectKey,
    ) -> impl Future<Output = Result<Option<State>, CatalogueError>>;

    /// Records a change, unless one with the same or a greater sequencer is recorded.
    /// Moves the item and the state together or not at all.
    fn record(
        &self,
        change: &ObjectChange,
    ) -> impl Future<Output = Result<Outcome, CatalogueError>>;

    /// Stores an item that comes from no event, unless the state of its key has
    /// changed since `seen` was read. The state stays as it is.
    fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> impl Future<Output = Result<Outcome, CatalogueError>>;
}

/// Why a detection is not recorded yet. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The job has not ended.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The catalogue could not be read or written.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl RecordFailure for CatalogueError {}

impl RecordFailure for RecordError {
    fn error_type(&self) -> Option<&str> {
        match self {
            Self::Detect(DetectError::Throttled(Failure { code, .. })) => Some(code),
            Self::Detect(_) | Self::Catalogue(_) => None,
        }
    }
}

/// Records what was seen of the object that the change at `sequencer` stored, or why
/// nothing ever will be. An error that another try may mend is returned.
pub async fn record_detection(
    catalogue: &impl Catalogue,
    name: ObjectKey,
    sequencer: Sequencer,
    media_type: MediaType,
    detected: Result<Vec<String>, DetectError>,
) -> Result<(), RecordError> {
    let kind = match detected {
        Ok(labels) => ChangeKind::Labelled { media_type, labels },
        Err(DetectError::Permanent(failure)) => {
            let (code, message) = (&failure.code, &failure.message);
            warn!(%name, %sequencer, code, reason = message, "cannot be labelled");
            ChangeKind::Failed(failure)
        }
        Err(error) => return Err(error.into()),
    };
    let change = ObjectChange {
        name,
        sequencer,
        kind,
    };
    let outcome = catalogue.record(&change).await?;
    let (name, sequencer) = (&change.name, &change.sequencer);
    info!(%name, %sequencer, %media_type, ?outcome, "detection handled");
    Ok(())
}
