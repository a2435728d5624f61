//! Traces: what came in, and what it has caused.
//!
//! Every occurrence becomes a node, and every cause that is known for certain an edge. What has no cause came in from
//! outside, and is a trace together with everything that can be reached from it. What several things have caused, such as an
//! invocation with a batch of records, is part of several traces.
//!
//! A cause is inferred in one case only: a function's process makes calls before its first event, and these name no
//! invocation. Such a call belongs to the invocation that the process was started for, and its span says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::occurrence::*;

/// What kind of thing came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An object was written or deleted.
    Object,
    /// A request to an HTTP API or a function URL.
    Request,
    /// A message to a topic or a queue.
    Message,
    /// An item was written, or deleted at the end of its time to live.
    Record,
    /// A schedule was due.
    Schedule,
    /// Somebody has invoked a function.
    Invoke,
    /// An event for EventBridge.
    Event,
    /// Any other call.
    Call,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Object,
        Self::Request,
        Self::Message,
        Self::Record,
        Self::Schedule,
        Self::Invoke,
        Self::Event,
        Self::Call,
    ];

    /// Its name in commands and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Request => "request",
            Self::Message => "message",
            Self::Record => "record",
            Self::Schedule => "schedule",
            Self::Invoke => "invoke",
            Self::Event => "event",
            Self::Call => "call",
        }
    }
}

/// What has become of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is done.
    Ok,
    /// A function is at work.
    Running,
    /// A call was not allowed.
    Denied,
    /// A function has failed, and gets the event again.
    Retrying,
    /// A function has failed, and there is no further attempt.
    Failed,
    /// An event waits in a failure queue.
    FailureQueue,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Running,
        Self::Denied,
        Self::Retrying,
        Self::Failed,
        Self::FailureQueue,
    ];

    /// Its name in commands and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Running => "running",
            Self::Denied => "denied",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::FailureQueue => "failure-queue",
        }
    }

    /// Whether somebody should look at it.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::Ok | Self::Running)
    }
}

/// Which traces are wanted. What is empty wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Those in which a function of this name ran.
    pub function: Option<String>,
    /// Those of this kind.
    pub kind: Option<Kind>,
    /// Those that ended so. [`Outcome::Denied`] wants all with a denied call, whatever followed.
    pub outcome: Option<Outcome>,
    /// Those with this text in a title, a payload or a line of a log, in whatever case.
    pub text: Option<String>,
}

/// A trace in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The trace's identifier.
    pub id: String,
    /// What kind of thing came in.
    pub kind: Kind,
    /// What came in: an operation and a resource, or a method and a path.
    pub title: String,
    /// What has become of it.
    pub outcome: Outcome,
    /// Calls that were not allowed.
    pub denied: usize,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: f64,
    /// From its beginning to the last thing that is known of it.
    pub duration_ms: f64,
    /// The functions that ran, in the order of their first invocations.
    pub functions: Vec<String>,
    /// How many calls of AWS services it has.
    pub calls: usize,
    /// Whether its beginning is missing: it has made way in the history, or was before the stage's start.
    pub is_cut: bool,
}

/// A trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The trace in a line.
    pub summary: Summary,
    /// What it consists of: each before what it has caused, and causes in the order of time.
    pub spans: Vec<Span>,
}

/// A part of a [`Trace`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its identifier, unique in the trace.
    pub id: String,
    /// The index of the span that it is below, if it is below one.
    pub parent: Option<usize>,
    /// How many spans it is below.
    pub depth: usize,
    /// What it is, in a line.
    pub title: String,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: f64,
    /// How long it took. None for what takes no time, and for what has not ended.
    pub duration_ms: Option<f64>,
    /// What has become of it.
    pub outcome: Outcome,
    /// Why it is taken to belong here, if that is not known for certain.
    pub inferred: Option<String>,
    /// How many causes it has outside this trace: records of the same batch.
    pub other_causes: usize,
    /// Everything that is known of it.
    pub details: Details,
}

/// What is known of a [`Span`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Details {
    /// A call of an AWS service.
    Call(Box<Call>),
    /// An invocation.
    Invocation {
        /// Its beginning.
        start: Box<Invocation>,
        /// Its end, if it has ended.
        end: Option<Box<InvocationEnd>>,
    },
    /// A line that a function wrote.
    Log(LogLine),
    /// A request to an HTTP API or a function URL.
    Http(Box<HttpRequest>),
    /// A change of an item, in the table's stream.
    Record(StreamRecord),
    /// A message in a queue.
    Message(Sent),
    /// The failure of a batch, or of a part of it.
    Delivery(Box<Delivery>),
    /// A wait for the next attempt.
    Retry(Retry),
    /// The end of all attempts.
    GivenUp(Box<GivenUp>),
    /// A message's way into the dead-letter queue.
    Moved(Moved),
    /// A schedule.
    Firing(Firing),
    /// A fault.
    Fault(Fault),
}

/// An occurrence that is part of traces.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Call(&'a Call),
    Invocation(&'a Invocation, Option<&'a InvocationEnd>),
    Http(&'a HttpRequest),
    Record(&'a StreamRecord),
    Message { id: &'a str, queue: Option<&'a str> },
    Delivery(&'a Delivery),
    Retry(&'a Retry),
    GivenUp(&'a GivenUp),
    Moved(&'a Moved),
    Firing(&'a Firing),
    Fault(&'a Fault),
}

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

/// A piece of work of one function: what is to be handled once.
type Unit<'a> = (&'a str, Cause);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Done,
    Running,
    Failed,
    Waiting,
    GivenUp { is_kept: bool },
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

    pub(crate) fn summaries(&self, filter: &Filter) -> Vec<Summary> {
        let text = filter.text.as_deref().map(str::to_lowercase);
        let mut summaries: Vec<Summary> = self
            .roots()
            .filter_map(|root| {
                let parts = self.parts(root);
                let summary = self.summary(root, &parts);
                let passes = filter.passes(&summary)
                    && text.as_ref().is_none_or(|text| self.hold(&parts, text));
                passes.then_some(summary)
            })
            .collect();
        summaries.sort_by(|one, other| other.started_ms.total_cmp(&one.started_ms));
        summaries
    }

    pub(crate) fn trace(&self, id: &str) -> Option<Trace> {
        let is_wanted = |node: &Node<'_>| {
            let request = match node.item {
                Item::Invocation(start, _) => Some(&*start.request_id),
                Item::Call(call) => call.request_id.as_deref(),
                _ => None,
            };
            node.id == id || request == Some(id)
        };
        let wanted = self.nodes.iter().position(is_wanted)?;
        let root = self.root_of(wanted);
        let parts = self.parts(root);
        Some(Trace {
            summary: self.summary(root, &parts),
            spans: self.spans(&parts),
        })
    }

    /// What came in.
    fn roots(&self) -> impl Iterator<Item = usize> {
        let is_root = |node: &Node<'_>| {
            // What a function's process does by itself is nothing that came in, but what an invocation did that has made way.
            let by_itself =
                !node.is_cut && matches!(node.item, Item::Call(call) if call.function.is_some());
            let is_remark = matches!(
                node.item,
                Item::Delivery(_)
                    | Item::Retry(_)
                    | Item::Moved(_)
                    | Item::Fault(_)
                    | Item::Message { .. }
            );
            node.parents.is_empty() && !by_itself && !is_remark
        };
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(move |(_, node)| is_root(node))
            .map(|(index, _)| index)
    }

    fn root_of(&self, mut index: usize) -> usize {
        let mut seen = BTreeSet::new();
        while let Some(parent) = self.nodes[index].parents.first()
            && seen.insert(index)
        {
            index = *parent;
        }
        index
    }

    /// A root and all that it has caused: each with its place above, before what it has caused. What has several causes in
    /// the trace is below the latest: what was redriven is below the message, not below the record that it is about.
    fn parts(&self, root: usize) -> Vec<(usize, Option<usize>)> {
        let mut reached = BTreeSet::new();
        let mut next = vec![root];
        while let Some(index) = next.pop() {
            if reached.insert(index) {
                next.extend(&self.nodes[index].children);
            }
        }
        let latest_cause = |index: usize| {
            let causes = self.nodes[index].parents.iter().copied();
            causes
                .filter(|cause| reached.contains(cause))
                .max_by(|one, other| {
                    let began = |index: usize| self.nodes[index].started_ms;
                    began(*one).total_cmp(&began(*other))
                })
        };
        let mut parts = Vec::new();
        let mut next = vec![(root, None)];
        while let Some((index, parent)) = next.pop() {
            let place = parts.len();
            parts.push((index, parent));
            let children = self.nodes[index].children.iter().rev();
            let own =
                children.filter(|child| **child != root && latest_cause(**child) == Some(index));
            next.extend(own.map(|child| (*child, Some(place))));
        }
        parts
    }

    fn summary(&self, root: usize, parts: &[(usize, Option<usize>)]) -> Summary {
        let nodes = || parts.iter().map(|(index, _)| &self.nodes[*index]);
        let started_ms = self.nodes[root].started_ms;
        let ended_ms = nodes().map(|node| node.ended_ms.unwrap_or(node.started_ms));
        let mut invocations: Vec<&Node<'_>> = nodes()
            .filter(|node| matches!(node.item, Item::Invocation(..)))
            .collect();
        invocations.sort_by(|one, other| one.started_ms.total_cmp(&other.started_ms));
        let mut functions: Vec<String> = Vec::new();
        for node in invocations {
            if let Item::Invocation(start, _) = node.item
                && !functions.contains(&start.function)
            {
                functions.push(start.function.clone());
            }
        }
        let calls = nodes().filter(|node| matches!(node.item, Item::Call(_)));
        let denied = nodes()
            .filter(|node| matches!(node.item, Item::Call(call) if call.denied.is_some()))
            .count();
        Summary {
            id: self.nodes[root].id.clone(),
            kind: kind(self.nodes[root].item),
            title: title(self.nodes[root].item),
            outcome: self.outcome(root, parts),
            denied,
            started_ms,
            duration_ms: ended_ms.fold(started_ms, f64::max) - started_ms,
            functions,
            calls: calls.count(),
            is_cut: nodes().any(|node| node.is_cut),
        }
    }

    fn outcome(&self, root: usize, parts: &[(usize, Option<usize>)]) -> Outcome {
        let units = self.units(parts);
        let any = |wanted: fn(&Standing) -> bool| units.values().any(|(it, _)| wanted(it));
        // What another attempt has handled since is done all the same.
        let is_done_by = |index: usize| units.values().any(|it| *it == (Standing::Done, index));
        let is_denied = parts.iter().any(|(index, parent)| {
            let is_denied =
                matches!(self.nodes[*index].item, Item::Call(call) if call.denied.is_some());
            let parent = parent.map(|place: usize| parts[place].0);
            let of_function =
                parent.filter(|it| matches!(self.nodes[*it].item, Item::Invocation(..)));
            is_denied && of_function.is_none_or(is_done_by)
        });
        let is_refused = match self.nodes[root].item {
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
    fn units(&self, parts: &[(usize, Option<usize>)]) -> BTreeMap<Unit<'a>, (Standing, usize)> {
        let in_trace: BTreeSet<usize> = parts.iter().map(|(index, _)| *index).collect();
        // Other records of a batch are other traces' matter, unless nobody knows whose.
        let is_ours = |cause: &Cause| {
            let known = Key::of(cause).and_then(|key| self.by_key.get(&key));
            known.is_none_or(|index| in_trace.contains(index))
        };
        let mut parts: Vec<usize> = parts.iter().map(|(index, _)| *index).collect();
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
        parts.iter().any(|(index, _)| {
            let node = &self.nodes[*index];
            matches!(node.item, Item::Invocation(_, Some(end)) if end.result == InvocationResult::Ok)
                && node.started_ms >= since_ms
        })
    }

    /// Whether a text, in lower case, is in one of these nodes.
    fn hold(&self, parts: &[(usize, Option<usize>)], text: &str) -> bool {
        let holds = |it: &str| it.to_lowercase().contains(text);
        parts.iter().any(|(index, _)| {
            let node = &self.nodes[*index];
            let payloads = match node.item {
                Item::Call(call) => [call.request.as_ref(), call.response.as_ref()],
                Item::Invocation(start, end) => [Some(&start.event), end.map(|end| &end.answer)],
                _ => [None, None],
            };
            let log = match node.item {
                Item::Invocation(_, Some(end)) => &*end.log,
                _ => &[],
            };
            holds(&title(node.item))
                || payloads
                    .iter()
                    .flatten()
                    .any(|payload| holds(&payload.text))
                || log.iter().any(|line| holds(&line.text))
        })
    }

    fn spans(&self, parts: &[(usize, Option<usize>)]) -> Vec<Span> {
        let in_trace: BTreeSet<usize> = parts.iter().map(|(index, _)| *index).collect();
        let mut spans: Vec<Span> = Vec::new();
        // Where each part is among the spans: lines of logs come between.
        let mut places = Vec::new();
        for (index, parent) in parts {
            let node = &self.nodes[*index];
            let parent = parent.map(|part: usize| places[part]);
            let depth = parent.map_or(0, |parent: usize| spans[parent].depth + 1);
            places.push(spans.len());
            let place = spans.len();
            spans.push(Span {
                id: node.id.clone(),
                parent,
                depth,
                title: title(node.item),
                started_ms: node.started_ms,
                duration_ms: node
                    .ended_ms
                    .map(|ended| ended - node.started_ms)
                    .filter(|_| takes_time(node.item)),
                outcome: self.outcome_of(*index),
                inferred: node.inferred.map(str::to_owned),
                other_causes: node
                    .parents
                    .iter()
                    .filter(|it| !in_trace.contains(it))
                    .count(),
                details: details(node.item),
            });
            if let Item::Invocation(start, Some(end)) = node.item {
                let lines = end.log.iter().enumerate();
                spans.extend(lines.map(|(number, line)| Span {
                    id: format!("{}-line-{number}", start.id),
                    parent: Some(place),
                    depth: depth + 1,
                    title: line.text.clone(),
                    started_ms: line.at_ms,
                    duration_ms: None,
                    outcome: Outcome::Ok,
                    inferred: None,
                    other_causes: 0,
                    details: Details::Log(line.clone()),
                }));
            }
        }
        in_order_of_time(spans)
    }

    fn outcome_of(&self, index: usize) -> Outcome {
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

impl Filter {
    /// Whether it wants a trace, by all but the text.
    fn passes(&self, summary: &Summary) -> bool {
        let is_of = |function: &String| summary.functions.contains(function);
        self.function.as_ref().is_none_or(is_of)
            && self.kind.is_none_or(|kind| kind == summary.kind)
            && self.outcome.is_none_or(|outcome| {
                outcome == summary.outcome || outcome == Outcome::Denied && summary.denied > 0
            })
    }
}

/// Has the children of each span in the order of time, and each child before its own children.
fn in_order_of_time(spans: Vec<Span>) -> Vec<Span> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (index, span) in spans.iter().enumerate() {
        if let Some(parent) = span.parent {
            children[parent].push(index);
        }
    }
    for siblings in &mut children {
        siblings.sort_by(|one, other| spans[*one].started_ms.total_cmp(&spans[*other].started_ms));
    }
    let mut spans: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    let mut ordered: Vec<Span> = Vec::with_capacity(spans.len());
    let mut next = vec![(0, None)];
    while let Some((index, parent)) = next.pop() {
        let Some(span) = spans.get_mut(index).and_then(Option::take) else {
            continue;
        };
        let place = ordered.len();
        ordered.push(Span { parent, ..span });
        next.extend(
            children[index]
                .iter()
                .rev()
                .map(|child| (*child, Some(place))),
        );
    }
    ordered
}

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

fn takes_time(item: Item<'_>) -> bool {
    matches!(item, Item::Call(_) | Item::Invocation(..) | Item::Http(_))
}

fn kind(item: Item<'_>) -> Kind {
    match item {
        Item::Call(call) => match (&*call.service, &*call.operation) {
            ("s3", _) => Kind::Object,
            ("dynamodb", _) => Kind::Record,
            ("sns" | "sqs", _) => Kind::Message,
            ("events", _) => Kind::Event,
            ("lambda", "Invoke") => Kind::Invoke,
            _ => Kind::Call,
        },
        Item::Invocation(start, _) => match start.trigger.kind {
            TriggerKind::S3 => Kind::Object,
            TriggerKind::Sns | TriggerKind::Sqs => Kind::Message,
            TriggerKind::Stream => Kind::Record,
            TriggerKind::Http => Kind::Request,
            TriggerKind::EventBridge => Kind::Event,
            TriggerKind::Schedule => Kind::Schedule,
            TriggerKind::Invoke => Kind::Invoke,
        },
        Item::Http(_) => Kind::Request,
        Item::Record(_) => Kind::Record,
        Item::Message { .. } => Kind::Message,
        Item::Firing(_) => Kind::Schedule,
        Item::Delivery(_) | Item::Retry(_) | Item::GivenUp(_) | Item::Moved(_) | Item::Fault(_) => {
            Kind::Call
        }
    }
}

/// What it is, in a line.
fn title(item: Item<'_>) -> String {
    match item {
        Item::Call(call) => match call.resource.as_deref() {
            None | Some("*") => call.operation.clone(),
            Some(resource) => format!("{} {}", call.operation, name_of(resource)),
        },
        Item::Invocation(start, _) => start.function.clone(),
        Item::Http(http) => format!("{} {}", http.method, http.path),
        Item::Record(record) => format!("{} {}", record.event_name, record.keys),
        Item::Message { queue, .. } => match queue {
            Some(queue) => format!("message in {}", name_of(queue)),
            None => "message".to_owned(),
        },
        Item::Delivery(delivery) => {
            let (failed, all) = (delivery.failed.len(), delivery.batch.len());
            match delivery.next {
                Next::Split { first } => format!("{failed} of {all} failed: split after {first}"),
                Next::GiveUp => format!("{failed} of {all} failed"),
                Next::Filtered if all == 1 => {
                    format!(
                        "not for {}: no filter lets the record pass",
                        delivery.function
                    )
                }
                Next::Filtered => {
                    format!(
                        "not for {}: no filter lets {all} records pass",
                        delivery.function
                    )
                }
                Next::Done | Next::Retry { .. } => {
                    format!("{failed} of {all} failed: delivered again")
                }
            }
        }
        Item::Retry(retry) if retry.is_throttled => "throttled: tried again".to_owned(),
        Item::Retry(_) => "failed: tried again".to_owned(),
        Item::GivenUp(given_up) => {
            let condition = &given_up.condition;
            match (&given_up.destination, &given_up.error) {
                (Some(destination), None) => {
                    format!("{condition}: given up to {}", name_of(destination))
                }
                (Some(destination), Some(_)) => {
                    format!(
                        "{condition}: lost, {} did not take it",
                        name_of(destination)
                    )
                }
                (None, _) => format!("{condition}: lost, there is no failure destination"),
            }
        }
        Item::Moved(moved) => format!("received too often: moved to {}", name_of(&moved.to)),
        Item::Firing(firing) => format!("schedule {}", name_of(&firing.schedule)),
        Item::Fault(fault) => fault.title.clone(),
    }
}

/// What an ARN names, without account, region and kind.
fn name_of(arn: &str) -> &str {
    let Some(rest) = arn.strip_prefix("arn:") else {
        return arn;
    };
    // partition:service:region:account:resource
    let resource = rest.splitn(5, ':').nth(4).unwrap_or(rest);
    let service = rest.split(':').nth(1).unwrap_or_default();
    match service {
        "s3" => resource,
        "scheduler" => resource.rsplit('/').next().unwrap_or(resource),
        "lambda" => resource.strip_prefix("function:").unwrap_or(resource),
        _ => resource
            .split_once('/')
            .map_or(resource, |(_, resource)| resource),
    }
}

fn details(item: Item<'_>) -> Details {
    match item {
        Item::Call(call) => Details::Call(Box::new(call.clone())),
        Item::Invocation(start, end) => Details::Invocation {
            start: Box::new(start.clone()),
            end: end.map(|end| Box::new(end.clone())),
        },
        Item::Http(http) => Details::Http(Box::new(http.clone())),
        Item::Record(record) => Details::Record(record.clone()),
        Item::Message { id, queue } => Details::Message(Sent {
            message_id: id.to_owned(),
            queue: queue.map(str::to_owned),
        }),
        Item::Delivery(delivery) => Details::Delivery(Box::new(delivery.clone())),
        Item::Retry(retry) => Details::Retry(retry.clone()),
        Item::GivenUp(given_up) => Details::GivenUp(Box::new(given_up.clone())),
        Item::Moved(moved) => Details::Moved(moved.clone()),
        Item::Firing(firing) => Details::Firing(firing.clone()),
        Item::Fault(fault) => Details::Fault(fault.clone()),
    }
}
