//! What functions failed on, and how it is handled again.
//!
//! Lambda puts two kinds of message into a failure queue. That of an asynchronous
//! invocation holds the event. That of a stream tells only where the records lie, and they
//! must be read again while the stream still has them.
//!
//! EventBridge and its scheduler put an event that Lambda did not take there as it is. Why, the
//! message's attributes tell.
//!
//! SQS moves a message of a queue that the function reads there as it was sent, and says which
//! queue that was. Such a message is handed to the function, as the others are, and not moved back
//! to its queue: so it is known at once what became of it, and one that fails again does not wait
//! for its retries.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind, Result};
use crate::functions::FunctionError;
use crate::status::QueueDepth;
use crate::target::Target;
use crate::{functions, status};

/// How long SQS hides the messages of a reader that has died.
pub const HIDDEN_AT_MOST: Duration = Duration::from_secs(30);

/// How often a living reader asks SQS to hide them for longer.
const EXTEND_INTERVAL: Duration = Duration::from_secs(10);

/// The most messages that one call returns or changes.
const PAGE: usize = 10;

/// How many calls change messages at once.
const CALLS_AT_ONCE: usize = 8;

/// How long a receive call looks for messages. Without any wait SQS asks only some of its
/// servers, and may return nothing although there are messages.
const WAIT_SECONDS: i32 = 1;

/// How often messages are put back whose visibility SQS could not change.
const PUT_BACK_ATTEMPTS: usize = 3;

/// A message of a failure queue.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedEvent {
    /// The message's id in the queue.
    pub message_id: String,
    /// Why the service that invokes it stopped, in AWS's words, for example `RetriesExhausted`. For a
    /// message of a queue, [`MAX_RECEIVE_COUNT`].
    pub condition: Option<String>,
    /// How often the function was invoked with it.
    pub attempts: Option<u64>,
    /// When Lambda gave up, RFC 3339. SQS does not tell it.
    pub failed_at: Option<String>,
    /// When a message of a queue was sent, RFC 3339.
    pub sent_at: Option<String>,
    /// What the function answered last. Lambda does not tell it for a stream, nor SQS for a queue.
    pub error: Option<FunctionError>,
    /// What the function failed on.
    pub subject: Subject,
    receipt_handle: String,
}

/// Why SQS moves a message of a queue to the failure queue: the name of the setting.
pub const MAX_RECEIVE_COUNT: &str = "maxReceiveCount";

/// What a function failed on.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// An event.
    Event(Value),
    /// Records of a stream.
    Records(StreamBatch),
    /// A message of a queue, as the record of an event that Lambda hands to the function.
    Message(Value),
    /// None of them: no service that invokes functions wrote the message.
    Unknown(String),
}

/// Consecutive records of a shard. Between them may lie others that the function was not
/// to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamBatch {
    /// The stream.
    pub stream_arn: String,
    /// The shard.
    pub shard_id: String,
    /// The first record.
    pub start_sequence_number: String,
    /// The last record.
    pub end_sequence_number: String,
    /// How many records the function saw.
    pub batch_size: usize,
}

/// The message, as Lambda's developer guide shows it: "Capturing records of Lambda
/// asynchronous invocations" and "Retaining discarded batches for a DynamoDB event source".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord {
    timestamp: Option<String>,
    request_context: RequestContext,
    request_payload: Option<Value>,
    response_payload: Option<Value>,
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: Option<StreamBatch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    condition: Option<String>,
    approximate_invoke_count: Option<u64>,
}

impl FailedEvent {
    /// What a message of a failure queue tells.
    #[must_use]
    pub fn of_message(message: Message) -> Self {
        let system_attribute = |name| message.attributes.as_ref()?.get(&name);
        if let Some(source) = system_attribute(MessageSystemAttributeName::DeadLetterQueueSourceArn)
        {
            let sent_at = system_attribute(MessageSystemAttributeName::SentTimestamp);
            return Self {
                message_id: message.message_id.clone().unwrap_or_default(),
                condition: Some(MAX_RECEIVE_COUNT.to_owned()),
                attempts: None,
                failed_at: None,
                sent_at: sent_at.and_then(|milliseconds| rfc_3339(milliseconds)),
                error: None,
                subject: Subject::Message(lambda_record(&message, source)),
                receipt_handle: message.receipt_handle.unwrap_or_default(),
            };
        }
        let attributes = message.message_attributes.unwrap_or_default();
        let attribute = |name: &str| attributes.get(name)?.string_value.clone();
        let body = message.body.unwrap_or_default();
        let mut failed = Self {
            message_id: message.message_id.unwrap_or_default(),
            condition: None,
            attempts: None,
            failed_at: None,
            sent_at: None,
            error: None,
            subject: Subject::Unknown(body.clone()),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
        };
        if attribute("TARGET_ARN").is_some()
            && let Ok(event) = serde_json::from_str(&body)
        {
            failed.subject = Subject::Event(event);
            // Without it, no further attempt would have helped.
            failed.condition =
                attribute("EXHAUSTED_RETRY_CONDITION").or_else(|| attribute("ERROR_CODE"));
            // Lambda has not invoked the function.
            failed.attempts = Some(0);
            failed.error = Some(FunctionError {
                error_type: attribute("ERROR_CODE").unwrap_or_default(),
                error_message: attribute("ERROR_MESSAGE").unwrap_or_default(),
            });
            return failed;
        }
        let Ok(record) = serde_json::from_str::<InvocationRecord>(&body) else {
            return failed;
        };
        failed.subject = match (record.batch, record.request_payload) {
            (Some(batch), _) => Subject::Records(batch),
            (None, Some(event)) => Subject::Event(event),
            (None, None) => return failed,
        };
        failed.condition = record.request_context.condition;
        failed.attempts = record.request_context.approximate_invoke_count;
        failed.failed_at = record.timestamp;
        failed.error = record
            .response_payload
            .and_then(|payload| serde_json::from_value(payload).ok());
        failed
    }
}

/// A time in milliseconds, as SQS writes it.
fn rfc_3339(milliseconds: &str) -> Option<String> {
    let time = DateTime::from_millis(milliseconds.parse().ok()?);
    time.fmt(DateTimeFormat::DateTime).ok()
}

/// A message of the queue `source` as Lambda shows it to a function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
fn lambda_record(message: &Message, source: &str) -> Value {
    let system_attributes = message.attributes.iter().flatten();
    let attributes: BTreeMap<&str, &String> = system_attributes
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let message_attributes = message.message_attributes.iter().flatten();
    let message_attributes: BTreeMap<&String, Value> = message_attributes
        .map(|(name, value)| (name, lambda_attribute(value)))
        .collect();
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": source.split(':').nth(3),
    })
}

fn lambda_attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.data_type,
    });
    if let Some(text) = &value.string_value {
        attribute["stringValue"] = json!(text);
    }
    if let Some(bytes) = &value.binary_value {
        attribute["binaryValue"] = json!(BASE64_STANDARD.encode(bytes));
    }
    attribute
}

/// How the function took what it had failed on before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is handled. The message can go.
    Handled,
    /// It failed again.
    FailedAgain(FunctionError),
}

/// A reader of a failure queue. The messages that it has read are hidden from every other
/// reader until it removes them or puts them back.
#[derive(Debug)]
pub struct FailureQueueReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    queue_url: String,
    /// Receipt handles of the hidden messages, by message id.
    held: Mutex<BTreeMap<String, String>>,
    /// Calls that hide messages hold a read lock. Putting messages back waits for them: an
    /// answer without a reader would leave messages hidden.
    hiding: Arc<RwLock<()>>,
}

impl FailureQueueReader {
    /// A reader of the queue with this URL.
    pub fn new(target: &Target, queue_url: &str) -> Self {
        Self {
            shared: Arc::new(Shared {
                target: target.clone(),
                queue_url: queue_url.to_owned(),
                held: Mutex::default(),
                hiding: Arc::default(),
            }),
        }
    }

    /// Reads the next messages; none when no other is in sight.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn next_page(&self) -> Result<Vec<FailedEvent>> {
        let hiding = Arc::clone(&self.shared.hiding).read_owned().await;
        let shared = Arc::clone(&self.shared);
        // A task of its own: it ends even when the caller no longer waits for the messages.
        let received = tokio::spawn(async move {
            let page = shared.receive().await;
            drop(hiding);
            page
        });
        received.await.unwrap_or_else(|error| {
            Err(Error::new(format!(
                "could not read the queue {}",
                self.shared.queue_url
            ))
            .because(error.to_string()))
        })
    }

    /// Keeps the messages hidden for as long as this is polled. One that SQS shows again
    /// nevertheless is read again.
    pub async fn keep_hidden(&self) -> Infallible {
        loop {
            tokio::time::sleep(EXTEND_INTERVAL).await;
            self.extend().await;
        }
    }

    /// What fails is tried again in the next round.
    async fn extend(&self) {
        let hiding = Arc::clone(&self.shared.hiding).read_owned().await;
        let shared = Arc::clone(&self.shared);
        let extended = tokio::spawn(async move {
            let held = shared.held().clone();
            let _ = shared.hide(held, HIDDEN_AT_MOST).await;
            drop(hiding);
        });
        let _ = extended.await;
    }

    /// Removes a message from the queue for good.
    ///
    /// # Errors
    /// When SQS refuses; the message is then still in the queue.
    pub async fn remove(&self, event: &FailedEvent) -> Result<()> {
        let queue_url = &self.shared.queue_url;
        let latest = self.shared.held().get(&event.message_id).cloned();
        self.shared
            .target
            .sqs
            .delete_message()
            .queue_url(queue_url)
            .receipt_handle(latest.as_ref().unwrap_or(&event.receipt_handle))
            .send()
            .await
            .map_err(|error| {
                Error::aws(
                    &format!("remove message {} from {queue_url}", event.message_id),
                    &error,
                )
            })?;
        self.shared.held().remove(&event.message_id);
        Ok(())
    }

    /// Shows all messages that were not removed to other readers again, at once.
    ///
    /// # Errors
    /// When SQS refuses; they then come back after [`HIDDEN_AT_MOST`].
    pub async fn put_back(&self) -> Result<()> {
        let _nothing_is_hidden = self.shared.hiding.write().await;
        let comes_back = format!(
            "SQS shows them again within {} seconds",
            HIDDEN_AT_MOST.as_secs()
        );
        let mut held = std::mem::take(&mut *self.shared.held());
        for _ in 0..PUT_BACK_ATTEMPTS {
            held = self
                .shared
                .hide(held, Duration::ZERO)
                .await
                .map_err(|error| error.hint(&comes_back))?;
            if held.is_empty() {
                return Ok(());
            }
        }
        Err(Error::new(format!(
            "could not put {} messages back into {}",
            held.len(),
            self.shared.queue_url
        ))
        .because("SQS has failed to change their visibility")
        .hint(comes_back))
    }

    /// How many messages the queue holds, as SQS counts them.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn depth(&self) -> Result<QueueDepth> {
        status::queue_depth(&self.shared.target, &self.shared.queue_url).await
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn receive(&self) -> Result<Vec<FailedEvent>> {
        let answer = self
            .target
            .sqs
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(PAGE).unwrap_or(i32::MAX))
            .message_attribute_names("All")
            .visibility_timeout(seconds(HIDDEN_AT_MOST))
            .wait_time_seconds(WAIT_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| Error::aws(&format!("read the queue {}", self.queue_url), &error))?;
        let messages = answer.messages.unwrap_or_default();
        let events: Vec<FailedEvent> = messages.into_iter().map(FailedEvent::of_message).collect();
        self.held().extend(
            events
                .iter()
                .map(|event| (event.message_id.clone(), event.receipt_handle.clone())),
        );
        Ok(events)
    }

    /// Hides messages for some more time, or shows them at once if that is zero. Returns those
    /// for which SQS failed; one that is removed or in sight already needs nothing.
    async fn hide(
        self: &Arc<Self>,
        messages: BTreeMap<String, String>,
        time: Duration,
    ) -> Result<BTreeMap<String, String>> {
        let messages: Vec<(String, String)> = messages.into_iter().collect();
        let mut failed = BTreeMap::new();
        for pages in messages.chunks(PAGE * CALLS_AT_ONCE) {
            let mut calls = JoinSet::new();
            for page in pages.chunks(PAGE) {
                let (shared, page) = (Arc::clone(self), page.to_vec());
                calls.spawn(async move { shared.hide_page(page, time).await });
            }
            while let Some(ended) = calls.join_next().await {
                failed.extend(ended.map_err(|error| {
                    Error::new("a task was interrupted").because(error.to_string())
                })??);
            }
        }
        Ok(failed)
    }

    async fn hide_page(
        &self,
        page: Vec<(String, String)>,
        time: Duration,
    ) -> Result<Vec<(String, String)>> {
        let what = format!("change the visibility of messages of {}", self.queue_url);
        let entries = page.iter().enumerate().map(|(index, (_, receipt_handle))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt_handle)
                .visibility_timeout(seconds(time))
                .build()
        });
        let entries: Vec<_> = entries
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::new(format!("could not {what}")).because(error.to_string()))?;
        let answer = self
            .target
            .sqs
            .change_message_visibility_batch()
            .queue_url(&self.queue_url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| Error::aws(&what, &error))?;
        let failed = answer.failed().iter().filter(|entry| !entry.sender_fault());
        Ok(failed
            .filter_map(|entry| page.get(entry.id().parse::<usize>().ok()?).cloned())
            .collect())
    }
}

/// A visibility timeout as SQS takes it.
fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// The records of a batch, as Lambda shows them to a function, with those between them
/// that the function was not to see; `None` when they are there no more. A stream keeps
/// its records for 24 hours, and goes with its table.
///
/// # Errors
/// When the stream cannot be read.
pub async fn records_of(target: &Target, batch: &StreamBatch) -> Result<Option<Vec<Value>>> {
    // A stream may answer without records while there are more to come.
    const EMPTY_PAGES_MAX: usize = 50;

    let what = format!("read stream {}", batch.stream_arn);
    let first = target
        .streams
        .get_shard_iterator()
        .stream_arn(&batch.stream_arn)
        .shard_id(&batch.shard_id)
        .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
        .sequence_number(&batch.start_sequence_number)
        .send()
        .await;
    let mut iterator = match first {
        Ok(answer) => answer.shard_iterator,
        Err(error) => return none_if_gone(Error::aws(&what, &error)),
    };
    let mut records = Vec::new();
    let mut empty_pages = 0;
    while let Some(current) = iterator {
        let page = target.streams.get_records().shard_iterator(current);
        let page = match page.send().await {
            Ok(page) => page,
            Err(error) => return none_if_gone(Error::aws(&what, &error)),
        };
        for record in page.records() {
            let number = streams::sequence_number(record);
            let order = streams::compare_sequence_numbers(number, &batch.end_sequence_number);
            if order == Ordering::Greater {
                return Ok(None);
            }
            records.push(streams::lambda_record(record, &batch.stream_arn));
            if order == Ordering::Equal {
                return Ok(Some(records));
            }
        }
        if page.records().is_empty() {
            empty_pages += 1;
        }
        if empty_pages > EMPTY_PAGES_MAX {
            return Err(Error::new(format!("could not {what}"))
                .because(format!("shard {} showed no records", batch.shard_id))
                .hint("try again in a minute"));
        }
        iterator = page.next_shard_iterator;
    }
    Ok(None)
}

/// Invokes a function with an event that it failed on, and waits for its answer. The event was in a message of the failure
/// queue.
///
/// # Errors
/// When Lambda refuses.
pub async fn redrive_event(
    target: &Target,
    physical_name: &str,
    event: &Value,
    message_id: &str,
) -> Result<Redriven> {
    let payload = event.to_string().into_bytes();
    let invocation =
        functions::invoke_with(target, physical_name, payload, Some(message_id)).await?;
    Ok(match invocation.result {
        Ok(_) => Redriven::Handled,
        Err(error) => Redriven::FailedAgain(error),
    })
}

/// Invokes a function with records that it failed on, of a stream or of a queue, and waits for its answer. A message of the
/// failure queue told of them.
///
/// # Errors
/// When Lambda refuses.
pub async fn redrive_records(
    target: &Target,
    physical_name: &str,
    records: &[Value],
    message_id: &str,
) -> Result<Redriven> {
    let payload = json!({"Records": records}).to_string().into_bytes();
    let invocation =
        functions::invoke_with(target, physical_name, payload, Some(message_id)).await?;
    Ok(match invocation.result {
        Ok(answer) => outcome_of_records(&answer),
        Err(error) => Redriven::FailedAgain(error),
    })
}

fn none_if_gone(error: Error) -> Result<Option<Vec<Value>>> {
    match error.kind() {
        ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    }
}

/// A function that reports batch item failures succeeds as an invocation even where it failed.
fn outcome_of_records(answer: &str) -> Redriven {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let failures = &answer["batchItemFailures"];
    if failures.is_null() || failures.as_array().is_some_and(Vec::is_empty) {
        return Redriven::Handled;
    }
    Redriven::FailedAgain(FunctionError {
        error_type: "BatchItemFailures".to_owned(),
        error_message: format!("the function reported {failures}; its log says why"),
    })
}

#[cfg(test)]
mod tests;
