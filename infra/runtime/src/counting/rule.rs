//! The rule by which counters follow items.

use std::collections::BTreeMap;
use std::future::Future;

use crate::dynamodb::Outcome;
use crate::service_error::ServiceError;
use crate::stream::RecordError;

/// What an item adds to each counter, by the counters' names. What it adds nothing to need not be
/// named.
pub type Contribution = BTreeMap<String, i64>;

/// How often an entry may be written by others while an item is looked at. One that is written all
/// the time is left to the next delivery.
const ROUNDS: usize = 10;

/// What the ledger says of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the item has added.
    pub contribution: Contribution,
    /// How often the entry was written. 0 if it never was.
    pub version: u64,
}

/// Items, ledger and counters, as the rule needs them. An item is known by the text of its key.
pub trait Ledger {
    /// The item's entry. Every write that ended before is seen.
    fn entry(&self, item: &str) -> impl Future<Output = Result<Entry, CountError>>;

    /// What the item is to add as it is now: nothing if there is no such item. Every write that
    /// ended before is seen.
    fn due(&self, item: &str) -> impl Future<Output = Result<Contribution, CountError>>;

    /// Writes the entry with `due` and the next version, and adds what `due` is more than `entry`
    /// to the counters, all or nothing: if the entry still has the version of `entry`.
    fn book(
        &self,
        item: &str,
        entry: &Entry,
        due: &Contribution,
    ) -> impl Future<Output = Result<Outcome, CountError>>;
}

/// Why an item is not known to be counted. Trying again later may help, but for what cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// The record is none.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The key is not the one that the function was told.
    #[error("its key is not {0:?}")]
    Key(&'static [&'static str]),
    /// The function does not know what the item is to add.
    #[error("could not determine what the item adds: {0}")]
    Contribution(String),
    /// A table could not be read or written.
    #[error("could not {action}: {reason}")]
    Table {
        /// What was tried, as in "read the item".
        action: &'static str,
        /// What DynamoDB said.
        reason: ServiceError,
    },
    /// The entry in the ledger was not written by the rule.
    #[error("the item's entry in the ledger is damaged: its {0} is missing or of another type")]
    Entry(&'static str),
    /// A transaction has at most 100 writes.
    #[error("the item changes {0} counters at a time, and DynamoDB takes 99 at most")]
    TooManyCounters(usize),
    /// Others write the entry all the time.
    #[error("the item's entry was written by another in each of {ROUNDS} rounds")]
    Unsettled,
}

/// Counts an item as it is now, by the rule of the [module](super). What it adds.
pub async fn settle(ledger: &impl Ledger, item: &str) -> Result<Contribution, CountError> {
    for _ in 0..ROUNDS {
        // In this order: who reads an entry and then the item knows the item as well as whoever
        // wrote the entry.
        let entry = ledger.entry(item).await?;
        let due = due(ledger, item).await?;
        if ledger.book(item, &entry, &due).await? == Outcome::Written {
            return Ok(due);
        }
    }
    Err(CountError::Unsettled)
}

/// Counts an item that no record is about. One that is counted as it is now needs no new version,
/// because nothing waits for it.
pub(super) async fn recount(ledger: &impl Ledger, item: &str) -> Result<(), CountError> {
    let entry = ledger.entry(item).await?;
    if entry.contribution == due(ledger, item).await? {
        return Ok(());
    }
    settle(ledger, item).await.map(drop)
}

async fn due(ledger: &impl Ledger, item: &str) -> Result<Contribution, CountError> {
    let mut due = ledger.due(item).await?;
    due.retain(|_, adds| *adds != 0);
    Ok(due)
}

/// What is to be added to each counter that changes.
pub(super) fn difference(from: &Contribution, to: &Contribution) -> Contribution {
    let mut difference = to.clone();
    for (counter, adds) in from {
        *difference.entry(counter.clone()).or_default() -= adds;
    }
    difference.retain(|_, adds| *adds != 0);
    difference
}
