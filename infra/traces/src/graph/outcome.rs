//! What has become of a trace, and of each thing in it.

use std::collections::{BTreeMap, BTreeSet};

use super::item::Item;
use super::view::Part;
use super::{Graph, Key};
use crate::occurrence::*;
use crate::trace::Outcome;

/// A piece of work of one function: what is to be handled once.
type Unit<'a> = (&'a str, Cause);

/// How a piece of work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Done,
    Running,
    Failed,
    Waiting,
    GivenUp { is_kept: bool },
}

impl<'a> Graph<'a> {
    /// What has become of a trace.
    pub(super) fn outcome(&self, parts: &[Part]) -> Outcome {
        let units = self.units(parts);
        let any = |wanted: fn(&Standing) -> bool| units.values().any(|(it, _)| wanted(it));
        // What another attempt has handled since is done all the same.
        let is_done_by = |index: usize| units.values().any(|it| *it == (Standing::Done, index));
        let is_denied = parts.iter().any(|part| {
            let is_denied =
                matches!(self.nodes[part.node].item, Item::Call(call) if call.denied.is_some());
            let parent = part.above.map(|place| parts[place].node);
            let of_function =
                parent.filter(|it| matches!(self.nodes[*it].item, Item::Invocation(..)));
            is_denied && of_function.is_none_or(is_done_by)
        });
        let is_refused = match self.root(parts).item {
            Item::Call(call) => call.has_failed() && call.denied.is_none(),
            Item::Http(http) => http.status >= 500,
            Item::Firing(firing) => firing.request_id.is_none(),
            _ => false,
        };
        if any(|it| matches!(it, Standing::GivenUp { is_kept: true })) {
            Outcome::FailureQueue
        } else if is_refused
            || any(|it| matches!(it, Standing::Failed | Standing::GivenUp { is_kept: false }))
        {
            Outcome::Failed
        } else if any(|it| *it == Standing::Waiting) {
            Outcome::Retrying
        } else if is_denied {
            Outcome::Denied
        } else if any(|it| *it == Standing::Running) {
            Outcome::Running
        } else {
            Outcome::Ok
        }
    }

    /// How the work of each function stands, and which node says so: by what was known of it last.
    fn units(&self, parts: &[Part]) -> BTreeMap<Unit<'a>, (Standing, usize)> {
        let in_trace: BTreeSet<usize> = parts.iter().map(|part| part.node).collect();
        // Other records of a batch are other traces' matter, unless nobody knows whose.
        let is_ours = |cause: &Cause| {
            let known = Key::of(cause).and_then(|key| self.by_key.get(&key));
            known.is_none_or(|index| in_trace.contains(index))
        };
        let mut parts: Vec<usize> = parts.iter().map(|part| part.node).collect();
        // Of what is told at the same moment, the end of an invocation comes first.
        let when = |index: usize| {
            let node = &self.nodes[index];
            node.ended_ms.unwrap_or(node.started_ms)
        };
        parts.sort_by(|one, other| when(*one).total_cmp(&when(*other)));
        let mut units = BTreeMap::new();
        for index in parts {
            match self.nodes[index].item {
                Item::Invocation(start, end) => {
                    let standing = match end.map(|end| &end.result) {
                        None => Standing::Running,
                        Some(InvocationResult::Ok) => Standing::Done,
                        Some(InvocationResult::Error { .. }) => Standing::Failed,
                    };
                    for (function, cause) in units_of(start) {
                        if is_ours(&cause) {
                            units.insert((function, cause), (standing, index));
                        }
                    }
                }
                Item::Delivery(delivery) => {
                    let standing = match delivery.next {
                        Next::Done | Next::Filtered => continue,
                        Next::Retry { .. } | Next::Split { .. } => Standing::Waiting,
                        Next::GiveUp => Standing::Failed,
                    };
                    for cause in &delivery.failed {
                        if let Some(known) = units.get_mut(&(&*delivery.function, cause.clone())) {
                            *known = (standing, index);
                        }
                    }
                }
                Item::Retry(retry) => {
                    let cause = Cause::Request(retry.request_id.clone());
                    units.insert((&*retry.function, cause), (Standing::Waiting, index));
                }
                Item::GivenUp(given_up) => {
                    let is_kept = given_up.error.is_none() && given_up.destination.is_some();
                    let standing = if self.is_redriven(index) {
                        Standing::Done
                    } else {
                        Standing::GivenUp { is_kept }
                    };
                    for cause in &given_up.events {
                        if let Some(known) = units.get_mut(&(&*given_up.function, cause.clone())) {
                            *known = (standing, index);
                        }
                    }
                }
                Item::Moved(moved) => {
                    let standing = if self.is_redriven(index) {
                        Standing::Done
                    } else {
                        Standing::GivenUp { is_kept: true }
                    };
                    for ((_, cause), known) in &mut units {
                        if *cause == Cause::Message(moved.message_id.clone()) {
                            *known = (standing, index);
                        }
                    }
                }
                _ => {}
            }
        }
        units
    }

    /// Whether the message in the failure queue was handled since.
    fn is_redriven(&self, index: usize) -> bool {
        let (from, since_ms) = match self.nodes[index].item {
            Item::Moved(_) => (
                self.nodes[index].parents.first(),
                self.nodes[index].started_ms,
            ),
            _ => (Some(&index), f64::MIN),
        };
        let parts = from.map(|from| self.parts(*from)).unwrap_or_default();
        parts.iter().any(|part| {
            let node = &self.nodes[part.node];
            matches!(node.item, Item::Invocation(_, Some(end)) if end.result == InvocationResult::Ok)
                && node.started_ms >= since_ms
        })
    }

    /// What has become of one node.
    pub(super) fn outcome_of(&self, index: usize) -> Outcome {
        match self.nodes[index].item {
            Item::Call(call) if call.denied.is_some() => Outcome::Denied,
            Item::Call(call) if call.has_failed() => Outcome::Failed,
            Item::Invocation(_, None) => Outcome::Running,
            Item::Invocation(_, Some(end)) if end.result != InvocationResult::Ok => Outcome::Failed,
            Item::Http(http) if http.status >= 500 => Outcome::Failed,
            Item::Delivery(delivery) if delivery.next == Next::Filtered => Outcome::Ok,
            Item::Delivery(_) | Item::Retry(_) => Outcome::Retrying,
            Item::GivenUp(_) | Item::Moved(_) if self.is_redriven(index) => Outcome::Ok,
            Item::GivenUp(GivenUp {
                destination: Some(_),
                error: None,
                ..
            })
            | Item::Moved(_) => Outcome::FailureQueue,
            Item::GivenUp(_) | Item::Fault(_) => Outcome::Failed,
            Item::Firing(firing) if firing.request_id.is_none() => Outcome::Failed,
            _ => Outcome::Ok,
        }
    }
}

/// What an invocation is to handle: each record or message of a batch, or its one event.
fn units_of(start: &Invocation) -> Vec<Unit<'_>> {
    let is_of_a_batch = |cause: &&Cause| matches!(cause, Cause::Record { .. } | Cause::Message(_));
    let batch: Vec<Unit<'_>> = start
        .causes
        .iter()
        .filter(is_of_a_batch)
        .map(|cause| (&*start.function, cause.clone()))
        .collect();
    if batch.is_empty() {
        vec![(&start.function, Cause::Request(start.request_id.clone()))]
    } else {
        batch
    }
}
