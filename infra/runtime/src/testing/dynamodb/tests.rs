use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use super::*;
use crate::dynamodb::{Attributes, Outcome, client, outcome, text, transact_write};

/// Orders by customer and id, and by status.
fn orders() -> (DynamoDb, Client) {
    let dynamodb = DynamoDb::default()
        .table("orders", &["customer", "id"])
        .index("orders", "by-status", &["status", "id"]);
    let client = client(&dynamodb.aws());
    (dynamodb, client)
}

fn order(customer: &str, id: &str, note: usize) -> Value {
    json!({
        "customer": {"S": customer},
        "id": {"S": id},
        "status": {"S": "paid"},
        "note": {"S": "x".repeat(note)},
    })
}

fn ids(items: &[Attributes]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["id"].as_s().unwrap().as_str())
        .collect()
}

#[tokio::test]
async fn a_query_is_in_order_and_goes_on_where_it_stopped() {
    let (dynamodb, client) = orders();
    for id in ["b2", "a", "b1", "b3", "c"] {
        dynamodb.put("orders", &order("ann", id, 0));
        dynamodb.put("orders", &order("bob", id, 0));
    }
    let query = client
        .query()
        .table_name("orders")
        .key_condition_expression("#customer = :customer AND begins_with(id, :prefix)")
        .expression_attribute_names("#customer", "customer")
        .expression_attribute_values(":customer", text("ann"))
        .expression_attribute_values(":prefix", text("b"));
    let first = query.clone().limit(2).send().await.unwrap();
    assert_eq!(ids(first.items()), ["b1", "b2"]);
    let last = first.last_evaluated_key;
    let second = query.clone().set_exclusive_start_key(last).send().await;
    let second = second.unwrap();
    assert_eq!(ids(second.items()), ["b3"]);
    assert_eq!(second.last_evaluated_key, None);

    let outside = Attributes::from([("customer".into(), text("ann")), ("id".into(), text("a"))]);
    let refused = query.set_exclusive_start_key(Some(outside)).send().await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn an_index_has_the_items_with_its_key() {
    let (dynamodb, client) = orders();
    for (customer, id) in [("bob", "2"), ("ann", "1"), ("ann", "3")] {
        dynamodb.put("orders", &order(customer, id, 0));
    }
    let paid = client
        .query()
        .table_name("orders")
        .index_name("by-status")
        .key_condition_expression("#status = :status")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":status", text("paid"));
    let first = paid.clone().limit(2).send().await.unwrap();
    assert_eq!(ids(first.items()), ["1", "2"]);
    let last = first.last_evaluated_key;
    assert_eq!(last.as_ref().unwrap().len(), 3);
    let second = paid.clone().set_exclusive_start_key(last).send().await;
    assert_eq!(ids(second.unwrap().items()), ["3"]);

    let delete = client.delete_item().table_name("orders");
    let delete = delete.key("customer", text("ann")).key("id", text("1"));
    delete.send().await.unwrap();
    assert_eq!(ids(paid.send().await.unwrap().items()), ["2", "3"]);
}

#[tokio::test]
async fn conditions_and_updates_are_followed() {
    let (dynamodb, client) = orders();
    let update = |number: &str, least: &str| {
        client
            .update_item()
            .table_name("orders")
            .key("customer", text("ann"))
            .key("id", text("1"))
            .update_expression("SET #note = :note ADD total :adds")
            .condition_expression(
                "attribute_not_exists(total) OR (total >= :least AND NOT #note = :no)",
            )
            .expression_attribute_names("#note", "note")
            .expression_attribute_values(":note", text("new"))
            .expression_attribute_values(":no", text("no"))
            .expression_attribute_values(":adds", AttributeValue::N(number.into()))
            .expression_attribute_values(":least", AttributeValue::N(least.into()))
    };
    for (adds, least, expected) in [
        ("5", "0", Outcome::Written),
        ("-2", "5", Outcome::Written),
        ("1", "5", Outcome::ConditionFailed),
    ] {
        let result = outcome(update(adds, least).send().await);
        assert_eq!(result, Ok(expected), "{adds}");
    }
    assert_eq!(dynamodb.items("orders")[0]["total"], json!({"N": "3"}));
}

#[tokio::test]
async fn a_transaction_writes_all_or_nothing() {
    let (dynamodb, client) = orders();
    let put = |id: &str, condition: Option<&str>| {
        let put = Put::builder().table_name("orders");
        let put = put.item("customer", text("ann")).item("id", text(id));
        let put = put.set_condition_expression(condition.map(String::from));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    let missing = Some("attribute_exists(id)");
    let outcome = transact_write(&client, &[put("1", None), put("2", missing)]).await;
    assert_eq!(outcome, Ok(Outcome::ConditionFailed));
    assert_eq!(dynamodb.items("orders"), [json!(null); 0]);
    let twice = transact_write(&client, &[put("1", None), put("1", None)]).await;
    assert!(twice.is_err());
    let many: Vec<_> = (0..101).map(|id| put(&id.to_string(), None)).collect();
    assert!(transact_write(&client, &many).await.is_err());
    assert_eq!(
        transact_write(&client, &many[..100]).await,
        Ok(Outcome::Written)
    );
    assert_eq!(dynamodb.items("orders").len(), 100);
}

/// The examples of "Read and write operations" in DynamoDB's developer guide, and its rules of sizes.
#[tokio::test]
async fn units_are_those_of_the_published_rules() {
    let (dynamodb, client) = orders();
    let get = |is_consistent| {
        let get = client.get_item().table_name("orders");
        let get = get.key("customer", text("ann")).key("id", text("1"));
        get.consistent_read(is_consistent).send()
    };
    let cost = || {
        let Units {
            reads,
            writes,
            index_writes,
            ..
        } = dynamodb.take_units();
        (reads, writes, index_writes)
    };
    get(true).await.unwrap();
    assert_eq!(cost(), (1.0, 0.0, 0.0), "an item that is not there");
    // 3 + 8 bytes of customer, 1 + 2 of id, 4 + 6 of status, and 4 of the note's name.
    dynamodb.put("orders", &order("ann", "1", 8 * 1024 - 28));
    get(true).await.unwrap();
    assert_eq!(cost(), (2.0, 0.0, 0.0));
    get(false).await.unwrap();
    assert_eq!(cost(), (1.0, 0.0, 0.0));
    dynamodb.put("orders", &order("ann", "1", 8 * 1024 - 27));
    get(true).await.unwrap();
    assert_eq!(cost(), (3.0, 0.0, 0.0));

    for id in 2..=9 {
        dynamodb.put("orders", &order("ann", &id.to_string(), 1500 - 28));
    }
    let query = client
        .query()
        .table_name("orders")
        .key_condition_expression("customer = :customer")
        .expression_attribute_values(":customer", text("ann"))
        .exclusive_start_key("customer", text("ann"))
        .exclusive_start_key("id", text("1"));
    query.send().await.unwrap();
    assert_eq!(
        cost(),
        (1.5, 0.0, 0.0),
        "12 000 bytes in all, not item by item"
    );

    let item = |note: usize| -> Attributes {
        let item = order("ann", "new", note);
        let item: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_value(item).unwrap();
        item.into_iter()
            .map(|(name, value)| (name, text(value["S"].clone())))
            .collect()
    };
    let put = |note| {
        client
            .put_item()
            .table_name("orders")
            .set_item(Some(item(note)))
            .send()
    };
    put(1024 - 30).await.unwrap();
    assert_eq!(cost(), (0.0, 1.0, 1.0), "the index gets the item too");
    put(1024 - 30).await.unwrap();
    assert_eq!(cost(), (0.0, 1.0, 0.0), "nothing changes in the index");
    put(1024 - 29).await.unwrap();
    assert_eq!(cost(), (0.0, 2.0, 2.0));
    put(0).await.unwrap();
    assert_eq!(
        cost(),
        (0.0, 2.0, 2.0),
        "the larger of before and after counts"
    );
    let put = Put::builder().table_name("orders").set_item(Some(item(0)));
    let put = TransactWriteItem::builder()
        .put(put.build().unwrap())
        .build();
    transact_write(&client, &[put]).await.unwrap();
    assert_eq!(cost(), (0.0, 2.0, 0.0), "a transaction costs twice");
    let delete = client.delete_item().table_name("orders");
    let delete = delete.key("customer", text("ann")).key("id", text("new"));
    delete.send().await.unwrap();
    assert_eq!(cost(), (0.0, 1.0, 1.0));
}

#[tokio::test]
async fn a_scan_reads_a_megabyte_at_a_time() {
    let (dynamodb, client) = orders();
    for id in 0..30 {
        dynamodb.put("orders", &order(&format!("customer {id}"), "1", 100_000));
    }
    let scan = client
        .scan()
        .table_name("orders")
        .filter_expression("begins_with(id, :none)");
    let scan = scan.expression_attribute_values(":none", text("2"));
    let mut pages = scan.into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        assert_eq!(page.unwrap().items(), []);
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(dynamodb.take_units().reads >= 30.0 * 100_000.0 / 8192.0);
}
