//! Events of an event bus, and of a bucket by EventBridge.
use std::collections::BTreeSet;

use acceptance::Stage;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// What `audit` has written of events of a type.
fn written(stage: &Stage, detail_type: &str) -> BTreeSet<String> {
    let keys = stage.keys("RECEIPTS_BUCKET_NAME").into_iter();
    let prefix = format!("audit/{detail_type}/");
    keys.filter(|key| key.starts_with(&prefix)).collect()
}

#[test]
fn events_invoke_the_functions_of_rules_that_they_match() {
    let stage = Stage::start();
    for id in ["test-1", "1"] {
        let order = json!({"id": id, "photo": "dog.jpg"}).to_string();
        assert_eq!(stage.post("ORDERS_URL", "/orders", &order).status, 200);
    }
    // A photo is for two functions.
    let photo = NamedTempFile::new().unwrap();
    stage.upload("PHOTOS_BUCKET_NAME", "dog+ball 1.jpg", photo.path());
    stage.xtask_ok(&["wait"]);
    assert_eq!(written(&stage, "OrderPlaced").len(), 1);
    let photos: Value = stage.get("SHOP_URL", "/").json();
    assert_eq!(photos.as_array().unwrap().len(), 1, "{photos}");
    let uploads = written(&stage, "Object Created");
    assert_eq!(uploads.len(), 1);
    let key = uploads.first().unwrap();
    let bucket = stage.variable("RECEIPTS_BUCKET_NAME");
    let detail = stage.aws_ok(&["s3", "cp", &format!("s3://{bucket}/{key}"), "-"]);
    let detail: Value = serde_json::from_str(&detail).unwrap();
    assert_eq!(detail["object"]["key"], "dog+ball 1.jpg");

    // An event that Lambda does not take waits in the failure queue.
    let bus = stage.variable("SHOP_BUS_NAME");
    let rules = stage.aws_json(&["events", "list-rules", "--event-bus-name", bus]);
    let rule = rules["Rules"][0]["Name"].as_str().unwrap();
    let of_rule = ["--rule", rule, "--event-bus-name", bus];
    let targets = stage.aws_json(&[&["events", "list-targets-by-rule"], &of_rule[..]].concat());
    let mut missing = targets["Targets"].clone();
    let arn = missing[0]["Arn"].as_str().unwrap();
    missing[0]["Arn"] = arn.replace("shop-local-audit", "shop-local-missing").into();
    let missing = missing.to_string();
    let put = [
        &["events", "put-targets"],
        &of_rule[..],
        &["--targets", &missing],
    ];
    stage.aws_ok(&put.concat());
    let entries = json!([{
        "EventBusName": bus,
        "Source": "shop",
        "DetailType": "OrderPlaced",
        "Detail": r#"{"id": "2"}"#,
    }]);
    stage.aws_ok(&["events", "put-events", "--entries", &entries.to_string()]);
    stage.xtask_ok(&["wait"]);
    assert_eq!(stage.failed_events("audit"), 1);
    stage.xtask_ok(&["redrive", "audit"]);
    assert_eq!(written(&stage, "OrderPlaced").len(), 2);
}
