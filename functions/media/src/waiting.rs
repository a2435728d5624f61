//! Objects that wait because the detector takes no more for now.
//!
//! Images and videos wait apart: a video waits until one of a few jobs has ended, and would hold up
//! images, which wait for a second.

use std::fmt;
use std::future::Future;

use runtime::records::RecordFailure;
use runtime::s3::{KeyError, ObjectEvent, ObjectKey, Sequencer, SequencerError};
use serde::{Deserialize, Serialize};

use crate::media_type::MediaType;

/// An object that waits, as the line holds it. The key is the raw one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingObject {
    key: String,
    sequencer: String,
}

/// A text in the line that names no change of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoObject {
    /// Its key cannot be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its sequencer cannot be one.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
}

impl RecordFailure for NoObject {}

impl From<&ObjectEvent> for WaitingObject {
    fn from(event: &ObjectEvent) -> Self {
        Self {
            key: event.key.to_string(),
            sequencer: event.sequencer.to_string(),
        }
    }
}

impl TryFrom<WaitingObject> for ObjectEvent {
    type Error = NoObject;

    fn try_from(object: WaitingObject) -> Result<Self, NoObject> {
        Ok(Self {
            key: ObjectKey::new(object.key)?,
            sequencer: Sequencer::parse(&object.sequencer)?,
        })
    }
}

/// Why an object does not wait. Its event must not be lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not send {name:?} to the queue of waiting objects: {reason}")]
pub struct WaitError {
    name: String,
    reason: String,
}

impl WaitError {
    /// `event`'s object does not wait, for this reason.
    pub fn of(event: &ObjectEvent, reason: impl fmt::Display) -> Self {
        Self {
            name: event.key.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl RecordFailure for WaitError {}

/// Where objects wait.
pub trait WaitingLine {
    /// Has the change of an object wait. It comes back later, at least once.
    fn wait(
        &self,
        media_type: MediaType,
        event: &ObjectEvent,
    ) -> impl Future<Output = Result<(), WaitError>>;
}
