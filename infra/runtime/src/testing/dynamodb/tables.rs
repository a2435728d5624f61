//! Tables, their items, and the requests that read and write them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

use serde_json::{Value, json};

use super::expression::{Condition, Item, Operand, Parser, updated};
use super::units::{Units, reads, size, writes};

/// What one request reads at most, in bytes.
const PAGE_BYTES: usize = 1024 * 1024;
/// Writes of a transaction.
const WRITES_MAX: usize = 100;

/// A refusal: the name of the exception, and the rest of the answer.
pub(super) type Refusal = (&'static str, Value);

/// Partition key and sort key. A table without a sort key has an empty one.
type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: BTreeMap<String, Table>,
    pub(super) units: Units,
}

#[derive(Debug)]
struct Table {
    key: Vec<&'static str>,
    /// By the hash of the partition key: a scan is in no order. As text, for millions of items.
    items: BTreeMap<(u64, Key), Box<str>>,
    indexes: BTreeMap<&'static str, Index>,
}

#[derive(Debug)]
struct Index {
    key: Vec<&'static str>,
    /// The index's key and the table's.
    entries: BTreeSet<(Key, Key)>,
}

fn invalid(message: &str) -> Refusal {
    ("ValidationException", json!({"message": message}))
}

fn hash(partition: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    partition.hash(&mut hasher);
    hasher.finish()
}

/// The key in an item. `None` if it lacks an attribute of it.
fn key_in(attributes: &[&str], item: &Item) -> Option<Key> {
    let text = |attribute: &str| item.get(attribute)?["S"].as_str().map(String::from);
    let sort = attributes
        .get(1)
        .map_or(Some(String::new()), |sort| text(sort));
    Some((text(attributes[0])?, sort?))
}

fn item(value: &Value) -> Item {
    value.as_object().cloned().unwrap_or_default()
}

impl Table {
    fn get(&self, key: &Key) -> Option<Item> {
        let text = self.items.get(&(hash(&key.0), key.clone()))?;
        Some(serde_json::from_str(text).unwrap())
    }

    fn key_of(&self, item: &Item) -> Result<Key, Refusal> {
        let key = key_in(&self.key, item);
        let key = key.filter(|(partition, sort)| {
            !partition.is_empty() && (self.key.len() == 1 || !sort.is_empty())
        });
        let key = key.ok_or_else(|| invalid("the item has no key of the table"))?;
        let is_short = key.0.len() <= 2048 && key.1.len() <= 1024;
        is_short
            .then_some(key)
            .ok_or_else(|| invalid("the key is too long"))
    }

    /// Puts or deletes an item. The write units of table and indexes.
    fn set(&mut self, key: Key, after: Option<Item>) -> (f64, f64) {
        let before = self.get(&key);
        let mut index_writes = 0.0;
        for index in self.indexes.values_mut() {
            let of = |item: &Option<Item>| item.as_ref().and_then(|item| key_in(&index.key, item));
            let (old, new) = (of(&before), of(&after));
            index_writes += match (&old, &new) {
                (Some(old), Some(new)) if old == new && before == after => 0.0,
                (Some(old), Some(new)) if old == new => writes(before.as_ref(), after.as_ref()),
                _ => {
                    let removed = old.as_ref().map_or(0.0, |_| writes(before.as_ref(), None));
                    removed + new.as_ref().map_or(0.0, |_| writes(None, after.as_ref()))
                }
            };
            if let Some(old) = old {
                index.entries.remove(&(old, key.clone()));
            }
            if let Some(new) = new {
                index.entries.insert((new, key.clone()));
            }
        }
        let units = writes(before.as_ref(), after.as_ref());
        let place = (hash(&key.0), key);
        match after {
            Some(item) => {
                let text = Value::Object(item).to_string().into_boxed_str();
                self.items.insert(place, text);
            }
            None => _ = self.items.remove(&place),
        }
        (units, index_writes)
    }
}

impl Tables {
    pub(super) fn create(&mut self, name: &str, key: &[&'static str]) {
        let table = Table {
            key: key.to_vec(),
            items: BTreeMap::new(),
            indexes: BTreeMap::new(),
        };
        self.tables.insert(name.into(), table);
    }

    pub(super) fn create_index(&mut self, table: &str, name: &'static str, key: &[&'static str]) {
        let index = Index {
            key: key.to_vec(),
            entries: BTreeSet::new(),
        };
        self.tables
            .get_mut(table)
            .unwrap()
            .indexes
            .insert(name, index);
    }

    /// Stores an item, which takes less time than a write that is counted.
    pub(super) fn put(&mut self, table: &str, item: &Value) {
        let table = self.tables.get_mut(table).unwrap();
        let attributes = item.as_object().unwrap();
        let key = table.key_of(attributes).unwrap();
        let place = (hash(&key.0), key);
        if table.items.contains_key(&place) {
            table.set(place.1, Some(attributes.clone()));
            return;
        }
        for index in table.indexes.values_mut() {
            let entry = key_in(&index.key, attributes);
            index
                .entries
                .extend(entry.map(|entry| (entry, place.1.clone())));
        }
        let text = item.to_string().into_boxed_str();
        table.items.insert(place, text);
    }

    pub(super) fn items(&self, table: &str) -> Vec<Value> {
        let items = self.tables[table].items.values();
        items
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    fn named(&mut self, request: &Value) -> Result<&mut Table, Refusal> {
        let name = request["TableName"].as_str().unwrap_or_default();
        let missing = || ("ResourceNotFoundException", json!({"message": name}));
        self.tables.get_mut(name).ok_or_else(missing)
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, operation: &str, request: &Value) -> Result<Value, Refusal> {
        self.units.requests += 1;
        match operation {
            "GetItem" => self.get_item(request),
            "PutItem" | "DeleteItem" | "UpdateItem" => {
                let (key, before, after) = self.written(operation, request)?;
                let condition = Parser::condition(request, "ConditionExpression");
                if !condition.is_none_or(|condition| condition.holds(&before.unwrap_or_default())) {
                    return Err(("ConditionalCheckFailedException", json!({})));
                }
                let (units, index_units) = self.named(request)?.set(key, after);
                self.units.writes += units;
                self.units.index_writes += index_units;
                Ok(json!({}))
            }
            "Query" => self.page(request, true),
            "Scan" => self.page(request, false),
            "TransactWriteItems" => self.transact(request),
            other => panic!("no test needs {other} yet"),
        }
    }

    fn get_item(&mut self, request: &Value) -> Result<Value, Refusal> {
        let table = self.named(request)?;
        let key = table.key_of(&item(&request["Key"]))?;
        let found = table.get(&key);
        let is_consistent = request["ConsistentRead"] == true;
        self.units.reads += reads(found.as_ref().map_or(0, size), is_consistent);
        Ok(found.map_or_else(|| json!({}), |item| json!({"Item": item})))
    }

    /// The key of the item that a write is about, with the item before and after it.
    fn written(
        &mut self,
        operation: &str,
        request: &Value,
    ) -> Result<(Key, Option<Item>, Option<Item>), Refusal> {
        let table = self.named(request)?;
        let part = if request["Item"].is_object() {
            "Item"
        } else {
            "Key"
        };
        let given = item(&request[part]);
        let key = table.key_of(&given)?;
        let before = table.get(&key);
        let after = match operation {
            "PutItem" | "Put" => Some(given),
            "UpdateItem" | "Update" => {
                let actions = Parser::update(request);
                Some(updated(before.clone().unwrap_or(given), &actions))
            }
            "ConditionCheck" => before.clone(),
            _ => None,
        };
        Ok((key, before, after))
    }

    fn transact(&mut self, request: &Value) -> Result<Value, Refusal> {
        let writes = request["TransactItems"].as_array().unwrap();
        if writes.len() > WRITES_MAX {
            return Err(invalid("a transaction has 100 writes at most"));
        }
        let mut planned = Vec::new();
        let mut seen = BTreeSet::new();
        let mut reasons = Vec::new();
        for write in writes {
            let (operation, request) = write.as_object().unwrap().iter().next().unwrap();
            let (key, before, after) = self.written(operation, request)?;
            if !seen.insert((request["TableName"].to_string(), key.clone())) {
                return Err(invalid("a transaction cannot write an item twice"));
            }
            let condition = Parser::condition(request, "ConditionExpression");
            let before = before.unwrap_or_default();
            let holds = condition.is_none_or(|condition| condition.holds(&before));
            let code = if holds {
                "None"
            } else {
                "ConditionalCheckFailed"
            };
            reasons.push(json!({"Code": code}));
            planned.push((operation, request, key, after));
        }
        if reasons.iter().any(|reason| reason["Code"] != "None") {
            let rest = json!({"CancellationReasons": reasons});
            return Err(("TransactionCanceledException", rest));
        }
        for (operation, request, key, after) in planned {
            let table = self.named(request)?;
            let (units, index_units) = if operation == "ConditionCheck" {
                (super::units::writes(after.as_ref(), None), 0.0)
            } else {
                table.set(key, after)
            };
            self.units.writes += 2.0 * units;
            self.units.index_writes += index_units;
        }
        Ok(json!({}))
    }

    /// A `Query` or a `Scan`.
    fn page(&mut self, request: &Value, is_query: bool) -> Result<Value, Refusal> {
        let is_consistent = request["ConsistentRead"] == true;
        let table = self.named(request)?;
        let index = request["IndexName"].as_str();
        if is_consistent && index.is_some() {
            return Err(invalid("a secondary index is never read consistently"));
        }
        let mut key = table.key.clone();
        if let Some(index) = index {
            key.splice(0..0, table.indexes[index].key.clone());
        }
        let start = &request["ExclusiveStartKey"];
        let start = start.is_object().then(|| item(start));
        let condition = Parser::condition(request, "KeyConditionExpression");
        if let (Some(start), Some(condition)) = (&start, &condition)
            && !condition.holds(start)
        {
            return Err(invalid("the starting key is outside query boundaries"));
        }
        let filter = Parser::condition(request, "FilterExpression");
        let limit = request["Limit"]
            .as_u64()
            .map_or(usize::MAX, |limit| limit as usize);
        let candidates: Box<dyn Iterator<Item = Item>> = match (is_query, index) {
            (false, _) => table.scan(start.as_ref()),
            (true, None) => table.query(condition.as_ref(), start.as_ref()),
            (true, Some(index)) => table.query_index(index, condition.as_ref(), start.as_ref()),
        };
        let (mut found, mut bytes, mut looked_at, mut last) = (Vec::new(), 0, 0, None);
        for item in candidates {
            if !condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&item))
            {
                break;
            }
            bytes += size(&item);
            looked_at += 1;
            let keys: Item = key
                .iter()
                .map(|name| ((*name).to_owned(), item[*name].clone()))
                .collect();
            if filter.as_ref().is_none_or(|filter| filter.holds(&item)) {
                found.push(item);
            }
            if looked_at == limit || bytes > PAGE_BYTES {
                last = Some(keys);
                break;
            }
        }
        self.units.reads += reads(bytes, is_consistent);
        let mut answer = json!({"Count": found.len(), "ScannedCount": looked_at, "Items": found});
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = Value::Object(last);
        }
        Ok(answer)
    }
}

impl Table {
    fn scan<'a>(&'a self, start: Option<&Item>) -> Box<dyn Iterator<Item = Item> + 'a> {
        let start = start.and_then(|start| key_in(&self.key, start));
        let from = start.map_or(Bound::Unbounded, |key| Bound::Excluded((hash(&key.0), key)));
        let items = self.items.range((from, Bound::Unbounded));
        Box::new(items.map(|(_, text)| serde_json::from_str(text).unwrap()))
    }

    fn query<'a>(
        &'a self,
        condition: Option<&Condition>,
        start: Option<&Item>,
    ) -> Box<dyn Iterator<Item = Item> + 'a> {
        let (partition, prefix) = range_of(condition, &self.key);
        let from = match start.and_then(|start| key_in(&self.key, start)) {
            Some(key) => Bound::Excluded((hash(&key.0), key)),
            None => Bound::Included((hash(&partition), (partition.clone(), prefix))),
        };
        let items = self.items.range((from, Bound::Unbounded));
        let items = items.take_while(move |((_, key), _)| key.0 == partition);
        Box::new(items.map(|(_, text)| serde_json::from_str(text).unwrap()))
    }

    fn query_index<'a>(
        &'a self,
        index: &str,
        condition: Option<&Condition>,
        start: Option<&Item>,
    ) -> Box<dyn Iterator<Item = Item> + 'a> {
        let index = &self.indexes[index];
        let (partition, prefix) = range_of(condition, &index.key);
        let key =
            start.and_then(|start| Some((key_in(&index.key, start)?, key_in(&self.key, start)?)));
        let from = match key {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(((partition.clone(), prefix), Key::default())),
        };
        let entries = index.entries.range((from, Bound::Unbounded));
        let entries = entries.take_while(move |(key, _)| key.0 == partition);
        Box::new(entries.map(|(_, key)| self.get(key).unwrap()))
    }
}

/// The partition key that a key condition names, and the text with which the sort key begins.
fn range_of(condition: Option<&Condition>, key: &[&str]) -> Key {
    match condition {
        Some(Condition::And(a, b)) => {
            let (a, b) = (range_of(Some(a), key), range_of(Some(b), key));
            (a.0 + &b.0, a.1 + &b.1)
        }
        Some(Condition::Compare(Operand::Attribute(name), operator, Operand::Value(value)))
            if name == key[0] && operator == "=" =>
        {
            (
                value["S"].as_str().unwrap_or_default().into(),
                String::new(),
            )
        }
        Some(Condition::BeginsWith(Operand::Attribute(name), Operand::Value(prefix)))
            if Some(&name.as_str()) == key.get(1) =>
        {
            (
                String::new(),
                prefix["S"].as_str().unwrap_or_default().into(),
            )
        }
        other => panic!("no test needs the key condition {other:?} yet"),
    }
}
