//! How much is to go wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::{Effect, Fault};
use super::kind::FaultKind;

/// How late an event or batch is at most, and how long after the first delivery the second
/// comes at most.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(2);

/// When a process is killed at the latest after it was handed the event. Short times are
/// likelier: each order of magnitude from a millisecond on is as likely as the next. An
/// invocation that ends earlier is killed when it has done its work and answers.
pub(super) const MAX_LIFE: Duration = Duration::from_secs(1);

/// What happens to those calls that fail, by its share of them.
const CALL_FAULTS: [(f64, FaultKind, Fault); 7] = [
    (0.4, FaultKind::CallThrottled, Fault::Throttled),
    (
        0.1,
        FaultKind::CallFailed,
        Fault::InternalError(Effect::Missing),
    ),
    (
        0.1,
        FaultKind::CallFailed,
        Fault::Unavailable(Effect::Missing),
    ),
    (
        0.1,
        FaultKind::AnswerLost,
        Fault::InternalError(Effect::Done),
    ),
    (0.1, FaultKind::AnswerLost, Fault::Unavailable(Effect::Done)),
    (
        0.1,
        FaultKind::CallDropped,
        Fault::Disconnected(Effect::Missing),
    ),
    (
        0.1,
        FaultKind::AnswerDropped,
        Fault::Disconnected(Effect::Done),
    ),
];

/// The share of each kind of fault, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Of the calls that functions make to AWS services, those that fail. By default, the SDK tries a call three times,
    /// so of 10 %, one in a thousand fails in the end, and Lambda tries its event again.
    pub calls: f64,
    /// Of events and batches, those that are delivered late.
    pub late: f64,
    /// Of events and batches, those that are delivered twice.
    pub twice: f64,
    /// Of invocations, those whose process is killed.
    pub killed: f64,
    /// Of video jobs, those of whose end nobody is told. Jobs are few.
    pub completions: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            calls: 0.1,
            late: 0.2,
            twice: 0.1,
            killed: 0.02,
            completions: 0.5,
        }
    }
}

impl Shares {
    /// Whether each is from 0 to 1.
    #[must_use]
    pub fn are_shares(&self) -> bool {
        let Self {
            calls,
            late,
            twice,
            killed,
            completions,
        } = self;
        let shares = [calls, late, twice, killed, completions];
        shares.iter().all(|share| (0.0..=1.0).contains(*share))
    }

    /// What happens to a call with this fraction.
    pub(super) fn of_call(&self, fraction: f64) -> Option<(FaultKind, Fault)> {
        let mut below = 0.0;
        let mut faults = CALL_FAULTS.into_iter();
        let chosen = faults.find(|(share, ..)| {
            below += share * self.calls;
            fraction < below
        });
        chosen.map(|(_, kind, fault)| (kind, fault))
    }
}
