use std::cell::RefCell;
use std::collections::BTreeSet;

use runtime::s3::ObjectEvent;

use crate::media_type::MediaType;
use crate::waiting::{WaitError, WaitingLine};

/// A waiting line in memory.
#[derive(Debug, Default)]
pub struct MemoryLine {
    waiting: RefCell<Vec<ObjectEvent>>,
    refused: RefCell<BTreeSet<String>>,
}

impl MemoryLine {
    /// Takes out what waits, in order.
    pub fn take(&self) -> Vec<ObjectEvent> {
        self.waiting.take()
    }

    /// Has no object with this key wait.
    pub fn refuse(&self, key: &str) {
        self.refused.borrow_mut().insert(key.to_owned());
    }
}

impl WaitingLine for MemoryLine {
    async fn wait(&self, _media_type: MediaType, event: &ObjectEvent) -> Result<(), WaitError> {
        if self.refused.borrow().contains(event.key.as_str()) {
            return Err(WaitError::of(event, "no answer"));
        }
        self.waiting.borrow_mut().push(event.clone());
        Ok(())
    }
}
