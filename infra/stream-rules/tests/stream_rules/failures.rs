//! What follows a failure of the function.

use serde_json::{Value, json};

use crate::SETTLED;
use crate::fixture::{
    Fixture, Item, is_time, item, names, numbered, on_failure, sequence_number, succeeded,
};

/// [errors], [dynamodb]: the shard is blocked until the batch succeeds; without a limit it is
/// retried again and again.
pub(crate) async fn a_shard_waits_for_a_failed_batch_until_it_succeeds(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put(item("bad").with("fail", "until_calm")).await;
    table.put_all(["next"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| mapping.batch_size(1))
        .await;
    let seen = function.wait_for(|seen| seen.len() >= 4).await;
    assert!(names(&seen).iter().all(|name| name == "bad"), "{seen:?}");
    function.calm().await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen).last().unwrap(), "next");
}

/// [errors]: the retry quota, and the message of "Example Amazon SNS and Amazon SQS
/// destination".
pub(crate) async fn a_batch_is_given_up_after_its_retries(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a"]).await;
    table.put(item("bad").with("fail", "always")).await;
    table.put_all(["c", "next"]).await;
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(3)
                .maximum_batching_window_in_seconds(1)
                .maximum_retry_attempts(2)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    let seen = function.wait_until_seen("next").await;
    let batch = ["a", "bad", "c"];
    assert_eq!(
        names(&seen),
        [&batch[..], &batch[..], &batch[..], &["next"][..]].concat(),
        "one attempt and two retries"
    );

    let messages = queue.wait_for(1).await;
    let message = &messages[0];
    let context = &message["requestContext"];
    assert_eq!(context["functionArn"], function.arn);
    assert_eq!(context["condition"], "RetryAttemptsExhausted");
    assert_eq!(context["approximateInvokeCount"], 3);
    assert!(context["requestId"].is_string());
    assert_eq!(
        message["responseContext"],
        json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
    );
    assert_eq!(message["version"], "1.0");
    assert!(is_time(&message["timestamp"]), "{message}");
    let info = &message["DDBStreamBatchInfo"];
    let number = |index: usize| &seen[0].records[index]["dynamodb"]["SequenceNumber"];
    assert!(info["shardId"].as_str().unwrap().starts_with("shardId-"));
    assert_eq!(info["startSequenceNumber"], *number(0));
    assert_eq!(info["endSequenceNumber"], *number(2));
    assert!(is_time(&info["approximateArrivalOfFirstRecord"]), "{info}");
    assert!(is_time(&info["approximateArrivalOfLastRecord"]), "{info}");
    assert_eq!(info["batchSize"], 3);
    assert_eq!(info["streamArn"], table.stream);
}

/// [errors]: an error during the invocation, as a timeout is.
pub(crate) async fn a_timeout_is_a_failure(fixture: &Fixture) {
    gives_up_on(fixture, item("bad").with("sleep_ms", "20000")).await;
}

/// [errors]: an error during the invocation, as the end of the runtime is.
pub(crate) async fn an_exit_is_a_failure(fixture: &Fixture) {
    gives_up_on(fixture, item("bad").with("exit", "now")).await;
}

async fn gives_up_on(fixture: &Fixture, bad: Item) {
    let table = fixture.table().await;
    table.put(bad).await;
    table.put_all(["next"]).await;
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(1)
                .maximum_retry_attempts(0)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen), ["bad", "next"]);
    let messages = queue.wait_for(1).await;
    assert_eq!(
        messages[0]["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(messages[0]["responseContext"]["functionError"], "Unhandled");
}

/// [errors]: an Amazon SNS topic as destination.
pub(crate) async fn a_topic_is_told_too(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put(item("bad").with("fail", "always")).await;
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    let topic = fixture.topic(&queue).await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .maximum_retry_attempts(0)
                .destination_config(on_failure(&topic))
        })
        .await;
    let messages = queue.wait_for(1).await;
    assert_eq!(messages[0]["DDBStreamBatchInfo"]["streamArn"], table.stream);
}

/// [errors]: when the measures fail, the records are discarded and the stream goes on.
pub(crate) async fn without_a_destination_the_shard_goes_on(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put(item("bad").with("fail", "always")).await;
    table.put_all(["next"]).await;
    let function = fixture.function("").await;
    fixture
        .map(&table, &function, |mapping| {
            mapping.batch_size(1).maximum_retry_attempts(1)
        })
        .await;
    let seen = function.wait_until_seen("next").await;
    assert_eq!(names(&seen), ["bad", "bad", "next"]);
}

/// [errors]: `BisectBatchOnFunctionError` splits a failed batch in two, again and again,
/// which uses up no retry.
pub(crate) async fn bisecting_isolates_a_bad_record(fixture: &Fixture) {
    let table = fixture.table().await;
    for number in numbered(8) {
        let item = item(&number);
        table
            .put(if number == "05" {
                item.with("fail", "always")
            } else {
                item
            })
            .await;
    }
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(8)
                .maximum_batching_window_in_seconds(1)
                .maximum_retry_attempts(0)
                .bisect_batch_on_function_error(true)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    let messages = queue.wait_for(1).await;
    let seen = function
        .wait_for(|seen| succeeded(seen, "05").len() >= 7)
        .await;
    assert_eq!(
        succeeded(&seen, "05"),
        ["00", "01", "02", "03", "04", "06", "07"],
        "every other record once and in order"
    );
    let info = &messages[0]["DDBStreamBatchInfo"];
    assert_eq!(info["batchSize"], 1);
    assert_eq!(info["startSequenceNumber"], *sequence_number(&seen, "05"));
    assert_eq!(info["endSequenceNumber"], info["startSequenceNumber"]);
}

/// [errors]: a function that cannot be invoked is retried without regard to
/// `MaximumRetryAttempts`.
pub(crate) async fn throttling_uses_up_no_retry(fixture: &Fixture) {
    let table = fixture.table().await;
    table.put_all(["a"]).await;
    let function = fixture.function("").await;
    function.set_concurrency(Some(0)).await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .maximum_retry_attempts(0)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    tokio::time::sleep(SETTLED).await;
    assert_eq!(names(&function.seen().await), Vec::<String>::new());
    function.set_concurrency(None).await;
    let seen = function.wait_until_seen("a").await;
    assert_eq!(names(&seen), ["a"]);
    assert_eq!(queue.receive().await, Vec::<Value>::new());
}

/// [errors], [params]: `MaximumRecordAgeInSeconds`. A record that waited for too long behind
/// a failing one is not delivered any more.
pub(crate) async fn long_old_records_are_given_up_even_untried(fixture: &Fixture) {
    let table = fixture.table().await;
    let function = fixture.function("").await;
    let queue = fixture.queue().await;
    fixture
        .map(&table, &function, |mapping| {
            mapping
                .batch_size(1)
                .maximum_record_age_in_seconds(60)
                .destination_config(on_failure(&queue.arn))
        })
        .await;
    table.put(item("bad").with("fail", "always")).await;
    table.put_all(["waiting"]).await;
    let messages = queue.wait_for(2).await;
    for message in &messages {
        assert_eq!(
            message["requestContext"]["condition"], "RecordAgeExceeded",
            "{message}"
        );
    }
    table.put_all(["next"]).await;
    let seen = function.wait_until_seen("next").await;
    let (last, failed) = names(&seen)
        .split_last()
        .map(|(last, rest)| (last.clone(), rest.to_vec()))
        .unwrap();
    assert_eq!(last, "next");
    assert!(failed.len() > 1, "it was retried");
    assert!(failed.iter().all(|name| name == "bad"), "{failed:?}");
    let first = &messages[0]["DDBStreamBatchInfo"];
    assert_eq!(first["startSequenceNumber"], *sequence_number(&seen, "bad"));
}
