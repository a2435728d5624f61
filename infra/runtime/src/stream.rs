//! Records of a DynamoDB table's stream, as Lambda hands them to a function.
//!
//! Lambda reads a shard in order and delivers a batch of its records until the function has
//! handled it. A function that cannot handle a record answers with its sequence number, and
//! Lambda delivers again from that record on
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).
//! So a batch is handled in order and no further than its first failure: what comes after is
//! delivered again whatever became of it. The event source mapping must have the function
//! response type `ReportBatchItemFailures`.
//!
//! A record stays as it came until its turn. One that cannot be read is then a failed record
//! like any other, and those before it are handled.
//!
//! Of a record, only what a function asks for is read: an attribute that it does not need may
//! be of any type, and what Lambda tells beside the change may lack or be odd. What an item is,
//! the function knows.
//!
//! Items may be personal data, and so may be their keys. Of a record, the log tells the event id,
//! the event name and the sequence number. Errors tell names and types of attributes, never
//! values.
//!
//! ```
//! use runtime::stream::{
//!     EventName, RecordError, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord,
//! };
//!
//! async fn handle(event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
//!     event.handle_in_order(report).await
//! }
//!
//! /// Whether the order was paid by this change.
//! async fn report(record: &StreamRecord) -> Result<bool, RecordError> {
//!     if record.event() != EventName::Modify {
//!         return Ok(false);
//!     }
//!     let (old, new) = (record.old_image()?, record.new_image()?);
//!     Ok(old.text("status")? != Some("paid") && new.text("status")? == Some("paid"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let event = serde_json::json!({"Records": [
//!     {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "1", "Keys": {}}},
//!     {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "2", "Keys": {}}},
//! ]});
//! let response = handle(serde_json::from_value(event).unwrap()).await.unwrap();
//! // The second has no images.
//! let failed = response.batch_item_failures[0].item_identifier.as_deref();
//! assert_eq!(failed, Some("2"));
//! # }
//! ```

mod batch;
mod record;
#[cfg(test)]
mod sample;

pub use batch::{NumberedRecord, StreamEvent, StreamResponse, UnnumberedRecord};
pub use record::{EventName, Image, RecordError, StreamRecord};
