//! What the parts of a local stage observe.
//!
//! The emulator (`observed.py`), the local Rekognition and the stage's own servers each tell what they see in these words.
//! Every identifier is one that its part knows for certain; nothing here is guessed. What has caused what is found out by
//! [`trace`](crate::Trace).

use serde::{Deserialize, Serialize};

/// Something that was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it was told, in milliseconds since the epoch: at the end of what took time.
    pub at_ms: f64,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What can be observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A service has answered a request.
    Call(Box<Call>),
    /// A function was handed an event.
    Invocation(Box<Invocation>),
    /// An invocation has ended.
    Ended(Box<InvocationEnd>),
    /// An HTTP API or a function URL has answered a request.
    Http(Box<HttpRequest>),
    /// An item was changed without a call: DynamoDB has deleted it at the end of its time to live.
    Record(StreamRecord),
    /// An event source mapping has delivered a batch, or has tried to.
    Delivery(Box<Delivery>),
    /// Lambda tries an asynchronous event again later.
    Retry(Retry),
    /// Something is given up: it is in a failure queue, or lost.
    GivenUp(Box<GivenUp>),
    /// A service has put a message into a queue, after the call that it comes from was answered.
    Sent(SentMessage),
    /// SQS has moved a message to its dead-letter queue.
    Moved(Moved),
    /// A schedule was due.
    Firing(Firing),
    /// The local stage has made a fault.
    Fault(Fault),
}

/// What has caused something, by its identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A [`Call`].
    Call(String),
    /// An attempt of an [`Invocation`].
    Invocation(String),
    /// An [`HttpRequest`].
    Http(String),
    /// A record of a table's stream.
    Record {
        /// The stream's ARN.
        stream: String,
        /// The record's number in it.
        sequence_number: String,
    },
    /// A message of a queue.
    Message(String),
    /// A job of Rekognition's.
    Job(String),
    /// A request to Lambda, which an asynchronous event keeps through its attempts.
    Request(String),
}

/// Text of which only the beginning may be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The text, or its beginning. Signatures and credentials are replaced by `[hidden]`.
    pub text: String,
    /// The bytes of the whole.
    pub bytes: u64,
}

impl Payload {
    /// Whether the end is missing.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.text.len() as u64) < self.bytes
    }
}

/// A request to an AWS service, and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Its identifier in the history.
    pub id: String,
    /// The service's name in signatures: `dynamodb`.
    pub service: String,
    /// The operation: `PutItem`.
    pub operation: String,
    /// The ARN of what it is about, as policies name it.
    pub resource: Option<String>,
    /// The caller's ARN.
    pub principal: String,
    /// Lambda's name of the function whose role called.
    pub function: Option<String>,
    /// What made it, where that is known for certain.
    pub causes: Vec<Cause>,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: f64,
    /// How long the answer took.
    pub duration_ms: f64,
    /// The answer's status.
    pub status: u16,
    /// The error's code.
    pub error: Option<String>,
    /// The error's message.
    pub message: Option<String>,
    /// Which attempt of the caller's SDK it is, from 1 on.
    pub attempt: Option<u32>,
    /// How many items or messages the answer holds.
    pub items: Option<u64>,
    /// The request's body.
    pub request: Option<Payload>,
    /// The answer's body.
    pub response: Option<Payload>,
    /// AWS's identifier of the request.
    pub request_id: Option<String>,
    /// What the caller's policies do not allow.
    pub denied: Option<Denied>,
    /// The records of streams that it made.
    pub records: Vec<StreamRecord>,
    /// The messages that it put into queues.
    pub messages: Vec<Sent>,
    /// The job that it began, of Rekognition's.
    pub job: Option<String>,
}

impl Call {
    /// Whether the answer says that there is no such object. That is what the caller asked, and no failure.
    #[must_use]
    pub fn finds_nothing(&self) -> bool {
        self.service == "s3" && self.operation == "HeadObject" && self.status == 404
    }

    /// Whether the service did not do what it was asked to.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.status >= 400 && !self.finds_nothing()
    }
}

/// What a caller's policies do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// IAM's name of the action.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
}

/// A change of an item that is in the table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// The stream's ARN.
    pub stream: String,
    /// The record's number in it.
    pub sequence_number: String,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: String,
    /// The item's key, as DynamoDB JSON.
    pub keys: String,
}

/// A message that was put into a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// SQS's identifier of it.
    pub message_id: String,
    /// The queue's ARN, if it is known.
    pub queue: Option<String>,
}

/// A message that a service has put into a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// SQS's identifier of it.
    pub message_id: String,
    /// The queue's ARN, if it is known.
    pub queue: Option<String>,
    /// What it comes from.
    pub causes: Vec<Cause>,
}

/// An attempt to have a function handle an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// The attempt's identifier in the history.
    pub id: String,
    /// Lambda's identifier. The attempts of an asynchronous event share it.
    pub request_id: String,
    /// Lambda's name of the function.
    pub function: String,
    /// Which attempt at an asynchronous event it is, from 1 on.
    pub attempt: u32,
    /// What invoked the function.
    pub trigger: Trigger,
    /// What the event comes from, where that is known for certain.
    pub causes: Vec<Cause>,
    /// When the function was asked for, in milliseconds since the epoch.
    pub started_ms: f64,
    /// The event.
    pub event: Payload,
}

/// What invokes functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Which kind of event source.
    pub kind: TriggerKind,
    /// Its ARN or name, if there is one.
    pub source: Option<String>,
    /// What happened there: an event's name and a key, a method and a path, how many records.
    pub detail: Option<String>,
}

/// The kinds of event sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A bucket's notification.
    S3,
    /// A subscription of a topic.
    Sns,
    /// An event source mapping of a queue.
    Sqs,
    /// An event source mapping of a table's stream.
    Stream,
    /// An HTTP API or a function URL.
    Http,
    /// A rule of EventBridge.
    EventBridge,
    /// A schedule of EventBridge Scheduler.
    Schedule,
    /// Lambda's operation `Invoke`.
    Invoke,
}

/// How an [`Invocation`] ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InvocationEnd {
    /// The attempt's identifier.
    pub id: String,
    /// How the function's process started, if it had to: a cold start.
    pub init_ms: Option<f64>,
    /// How long the function took, without its start.
    pub duration_ms: f64,
    /// What AWS would bill.
    pub billed_ms: u64,
    /// The memory that the function is given.
    pub memory_mb: u32,
    /// The memory that it used at most, if it could be measured.
    pub max_memory_mb: Option<u32>,
    /// The lines that it wrote, the first ones if there are too many.
    pub log: Vec<LogLine>,
    /// How many lines are left out.
    pub lines_left_out: u64,
    /// How it ended.
    pub result: InvocationResult,
    /// What the function answered, or the error.
    pub answer: Payload,
}

/// Whether a function has handled an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum InvocationResult {
    /// It answered.
    Ok,
    /// It did not.
    Error {
        /// The error's type: `Sandbox.Timedout` at the end of the function's time.
        error_type: String,
        /// The error's message.
        message: String,
    },
}

/// A line that a function wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When the emulator read it, in milliseconds since the epoch.
    pub at_ms: f64,
    /// The line, or its beginning.
    pub text: String,
}

/// A request to an HTTP API or a function URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Its identifier in the history.
    pub id: String,
    /// The port of the API's front door.
    pub port: u16,
    /// The method.
    pub method: String,
    /// The path, as the client sent it.
    pub path: String,
    /// When it came, in milliseconds since the epoch.
    pub started_ms: f64,
    /// How long the answer took.
    pub duration_ms: f64,
    /// The answer's status.
    pub status: u16,
}

/// A batch that an event source mapping has delivered, or could not deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Lambda's name of the function.
    pub function: String,
    /// The ARN of the stream or the queue.
    pub source: String,
    /// Lambda's identifier of the invocation, if there was one.
    pub request_id: Option<String>,
    /// The records or messages of the batch.
    pub batch: Vec<Cause>,
    /// Those among them that are not handled yet.
    pub failed: Vec<Cause>,
    /// What becomes of those.
    pub next: Next,
}

/// What becomes of the failed part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Next {
    /// Nothing has failed.
    Done,
    /// It is delivered again.
    Retry {
        /// Not before then, in milliseconds since the epoch.
        not_before_ms: f64,
    },
    /// It is delivered in two batches, of which the first has so many records.
    Split {
        /// The number.
        first: u64,
    },
    /// It goes to the mapping's failure destination.
    GiveUp,
    /// Nothing was delivered: no filter of the mapping lets the batch's records pass.
    Filtered,
}

/// An asynchronous event that waits for its next attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Lambda's identifier of the event.
    pub request_id: String,
    /// Lambda's name of the function.
    pub function: String,
    /// Whether Lambda throttled the invocation.
    pub is_throttled: bool,
    /// When, in milliseconds since the epoch.
    pub not_before_ms: f64,
}

/// An event or records whose attempts have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GivenUp {
    /// What is given up: a request, or records.
    pub events: Vec<Cause>,
    /// Lambda's name of the function.
    pub function: String,
    /// Why, in AWS's word: `RetriesExhausted`.
    pub condition: String,
    /// The failure destination's ARN.
    pub destination: Option<String>,
    /// The message there, if it is a queue.
    pub message_id: Option<String>,
    /// Why the destination did not take it.
    pub error: Option<String>,
}

/// A message that was received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The message.
    pub message_id: String,
    /// The ARN of the queue that it was in.
    pub from: String,
    /// The ARN of the dead-letter queue.
    pub to: String,
}

/// A schedule that was due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// Its identifier, which the event may hold.
    pub execution_id: String,
    /// The schedule's ARN.
    pub schedule: String,
    /// When it was due, in milliseconds since the epoch.
    pub scheduled_ms: f64,
    /// When Lambda was asked, in milliseconds since the epoch.
    pub started_ms: f64,
    /// Which attempt it is, from 1 on.
    pub attempt: u32,
    /// Lambda's identifier of the event, if Lambda took it.
    pub request_id: Option<String>,
    /// Why Lambda did not.
    pub error: Option<String>,
}

/// A fault that the local stage has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub title: String,
    /// What met it, where that is known for certain.
    pub causes: Vec<Cause>,
}
