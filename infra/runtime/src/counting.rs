//! Counts that follow a table: how many items, or how much, of each kind.
//!
//! The obvious way is to add one to a counter for each record of the table's stream. But a stream
//! delivers at least once: a batch whose answer got lost, or that failed at its last record, comes
//! again, and is counted again. Nothing fails, and nothing shows it.
//!
//! # The rule
//! Beside the counters, a _ledger_ keeps what each item adds to them. A record is only the occasion
//! to look. For each, [`settle`]
//!
//! 1. reads the item's entry in the ledger, and then
//! 2. the item as it is now, and what it is to add;
//! 3. writes the entry anew, with the next version, and adds the difference to the counters, in one
//!    transaction: on the condition that the entry has the version that was read. If it has not,
//!    all of it is done again.
//!
//! # Why no interleaving goes wrong
//! Each counter is the sum of what the ledger says of it, because the two move in one transaction,
//! and by what the entry had when it was read. It remains that the ledger ends as the items do.
//! Reads are consistent. Assume that an item does not change any more, and that every record of it
//! was handled. Whoever handled the record of the last change has read the item after it, and has
//! written the entry. If that was the last write of the entry, the entry is right. If not, who wrote
//! it last had read a later version, or its condition would have failed. So it read the item later
//! still, after the last change, and the entry is right as well.
//!
//! Nothing in this depends on the order of records, on how often or in which batches they come, or
//! on whether an invocation ends: one that is killed has written or has not. It rests on the version:
//! each record writes the entry, also where nothing is to be added, so that whoever has read an older
//! one cannot write any more. An item that is gone leaves its version in the ledger for 30 days,
//! longer than any record or message of a failure queue waits.
//!
//! # What was there before
//! [`Counts::handle`] also takes `{"recount": {}}`. It looks at every item, and at every entry of the
//! ledger, by the same rule, so records may come meanwhile. It works for some seconds and answers
//! where it is: the answer is the event that goes on from there, until `recount` in it is `null`.
//! Whatever it was in the middle of when it was ended is done again or not needed. It is how counts
//! begin, and how they are mended after records were lost.
//!
//! # What it costs
//! For each record, two consistent reads; and a transaction, which is charged twice, of the entry and
//! of each counter that changes. A record that changes no counter costs one write of the entry. An
//! item changes at most 99 counters at a time, because a transaction has at most 100 writes. A
//! counter is one item: it takes about 500 changes a second, and who meets another's transaction
//! waits and tries again.
//!
//! # Example
//! The orders of each photo. The manifest declares a table for the ledger and one for the counters:
//!
//! ```text
//! let ledger = app.table("ledger", "item").time_to_live("expires_at").variable("LEDGER_TABLE_NAME");
//! let counts = app.table("counts", "counter").variable("COUNTS_TABLE_NAME");
//! app.function("count-orders")
//!     .trigger(orders.item_changes([Insert, Modify, Remove]))
//!     .grant(orders.allow([GetItem, Scan]))
//!     .grant(ledger.allow([GetItem, PutItem, Scan]))
//!     .grant(counts.allow([UpdateItem]));
//! ```
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use runtime::counting::{Contribution, Counts};
//! use runtime::dynamodb::{Attributes, PageKey};
//! use runtime::{Aws, Environment};
//!
//! fn main() -> ExitCode {
//!     runtime::run(&[env!("CARGO_CRATE_NAME")], start())
//! }
//!
//! async fn start() -> Result<(), lambda_runtime::Error> {
//!     let environment = Environment::of_process();
//!     let counts = Counts {
//!         client: runtime::dynamodb::client(&Aws::new(&environment)?),
//!         items: environment.require("ORDERS_TABLE_NAME")?,
//!         key: PageKey(&["id"]),
//!         contribution,
//!         ledger: environment.require("LEDGER_TABLE_NAME")?,
//!         counters: environment.require("COUNTS_TABLE_NAME")?,
//!     };
//!     runtime::serve(async |event| counts.handle(event).await).await
//! }
//!
//! /// An order counts for its photo.
//! fn contribution(order: &Attributes) -> Result<Contribution, String> {
//!     let photo = order.get("photo").ok_or("the order has no photo")?;
//!     let photo = photo.as_s().map_err(|_| "the photo is not a string")?;
//!     Ok(Contribution::from([(photo.clone(), 1)]))
//! }
//! ```

mod event;
mod rule;
mod tables;

#[cfg(test)]
mod tests;

pub use event::{CountEvent, CountResponse, Place, Recount};
pub use rule::{Contribution, CountError, Entry, Ledger, settle};
pub use tables::Counts;
