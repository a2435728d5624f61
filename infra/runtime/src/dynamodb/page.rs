//! Listings that come in pages.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::attribute::Attributes;
use crate::service_error::ServiceError;

/// How much one page reads: pages of DynamoDB's, of 1 MB, so about 1300 read units, and a few
/// seconds of a call of an HTTP API that may last 30.
pub const MAX_SCANNED_PAGES: usize = 10;

/// A part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items, in the table's order.
    pub items: Vec<Attributes>,
    /// Attributes with the key after which the next page starts. `None` after the last page.
    pub next: Option<Attributes>,
}

/// [`fill`] by a `Scan` or a `Query`, which are built alike and are of different types.
macro_rules! fill {
    ($request:ident, $limit:ident, $after:ident, $fitting:ident) => {{
        let is_filtered = $request.get_filter_expression().is_some();
        fill(
            $limit,
            is_filtered,
            $after,
            $fitting,
            async |wanted, start| {
                let read = $request
                    .clone()
                    .set_limit(wanted)
                    .set_exclusive_start_key(start);
                let output = read.send().await;
                let output = output.map_err(|error| ServiceError::of(&error))?;
                let items = output.items.unwrap_or_default();
                Ok((items, output.last_evaluated_key))
            },
        )
        .await
    }};
}

/// Up to `limit` items that `scan` finds, from the one after the key `after` on. Of the items for
/// one page, `fitting` says how many it may have, for instance by their size: one at least.
///
/// DynamoDB filters what it has read, a megabyte at a time. This reads on until the page is full
/// or the table ends. So a page with fewer items than `limit` is the last one, unless `fitting`
/// has cut it, or unless it reached [`MAX_SCANNED_PAGES`]: then it may have fewer items, even
/// none, with more to come.
pub async fn scan_page(
    scan: &ScanFluentBuilder,
    limit: usize,
    after: Option<Attributes>,
    fitting: impl Fn(&[Attributes]) -> usize,
) -> Result<Page, ServiceError> {
    fill!(scan, limit, after, fitting)
}

/// Up to `limit` items that `query` finds in a partition of a table or an index, as [`scan_page`]
/// finds them in the whole. The next page of an index starts after the attributes of the index's
/// key and of the table's: see [`PageKey`].
pub async fn query_page(
    query: &QueryFluentBuilder,
    limit: usize,
    after: Option<Attributes>,
    fitting: impl Fn(&[Attributes]) -> usize,
) -> Result<Page, ServiceError> {
    fill!(query, limit, after, fitting)
}

/// A page out of what `read` finds: so many items at most, from the one after a key on, with the
/// key at which it stopped.
async fn fill(
    limit: usize,
    is_filtered: bool,
    after: Option<Attributes>,
    fitting: impl Fn(&[Attributes]) -> usize,
    read: impl AsyncFn(
        Option<i32>,
        Option<Attributes>,
    ) -> Result<(Vec<Attributes>, Option<Attributes>), ServiceError>,
) -> Result<Page, ServiceError> {
    let mut items: Vec<Attributes> = Vec::new();
    let mut start = after;
    for _ in 0..MAX_SCANNED_PAGES {
        // Without a filter, no item is read in vain: one more than asked for tells whether
        // another page follows.
        let wanted = i32::try_from(limit + 1 - items.len()).unwrap_or(i32::MAX);
        let (found, last) = read((!is_filtered).then_some(wanted), start.take()).await?;
        items.extend(found);
        start = last;
        let length = fitting(&items[..items.len().min(limit)]).max(1);
        if length < items.len() {
            items.truncate(length);
            let next = items.last().cloned();
            return Ok(Page { items, next });
        }
        if start.is_none() {
            break;
        }
    }
    Ok(Page { items, next: start })
}

/// The attributes by which a listing is continued: those of the table's key, and of an index's if it
/// is one of an index. They are strings, numbers or bytes.
///
/// ```
/// use runtime::dynamodb::{Attributes, PageKey, text};
///
/// const ORDERS_OF_A_DAY: PageKey = PageKey(&["day", "id"]);
///
/// let order = Attributes::from(["day", "id", "status"].map(|name| (name.into(), text("1"))));
/// let cursor = ORDERS_OF_A_DAY.to_text(&order).unwrap();
/// assert_eq!(cursor, r#"{"day":{"S":"1"},"id":{"S":"1"}}"#);
/// assert_eq!(ORDERS_OF_A_DAY.parse(&cursor).unwrap().len(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageKey(pub &'static [&'static str]);

impl PageKey {
    /// The key in an item, or in [`Page::next`]. `None` if that lacks an attribute of it.
    pub fn of(self, item: &Attributes) -> Option<Attributes> {
        let attributes = self.0.iter().map(|name| {
            let value = item.get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        attributes.collect()
    }

    /// The key in an item as a text: the same one for the same key, for cursors and for names of
    /// items. `None` if the item lacks an attribute of it, or has one of another type.
    pub fn to_text(self, item: &Attributes) -> Option<String> {
        let attributes = self.0.iter().map(|name| {
            let value = match item.get(*name)? {
                AttributeValue::S(text) => json!({"S": text}),
                AttributeValue::N(number) => json!({"N": number}),
                AttributeValue::B(bytes) => json!({"B": STANDARD.encode(bytes)}),
                _ => return None,
            };
            Some(((*name).to_owned(), value))
        });
        let attributes: BTreeMap<String, Value> = attributes.collect::<Option<_>>()?;
        serde_json::to_string(&attributes).ok()
    }

    /// The key that a text of [`to_text`](Self::to_text) holds; `None` if it holds another one.
    pub fn parse(self, text: &str) -> Option<Attributes> {
        let attributes: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(text).ok()?;
        let is_whole = attributes.len() == self.0.len();
        let attributes = self.0.iter().map(|name| {
            let mut value = attributes.get(*name)?.iter();
            let (Some((kind, value)), None) = (value.next(), value.next()) else {
                return None;
            };
            let value = match kind.as_str() {
                "S" => AttributeValue::S(value.clone()),
                "N" => AttributeValue::N(value.clone()),
                "B" => AttributeValue::B(Blob::new(STANDARD.decode(value).ok()?)),
                _ => return None,
            };
            Some(((*name).to_owned(), value))
        });
        attributes.collect::<Option<_>>().filter(|_| is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::{client, text};
    use crate::testing::Wire;

    fn found(ids: &[&str], last: Option<&str>) -> (u16, Value) {
        let items: Vec<_> = ids
            .iter()
            .map(|id| json!({"id": {"S": id}, "status": {"S": "paid"}}))
            .collect();
        let mut output = json!({"Items": items});
        if let Some(last) = last {
            output["LastEvaluatedKey"] = json!({"id": {"S": last}});
        }
        (200, output)
    }

    fn id(attributes: &Attributes) -> String {
        attributes["id"].as_s().unwrap().clone()
    }

    /// The ids of a page, and that after which the next starts.
    async fn listed(
        wire: &Wire,
        limit: usize,
        after: Option<&str>,
        fitting: impl Fn(&[Attributes]) -> usize,
    ) -> (Vec<String>, Option<String>) {
        let scan = client(&wire.aws()).scan().table_name("orders");
        let after = after.map(|id| Attributes::from([("id".into(), text(id))]));
        let page = scan_page(&scan, limit, after, fitting).await.unwrap();
        let ids = page.items.iter().map(id).collect();
        (ids, page.next.as_ref().map(id))
    }

    fn ids(ids: &[&str], next: Option<&str>) -> (Vec<String>, Option<String>) {
        let ids = ids.iter().map(ToString::to_string).collect();
        (ids, next.map(String::from))
    }

    #[tokio::test]
    async fn pages_are_filled_across_scans() {
        let wire = Wire::new([found(&["a", "b"], Some("x")), found(&["c", "d"], Some("y"))]);
        let page = listed(&wire, 3, Some("_"), <[_]>::len).await;
        assert_eq!(page, ids(&["a", "b", "c"], Some("c")));
        let requests = wire.requests();
        assert_eq!(
            requests[0].1,
            json!({
                "TableName": "orders",
                "Limit": 4,
                "ExclusiveStartKey": {"id": {"S": "_"}},
            })
        );
        assert_eq!(
            requests[1].1["ExclusiveStartKey"],
            json!({"id": {"S": "x"}})
        );
        assert_eq!(requests[1].1["Limit"], 2);
    }

    #[tokio::test]
    async fn a_page_that_ends_with_the_table_is_the_last() {
        let wire = Wire::new([found(&["a"], Some("a")), found(&["b"], None)]);
        let page = listed(&wire, 2, None, <[_]>::len).await;
        assert_eq!(page, ids(&["a", "b"], None));
    }

    #[tokio::test]
    async fn a_full_page_tells_whether_another_follows() {
        let wire = Wire::new([found(&["a", "b", "c"], Some("c"))]);
        let page = listed(&wire, 2, None, <[_]>::len).await;
        assert_eq!(page, ids(&["a", "b"], Some("b")));
    }

    #[tokio::test]
    async fn a_listing_reads_no_more_than_its_bound() {
        let wire = Wire::new((0..=MAX_SCANNED_PAGES).map(|_| found(&[], Some("z"))));
        let page = listed(&wire, 1, None, <[_]>::len).await;
        assert_eq!(page, ids(&[], Some("z")));
        assert_eq!(wire.requests().len(), MAX_SCANNED_PAGES);
    }

    #[tokio::test]
    async fn a_page_may_be_cut_but_has_one_item() {
        for (fitting, expected) in [
            (2, ids(&["a", "b"], Some("b"))),
            (0, ids(&["a"], Some("a"))),
        ] {
            let wire = Wire::new([found(&["a", "b", "c"], None)]);
            assert_eq!(listed(&wire, 10, None, |_| fitting).await, expected);
        }
        let wire = Wire::new([found(&["a"], None)]);
        assert_eq!(listed(&wire, 10, None, |_| 0).await, ids(&["a"], None));
    }

    #[tokio::test]
    async fn a_filtered_listing_reads_whole_pages() {
        let wire = Wire::new([found(&["a", "b", "c"], Some("z"))]);
        let scan = client(&wire.aws()).scan().table_name("orders");
        let scan = scan.filter_expression("#status = :paid");
        let page = scan_page(&scan, 2, None, <[_]>::len).await.unwrap();
        assert_eq!(page.items.len(), 2);
        assert_eq!(page.next.as_ref().map(id), Some("b".into()));
        assert_eq!(wire.requests()[0].1["Limit"], Value::Null);
    }

    #[tokio::test]
    async fn a_query_is_listed_as_a_scan_is() {
        let wire = Wire::new([found(&["a"], Some("a")), found(&["b", "c"], None)]);
        let query = client(&wire.aws()).query().table_name("orders");
        let query = query.index_name("by-status");
        let page = query_page(&query, 2, None, <[_]>::len).await.unwrap();
        assert_eq!(page.items.len(), 2);
        assert_eq!(page.next.as_ref().map(id), Some("b".into()));
        let requests = wire.requests();
        assert_eq!(requests[0].0, "DynamoDB_20120810.Query");
        assert_eq!(
            requests[1].1,
            json!({
                "TableName": "orders",
                "IndexName": "by-status",
                "Limit": 2,
                "ExclusiveStartKey": {"id": {"S": "a"}},
            })
        );
    }

    const KEY: PageKey = PageKey(&["status", "placed_at", "id"]);

    #[test]
    fn a_key_survives_its_text_and_leaves_the_rest_behind() {
        let mut order = Attributes::from([
            ("id".into(), AttributeValue::B(Blob::new(*b"\xff\0"))),
            ("placed_at".into(), AttributeValue::N("-1.5".into())),
            ("status".into(), text("pa\"id")),
        ]);
        let key = order.clone();
        order.insert("note".into(), text("secret"));
        let written = KEY.to_text(&order).unwrap();
        assert_eq!(KEY.parse(&written), Some(key.clone()));
        assert_eq!(KEY.of(&order), Some(key));
        order.remove("id");
        assert_eq!((KEY.of(&order), KEY.to_text(&order)), (None, None));
        order.insert("id".into(), AttributeValue::Bool(true));
        assert_eq!(KEY.to_text(&order), None);
    }

    #[test]
    fn a_text_of_another_key_is_none() {
        const ID: PageKey = PageKey(&["id"]);
        assert!(ID.parse(r#"{"id":{"S":"1"}}"#).is_some());
        for text in [
            "",
            "{}",
            r#"{"id":{"S":"1"},"status":{"S":"paid"}}"#,
            r#"{"name":{"S":"1"}}"#,
            r#"{"id":{"BOOL":"true"}}"#,
            r#"{"id":{"B":"%"}}"#,
            r#"{"id":{"S":"1","N":"1"}}"#,
            r#"{"id":{"S":1}}"#,
        ] {
            assert_eq!(ID.parse(text), None, "{text}");
        }
    }
}
