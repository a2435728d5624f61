//! Sending messages to a queue.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{SendMessageBatchRequestEntry, SendMessageBatchResultEntry};
use serde::Serialize;

use crate::aws::{Aws, Service};
use crate::records::RecordFailure;
use crate::requests::Limits;
use crate::service_error::ServiceError;

/// Messages of one request, and their bytes together.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: Limits = Limits {
    entries: 10,
    bytes: 1024 * 1024,
};

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    body: String,
    delay_seconds: Option<i32>,
    group: Option<String>,
    deduplication_id: Option<String>,
}

impl NewMessage {
    /// A message with this text.
    pub fn text(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            delay_seconds: None,
            group: None,
            deduplication_id: None,
        }
    }

    /// A message with `body` as JSON.
    pub fn json(body: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(body).map(Self::text)
    }

    /// Lets the message be received after this time, in whole seconds, rounded up. SQS takes 15
    /// minutes at most, and no delay of a single message in a FIFO queue.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.delay_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        self
    }

    /// The group of the message. A FIFO queue requires one, and keeps the order of its messages.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// For a FIFO queue, which takes one of several messages with the same id within 5 minutes.
    /// Without an id, SQS compares the bodies.
    #[must_use]
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.deduplication_id = Some(id.into());
        self
    }
}

/// Why messages were not sent, or may not have been: SQS may have taken a message although its
/// answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not send {} of {total} messages to {queue}: {reason}", .unsent.len())]
pub struct SendError {
    queue: String,
    total: usize,
    unsent: Vec<usize>,
    reason: String,
}

impl SendError {
    /// Which messages were not sent, by their places, from 0.
    #[must_use]
    pub fn unsent(&self) -> &[usize] {
        &self.unsent
    }
}

impl RecordFailure for SendError {}

/// A queue to send to.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue with this URL. An attempt of a call has 3 s, all of them have 10 s.
    pub fn new(aws: &Aws, url: impl Into<String>) -> Self {
        Self {
            client: Client::new(&aws.config_with_timeouts(Service::SQS)),
            url: url.into(),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// SQS refused the message, or did not answer.
    pub async fn send(&self, message: NewMessage) -> Result<(), SendError> {
        let request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(message.body)
            .set_delay_seconds(message.delay_seconds)
            .set_message_group_id(message.group)
            .set_message_deduplication_id(message.deduplication_id);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.unsent(1, vec![0], ServiceError::of(&error).to_string())),
        }
    }

    /// Sends messages, as many in a request as SQS takes. One that SQS refuses does not keep the
    /// others from being sent, not even those of its group in a FIFO queue.
    ///
    /// # Errors
    /// Not all were sent. The error says which.
    pub async fn send_all(&self, messages: Vec<NewMessage>) -> Result<(), SendError> {
        let total = messages.len();
        let mut unsent = Vec::new();
        let mut reason = None;
        for batch in batches(messages) {
            if let Err((places, why)) = self.send_batch(batch).await {
                unsent.extend(places);
                reason.get_or_insert(why);
            }
        }
        match reason {
            None => Ok(()),
            Some(reason) => Err(self.unsent(total, unsent, reason)),
        }
    }

    /// Sends messages, each with its place. Those that were not sent, and why the first was not.
    async fn send_batch(
        &self,
        batch: Vec<(usize, NewMessage)>,
    ) -> Result<(), (Vec<usize>, String)> {
        let places = || batch.iter().map(|(place, _)| *place);
        let entries = batch.iter().map(|(place, message)| entry(*place, message));
        let entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| (places().collect(), error.to_string()))?;
        let request = self.client.send_message_batch().queue_url(&self.url);
        let answer = request
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| (places().collect(), ServiceError::of(&error).to_string()))?;
        let sent: Vec<&str> = answer
            .successful()
            .iter()
            .map(SendMessageBatchResultEntry::id)
            .collect();
        let unsent: Vec<usize> = places()
            .filter(|place| !sent.contains(&place.to_string().as_str()))
            .collect();
        if unsent.is_empty() {
            return Ok(());
        }
        let reason = answer.failed().first().map_or_else(
            || "SQS did not say what became of them".to_owned(),
            |failed| {
                let message = failed.message().unwrap_or_default();
                format!("{}: {message}", failed.code())
            },
        );
        Err((unsent, reason))
    }

    fn unsent(&self, total: usize, unsent: Vec<usize>, reason: String) -> SendError {
        SendError {
            queue: self.url.clone(),
            total,
            unsent,
            reason,
        }
    }
}

fn entry(place: usize, message: &NewMessage) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let message = message.clone();
    SendMessageBatchRequestEntry::builder()
        .id(place.to_string())
        .message_body(message.body)
        .set_delay_seconds(message.delay_seconds)
        .set_message_group_id(message.group)
        .set_message_deduplication_id(message.deduplication_id)
        .build()
}

/// Messages, each with its place, in batches that SQS takes.
fn batches(messages: Vec<NewMessage>) -> Vec<Vec<(usize, NewMessage)>> {
    let messages = messages.into_iter().enumerate();
    BATCH.packed(messages, |(_, message)| message.body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Wire;
    use serde_json::{Value, json};

    const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/parcels";

    fn queue(wire: &Wire) -> Queue {
        Queue::new(&wire.aws(), URL)
    }

    fn texts(count: usize) -> Vec<NewMessage> {
        (0..count)
            .map(|number| NewMessage::text(number.to_string()))
            .collect()
    }

    fn sent(places: std::ops::Range<usize>) -> Vec<Value> {
        places
            .map(
                |place| json!({"Id": place.to_string(), "MessageId": "a", "MD5OfMessageBody": "b"}),
            )
            .collect()
    }

    #[tokio::test]
    async fn a_message_is_sent_with_what_it_has() {
        let answer = || (200, json!({"MessageId": "a"}));
        let wire = Wire::new([answer(), answer()]);
        queue(&wire).send(NewMessage::text("hello")).await.unwrap();
        let message = NewMessage::json(&json!({"order": 1})).unwrap();
        let message = message
            .delay(Duration::from_millis(1001))
            .group("g")
            .deduplication_id("d");
        queue(&wire).send(message).await.unwrap();
        let operation = "AmazonSQS.SendMessage".to_owned();
        assert_eq!(
            wire.requests(),
            [
                (
                    operation.clone(),
                    json!({"QueueUrl": URL, "MessageBody": "hello"})
                ),
                (
                    operation,
                    json!({
                        "QueueUrl": URL,
                        "MessageBody": r#"{"order":1}"#,
                        "DelaySeconds": 2,
                        "MessageGroupId": "g",
                        "MessageDeduplicationId": "d",
                    })
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_message_that_is_refused_is_an_error() {
        let refusal = json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"});
        let wire = Wire::new([(400, refusal)]);
        let error = queue(&wire).send(NewMessage::text("hello")).await;
        let error = error.unwrap_err();
        assert_eq!(error.unsent(), [0]);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("could not send 1 of 1 messages to {URL}: "))
                && text.contains("QueueDoesNotExist"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn messages_are_sent_ten_at_a_time() {
        let answers =
            [0..10, 10..20, 20..21].map(|places| (200, json!({"Successful": sent(places)})));
        let wire = Wire::new(answers);
        queue(&wire).send_all(texts(21)).await.unwrap();
        let sizes: Vec<usize> = wire
            .requests()
            .iter()
            .map(|(_, body)| body["Entries"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes, [10, 10, 1]);
        queue(&Wire::new([])).send_all(Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn what_sqs_reports_as_failed_or_does_not_report_is_unsent() {
        let failed = json!([
            {"Id": "3", "Code": "InternalError", "Message": "later", "SenderFault": false}
        ]);
        let first = json!({"Successful": sent(0..3), "Failed": failed});
        let wire = Wire::new([(200, first), (200, json!({"Successful": sent(10..12)}))]);
        let error = queue(&wire).send_all(texts(12)).await.unwrap_err();
        assert_eq!(error.unsent(), [3, 4, 5, 6, 7, 8, 9]);
        let text = error.to_string();
        assert!(
            text.starts_with("could not send 7 of 12 messages to")
                && text.ends_with("InternalError: later"),
            "{text}"
        );
    }

    #[test]
    fn a_batch_is_no_larger_than_sqs_takes() {
        let sizes = |bytes: &[usize]| -> Vec<usize> {
            let messages = bytes
                .iter()
                .map(|bytes| NewMessage::text("x".repeat(*bytes)));
            batches(messages.collect()).iter().map(Vec::len).collect()
        };
        let half = BATCH.bytes / 2;
        assert_eq!(sizes(&[half, half, 1]), [2, 1]);
        assert_eq!(sizes(&[half, half + 1, 1]), [1, 2]);
        assert_eq!(sizes(&[BATCH.bytes + 1, 1]), [1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
