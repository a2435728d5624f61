//! Traces: what came in, and what it has caused.

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

impl Filter {
    /// Whether it wants a trace, by all but the text.
    pub(crate) fn passes(&self, summary: &Summary) -> bool {
        let is_of = |function: &String| summary.functions.contains(function);
        self.function.as_ref().is_none_or(is_of)
            && self.kind.is_none_or(|kind| kind == summary.kind)
            && self.outcome.is_none_or(|outcome| {
                outcome == summary.outcome || outcome == Outcome::Denied && summary.denied > 0
            })
    }
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
