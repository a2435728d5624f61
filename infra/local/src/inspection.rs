//! What the emulator tells of its insides, for people to look at.

use serde::de::DeserializeOwned;

use crate::inquiry::Inquiry;
use crate::{Decision, Emulator, Error};

/// Looks into the emulator.
#[derive(Debug, Clone)]
pub struct Inspection {
    inquiry: Inquiry,
    endpoint: String,
}

impl Inspection {
    pub(crate) fn of(emulator: &Emulator) -> Self {
        Self {
            inquiry: Inquiry::new(emulator.keys()),
            endpoint: emulator.endpoint().to_owned(),
        }
    }

    /// The messages of the queue with this URL, in the order in which they were sent; none if there is no such queue. They
    /// are not received (`queues.py`): they do not count as such, and are hidden from nobody.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn messages<T: DeserializeOwned>(&self, queue_url: &str) -> Result<Vec<T>, Error> {
        let url = format!("{}/_stage/messages", self.endpoint);
        let messages = self.inquiry.post(&url, &queue_url.into()).await;
        messages.map_err(Error::NotTold)
    }

    /// What callers were allowed and denied.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn decisions(&self) -> Result<Vec<Decision>, Error> {
        let url = format!("{}/_stage/decisions", self.endpoint);
        self.inquiry.get(&url).await.map_err(Error::NotTold)
    }
}
