//! Changes of a table's items, which functions handle from its stream.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::item_change::ItemChange;
use super::item_filter::{Image, ItemFilter, Match};
use super::key;
use crate::check::{Check, Subject};
use crate::cloudformation::{attribute, sub};
use crate::function::{Declaration, Function};
use crate::origin::Origin;
use crate::policy;
use crate::resource_id::ResourceId;
use crate::synthesis::Synthesis;
use crate::trigger::{Invocation, Trigger};
use crate::trigger_word::Sample;

/// Records of one batch of a stream.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html>
const BATCH_SIZE: RangeInclusive<u32> = 1..=10_000;
/// How long Lambda may wait for a batch to fill, in seconds.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
const BATCHING_WINDOW_SECONDS: RangeInclusive<u32> = 0..=300;
/// How often Lambda may try a batch again, by the same page.
const RETRY_ATTEMPTS: RangeInclusive<u32> = 0..=10_000;
/// The age at which a record may be given up, in seconds. The same page admits seven days,
/// but DynamoDB drops a record after one.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>
const RECORD_AGE_SECONDS: RangeInclusive<u32> = 60..=24 * 60 * 60;
/// Batches of one shard at a time, by the page of the mapping.
const PARALLELIZATION_FACTOR: RangeInclusive<u32> = 1..=10;
/// Filters of one mapping. AWS raises the quota to 10 on request.
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>
const FILTERS_MAX: usize = 5;
/// Characters of a filter's pattern.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Filter.html>
const PATTERN_MAX: usize = 4096;

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
pub(super) fn sample(about: &Sample<'_>) -> Value {
    let stream = format!(
        "table/{}/stream/2026-01-05T09:00:00.000",
        about.made_up_name()
    );
    json!({"Records": [{
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": ItemChange::Insert.event_name(),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": about.names.region,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_767_605_400,
            "Keys": about.key,
            "NewImage": about.key,
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": about.arn("dynamodb", &stream),
    }]})
}

/// Changes of a table's items, with the old and the new item, in the order in which they
/// were made to an item. Lambda reads them from the table's stream and invokes the function
/// with a batch at a time. A trigger.
///
/// What a batch may cost is bounded, unlike by AWS's defaults, with which one record that
/// cannot be handled holds up its shard for a day: a failed batch is split in two until the
/// failure is alone, tried again a few times, and then given up to the function's failure
/// queue. The function says which record it failed on, so that those before it are not
/// handled again.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>
#[derive(Clone, Debug)]
pub struct ItemChanges {
    pub(super) table: ResourceId,
    pub(super) kinds: BTreeSet<ItemChange>,
    pub(super) batch_size: u32,
    pub(super) batching_window_seconds: u32,
    pub(super) retry_attempts: u32,
    pub(super) record_age_seconds: u32,
    pub(super) parallelization_factor: u32,
    /// One of which must pass a change; the first is empty if every change passes.
    filters: Vec<ItemFilter>,
}

impl ItemChanges {
    pub(super) fn new(table: ResourceId, kinds: impl IntoIterator<Item = ItemChange>) -> Self {
        Self {
            table,
            kinds: kinds.into_iter().collect(),
            batch_size: 100,
            batching_window_seconds: 1,
            retry_attempts: 5,
            record_age_seconds: 3600,
            parallelization_factor: 1,
            filters: vec![ItemFilter::default()],
        }
    }

    /// Only changes after which the item has such an attribute. All conditions must be met, up to
    /// an [`or`](Self::or). Lambda leaves other changes out before it makes batches, and does not
    /// charge for them.
    #[must_use]
    pub fn where_new(self, attribute: &str, wanted: impl Into<Match>) -> Self {
        self.with_condition(Image::New, attribute, wanted.into())
    }

    /// Only changes before which the item had such an attribute, likewise.
    #[must_use]
    pub fn where_old(self, attribute: &str, wanted: impl Into<Match>) -> Self {
        self.with_condition(Image::Old, attribute, wanted.into())
    }

    /// Also changes that meet the conditions that follow instead of those before.
    #[must_use]
    pub fn or(mut self) -> Self {
        self.filters.push(ItemFilter::default());
        self
    }

    fn with_condition(mut self, image: Image, attribute: &str, wanted: Match) -> Self {
        if let Some(filter) = self.filters.last_mut() {
            filter.add(image, attribute, wanted);
        }
        self
    }

    /// The most records of a batch: 100 unless told.
    #[must_use]
    pub fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// How long Lambda waits for a batch to fill, in seconds: 1 unless told.
    #[must_use]
    pub fn batching_window_seconds(mut self, batching_window_seconds: u32) -> Self {
        self.batching_window_seconds = batching_window_seconds;
        self
    }

    /// How often a failed batch is tried again, not counting the times that it is split:
    /// 5 unless told.
    #[must_use]
    pub fn retry_attempts(mut self, retry_attempts: u32) -> Self {
        self.retry_attempts = retry_attempts;
        self
    }

    /// The age, in seconds, at which a record is given up even if attempts are left: 3600
    /// unless told. DynamoDB keeps records for 24 hours, and the failure queue only says
    /// where in the stream a record is; so what is left of the day is the time to look at
    /// the record and to have it handled after all.
    #[must_use]
    pub fn record_age_seconds(mut self, record_age_seconds: u32) -> Self {
        self.record_age_seconds = record_age_seconds;
        self
    }

    /// How many batches of a shard are handled at a time, the changes of one item still in
    /// their order: 1 unless told.
    #[must_use]
    pub fn parallelization_factor(mut self, parallelization_factor: u32) -> Self {
        self.parallelization_factor = parallelization_factor;
        self
    }
}

impl From<ItemChanges> for Trigger {
    fn from(changes: ItemChanges) -> Self {
        let invocation = Invocation::Stream {
            patterns: changes.patterns(),
            record_age_seconds: changes.record_age_seconds,
        };
        let statements = stream_statements(&changes.table);
        let label = changes.event_names().into_iter().collect::<Vec<_>>();
        let causes = changes.kinds.iter().flat_map(|kind| kind.causes());
        let causes: Vec<String> = causes.map(|action| action.iam_action()).collect();
        Self::new(changes.table.clone(), invocation, changes)
            .labelled(label.join(", "))
            .telling_variables()
            .with_statements(statements)
            .caused_by(causes)
    }
}

impl ItemChanges {
    fn event_names(&self) -> BTreeSet<&'static str> {
        let kinds = self.kinds.iter().copied();
        kinds.map(ItemChange::event_name).collect()
    }

    /// Lambda's patterns, of which a record has to match one.
    fn patterns(&self) -> Vec<String> {
        let event_names = self.event_names();
        let filters = self.filters.iter();
        filters.map(|filter| filter.pattern(&event_names)).collect()
    }

    /// What is wrong with the trigger of `function`, which stands at `origin`.
    pub(super) fn check(&self, check: &mut Check<'_>, function: &Declaration, origin: Origin) {
        let subject = Subject::new(format!(
            "function `{}` on the stream of {}",
            function.name, self.table
        ))
        .at(origin);
        check.require(
            !self.kinds.is_empty(),
            &subject,
            "handles no change",
            "list what it handles in `item_changes`",
        );
        for (setting, value, range) in [
            ("batch_size", self.batch_size, BATCH_SIZE),
            (
                "batching_window_seconds",
                self.batching_window_seconds,
                BATCHING_WINDOW_SECONDS,
            ),
            ("retry_attempts", self.retry_attempts, RETRY_ATTEMPTS),
            (
                "record_age_seconds",
                self.record_age_seconds,
                RECORD_AGE_SECONDS,
            ),
            (
                "parallelization_factor",
                self.parallelization_factor,
                PARALLELIZATION_FACTOR,
            ),
        ] {
            check.require(
                range.contains(&value),
                &subject,
                format!("has a `{setting}` of {value}"),
                format!("set it to {} to {}", range.start(), range.end()),
            );
        }
        self.check_filters(check, &subject);
        self.check_attempts(check, subject, function);
    }

    fn check_filters(&self, check: &mut Check<'_>, subject: &Subject) {
        check.require(
            self.filters.len() <= FILTERS_MAX,
            subject,
            format!(
                "has {} filters, but Lambda takes at most {FILTERS_MAX}",
                self.filters.len()
            ),
            "merge filters that differ in one value: a condition takes several",
        );
        check.require(
            self.filters.len() == 1 || !self.filters.iter().any(ItemFilter::is_empty),
            subject,
            "has an `or` with no condition on one side",
            "add one, or remove the `or`",
        );
        for change in &self.kinds {
            let lacking = [Image::New, Image::Old]
                .into_iter()
                .find(|image| !image.is_of(*change));
            check.require(
                self.filters.iter().any(|filter| filter.can_pass(*change)),
                subject,
                format!(
                    "handles {change:?}, but asks for attributes of the {}, which {change:?} does not have",
                    lacking.map_or("item", Image::noun)
                ),
                "remove one of the two, or let the change in by an `or`",
            );
        }
        for filter in &self.filters {
            check.require(
                self.kinds.is_empty() || self.kinds.iter().any(|change| filter.can_pass(*change)),
                subject,
                "has an `or` that lets in none of the changes that it handles",
                "remove it, or list the change in `item_changes`",
            );
            for contradiction in filter.contradictions() {
                check.require(
                    false,
                    subject,
                    contradiction,
                    "ask once, with all values that will do",
                );
            }
            for attribute in filter.attributes() {
                key::check_name(check, subject, attribute);
            }
        }
        for pattern in self.patterns() {
            let length = pattern.chars().count();
            check.require(
                length <= PATTERN_MAX,
                subject,
                format!(
                    "has a filter of {length} characters, but Lambda takes at most {PATTERN_MAX}"
                ),
                "ask for fewer values, or let the function decide",
            );
        }
    }

    /// All attempts at a record must fit into the age at which it is given up.
    fn check_attempts(&self, check: &mut Check<'_>, subject: Subject, function: &Declaration) {
        let (timeout_seconds, subject) = check.effective_timeout(subject, function);
        let attempts = u64::from(self.retry_attempts) + 1;
        let needed_seconds = attempts * u64::from(timeout_seconds);
        check.require(
            needed_seconds <= u64::from(self.record_age_seconds),
            &subject,
            format!(
                "may take {needed_seconds} s for {attempts} attempts, but gives records up when they are {} s old",
                self.record_age_seconds
            ),
            "raise `record_age_seconds`, or lower `retry_attempts` or `timeout_seconds`",
        );
    }

    /// Lambda refuses a mapping until the function's role may read the stream and send to
    /// the queue. It may once the function exists: its policy is part of the role.
    pub(super) fn synth(&self, synthesis: &mut Synthesis<'_>, function: &Function, origin: Origin) {
        let table_id = self.table.logical_id();
        let patterns = self.patterns().into_iter();
        let filters: Vec<Value> = patterns
            .map(|pattern| json!({"Pattern": pattern}))
            .collect();
        let mapping = synthesis.tagged(
            "AWS::Lambda::EventSourceMapping",
            json!({
                "EventSourceArn": attribute(&table_id, "StreamArn"),
                "FunctionName": synthesis.mapped(function),
                // Changes that were made before the mapping are handled, too.
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": self.batch_size,
                "MaximumBatchingWindowInSeconds": self.batching_window_seconds,
                "BisectBatchOnFunctionError": true,
                "MaximumRetryAttempts": self.retry_attempts,
                "MaximumRecordAgeInSeconds": self.record_age_seconds,
                "ParallelizationFactor": self.parallelization_factor,
                "DestinationConfig": function.on_failure(),
                "FilterCriteria": {"Filters": filters},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            }),
        );
        let logical_id = format!("{table_id}{}", function.logical_id("EventSourceMapping"));
        synthesis.add(logical_id, origin, mapping);
    }
}

/// What Lambda does by the function's role to read a table's stream, and not its items.
/// Streams are listed by table.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html>
fn stream_statements(table: &ResourceId) -> Vec<Value> {
    let table = table.logical_id();
    let read = ["DescribeStream", "GetRecords", "GetShardIterator"]
        .map(|action| format!("dynamodb:{action}"));
    vec![
        policy::allow(
            &format!("Read{table}Stream"),
            &read,
            &attribute(&table, "StreamArn"),
        ),
        policy::allow(
            &format!("List{table}Streams"),
            &["dynamodb:ListStreams".to_owned()],
            &sub(&format!("${{{table}.Arn}}/stream/*")),
        ),
    ]
}
