//! What AWS documents of event source mappings of DynamoDB streams, one test per rule.
//!
//! The tests know public APIs of AWS only. By default they run against an emulator of their
//! own, with the local stage's poller. With `STREAM_RULES=aws` they run unchanged against the
//! account and region of the AWS configuration, without a poller:
//!
//! ```sh
//! STREAM_RULES=aws AWS_PROFILE=sandbox cargo test -p local --test stream_rules
//! ```
//!
//! That needs rights to make and delete a role, tables, functions, queues and topics named
//! `stream-rules-*`, takes some minutes and costs some cents. Everything is deleted at the
//! end. The function is built here, so the machine must be Linux with a C library no newer
//! than that of `provided.al2023` (glibc 2.34).
//!
//! The pages that rules are from are of Lambda's developer guide:
//!
//! - \[params\] Lambda parameters for Amazon DynamoDB event source mappings
//! - \[errors\] Retain discarded records for a DynamoDB event source in Lambda
//! - \[partial\] Configuring partial batch response with DynamoDB and Lambda
//! - \[filtering\] Control which events Lambda sends to your function
//! - \[batching\] How Lambda processes records from stream and queue-based event sources
//! - \[dynamodb\] Using AWS Lambda with Amazon DynamoDB
//!
//! All records of a test have one partition key, so that they are in one shard. Nothing is
//! asserted about how long something takes, but that it happens before [`DEADLINE`].
//!
//! The benchmarks print figures, and are ignored unless asked for, one after the other:
//!
//! ```sh
//! cargo test -p local --test stream_rules -- --ignored --nocapture --test-threads 1
//! ```

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bench;
mod fixture;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_lambda::types::{EventSourcePosition, FunctionResponseType};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use bench::{delay_and_idle_cpu, throughput};
use fixture::{
    DEADLINE, Fixture, Invocation, Item, POLL_INTERVAL, Stage, filters, is_time, item, names,
    numbered, on_failure, records, sequence_number, succeeded,
};

/// After this time, a change of a mapping has had its effect, and what was not delivered will
/// not be.
const SETTLED: Duration = Duration::from_secs(5);

type Rule = for<'a> fn(&'a Fixture) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The rules, with their names.
macro_rules! rules {
    ($($rule:ident),* $(,)?) => {
        [$((stringify!($rule), (|fixture| Box::pin($rule(fixture))) as Rule)),*]
    };
}

fn main() {
    let rules = rules![
        functions_see_the_documented_event,
        trim_horizon_begins_with_the_oldest_record,
        latest_begins_with_the_next_record,
        a_batch_has_the_batch_size_at_most,
        a_batching_window_gathers_records,
        a_full_batch_ends_the_window,
        a_payload_has_six_megabytes_at_most,
        one_filter_has_to_match_and_the_others_are_done,
        filters_come_before_batches,
        every_filter_operator_is_known,
        a_shard_waits_for_a_failed_batch_until_it_succeeds,
        a_batch_is_given_up_after_its_retries,
        a_timeout_is_a_failure,
        an_exit_is_a_failure,
        a_topic_is_told_too,
        without_a_destination_the_shard_goes_on,
        bisecting_isolates_a_bad_record,
        throttling_uses_up_no_retry,
        old_records_are_given_up_even_untried,
        the_lowest_reported_number_is_the_checkpoint,
        a_batch_is_bisected_at_the_checkpoint,
        empty_answers_are_success,
        bad_identifiers_are_failure,
        reports_count_only_when_turned_on,
        a_shard_has_one_batch_at_a_time,
        a_parallelization_factor_keeps_the_order_per_item,
        a_mapping_does_not_wait_for_another,
        a_disabled_mapping_keeps_its_position,
        a_changed_mapping_goes_on_with_its_new_settings,
        a_deleted_mapping_delivers_nothing,
        a_table_made_anew_has_a_stream_of_its_own,
    ];
    let benchmarks = rules![throughput, delay_and_idle_cpu];
    let runtime = Arc::new(tokio::runtime::Runtime::new().unwrap());
    let stage = Arc::new(OnceCell::new());
    let rules = rules.map(|(name, rule)| (name, rule, false));
    let benchmarks = benchmarks.map(|(name, rule)| (name, rule, true));
    let trials = rules
        .into_iter()
        .chain(benchmarks)
        .map(|(name, rule, is_benchmark)| {
            let (runtime, stage) = (runtime.clone(), stage.clone());
            Trial::test(name, move || {
                let stage = runtime.block_on(stage.get_or_init(Stage::start)).clone();
                let fixture = Fixture::new(stage, name);
                let followed = || runtime.block_on(rule(&fixture));
                // A panic must not keep the resources from being deleted.
                let followed = catch_unwind(AssertUnwindSafe(followed));
                runtime.block_on(fixture.delete());
                followed.map_err(|panic| resume_unwind(panic))
            })
            .with_ignored_flag(is_benchmark)
        })
        .collect();
    let mut arguments = Arguments::from_args();
    // They wait, most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(64));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(stage) = stage.get() {
        runtime.block_on(stage.end());
    }
    conclusion.exit();
}

/// [dynamodb]: the event has the records in their order, with what the stream shows of them.
async fn functions_see_the_documented_event(fixture: &Fixture) {
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
async fn trim_horizon_begins_with_the_oldest_record(fixture: &Fixture) {
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
async fn latest_begins_with_the_next_record(fixture: &Fixture) {
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
async fn a_batch_has_the_batch_size_at_most(fixture: &Fixture) {
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
async fn a_batching_window_gathers_records(fixture: &Fixture) {
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
async fn a_full_batch_ends_the_window(fixture: &Fixture) {
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
async fn a_payload_has_six_megabytes_at_most(fixture: &Fixture) {
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

/// [filtering]: filters are ORed; what passes none is discarded, and the iterator advances.
async fn one_filter_has_to_match_and_the_others_are_done(fixture: &Fixture) {
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
async fn filters_come_before_batches(fixture: &Fixture) {
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
async fn every_filter_operator_is_known(fixture: &Fixture) {
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

/// [errors], [dynamodb]: the shard is blocked until the batch succeeds; without a limit it is
/// retried again and again.
async fn a_shard_waits_for_a_failed_batch_until_it_succeeds(fixture: &Fixture) {
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
async fn a_batch_is_given_up_after_its_retries(fixture: &Fixture) {
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
async fn a_timeout_is_a_failure(fixture: &Fixture) {
    gives_up_on(fixture, item("bad").with("sleep_ms", "20000")).await;
}

/// [errors]: an error during the invocation, as the end of the runtime is.
async fn an_exit_is_a_failure(fixture: &Fixture) {
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
async fn a_topic_is_told_too(fixture: &Fixture) {
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
async fn without_a_destination_the_shard_goes_on(fixture: &Fixture) {
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
async fn bisecting_isolates_a_bad_record(fixture: &Fixture) {
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
async fn throttling_uses_up_no_retry(fixture: &Fixture) {
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
async fn old_records_are_given_up_even_untried(fixture: &Fixture) {
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

/// [partial]: of several reported records, the one with the lowest number is where the
/// retries start.
async fn the_lowest_reported_number_is_the_checkpoint(fixture: &Fixture) {
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
async fn a_batch_is_bisected_at_the_checkpoint(fixture: &Fixture) {
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
async fn empty_answers_are_success(fixture: &Fixture) {
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
async fn bad_identifiers_are_failure(fixture: &Fixture) {
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
async fn reports_count_only_when_turned_on(fixture: &Fixture) {
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

/// [dynamodb]: Lambda polls a shard with one invocation at a time.
async fn a_shard_has_one_batch_at_a_time(fixture: &Fixture) {
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
async fn a_parallelization_factor_keeps_the_order_per_item(fixture: &Fixture) {
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
async fn a_mapping_does_not_wait_for_another(fixture: &Fixture) {
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
async fn a_disabled_mapping_keeps_its_position(fixture: &Fixture) {
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
async fn a_changed_mapping_goes_on_with_its_new_settings(fixture: &Fixture) {
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
async fn a_deleted_mapping_delivers_nothing(fixture: &Fixture) {
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
async fn a_table_made_anew_has_a_stream_of_its_own(fixture: &Fixture) {
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
