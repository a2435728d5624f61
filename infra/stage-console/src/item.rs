//! Items of tables as people write them: DynamoDB JSON, or plain JSON.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Number, Value, json};

/// An item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The types of DynamoDB JSON.
const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];

/// How an item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each value with its type: `{"id": {"S": "1"}}`.
    Typed,
    /// `{"id": "1"}`.
    Plain,
}

/// An item in DynamoDB JSON, its attributes by name.
pub(crate) fn typed(item: &Item) -> Value {
    let attributes: BTreeMap<_, _> = item.iter().collect();
    attributes
        .into_iter()
        .map(|(name, value)| (name.clone(), typed_value(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// An item in plain JSON, unless that would lose something: sets, binary values, and numbers that JSON's readers round.
pub(crate) fn plain(item: &Item) -> Option<Value> {
    let attributes: BTreeMap<_, _> = item.iter().collect();
    let attributes = attributes
        .into_iter()
        .map(|(name, value)| Some((name.clone(), plain_value(value)?)));
    Some(attributes.collect::<Option<Map<_, _>>>()?.into())
}

fn typed_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": BASE64_STANDARD.encode(bytes) }),
        AttributeValue::Bool(is) => json!({ "BOOL": is }),
        AttributeValue::Null(is) => json!({ "NULL": is }),
        AttributeValue::M(map) => json!({ "M": typed(map) }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(typed_value).collect::<Vec<_>>() }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(all) => {
            let all: Vec<String> = all
                .iter()
                .map(|bytes| BASE64_STANDARD.encode(bytes))
                .collect();
            json!({ "BS": all })
        }
        other => json!({ "unknown": format!("{other:?}") }),
    }
}

fn plain_value(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => plain_number(number)?.into(),
        AttributeValue::Bool(is) => (*is).into(),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::M(map) => plain(map)?,
        AttributeValue::L(list) => list
            .iter()
            .map(plain_value)
            .collect::<Option<Vec<_>>>()?
            .into(),
        _ => return None,
    })
}

/// A number that is written and read again as it is.
fn plain_number(text: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(text).ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads an item. Which of the two forms a text is in, its values tell, unless it is said: typed, if each is an object of
/// one type.
pub(crate) fn read(text: &str, form: Option<Form>) -> Result<Item, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the item is not JSON: {error}"))?;
    let Value::Object(attributes) = value else {
        return Err("the item is not a JSON object".to_owned());
    };
    let form = form.unwrap_or_else(|| {
        let is_typed = !attributes.is_empty() && attributes.values().all(looks_typed);
        if is_typed { Form::Typed } else { Form::Plain }
    });
    read_map(attributes, form, "")
}

fn looks_typed(value: &Value) -> bool {
    let Value::Object(object) = value else {
        return false;
    };
    object.len() == 1 && object.keys().all(|name| TYPES.contains(&name.as_str()))
}

fn read_map(attributes: Map<String, Value>, form: Form, path: &str) -> Result<Item, String> {
    attributes
        .into_iter()
        .map(|(name, value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let value = match form {
                Form::Typed => read_typed(value, &path),
                Form::Plain => Ok(read_plain(value)),
            };
            Ok((name, value?))
        })
        .collect()
}

fn read_plain(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(is) => AttributeValue::Bool(is),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(list) => AttributeValue::L(list.into_iter().map(read_plain).collect()),
        Value::Object(map) => AttributeValue::M(
            map.into_iter()
                .map(|(name, value)| (name, read_plain(value)))
                .collect(),
        ),
    }
}

fn read_typed(value: Value, path: &str) -> Result<AttributeValue, String> {
    let Value::Object(object) = value else {
        return Err(format!(
            "{path}: a value of DynamoDB JSON is an object such as {{\"S\": \"text\"}}"
        ));
    };
    let mut entries = object.into_iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return Err(format!("{path}: a value of DynamoDB JSON has one type"));
    };
    let expected = |what: &str| format!("{path}: the value of type {kind} is not {what}");
    Ok(match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text),
        ("S", _) => return Err(expected("a string")),
        ("N", Value::String(number)) => AttributeValue::N(number),
        ("N", _) => return Err(expected("a number in quotes")),
        ("B", Value::String(text)) => AttributeValue::B(bytes(&text, path)?),
        ("B", _) => return Err(expected("Base64 in quotes")),
        ("BOOL", Value::Bool(is)) => AttributeValue::Bool(is),
        ("BOOL", _) => return Err(expected("true or false")),
        ("NULL", Value::Bool(true)) => AttributeValue::Null(true),
        ("NULL", _) => return Err(expected("true")),
        ("M", Value::Object(map)) => AttributeValue::M(read_map(map, Form::Typed, path)?),
        ("M", _) => return Err(expected("an object")),
        ("L", Value::Array(list)) => AttributeValue::L(
            list.into_iter()
                .enumerate()
                .map(|(index, value)| read_typed(value, &format!("{path}[{index}]")))
                .collect::<Result<_, _>>()?,
        ),
        ("L", _) => return Err(expected("an array")),
        ("SS", value) => {
            AttributeValue::Ss(texts(value).ok_or_else(|| expected("an array of strings"))?)
        }
        ("NS", value) => AttributeValue::Ns(
            texts(value).ok_or_else(|| expected("an array of numbers in quotes"))?,
        ),
        ("BS", value) => AttributeValue::Bs(
            texts(value)
                .ok_or_else(|| expected("an array of Base64 in quotes"))?
                .iter()
                .map(|text| bytes(text, path))
                .collect::<Result<_, _>>()?,
        ),
        _ => {
            return Err(format!(
                "{path}: DynamoDB JSON has no type {kind}; the types are {}",
                TYPES.join(", ")
            ));
        }
    })
}

fn texts(value: Value) -> Option<Vec<String>> {
    serde_json::from_value(value).ok()
}

fn bytes(text: &str, path: &str) -> Result<Blob, String> {
    let bytes = BASE64_STANDARD.decode(text);
    bytes
        .map(Blob::new)
        .map_err(|error| format!("{path}: the value is not Base64: {error}"))
}

/// A value in a cell of a table.
pub(crate) fn cell(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        AttributeValue::Bool(is) => is.to_string(),
        AttributeValue::Null(_) => "null".to_owned(),
        AttributeValue::B(bytes) => format!("{} bytes", bytes.as_ref().len()),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.join(", "),
        AttributeValue::Bs(all) => format!("{} binary values", all.len()),
        value => plain_value(value)
            .unwrap_or_else(|| typed_value(value))
            .to_string(),
    }
}

/// The value that somebody means by a text and a type, `S`, `N` or `B`, of a key.
pub(crate) fn key_value(text: &str, kind: &str) -> Result<AttributeValue, String> {
    Ok(match kind {
        "N" => AttributeValue::N(text.to_owned()),
        "B" => AttributeValue::B(bytes(text, "the key")?),
        _ => AttributeValue::S(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type.
    fn every() -> Value {
        json!({
            "text": {"S": "<script>\u{202e}"},
            "number": {"N": "1.5"},
            "bytes": {"B": "AQI="},
            "yes": {"BOOL": true},
            "none": {"NULL": true},
            "map": {"M": {"in": {"L": [{"S": "x"}, {"N": "12345678901234567890123456789012345678"}]}}},
            "texts": {"SS": ["a"]},
            "numbers": {"NS": ["1"]},
            "all": {"BS": ["AQI="]},
        })
    }

    #[test]
    fn every_type_is_read_and_written() {
        let item = read(&every().to_string(), None).unwrap();
        assert_eq!(typed(&item), every());
    }

    #[test]
    fn the_form_is_found_out() {
        let typed_item = read(r#"{"Id": {"S": "ID1"}}"#, None).unwrap();
        let plain_item = read(r#"{"Id": "ID1"}"#, None).unwrap();
        assert_eq!(typed_item, plain_item);
        // One value that is not typed, and the whole is plain.
        let mixed = read(r#"{"a": {"S": "x"}, "b": 1}"#, None).unwrap();
        assert!(matches!(mixed["a"], AttributeValue::M(_)));
        let said = read(r#"{"a": {"S": "x"}}"#, Some(Form::Plain)).unwrap();
        assert!(matches!(said["a"], AttributeValue::M(_)));
    }

    #[test]
    fn plain_json_loses_nothing_or_is_not_offered() {
        let text = r#"{"a":"x","b":12.5,"c":[null,true,{"d":-1}]}"#;
        let item = read(text, Some(Form::Plain)).unwrap();
        assert_eq!(plain(&item).unwrap().to_string(), text);
        for lossy in [
            json!({"a": {"N": "12345678901234567890123456789012345678"}}),
            json!({"a": {"N": "1.10"}}),
            json!({"a": {"SS": ["x"]}}),
            json!({"a": {"L": [{"B": "AQI="}]}}),
        ] {
            let item = read(&lossy.to_string(), None).unwrap();
            assert_eq!(plain(&item), None, "{lossy}");
        }
    }

    #[test]
    fn what_is_no_item_is_named() {
        for (text, named) in [
            ("{", "not JSON"),
            ("[]", "not a JSON object"),
            (
                r#"{"a": {"S": 1}}"#,
                "a: the value of type S is not a string",
            ),
            (r#"{"a": {"N": 1}}"#, "not a number in quotes"),
            (
                r#"{"a": {"M": {"b": {"L": [{"X": 1}]}}}}"#,
                "a.b[0]: DynamoDB JSON has no type X",
            ),
            (r#"{"a": {"B": "?"}}"#, "a: the value is not Base64"),
        ] {
            let error = read(text, Some(Form::Typed)).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
