//! What AWS documents of event source mappings of DynamoDB streams, one test per rule.
//!
//! The tests know public APIs of AWS only. By default they run against an emulator of their
//! own, with the local stage's poller. With `STREAM_RULES=aws` they run unchanged against the
//! account and region of the AWS configuration, without a poller:
//!
//! ```sh
//! STREAM_RULES=aws AWS_PROFILE=sandbox cargo test -p stream-rules
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
//! - \[filtering-ddb\] Using event filtering with a DynamoDB event source
//! - \[batching\] How Lambda processes records from stream and queue-based event sources
//! - \[dynamodb\] Using AWS Lambda with Amazon DynamoDB
//!
//! All records of a test have one partition key, so that they are in one shard. Nothing is
//! asserted about how long something takes, but that it happens before [`fixture::DEADLINE`].
//!
//! What takes more than a minute is ignored unless asked for, and so are the benchmarks, which print figures, one after the
//! other:
//!
//! ```sh
//! cargo test -p stream-rules -- --ignored --nocapture --test-threads 1
//! ```

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bench;
mod delivery;
mod failures;
mod filtering;
mod fixture;
mod mappings;
mod partial;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use tokio::sync::OnceCell;

use fixture::{Fixture, Stage};

/// After this time, a change of a mapping has had its effect, and what was not delivered will
/// not be.
const SETTLED: Duration = Duration::from_secs(5);

type Rule = for<'a> fn(&'a Fixture) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The rules, with their names.
macro_rules! rules {
    ($($module:ident::$rule:ident),* $(,)?) => {
        [$((stringify!($rule), (|fixture| Box::pin($module::$rule(fixture))) as Rule)),*]
    };
}

fn main() {
    let rules = rules![
        delivery::functions_see_the_documented_event,
        delivery::trim_horizon_begins_with_the_oldest_record,
        delivery::latest_begins_with_the_next_record,
        delivery::a_batch_has_the_batch_size_at_most,
        delivery::a_batching_window_gathers_records,
        delivery::a_full_batch_ends_the_window,
        delivery::a_payload_has_six_megabytes_at_most,
        filtering::one_filter_has_to_match_and_the_others_are_done,
        filtering::filters_come_before_batches,
        filtering::every_filter_operator_is_known,
        filtering::either_image_is_filtered_by_attributes_of_a_type,
        failures::a_shard_waits_for_a_failed_batch_until_it_succeeds,
        failures::a_batch_is_given_up_after_its_retries,
        failures::a_timeout_is_a_failure,
        failures::an_exit_is_a_failure,
        failures::a_topic_is_told_too,
        failures::without_a_destination_the_shard_goes_on,
        failures::bisecting_isolates_a_bad_record,
        failures::throttling_uses_up_no_retry,
        partial::the_lowest_reported_number_is_the_checkpoint,
        partial::a_batch_is_bisected_at_the_checkpoint,
        partial::empty_answers_are_success,
        partial::bad_identifiers_are_failure,
        partial::reports_count_only_when_turned_on,
        mappings::a_shard_has_one_batch_at_a_time,
        mappings::a_parallelization_factor_keeps_the_order_per_item,
        mappings::a_mapping_does_not_wait_for_another,
        mappings::a_disabled_mapping_keeps_its_position,
        mappings::a_changed_mapping_goes_on_with_its_new_settings,
        mappings::a_deleted_mapping_delivers_nothing,
        mappings::a_table_made_anew_has_a_stream_of_its_own,
    ];
    // AWS takes no maximum age of less than a minute.
    let long = rules![failures::long_old_records_are_given_up_even_untried];
    let benchmarks = rules![bench::throughput, bench::delay_and_idle_cpu];
    let runtime = Arc::new(tokio::runtime::Runtime::new().unwrap());
    let stage = Arc::new(OnceCell::new());
    let ignored = long.into_iter().chain(benchmarks);
    let ignored = ignored.map(|(name, rule)| (name, rule, true));
    let trials = rules
        .map(|(name, rule)| (name, rule, false))
        .into_iter()
        .chain(ignored)
        .map(|(name, rule, is_ignored)| {
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
            .with_ignored_flag(is_ignored)
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
