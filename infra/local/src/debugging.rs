//! A function whose processes wait for a debugger (`debugging.py`).

use crate::Emulator;
use crate::inquiry::Inquiry;

/// Knows which process of the debugged function waits for a debugger.
#[derive(Debug, Clone)]
pub struct Debugging {
    inquiry: Inquiry,
    url: String,
}

impl Debugging {
    pub(crate) fn of(emulator: &Emulator) -> Self {
        Self {
            inquiry: Inquiry::new(emulator.keys()),
            url: format!("{}/_stage/debugging", emulator.endpoint()),
        }
    }

    /// The id of the process that waits now, if one does. An emulator that does not answer has
    /// none.
    pub async fn waiting_process(&self) -> Option<u32> {
        let waiting: Vec<u32> = self.inquiry.get(&self.url).await.unwrap_or_default();
        waiting.first().copied()
    }
}
