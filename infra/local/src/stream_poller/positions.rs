//! The position of each mapping in its shards, to be kept and resumed.
//!
//! What was read and is not done is written down record by record: with a parallelization factor, records are done in
//! another order than that of the stream. After a start, what was done is not delivered again.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::mapping::{MappingId, ShardId};

/// A record's place in its shard: a number of up to forty digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct SequenceNumber(String);

impl SequenceNumber {
    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (digits, others) = (self.digits(), other.digits());
        (digits.len(), digits).cmp(&(others.len(), others))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How far a mapping is in a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The last record that was read.
    read_to: Option<SequenceNumber>,
    /// What was read and is neither handled nor given up.
    unfinished: BTreeSet<SequenceNumber>,
    /// When a mapping with the starting position `LATEST` began to read, in seconds since 1970. Records that are older
    /// are not for it.
    latest_since: Option<u64>,
}

impl Progress {
    /// Whether a record that is read anew is to be delivered.
    pub(super) fn wants(&self, sequence_number: &str, arrived: Option<SystemTime>) -> bool {
        let number = SequenceNumber(sequence_number.to_owned());
        if self.read_to.as_ref().is_some_and(|read| number <= *read) {
            return self.unfinished.contains(&number);
        }
        let since = self
            .latest_since
            .map(|since| SystemTime::UNIX_EPOCH + Duration::from_secs(since));
        since
            .zip(arrived)
            .is_none_or(|(since, arrived)| arrived >= since)
    }
}

/// How far a mapping is in a shard, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    mapping: String,
    shard: String,
    progress: Progress,
}

/// How far the poller is.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<HashMap<(MappingId, ShardId), Progress>>);

impl Positions {
    pub(crate) fn new(kept: Vec<Position>) -> Self {
        let kept = kept.into_iter().map(|position| {
            let key = (MappingId(position.mapping), ShardId(position.shard));
            (key, position.progress)
        });
        Self(Mutex::new(kept.collect()))
    }

    /// All, in the order of their mappings.
    pub(crate) fn all(&self) -> Vec<Position> {
        let mut positions: Vec<_> = self
            .lock()
            .iter()
            .map(|((mapping, shard), progress)| Position {
                mapping: mapping.0.clone(),
                shard: shard.0.clone(),
                progress: progress.clone(),
            })
            .collect();
        positions.sort_unstable_by(|a, b| (&a.mapping, &a.shard).cmp(&(&b.mapping, &b.shard)));
        positions
    }

    /// Forgets the positions of mappings that are gone.
    pub(super) fn retain(&self, is_there: impl Fn(&MappingId) -> bool) {
        self.lock().retain(|(mapping, _), _| is_there(mapping));
    }

    /// Follows a mapping in a shard.
    pub(super) fn of(self: &Arc<Self>, mapping: MappingId, shard: ShardId) -> ShardPosition {
        ShardPosition {
            positions: Arc::clone(self),
            key: (mapping, shard),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(MappingId, ShardId), Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a mapping is in one shard.
#[derive(Debug, Clone)]
pub(super) struct ShardPosition {
    positions: Arc<Positions>,
    key: (MappingId, ShardId),
}

impl ShardPosition {
    /// Where an earlier start of the stage got to.
    pub(super) fn kept(&self) -> Option<Progress> {
        self.positions.lock().get(&self.key).cloned()
    }

    /// It is read with the first record that is written from now on.
    pub(super) fn begins_with_the_latest(&self, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        self.change(|progress| progress.latest_since = since.ok().map(|since| since.as_secs()));
    }

    /// These were read, in this order.
    pub(super) fn read<'a>(&self, sequence_numbers: impl Iterator<Item = &'a str>) {
        self.change(|progress| {
            for number in sequence_numbers {
                let number = SequenceNumber(number.to_owned());
                progress.read_to = progress.read_to.take().max(Some(number.clone()));
                progress.unfinished.insert(number);
            }
        });
    }

    /// These are handled, given up, or not wanted.
    pub(super) fn done(&self, sequence_numbers: impl Iterator<Item = String>) {
        self.change(|progress| {
            for number in sequence_numbers {
                progress.unfinished.remove(&SequenceNumber(number));
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(self.positions.lock().entry(self.key.clone()).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(positions: &Arc<Positions>) -> ShardPosition {
        positions.of(MappingId("mapping".into()), ShardId("shard".into()))
    }

    #[test]
    fn what_was_not_done_is_wanted_again_and_what_comes_later() {
        let positions = Arc::new(Positions::default());
        let shard = position(&positions);
        shard.read(["098", "099", "100", "101"].into_iter());
        shard.done(["098", "100"].map(str::to_owned).into_iter());
        let text = serde_json::to_string(&positions.all()).unwrap();
        let kept = Arc::new(Positions::new(serde_json::from_str(&text).unwrap()));
        let progress = position(&kept).kept().unwrap();
        let wanted = ["097", "098", "099", "100", "101", "102"];
        let wanted = wanted.map(|number| progress.wants(number, None));
        assert_eq!(wanted, [false, false, true, false, true, true]);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let number = |text: &str| SequenceNumber(text.to_owned());
        assert!(number("99") < number("100"));
        assert!(number("0099") < number("100"));
        assert!(number("21") > number("20"));
    }

    #[test]
    fn a_mapping_that_began_with_the_latest_record_wants_none_from_before() {
        let positions = Arc::new(Positions::default());
        let shard = position(&positions);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        shard.begins_with_the_latest(at(100));
        let progress = shard.kept().unwrap();
        assert!(!progress.wants("1", Some(at(99))));
        assert!(progress.wants("2", Some(at(100))));
    }

    #[test]
    fn a_deleted_mapping_is_forgotten() {
        let positions = Arc::new(Positions::default());
        position(&positions).read(["1"].into_iter());
        positions.retain(|mapping| mapping.0 == "mapping");
        assert_eq!(positions.all().len(), 1);
        positions.retain(|_| false);
        assert_eq!(positions.all(), []);
    }
}
