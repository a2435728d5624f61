//! What follows when the function says which records failed.

use aws_sdk_lambda::types::FunctionResponseType;
use serde_json::json;

use crate::fixture::{Fixture, item, names, numbered, on_failure, sequence_number};

/// [partial]: of several reported records, the one with the lowest number is where the
/// retries start.
pub(crate) async fn the_lowest_reported_number_is_the_checkpoint(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a", "b"]).await;
    table.put(item("c").with("report", "always")).await;
    table.put_all(["d"]).await;
    table.put(item("e").with("report", "always")).await;
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(5)
                .maximum_batching_window_in_seconds(1)
                .maximum_retry_attempts(1)
                .function_response_types(FunctionResponseType::ReportBatchItemFailures)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    let messages = queue.wait_for(1).await;
    let seen = function.seen_all(2).await;
    assert_eq!(names(&seen), ["a", "b", "c", "d", "e", "c", "d", "e"]);
    let info = &messages[0]["DDBStreamBatchInfo"];
    assert_eq!(info["batchSize"], 3);
    assert_eq!(info["startSequenceNumber"], *sequence_number(&seen, "c"));
    assert_eq!(info["endSequenceNumber"], *sequence_number(&seen, "e"));
}

/// [partial]: with `BisectBatchOnFunctionError`, the batch is bisected at the returned
/// number, and only what remains is retried.
pub(crate) async fn a_batch_is_bisected_at_the_checkpoint(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a", "b"]).await;
    table.put(item("c").with("report", "until_calm")).await;
    table.put_all(["d"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(4)
                .maximum_batching_window_in_seconds(1)
                .bisect_batch_on_function_error(true)
                .function_response_types(FunctionResponseType::ReportBatchItemFailures)
        })
        .await;
    function.wait_for(|seen| seen.len() >= 3).await;
    function.calm().await;
    table.put_all(["next"]).await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen[..2]), ["a", "b", "c", "d", "c", "d"]);
    assert!(
        names(&seen[1..])
            .iter()
            .all(|name| name != "a" && name != "b")
    );
}

/// [partial]: the conditions of complete success.
pub(crate) async fn empty_answers_are_success(fixture: &Fixture) {
    let answers = [
        "null",
        "{}",
        r#"{"batchItemFailures": null}"#,
        r#"{"batchItemFailures": []}"#,
    ];
    let table = fixture.table().await;
    for (number, answer) in numbered(answers.len()).iter().zip(answers) {
        table.put(item(number).with("answer", answer)).await;
    }
    table.put_all(["next"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(1)
                .function_response_types(FunctionResponseType::ReportBatchItemFailures)
        })
        .await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen), ["00", "01", "02", "03", "next"]);
}

/// [partial]: the conditions of complete failure.
pub(crate) async fn bad_identifiers_are_failure(fixture: &Fixture) {
    let failures = [
        json!({"itemIdentifier": ""}),
        json!({"itemIdentifier": null}),
        json!({"identifier": "1"}),
    ];
    let table = fixture.table().await;
    for (number, failure) in numbered(failures.len()).iter().zip(&failures) {
        let answer = json!({"batchItemFailures": [failure]}).to_string();
        table.put(item(&format!("{number}-good"))).await;
        table
            .put(item(&format!("{number}-says")).with("answer", &answer))
            .await;
    }
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(2)
                .maximum_batching_window_in_seconds(1)
                .maximum_retry_attempts(1)
                .function_response_types(FunctionResponseType::ReportBatchItemFailures)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    let messages = queue.wait_for(3).await;
    for message in &messages {
        assert_eq!(message["DDBStreamBatchInfo"]["batchSize"], 2, "{message}");
    }
    let seen = function.seen_all(6).await;
    let batches: Vec<Vec<String>> = seen
        .iter()
        .map(|invocation| names(std::slice::from_ref(invocation)))
        .collect();
    for (pair, number) in batches.chunks(2).zip(numbered(3)) {
        let batch = [format!("{number}-good"), format!("{number}-says")];
        assert_eq!(pair, [batch.clone(), batch], "all of it, once more");
    }
}

/// [partial]: partial answers mean nothing unless `ReportBatchItemFailures` is turned on.
pub(crate) async fn reports_count_only_when_turned_on(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put(item("a").with("report", "always")).await;
    table.put_all(["next"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| mapping.batch_size(1))
        .await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen), ["a", "next"]);
}
