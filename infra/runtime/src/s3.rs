//! Amazon S3: its event notifications, and objects.
//!
//! S3 delivers events at least once and in any order. Each has a [`Sequencer`], by which a
//! function can tell which of two events of the same object came first.
//!
//! ```
//! use runtime::records::{RecordFailure, RecordsError};
//! use runtime::s3::{BucketName, Notification, ObjectEvent};
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("could not list the report")]
//! struct ListError;
//!
//! impl RecordFailure for ListError {}
//!
//! async fn handle(event: Notification) -> Result<(), RecordsError> {
//!     let bucket = BucketName::new("reports");
//!     let list = async |event: ObjectEvent| {
//!         println!("{} was stored, change {}", event.key, event.sequencer);
//!         Ok::<_, ListError>(())
//!     };
//!     event.for_each(&bucket, &["ObjectCreated:"], list).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // S3 sends this when a notification is configured.
//! let test = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "reports"}"#;
//! assert_eq!(handle(serde_json::from_str(test).unwrap()).await, Ok(()));
//! assert_eq!(
//!     handle(serde_json::from_str("{}").unwrap()).await,
//!     Err(RecordsError::NoRecords)
//! );
//! # }
//! ```

mod derived;
mod key;
mod notification;
mod object;
mod presigned;
mod sequencer;

pub use derived::DerivedKey;
pub use key::{BucketName, KeyError, MAX_KEY_BYTES, ObjectKey};
pub use notification::{Notification, ObjectEvent, RecordError};
pub use object::{client, exists, put_if_absent};
pub use presigned::{Form, LIFETIME, PresignError, Presigner};
pub use sequencer::{Sequencer, SequencerError};
