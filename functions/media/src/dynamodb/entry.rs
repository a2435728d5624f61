//! Items of the index table: what each list holds of a name.
//!
//! The partition key is `list`, the sort key `name`, so a list is read in the order of names. The
//! secondary index [`BY_TYPE`] has the same items by `typed_list` and `name`.
//!
//! An entry is _whole_ or _bare_. A whole one has all that a listing shows: `type` and `labels`. A
//! bare one only says that the name may be in the list, and whoever reads it looks at the item. Items
//! with so many labels that one transaction cannot write all entries have bare ones.
//!
//! The entry in the list of all items is the [`Head`]: from it follows which entries the name has.

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Attributes, text};
use runtime::s3::ObjectKey;

use super::item::{text_of, texts_of};
use crate::catalogue::{CatalogueError, MediaItem};
use crate::lists::{self, ALL};
use crate::media_type::MediaType;

/// The secondary index of the index table.
pub(super) const BY_TYPE: &str = "by-type";
/// Partition key of the index table.
pub(super) const LIST: &str = "list";
/// Sort key of the index table and of [`BY_TYPE`].
pub(super) const NAME: &str = "name";
/// Partition key of [`BY_TYPE`].
pub(super) const TYPED_LIST: &str = "typed_list";
/// The head's version, other after each write.
pub(super) const VERSION: &str = "version";
/// A whole entry's labels.
const LABELS: &str = "labels";
/// A bare head's lists.
const LISTS: &str = "lists";
/// Of a head: the writing in steps that has not ended is that of this version.
const UNFINISHED: &str = "unfinished";

/// The list of names whose writing in steps has begun and not ended.
pub(super) const UNFINISHED_LIST: &str = "unfinished";
/// The list of what the backfill remembers.
pub(super) const BACKFILL_LIST: &str = "backfill";

/// The key of an entry.
pub(super) fn key(list: &str, name: &str) -> Attributes {
    Attributes::from([(LIST.into(), text(list)), (NAME.into(), text(name))])
}

/// An entry that says that the name may be in the list.
pub(super) fn bare(name: &ObjectKey, list: &str, label: Option<&str>) -> Attributes {
    let mut entry = key(list, name.as_str());
    if let Some(media_type) = MediaType::of(name) {
        let typed_list = lists::of_type(media_type, list);
        entry.insert(TYPED_LIST.into(), text(typed_list));
    }
    entry.extend(label.map(|label| ("label".into(), text(label))));
    entry
}

/// An entry with all that a listing shows of the item.
pub(super) fn whole(item: &MediaItem, list: &str, label: Option<&str>) -> Attributes {
    let mut entry = bare(&item.name, list, label);
    let typed_list = lists::of_type(item.media_type, list);
    entry.insert(TYPED_LIST.into(), text(typed_list));
    entry.insert("type".into(), text(item.media_type.as_str()));
    let labels = item.labels.iter().map(text).collect();
    entry.insert(LABELS.into(), AttributeValue::L(labels));
    entry
}

/// Whether an entry is bare.
pub(super) fn is_bare(entry: &Attributes) -> bool {
    !entry.contains_key(LABELS)
}

/// What the list of all items says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Another one after each write.
    pub(super) version: String,
    /// All lists that have an entry of the name. While a writing in steps has not ended, those that
    /// may have one.
    pub(super) lists: Vec<String>,
    /// The item's labels, if the name's entries are whole.
    pub(super) labels: Option<Vec<String>>,
    /// Whether a writing in steps has not ended.
    pub(super) is_unfinished: bool,
}

impl Head {
    /// Reads the entry in the list of all items.
    pub(super) fn read(entry: &Attributes) -> Result<Self, CatalogueError> {
        let labels = (!is_bare(entry))
            .then(|| texts_of(entry, LABELS))
            .transpose()?;
        let lists = match &labels {
            Some(labels) => lists::of_labels(labels).into_keys().collect(),
            None => texts_of(entry, LISTS)?,
        };
        Ok(Self {
            version: text_of(entry, VERSION)?.to_owned(),
            lists,
            labels,
            is_unfinished: entry.contains_key(UNFINISHED),
        })
    }

    /// The head of an item whose entries are whole.
    pub(super) fn whole(item: &MediaItem, version: &str) -> Attributes {
        let mut entry = whole(item, ALL, None);
        entry.insert(VERSION.into(), text(version));
        entry
    }

    /// The head of a name whose entries are bare, and in no other lists than these.
    pub(super) fn bare<'a>(
        name: &ObjectKey,
        version: &str,
        lists: impl Iterator<Item = &'a String>,
        is_unfinished: bool,
    ) -> Attributes {
        let mut entry = bare(name, ALL, None);
        entry.insert(VERSION.into(), text(version));
        entry.insert(LISTS.into(), AttributeValue::L(lists.map(text).collect()));
        if is_unfinished {
            entry.insert(UNFINISHED.into(), AttributeValue::Bool(true));
        }
        entry
    }
}
