//! An item of a table as JSON: shown, created, changed, deleted.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use maud::{Markup, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{CELL, Table};
use crate::fields::{Fields, link};
use crate::item::{self, Item};
use crate::layout::{Page, Section, danger, form, problem, short, shown_json};
use crate::pages::{Reply, Visit};
use crate::problem::{Problem, Result};

/// An empty editor.
pub(in crate::pages) async fn new(visit: &Visit, name: &str) -> Result<Page> {
    let table = Table::of(visit, name).await?;
    let example: Item = table
        .keys()
        .filter_map(|key| {
            let text = if key.kind == "N" { "1" } else { "" };
            Some((key.name.clone(), item::key_value(text, &key.kind).ok()?))
        })
        .collect();
    let text = pretty(&item::typed(&example));
    Ok(creation(visit, &table, &text, None))
}

fn creation(visit: &Visit, table: &Table, text: &str, found: Option<&Problem>) -> Page {
    let name = &table.name;
    let body = html! {
        @if let Some(found) = found { (problem(found)) }
        (form(&table.path("/create"), visit.token(), &html! {
            (editor(text))
            div.actions {
                button.main type="submit" { "Create item" }
                a href=(table.path("")) { "Cancel" }
            }
        }))
    };
    Page::new(Section::Data, "Create an item", body)
        .below("Data", "/data")
        .below(format!("Table {name}"), table.path(""))
}

fn editor(text: &str) -> Markup {
    html! {
        label {
            "Attributes"
            small { "DynamoDB JSON, with a type for each value, or plain JSON" }
            textarea.code name="item" rows="18" required spellcheck="false" autocapitalize="off" autocomplete="off" {
                // The first line break of a text area is not a part of its value.
                "\n" (shown_json(text))
            }
        }
    }
}

/// An item.
pub(in crate::pages) async fn item(visit: &Visit, name: &str) -> Result<Page> {
    let table = Table::of(visit, name).await?;
    let key = visit.query.text("key");
    let item = read(visit, &table, key).await?;
    let wants_plain = visit.query.text("form") == "plain";
    let plain = item::plain(&item);
    let text = match plain.as_ref().filter(|_| wants_plain) {
        Some(plain) => pretty(plain),
        None => pretty(&item::typed(&item)),
    };
    Ok(editing(
        visit,
        &table,
        key,
        &version(&item),
        &text,
        plain.is_some(),
        None,
    ))
}

async fn read(visit: &Visit, table: &Table, key: &str) -> Result<Item> {
    let get = visit
        .stage
        .dynamodb
        .get_item()
        .table_name(&table.physical)
        .consistent_read(true)
        .set_key(Some(table.read_key(key)?));
    let what = format!("read an item of table {}", table.name);
    let answer = get
        .send()
        .await
        .map_err(|error| Problem::of_aws(&what, &error))?;
    answer.item.ok_or_else(|| {
        Problem::missing(format!(
            "table {} no longer has an item with this key",
            table.name
        ))
    })
}

fn editing(
    visit: &Visit,
    table: &Table,
    key: &str,
    version: &str,
    text: &str,
    has_plain: bool,
    found: Option<&Problem>,
) -> Page {
    let link_of = |form: &str| link(&table.path("/item"), &[("key", key), ("form", form)]);
    let is_plain = visit.query.text("form") == "plain" && has_plain;
    let body = html! {
        @if let Some(found) = found { (problem(found)) }
        nav.tabs aria-label="Form" {
            a href=(link_of("")) aria-current=[(!is_plain).then_some("true")] { "DynamoDB JSON" }
            @if has_plain {
                a href=(link_of("plain")) aria-current=[is_plain.then_some("true")] { "Plain JSON" }
            } @else {
                span.dim { "Plain JSON would lose a set, a binary value or digits." }
            }
        }
        (form(&table.path("/change"), visit.token(), &html! {
            input type="hidden" name="key" value=(key);
            input type="hidden" name="version" value=(version);
            (editor(text))
            div.actions {
                button.main type="submit" { "Save" }
                a href=(table.path("")) { "Cancel" }
            }
        }))
        (danger(
            &table.path("/delete"),
            visit.token(),
            "Delete item",
            "This deletes the item, and the table's stream gets a record.",
            &[("key", key)],
        ))
    };
    Page::new(
        Section::Data,
        format!("Item {}", title_of(table, key)),
        body,
    )
    .below("Data", "/data")
    .below(format!("Table {}", table.name), table.path(""))
}

/// The values of a key.
fn title_of(table: &Table, key: &str) -> String {
    let Ok(key) = table.read_key(key) else {
        return String::new();
    };
    let values = table.keys().filter_map(|part| key.get(&part.name));
    let values: Vec<String> = values
        .map(|value| short(&item::cell(value), CELL))
        .collect();
    values.join(", ")
}

/// What an item's content is known by: who saves it has seen this one.
fn version(item: &Item) -> String {
    hex::encode(Sha256::digest(item::typed(item).to_string()))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Creates an item.
pub(in crate::pages) async fn create(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let table = Table::of(visit, name).await?;
    let text = form.text("item");
    let created = async {
        let item = item::read(text, None).map_err(Problem::mistake)?;
        let key = table.key_of(&item);
        table.read_key(&key).map_err(|_| without_key(&table))?;
        let put = visit
            .stage
            .dynamodb
            .put_item()
            .table_name(&table.physical)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", &table.partition.name);
        match put.send().await {
            Ok(_) => Ok(key),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Err(Problem::mistake("an item with this key already exists")
                    .hint("choose another key, or open the item and change it"))
            }
            Err(error) => Err(Problem::of_aws("create the item", &error)),
        }
    };
    match created.await {
        Ok(key) => Ok(Reply::done(
            table.path(""),
            format!("Created item {}", title_of(&table, &key)),
        )),
        Err(found) => Ok(Reply::Page(
            found.status,
            creation(visit, &table, text, Some(&found)),
        )),
    }
}

fn without_key(table: &Table) -> Problem {
    let keys: Vec<&str> = table.keys().map(|key| key.name.as_str()).collect();
    Problem::mistake(format!(
        "the item lacks the key attribute {}",
        keys.join(", ")
    ))
}

/// Changes an item, if it is still as it was when it was opened.
pub(in crate::pages) async fn change(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let table = Table::of(visit, name).await?;
    let (text, key, seen) = (form.text("item"), form.text("key"), form.text("version"));
    let changed = async {
        let item = item::read(text, None).map_err(Problem::mistake)?;
        if table.read_key(&table.key_of(&item))? != table.read_key(key)? {
            return Err(Problem::mistake("an item's key cannot be changed")
                .hint("create another item, and delete this one"));
        }
        let present = read(visit, &table, key).await?;
        if version(&present) != seen {
            return Err(has_changed());
        }
        let Some(mut change) = Change::between(&present, &item) else {
            return Ok(());
        };
        let partition = table.partition.name.clone();
        change.names.insert("#partition".to_owned(), partition);
        let update = visit
            .stage
            .dynamodb
            .update_item()
            .table_name(&table.physical)
            .set_key(Some(table.read_key(key)?))
            .update_expression(change.update)
            .condition_expression(change.condition)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(
                Some(change.values).filter(|values| !values.is_empty()),
            );
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Err(has_changed())
            }
            Err(error) => Err(Problem::of_aws("change the item", &error)),
        }
    };
    match changed.await {
        Ok(()) => Ok(Reply::done(
            table.path(""),
            format!("Changed item {}", title_of(&table, key)),
        )),
        Err(found) => {
            let page = editing(visit, &table, key, seen, text, true, Some(&found));
            Ok(Reply::Page(found.status, page))
        }
    }
}

fn has_changed() -> Problem {
    Problem::mistake("the item has changed since you opened it, perhaps by a function")
        .hint("open it again: the text below is not saved")
}

/// An update that writes only the attributes that differ, if they are still as they were. An attribute that a function
/// writes at the same moment stays. The expressions call the table's partition key `#partition`.
#[derive(Debug, Default)]
struct Change {
    update: String,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Change {
    /// None if the items are equal.
    fn between(before: &Item, after: &Item) -> Option<Self> {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differing = names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name));
        let mut change = Self::default();
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        // Or an item that is gone would come back as a part of itself.
        let mut conditions = vec!["attribute_exists(#partition)".to_owned()];
        for (number, name) in differing.enumerate() {
            change.names.insert(format!("#{number}"), name.clone());
            match after.get(name) {
                Some(value) => {
                    set.push(format!("#{number} = :new{number}"));
                    change.values.insert(format!(":new{number}"), value.clone());
                }
                None => removed.push(format!("#{number}")),
            }
            match before.get(name) {
                Some(value) => {
                    conditions.push(format!("#{number} = :old{number}"));
                    change.values.insert(format!(":old{number}"), value.clone());
                }
                None => conditions.push(format!("attribute_not_exists(#{number})")),
            }
        }
        let clauses = [("SET", set), ("REMOVE", removed)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let clauses = clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", ")));
        change.update = clauses.collect::<Vec<_>>().join(" ");
        change.condition = conditions.join(" AND ");
        (!change.names.is_empty()).then_some(change)
    }
}

/// Deletes an item.
pub(in crate::pages) async fn delete(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let table = Table::of(visit, name).await?;
    let key = form.text("key");
    let delete = visit
        .stage
        .dynamodb
        .delete_item()
        .table_name(&table.physical)
        .set_key(Some(table.read_key(key)?));
    delete
        .send()
        .await
        .map_err(|error| Problem::of_aws("delete the item", &error))?;
    Ok(Reply::done(
        table.path(""),
        format!("Deleted item {}", title_of(&table, key)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        item::read(text, None).unwrap()
    }

    #[test]
    fn only_what_differs_is_written_and_asked_for() {
        let before = item(r#"{"name": "a", "size": 1, "labels": ["Cat"], "old": true}"#);
        let after = item(r#"{"name": "a", "size": 2, "labels": ["Cat"], "new": "x"}"#);
        let change = Change::between(&before, &after).unwrap();
        assert_eq!(change.update, "SET #0 = :new0, #2 = :new2 REMOVE #1");
        assert_eq!(
            change.condition,
            "attribute_exists(#partition) AND attribute_not_exists(#0) AND #1 = :old1 AND #2 = :old2"
        );
        let names = [("#0", "new"), ("#1", "old"), ("#2", "size")];
        let names = names.map(|(short, name)| (short.to_owned(), name.to_owned()));
        assert_eq!(change.names, HashMap::from(names));
        assert_eq!(
            change.values,
            item(r#"{":new0": "x", ":old1": true, ":new2": 2, ":old2": 1}"#)
        );
    }

    #[test]
    fn equal_items_are_no_change() {
        let before = item(r#"{"name": "a", "labels": []}"#);
        assert!(Change::between(&before, &before.clone()).is_none());
    }
}
