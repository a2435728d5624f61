//! How a history hangs together.
//!
//! Every occurrence becomes a node, and every cause that is known for certain an edge. What has no cause came in from
//! outside, and is a trace together with everything that can be reached from it. What several things have caused, such as an
//! invocation with a batch of records, is part of several traces.
//!
//! A cause is inferred in one case only: a function's process makes calls before its first event, and these name no
//! invocation. Such a call belongs to the invocation that the process was started for, and its span says so.

mod item;
mod outcome;
mod view;

use std::collections::HashMap;

use self::item::Item;
use crate::occurrence::*;

#[derive(Debug)]
struct Node<'a> {
    id: String,
    started_ms: f64,
    ended_ms: Option<f64>,
    item: Item<'a>,
    parents: Vec<usize>,
    children: Vec<usize>,
    inferred: Option<&'static str>,
    is_cut: bool,
}

/// A cause, to find its node by.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
enum Key<'a> {
    Call(&'a str),
    Invocation(&'a str),
    Http(&'a str),
    Record(&'a str, &'a str),
    Message(&'a str),
    Job(&'a str),
}

impl<'a> Key<'a> {
    fn of(cause: &'a Cause) -> Option<Self> {
        Some(match cause {
            Cause::Call(id) => Self::Call(id),
            Cause::Invocation(id) => Self::Invocation(id),
            Cause::Http(id) => Self::Http(id),
            Cause::Record {
                stream,
                sequence_number,
            } => Self::Record(stream, sequence_number),
            Cause::Message(id) => Self::Message(id),
            Cause::Job(id) => Self::Job(id),
            Cause::Request(_) => return None,
        })
    }
}

const BEFORE_FIRST_EVENT: &str = "the call names no invocation: the function's process made it while it was \
    started for this one, or between two events";

/// All traces of a history.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    by_key: HashMap<Key<'a>, usize>,
    /// Attempts, by Lambda's identifier, in the order of time.
    attempts: HashMap<&'a str, Vec<usize>>,
    /// Invocations, by function, in the order of time.
    by_function: HashMap<&'a str, Vec<usize>>,
    sent: Vec<&'a SentMessage>,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(occurrences: impl Iterator<Item = &'a Occurrence> + Clone) -> Self {
        let mut graph = Self {
            nodes: Vec::new(),
            by_key: HashMap::new(),
            attempts: HashMap::new(),
            by_function: HashMap::new(),
            sent: Vec::new(),
        };
        graph.add_nodes(occurrences);
        graph.order();
        graph.connect();
        graph
    }

    fn add_nodes(&mut self, occurrences: impl Iterator<Item = &'a Occurrence> + Clone) {
        let ends: HashMap<&str, (&InvocationEnd, f64)> = occurrences
            .clone()
            .filter_map(|occurrence| match &occurrence.what {
                What::Ended(end) => Some((&*end.id, (&**end, occurrence.at_ms))),
                _ => None,
            })
            .collect();
        for (number, Occurrence { at_ms, what }) in occurrences.enumerate() {
            let at_ms = *at_ms;
            match what {
                What::Call(call) => self.add_call(call),
                What::Invocation(start) => {
                    let end = ends.get(&*start.id).copied();
                    let item = Item::Invocation(start, end.map(|(end, _)| end));
                    let ended_ms = end.map(|(_, at_ms)| at_ms);
                    let index = self.add(&start.id, start.started_ms, ended_ms, item);
                    self.by_key.insert(Key::Invocation(&start.id), index);
                }
                What::Ended(_) => {}
                What::Http(http) => {
                    let ended_ms = http.started_ms + http.duration_ms;
                    let item = Item::Http(http);
                    let index = self.add(&http.id, http.started_ms, Some(ended_ms), item);
                    self.by_key.insert(Key::Http(&http.id), index);
                }
                What::Record(record) => self.add_record(record, at_ms),
                What::Delivery(delivery) => {
                    if delivery.next != Next::Done {
                        let id = format!("delivery-{number}");
                        self.add(&id, at_ms, Some(at_ms), Item::Delivery(delivery));
                    }
                }
                What::Retry(retry) => {
                    let id = format!("retry-{number}");
                    self.add(&id, at_ms, Some(at_ms), Item::Retry(retry));
                }
                What::GivenUp(given_up) => {
                    let id = format!("given-up-{number}");
                    let index = self.add(&id, at_ms, Some(at_ms), Item::GivenUp(given_up));
                    if let Some(message) = &given_up.message_id {
                        let message = self.add_message(
                            message,
                            given_up.destination.as_deref(),
                            // After what it comes from.
                            at_ms,
                        );
                        self.join(index, message);
                    }
                }
                What::Sent(sent) => {
                    self.add_message(&sent.message_id, sent.queue.as_deref(), at_ms);
                    self.sent.push(sent);
                }
                What::Moved(moved) => {
                    let id = format!("moved-{number}");
                    self.add(&id, at_ms, Some(at_ms), Item::Moved(moved));
                }
                What::Firing(firing) => {
                    let id = format!("{}-{}", firing.execution_id, firing.attempt);
                    self.add(&id, firing.started_ms, Some(at_ms), Item::Firing(firing));
                }
                What::Fault(fault) => {
                    let id = format!("fault-{number}");
                    self.add(&id, at_ms, Some(at_ms), Item::Fault(fault));
                }
            }
        }
    }

    fn add_call(&mut self, call: &'a Call) {
        let ended_ms = call.started_ms + call.duration_ms;
        let index = self.add(&call.id, call.started_ms, Some(ended_ms), Item::Call(call));
        self.by_key.insert(Key::Call(&call.id), index);
        if let Some(job) = &call.job {
            // A request that is sent again gets the same job.
            self.by_key.entry(Key::Job(job)).or_insert(index);
        }
        for record in &call.records {
            self.add_record(record, ended_ms);
            let key = Key::Record(&record.stream, &record.sequence_number);
            self.join(index, self.by_key[&key]);
        }
        for Sent { message_id, queue } in &call.messages {
            let message = self.add_message(message_id, queue.as_deref(), ended_ms);
            self.join(index, message);
        }
    }

    fn add_record(&mut self, record: &'a StreamRecord, at_ms: f64) {
        let item = Item::Record(record);
        let index = self.add(&record.sequence_number, at_ms, Some(at_ms), item);
        let key = Key::Record(&record.stream, &record.sequence_number);
        self.by_key.insert(key, index);
    }

    fn add_message(&mut self, id: &'a str, queue: Option<&'a str>, at_ms: f64) -> usize {
        if let Some(known) = self.by_key.get(&Key::Message(id)) {
            return *known;
        }
        let index = self.add(id, at_ms, Some(at_ms), Item::Message { id, queue });
        self.by_key.insert(Key::Message(id), index);
        index
    }

    fn add(&mut self, id: &str, started_ms: f64, ended_ms: Option<f64>, item: Item<'a>) -> usize {
        self.nodes.push(Node {
            id: id.to_owned(),
            started_ms,
            ended_ms,
            item,
            parents: Vec::new(),
            children: Vec::new(),
            inferred: None,
            is_cut: false,
        });
        self.nodes.len() - 1
    }

    fn join(&mut self, parent: usize, child: usize) {
        if parent != child && !self.nodes[child].parents.contains(&parent) {
            self.nodes[child].parents.push(parent);
            self.nodes[parent].children.push(child);
        }
    }

    fn order(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            if let Item::Invocation(start, _) = node.item {
                self.attempts
                    .entry(&start.request_id)
                    .or_default()
                    .push(index);
                self.by_function
                    .entry(&start.function)
                    .or_default()
                    .push(index);
            }
        }
        let nodes = &self.nodes;
        for invocations in self.attempts.values_mut() {
            invocations
                .sort_by(|one, other| nodes[*one].started_ms.total_cmp(&nodes[*other].started_ms));
        }
        for invocations in self.by_function.values_mut() {
            invocations
                .sort_by(|one, other| nodes[*one].started_ms.total_cmp(&nodes[*other].started_ms));
        }
    }

    /// Finds what each node was caused by.
    fn connect(&mut self) {
        for index in 0..self.nodes.len() {
            match self.nodes[index].item {
                Item::Call(call) => {
                    self.join_to_causes(&call.causes, index);
                    if call.causes.is_empty()
                        && let Some(function) = &call.function
                        && let Some(invocation) = self.invocation_at(function, call.started_ms)
                    {
                        self.join(invocation, index);
                        self.nodes[index].inferred = Some(BEFORE_FIRST_EVENT);
                    }
                }
                Item::Invocation(start, _) => self.join_to_causes(&start.causes, index),
                Item::Firing(firing) => {
                    let attempts = firing.request_id.as_deref();
                    let attempts = attempts.and_then(|id| self.attempts.get(id)).cloned();
                    for attempt in attempts.unwrap_or_default() {
                        self.join(index, attempt);
                    }
                }
                Item::Delivery(delivery) => {
                    let attempt = delivery.request_id.as_deref();
                    match attempt.and_then(|id| self.last_attempt(id, f64::MAX)) {
                        Some(attempt) => self.join(attempt, index),
                        None => self.join_to_causes(&delivery.batch, index),
                    }
                }
                Item::Retry(retry) => {
                    let at_ms = self.nodes[index].started_ms;
                    match self.last_attempt(&retry.request_id, at_ms) {
                        Some(attempt) => self.join(attempt, index),
                        None => self.nodes[index].is_cut = true,
                    }
                }
                Item::GivenUp(given_up) => {
                    let at_ms = self.nodes[index].started_ms;
                    for cause in &given_up.events {
                        match self.last_handling(&given_up.function, cause, at_ms) {
                            Some(attempt) => self.join(attempt, index),
                            None => self.join_to_causes(std::slice::from_ref(cause), index),
                        }
                    }
                }
                Item::Moved(moved) => {
                    self.join_to_key(Key::Message(&moved.message_id), index);
                }
                Item::Fault(fault) => self.join_to_causes(&fault.causes, index),
                Item::Http(_) | Item::Record(_) | Item::Message { .. } => {}
            }
        }
        for sent in std::mem::take(&mut self.sent) {
            let message = self.by_key[&Key::Message(&sent.message_id)];
            self.join_to_causes(&sent.causes, message);
        }
        let mut nodes = std::mem::take(&mut self.nodes);
        let begins: Vec<f64> = nodes.iter().map(|node| node.started_ms).collect();
        for node in &mut nodes {
            node.children
                .sort_by(|one, other| begins[*one].total_cmp(&begins[*other]));
        }
        self.nodes = nodes;
    }

    /// If the history has none of the causes, it has lost the beginning.
    fn join_to_causes(&mut self, causes: &'a [Cause], index: usize) {
        let known: Vec<usize> = causes
            .iter()
            .filter_map(|cause| self.by_key.get(&Key::of(cause)?).copied())
            .collect();
        self.nodes[index].is_cut |= known.is_empty() && !causes.is_empty();
        for cause in known {
            self.join(cause, index);
        }
    }

    fn join_to_key(&mut self, key: Key<'a>, index: usize) {
        match self.by_key.get(&key) {
            Some(cause) => self.join(*cause, index),
            None => self.nodes[index].is_cut = true,
        }
    }

    /// The last attempt at an event that began by then.
    fn last_attempt(&self, request_id: &str, by_ms: f64) -> Option<usize> {
        let attempts = self.attempts.get(request_id)?.iter().rev().copied();
        attempts
            .into_iter()
            .find(|index| self.nodes[*index].started_ms <= by_ms)
    }

    /// The last invocation of a function with a request, a record or a message, that began by then.
    fn last_handling(&self, function: &str, cause: &Cause, by_ms: f64) -> Option<usize> {
        if let Cause::Request(id) = cause {
            return self.last_attempt(id, by_ms);
        }
        let invocations = self.by_function.get(function)?.iter().rev().copied();
        invocations.into_iter().find(|index| {
            matches!(self.nodes[*index].item, Item::Invocation(start, _)
                if start.started_ms <= by_ms && start.causes.contains(cause))
        })
    }

    /// The last invocation of a function that began before then.
    fn invocation_at(&self, function: &str, at_ms: f64) -> Option<usize> {
        let invocations = self.by_function.get(function)?;
        let after = invocations.partition_point(|index| self.nodes[*index].started_ms <= at_ms);
        after.checked_sub(1).map(|index| invocations[index])
    }
}
