//! What came out of a run.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::check::{Check, Difference};
use crate::ownership::Left;

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The stage.
    pub stage: String,
    /// The part of names that is this run's alone.
    pub run: String,
    /// Whether the run came to its end and no check has failed.
    pub passed: bool,
    /// Each check and its outcome.
    pub checks: Vec<Verdict>,
    /// What the run made and could not delete.
    pub left: Vec<Left>,
}

/// What came out of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The check.
    #[serde(flatten)]
    pub check: Check,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What comes out of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The stage does what the app promises.
    Passed {
        /// How long it took to see that.
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
        /// What was seen.
        seen: String,
    },
    /// It does something else.
    Failed {
        /// How long it took to see that.
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
        /// What.
        #[serde(flatten)]
        difference: Difference,
    },
    /// Nothing is known.
    NotChecked {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Whether the check has failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether the check has passed.
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// What happens in a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A check has begun.
    Started(Check),
    /// A check has ended.
    Ended(Verdict),
}
