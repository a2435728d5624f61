//! A table: its items in pages, by key and by filter, and each item as JSON.

mod editor;
mod list;

use aws_sdk_dynamodb::types::{KeyType, TableDescription};

pub(super) use self::editor::{change, create, delete, item, new};
pub(super) use self::list::show;
use super::Visit;
use crate::fields::link;
use crate::item::{self, Form, Item};
use crate::problem::{Problem, Result};

/// Characters of a value in a cell.
const CELL: usize = 80;

/// A table as DynamoDB describes it.
struct Table {
    name: String,
    physical: String,
    declared_at: Option<String>,
    partition: Key,
    sort: Option<Key>,
    items: Option<u64>,
    has_stream: bool,
}

/// An attribute of the key.
struct Key {
    name: String,
    /// `S`, `N` or `B`.
    kind: String,
}

impl Table {
    async fn of(visit: &Visit, name: &str) -> Result<Self> {
        let (node, physical) = visit.stage.resource("table", name).await?;
        let described = visit.stage.dynamodb.describe_table();
        let described = described
            .table_name(&physical)
            .send()
            .await
            .map_err(|error| Problem::of_aws(&format!("describe table {name}"), &error))?;
        let table = described.table.ok_or_else(|| {
            Problem::failed(format!("DynamoDB sent no description of table {name}"))
        })?;
        let partition = Key::of(&table, &KeyType::Hash)
            .ok_or_else(|| Problem::failed(format!("table {name} has no key")))?;
        Ok(Self {
            sort: Key::of(&table, &KeyType::Range),
            partition,
            items: table.item_count.and_then(|items| u64::try_from(items).ok()),
            has_stream: table
                .stream_specification
                .is_some_and(|stream| stream.stream_enabled),
            name: name.to_owned(),
            physical,
            declared_at: node.declared_at,
        })
    }

    fn path(&self, below: &str) -> String {
        format!("/data/table/{}{below}", self.name)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// The key of an item, as JSON.
    fn key_of(&self, item: &Item) -> String {
        let key: Item = self
            .keys()
            .filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone())))
            .collect();
        item::typed(&key).to_string()
    }

    fn item_link(&self, item: &Item) -> String {
        link(&self.path("/item"), &[("key", &self.key_of(item))])
    }

    /// A key as a link has it.
    fn read_key(&self, text: &str) -> Result<Item> {
        let key = item::read(text, Some(Form::Typed)).map_err(Problem::mistake)?;
        let is_whole = key.len() == self.keys().count()
            && self.keys().all(|part| key.contains_key(&part.name));
        if is_whole {
            Ok(key)
        } else {
            Err(Problem::mistake(format!(
                "this is not a key of table {}",
                self.name
            )))
        }
    }
}

impl Key {
    fn of(table: &TableDescription, kind: &KeyType) -> Option<Self> {
        let mut schema = table.key_schema().iter();
        let name = schema.find(|key| key.key_type() == kind)?.attribute_name();
        let mut attributes = table.attribute_definitions().iter();
        let kind = attributes
            .find(|attribute| attribute.attribute_name() == name)
            .map(|attribute| attribute.attribute_type().as_str());
        Some(Self {
            name: name.to_owned(),
            kind: kind.unwrap_or("S").to_owned(),
        })
    }
}
