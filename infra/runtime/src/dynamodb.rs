//! Amazon DynamoDB: what a function needs that keeps derived data in tables.
//!
//! Events come late, twice and out of order, and a function may be killed between any two calls.
//! So whoever derives data from them writes on a condition, and what belongs together in one
//! transaction. A condition that does not hold is not an error: [`Outcome::ConditionFailed`] says that
//! someone else, or an earlier delivery of the same event, has been there first.
//!
//! - [`client`]: a client with timeouts.
//! - [`transact_write`]: several writes or none, tried again after conflicts.
//! - [`outcome`]: of one write on a condition; [`LostAnswers`]: of one that must not be repeated.
//! - [`scan_page`], [`query_page`]: a page of a listing, which reads no more than a bound;
//!   [`PageKey`]: where the next one starts.
//!
//! ```no_run
//! use aws_sdk_dynamodb::Client;
//! use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
//! use runtime::dynamodb::{Outcome, text, transact_write};
//!
//! /// Stores the report of an order, unless the change, or a later one, is reported already.
//! async fn report(client: &Client, order: &str, change: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let state = Put::builder()
//!         .table_name("states")
//!         .item("order", text(order))
//!         .item("change", text(change))
//!         .condition_expression("attribute_not_exists(#change) OR #change < :change")
//!         .expression_attribute_names("#change", "change")
//!         .expression_attribute_values(":change", text(change))
//!         .build()?;
//!     let report = Put::builder()
//!         .table_name("reports")
//!         .item("order", text(order))
//!         .build()?;
//!     let writes = [state, report].map(|put| TransactWriteItem::builder().put(put).build());
//!     match transact_write(client, &writes).await? {
//!         Outcome::Written => println!("reported"),
//!         Outcome::ConditionFailed => println!("superseded"),
//!     }
//!     Ok(())
//! }
//! ```

mod attribute;
mod condition;
mod page;
mod transaction;

use aws_sdk_dynamodb::Client;

use crate::aws::{Aws, Service};

pub use attribute::{Attributes, text};
pub use condition::{LostAnswers, Outcome, outcome};
pub use page::{MAX_SCANNED_PAGES, Page, PageKey, query_page, scan_page};
pub use transaction::transact_write;

/// A client of DynamoDB. An attempt of a call has 3 s, all of them have 10 s.
pub fn client(aws: &Aws) -> Client {
    Client::new(&aws.config_with_timeouts(Service::DYNAMODB))
}
