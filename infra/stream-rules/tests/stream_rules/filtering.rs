//! Which records a function gets.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::fixture::{Fixture, filters, item, names, numbered, records};

/// [filtering]: filters are ORed; what passes none is discarded, and the iterator advances.
pub(crate) async fn one_filter_has_to_match_and_the_others_are_done(fixture: &Fixture) {
    let table = fixture.table().await;
    for (name, colour) in [("a", "red"), ("b", "blue"), ("c", "green"), ("d", "red")] {
        table
            .put(item(name).with("colour", colour).with("fail", "always"))
            .await;
    }
    table.put(item("e").with("colour", "blue")).await;
    table.delete("e").await;
    let function = fixture.function("").await;
    let blue = json!({"dynamodb": {"NewImage": {"colour": {"S": ["blue"]}}}});
    let removed = json!({"eventName": ["REMOVE"]});
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .filter_criteria(filters(&[blue, removed]))
                .batch_size(1)
                .maximum_retry_attempts(0)
        })
        .await;
    let seen = function.wait_for(|seen| records(seen).len() >= 3).await;
    assert_eq!(names(&seen), ["b", "e", "e"]);
}

/// [filtering]: with a window, the filter decides for each record whether it is added to the
/// batch.
pub(crate) async fn filters_come_before_batches(fixture: &Fixture) {
    let table = fixture.table().await;
    for number in numbered(20) {
        table.put(item(&number)).await;
    }
    let function = fixture.function("").await;
    let pattern = json!({"dynamodb": {"Keys": {"sk": {"S": [{"suffix": "5"}]}}}});
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .filter_criteria(filters(&[pattern]))
                .batch_size(2)
                .maximum_batching_window_in_seconds(300)
        })
        .await;
    // Two records fill the batch, though ten lie between them.
    let seen = function.wait_until_seen("15").await;
    assert_eq!(names(&seen), ["05", "15"]);
    assert_eq!(seen.len(), 1);
}

/// [filtering]: the table of comparison operators.
pub(crate) async fn every_filter_operator_is_known(fixture: &Fixture) {
    let table = fixture.table().await;
    let key = |rule: Value| json!({"dynamodb": {"Keys": {"sk": {"S": [rule]}}}});
    let patterns = [
        json!({"$or": [
            key(json!("equal")),
            {"dynamodb": {"NewImage": {"present": {"S": [{"exists": true}]}}}}
        ]}),
        json!({"dynamodb": {
            "Keys": {"sk": {"S": [{"prefix": "pre-"}, {"suffix": "-suf"}]}},
            "NewImage": {"state": {"S": [{"anything-but": ["off"]}]}}
        }}),
        key(json!({"equals-ignore-case": "CASE"})),
        json!({"dynamodb": {
            "NewImage": {"empty": {"S": [""]}},
            "SizeBytes": [{"numeric": [">=", 0, "<", 100_000]}]
        }}),
        json!({"dynamodb": {
            "Keys": {"sk": {"S": [{"prefix": "absent"}]}},
            "NewImage": {"present": {"S": [{"exists": false}]}}
        }}),
    ];
    for (name, attributes) in [
        ("equal", vec![]),
        ("not-equal", vec![]),
        ("exists", vec![("present", "1")]),
        ("pre-a", vec![("state", "on")]),
        ("pre-b", vec![("state", "off")]),
        ("pre-c", vec![]),
        ("a-suf", vec![("state", "on")]),
        ("Case", vec![]),
        ("empty", vec![("empty", "")]),
        ("full", vec![("empty", "1")]),
        ("absent", vec![]),
        ("last", vec![("present", "1")]),
    ] {
        let item = attributes
            .iter()
            .fold(item(name), |item, (key, value)| item.with(key, value));
        table.put(item).await;
    }
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.filter_criteria(filters(&patterns))
        })
        .await;
    let seen = function.wait_until_seen("last").await;
    assert_eq!(
        names(&seen),
        [
            "equal", "exists", "pre-a", "a-suf", "Case", "empty", "absent", "last"
        ]
    );
}

/// [filtering-ddb]: `NewImage` and `OldImage` are filtered by attributes in DynamoDB's JSON, where a
/// value stands below its type and a number is a text. An attribute of another type is none.
pub(crate) async fn either_image_is_filtered_by_attributes_of_a_type(fixture: &Fixture) {
    let table = fixture.table().await;
    let image = |image: &str, attributes: Value| json!({"dynamodb": {image: attributes}});
    let patterns = [
        json!({"eventName": ["MODIFY"], "dynamodb": {
            "NewImage": {"state": {"S": ["paid"]}},
            "OldImage": {"state": {"S": [{"anything-but": ["paid"]}]}},
        }}),
        image("NewImage", json!({"count": {"N": ["5"]}})),
        image("NewImage", json!({"urgent": {"BOOL": [true]}})),
        json!({"eventName": ["REMOVE"], "dynamodb": {
            "OldImage": {"state": {"S": [{"exists": true}]}, "count": {"S": [{"exists": false}]}},
        }}),
    ];
    // An item that was inserted has no old image, and one that was paid before is not paid now.
    for state in ["paid", "paid", "open", "paid"] {
        table.put(item("a").with("state", state)).await;
    }
    let number = |number: &str| AttributeValue::N(number.to_owned());
    table
        .put(item("b").with_value("count", number("5.0")))
        .await;
    table.put(item("c").with_value("count", number("50"))).await;
    table.put(item("d").with("count", "5")).await;
    let truth = AttributeValue::Bool;
    table.put(item("e").with_value("urgent", truth(true))).await;
    table
        .put(item("f").with_value("urgent", truth(false)))
        .await;
    table.delete("a").await;
    table.delete("d").await;
    table
        .put(item("last").with_value("count", number("5")))
        .await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.filter_criteria(filters(&patterns))
        })
        .await;
    let seen = function.wait_until_seen("last").await;
    assert_eq!(names(&seen), ["a", "b", "e", "a", "last"]);
}
