//! Amazon SQS: batches of messages that Lambda hands to a function, and sending.
//!
//! Lambda receives messages, invokes the function with a batch of them, and deletes those that the
//! function does not report as failed. SQS shows a failed message again when its visibility timeout
//! is over, and moves it to the failure queue when it was received too often
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>). The event source
//! mapping must have the function response type `ReportBatchItemFailures`.
//!
//! SQS delivers at least once, a FIFO queue as well, so a handler must take a message that comes
//! twice.
//!
//! ```
//! use runtime::records::RecordFailure;
//! use runtime::sqs::{SqsEvent, SqsResponse, UnidentifiedMessage};
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! struct Parcel {
//!     order: String,
//!     grams: u32,
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the parcel of {0:?} weighs nothing")]
//! struct Empty(String);
//!
//! impl RecordFailure for Empty {}
//!
//! async fn handle(event: SqsEvent) -> Result<SqsResponse, UnidentifiedMessage> {
//!     let pack = async |parcel: Parcel| {
//!         if parcel.grams == 0 {
//!             return Err(Empty(parcel.order));
//!         }
//!         Ok(())
//!     };
//!     event.for_each("a parcel", pack).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let event = serde_json::json!({"Records": [
//!     {"messageId": "a", "body": r#"{"order": "1", "grams": 500}"#},
//!     {"messageId": "b", "body": r#"{"order": "2", "grams": 0}"#},
//!     {"messageId": "c", "body": "hello"},
//! ]});
//! let response = handle(serde_json::from_value(event).unwrap()).await.unwrap();
//! assert_eq!(response.failed(), ["b", "c"]);
//! # }
//! ```
//!
//! [`Queue`] sends:
//!
//! ```
//! use std::time::Duration;
//!
//! use runtime::sqs::{NewMessage, Queue};
//! # use runtime::testing::Wire;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let wire = Wire::new([(200, json!({"MessageId": "a"}))]);
//! # let aws = wire.aws();
//! let parcels = Queue::new(&aws, "https://sqs.us-east-1.amazonaws.com/123456789012/parcels");
//! let parcel = NewMessage::json(&json!({"order": "1", "grams": 500}))?;
//! parcels.send(parcel.delay(Duration::from_secs(60))).await?;
//! # let (operation, body) = &wire.requests()[0];
//! # assert_eq!(operation, "AmazonSQS.SendMessage");
//! # assert_eq!(body["DelaySeconds"], 60);
//! # Ok(())
//! # }
//! ```

mod batch;
mod queue;

pub use batch::{SqsEvent, SqsResponse, UnexpectedMessage, UnidentifiedMessage};
pub use queue::{NewMessage, Queue, SendError};
