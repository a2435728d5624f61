//! The latest occurrences.

use std::collections::{BTreeSet, VecDeque};

use crate::graph::Graph;
use crate::{Filter, Occurrence, Summary, Trace, TriggerKind, What};

/// What a [`History`] holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many occurrences.
    pub occurrences: usize,
    /// So many bytes, as JSON.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            occurrences: 10_000,
            bytes: 32 << 20,
        }
    }
}

/// The latest occurrences of a stage. The oldest make way for new ones.
#[derive(Debug, Default)]
pub struct History {
    limits: Limits,
    kept: VecDeque<(usize, Occurrence)>,
    bytes: usize,
    revision: u64,
    dropped: u64,
}

impl History {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Adds what was observed. Occurrences of different parts may come in another order than they occurred in.
    pub fn add(&mut self, occurrence: Occurrence) {
        let bytes = serde_json::to_vec(&occurrence).map_or(0, |json| json.len());
        self.bytes += bytes;
        self.revision += 1;
        self.kept.push_back((bytes, occurrence));
        while self.kept.len() > self.limits.occurrences || self.bytes > self.limits.bytes {
            let Some((bytes, _)) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            self.dropped += 1;
        }
    }

    /// Another number whenever something was added.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many occurrences have made way.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Counts occurrences that were dropped before they came here.
    pub fn add_dropped(&mut self, count: u64) {
        self.dropped += count;
    }

    /// The occurrences, the oldest first.
    pub fn occurrences(&self) -> impl Iterator<Item = &Occurrence> + Clone {
        self.kept.iter().map(|(_, occurrence)| occurrence)
    }

    /// What came in and passes the filter, the newest first.
    #[must_use]
    pub fn summaries(&self, filter: &Filter) -> Vec<Summary> {
        self.graph().summaries(filter)
    }

    /// A trace by its identifier, or by that of anything in it. None if it is unknown, or has made way.
    #[must_use]
    pub fn trace(&self, id: &str) -> Option<Trace> {
        self.graph().trace(id)
    }

    /// Lambda's names of the functions that were invoked, the latest first. Those that only schedules have invoked come
    /// after all others: nobody has asked for it.
    #[must_use]
    pub fn invoked(&self) -> Vec<&str> {
        let (mut functions, mut scheduled) = (Vec::new(), Vec::new());
        for (_, occurrence) in self.kept.iter().rev() {
            if let What::Invocation(invocation) = &occurrence.what {
                match invocation.trigger.kind {
                    TriggerKind::Schedule => scheduled.push(invocation.function.as_str()),
                    _ => functions.push(invocation.function.as_str()),
                }
            }
        }
        functions.extend(scheduled);
        let mut known = BTreeSet::new();
        functions.retain(|function| known.insert(*function));
        functions
    }

    fn graph(&self) -> Graph<'_> {
        Graph::of(self.occurrences())
    }
}
