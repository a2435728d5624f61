//! Writing an item together with its entries in the index.
//!
//! # At once
//! One transaction writes the item, what goes with it (the state, or a condition on it), and all
//! entries: those of the lists that the item is in now are put, those of other lists that it was in
//! are deleted. Which these are, the [`Head`] tells. It is read before, and the transaction is on the
//! condition that it has not changed. Whatever changes an item of the index changes its head's
//! version, so two writers of a name cannot both have read the same lists.
//!
//! # In steps
//! A transaction takes 100 writes, and a video may have more labels. Then the entries are bare: a
//! reader looks at the item, and the item alone decides what is seen of the name.
//!
//! 1. The head becomes bare and unfinished. It names all lists that have an entry or will have one.
//!    The name is noted in the list of the unfinished.
//! 2. All these lists get a bare entry. Nothing is seen of the new ones, because the item has not
//!    their labels.
//! 3. The item is written, with what goes with it. This is the moment at which readers see the change.
//! 4. The entries of lists that the item is not in are deleted. Nothing was seen of them any more.
//! 5. The head is finished, and the note deleted.
//!
//! Each of these is a transaction on the condition that the head has the version of the one before. So
//! another writer may take over between any two of them: it knows all lists from the head. Whoever is
//! taken over begins again. One that was killed leaves a note, by which
//! [`DynamoCatalogue::finish_entries`] finds the name later. Until then, readers see the item as it is.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use runtime::dynamodb::{self, Attributes, text, transact_write};
use runtime::s3::ObjectKey;
use runtime::service_error::ServiceError;
use uuid::Uuid;

use super::entry::{self, Head, UNFINISHED_LIST, VERSION};
use super::item::{failed, to_item};
use super::{DynamoCatalogue, seconds_since_epoch};
use crate::catalogue::{CatalogueError, MediaItem, Outcome};
use crate::lists::{self, ALL};

/// Writes of a transaction.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const WRITES_MAX: usize = 100;
/// Bytes of labels in a transaction, which takes 4 MB in all. Each whole entry has all labels.
const LABEL_BYTES_MAX: usize = 2_000_000;
/// How often others may change the name while it is written. One that changes all the time is left to
/// the next try of the event.
const ATTEMPTS: usize = 5;

/// What becomes of a name.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) name: &'a ObjectKey,
    /// The item that the name has after it.
    pub(super) item: Option<&'a MediaItem>,
    /// What is written in the same transaction: the item, its state, conditions.
    pub(super) with: Vec<TransactWriteItem>,
}

impl Change<'_> {
    /// The lists that the item is in, with their labels.
    fn lists(&self) -> BTreeMap<String, Option<String>> {
        lists_of(self.item)
    }
}

fn lists_of(item: Option<&MediaItem>) -> BTreeMap<String, Option<String>> {
    item.map(|item| lists::of_labels(&item.labels))
        .unwrap_or_default()
}

impl DynamoCatalogue {
    /// Writes an item with its entries. Superseded if a condition in `with` does not hold.
    pub(super) async fn write(&self, change: &Change<'_>) -> Result<Outcome, CatalogueError> {
        for _ in 0..ATTEMPTS {
            let head = self.head(change.name).await?;
            if let Some(outcome) = self.write_after(head.as_ref(), change).await? {
                return Ok(outcome);
            }
        }
        Err(self.changing(change.name))
    }

    /// Makes a name's entries those of its item, whatever they are. Whether they were not.
    pub(super) async fn reconcile(&self, name: &ObjectKey) -> Result<bool, CatalogueError> {
        for _ in 0..ATTEMPTS {
            // In this order: a change of the item after it was read is a change of the head, or,
            // if there is no head, its deletion.
            let head = self.head(name).await?;
            let item = self.item(name).await?;
            if head
                .as_ref()
                .map_or(item.is_none(), |head| is_of(head, item.as_ref()))
            {
                return Ok(false);
            }
            let exists = item.as_ref().map(|_| self.expect_item(name)).transpose();
            let exists = exists.map_err(|error| failed("index", name.as_str(), error))?;
            let change = Change {
                name,
                item: item.as_ref(),
                with: exists.into_iter().collect(),
            };
            if self.write_after(head.as_ref(), &change).await? == Some(Outcome::Recorded) {
                return Ok(true);
            }
        }
        Err(self.changing(name))
    }

    fn changing(&self, name: &ObjectKey) -> CatalogueError {
        failed("write", name.as_str(), "others change it all the time")
    }

    async fn head(&self, name: &ObjectKey) -> Result<Option<Head>, CatalogueError> {
        let get = self.client.get_item().table_name(&self.tables.index);
        let get = get.set_key(Some(entry::key(ALL, name.as_str())));
        let output = get.consistent_read(true).send().await;
        let output = output.map_err(|error| {
            failed("read the index of", name.as_str(), ServiceError::of(&error))
        })?;
        output.item.as_ref().map(Head::read).transpose()
    }

    async fn item(&self, name: &ObjectKey) -> Result<Option<MediaItem>, CatalogueError> {
        let item = self.get(&self.tables.media, name).await?;
        item.as_ref().map(to_item).transpose()
    }

    /// `None` if the head is not the one that was read.
    async fn write_after(
        &self,
        head: Option<&Head>,
        change: &Change<'_>,
    ) -> Result<Option<Outcome>, CatalogueError> {
        let lists = change.lists();
        let written = lists.keys().collect::<BTreeSet<_>>();
        let had = head
            .map(|head| head.lists.iter().collect())
            .unwrap_or_default();
        let entries = written.union(&had).count().max(1);
        let note = usize::from(head.is_some_and(|head| head.is_unfinished));
        let labels = change.item.map(|item| item.labels.as_slice());
        let label_bytes: usize = labels.unwrap_or_default().iter().map(String::len).sum();
        if change.with.len() + entries + note <= WRITES_MAX
            && label_bytes * lists.len() <= LABEL_BYTES_MAX
        {
            self.write_at_once(head, change, lists).await
        } else {
            self.write_in_steps(head, change, lists).await
        }
    }

    async fn write_at_once(
        &self,
        head: Option<&Head>,
        change: &Change<'_>,
        mut lists: BTreeMap<String, Option<String>>,
    ) -> Result<Option<Outcome>, CatalogueError> {
        let name = change.name;
        let had = head.map(|head| head.lists.as_slice()).unwrap_or_default();
        let gone: Vec<_> = had
            .iter()
            .filter(|list| *list != ALL && !lists.contains_key(*list))
            .collect();
        lists.remove(ALL);
        let writes = || -> Result<Vec<TransactWriteItem>, BuildError> {
            let mut writes = change.with.clone();
            let version = head.map(|head| head.version.as_str());
            let new_head = change.item.map(|item| Head::whole(item, &new_version()));
            writes.push(self.write_head(name, version, new_head)?);
            for (list, label) in &lists {
                if let Some(item) = change.item {
                    writes.push(self.put_entry(entry::whole(item, list, label.as_deref()))?);
                }
            }
            for list in gone {
                writes.push(self.delete_entry(list, name)?);
            }
            if head.is_some_and(|head| head.is_unfinished) {
                writes.push(self.delete_entry(UNFINISHED_LIST, name)?);
            }
            Ok(writes)
        };
        if self.transact_entries(name, writes()).await? {
            return Ok(Some(Outcome::Recorded));
        }
        // Either the head has changed, or a condition of the change does not hold.
        let now = self.head(name).await?;
        Ok((now.as_ref() == head).then_some(Outcome::Superseded))
    }

    async fn write_in_steps(
        &self,
        head: Option<&Head>,
        change: &Change<'_>,
        lists: BTreeMap<String, Option<String>>,
    ) -> Result<Option<Outcome>, CatalogueError> {
        let name = change.name;
        let had = head.map(|head| head.lists.as_slice()).unwrap_or_default();
        let has_bare = |list: &String| {
            head.is_some_and(|head| head.labels.is_none() && !head.is_unfinished)
                && had.contains(list)
        };
        let mut all: BTreeMap<String, Option<String>> =
            had.iter().map(|list| (list.clone(), None)).collect();
        all.extend(lists);
        all.entry(ALL.to_owned()).or_default();

        let begun = new_version();
        let begin = || -> Result<Vec<TransactWriteItem>, BuildError> {
            let version = head.map(|head| head.version.as_str());
            let new_head = Head::bare(name, &begun, all.keys(), true);
            let mut note = entry::key(UNFINISHED_LIST, name.as_str());
            let since = AttributeValue::N(seconds_since_epoch().to_string());
            note.insert("since".into(), since);
            Ok(vec![
                self.write_head(name, version, Some(new_head))?,
                self.put_entry(note)?,
            ])
        };
        if !self.transact_entries(name, begin()).await? {
            return Ok(None);
        }

        let missing: Vec<_> = all
            .iter()
            .filter(|(list, _)| *list != ALL && !has_bare(list))
            .map(|(list, label)| self.put_entry(entry::bare(name, list, label.as_deref())))
            .collect();
        if !self.transact_chunks(name, &begun, missing).await? {
            return Ok(None);
        }

        let committed = new_version();
        let commit = || -> Result<Vec<TransactWriteItem>, BuildError> {
            let new_head = Head::bare(name, &committed, all.keys(), true);
            let mut writes = vec![self.write_head(name, Some(&begun), Some(new_head))?];
            writes.extend(change.with.iter().cloned());
            Ok(writes)
        };
        let (outcome, version) = if self.transact_entries(name, commit()).await? {
            (Outcome::Recorded, committed)
        } else if self
            .head(name)
            .await?
            .is_some_and(|head| head.version == begun)
        {
            (Outcome::Superseded, begun)
        } else {
            return Ok(None);
        };
        self.finish(name, version, &all).await?;
        Ok(Some(outcome))
    }

    /// Steps 4 and 5, of a name whose head has this version, and all of whose entries are bare and in
    /// these lists. Whoever has changed the head since does it in our place.
    async fn finish(
        &self,
        name: &ObjectKey,
        mut version: String,
        has: &BTreeMap<String, Option<String>>,
    ) -> Result<(), CatalogueError> {
        let item = self.item(name).await?;
        let lists = lists_of(item.as_ref());
        let missing: Vec<_> = lists
            .iter()
            .filter(|(list, _)| !has.contains_key(*list))
            .collect();
        if !missing.is_empty() {
            // An item that the index did not have, and whose change was superseded.
            let all = || has.keys().chain(missing.iter().map(|(list, _)| *list));
            let next = new_version();
            let head = self.write_head(
                name,
                Some(&version),
                Some(Head::bare(name, &next, all(), true)),
            );
            if !self
                .transact_entries(name, head.map(|head| vec![head]))
                .await?
            {
                return Ok(());
            }
            version = next;
            let missing = missing
                .iter()
                .map(|(list, label)| self.put_entry(entry::bare(name, list, label.as_deref())));
            if !self
                .transact_chunks(name, &version, missing.collect())
                .await?
            {
                return Ok(());
            }
        }
        let gone = has
            .keys()
            .filter(|list| *list != ALL && !lists.contains_key(*list));
        let gone = gone.map(|list| self.delete_entry(list, name)).collect();
        if !self.transact_chunks(name, &version, gone).await? {
            return Ok(());
        }
        let end = || -> Result<Vec<TransactWriteItem>, BuildError> {
            let head = item
                .as_ref()
                .map(|_| Head::bare(name, &new_version(), lists.keys(), false));
            Ok(vec![
                self.write_head(name, Some(&version), head)?,
                self.delete_entry(UNFINISHED_LIST, name)?,
            ])
        };
        self.transact_entries(name, end()).await.map(drop)
    }

    /// Does these writes in as many transactions as they need, each on the condition that the head has
    /// this version. Whether it had.
    async fn transact_chunks(
        &self,
        name: &ObjectKey,
        version: &str,
        writes: Vec<Result<TransactWriteItem, BuildError>>,
    ) -> Result<bool, CatalogueError> {
        let writes: Result<Vec<_>, _> = writes.into_iter().collect();
        let writes = writes.map_err(|error| failed("index", name.as_str(), error))?;
        for chunk in writes.chunks(WRITES_MAX - 1) {
            let writes = self.expect_head(name, version).map(|check| {
                let mut writes = vec![check];
                writes.extend(chunk.iter().cloned());
                writes
            });
            if !self.transact_entries(name, writes).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all conditions held, and all was written.
    async fn transact_entries(
        &self,
        name: &ObjectKey,
        writes: Result<Vec<TransactWriteItem>, BuildError>,
    ) -> Result<bool, CatalogueError> {
        let writes = writes.map_err(|error| failed("write", name.as_str(), error))?;
        let outcome = transact_write(&self.client, &writes).await;
        let outcome = outcome.map_err(|error| failed("write", name.as_str(), error))?;
        Ok(outcome == dynamodb::Outcome::Written)
    }

    fn put_entry(&self, entry: Attributes) -> Result<TransactWriteItem, BuildError> {
        let put = Put::builder().table_name(&self.tables.index);
        let put = put.set_item(Some(entry)).build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete_entry(&self, list: &str, name: &ObjectKey) -> Result<TransactWriteItem, BuildError> {
        let delete = Delete::builder().table_name(&self.tables.index);
        let delete = delete
            .set_key(Some(entry::key(list, name.as_str())))
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Puts the head, or deletes it, if its version is this, or if there is none.
    fn write_head(
        &self,
        name: &ObjectKey,
        version: Option<&str>,
        head: Option<Attributes>,
    ) -> Result<TransactWriteItem, BuildError> {
        let condition = match version {
            Some(_) => "#version = :version",
            None => "attribute_not_exists(#version)",
        };
        let version = version.map(|version| Attributes::from([(":version".into(), text(version))]));
        let write = TransactWriteItem::builder();
        Ok(if let Some(head) = head {
            let put = Put::builder()
                .table_name(&self.tables.index)
                .set_item(Some(head))
                .condition_expression(condition)
                .expression_attribute_names("#version", VERSION)
                .set_expression_attribute_values(version);
            write.put(put.build()?).build()
        } else {
            let delete = Delete::builder()
                .table_name(&self.tables.index)
                .set_key(Some(entry::key(ALL, name.as_str())))
                .condition_expression(condition)
                .expression_attribute_names("#version", VERSION)
                .set_expression_attribute_values(version);
            write.delete(delete.build()?).build()
        })
    }

    fn expect_head(
        &self,
        name: &ObjectKey,
        version: &str,
    ) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.index)
            .set_key(Some(entry::key(ALL, name.as_str())))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", text(version));
        Ok(TransactWriteItem::builder()
            .condition_check(check.build()?)
            .build())
    }
}

/// Whether a head, and so all entries, are those of the item.
fn is_of(head: &Head, item: Option<&MediaItem>) -> bool {
    let Some(item) = item else { return false };
    !head.is_unfinished
        && match &head.labels {
            Some(labels) => *labels == item.labels,
            None => head.lists.iter().eq(lists::of_labels(&item.labels).keys()),
        }
}

/// A version that no head has had.
fn new_version() -> String {
    Uuid::new_v4().simple().to_string()
}
