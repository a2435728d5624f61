//! The settings of an event source mapping that the poller follows.

use std::time::Duration;

use aws_sdk_lambda::types::{
    EventSourceMappingConfiguration, EventSourcePosition, FilterCriteria, FunctionResponseType,
};
use traces::Cause;

use streams::Filters;

/// How long a stream keeps its records.
const RETENTION: Duration = Duration::from_hours(24);

/// The mapping's UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MappingId(pub(super) String);

/// The ARN of a stream: a table made anew has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamArn(pub(super) String);

impl StreamArn {
    /// Records of the stream, as what has caused something.
    pub(super) fn causes(&self, sequence_numbers: &[String]) -> Vec<Cause> {
        let numbers = sequence_numbers.iter();
        numbers
            .map(|number| Cause::Record {
                stream: self.0.clone(),
                sequence_number: number.clone(),
            })
            .collect()
    }
}

/// A shard's name, unique in its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ShardId(pub(super) String);

/// What of a mapping cannot be changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mapping {
    pub(super) id: MappingId,
    pub(super) stream: StreamArn,
    pub(super) starts_at: StartingPosition,
}

/// Where in the stream a new mapping begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartingPosition {
    /// With the oldest record that there is.
    TrimHorizon,
    /// With the first record that is written from now on.
    Latest,
}

/// A mapping's `DestinationConfig.OnFailure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Queue {
        arn: String,
    },
    Topic {
        arn: String,
    },
    /// A bucket, or what AWS has added since.
    Unsupported(String),
}

impl Destination {
    fn from_arn(arn: &str) -> Self {
        let arn = arn.to_owned();
        match arn.split(':').nth(2) {
            Some("sqs") => Self::Queue { arn },
            Some("sns") => Self::Topic { arn },
            _ => Self::Unsupported(arn),
        }
    }
}

/// What of a mapping can be changed. Defaults and limits are those of "Lambda parameters for
/// Amazon DynamoDB event source mappings" in Lambda's developer guide.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) enabled: bool,
    pub(super) function_arn: String,
    pub(super) filters: Filters,
    /// The most records of one invocation.
    pub(super) batch_size: usize,
    /// How long records are gathered.
    pub(super) batching_window: Duration,
    /// How many batches of one shard are in work at once.
    pub(super) parallelization_factor: usize,
    /// How often a failed batch is tried again; `None`: until its records are too old.
    pub(super) maximum_retry_attempts: Option<u32>,
    /// The age from which records are not delivered any more.
    pub(super) maximum_record_age: Duration,
    /// Whether a failed batch is split.
    pub(super) bisect: bool,
    /// Whether the function says which records failed.
    pub(super) report_item_failures: bool,
    /// Where failure records go.
    pub(super) on_failure: Option<Destination>,
}

impl Settings {
    /// Lambda's name of the function.
    pub(super) fn function_name(&self) -> &str {
        let arn = &self.function_arn;
        arn.split(':').nth(6).unwrap_or(arn)
    }
}

/// Reads what Lambda says of a mapping; `None` if its source is not a DynamoDB stream. The texts
/// warn of what the local stage does not do.
pub(super) fn read(
    mapping: &EventSourceMappingConfiguration,
) -> Option<(Mapping, Settings, Vec<String>)> {
    let stream = mapping.event_source_arn()?;
    if stream.split(':').nth(2) != Some("dynamodb") {
        return None;
    }
    let mut warnings = Vec::new();
    if mapping.tumbling_window_in_seconds().unwrap_or_default() > 0 {
        warnings.push(
            "the local stage does not support TumblingWindowInSeconds: the function gets its batches without windows and state"
                .to_owned(),
        );
    }
    let on_failure = mapping
        .destination_config()
        .and_then(|config| config.on_failure()?.destination())
        .map(Destination::from_arn);
    if let Some(Destination::Unsupported(arn)) = &on_failure {
        warnings.push(format!(
            "the local stage sends failure records to SQS queues and SNS topics only, not to {arn}: records whose attempts all fail are lost"
        ));
    }
    let patterns = mapping
        .filter_criteria()
        .map(FilterCriteria::filters)
        .unwrap_or_default();
    let filters = Filters::parse(patterns.iter().filter_map(|filter| filter.pattern()));
    if let Err(error) = &filters {
        warnings.push(format!("nothing is delivered, because there is {error}"));
    }

    let positive = |value: Option<i32>, default: usize| {
        value
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| *value > 0)
            .unwrap_or(default)
    };
    let seconds = |value: Option<i32>| {
        value
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
    };
    let settings = Settings {
        enabled: mapping.state() == Some("Enabled") && filters.is_ok(),
        function_arn: mapping.function_arn().unwrap_or_default().to_owned(),
        filters: filters.unwrap_or_default(),
        batch_size: positive(mapping.batch_size(), 100),
        batching_window: seconds(mapping.maximum_batching_window_in_seconds()).unwrap_or_default(),
        parallelization_factor: positive(mapping.parallelization_factor(), 1),
        // -1 is no limit.
        maximum_retry_attempts: mapping
            .maximum_retry_attempts()
            .and_then(|attempts| u32::try_from(attempts).ok()),
        maximum_record_age: seconds(mapping.maximum_record_age_in_seconds())
            .unwrap_or(RETENTION)
            .min(RETENTION),
        bisect: mapping.bisect_batch_on_function_error() == Some(true),
        report_item_failures: mapping
            .function_response_types()
            .contains(&FunctionResponseType::ReportBatchItemFailures),
        on_failure,
    };
    let mapping = Mapping {
        id: MappingId(mapping.uuid()?.to_owned()),
        stream: StreamArn(stream.to_owned()),
        starts_at: match mapping.starting_position() {
            Some(EventSourcePosition::TrimHorizon) => StartingPosition::TrimHorizon,
            _ => StartingPosition::Latest,
        },
    };
    Some((mapping, settings, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_lambda::types::builders::EventSourceMappingConfigurationBuilder;
    use aws_sdk_lambda::types::{DestinationConfig, Filter, OnFailure};

    const STREAM: &str =
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000";
    const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

    fn stream_mapping() -> EventSourceMappingConfigurationBuilder {
        EventSourceMappingConfiguration::builder()
            .uuid("id")
            .event_source_arn(STREAM)
            .function_arn(FUNCTION)
            .state("Enabled")
    }

    #[test]
    fn what_is_not_set_has_awss_defaults() {
        let (mapping, settings, warnings) = read(&stream_mapping().build()).unwrap();
        assert_eq!(mapping.stream, StreamArn(STREAM.to_owned()));
        assert_eq!(
            settings,
            Settings {
                enabled: true,
                function_arn: FUNCTION.to_owned(),
                filters: Filters::default(),
                batch_size: 100,
                batching_window: Duration::ZERO,
                parallelization_factor: 1,
                maximum_retry_attempts: None,
                maximum_record_age: RETENTION,
                bisect: false,
                report_item_failures: false,
                on_failure: None,
            }
        );
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn minus_one_is_no_limit_and_zero_is_no_retry() {
        let unlimited = stream_mapping()
            .maximum_retry_attempts(-1)
            .maximum_record_age_in_seconds(-1);
        let (_, settings, _) = read(&unlimited.build()).unwrap();
        assert_eq!(settings.maximum_retry_attempts, None);
        assert_eq!(settings.maximum_record_age, RETENTION);

        let limited = stream_mapping()
            .maximum_retry_attempts(0)
            .maximum_record_age_in_seconds(60);
        let (_, settings, _) = read(&limited.build()).unwrap();
        assert_eq!(settings.maximum_retry_attempts, Some(0));
        assert_eq!(settings.maximum_record_age, Duration::from_mins(1));
    }

    #[test]
    fn a_stream_keeps_no_record_for_longer_than_a_day() {
        let (_, settings, _) = read(
            &stream_mapping()
                .maximum_record_age_in_seconds(604_800)
                .build(),
        )
        .unwrap();
        assert_eq!(settings.maximum_record_age, RETENTION);
    }

    #[test]
    fn queues_are_somebody_elses() {
        let queue = stream_mapping().event_source_arn("arn:aws:sqs:us-east-1:000000000000:q");
        assert_eq!(read(&queue.build()), None);
    }

    #[test]
    fn only_enabled_mappings_deliver() {
        for state in ["Disabled", "Disabling", "Deleting"] {
            let (_, settings, _) = read(&stream_mapping().state(state).build()).unwrap();
            assert!(!settings.enabled, "{state}");
        }
    }

    #[test]
    fn what_is_not_done_is_told() {
        let bucket = OnFailure::builder().destination("arn:aws:s3:::failures");
        let mapping = stream_mapping()
            .tumbling_window_in_seconds(10)
            .destination_config(
                DestinationConfig::builder()
                    .on_failure(bucket.build())
                    .build(),
            )
            .filter_criteria(
                FilterCriteria::builder()
                    .filters(Filter::builder().pattern("{").build())
                    .build(),
            );
        let (_, settings, warnings) = read(&mapping.build()).unwrap();
        assert!(
            !settings.enabled,
            "a filter nobody understands lets nothing pass"
        );
        for (warning, about) in warnings.iter().zip([
            "TumblingWindowInSeconds",
            "arn:aws:s3:::failures",
            "filter {",
        ]) {
            assert!(warning.contains(about), "{warning}");
        }
        assert_eq!(warnings.len(), 3);
    }

    #[test]
    fn destinations_are_told_apart_by_their_arns() {
        let queue = "arn:aws:sqs:us-east-1:000000000000:failures".to_owned();
        let topic = "arn:aws:sns:us-east-1:000000000000:failures".to_owned();
        let bucket = "arn:aws:s3:::failures".to_owned();
        assert_eq!(
            Destination::from_arn(&queue),
            Destination::Queue { arn: queue }
        );
        assert_eq!(
            Destination::from_arn(&topic),
            Destination::Topic { arn: topic }
        );
        assert_eq!(
            Destination::from_arn(&bucket),
            Destination::Unsupported(bucket)
        );
    }
}
