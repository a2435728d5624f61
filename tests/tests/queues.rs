//! A function that handles the messages of a queue, on a local stage.
use acceptance::Stage;
use serde_json::{Value, json};

const FUNCTION: &str = "pack-order";

fn send(stage: &Stage, bodies: &[&str]) {
    let entries = bodies.iter().enumerate();
    let entries = entries.map(|(id, body)| json!({"Id": id.to_string(), "MessageBody": body}));
    let entries = Value::from_iter(entries).to_string();
    let url = stage.variable("PARCELS_QUEUE_URL");
    stage.aws_ok(&[
        "sqs",
        "send-message-batch",
        "--queue-url",
        url,
        "--entries",
        &entries,
    ]);
    stage.xtask_ok(&["wait"]);
}

fn place(stage: &Stage, order: &str) {
    let body = json!({"id": order, "photo": "cat.jpg"}).to_string();
    assert_eq!(stage.post("ORDERS_URL", "/orders", &body).status, 200);
}

/// The packing lists that were written.
fn lists(stage: &Stage) -> Vec<String> {
    let keys = stage.keys("RECEIPTS_BUCKET_NAME");
    keys.into_iter()
        .filter(|key| key.ends_with(".list"))
        .collect()
}

#[test]
fn messages_are_handled_or_end_in_the_failure_queue_and_are_handled_from_there() {
    let stage = Stage::start();
    place(&stage, "a");
    place(&stage, "b");
    // One batch. What fails hides no other.
    send(
        &stage,
        &[
            r#"{"order": "a"}"#,
            r#"{"order": "later"}"#,
            "no parcel",
            r#"{"order": "b"}"#,
        ],
    );
    assert_eq!(lists(&stage), ["a.list", "b.list"]);
    assert_eq!(stage.failed_events(FUNCTION), 2);

    let shown = stage.xtask_ok(&["redrive", FUNCTION, "--dry-run", "--json"]);
    let shown: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_order = |shown: &&Value| shown["content"]["message"]["body"] == r#"{"order": "later"}"#;
    let later = shown.iter().find(of_order).unwrap();
    assert_eq!(later["condition"], "maxReceiveCount");
    assert!(later["sent_at"].is_string(), "{later}");
    let source = later["content"]["message"]["eventSourceARN"]
        .as_str()
        .unwrap();
    assert!(source.contains(":shop-local-ParcelsQueue"), "{source}");

    // Somebody has placed the order after all. What is not a parcel fails again, and stays.
    place(&stage, "later");
    let output = stage.xtask(&["redrive", FUNCTION]).output().unwrap();
    let told = acceptance::both(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("1 handled, 0 dropped, 1 still in the queue"),
        "{told}"
    );
    assert!(told.contains("BatchItemFailures"), "{told}");
    assert_eq!(lists(&stage), ["a.list", "b.list", "later.list"]);
    assert_eq!(stage.failed_events(FUNCTION), 1);
    stage.xtask_ok(&["redrive", FUNCTION, "--drop", "--yes"]);
    assert_eq!(stage.failed_events(FUNCTION), 0);
}
