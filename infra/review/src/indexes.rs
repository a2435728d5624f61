//! Changes of a table's indexes that CloudFormation refuses while it executes them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::template::{Resource, Template};

/// A change that CloudFormation begins, and then refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The resource, by its logical ID.
    pub logical_id: String,
    /// What is refused, with the rule.
    pub why: String,
    /// What to do instead.
    pub instead: String,
}

/// Of a table that stays, an update adds or removes one index, and changes none.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html>
pub(crate) fn refusals(before: &Template, after: &Template) -> Vec<Refusal> {
    let tables = after.resources.iter().filter_map(|(id, table)| {
        let old = before.resources.get(id)?;
        let stays = [old, table].map(|table| table.kind == "AWS::DynamoDB::Table") == [true; 2]
            && !is_replaced(old, table);
        stays.then_some((id, old, table))
    });
    tables
        .filter_map(|(id, old, table)| refusal(id, &indexes(old), &indexes(table)))
        .collect()
}

fn refusal(
    logical_id: &str,
    old: &BTreeMap<&str, [&Value; 2]>,
    new: &BTreeMap<&str, [&Value; 2]>,
) -> Option<Refusal> {
    let only_in = |some: &BTreeMap<&str, _>, others: &BTreeMap<&str, _>| -> Vec<String> {
        let names = some.keys().filter(|name| !others.contains_key(*name));
        names.map(|name| format!("`{name}`")).collect()
    };
    let changed = new
        .iter()
        .find(|(name, index)| old.get(*name).is_some_and(|old| old != *index));
    let (why, instead) = if let Some((name, _)) = changed {
        (
            format!("changes index `{name}`, and CloudFormation changes no index"),
            format!(
                "declare it under another name, beside `{name}`; deploy, and remove `{name}` with the next deployment"
            ),
        )
    } else {
        let (added, removed) = (only_in(new, old), only_in(old, new));
        if added.len() + removed.len() <= 1 {
            return None;
        }
        let doings = [("adds", added), ("removes", removed)];
        let doings: Vec<String> = doings
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
            .collect();
        (
            format!(
                "{}, and CloudFormation adds or removes one index of a table in an update",
                doings.join(" and ")
            ),
            "deploy them one after the other".to_owned(),
        )
    };
    Some(Refusal {
        logical_id: logical_id.to_owned(),
        why,
        instead,
    })
}

/// By their names, the parts that cannot be changed.
fn indexes(table: &Resource) -> BTreeMap<&str, [&Value; 2]> {
    let indexes = table.properties()["GlobalSecondaryIndexes"].as_array();
    let indexes = indexes.into_iter().flatten();
    indexes
        .filter_map(|index| {
            let name = index["IndexName"].as_str()?;
            Some((name, [&index["KeySchema"], &index["Projection"]]))
        })
        .collect()
}

/// Whether the table is made anew, with all of its indexes: for another name or key, or another
/// type of an attribute that was defined.
fn is_replaced(old: &Resource, new: &Resource) -> bool {
    let (old, new) = (old.properties(), new.properties());
    let types = |table: &Value| -> BTreeSet<(String, String)> {
        let definitions = table["AttributeDefinitions"].as_array();
        let definitions = definitions.into_iter().flatten();
        let text = |definition: &Value, key: &str| definition[key].to_string();
        definitions
            .map(|definition| {
                (
                    text(definition, "AttributeName"),
                    text(definition, "AttributeType"),
                )
            })
            .collect()
    };
    let (old_types, new_types) = (types(old), types(new));
    let retyped = new_types.iter().any(|(name, kind)| {
        let mut of_name = old_types.iter().filter(|(old, _)| old == name);
        of_name.any(|(_, old)| old != kind)
    });
    retyped || old["KeySchema"] != new["KeySchema"] || old["TableName"] != new["TableName"]
}
