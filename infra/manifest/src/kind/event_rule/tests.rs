use serde_json::{Value, json};

use crate::manifest::Manifest;
use crate::testing::{complaints, resources};

const PAID: &str = r#"{"source": ["shop"], "detail-type": ["OrderPaid"]}"#;

#[test]
fn a_rule_invokes_several_functions() {
    let app = Manifest::new("shop");
    let bus = app.event_bus("shop");
    let paid = app.event_rule(&bus, "order-paid", PAID);
    for name in ["ship", "thank"] {
        app.function(name).trigger(paid.matched());
    }
    let resources = resources(&app, "");
    let rule = &resources["OrderPaidEventRule"]["Properties"];
    assert_eq!(rule["EventBusName"], json!({"Ref": "ShopEventBus"}));
    assert_eq!(
        rule["EventPattern"],
        serde_json::from_str::<Value>(PAID).unwrap()
    );
    let arn = json!({"Fn::GetAtt": ["OrderPaidEventRule", "Arn"]});
    for (target, function) in ["Ship", "Thank"].iter().enumerate() {
        let queue = json!({"Fn::GetAtt": [format!("{function}FailureQueue"), "Arn"]});
        assert_eq!(
            rule["Targets"][target],
            json!({
                "Id": function.to_lowercase(),
                "Arn": {"Fn::GetAtt": [format!("{function}Function"), "Arn"]},
                "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
                "DeadLetterConfig": {"Arn": queue},
            })
        );
        let permission = format!("OrderPaidEventRule{function}Permission");
        let permission = &resources[permission]["Properties"];
        assert_eq!(
            (&permission["Principal"], &permission["SourceArn"]),
            (&json!("events.amazonaws.com"), &arn)
        );
        let policy = &resources[format!("{function}FailureQueuePolicy")]["Properties"];
        assert_eq!(
            policy["PolicyDocument"]["Statement"][1],
            json!({
                "Sid": "KeepOrderPaidEventRule",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
            })
        );
    }
}

#[test]
fn the_failure_queue_takes_events_where_there_is_no_tls() {
    let app = Manifest::new("shop");
    let bus = app.default_event_bus();
    let paid = app.event_rule(&bus, "order-paid", PAID);
    app.function("ship").trigger(paid.matched());
    let resources = resources(&app, "endpoint_url: 'http://127.0.0.1:4566'");
    assert_eq!(
        resources["OrderPaidEventRule"]["Properties"]["EventBusName"],
        "default"
    );
    let policy = &resources["ShipFailureQueuePolicy"]["Properties"]["PolicyDocument"];
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 1, "{policy}");
    assert_eq!(policy["Statement"][0]["Sid"], "KeepOrderPaidEventRule");
}

#[test]
fn what_is_wrong_with_a_rule_is_told() {
    let app = Manifest::new("shop");
    let bus = app.event_bus("shop");
    let elsewhere = Manifest::new("elsewhere").event_bus("shop-2");
    let paid = app.event_rule(&bus, "order-paid", PAID);
    app.event_rule(&elsewhere, "idle", r#"{"sources": ["shop"], "detail": 7}"#);
    for name in ["a", "b", "c", "d", "e", "f"] {
        let function = app.function(name).trigger(paid.matched());
        if name == "f" {
            function.trigger(paid.matched());
        }
    }
    complaints(&app, "").are(&[
        "function `f` handles the events of event rule `order-paid` twice",
        "event rule `order-paid` invokes 6 functions (a, b, c, d, e, f), but a rule has at most 5 targets",
        "event rule `idle` refers to event bus `shop-2`, which the manifest does not declare",
        "event rule `idle` has a pattern that asks for the field `sources`, which events do not have; did you mean `source`?",
        "event rule `idle` has a pattern that has 7 for `detail`, which must be a list; write [7]",
        "event rule `idle` invokes no function",
    ]);
}
