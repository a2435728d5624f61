//! Changes of indexes.

use super::*;

fn table(key: &str, indexes: &[(&str, &str)]) -> Value {
    let keys = |attribute: &str| json!([{"AttributeName": attribute, "KeyType": "HASH"}]);
    let indexes: Vec<Value> = indexes
        .iter()
        .map(|(name, attribute)| {
            json!({
                "IndexName": name,
                "KeySchema": keys(attribute),
                "Projection": {"ProjectionType": "ALL"},
            })
        })
        .collect();
    json!({"OrdersTable": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": keys(key),
            "GlobalSecondaryIndexes": indexes,
        },
    }})
}

/// What is refused of a change of the table.
fn refused(before: &Value, after: &Value) -> Vec<String> {
    let refusals = compare(&template(before), &template(after)).refusals;
    let refusals = refusals.into_iter();
    refusals
        .map(|refusal| {
            format!(
                "{} {}; {}",
                refusal.logical_id, refusal.why, refusal.instead
            )
        })
        .collect()
}

#[test]
fn one_index_comes_or_goes_in_an_update() {
    let (none, one) = (table("id", &[]), table("id", &[("by-day", "day")]));
    let two = table("id", &[("by-day", "day"), ("by-status", "status")]);
    let other = table("id", &[("by-status", "status")]);
    for (before, after) in [(&none, &none), (&none, &one), (&two, &one), (&two, &two)] {
        assert!(refused(before, after).is_empty());
    }
    let rule = "and CloudFormation adds or removes one index of a table in an update; deploy them one after the other";
    for (before, after, what) in [
        (&none, &two, "adds `by-day`, `by-status`"),
        (&two, &none, "removes `by-day`, `by-status`"),
        (&one, &other, "adds `by-status` and removes `by-day`"),
    ] {
        assert_eq!(
            refused(before, after),
            [format!("OrdersTable {what}, {rule}")]
        );
    }
}

#[test]
fn an_index_stays_as_it_is() {
    let before = table("id", &[("by-day", "day")]);
    let after = table("id", &[("by-day", "week")]);
    assert_eq!(
        refused(&before, &after),
        [
            "OrdersTable changes index `by-day`, and CloudFormation changes no index; declare it under another name, beside `by-day`; deploy, and remove `by-day` with the next deployment"
        ]
    );
}

#[test]
fn a_table_that_is_made_anew_has_any_indexes() {
    let before = table("id", &[("by-day", "day")]);
    let two = [("by-week", "week"), ("by-status", "status")];
    let with = |change: &dyn Fn(&mut Value)| {
        let mut after = table("id", &two);
        change(&mut after["OrdersTable"]["Properties"]);
        after
    };
    let number = json!([{"AttributeName": "id", "AttributeType": "N"}]);
    for after in [
        table("number", &two),
        with(&|table| table["AttributeDefinitions"] = number.clone()),
        with(&|table| table["TableName"] = json!("orders")),
    ] {
        assert!(refused(&before, &after).is_empty());
    }
    assert_eq!(refused(&before, &with(&|_| {})).len(), 1);
    assert!(refused(&json!({}), &table("id", &two)).is_empty());
}
