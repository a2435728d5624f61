//! Property changes: which value becomes which.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::{ResourceAttribute, ResourceChange, ResourceTargetDefinition};
use serde::Serialize;
use serde_json::{Map, Value};

/// A property that gets another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PropertyChange {
    /// Where it is, for example `Environment.Variables.MEDIA_TABLE_NAME`, or `Tags.stage`.
    /// Positions in a list count from zero.
    pub path: String,
    /// The value before: text as it is, everything else as JSON. `None` if there was no
    /// value, or CloudFormation does not tell it.
    pub before: Option<String>,
    /// The value after, likewise. It is also `None` where only the execution will tell.
    pub after: Option<String>,
}

/// What CloudFormation tells of a modified resource's properties when it is asked with
/// `IncludePropertyValues`: the resource as a whole before and after, and the fields that
/// change, of which some get their value only while executing. An endpoint that knows no
/// values still names the fields.
///
/// A resource that is added or removed has no property changes.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html>
pub(crate) fn told_by(change: &ResourceChange) -> Vec<PropertyChange> {
    let context = |text: Option<&str>| serde_json::from_str::<Value>(text?).ok();
    let mut told = match (
        context(change.before_context()),
        context(change.after_context()),
    ) {
        (Some(before), Some(after)) => between(&before, &after),
        _ => Vec::new(),
    };
    let shown: BTreeSet<String> = told.iter().map(|change| change.path.clone()).collect();
    let overlaps = |path: &str| {
        // The contexts' lists are not always compared by position.
        let list = path
            .split('.')
            .take_while(|step| step.parse::<usize>().is_err())
            .collect::<Vec<_>>()
            .join(".");
        shown.iter().any(|shown| {
            shown == path || is_within(path, shown) || *shown == list || is_within(shown, &list)
        })
    };
    for detail in change.details() {
        let Some(target) = detail.target() else {
            continue;
        };
        let path = path_of(target);
        if !overlaps(&path) {
            told.push(PropertyChange {
                path,
                before: target.before_value().map(str::to_owned),
                after: target.after_value().map(str::to_owned),
            });
        }
    }
    told.sort_by(|a, b| a.path.cmp(&b.path));
    // One field may change for several reasons, each with a detail of its own.
    told.dedup_by(|a, b| a.path == b.path);
    told
}

fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// A field's path. The API's is a JSON pointer, `/Properties/Tags`; without values asked
/// for there is only the property's name, or the attribute's.
fn path_of(target: &ResourceTargetDefinition) -> String {
    if let Some(pointer) = target.path() {
        return path_of_pointer(pointer);
    }
    let attribute = target.attribute().map(ResourceAttribute::as_str);
    target.name().or(attribute).unwrap_or_default().to_owned()
}

/// The path that a JSON pointer tells.
pub(crate) fn path_of_pointer(pointer: &str) -> String {
    let steps: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    joined(&steps)
}

/// The differences of two resources, each in the form `{"Properties": {…}, …}`.
pub(super) fn between(before: &Value, after: &Value) -> Vec<PropertyChange> {
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
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{
        ChangeAction, ResourceAttribute, ResourceChange, ResourceChangeDetail,
        ResourceTargetDefinition,
    };
    use serde_json::json;

    use super::*;

    fn change(path: &str, before: Option<&str>, after: Option<&str>) -> PropertyChange {
        PropertyChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    fn detail(target: ResourceTargetDefinition) -> ResourceChangeDetail {
        ResourceChangeDetail::builder().target(target).build()
    }

    /// The form is that of the API, with a function's properties.
    #[test]
    fn values_come_from_the_contexts_and_unknown_ones_from_the_details() {
        let told = told_by(
            &ResourceChange::builder()
                .action(ChangeAction::Modify)
                .before_context(
                    json!({"Properties": {
                        "MemorySize": "256",
                        "Environment": {"Variables": {"TABLE": "a", "LOG": "info"}},
                        "Tags": [{"Key": "stage", "Value": "dev"}],
                        "Layers": ["a"],
                    }})
                    .to_string(),
                )
                .after_context(
                    json!({"Properties": {
                        "MemorySize": "512",
                        "Environment": {"Variables": {"TABLE": "b"}},
                        "Tags": [{"Value": "x", "Key": "app"}, {"Value": "dev", "Key": "stage"}],
                        "Layers": ["a", "b"],
                    }})
                    .to_string(),
                )
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Properties)
                        .name("MemorySize")
                        .path("/Properties/MemorySize")
                        .before_value("256")
                        .after_value("512")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Tags)
                        .path("/Properties/Tags/0/Value")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Properties)
                        .name("Layers")
                        .path("/Properties/Layers/1")
                        .after_value("b")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Properties)
                        .name("Role")
                        .path("/Properties/Role")
                        .before_value("arn:aws:iam::123456789012:role/old")
                        .build(),
                ))
                .build(),
        );
        assert_eq!(
            told,
            [
                change("Environment.Variables.LOG", Some("info"), None),
                change("Environment.Variables.TABLE", Some("a"), Some("b")),
                change("Layers", Some(r#"["a"]"#), Some(r#"["a","b"]"#)),
                change("MemorySize", Some("256"), Some("512")),
                change("Role", Some("arn:aws:iam::123456789012:role/old"), None),
                change("Tags.app", None, Some("x")),
            ]
        );
    }

    #[test]
    fn without_contexts_the_details_tell_and_without_values_the_names() {
        let told = told_by(
            &ResourceChange::builder()
                .action(ChangeAction::Modify)
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .path("/Properties/Environment/Variables/A~1B")
                        .after_value("x")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Properties)
                        .name("Timeout")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Properties)
                        .name("Timeout")
                        .build(),
                ))
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .attribute(ResourceAttribute::Metadata)
                        .build(),
                ))
                .build(),
        );
        assert_eq!(
            told,
            [
                change("Environment.Variables.A/B", None, Some("x")),
                change("Metadata", None, None),
                change("Timeout", None, None),
            ]
        );
    }

    #[test]
    fn an_added_resource_has_no_property_changes() {
        let added = ResourceChange::builder()
            .action(ChangeAction::Add)
            .after_context(r#"{"Properties":{"MemorySize":"256"}}"#)
            .build();
        assert_eq!(told_by(&added), []);
    }
}
