//! What can go wrong.

use std::fmt;

use serde::Serialize;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A service refuses a call because there are too many.
    CallThrottled,
    /// A service answers 500 or 503, and has done nothing.
    CallFailed,
    /// A service answers 500 or 503, but has done what was asked.
    AnswerLost,
    /// The connection ends before a service has done anything.
    CallDropped,
    /// The connection ends after a service has done what was asked.
    AnswerDropped,
    /// An asynchronous event is delivered late.
    EventLate,
    /// An asynchronous event is delivered twice.
    EventTwice,
    /// A batch of stream records is delivered late.
    BatchLate,
    /// A batch of stream records is delivered again, when later ones may have been.
    BatchTwice,
    /// The message that a video job has ended is lost.
    CompletionLost,
    /// A function's process is killed while it handles an event.
    FunctionKilled,
    /// Somebody has ordered a call to fail.
    OrderedCallFailed,
    /// Somebody has ordered a function's process to be killed.
    OrderedKill,
    /// Somebody has ordered the messages of a queue to come late.
    OrderedMessageLate,
}

impl FaultKind {
    /// Whether somebody orders each of them. Seed and shares decide about the others.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::OrderedCallFailed | Self::OrderedKill | Self::OrderedMessageLate
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::CallThrottled => "calls throttled",
            Self::CallFailed => "calls answered by 5xx",
            Self::AnswerLost => "calls done, answered by 5xx",
            Self::CallDropped => "calls cut off",
            Self::AnswerDropped => "calls done, cut off",
            Self::EventLate => "events late",
            Self::EventTwice => "events twice",
            Self::BatchLate => "stream batches late",
            Self::BatchTwice => "stream batches twice",
            Self::CompletionLost => "completions of jobs lost",
            Self::FunctionKilled => "functions killed",
            Self::OrderedCallFailed => "calls failed (scheduled)",
            Self::OrderedKill => "processes killed (scheduled)",
            Self::OrderedMessageLate => "messages late (scheduled)",
        })
    }
}
