//! What went wrong how often.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::kind::FaultKind;
use super::orders::Orders;
use super::seed::Seed;
use super::shares::Shares;

/// How often something could have gone wrong, and how often it was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Figure {
    /// Calls, events, batches or invocations while faults were on. Of what was ordered, as many as were made.
    pub opportunities: u64,
    /// Those of them that the fault happened to.
    pub injected: u64,
}

impl Figure {
    /// Counts an opportunity.
    pub(super) fn count(&mut self, is_injected: bool) {
        self.opportunities += 1;
        self.injected += u64::from(is_injected);
    }
}

/// What was injected so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The number to replay it with.
    pub seed: Seed,
    /// Whether faults are still made by seed and shares.
    pub on: bool,
    /// How much is to go wrong.
    pub shares: Shares,
    /// What is ordered, and still to happen.
    pub orders: Orders,
    /// Events and batches that wait for their late delivery.
    pub held_back: usize,
    /// What was injected, by kind. A kind that had no opportunity is missing.
    pub faults: BTreeMap<FaultKind, Figure>,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "seed {}", self.seed)?;
        for (
            kind,
            Figure {
                opportunities,
                injected,
            },
        ) in &self.faults
        {
            write!(formatter, "\n{kind:28} {injected:>7} of {opportunities:>7}")?;
        }
        Ok(())
    }
}
