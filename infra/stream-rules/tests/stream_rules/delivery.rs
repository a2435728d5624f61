//! What a function gets, and when.

use std::time::{Duration, Instant};

use aws_sdk_lambda::types::EventSourcePosition;
use serde_json::{Value, json};

use crate::fixture::{DEADLINE, Fixture, POLL_INTERVAL, item, names, numbered, records};

/// [dynamodb]: the event has the records in their order, with what the stream shows of them.
pub(crate) async fn functions_see_the_documented_event(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put(item("a").with("colour", "red")).await;
    table.put(item("a").with("colour", "blue")).await;
    table.delete("a").await;
    let function = fixture.function("").await;
    fixture.map(&table, &function, |mapping| mapping).await;

    let seen = function.wait_for(|seen| records(seen).len() >= 3).await;
    let seen = records(&seen);
    let image = |colour: &str| json!({"pk": {"S": "p"}, "sk": {"S": "a"}, "colour": {"S": colour}});
    for (record, (name, old, new)) in seen.iter().zip([
        ("INSERT", Value::Null, image("red")),
        ("MODIFY", image("red"), image("blue")),
        ("REMOVE", image("blue"), Value::Null),
    ]) {
        assert_eq!(record["eventName"], name);
        assert_eq!(record["eventSource"], "aws:dynamodb");
        assert_eq!(record["eventSourceARN"], table.stream);
        assert_eq!(record["awsRegion"], fixture.stage.region);
        assert!(record["eventID"].is_string() && record["eventVersion"].is_string());
        let change = &record["dynamodb"];
        assert_eq!(change["Keys"], json!({"pk": {"S": "p"}, "sk": {"S": "a"}}));
        assert_eq!(change["OldImage"], old);
        assert_eq!(change["NewImage"], new);
        assert_eq!(change["StreamViewType"], "NEW_AND_OLD_IMAGES");
        assert!(change["SequenceNumber"].is_string() && change["SizeBytes"].is_u64());
        assert!(change["ApproximateCreationDateTime"].is_number());
    }
    assert_eq!(seen.len(), 3);
}

/// [params]: `StartingPosition`.
pub(crate) async fn trim_horizon_begins_with_the_oldest_record(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a", "b"]).await;
    let function = fixture.function("").await;
    fixture.map(&table, &function, |mapping| mapping).await;
    function.wait_until_seen("b").await;
    table.put_all(["c"]).await;
    let seen = function.wait_until_seen("c").await;
    assert_eq!(names(&seen), ["a", "b", "c"]);
}

/// [params]: `StartingPosition`. [dynamodb]: what is written while the mapping is being made
/// may be missed.
pub(crate) async fn latest_begins_with_the_next_record(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["before"]).await;
    let function = fixture.function("").await;
    let latest = EventSourcePosition::Latest;
    let mapping = fixture.map(&table, &function, |mapping| {
        mapping.starting_position(latest)
    });
    mapping.await;

    let started = Instant::now();
    let mut written = 0;
    let seen = loop {
        table.put(item(&format!("after-{written:03}"))).await;
        written += 1;
        tokio::time::sleep(POLL_INTERVAL).await;
        let seen = function.seen().await;
        if !seen.is_empty() {
            break seen;
        }
        assert!(started.elapsed() < DEADLINE, "nothing is delivered");
    };
    let last = format!("after-{:03}", written - 1);
    let seen = [seen, function.wait_until_seen(&last).await].concat();
    assert!(!names(&seen).contains(&"before".to_owned()), "{seen:?}");
}

/// [params]: `BatchSize`.
pub(crate) async fn a_batch_has_the_batch_size_at_most(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(numbered(25)).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.batch_size(10).maximum_batching_window_in_seconds(1)
        })
        .await;
    let seen = function.wait_until_seen("24").await;
    let sizes: Vec<usize> = seen
        .iter()
        .map(|invocation| invocation.records.len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
    assert_eq!(sizes[0], 10, "as many as there are: {sizes:?}");
    assert_eq!(names(&seen), numbered(25), "in order, none twice");
}

/// [batching]: without a full batch, records are gathered until the window is over.
pub(crate) async fn a_batching_window_gathers_records(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["first"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.maximum_batching_window_in_seconds(4)
        })
        .await;
    function.wait_until_seen("first").await;
    for number in numbered(16) {
        table.put(item(&number)).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let seen = function.wait_until_seen("15").await;
    let invocations = seen.len() - 1;
    assert!(
        invocations <= 3,
        "{invocations} invocations for 4 seconds of records in windows of 4 seconds"
    );
}

/// [batching]: a full batch is delivered before the window is over.
pub(crate) async fn a_full_batch_ends_the_window(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(numbered(3)).await;
    let function = fixture.function("").await;
    let window = 300;
    assert!(Duration::from_secs(window) > DEADLINE);
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(3)
                .maximum_batching_window_in_seconds(300)
        })
        .await;
    let seen = function.wait_until_seen("02").await;
    assert_eq!(names(&seen), numbered(3));
    assert_eq!(seen.len(), 1);
}

/// [batching]: the payload of an invocation has 6 MB at most.
pub(crate) async fn a_payload_has_six_megabytes_at_most(fixture: &Fixture) {
    let table = fixture.table().await;
    let large = "x".repeat(390_000);
    for number in numbered(24) {
        table.put(item(&number).with("large", &large)).await;
    }
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(1000)
                .maximum_batching_window_in_seconds(5)
        })
        .await;
    let seen = function.wait_until_seen("23").await;
    assert_eq!(names(&seen), numbered(24));
    assert!(
        seen.iter()
            .all(|invocation| invocation.payload_bytes <= 6 * 1024 * 1024),
        "{:?}",
        seen.iter()
            .map(|invocation| invocation.payload_bytes)
            .collect::<Vec<_>>()
    );
}
