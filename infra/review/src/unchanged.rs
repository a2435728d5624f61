//! Resources that both templates declare alike.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::template::{Resource, Template};

/// The pseudo parameters whose values stay the same as long as the stack exists.
const CONSTANT: [&str; 6] = [
    "AWS::AccountId",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// A reference of a resource to another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The other one's logical ID.
    pub logical_id: String,
    /// The attribute, as for `Fn::GetAtt`; `None` for what `Ref` returns.
    pub attribute: Option<String>,
}

/// The resources with the same declaration, each with its references. Only AWS knows the values
/// of these, and they may change.
pub(crate) fn between(
    before: &Template,
    after: &Template,
) -> BTreeMap<String, BTreeSet<Reference>> {
    if !before.not_understood.is_empty() || !after.not_understood.is_empty() {
        return BTreeMap::new();
    }
    let alike = after.resources.iter().filter(|(id, resource)| {
        before.resources.get(*id).is_some_and(|old| {
            old.kind == resource.kind && old.body == resource.body && old.others == resource.others
        })
    });
    alike
        .filter_map(|(id, resource)| Some((id.clone(), references(resource, after)?)))
        .collect()
}

/// What a resource refers to; `None` if a value in it has another source than the template's
/// resources.
fn references(resource: &Resource, template: &Template) -> Option<BTreeSet<Reference>> {
    let mut found = BTreeSet::new();
    collect(&resource.body, template, &mut found)?;
    collect(&resource.others, template, &mut found)?;
    Some(found)
}

fn collect(value: &Value, template: &Template, found: &mut BTreeSet<Reference>) -> Option<()> {
    match value {
        Value::String(text) => references_in(text, template, found),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| collect(item, template, found)),
        Value::Object(members) => members
            .values()
            .try_for_each(|member| collect(member, template, found)),
        _ => Some(()),
    }
}

fn references_in(text: &str, template: &Template, found: &mut BTreeSet<Reference>) -> Option<()> {
    // A dynamic reference to a parameter of Systems Manager or to a secret.
    if text.contains("{{") {
        return None;
    }
    for placeholder in text.split("${").skip(1) {
        if placeholder.starts_with('!') {
            continue;
        }
        // Without an end, or with a function in it, it names no resource.
        let (name, _) = placeholder.split_once('}')?;
        if CONSTANT.contains(&name) {
            continue;
        }
        let (logical_id, attribute) = match name.split_once('.') {
            Some((logical_id, attribute)) => (logical_id, Some(attribute.to_owned())),
            None => (name, None),
        };
        if !template.resources.contains_key(logical_id) {
            return None;
        }
        found.insert(Reference {
            logical_id: logical_id.to_owned(),
            attribute,
        });
    }
    Some(())
}
