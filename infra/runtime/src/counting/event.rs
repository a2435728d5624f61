//! What a counting function is invoked with, and what it answers.

use serde::{Deserialize, Serialize};

use crate::stream::{StreamEvent, StreamResponse};

/// What a counting function is invoked with.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum CountEvent {
    /// By Lambda, with records of the items' stream.
    Records(StreamEvent),
    /// By hand, to look at every item.
    Recount(Recount),
}

/// Goes on with looking at every item. `{"recount": {}}` begins.
#[derive(Debug, Clone, Deserialize)]
pub struct Recount {
    /// Where to go on.
    pub recount: Place,
}

/// How far a recount is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Whether all items were looked at, and the ledger's entries are next: of items that are gone.
    pub in_ledger: bool,
    /// The key, as a text, after which to go on.
    pub after: Option<String>,
}

/// What a counting function answers.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum CountResponse {
    /// To records.
    Records(StreamResponse),
    /// To a recount.
    Recount {
        /// How many items were looked at.
        looked_at: usize,
        /// Where to go on. `None` if all were looked at.
        recount: Option<Place>,
    },
}
