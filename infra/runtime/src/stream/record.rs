//! One record of a stream.

use serde::Deserialize;
use serde_json::{Map, Value};

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
    #[error("this is not a record of a DynamoDB stream: it cannot be read at {path:?}")]
    Unreadable {
        /// Where in the record, as in `dynamodb.NewImage`.
        path: String,
    },
    /// There are three kinds of events.
    #[error("the event {0:?} is not INSERT, MODIFY or REMOVE")]
    UnknownEvent(String),
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

/// The fields of a record that functions need, as Lambda sends it.
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
    /// Reads a record as Lambda sends it. No more of it is read than this type can be asked for.
    pub fn read(record: Value) -> Result<Self, RecordError> {
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

    /// The item's key, if that is this attribute alone, a string: the partition key of a table
    /// without a sort key. `None` if the table has another key.
    pub fn partition_key(&self, attribute: &str) -> Result<Option<&str>, RecordError> {
        let keys = &self.change.keys;
        let part = Image {
            part: "key",
            item: keys,
        };
        let text = part.text(attribute)?;
        Ok(text.filter(|_| keys.len() == 1))
    }

    /// The item's key, as DynamoDB writes it in JSON.
    pub fn key_json(&self) -> String {
        Value::Object(self.change.keys.clone()).to_string()
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
    pub fn deleted_by(&self) -> Option<&'static str> {
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
    use super::super::sample::record;
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_tell_where_and_not_what() {
        let read = |path: &str, value: Value| {
            let record = record(|record| *record.pointer_mut(path).unwrap() = value.clone());
            StreamRecord::read(record)
        };
        let unreadable = read("/dynamodb/NewImage", json!(["john"]));
        let message = unreadable.unwrap_err().to_string();
        assert!(message.contains("\"dynamodb.NewImage"), "{message}");
        assert!(!message.contains("john"), "{message}");

        for (value, found) in [
            (json!({"SS": ["john"]}), "of type SS"),
            (json!({"S": ["john"]}), "no value that DynamoDB has"),
            (json!({"john": "doe"}), "no value that DynamoDB has"),
            (json!({"S": "john", "N": "1"}), "no value that DynamoDB has"),
            (json!("john"), "no value that DynamoDB has"),
            (json!({}), "no value that DynamoDB has"),
        ] {
            let record = read("/dynamodb/NewImage/status", value).unwrap();
            let error = record.new_image().unwrap().text("status").unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the attribute \"status\" of its new image is {found}, not a string (S)")
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
            ("/dynamodb/NewImage/cents", json!({"X": "7"})),
            ("/dynamodb/OldImage", json!({"id": {"N": []}})),
        ] {
            let (parent, field) = path.rsplit_once('/').unwrap();
            let record = record(|record| {
                record.pointer_mut(parent).unwrap()[field] = value.clone();
            });
            let record =
                StreamRecord::read(record).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(record.partition_key("id").is_ok(), "{path}");
        }
        let bare = json!({"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "john"}}}});
        assert!(
            StreamRecord::read(bare)
                .unwrap()
                .partition_key("id")
                .is_ok()
        );
    }

    #[test]
    fn null_is_no_text() {
        let record = record(|record| {
            record["dynamodb"]["NewImage"]["status"] = json!({"NULL": true});
        });
        let record = StreamRecord::read(record).unwrap();
        assert_eq!(record.new_image().unwrap().text("status"), Ok(None));
    }

    #[test]
    fn the_key_is_the_one_attribute_that_is_asked_for() {
        let key = |keys: Value, attribute: &str| {
            let record = record(|record| record["dynamodb"]["Keys"] = keys.clone());
            let record = StreamRecord::read(record).unwrap();
            let key = record.partition_key(attribute);
            key.map(|key| key.map(String::from))
        };
        for attribute in ["id", "name", "Id"] {
            assert_eq!(
                key(json!({attribute: {"S": "order-1"}}), attribute),
                Ok(Some("order-1".into()))
            );
        }
        for keys in [
            json!({}),
            json!({"name": {"S": "order-1"}}),
            json!({"id": {"S": "order-1"}, "since": {"N": "1"}}),
        ] {
            assert_eq!(key(keys, "id"), Ok(None));
        }
        let number = key(json!({"id": {"N": "1"}}), "id").unwrap_err();
        assert_eq!(
            number.to_string(),
            "the attribute \"id\" of its key is of type N, not a string (S)"
        );
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
