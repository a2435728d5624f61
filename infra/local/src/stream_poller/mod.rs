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
//!   read, `lane` what happens with their records, `function` what an answer means,
//!   `destination` what the message says. All of them without AWS.
//! - `shard` does it: one task per mapping and shard, so that none is in another's way. The
//!   task keeps the position. A mapping that is disabled keeps its tasks and goes on where it
//!   was; one that is deleted ends them.
//! - `positions` knows how far each task is, so that a stage whose state is kept goes on there.
//!
//! What differs from AWS: mappings start and change within a second instead of a minute, a
//! shard is read when the emulator tells of a new record, and tumbling windows are not built.

mod activity;
mod batch;
mod clients;
mod destination;
mod function;
mod lane;
mod lineage;
mod mapping;
mod positions;
mod shard;
#[cfg(test)]
mod testing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{debug, warn};

pub(crate) use self::activity::Activity;
use self::activity::ShardActivity;
use self::clients::Clients;
use self::lineage::Lineage;
use self::mapping::{Mapping, MappingId, Settings};
pub(crate) use self::positions::{Position, Positions};
use crate::aws::text_of;
use crate::news::News;
use crate::{Chaos, Keys, Observer};

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
    /// Who notes what becomes of batches.
    pub observer: &'a Observer,
}

/// Delivers the records of DynamoDB streams to functions. Dropping it stops it.
///
/// What it has to tell (records that were given up, a destination that does not answer)
/// goes to `tracing`.
#[derive(Debug)]
pub struct StreamPoller {
    activity: Arc<Activity>,
    positions: Arc<Positions>,
    news: News,
    begin: Arc<Notify>,
    task: JoinHandle<()>,
}

impl StreamPoller {
    /// Starts to follow the mappings. Must be called in a Tokio runtime.
    #[must_use]
    pub fn start(config: StreamPollerConfig<'_>) -> Self {
        let poller = Self::held(config, None);
        poller.begin();
        poller
    }

    /// Waits for [`Self::begin`]. Goes on where an earlier start got to, if there was one.
    pub(crate) fn held(config: StreamPollerConfig<'_>, kept: Option<Vec<Position>>) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let mut clients = Clients::new(config, http);
        if let Some(kept) = kept {
            clients.positions = Arc::new(Positions::new(kept));
            clients.ages_from = Some(SystemTime::now());
        }
        let begin = Arc::new(Notify::new());
        let begun = Arc::clone(&begin);
        Self {
            activity: Arc::clone(&clients.activity),
            positions: Arc::clone(&clients.positions),
            news: clients.news.clone(),
            begin,
            task: tokio::spawn(async move {
                begun.notified().await;
                follow_mappings(Arc::new(clients)).await;
            }),
        }
    }

    /// Starts to follow the mappings.
    pub(crate) fn begin(&self) {
        self.begin.notify_one();
    }

    /// How far it is in each shard.
    pub(crate) fn positions(&self) -> Arc<Positions> {
        Arc::clone(&self.positions)
    }

    /// What it is told of by the emulator.
    pub(crate) fn news(&self) -> News {
        self.news.clone()
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
        let began = Instant::now();
        match clients.mappings().await {
            Ok(mappings) => {
                is_answered = true;
                let is_there =
                    |id: &MappingId| mappings.iter().any(|(mapping, ..)| mapping.id == *id);
                followed.retain(|id, _| is_there(id));
                clients.positions.retain(is_there);
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
                    // In place of the shards until they are found.
                    let unknown = clients.activity.follow();
                    let follow = follow_stream(clients.clone(), mapping.clone(), settings, unknown);
                    let task = tasks.spawn(follow);
                    followed.insert(
                        mapping.id,
                        Followed {
                            settings: sender,
                            task,
                        },
                    );
                }
                clients.activity.listed(began);
            }
            Err(error) if is_answered => {
                is_answered = false;
                warn!(
                    error = text_of(&error),
                    "could not list the event source mappings"
                );
            }
            Err(_) => {}
        }
        // The tasks of deleted mappings have ended.
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = clients.activity.listing_wanted() => {}
            () = tokio::time::sleep(MAPPINGS_INTERVAL) => {}
        }
    }
}

/// Has every shard of a mapping's stream read, parents before children. Never returns. `unknown`
/// stands for the shards until they are found.
async fn follow_stream(
    clients: Arc<Clients>,
    mapping: Mapping,
    settings: watch::Receiver<Arc<Settings>>,
    unknown: Arc<ShardActivity>,
) {
    let mut unknown = Some(unknown);
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
                        clients.activity.follow(),
                        clients.positions.of(mapping.id.clone(), id.clone()),
                    );
                    shards.spawn(async move {
                        run.await;
                        id
                    });
                }
                unknown.take();
            }
            Err(error) if is_answered => {
                is_answered = false;
                let error = text_of(&error);
                warn!(
                    stream = stream.0,
                    error, "could not list the shards of the stream"
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
            observer: &Observer::new().unwrap(),
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
        let unknown = clients.activity.follow();
        let followed = follow_stream(clients, mapping, settings, unknown);
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
