//! Property changes: which value becomes which.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

/// A property that gets another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PropertyChange {
    /// Where it is, for example `Environment.Variables.ORDERS_TABLE`, or `Tags.stage`.
    /// Positions in a list count from zero.
    pub path: String,
    /// The value before: text as it is, everything else as JSON. `None` if there was no
    /// value, or CloudFormation does not tell it.
    pub before: Option<String>,
    /// The value after, likewise. It is also `None` where only the execution will tell.
    pub after: Option<String>,
}

/// The path, as in [`PropertyChange`], that a JSON pointer (`/Properties/Tags/0`) tells.
pub fn path_of_pointer(pointer: &str) -> String {
    let steps: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    joined(&steps)
}

/// The differences of two resources, each in the form `{"Properties": {…}, …}`.
pub fn between(before: &Value, after: &Value) -> Vec<PropertyChange> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(
    path: &mut Vec<String>,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<PropertyChange>,
) {
    let tags = before.and_then(tags).zip(after.and_then(tags));
    if let Some((before, after)) = tags {
        return compare(path, Some(&before), Some(&after), found);
    }
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                path.push(key.clone());
                compare(path, before.get(key), after.get(key), found);
                path.pop();
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (position, (before, after)) in before.iter().zip(after).enumerate() {
                path.push(position.to_string());
                compare(path, Some(before), Some(after), found);
                path.pop();
            }
        }
        (before, after) => found.push(PropertyChange {
            path: joined(path),
            before: before.map(text),
            after: after.map(text),
        }),
    }
}

/// A list of tags as an object: their order means nothing.
fn tags(value: &Value) -> Option<Value> {
    let list = value.as_array()?;
    let tags: Map<String, Value> = list
        .iter()
        .map(|tag| {
            let tag = tag.as_object().filter(|tag| tag.len() == 2)?;
            Some((
                tag.get("Key")?.as_str()?.to_owned(),
                tag.get("Value")?.clone(),
            ))
        })
        .collect::<Option<_>>()?;
    (tags.len() == list.len()).then_some(Value::Object(tags))
}

fn joined(steps: &[String]) -> String {
    match steps {
        [first, rest @ ..] if first == "Properties" && !rest.is_empty() => rest.join("."),
        steps => steps.join("."),
    }
}

/// Text as it is, everything else as JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
