//! Order, and several mappings of one stream or a changing one.

use serde_json::{Value, json};

use crate::SETTLED;
use crate::fixture::{Fixture, Invocation, filters, item, names, numbered, records};

/// [dynamodb]: Lambda polls a shard with one invocation at a time.
pub(crate) async fn a_shard_has_one_batch_at_a_time(fixture: &Fixture) {
    const SLEEP_MS: u64 = 500;
    let table = fixture.table().await;
    for number in numbered(6) {
        table
            .put(item(&number).with("sleep_ms", &SLEEP_MS.to_string()))
            .await;
    }
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| mapping.batch_size(1))
        .await;
    let seen = function.wait_until_seen("05").await;
    assert_eq!(names(&seen), numbered(6));
    for pair in seen.windows(2) {
        assert!(pair[1].started_ms >= pair[0].started_ms + SLEEP_MS);
    }
}

/// [params], [dynamodb]: `ParallelizationFactor`; the changes of an item stay in order.
pub(crate) async fn a_parallelization_factor_keeps_the_order_per_item(fixture: &Fixture) {
    const SLEEP_MS: u64 = 700;
    let table = fixture.table().await;
    for version in ["1", "2"] {
        for number in numbered(8) {
            let item = item(&number)
                .with("version", version)
                .with("sleep_ms", &SLEEP_MS.to_string());
            table.put(item).await;
        }
    }
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.batch_size(1).parallelization_factor(4)
        })
        .await;
    let seen = function.wait_for(|seen| records(seen).len() >= 16).await;
    let overlap = seen
        .windows(2)
        .any(|pair| pair[1].started_ms < pair[0].started_ms + SLEEP_MS);
    assert!(overlap, "several batches of the shard at once");
    for number in numbered(8) {
        let of_item: Vec<&Invocation> = seen
            .iter()
            .filter(|invocation| names(std::slice::from_ref(*invocation)) == [number.clone()])
            .collect();
        let versions: Vec<&Value> = of_item
            .iter()
            .map(|invocation| &invocation.records[0]["dynamodb"]["NewImage"]["version"]["S"])
            .collect();
        assert_eq!(versions, ["1", "2"], "of {number}");
        assert!(of_item[1].started_ms >= of_item[0].started_ms + SLEEP_MS);
    }
}

/// [dynamodb]: each mapping reads the stream by itself.
pub(crate) async fn a_mapping_does_not_wait_for_another(fixture: &Fixture) {
    let table = fixture.table().await;
    let stuck = fixture.function("-stuck").await;
    let free = fixture.function("").await;
    let bad = item("bad").with("fail", "always").with("only", &stuck.name);
    table.put(bad).await;
    table.put_all(numbered(5)).await;
    for function in [&stuck, &free] {
        fixture
            .map(&table, function, |mapping| mapping.batch_size(1))
            .await;
    }
    let seen = free.wait_until_seen("04").await;
    assert_eq!(names(&seen), [vec!["bad".to_owned()], numbered(5)].concat());
    let seen = stuck.wait_for(|seen| seen.len() >= 2).await;
    assert!(names(&seen).iter().all(|name| name == "bad"), "{seen:?}");
}

/// API reference, UpdateEventSourceMapping: a mapping that is enabled again resumes from the
/// same location.
pub(crate) async fn a_disabled_mapping_keeps_its_position(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a"]).await;
    let function = fixture.function("").await;
    let mapping = fixture.map(&table, &function, |mapping| mapping).await;
    function.wait_until_seen("a").await;

    let update = || {
        fixture
            .stage
            .lambda
            .update_event_source_mapping()
            .uuid(&mapping)
    };
    update().enabled(false).send().await.unwrap();
    fixture.wait_for_state(&mapping, "Disabled").await;
    tokio::time::sleep(SETTLED).await;
    table.put_all(["b"]).await;
    tokio::time::sleep(SETTLED).await;
    assert_eq!(names(&function.seen().await), ["a"]);

    update().enabled(true).send().await.unwrap();
    let seen = function.wait_until_seen("b").await;
    assert_eq!(names(&seen), ["a", "b"]);
}

/// [filtering], [params]: filters, batch size and the rest may be changed.
pub(crate) async fn a_changed_mapping_goes_on_with_its_new_settings(fixture: &Fixture) {
    let table = fixture.table().await;
    let function = fixture.function("").await;
    let mapping = fixture.map(&table, &function, |mapping| mapping.batch_size(1));
    let mapping = mapping.await;
    table.put_all(["a"]).await;
    function.wait_until_seen("a").await;

    let pattern = json!({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "new-"}]}}}});
    fixture
        .stage
        .lambda
        .update_event_source_mapping()
        .uuid(&mapping)
        .batch_size(10)
        .maximum_batching_window_in_seconds(2)
        .filter_criteria(filters(&[pattern]))
        .send()
        .await
        .unwrap();
    fixture.wait_for_state(&mapping, "Enabled").await;
    tokio::time::sleep(SETTLED).await;
    table.put_all(["old-a", "new-a", "new-b"]).await;
    let seen = function.wait_until_seen("new-b").await;
    assert_eq!(names(&seen), ["a", "new-a", "new-b"]);
}

/// API reference, DeleteEventSourceMapping.
pub(crate) async fn a_deleted_mapping_delivers_nothing(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a"]).await;
    let function = fixture.function("").await;
    let mapping = fixture.map(&table, &function, |mapping| mapping).await;
    function.wait_until_seen("a").await;
    fixture.delete_mapping(&mapping).await;
    tokio::time::sleep(SETTLED).await;
    table.put_all(["b"]).await;
    tokio::time::sleep(SETTLED).await;
    assert_eq!(names(&function.seen().await), ["a"]);
}

/// DynamoDB developer guide, "Change data capture for DynamoDB Streams": a stream belongs to
/// one table, and a table of the same name has another.
pub(crate) async fn a_table_made_anew_has_a_stream_of_its_own(fixture: &Fixture) {
    let first = fixture.table().await;
    first.put_all(["a"]).await;
    let function = fixture.function("").await;
    fixture.map(&first, &function, |mapping| mapping).await;
    function.wait_until_seen("a").await;

    fixture.delete_table(&first.name).await;
    let second = fixture.table().await;
    assert_ne!(first.stream, second.stream);
    second.put_all(["b"]).await;
    fixture.map(&second, &function, |mapping| mapping).await;
    let seen = function.wait_until_seen("b").await;
    assert_eq!(names(&seen), ["a", "b"]);
    assert_eq!(records(&seen)[1]["eventSourceARN"], second.stream);
}
