//! Records of DynamoDB streams, as Lambda shows them to functions.
//!
//! Lambda reads a stream by the same API as everybody, hands functions the records in a JSON form
//! of its own, and leaves out those that the filters of a mapping do not let pass. Whoever does
//! Lambda's work needs the form and the filters: the local stage, which delivers records, and the
//! deploy tool, which delivers again what had failed.

mod filter;

use std::cmp::Ordering;
use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue, Identity, Record, StreamRecord};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

pub use filter::{Filters, InvalidFilter};

/// A record as an element of `Records` in a function's event.
///
/// The form is that of the example event in Lambda's developer guide, "Using AWS Lambda with
/// Amazon DynamoDB". `stream_arn` is the stream that the record was read from.
#[must_use]
pub fn lambda_record(record: &Record, stream_arn: &str) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    set("eventID", record.event_id().map(Value::from));
    set(
        "eventName",
        record.event_name().map(|name| name.as_str().into()),
    );
    set("eventVersion", record.event_version().map(Value::from));
    set("eventSource", record.event_source().map(Value::from));
    set("awsRegion", record.aws_region().map(Value::from));
    set("dynamodb", record.dynamodb().map(change));
    set("userIdentity", record.user_identity().map(user_identity));
    set("eventSourceARN", Some(stream_arn.into()));
    Value::Object(shown)
}

/// Where a record stands in its shard; empty if it does not say.
#[must_use]
pub fn sequence_number(record: &Record) -> &str {
    record
        .dynamodb()
        .and_then(StreamRecord::sequence_number)
        .unwrap_or_default()
}

/// The order of two sequence numbers: that of the numbers, which have up to 40 digits.
#[must_use]
pub fn compare_sequence_numbers(left: &str, right: &str) -> Ordering {
    let digits = |number: &str| number.trim_start_matches('0').len();
    let trimmed = |number: &str| number.trim_start_matches('0').to_owned();
    digits(left)
        .cmp(&digits(right))
        .then_with(|| trimmed(left).cmp(&trimmed(right)))
}

fn change(change: &StreamRecord) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    set(
        "ApproximateCreationDateTime",
        change
            .approximate_creation_date_time()
            .map(|time| time.secs().into()),
    );
    set("Keys", change.keys().map(item));
    set("NewImage", change.new_image().map(item));
    set("OldImage", change.old_image().map(item));
    set("SequenceNumber", change.sequence_number().map(Value::from));
    set("SizeBytes", change.size_bytes().map(Value::from));
    set(
        "StreamViewType",
        change.stream_view_type().map(|view| view.as_str().into()),
    );
    Value::Object(shown)
}

/// Present when a service made the change: DynamoDB itself, when an item expired.
fn user_identity(identity: &Identity) -> Value {
    json!({"type": identity.r#type(), "principalId": identity.principal_id()})
}

fn item(attributes: &HashMap<String, AttributeValue>) -> Value {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect::<Map<String, Value>>()
        .into()
}

/// A value in DynamoDB's JSON: its type's letters, then the value, binary in base64.
fn attribute(value: &AttributeValue) -> Value {
    let binary = |bytes: &[u8]| STANDARD.encode(bytes);
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": binary(bytes.as_ref())}),
        AttributeValue::Bool(truth) => json!({"BOOL": truth}),
        AttributeValue::Null(is_null) => json!({"NULL": is_null}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        AttributeValue::Bs(blobs) => {
            let blobs: Vec<String> = blobs.iter().map(|bytes| binary(bytes.as_ref())).collect();
            json!({"BS": blobs})
        }
        AttributeValue::L(list) => {
            json!({"L": list.iter().map(attribute).collect::<Vec<Value>>()})
        }
        AttributeValue::M(map) => json!({"M": item(map)}),
        // A type that DynamoDB did not have when this was written. A function fails on it,
        // which is better than not to see the attribute.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodbstreams::primitives::{Blob, DateTime};
    use aws_sdk_dynamodbstreams::types::{OperationType, StreamViewType};

    #[test]
    fn a_record_is_shown_as_in_lambdas_documentation() {
        let keys = HashMap::from([("Id".to_owned(), AttributeValue::N("101".to_owned()))]);
        let image = HashMap::from([
            ("Id".to_owned(), AttributeValue::N("101".to_owned())),
            (
                "Message".to_owned(),
                AttributeValue::S("New item!".to_owned()),
            ),
        ]);
        let record = Record::builder()
            .event_id("c4ca4238a0b923820dcc509a6f75849b")
            .event_name(OperationType::Insert)
            .event_version("1.1")
            .event_source("aws:dynamodb")
            .aws_region("us-west-2")
            .dynamodb(
                StreamRecord::builder()
                    .approximate_creation_date_time(DateTime::from_secs(1_428_537_600))
                    .set_keys(Some(keys))
                    .set_new_image(Some(image))
                    .sequence_number("4421584500000000017450439091")
                    .size_bytes(26)
                    .stream_view_type(StreamViewType::NewAndOldImages)
                    .build(),
            )
            .build();
        let arn = "arn:aws:dynamodb:us-west-2:111122223333:table/TestTable/stream/2015-05-11T21:21:33.291";
        assert_eq!(
            lambda_record(&record, arn),
            json!({
                "eventID": "c4ca4238a0b923820dcc509a6f75849b",
                "eventName": "INSERT",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-west-2",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_428_537_600,
                    "Keys": {"Id": {"N": "101"}},
                    "NewImage": {"Id": {"N": "101"}, "Message": {"S": "New item!"}},
                    "SequenceNumber": "4421584500000000017450439091",
                    "SizeBytes": 26,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": arn,
            })
        );
        assert_eq!(sequence_number(&record), "4421584500000000017450439091");
    }

    #[test]
    fn an_expiry_is_known_by_who_did_it() {
        let record = Record::builder()
            .user_identity(
                Identity::builder()
                    .r#type("Service")
                    .principal_id("dynamodb.amazonaws.com")
                    .build(),
            )
            .build();
        assert_eq!(
            lambda_record(&record, "arn")["userIdentity"],
            json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"})
        );
    }

    #[test]
    fn every_type_has_its_letters() {
        let text = |text: &str| text.to_owned();
        for (value, shown) in [
            (AttributeValue::Bool(false), json!({"BOOL": false})),
            (AttributeValue::Null(true), json!({"NULL": true})),
            (AttributeValue::B(Blob::new(*b"\xff")), json!({"B": "/w=="})),
            (
                AttributeValue::Bs(vec![Blob::new(*b"a")]),
                json!({"BS": ["YQ=="]}),
            ),
            (AttributeValue::Ss(vec![text("a")]), json!({"SS": ["a"]})),
            (AttributeValue::Ns(vec![text("1")]), json!({"NS": ["1"]})),
            (
                AttributeValue::L(vec![AttributeValue::M(HashMap::from([(
                    text("k"),
                    AttributeValue::S(text("v")),
                )]))]),
                json!({"L": [{"M": {"k": {"S": "v"}}}]}),
            ),
        ] {
            assert_eq!(attribute(&value), shown);
        }
    }

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        for (left, right, order) in [
            ("9", "10", Ordering::Less),
            ("0010", "10", Ordering::Equal),
            (
                "4421584500000000017450439092",
                "4421584500000000017450439091",
                Ordering::Greater,
            ),
        ] {
            assert_eq!(compare_sequence_numbers(left, right), order);
        }
    }
}
