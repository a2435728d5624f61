//! Schemas of types, as the documents have them.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// The schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub(crate) fn schema_of<T: JsonSchema>() -> SchemaOf {
    SchemaGenerator::subschema_for::<T>
}

/// Where a document has the schemas that others refer to.
const COMPONENTS: &str = "/components/schemas";

/// Makes the schemas of what a function writes. Those of named types become components.
pub(crate) fn of_answers() -> SchemaGenerator {
    let settings = settings().for_serialize();
    // A field that is left out when it is `None` is never null.
    let settings = settings.with_transform(RecursiveTransform(without_null_where_optional));
    settings.into_generator()
}

/// Makes the schemas of what a function reads, each complete in itself: a type may be read in
/// another form than it is written in.
pub(crate) fn of_requests() -> SchemaGenerator {
    let settings = settings().for_deserialize();
    settings
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = COMPONENTS.into();
            settings.meta_schema = None;
        })
        .with_transform(RecursiveTransform(plain))
}

/// A whole schema of `make`, with its transformations.
pub(crate) fn finished(generator: &mut SchemaGenerator, make: SchemaOf) -> Value {
    let mut schema = make(generator);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// The properties of a schema of an object: name, schema, and whether it is required.
pub(crate) fn properties(object: &Value) -> impl Iterator<Item = (&str, &Value, bool)> {
    let required = object["required"].as_array().into_iter().flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    let properties = object["properties"].as_object().into_iter().flatten();
    properties.map(move |(name, schema)| {
        let is_required = required.contains(&name.as_str());
        (name.as_str(), schema, is_required)
    })
}

/// The same values in fewer words: an enumeration as a list, and no format that only Rust knows.
fn plain(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(names) = object.get("oneOf").and_then(names_of) {
        object.remove("oneOf");
        object.insert("type".into(), "string".into());
        object.insert("enum".into(), names.into());
    }
    let is_of_rust = |format: &Value| format.as_str().is_some_and(|name| name.starts_with("uint"));
    if object.get("format").is_some_and(is_of_rust) {
        object.remove("format");
    }
    // Lines of a doc comment are no lines of what is shown.
    if let Some(Value::String(description)) = object.get_mut("description") {
        let paragraphs: Vec<String> = description
            .split("\n\n")
            .map(|lines| lines.replace('\n', " "))
            .collect();
        *description = paragraphs.join("\n\n");
    }
}

/// The texts that alternatives consist of, if each is nothing else.
fn names_of(alternatives: &Value) -> Option<Vec<Value>> {
    let mut names = Vec::new();
    for alternative in alternatives.as_array()? {
        match (alternative.get("const"), alternative.get("enum")) {
            (Some(name @ Value::String(_)), None) => names.push(name.clone()),
            (None, Some(Value::Array(several))) => names.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    names.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
    Some(names)
}

fn without_null_where_optional(schema: &mut Schema) {
    let object = json!(schema);
    let optional: Vec<&str> = properties(&object)
        .filter(|(.., is_required)| !is_required)
        .map(|(name, ..)| name)
        .collect();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if optional.contains(&name.as_str()) {
            without_null(property);
        }
    }
}

/// Takes null out of the values that a schema allows.
pub(crate) fn without_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    single(object, "type", |name| name == "null");
    if let Some(only) = single(object, "anyOf", |schema| schema["type"] == "null")
        && let Value::Object(only) = only
    {
        object.remove("anyOf");
        // What is said of a field goes before what is said of its type.
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
    if let Some(Value::Array(names)) = object.get_mut("enum") {
        names.retain(|name| !name.is_null());
    }
}

/// Takes something out of a list in a schema. If one is left, it stands for the list.
fn single(
    object: &mut Map<String, Value>,
    name: &str,
    is_out: impl Fn(&Value) -> bool,
) -> Option<Value> {
    let list = object.get_mut(name)?.as_array_mut()?;
    list.retain(|value| !is_out(value));
    let [only] = list.as_slice() else {
        return None;
    };
    let only = only.clone();
    object.insert(name.to_owned(), only.clone());
    Some(only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    /// A status.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Status {
        /// Money has come.
        Paid,
        Open,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Order {
        /// What it costs,
        /// in cents.
        cents: u32,
        #[serde(rename = "Note", skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Of today.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
    }

    #[test]
    fn what_is_written_has_no_null_where_it_is_left_out() {
        let mut generator = of_answers();
        let list = finished(&mut generator, schema_of::<Vec<Order>>());
        let order = json!({"$ref": "#/components/schemas/Order"});
        assert_eq!(list, json!({"type": "array", "items": order}));
        let components = generator.take_definitions(true);
        assert_eq!(
            components["Status"],
            json!({"type": "string", "enum": ["open", "paid"], "description": "A status."})
        );
        assert_eq!(
            components["Order"],
            json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "cents": {"type": "integer", "minimum": 0, "description": "What it costs, in cents."},
                    "Note": {"type": "string"},
                    "status": {"$ref": "#/components/schemas/Status", "description": "Of today."},
                },
                "required": ["cents"],
            })
        );
    }

    #[test]
    fn what_is_read_is_complete_in_itself() {
        let mut generator = of_requests();
        let order = finished(&mut generator, schema_of::<Order>());
        let mut status = order["properties"]["status"].clone();
        assert_eq!(
            order["properties"]["Note"],
            json!({"type": ["string", "null"]})
        );
        assert!(generator.take_definitions(true).is_empty());
        without_null(&mut status);
        assert_eq!(
            status,
            json!({"type": "string", "enum": ["open", "paid"], "description": "Of today."})
        );
    }
}
