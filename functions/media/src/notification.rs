//! S3's event notifications.
//!
//! An event holds records, in practice one. Each is handled by itself: one that
//! fails does not keep the others from being handled, and afterwards the whole
//! event fails, so that Lambda delivers it again. Those that were handled the first
//! time are then superseded, which costs a read.

use std::fmt;

use aws_lambda_events::s3::S3EventRecord;
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use tracing::{error, info};

use crate::key::{BucketName, KeyError, ObjectKey};
use crate::sequencer::{Sequencer, SequencerError};

/// What S3 sends: records, or the test event of a newly configured notification.
#[derive(Debug, Deserialize)]
pub struct Notification {
    #[serde(rename = "Records", default)]
    records: Vec<S3EventRecord>,
    #[serde(rename = "Event")]
    event: Option<String>,
}

/// One change of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEvent {
    /// The raw key.
    pub key: ObjectKey,
    /// Place among the key's events.
    pub sequencer: Sequencer,
}

/// Why a record cannot be handled by this function. Nothing is skipped in silence: a record
/// that should not be here ends in the failure queue, where it is seen.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The notification is wired to the wrong function.
    #[error(
        "a {found:?} event came to a function for {expected:?} events: correct the bucket's notification configuration"
    )]
    WrongEvent {
        /// Event name in the record.
        found: String,
        /// Names that this function handles, by prefix.
        expected: &'static [&'static str],
    },
    /// The record is about another bucket.
    #[error("the record is about the bucket {found:?}, the catalogue about {expected:?}")]
    WrongBucket {
        /// Bucket in the record.
        found: String,
        /// The catalogue's bucket.
        expected: String,
    },
    /// The record lacks what every event of this kind has.
    #[error("the record has no {0}")]
    Missing(&'static str),
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The sequencer cannot be read.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
}

impl ObjectEvent {
    fn of(
        record: &S3EventRecord,
        bucket: &BucketName,
        expected: &'static [&'static str],
    ) -> Result<Self, RecordError> {
        let found = record.event_name.as_deref().unwrap_or_default();
        if !expected.iter().any(|prefix| found.starts_with(prefix)) {
            let found = found.into();
            return Err(RecordError::WrongEvent { found, expected });
        }
        let found = record.s3.bucket.name.as_deref().unwrap_or_default();
        if found != bucket.as_str() {
            return Err(RecordError::WrongBucket {
                found: found.into(),
                expected: bucket.as_str().into(),
            });
        }
        let object = &record.s3.object;
        let key = object.key.as_deref().ok_or(RecordError::Missing("key"))?;
        let sequencer = object.sequencer.as_deref();
        Ok(Self {
            key: ObjectKey::from_notification(key)?,
            sequencer: Sequencer::parse(sequencer.ok_or(RecordError::Missing("sequencer"))?)?,
        })
    }
}

/// Why a handler could not handle a record.
pub trait RecordFailure: fmt::Display {
    /// What the failure of the invocation is called, if it has a name that operators know, such
    /// as `ThrottlingException`.
    fn error_type(&self) -> Option<&str> {
        None
    }
}

/// Why an event is to be delivered again.
#[derive(Debug, PartialEq, Eq)]
pub enum NotificationError {
    /// These records failed. The others of the event were handled.
    Records {
        /// How many records the event had.
        total: usize,
        /// What went wrong with each of those that failed.
        failures: Vec<String>,
        /// What the failures are called, if all have the same name.
        error_type: Option<String>,
    },
    /// This is no event of the expected kind.
    NoRecords,
}

impl fmt::Display for NotificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records {
                total, failures, ..
            } => {
                let (failed, reasons) = (failures.len(), failures.join("; "));
                write!(f, "{failed} of {total} records failed: {reasons}")
            }
            Self::NoRecords => {
                f.write_str("the event has no \"Records\": send one as S3 or SNS does")
            }
        }
    }
}

impl std::error::Error for NotificationError {}

impl From<NotificationError> for Diagnostic {
    fn from(error: NotificationError) -> Self {
        let error_message = error.to_string();
        let error_type = match error {
            NotificationError::Records { error_type, .. } => {
                error_type.unwrap_or_else(|| "RecordsFailedError".into())
            }
            NotificationError::NoRecords => "InvalidEventError".into(),
        };
        Self {
            error_type,
            error_message,
        }
    }
}

impl Notification {
    /// Hands the change of every record to `handle`, one after the other in the
    /// event's order, and fails if one of them failed.
    ///
    /// `expected` are the beginnings of the event names that are `handle`'s.
    pub async fn for_each<E: RecordFailure>(
        self,
        bucket: &BucketName,
        expected: &'static [&'static str],
        handle: impl AsyncFn(ObjectEvent) -> Result<(), E>,
    ) -> Result<(), NotificationError> {
        if self.event.as_deref() == Some("s3:TestEvent") {
            info!("test event of a new bucket notification: nothing to do");
            return Ok(());
        }
        for_each_record(
            &self.records,
            |record| record.s3.object.key.as_deref().unwrap_or_default(),
            async |record| match ObjectEvent::of(record, bucket, expected) {
                Ok(event) => handle(event).await.map_err(Failed::from),
                Err(error) => Err(error.into()),
            },
        )
        .await
    }
}

impl RecordFailure for RecordError {}

/// A record that failed, for whatever reason.
pub(crate) struct Failed {
    reason: String,
    error_type: Option<String>,
}

impl<E: RecordFailure> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            reason: error.to_string(),
            error_type: error.error_type().map(Into::into),
        }
    }
}

/// Hands every record to `handle`, one after the other, and fails if one of them
/// failed. A failure is reported with what the record is about.
pub(crate) async fn for_each_record<R>(
    records: &[R],
    about: impl Fn(&R) -> &str,
    handle: impl AsyncFn(&R) -> Result<(), Failed>,
) -> Result<(), NotificationError> {
    if records.is_empty() {
        return Err(NotificationError::NoRecords);
    }
    let mut failures = Vec::new();
    let mut error_types = Vec::new();
    for record in records {
        if let Err(Failed { reason, error_type }) = handle(record).await {
            let about = about(record);
            error!(about, reason, "record failed");
            failures.push(format!("{about:?}: {reason}"));
            error_types.push(error_type);
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    error_types.dedup();
    Err(NotificationError::Records {
        total: records.len(),
        failures,
        error_type: match error_types.as_mut_slice() {
            [of_all] => of_all.take(),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/handle-object-created.json");

    async fn handled(event: Value) -> (Vec<ObjectEvent>, Result<(), NotificationError>) {
        let events = RefCell::new(Vec::new());
        let notification: Notification = serde_json::from_value(event).unwrap();
        let bucket = BucketName::new("amzn-s3-demo-bucket");
        let keep = async |event| {
            events.borrow_mut().push(event);
            Ok::<_, RecordError>(())
        };
        let result = notification
            .for_each(&bucket, &["ObjectCreated:"], keep)
            .await;
        (events.into_inner(), result)
    }

    fn sample(change: impl Fn(&mut Value)) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        change(&mut event["Records"][0]);
        event
    }

    #[tokio::test]
    async fn the_sample_event_is_read() {
        let (events, result) = handled(sample(|_| {})).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            events,
            [ObjectEvent {
                key: ObjectKey::new("holiday photos/dog+ball.jpg").unwrap(),
                sequencer: Sequencer::parse("0055AED6DCD90281E5").unwrap(),
            }]
        );
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_handled_fails_the_event() {
        for (field, value, told) in [
            (
                "/eventName",
                json!("ObjectRemoved:Delete"),
                "\"ObjectRemoved:Delete\" event came",
            ),
            (
                "/s3/bucket/name",
                json!("other"),
                "about the bucket \"other\"",
            ),
            ("/s3/object/sequencer", Value::Null, "no sequencer"),
            ("/s3/object/sequencer", json!("now"), "sequencer \"now\""),
            ("/s3/object/key", Value::Null, "no key"),
            ("/s3/object/key", json!("%FF.jpg"), "not decode to UTF-8"),
        ] {
            let event = sample(|record| *record.pointer_mut(field).unwrap() = value.clone());
            let (events, result) = handled(event).await;
            assert_eq!(events, []);
            let diagnostic = Diagnostic::from(result.unwrap_err());
            assert_eq!(diagnostic.error_type, "RecordsFailedError");
            assert!(
                diagnostic.error_message.contains(told),
                "{}",
                diagnostic.error_message
            );
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Named(Option<&'static str>);

    impl RecordFailure for Named {
        fn error_type(&self) -> Option<&str> {
            self.0
        }
    }

    #[tokio::test]
    async fn an_invocation_fails_by_the_name_that_all_failures_have() {
        for (names, expected) in [
            (vec![Some("ThrottlingException")], "ThrottlingException"),
            (vec![Some("ThrottlingException"); 2], "ThrottlingException"),
            (vec![Some("A"), Some("B")], "RecordsFailedError"),
            (vec![Some("A"), None], "RecordsFailedError"),
            (vec![None], "RecordsFailedError"),
        ] {
            let fail = async |name: &Option<_>| Err(Failed::from(Named(*name)));
            let result = for_each_record(&names, |_| "record", fail).await;
            let diagnostic = Diagnostic::from(result.unwrap_err());
            assert_eq!(diagnostic.error_type, expected, "{names:?}");
        }
    }

    #[tokio::test]
    async fn the_test_event_is_nothing_and_anything_else_an_error() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"});
        assert_eq!(handled(test).await, (vec![], Ok(())));
        for other in [json!({}), json!({"Records": []}), json!({"Event": "other"})] {
            assert_eq!(
                handled(other).await,
                (vec![], Err(NotificationError::NoRecords))
            );
        }
    }
}
