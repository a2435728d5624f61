//! Event source mappings of DynamoDB streams, as AWS carries them out.
//!
//! MiniStack has the mappings in its API and its CloudFormation, but does not heed most of
//! their settings, so `emulator.py` keeps it from polling streams. The poller does that
//! instead, for every mapping of a stream, whoever made it. It knows the public APIs alone:
//! `ListEventSourceMappings` for what is to be done, `DescribeStream`, `GetShardIterator` and
//! `GetRecords` for the records, `Invoke` for the function, `SendMessage` and `Publish` for
//! what was given up.
//!
//! - `mapping` reads the settings, `filter` the patterns, `lineage` decides which shards are
//!   read, `batch` what happens with their records, `function` what an answer means,
//!   `destination` what the message says. All of them without AWS.
//! - `shard` does it: one task per mapping and shard, so that none is in another's way. The
//!   task keeps the position. A mapping that is disabled keeps its tasks and goes on where it
//!   was; one that is deleted ends them.
//!
//! What differs from AWS: mappings start and change within a second instead of a minute, an
//! idle shard is read more often, tumbling windows are not built, and positions are lost with
//! the stage, as the tables are.

mod batch;
mod destination;
mod filter;
mod function;
mod lineage;
mod mapping;
mod shard;
#[cfg(test)]
mod testing;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::{BehaviorVersion, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{debug, warn};

use self::batch::Batch;
use self::lineage::{Lineage, Listed};
use self::mapping::{Mapping, MappingId, Settings, StreamArn};
use self::shard::ShardId;
use crate::quiet::Activity;
use crate::{Chaos, Delivery, Faults, Keys};

/// How often changes of mappings are looked for.
const MAPPINGS_INTERVAL: Duration = Duration::from_millis(500);

/// How often new shards are looked for. AWS's streams get new ones every few hours, and
/// MiniStack's never do.
const SHARDS_INTERVAL: Duration = Duration::from_secs(10);

/// What a [`StreamPoller`] is started with.
#[derive(Debug, Clone, Copy)]
pub struct StreamPollerConfig<'a> {
    /// Where AWS's services answer, by HTTP: [`Emulator::endpoint`](crate::Emulator::endpoint).
    pub endpoint: &'a str,
    /// As whom to talk to them: [`Emulator::keys`](crate::Emulator::keys).
    pub keys: &'a Keys,
    /// The region of mappings and streams.
    pub region: &'a str,
    /// What goes wrong, if anything is to.
    pub chaos: Option<&'a Chaos>,
}

/// Delivers the records of DynamoDB streams to functions. Dropping it stops it.
///
/// What it has to tell (records that were given up, a destination that does not answer)
/// goes to `tracing`.
#[derive(Debug)]
pub struct StreamPoller {
    activity: Arc<Activity>,
    task: JoinHandle<()>,
}

impl StreamPoller {
    /// Starts to follow the mappings. Must be called in a Tokio runtime.
    #[must_use]
    pub fn start(config: StreamPollerConfig<'_>) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let clients = Arc::new(Clients::new(config, http));
        Self {
            activity: Arc::clone(&clients.activity),
            task: tokio::spawn(follow_mappings(clients)),
        }
    }

    /// How far it is.
    pub(crate) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// Stops. Deliveries under way are broken off.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // An error says that it was stopped.
        let _ = (&mut self.task).await;
    }
}

impl Drop for StreamPoller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Clients {
    streams: aws_sdk_dynamodbstreams::Client,
    lambda: aws_sdk_lambda::Client,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    /// Not a service, but also what every delivery needs.
    faults: Option<Arc<Faults>>,
    /// Likewise.
    activity: Arc<Activity>,
}

impl Clients {
    fn new(config: StreamPollerConfig<'_>, http: SharedHttpClient) -> Self {
        let faults = config.chaos.map(Chaos::faults);
        // Not from the environment: the user's own AWS settings do not concern the local stage.
        let credentials = Credentials::new(
            &config.keys.access_key_id,
            &config.keys.secret_access_key,
            None,
            None,
            "local stage",
        );
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url(config.endpoint)
            .region(Region::new(config.region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http)
            .build();
        let lambda = aws_sdk_lambda::config::Builder::from(&config)
            // Whether and when a batch is tried again is the mapping's matter.
            .retry_config(RetryConfig::disabled())
            // A function may take 15 minutes to answer.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            faults,
            activity: Arc::default(),
        }
    }

    /// How a batch is to be delivered. Only the first attempt at it is late.
    fn delivery(&self, settings: &Settings, batch: &Batch) -> Delivery {
        match &self.faults {
            Some(faults) if batch.invocations == 0 => {
                let arn = &settings.function_arn;
                faults.stream_batch(arn.split(':').nth(6).unwrap_or(arn))
            }
            _ => Delivery::default(),
        }
    }

    async fn hold_back(&self, duration: Duration) {
        if let Some(faults) = &self.faults {
            faults.hold_back(duration).await;
        }
    }

    /// The mappings whose source is a DynamoDB stream, and what to warn of.
    async fn mappings(
        &self,
    ) -> Result<Vec<(Mapping, Settings, Vec<String>)>, aws_sdk_lambda::Error> {
        let mut pages = self
            .lambda
            .list_event_source_mappings()
            .into_paginator()
            .items()
            .send();
        let mut mappings = Vec::new();
        while let Some(mapping) = pages.try_next().await? {
            mappings.extend(mapping::read(&mapping));
        }
        Ok(mappings)
    }

    async fn shards(
        &self,
        StreamArn(stream): &StreamArn,
    ) -> Result<Vec<Listed>, aws_sdk_dynamodbstreams::Error> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let description = self
                .streams
                .describe_stream()
                .stream_arn(stream)
                .set_exclusive_start_shard_id(after)
                .send()
                .await?
                .stream_description;
            let Some(description) = description else {
                return Ok(shards);
            };
            shards.extend(description.shards().iter().filter_map(|shard| {
                let range = shard.sequence_number_range();
                Some(Listed {
                    id: ShardId(shard.shard_id()?.to_owned()),
                    parent: shard.parent_shard_id().map(|id| ShardId(id.to_owned())),
                    is_closed: range.is_some_and(|range| range.ending_sequence_number().is_some()),
                })
            }));
            after = description.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(shards);
            }
        }
    }
}

/// What a service says, or what kept it from answering, in one line.
fn text_of(error: &(impl ProvideErrorMetadata + Error)) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or_default());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A mapping that is carried out.
struct Followed {
    settings: watch::Sender<Arc<Settings>>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never returns; dropping it ends all that was started.
async fn follow_mappings(clients: Arc<Clients>) {
    let mut followed: HashMap<MappingId, Followed> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut is_answered = true;
    loop {
        match clients.mappings().await {
            Ok(mappings) => {
                is_answered = true;
                followed.retain(|id, _| mappings.iter().any(|(mapping, ..)| mapping.id == *id));
                for (mapping, settings, warnings) in mappings {
                    let MappingId(id) = mapping.id.clone();
                    let function = settings.function_arn.clone();
                    let known = followed.get(&mapping.id);
                    let is_changed =
                        known.is_none_or(|known| **known.settings.borrow() != settings);
                    if !is_changed {
                        continue;
                    }
                    for warning in warnings {
                        warn!(mapping = id, function, "{warning}");
                    }
                    if let Some(known) = known {
                        known.settings.send_replace(Arc::new(settings));
                        continue;
                    }
                    let (sender, settings) = watch::channel(Arc::new(settings));
                    let stream = mapping.stream.0.clone();
                    debug!(
                        mapping = id,
                        function, stream, "delivers a stream's records"
                    );
                    let task =
                        tasks.spawn(follow_stream(clients.clone(), mapping.clone(), settings));
                    followed.insert(
                        mapping.id,
                        Followed {
                            settings: sender,
                            task,
                        },
                    );
                }
            }
            Err(error) if is_answered => {
                is_answered = false;
                warn!(
                    error = text_of(&error),
                    "the event source mappings cannot be listed"
                );
            }
            Err(_) => {}
        }
        // The tasks of deleted mappings have ended.
        while tasks.try_join_next().is_some() {}
        tokio::time::sleep(MAPPINGS_INTERVAL).await;
    }
}

/// Has every shard of a mapping's stream read, parents before children. Never returns.
async fn follow_stream(
    clients: Arc<Clients>,
    mapping: Mapping,
    settings: watch::Receiver<Arc<Settings>>,
) {
    let stream = mapping.stream;
    let mut lineage = Lineage::new(mapping.starts_at);
    let mut shards = JoinSet::new();
    let mut is_answered = true;
    loop {
        match clients.shards(&stream).await {
            Ok(listed) => {
                is_answered = true;
                for (id, start) in lineage.startable(&listed) {
                    let run = shard::run(
                        clients.clone(),
                        stream.clone(),
                        id.clone(),
                        start,
                        settings.clone(),
                    );
                    shards.spawn(async move {
                        run.await;
                        id
                    });
                }
            }
            Err(error) if is_answered => {
                is_answered = false;
                let error = text_of(&error);
                warn!(
                    stream = stream.0,
                    error, "the shards of the stream cannot be listed"
                );
            }
            Err(_) => {}
        }
        tokio::select! {
            Some(Ok(done)) = shards.join_next() => lineage.done(done),
            () = tokio::time::sleep(SHARDS_INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{FUNCTION, FakeAws, QUEUE, STREAM};
    use super::*;
    use aws_sdk_lambda::types::{
        DestinationConfig, EventSourceMappingConfiguration, EventSourcePosition, OnFailure,
    };

    /// What is done for a mapping, up to `last`.
    async fn done_until(aws: &FakeAws, last: &str) -> Vec<String> {
        let config = StreamPollerConfig {
            endpoint: "http://127.0.0.1:1",
            keys: &Keys::random().unwrap(),
            region: "us-east-1",
            chaos: None,
        };
        let clients = Arc::new(Clients::new(config, aws.http_client()));
        let queue = OnFailure::builder().destination(QUEUE).build();
        let mapping = EventSourceMappingConfiguration::builder()
            .uuid("id")
            .event_source_arn(STREAM)
            .function_arn(FUNCTION)
            .state("Enabled")
            .starting_position(EventSourcePosition::TrimHorizon)
            .batch_size(2)
            .maximum_retry_attempts(0)
            .destination_config(DestinationConfig::builder().on_failure(queue).build());
        let (mapping, settings, _) = mapping::read(&mapping.build()).unwrap();
        let (_sender, settings) = watch::channel(Arc::new(settings));
        let followed = follow_stream(clients, mapping, settings);
        let is_done = async {
            while !aws.done().iter().any(|done| done == last) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = followed => panic!("a stream is followed until the mapping is gone"),
            () = is_done => aws.done(),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("only {:?}", aws.done()),
        }
    }

    #[tokio::test]
    async fn children_are_read_after_the_last_record_of_their_parents() {
        let aws = FakeAws::default()
            .shard("grandchild", Some("child"), [6])
            .shard("child", Some("parent"), [4, 5])
            .shard("parent", None, [1, 2, 3]);
        assert_eq!(
            done_until(&aws, "invoke 6").await,
            ["invoke 1 2", "invoke 3", "invoke 4 5", "invoke 6"]
        );
    }

    #[tokio::test]
    async fn an_expired_iterator_is_made_anew_behind_the_last_record() {
        let aws = FakeAws::default()
            .shard("shard", None, 1..=5)
            .expired_iterators(2);
        assert_eq!(
            done_until(&aws, "invoke 5").await,
            ["invoke 1 2", "invoke 3 4", "invoke 5"]
        );
    }

    #[tokio::test]
    async fn the_shard_waits_for_a_destination_that_cannot_be_told() {
        let aws = FakeAws::default()
            .shard("shard", None, 1..=4)
            .poison(1)
            .missing_queue(3);
        assert_eq!(
            done_until(&aws, "invoke 3 4").await,
            [
                "invoke 1 2",
                "no queue",
                "no queue",
                "no queue",
                "send 1",
                "invoke 3 4"
            ]
        );
    }
}
