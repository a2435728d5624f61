//! What the stage's process tells the console, and does for it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use local::{Decision, FaultSwitch, Traces};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::model::AppModel;

/// An answer that comes later, or the reason why there is none.
pub type Told<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// The process of the stage.
pub trait Host: Send + Sync {
    /// The app as it is deployed now.
    fn app(&self) -> Arc<AppModel>;

    /// A number that is another one after something has happened on the stage.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The URLs of the app's HTTP APIs and function URLs on this machine, in the order of [`AppModel::endpoints`].
    fn endpoint_urls(&self) -> Vec<String>;

    /// The line of Rust that grants an action on the resource with this ARN to a function, or why there is none.
    fn grant_hint<'a>(
        &'a self,
        function: &'a str,
        action: &'a str,
        arn: &'a str,
    ) -> Told<'a, String>;

    /// What the emulator allowed and denied.
    fn decisions(&self) -> Told<'_, Vec<Decision>>;

    /// What has happened.
    fn traces(&self) -> &Traces;

    /// The switch of the stage's faults.
    fn faults(&self) -> &FaultSwitch;

    /// What a queue holds, without receiving it: a message that is looked at is not counted as received, and hidden from
    /// nobody.
    fn messages(&self, queue_url: &str) -> Told<'_, Vec<QueuedMessage>>;

    /// Handles what a function has failed on, or drops it.
    fn redrive(&self, wish: RedriveWish) -> Told<'_, Vec<Redriven>>;

    /// The events to invoke a function with, the first the likeliest.
    fn sample_events(&self, function: &str) -> Vec<SampleEvent>;

    /// Keeps an event of a function, under a title or as the one that the function is known by, and tells in which file.
    ///
    /// # Errors
    /// Why the file cannot be written.
    fn save_sample_event(&self, function: &str, title: &str, event: &str)
    -> Result<String, String>;
}

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// SQS's id of it.
    pub id: String,
    /// The part of its text that is shown.
    pub body: String,
    /// The length of the whole text, in bytes.
    pub body_bytes: u64,
    /// Its attributes, as SQS's users see them.
    pub attributes: BTreeMap<String, Value>,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: u64,
    /// How often it was received.
    pub receive_count: u64,
    /// When the next reader gets it, in milliseconds since 1970. It may have passed.
    pub visible_at_ms: u64,
    /// The group of a FIFO queue.
    pub group: Option<String>,
}

/// What is to be done with what a function has failed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveWish {
    /// The function, by its name in the manifest.
    pub function: String,
    /// One message by its id; otherwise all.
    pub message: Option<String>,
    /// Whether it is dropped and not handled.
    pub drop: bool,
}

/// What became of a message of a failure queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redriven {
    /// SQS's id of it.
    pub message_id: String,
    /// Whether it has left the queue.
    pub is_gone: bool,
    /// In words.
    pub outcome: String,
}

/// An event to invoke a function with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleEvent {
    /// Where it is from.
    pub title: String,
    /// The event, as JSON.
    pub text: String,
}
