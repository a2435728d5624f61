//! Records of the users table's stream, as Lambda hands them to a function.
//!
//! Lambda reads a shard in order and delivers a batch of its records until the function has
//! handled it. A function that cannot handle a record answers with its sequence number, and
//! Lambda delivers again from that record on
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>).
//! So a batch is handled in order and no further than its first failure: what comes after is
//! delivered again whatever became of it.
//!
//! A record stays as it came until its turn. One that cannot be read is then a failed record
//! like any other, and those before it are handled.
//!
//! Of a record, only what a function asks for is read: an attribute that it does not need may
//! be of any type, and what Lambda tells beside the change may lack or be odd.
//!
//! Items are personal data, and so may be their keys. Of a record, the log tells the event id,
//! the event name and the sequence number. Errors tell names and types of attributes, never
//! values.

use std::fmt;

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::{error, info};

use crate::schema::Schema;
use crate::user::{UserId, UserIdError};

/// What Lambda delivers: a batch of records of one shard, in the shard's order.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

/// What a function answers: nothing, or the one record from which to deliver again.
pub type StreamResponse = DynamoDbEventResponse;

/// A record whose failure could not be reported, because it has no sequence number. It fails
/// the whole event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {number} of {total} has no \"dynamodb\".\"SequenceNumber\", so its failure could not be reported: send records as a DynamoDB stream does"
)]
pub struct UnnumberedRecord {
    /// Place in the event, from 1.
    number: usize,
    /// How many records the event has.
    total: usize,
}

impl From<UnnumberedRecord> for Diagnostic {
    fn from(error: UnnumberedRecord) -> Self {
        Self {
            error_type: "InvalidEventError".into(),
            error_message: error.to_string(),
        }
    }
}

impl StreamEvent {
    /// Hands the records to `handle` one after the other, up to the first that fails. Logs
    /// a line for each.
    pub async fn handle_in_order<O, E>(
        self,
        handle: impl AsyncFn(&StreamRecord) -> Result<O, E>,
    ) -> Result<StreamResponse, UnnumberedRecord>
    where
        O: fmt::Debug,
        E: fmt::Display + From<RecordError>,
    {
        let total = self.records.len();
        let mut response = StreamResponse::default();
        for (index, record) in self.records.into_iter().enumerate() {
            let text_at = |path| {
                let text = record.pointer(path).and_then(Value::as_str);
                text.filter(|text| !text.is_empty()).map(String::from)
            };
            let event_id = text_at("/eventID");
            let event_name = text_at("/eventName");
            let number = index + 1;
            let sequence_number =
                text_at("/dynamodb/SequenceNumber").ok_or(UnnumberedRecord { number, total })?;

            let handled = match StreamRecord::read(record) {
                Ok(record) => {
                    let deleted_by = record.deleted_by();
                    handle(&record).await.map(|outcome| (outcome, deleted_by))
                }
                Err(error) => Err(error.into()),
            };
            match handled {
                Ok((outcome, deleted_by)) => {
                    info!(
                        event_id,
                        event_name,
                        sequence_number,
                        deleted_by,
                        ?outcome,
                        "record handled"
                    );
                }
                Err(error) => {
                    error!(
                        event_id,
                        event_name,
                        sequence_number,
                        reason = %error,
                        "record failed: to be delivered again, with all that follow it"
                    );
                    let mut failure = DynamoDbBatchItemFailure::default();
                    failure.item_identifier = Some(sequence_number);
                    response.batch_item_failures.push(failure);
                    break;
                }
            }
        }
        Ok(response)
    }
}

/// What happened to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventName {
    /// It was created.
    Insert,
    /// It was changed.
    Modify,
    /// It was deleted, or it expired.
    Remove,
}

/// Why a record cannot be handled. Another try will not help: it ends in the failure queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not what a stream's records are.
    #[error("this is no record of a DynamoDB stream: it cannot be read at {path:?}")]
    Unreadable {
        /// Where in the record, as in `dynamodb.NewImage`.
        path: String,
    },
    /// There are three kinds of events.
    #[error("the event {0:?} is none of INSERT, MODIFY and REMOVE")]
    UnknownEvent(String),
    /// The table has another key than the function's settings say.
    #[error(
        "its key is not the one attribute {attribute:?}: set USERS_KEY_ATTRIBUTE to the table's partition key; a table with a sort key will not do"
    )]
    OtherKey {
        /// Name of the attribute that the function expects.
        attribute: String,
    },
    /// No user has such a key.
    #[error(transparent)]
    Key(#[from] UserIdError),
    /// The stream does not carry what the function needs.
    #[error("it has no {part}: the table's stream must have the view type NEW_AND_OLD_IMAGES")]
    NoImage {
        /// Which part of the record.
        part: &'static str,
    },
    /// An attribute that is to be text is not.
    #[error("the attribute {attribute:?} of its {part} is {found}, not a string (S)")]
    NotText {
        /// Name of the attribute.
        attribute: String,
        /// Which part of the record.
        part: &'static str,
        /// What it is, with its type as DynamoDB abbreviates it.
        found: &'static str,
    },
}

/// One change of one item.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    event: EventName,
    change: Change,
    user_identity: Value,
}

/// A record as Lambda sends it, as far as any function needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LambdaRecord {
    event_name: String,
    dynamodb: Change,
    #[serde(default)]
    user_identity: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Attributes,
    old_image: Option<Attributes>,
    new_image: Option<Attributes>,
}

/// Attributes by name, each as DynamoDB writes it in JSON: `{"S": "text"}`.
type Attributes = Map<String, Value>;

impl StreamRecord {
    pub(crate) fn read(record: Value) -> Result<Self, RecordError> {
        // Only the path of what is wrong: the reason may quote it.
        let unreadable = |error: serde_path_to_error::Error<_>| RecordError::Unreadable {
            path: error.path().to_string(),
        };
        let record: LambdaRecord = serde_path_to_error::deserialize(record).map_err(unreadable)?;
        let event = match record.event_name.as_str() {
            "INSERT" => EventName::Insert,
            "MODIFY" => EventName::Modify,
            "REMOVE" => EventName::Remove,
            other => return Err(RecordError::UnknownEvent(other.into())),
        };
        Ok(Self {
            event,
            change: record.dynamodb,
            user_identity: record.user_identity,
        })
    }

    /// What happened.
    pub fn event(&self) -> EventName {
        self.event
    }

    /// Whose item it is. The item's key must be the one attribute that the schema names.
    pub fn user(&self, schema: &Schema) -> Result<UserId, RecordError> {
        let attribute = schema.key.as_str();
        let keys = &self.change.keys;
        let part = Image {
            part: "key",
            item: keys,
        };
        match part.text(attribute)? {
            Some(text) if keys.len() == 1 => Ok(UserId::new(text)?),
            _ => Err(RecordError::OtherKey {
                attribute: attribute.into(),
            }),
        }
    }

    /// The item before the change. An item that was created has none.
    pub fn old_image(&self) -> Result<Image<'_>, RecordError> {
        Image::of("old image", self.change.old_image.as_ref())
    }

    /// The item after the change. An item that was deleted has none.
    pub fn new_image(&self) -> Result<Image<'_>, RecordError> {
        Image::of("new image", self.change.new_image.as_ref())
    }

    /// Who deleted the item, if it was deleted. DynamoDB's time to live signs its deletions
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>).
    fn deleted_by(&self) -> Option<&'static str> {
        let identity = &self.user_identity;
        let is_expiry =
            identity["type"] == "Service" && identity["principalId"] == "dynamodb.amazonaws.com";
        match self.event {
            EventName::Insert | EventName::Modify => None,
            EventName::Remove if is_expiry => Some("time to live"),
            EventName::Remove => Some("request"),
        }
    }
}

/// An item at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    part: &'static str,
    item: &'a Attributes,
}

impl<'a> Image<'a> {
    /// An image is never empty, for it has the item's key.
    fn of(part: &'static str, item: Option<&'a Attributes>) -> Result<Self, RecordError> {
        match item {
            Some(item) if !item.is_empty() => Ok(Self { part, item }),
            _ => Err(RecordError::NoImage { part }),
        }
    }

    /// Any attribute, as DynamoDB writes it in JSON.
    pub fn get(self, attribute: &str) -> Option<&'a Value> {
        self.item.get(attribute)
    }

    /// An attribute that is a string, if it is there. NULL is how many programs write that
    /// there is none.
    pub fn text(self, attribute: &str) -> Result<Option<&'a str>, RecordError> {
        let Some(value) = self.get(attribute) else {
            return Ok(None);
        };
        match typed(value) {
            Some(("S", Value::String(text))) => Ok(Some(text)),
            Some(("NULL", _)) => Ok(None),
            other => Err(RecordError::NotText {
                attribute: attribute.into(),
                part: self.part,
                found: type_name(other.map(|(name, _)| name)),
            }),
        }
    }
}

/// The type of an attribute's value, and the value.
fn typed(value: &Value) -> Option<(&str, &Value)> {
    let mut entries = value.as_object()?.iter();
    let (name, value) = entries.next()?;
    entries.next().is_none().then_some((name.as_str(), value))
}

/// Only names that DynamoDB has: others may be anything.
fn type_name(name: Option<&str>) -> &'static str {
    match name {
        Some("N") => "of type N",
        Some("B") => "of type B",
        Some("BOOL") => "of type BOOL",
        Some("M") => "of type M",
        Some("L") => "of type L",
        Some("SS") => "of type SS",
        Some("NS") => "of type NS",
        Some("BS") => "of type BS",
        _ => "no value that DynamoDB has",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use serde_json::json;

    const EVENT: &str = include_str!("../../../assets/events/handle-user-stream.json");

    /// The first record of the sample event, changed.
    fn record(change: impl Fn(&mut Value)) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        change(&mut event["Records"][0]);
        event["Records"][0].take()
    }

    fn numbered(number: &str) -> Value {
        record(|record| {
            record["dynamodb"]["SequenceNumber"] = number.into();
            record["dynamodb"]["Keys"] = json!({"id": {"S": number}});
        })
    }

    fn event(records: &[Value]) -> StreamEvent {
        serde_json::from_value(json!({"Records": records})).unwrap()
    }

    fn schema(key: &str) -> Schema {
        Schema {
            key: key.into(),
            email: "email".into(),
            timestamp: "timestamp".into(),
            is_personal_email: "IsPersonalEmail".into(),
        }
    }

    /// Handles all records but the one of this sequence number. Which were tried, and the
    /// answer.
    async fn handled(
        event: StreamEvent,
        failing: &str,
    ) -> (Vec<String>, Result<Value, UnnumberedRecord>) {
        let tried = RefCell::new(Vec::new());
        let handle = async |record: &StreamRecord| {
            let number = record.user(&schema("id"))?;
            tried.borrow_mut().push(number.to_string());
            if number.as_str() == failing {
                return Err(RecordError::UnknownEvent("test".into()));
            }
            Ok(())
        };
        let response = event.handle_in_order(handle).await;
        let response = response.map(|response| serde_json::to_value(response).unwrap());
        (tried.into_inner(), response)
    }

    #[tokio::test]
    async fn a_batch_without_failures_is_done() {
        for records in [vec![], vec![numbered("1"), numbered("2")]] {
            let total = records.len();
            let (tried, response) = handled(event(&records), "").await;
            assert_eq!(tried.len(), total);
            assert_eq!(response, Ok(json!({"batchItemFailures": []})));
        }
    }

    #[tokio::test]
    async fn a_batch_stops_at_its_first_failure() {
        let records = ["1", "2", "3"].map(numbered);
        let (tried, response) = handled(event(&records), "2").await;
        assert_eq!(tried, ["1", "2"]);
        assert_eq!(
            response,
            Ok(json!({"batchItemFailures": [{"itemIdentifier": "2"}]}))
        );
    }

    #[tokio::test]
    async fn an_odd_record_is_a_failed_one_and_spoils_no_other() {
        let odd = |path: &str, value: Value| {
            let mut record = numbered("2");
            let (parent, field) = path.rsplit_once('/').unwrap();
            record.pointer_mut(parent).unwrap()[field] = value;
            record
        };
        for record in [
            odd("/dynamodb/NewImage", json!("john@gmail.com")),
            odd("/dynamodb/Keys", json!(7)),
            odd("/eventName", json!(7)),
            odd("/eventName", json!("DROP")),
            json!({"dynamodb": {"SequenceNumber": "2"}}),
        ] {
            let records = vec![numbered("1"), record, numbered("3")];
            let (tried, response) = handled(event(&records), "").await;
            assert_eq!(tried, ["1"]);
            assert_eq!(
                response,
                Ok(json!({"batchItemFailures": [{"itemIdentifier": "2"}]}))
            );
        }
    }

    #[tokio::test]
    async fn a_record_without_a_sequence_number_fails_the_event() {
        for unnumbered in [numbered(""), json!({}), json!(null), json!("john")] {
            let (tried, response) = handled(event(&[numbered("1"), unnumbered]), "").await;
            assert_eq!(tried, ["1"]);
            let diagnostic = Diagnostic::from(response.unwrap_err());
            assert_eq!(diagnostic.error_type, "InvalidEventError");
            assert!(
                diagnostic.error_message.starts_with("record 2 of 2 has no"),
                "{}",
                diagnostic.error_message
            );
        }
    }

    #[test]
    fn what_is_no_stream_event_is_refused() {
        for other in [json!({}), json!({"Records": {}}), json!([])] {
            assert!(serde_json::from_value::<StreamEvent>(other).is_err());
        }
    }

    #[test]
    fn errors_tell_where_and_not_what() {
        let read = |path: &str, value: Value| {
            let record = record(|record| *record.pointer_mut(path).unwrap() = value.clone());
            StreamRecord::read(record)
        };
        let unreadable = read("/dynamodb/NewImage", json!(["john@gmail.com"]));
        let message = unreadable.unwrap_err().to_string();
        assert!(message.contains("\"dynamodb.NewImage"), "{message}");
        assert!(!message.contains("john"), "{message}");

        for (value, found) in [
            (json!({"SS": ["john@gmail.com"]}), "of type SS"),
            (json!({"S": ["john"]}), "no value that DynamoDB has"),
            (json!({"john": "doe"}), "no value that DynamoDB has"),
            (json!({"S": "john", "N": "1"}), "no value that DynamoDB has"),
            (json!("john"), "no value that DynamoDB has"),
            (json!({}), "no value that DynamoDB has"),
        ] {
            let record = read("/dynamodb/NewImage/email", value).unwrap();
            let error = record.new_image().unwrap().text("email").unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the attribute \"email\" of its new image is {found}, not a string (S)")
            );
        }
    }

    #[test]
    fn what_nobody_asks_for_fails_nothing() {
        for (path, value) in [
            ("/dynamodb/ApproximateCreationDateTime", Value::Null),
            (
                "/dynamodb/ApproximateCreationDateTime",
                json!(1_767_605_460.5),
            ),
            (
                "/dynamodb/ApproximateCreationDateTime",
                json!(1_767_605_460_348_i64),
            ),
            ("/dynamodb/SizeBytes", Value::Null),
            ("/dynamodb/StreamViewType", json!(7)),
            ("/awsRegion", Value::Null),
            ("/eventVersion", json!(1.1)),
            ("/userIdentity", json!("somebody")),
            ("/dynamodb/NewImage/age", json!({"X": "7"})),
            ("/dynamodb/OldImage", json!({"id": {"N": []}})),
        ] {
            let (parent, field) = path.rsplit_once('/').unwrap();
            let record = record(|record| {
                record.pointer_mut(parent).unwrap()[field] = value.clone();
            });
            let record =
                StreamRecord::read(record).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(record.user(&schema("id")).is_ok(), "{path}");
        }
        let bare = json!({"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "john"}}}});
        assert!(
            StreamRecord::read(bare)
                .unwrap()
                .user(&schema("id"))
                .is_ok()
        );
    }

    #[test]
    fn null_is_no_text() {
        let record = record(|record| {
            record["dynamodb"]["NewImage"]["email"] = json!({"NULL": true});
        });
        let record = StreamRecord::read(record).unwrap();
        assert_eq!(record.new_image().unwrap().text("email"), Ok(None));
    }

    #[test]
    fn the_key_is_the_one_attribute_that_the_schema_names() {
        let user = |keys: Value, attribute: &str| {
            let record = record(|record| record["dynamodb"]["Keys"] = keys.clone());
            StreamRecord::read(record).unwrap().user(&schema(attribute))
        };
        let john = UserId::new("john").unwrap();
        for attribute in ["id", "name", "Id"] {
            assert_eq!(
                user(json!({attribute: {"S": "john"}}), attribute),
                Ok(john.clone())
            );
        }
        let other = RecordError::OtherKey {
            attribute: "id".into(),
        };
        for keys in [
            json!({}),
            json!({"name": {"S": "john"}}),
            json!({"id": {"S": "john"}, "since": {"N": "1"}}),
        ] {
            assert_eq!(user(keys, "id"), Err(other.clone()));
        }
        let number = user(json!({"id": {"N": "1"}}), "id").unwrap_err();
        assert_eq!(
            number.to_string(),
            "the attribute \"id\" of its key is of type N, not a string (S)"
        );
        let empty = user(json!({"id": {"S": ""}}), "id");
        assert_eq!(empty, Err(RecordError::Key(UserIdError::Empty)));
    }

    #[test]
    fn a_stream_without_images_is_reported() {
        let record = record(|record| record["dynamodb"]["NewImage"] = Value::Null);
        let record = StreamRecord::read(record).unwrap();
        for image in [record.new_image(), record.old_image()] {
            let message = image.unwrap_err().to_string();
            assert!(message.contains("NEW_AND_OLD_IMAGES"), "{message}");
        }
    }

    #[test]
    fn an_expiry_is_told_from_a_deletion() {
        let dynamodb = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
        let other = json!({"type": "Service", "principalId": "backup.amazonaws.com"});
        for (event_name, identity, deleted_by) in [
            ("REMOVE", dynamodb.clone(), Some("time to live")),
            ("REMOVE", other, Some("request")),
            ("REMOVE", Value::Null, Some("request")),
            ("INSERT", dynamodb, None),
            ("MODIFY", Value::Null, None),
        ] {
            let record = record(|record| {
                record["eventName"] = event_name.into();
                record["userIdentity"] = identity.clone();
            });
            assert_eq!(StreamRecord::read(record).unwrap().deleted_by(), deleted_by);
        }
    }
}
