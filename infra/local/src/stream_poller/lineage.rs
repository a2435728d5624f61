//! Which shards of a stream are read, from where and when.
//!
//! A shard ends at some time, and its children go on with the same items. A child is read
//! after its parent only, or changes of an item would be delivered out of order: "Shards in
//! DynamoDB streams" in DynamoDB's developer guide.

use std::collections::HashMap;

use super::mapping::{ShardId, StartingPosition};

/// From where a shard is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// From its oldest record.
    TrimHorizon,
    /// From the first that is written from now on.
    Latest,
}

/// A shard, as `DescribeStream` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: ShardId,
    pub(super) parent: Option<ShardId>,
    /// No record will be added.
    pub(super) is_closed: bool,
}

/// What a mapping has made of its stream's shards.
#[derive(Debug)]
pub(super) struct Lineage {
    starts_at: StartingPosition,
    /// What was listed first, the starting position is about.
    is_new: bool,
    shards: HashMap<ShardId, Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Reading,
    Done,
}

impl Lineage {
    pub(super) fn new(starts_at: StartingPosition) -> Self {
        Self {
            starts_at,
            is_new: true,
            shards: HashMap::new(),
        }
    }

    /// The shards that are to be read from now on.
    pub(super) fn startable(&mut self, listed: &[Listed]) -> Vec<(ShardId, Start)> {
        if self.is_new && self.starts_at == StartingPosition::Latest {
            // Nothing will come in a closed shard. What comes later in its children does.
            for shard in listed.iter().filter(|shard| shard.is_closed) {
                self.shards.insert(shard.id.clone(), Progress::Done);
            }
        }
        let start = match self.starts_at {
            StartingPosition::Latest if self.is_new => Start::Latest,
            _ => Start::TrimHorizon,
        };
        self.is_new = false;
        let startable: Vec<_> = listed
            .iter()
            .filter(|shard| !self.shards.contains_key(&shard.id))
            .filter(|shard| {
                // A parent that is not listed has been forgotten with its records.
                shard.parent.as_ref().is_none_or(|parent| {
                    self.shards.get(parent) == Some(&Progress::Done)
                        || !listed.iter().any(|listed| listed.id == *parent)
                })
            })
            .map(|shard| (shard.id.clone(), start))
            .collect();
        for (id, _) in &startable {
            self.shards.insert(id.clone(), Progress::Reading);
        }
        // Forgets what the stream has forgotten.
        self.shards.retain(|id, progress| {
            *progress == Progress::Reading || listed.iter().any(|shard| shard.id == *id)
        });
        startable
    }

    /// Every record of the shard is done.
    pub(super) fn done(&mut self, shard: ShardId) {
        self.shards.insert(shard, Progress::Done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ShardId {
        ShardId(name.to_owned())
    }

    fn shard(name: &str, parent: Option<&str>, is_closed: bool) -> Listed {
        Listed {
            id: id(name),
            parent: parent.map(id),
            is_closed,
        }
    }

    #[test]
    fn a_child_is_read_after_its_parent() {
        let listed = [
            shard("grandchild", Some("child"), false),
            shard("child", Some("parent"), true),
            shard("parent", None, true),
            shard("other", None, false),
        ];
        let mut lineage = Lineage::new(StartingPosition::TrimHorizon);
        assert_eq!(
            lineage.startable(&listed),
            [
                (id("parent"), Start::TrimHorizon),
                (id("other"), Start::TrimHorizon)
            ]
        );
        assert_eq!(lineage.startable(&listed), []);
        lineage.done(id("parent"));
        assert_eq!(
            lineage.startable(&listed),
            [(id("child"), Start::TrimHorizon)]
        );
        lineage.done(id("child"));
        assert_eq!(
            lineage.startable(&listed),
            [(id("grandchild"), Start::TrimHorizon)]
        );
    }

    #[test]
    fn the_latest_records_are_those_of_open_shards_and_of_what_follows_them() {
        let mut lineage = Lineage::new(StartingPosition::Latest);
        let listed = [
            shard("old", None, true),
            shard("parent", Some("old"), false),
        ];
        assert_eq!(lineage.startable(&listed), [(id("parent"), Start::Latest)]);

        let listed = [
            shard("old", None, true),
            shard("parent", Some("old"), true),
            shard("child", Some("parent"), false),
        ];
        assert_eq!(lineage.startable(&listed), []);
        lineage.done(id("parent"));
        assert_eq!(
            lineage.startable(&listed),
            [(id("child"), Start::TrimHorizon)]
        );
    }

    #[test]
    fn a_forgotten_parent_is_not_waited_for() {
        let mut lineage = Lineage::new(StartingPosition::TrimHorizon);
        let listed = [shard("child", Some("forgotten"), false)];
        assert_eq!(
            lineage.startable(&listed),
            [(id("child"), Start::TrimHorizon)]
        );
    }
}
