//! Tables: their indexes, the filters of their streams, and counts that follow them.
use std::collections::BTreeMap;
use std::fs;

use acceptance::Stage;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Calls of DynamoDB by a user of the stage.
struct Tables<'a> {
    stage: &'a Stage,
    client: aws_sdk_dynamodb::Client,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Tables<'a> {
    fn of(stage: &'a Stage) -> Self {
        Self {
            stage,
            client: stage.dynamodb(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn place(&self, id: &str, photo: Option<&str>, placed_at: u32) {
        let put = self.client.put_item();
        let put = put.table_name(self.stage.variable("ORDERS_TABLE_NAME"));
        let put = put
            .item("id", text(id))
            .item("placed_at", AttributeValue::N(placed_at.to_string()));
        let put = match photo {
            Some(photo) => put.item("photo", text(photo)),
            None => put,
        };
        self.runtime.block_on(put.send()).unwrap();
    }

    fn delete(&self, table: &str, key: &str, value: &str) {
        let delete = self.client.delete_item();
        let delete = delete.table_name(self.stage.variable(table));
        let delete = delete.key(key, text(value));
        self.runtime.block_on(delete.send()).unwrap();
    }

    fn items(&self, table: &str) -> Vec<BTreeMap<String, AttributeValue>> {
        let scan = self.client.scan();
        let scan = scan.table_name(self.stage.variable(table)).send();
        let items = self
            .runtime
            .block_on(scan)
            .unwrap()
            .items
            .unwrap_or_default();
        items
            .into_iter()
            .map(|item| item.into_iter().collect())
            .collect()
    }

    /// The counters that are not 0.
    fn counts(&self) -> BTreeMap<String, String> {
        let items = self.items("COUNTS_TABLE_NAME").into_iter();
        let counts = items.map(|item| {
            let counter = item["counter"].as_s().unwrap().clone();
            (counter, item["count"].as_n().unwrap().clone())
        });
        counts.filter(|(_, count)| count != "0").collect()
    }
}

fn counts<const N: usize>(counts: [(&str, &str); N]) -> BTreeMap<String, String> {
    let counts = counts.map(|(counter, count)| (counter.to_owned(), count.to_owned()));
    counts.into()
}

#[test]
fn items_are_found_by_an_index_and_counted() {
    let stage = Stage::start();
    let tables = Tables::of(&stage);

    // By number, where texts have another order.
    for (id, placed_at) in [("a", 100), ("b", 9), ("c", 10)] {
        tables.place(id, Some("cat"), placed_at);
    }
    tables.place("d", Some("dog"), 1);
    tables.place("e", None, 2);
    let first = stage.get("ORDERS_URL", "/orders?photo=cat&limit=2");
    let cat = |id: &str| json!({"id": id, "photo": "cat"});
    assert_eq!(first.json(), json!([cat("b"), cat("c")]));
    let cursor = first.header("next-cursor").unwrap();
    let rest = format!("/orders?photo=cat&limit=2&cursor={cursor}");
    let rest = stage.get("ORDERS_URL", &rest);
    assert_eq!(rest.json(), json!([cat("a")]));
    assert_eq!(rest.header("next-cursor"), None);

    stage.xtask_ok(&["wait"]);
    assert_eq!(tables.counts(), counts([("cat", "3"), ("dog", "1")]));
    // The filter keeps the order of nothing from the function.
    assert_eq!(tables.items("LEDGER_TABLE_NAME").len(), 4);

    tables.place("b", Some("dog"), 9);
    tables.place("c", None, 10);
    tables.delete("ORDERS_TABLE_NAME", "id", "d");
    stage.xtask_ok(&["wait"]);
    let expected = counts([("cat", "1"), ("dog", "1")]);
    assert_eq!(tables.counts(), expected);

    // As if all orders had been there before the stream.
    for item in tables.items("LEDGER_TABLE_NAME") {
        let item = item["item"].as_s().unwrap();
        tables.delete("LEDGER_TABLE_NAME", "item", item);
    }
    for counter in ["cat", "dog"] {
        tables.delete("COUNTS_TABLE_NAME", "counter", counter);
    }
    let event = stage.directory().join("recount.json");
    fs::write(&event, json!({"recount": {}}).to_string()).unwrap();
    for _ in 0..2 {
        let event = event.to_str().unwrap();
        let recounted = stage.xtask_ok(&["invoke", "count-orders", "--payload", event]);
        let recounted: Value = serde_json::from_str(&recounted).unwrap();
        assert_eq!(recounted["recount"], Value::Null, "{recounted}");
        assert_eq!(tables.counts(), expected);
    }
    assert_eq!(stage.failed_events("count-orders"), 0);
}
