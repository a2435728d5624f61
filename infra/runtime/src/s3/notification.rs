//! S3's event notifications.
//!
//! An event holds records, in practice one: see [`crate::records`].
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use aws_lambda_events::s3::S3EventRecord;
use serde::Deserialize;
use tracing::info;

use super::key::{BucketName, KeyError, ObjectKey};
use super::sequencer::{Sequencer, SequencerError};
use crate::records::{Failed, RecordFailure, RecordsError, for_each_record};

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
    #[error("the record is about the bucket {found:?}, this function about {expected:?}")]
    WrongBucket {
        /// Bucket in the record.
        found: String,
        /// The function's bucket.
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

impl RecordFailure for RecordError {}

impl Notification {
    /// Hands the change of every record to `handle`, one after the other in the
    /// event's order, and fails if one of them failed.
    ///
    /// `expected` are the beginnings of the event names that are `handle`'s, as in
    /// `ObjectCreated:`. A record of another event or about another bucket is a failed one:
    /// [`RecordError`] says why.
    pub async fn for_each<E: Into<Failed>>(
        self,
        bucket: &BucketName,
        expected: &'static [&'static str],
        handle: impl AsyncFn(ObjectEvent) -> Result<(), E>,
    ) -> Result<(), RecordsError> {
        if self.event.as_deref() == Some("s3:TestEvent") {
            info!("test event of a new bucket notification: nothing to do");
            return Ok(());
        }
        for_each_record(
            &self.records,
            |record| record.s3.object.key.as_deref().unwrap_or_default(),
            async |record| match ObjectEvent::of(record, bucket, expected) {
                Ok(event) => handle(event).await.map_err(Into::into),
                Err(error) => Err(error.into()),
            },
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use lambda_runtime::Diagnostic;
    use serde_json::{Value, json};

    /// As S3 writes it.
    fn event() -> Value {
        json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-01-05T09:30:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AIDAEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "0A49CE4060975EAC", "x-amz-id-2": "Dxu="},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "created",
                "bucket": {
                    "name": "amzn-s3-demo-bucket",
                    "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                    "arn": "arn:aws:s3:::amzn-s3-demo-bucket",
                },
                "object": {
                    "key": "march+2026/order%2Bitems.pdf",
                    "size": 1024,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        }]})
    }

    async fn handled(event: Value) -> (Vec<ObjectEvent>, Result<(), RecordsError>) {
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
        let mut event = event();
        change(&mut event["Records"][0]);
        event
    }

    #[tokio::test]
    async fn an_event_is_read() {
        let (events, result) = handled(sample(|_| {})).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            events,
            [ObjectEvent {
                key: ObjectKey::new("march 2026/order+items.pdf").unwrap(),
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
            ("/s3/object/key", json!("%FF.pdf"), "not decode to UTF-8"),
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

    #[tokio::test]
    async fn the_test_event_is_nothing_and_anything_else_an_error() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"});
        assert_eq!(handled(test).await, (vec![], Ok(())));
        for other in [json!({}), json!({"Records": []}), json!({"Event": "other"})] {
            assert_eq!(handled(other).await, (vec![], Err(RecordsError::NoRecords)));
        }
    }
}
