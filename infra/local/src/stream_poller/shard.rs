//! A shard of a stream, on behalf of one mapping.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_dynamodbstreams::types::{AttributeValue, Record as StreamRecord, ShardIteratorType};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use traces::What;
use tracing::warn;

use super::activity::ShardActivity;
use super::batch::{Outcome, Record, back_off};
use super::clients::Clients;
use super::destination::give_up;
use super::function::deliver;
use super::lane::{Lane, Step};
use super::lineage::Start;
use super::mapping::{Settings, ShardId, StreamArn};
use super::positions::ShardPosition;
use crate::aws::text_of;

/// How long a reader waits before it asks for another iterator.
const ITERATOR_INTERVAL: Duration = Duration::from_millis(100);

/// Records that a shard may have in memory besides full batches. Only a lane that is stuck
/// lets as many gather, while the other lanes go on.
const WAITING_RECORDS_MAX: usize = 10_000;

/// Delivers the shard's records until the last is done or the mapping is gone.
pub(super) async fn run(
    clients: Arc<Clients>,
    stream: StreamArn,
    shard: ShardId,
    start: Start,
    mut settings: watch::Receiver<Arc<Settings>>,
    activity: Arc<ShardActivity>,
    position: ShardPosition,
) {
    // One page is read ahead. The set ends the reader with this function.
    let mut received_pages = 0;
    let (sender, mut pages) = mpsc::channel(1);
    let mut reader = JoinSet::new();
    reader.spawn(read(
        clients.clone(),
        stream.clone(),
        shard.clone(),
        start,
        activity.clone(),
        position.clone(),
        sender,
    ));

    let mut page: Vec<StreamRecord> = Vec::new();
    let mut is_read = false;
    let mut lanes = Lanes::new(1);
    // Each ends with the lane's index and, if it was a delivery, how that went.
    let mut work = JoinSet::new();
    // Second deliveries, which are a fault: whatever comes of them changes nothing here.
    let mut repeats = JoinSet::new();
    loop {
        let current = settings.borrow_and_update().clone();
        activity.disabled(!current.enabled);
        let mut wake_at = None;
        if current.enabled {
            let now = SystemTime::now();
            if lanes.accept(current.parallelization_factor) {
                let mut filtered = Vec::new();
                for record in page.drain(..) {
                    if !lanes.push(&record, &stream, &current, now, clients.ages_from) {
                        filtered.push(streams::sequence_number(&record).to_owned());
                    }
                }
                if !filtered.is_empty() {
                    clients
                        .observer
                        .add(What::Delivery(Box::new(traces::Delivery {
                            function: current.function_name().to_owned(),
                            source: stream.0.clone(),
                            request_id: None,
                            batch: stream.causes(&filtered),
                            failed: Vec::new(),
                            next: traces::Next::Filtered,
                        })));
                    position.done(filtered.into_iter());
                }
            }
            for (index, lane) in lanes.0.iter_mut().enumerate() {
                match lane.next(now, &current) {
                    Step::Nothing => {}
                    Step::Wait(until) => {
                        wake_at = Some(wake_at.map_or(until, |earlier| until.min(earlier)));
                    }
                    Step::Deliver(batch) => {
                        let (clients, current) = (clients.clone(), current.clone());
                        let stream = stream.clone();
                        work.spawn(async move {
                            let delivery = clients.delivery(&current, &batch);
                            clients.tell_of_faults(delivery, &stream, &batch);
                            clients.hold_back(delivery.late_by).await;
                            let outcome = deliver(&clients.lambda, &current, &batch).await;
                            (index, batch, Some((outcome, delivery.again_after)))
                        });
                    }
                    Step::Discard(batch, condition) => {
                        let clients = clients.clone();
                        let (stream, shard) = (stream.clone(), shard.clone());
                        let settings = settings.clone();
                        work.spawn(async move {
                            give_up(&clients, &stream, &shard, &batch, condition, settings).await;
                            (index, batch, None)
                        });
                    }
                }
            }
        }
        let is_idle = page.is_empty() && lanes.are_empty();
        if is_idle && work.is_empty() && repeats.is_empty() {
            activity.handled(received_pages);
        }
        if is_read && is_idle {
            return;
        }
        let waiting_max = WAITING_RECORDS_MAX.max(2 * current.batch_size * lanes.0.len());
        let wants_page = !is_read && page.is_empty() && lanes.waiting() < waiting_max;
        tokio::select! {
            changed = settings.changed() => if changed.is_err() {
                return;
            },
            read = pages.recv(), if wants_page => match read {
                Some(records) => {
                    received_pages += 1;
                    page = records;
                }
                None => is_read = true,
            },
            Some(done) = work.join_next() => match done {
                Ok((index, batch, Some((outcome, again_after)))) => {
                    if let Some(after) = again_after {
                        let (clients, current) = (clients.clone(), current.clone());
                        let batch = batch.clone();
                        repeats.spawn(async move {
                            clients.hold_back(after).await;
                            deliver(&clients.lambda, &current, &batch).await;
                        });
                    }
                    let numbers = batch.sequence_numbers();
                    let now = SystemTime::now();
                    let request_id = match &outcome {
                        Outcome::Failed { response, .. } => response.request_id.clone(),
                        Outcome::Succeeded | Outcome::NotInvoked => None,
                    };
                    let done = lanes.0[index].delivered(batch, outcome, now, &current);
                    if done < numbers.len() {
                        let next = lanes.0[index].next_of_failed(numbers.len() - done);
                        clients.observer.add(What::Delivery(Box::new(traces::Delivery {
                            function: current.function_name().to_owned(),
                            source: stream.0.clone(),
                            request_id,
                            batch: stream.causes(&numbers),
                            failed: stream.causes(&numbers[done..]),
                            next,
                        })));
                    }
                    position.done(numbers.into_iter().take(done));
                }
                Ok((index, batch, None)) => {
                    lanes.0[index].discarded();
                    position.done(batch.sequence_numbers().into_iter());
                }
                Err(error) => warn!(%error, "a delivery was interrupted"),
            },
            Some(_) = repeats.join_next() => {}
            () = sleep_until(wake_at), if wake_at.is_some() => {}
        }
    }
}

async fn sleep_until(time: Option<SystemTime>) {
    let remaining = time.and_then(|time| time.duration_since(SystemTime::now()).ok());
    tokio::time::sleep(remaining.unwrap_or_default()).await;
}

/// The records of a shard, shared out among as many lanes as batches may be in work at once.
/// All changes of an item are in the same lane: "Process DynamoDB records with Lambda" in
/// Lambda's developer guide (order per item, by partition and sort key).
struct Lanes(Vec<Lane>);

impl Lanes {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| Lane::default()).collect())
    }

    /// Whether new records may be shared out. With another number of lanes they may not as
    /// long as earlier records are in work, or an item's changes could be in two lanes.
    fn accept(&mut self, count: usize) -> bool {
        if self.0.len() != count && self.are_empty() {
            *self = Self::new(count);
        }
        self.0.len() == count
    }

    fn are_empty(&self) -> bool {
        self.0.iter().all(Lane::is_empty)
    }

    fn waiting(&self) -> usize {
        self.0.iter().map(Lane::waiting).sum()
    }

    /// Whether the record is one for the function. Before `ages_from`, no record ages.
    fn push(
        &mut self,
        record: &StreamRecord,
        StreamArn(stream): &StreamArn,
        settings: &Settings,
        now: SystemTime,
        ages_from: Option<SystemTime>,
    ) -> bool {
        let shown = streams::lambda_record(record, stream);
        if !settings.filters.pass(&shown) {
            return false;
        }
        let change = record.dynamodb();
        let arrived = arrived(record).max(ages_from);
        let keys = change.and_then(|change| change.keys());
        let lane = keys.map_or(0, item_hash) % self.0.len() as u64;
        self.0[usize::try_from(lane).unwrap_or_default()].push(
            Record {
                sequence_number: streams::sequence_number(record).to_owned(),
                arrived: arrived.unwrap_or(now),
                json: shown.to_string(),
            },
            now,
        );
        true
    }
}

/// When the change was made, according to the record.
fn arrived(record: &StreamRecord) -> Option<SystemTime> {
    let time = record.dynamodb()?.approximate_creation_date_time()?;
    SystemTime::try_from(*time).ok()
}

/// The same for all changes of an item.
fn item_hash(keys: &HashMap<String, AttributeValue>) -> u64 {
    let mut keys: Vec<_> = keys.iter().collect();
    keys.sort_unstable_by_key(|(name, _)| *name);
    let mut hasher = DefaultHasher::new();
    for (name, value) in keys {
        name.hash(&mut hasher);
        // Key attributes are of one of these types.
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.hash(&mut hasher),
            AttributeValue::B(bytes) => bytes.as_ref().hash(&mut hasher),
            _ => {}
        }
    }
    hasher.finish()
}

/// Sends the shard's pages until the shard is closed or the receiver is gone.
async fn read(
    clients: Arc<Clients>,
    StreamArn(stream): StreamArn,
    ShardId(shard): ShardId,
    start: Start,
    activity: Arc<ShardActivity>,
    reached: ShardPosition,
    pages: mpsc::Sender<Vec<StreamRecord>>,
) {
    let kept = reached.kept();
    let mut position = match start {
        Start::Latest if kept.is_none() => {
            reached.begins_with_the_latest(SystemTime::now());
            (ShardIteratorType::Latest, None)
        }
        // Records that are done are left out below. The last of them may not be in the stream any more.
        Start::Latest | Start::TrimHorizon => (ShardIteratorType::TrimHorizon, None),
    };
    let mut iterator = None;
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let records_before = clients.news.records();
        let read = async {
            let current = match iterator.clone() {
                Some(current) => Some(current),
                None => {
                    let (kind, sequence_number) = position.clone();
                    clients
                        .streams
                        .get_shard_iterator()
                        .stream_arn(&stream)
                        .shard_id(&shard)
                        .shard_iterator_type(kind)
                        .set_sequence_number(sequence_number)
                        .send()
                        .await
                        .map_err(aws_sdk_dynamodbstreams::Error::from)?
                        .shard_iterator
                }
            };
            iterator.clone_from(&current);
            let page = clients
                .streams
                .get_records()
                .set_shard_iterator(current)
                .send()
                .await?;
            Ok(page)
        };
        match read.await {
            Ok(page) => {
                failures = 0;
                iterator = page.next_shard_iterator;
                let mut records = page.records.unwrap_or_default();
                if let Some(last) = records.last() {
                    let last = streams::sequence_number(last).to_owned();
                    position = (ShardIteratorType::AfterSequenceNumber, Some(last));
                    if let Some(kept) = &kept {
                        records.retain(|it| kept.wants(streams::sequence_number(it), arrived(it)));
                    }
                    reached.read(records.iter().map(streams::sequence_number));
                    clients.activity.read_page(&activity);
                    if pages.send(records).await.is_err() {
                        return;
                    }
                } else if iterator.is_some() {
                    activity.found_nothing(began);
                    // AWS reads four times a second.
                    tokio::select! {
                        () = clients.news.more_records(records_before) => {}
                        () = activity.read_wanted() => {}
                    }
                }
                if iterator.is_none() {
                    return;
                }
            }
            // A slow function keeps the reader waiting for more than the iterator's 15 minutes.
            Err(aws_sdk_dynamodbstreams::Error::ExpiredIteratorException(_)) => {
                iterator = None;
                tokio::time::sleep(ITERATOR_INTERVAL).await;
            }
            Err(aws_sdk_dynamodbstreams::Error::TrimmedDataAccessException(_)) => {
                warn!(
                    stream,
                    shard, "records may be lost: the stream has dropped some before they were read"
                );
                position = (ShardIteratorType::TrimHorizon, None);
                iterator = None;
            }
            Err(aws_sdk_dynamodbstreams::Error::ResourceNotFoundException(_)) => {
                warn!(stream, shard, "the shard is gone");
                return;
            }
            Err(error) => {
                failures += 1;
                let error = text_of(&error);
                warn!(stream, shard, error, "could not read the shard");
                tokio::time::sleep(back_off(failures)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(partition: &str, sort: &str) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(partition.to_owned())),
            ("sk".to_owned(), AttributeValue::N(sort.to_owned())),
        ])
    }

    #[test]
    fn an_item_is_always_in_the_same_lane_and_items_are_in_different_ones() {
        assert_eq!(item_hash(&keys("a", "1")), item_hash(&keys("a", "1")));
        let lanes: std::collections::HashSet<u64> = (0..50)
            .map(|sort| item_hash(&keys("a", &sort.to_string())) % 4)
            .collect();
        assert_eq!(lanes.len(), 4);
    }

    #[test]
    fn lanes_are_made_anew_when_the_old_ones_are_empty() {
        let now = SystemTime::now();
        let record = Record {
            sequence_number: "1".to_owned(),
            arrived: now,
            json: String::new(),
        };
        let mut lanes = Lanes::new(1);
        assert!(lanes.accept(1));
        lanes.0[0].push(record, now);
        assert!(!lanes.accept(4), "a record is waiting in an old lane");
        lanes = Lanes::new(1);
        assert!(lanes.accept(4));
        assert_eq!(lanes.0.len(), 4);
    }
}
