//! Listings, in the order of names.
//!
//! Every combination of filters is one `Query`: the label, or its absence, chooses the list; the type
//! the secondary index; and the beginning of the name is a condition on the sort key. So a page costs
//! what its items cost, however many there are in the catalogue.
//!
//! As long as the index may lack items (see [`super::Backfill`]), a page is found by reading the whole
//! media table. It has the same items in the same order, so cursors of one way are good for the other.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Attributes, query_page, text};
use runtime::s3::{MAX_KEY_BYTES, ObjectKey};
use runtime::service_error::ServiceError;
use sha2::{Digest, Sha256};

use super::DynamoCatalogue;
use super::backfill::is_complete;
use super::entry::{self, BY_TYPE, LIST, NAME, TYPED_LIST};
use super::item::{failed, key_of, to_item, to_name};
use crate::catalogue::{CatalogueError, MediaItem};
use crate::lists::{self, ALL};
use crate::media_type::MediaType;

/// Bytes of names and labels in a page. An answer of a Lambda function has 6 MB, as JSON.
const PAGE_BYTES_MAX: usize = 3_000_000;

/// Which items to list. Every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name begins with this text.
    pub name_prefix: Option<String>,
    /// The file is of this kind.
    pub media_type: Option<MediaType>,
    /// One of the labels is this, in upper or lower case.
    pub label: Option<String>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The items, in the order of their names' bytes.
    pub items: Vec<MediaItem>,
    /// Where the next page starts: after this name. `None` after the last page.
    pub next: Option<ObjectKey>,
}

impl Filter {
    /// A short text that tells this filter from others. Filters that list the same have the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let label = self.label.as_deref().map(lists::folded);
        let media_type = self.media_type.map(MediaType::as_str);
        let mut hash = Sha256::new();
        for part in [self.name_prefix.as_deref(), media_type, label.as_deref()] {
            hash.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..4])
    }

    /// The list that has the items, unless no item can pass the filter.
    fn list(&self) -> Option<String> {
        let prefix = self.name_prefix.as_deref().unwrap_or_default();
        if prefix.len() > MAX_KEY_BYTES {
            return None;
        }
        match &self.label {
            Some(label) => lists::of_label(label),
            None => Some(ALL.to_owned()),
        }
    }
}

impl DynamoCatalogue {
    /// Up to `limit` items that pass the filter, from the one after `after` on, which must be
    /// [`Page::next`] of the same filter.
    ///
    /// A page with fewer items than `limit` is the last one, with two exceptions: one with more than
    /// 3 MB of labels is cut, and an item with more than 97 labels that is being written may be
    /// missing.
    ///
    /// Writes of the last moments may be missing (the reads are eventually consistent).
    pub async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<&ObjectKey>,
    ) -> Result<Page, CatalogueError> {
        let Some(list) = filter.list() else {
            let items = Vec::new();
            return Ok(Page { items, next: None });
        };
        if self.is_indexed().await? {
            self.list_by_index(filter, &list, limit, after).await
        } else {
            self.list_by_scan(filter, &list, limit, after).await
        }
    }

    async fn is_indexed(&self) -> Result<bool, CatalogueError> {
        if self.is_indexed.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_indexed = is_complete(&self.client, &self.tables.index).await?;
        self.is_indexed.store(is_indexed, Ordering::Relaxed);
        Ok(is_indexed)
    }

    async fn list_by_index(
        &self,
        filter: &Filter,
        list: &str,
        limit: usize,
        after: Option<&ObjectKey>,
    ) -> Result<Page, CatalogueError> {
        let after = after.map(|after| {
            let mut key = entry::key(list, after.as_str());
            key.extend(
                filter
                    .media_type
                    .map(|media_type| (TYPED_LIST.into(), text(lists::of_type(media_type, list)))),
            );
            key
        });
        let page = query_page(&self.query(filter, list), limit, after, fitting).await;
        let page = page.map_err(|error| failed("list", "the items", error))?;
        let is_bare = |found: &&Attributes| entry::is_bare(found);
        let bare = page.items.iter().filter(is_bare).map(to_name);
        let mut seen = self.find_all(&bare.collect::<Result<Vec<_>, _>>()?).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for found in &page.items {
            if entry::is_bare(found) {
                let item = seen.remove(&to_name(found)?);
                items.extend(item.filter(|item| lists::of_labels(&item.labels).contains_key(list)));
            } else {
                items.push(to_item(found)?);
            }
        }
        Ok(Page {
            items,
            next: page.next.as_ref().map(to_name).transpose()?,
        })
    }

    fn query(&self, filter: &Filter, list: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.tables.index);
        let (attribute, partition, query) = match filter.media_type {
            Some(media_type) => {
                let typed_list = lists::of_type(media_type, list);
                (TYPED_LIST, typed_list, query.index_name(BY_TYPE))
            }
            None => (LIST, list.to_owned(), query),
        };
        let query = query
            .expression_attribute_names("#list", attribute)
            .expression_attribute_values(":list", text(partition));
        match &filter.name_prefix {
            Some(prefix) => query
                .key_condition_expression("#list = :list AND begins_with(#name, :prefix)")
                .expression_attribute_names("#name", NAME)
                .expression_attribute_values(":prefix", text(prefix)),
            None => query.key_condition_expression("#list = :list"),
        }
    }

    /// The items of these names that there are, a few at a time.
    async fn find_all(
        &self,
        names: &[ObjectKey],
    ) -> Result<BTreeMap<ObjectKey, MediaItem>, CatalogueError> {
        let share = names.len().div_ceil(4).max(1);
        let shares: [&[ObjectKey]; 4] =
            std::array::from_fn(|at| names.chunks(share).nth(at).unwrap_or_default());
        let find = async |names: &[ObjectKey]| {
            let mut found = Vec::new();
            for name in names {
                let get = self.client.get_item().table_name(&self.tables.media);
                let output = get.set_key(Some(key_of(name))).send().await;
                let output = output
                    .map_err(|error| failed("read", name.as_str(), ServiceError::of(&error)))?;
                found.extend(output.item.as_ref().map(to_item).transpose()?);
            }
            Ok::<_, CatalogueError>(found)
        };
        let [a, b, c, d] = shares;
        let (a, b, c, d) = tokio::try_join!(find(a), find(b), find(c), find(d))?;
        let found = [a, b, c, d].into_iter().flatten();
        Ok(found.map(|item| (item.name.clone(), item)).collect())
    }

    /// As [`list_by_index`](Self::list_by_index), from the media table: all of it, for each page.
    async fn list_by_scan(
        &self,
        filter: &Filter,
        list: &str,
        limit: usize,
        after: Option<&ObjectKey>,
    ) -> Result<Page, CatalogueError> {
        let mut found = self.scan(filter).into_paginator().items().send();
        // The least names so far, and how large each item is.
        let mut least = BTreeMap::new();
        while let Some(attributes) = found.next().await {
            let attributes = attributes
                .map_err(|error| failed("list", "the items", ServiceError::of(&error)))?;
            let item = to_item(&attributes)?;
            if after.is_none_or(|after| item.name > *after)
                && lists::of_labels(&item.labels).contains_key(list)
            {
                least.insert(item.name.clone(), (bytes(&attributes), item));
                if least.len() > limit + 1 {
                    least.pop_last();
                }
            }
        }
        let sizes: Vec<_> = least.values().map(|(bytes, _)| *bytes).collect();
        let is_whole = least.len() <= limit;
        let length = fitting_sizes(sizes.into_iter().take(limit));
        let is_last = is_whole && length == least.len();
        let items = least.into_values().map(|(_, item)| item).take(length);
        let items: Vec<_> = items.collect();
        let last = items.last().map(|item| item.name.clone());
        let next = last.filter(|_| !is_last);
        Ok(Page { items, next })
    }

    fn scan(&self, filter: &Filter) -> ScanFluentBuilder {
        let mut scan = self.client.scan().table_name(&self.tables.media);
        let mut conditions = Vec::new();
        if let Some(prefix) = &filter.name_prefix {
            conditions.push("begins_with(#name, :prefix)");
            scan = scan
                .expression_attribute_names("#name", "name")
                .expression_attribute_values(":prefix", text(prefix));
        }
        if let Some(media_type) = filter.media_type {
            conditions.push("#type = :type");
            scan = scan
                .expression_attribute_names("#type", "type")
                .expression_attribute_values(":type", text(media_type.as_str()));
        }
        scan.set_filter_expression((!conditions.is_empty()).then(|| conditions.join(" AND ")))
    }
}

/// How many of these fit into a page, one at least.
fn fitting(found: &[Attributes]) -> usize {
    fitting_sizes(found.iter().map(bytes))
}

fn fitting_sizes(sizes: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let fits = |size: &usize| {
        total += size;
        total <= PAGE_BYTES_MAX
    };
    sizes.take_while(fits).count().max(1)
}

/// The bytes of a name and its labels. A bare entry has the names of the labels' lists.
fn bytes(attributes: &Attributes) -> usize {
    let values = attributes.values().map(|value| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::L(texts) => {
            let texts = texts.iter().filter_map(|text| text.as_s().ok());
            texts.map(|text| text.len() + 3).sum()
        }
        _ => 0,
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_list_the_same_have_the_same_fingerprint_and_others_another() {
        let filter = |prefix: Option<&str>, media_type, label: Option<&str>| Filter {
            name_prefix: prefix.map(String::from),
            media_type,
            label: label.map(String::from),
        };
        let cat = filter(None, None, Some("Cat")).fingerprint();
        assert_eq!(cat, filter(None, None, Some("cat")).fingerprint());
        let filters = [
            filter(None, None, None),
            filter(Some("cat"), None, None),
            filter(None, None, Some("cat")),
            filter(None, Some(MediaType::Image), None),
            filter(None, Some(MediaType::Video), None),
            filter(Some("c"), None, Some("at")),
        ];
        let fingerprints: std::collections::BTreeSet<_> =
            filters.iter().map(Filter::fingerprint).collect();
        assert_eq!(fingerprints.len(), filters.len());
    }

    #[test]
    fn a_page_is_cut_before_it_is_too_large_and_has_one_item() {
        let sizes = |sizes: &[usize]| fitting_sizes(sizes.iter().copied());
        assert_eq!(sizes(&[1, 2, 3]), 3);
        assert_eq!(sizes(&[PAGE_BYTES_MAX - 1, 1, 1]), 2);
        assert_eq!(sizes(&[PAGE_BYTES_MAX + 1, 1]), 1);
    }
}
