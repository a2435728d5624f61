//! Listings that come in pages.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;

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
    let is_filtered = scan.get_filter_expression().is_some();
    let mut items: Vec<Attributes> = Vec::new();
    let mut start = after;
    for _ in 0..MAX_SCANNED_PAGES {
        // Without a filter, no item is read in vain: one more than asked for tells whether
        // another page follows.
        let wanted = i32::try_from(limit + 1 - items.len()).unwrap_or(i32::MAX);
        let output = scan
            .clone()
            .set_limit((!is_filtered).then_some(wanted))
            .set_exclusive_start_key(start.take())
            .send()
            .await
            .map_err(|error| ServiceError::of(&error))?;
        items.extend(output.items.unwrap_or_default());
        start = output.last_evaluated_key;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::{client, text};
    use crate::testing::Wire;
    use serde_json::{Value, json};

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
}
