//! A batch of messages, and the answer to it.

use std::collections::BTreeSet;

use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::error;

use crate::records::{Failed, RecordFailure};

/// What Lambda delivers: a batch of messages of one queue.
#[derive(Debug, Clone, Deserialize)]
pub struct SqsEvent {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

/// What a function answers: the messages that SQS is to deliver again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsResponse {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl SqsResponse {
    /// The ids of the failed messages.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        let failures = self.batch_item_failures.iter();
        failures
            .map(|failure| failure.item_identifier.as_str())
            .collect()
    }
}

/// A message that is not what the function expects. Nothing is skipped in silence: such a message
/// ends in the failure queue, where it is seen.
#[derive(Debug, thiserror::Error)]
#[error("the message is not {expected}: {reason}")]
pub struct UnexpectedMessage {
    /// What the function expects, as in "a parcel".
    expected: &'static str,
    /// Where it differs from that.
    reason: serde_json::Error,
}

impl RecordFailure for UnexpectedMessage {}

/// A message whose failure could not be reported, because it has no id. It fails the whole event
/// before any message is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {number} of {total} has no \"messageId\", so its failure could not be reported: send messages as SQS does"
)]
pub struct UnidentifiedMessage {
    /// Place in the event, from 1.
    number: usize,
    /// How many records the event has.
    total: usize,
}

impl From<UnidentifiedMessage> for Diagnostic {
    fn from(error: UnidentifiedMessage) -> Self {
        Self {
            error_type: "InvalidEventError".into(),
            error_message: error.to_string(),
        }
    }
}

impl SqsEvent {
    /// Hands the body of every message to `handle`, one after the other in the event's order, and
    /// reports those that failed. A body that is not the JSON of an `M` is a failed one, and the log
    /// says that it is not what `expected` says.
    ///
    /// After a failed message of a FIFO queue, the others of its group fail as well: they must not
    /// be handled before it.
    pub async fn for_each<M: DeserializeOwned, E: Into<Failed>>(
        self,
        expected: &'static str,
        handle: impl AsyncFn(M) -> Result<(), E>,
    ) -> Result<SqsResponse, UnidentifiedMessage> {
        let total = self.records.len();
        let messages = self.records.iter().enumerate().map(|(index, record)| {
            let number = index + 1;
            Message::of(record).ok_or(UnidentifiedMessage { number, total })
        });
        let messages: Vec<Message<'_>> = messages.collect::<Result<_, _>>()?;
        let mut response = SqsResponse::default();
        let mut failed_groups = BTreeSet::new();
        for message in messages {
            let result = match message.group {
                Some(group) if failed_groups.contains(group) => Err(EarlierFailed.into()),
                _ => match serde_json::from_str(message.body) {
                    Ok(body) => handle(body).await.map_err(Into::into),
                    Err(reason) => Err(UnexpectedMessage { expected, reason }.into()),
                },
            };
            if let Err(failed) = result {
                let reason = failed.reason();
                error!(message_id = message.id, reason, "message failed");
                response.batch_item_failures.push(Failure {
                    item_identifier: message.id.to_owned(),
                });
                failed_groups.extend(message.group);
            }
        }
        Ok(response)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a message of its group failed before it")]
struct EarlierFailed;

impl RecordFailure for EarlierFailed {}

/// What is read of a message.
struct Message<'a> {
    id: &'a str,
    body: &'a str,
    /// Of a FIFO queue. A group of a standard queue has no order.
    group: Option<&'a str>,
}

impl<'a> Message<'a> {
    /// A record's message, unless it has no id.
    fn of(record: &'a Value) -> Option<Self> {
        let text = |field: &str| record[field].as_str();
        let is_fifo = text("eventSourceARN").is_some_and(|arn| arn.ends_with(".fifo"));
        let group = record["attributes"]["MessageGroupId"].as_str();
        Some(Self {
            id: text("messageId").filter(|id| !id.is_empty())?,
            body: text("body").unwrap_or_default(),
            group: group.filter(|_| is_fifo),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use serde_json::json;

    #[derive(Debug, thiserror::Error)]
    #[error("no room")]
    struct NoRoom;

    impl RecordFailure for NoRoom {}

    /// As Lambda's developer guide shows it.
    fn message(id: &str, queue: &str, group: &str) -> Value {
        json!({
            "messageId": id,
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": format!("{id:?}"),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1545082649183",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1545082649185",
                "MessageGroupId": group,
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-2:123456789012:{queue}"),
            "awsRegion": "us-east-2",
        })
    }

    /// Handles all messages but the one of this id. Which were tried, and the answer.
    async fn handled(
        records: &[Value],
        failing: &str,
    ) -> (Vec<String>, Result<Value, UnidentifiedMessage>) {
        let tried = RefCell::new(Vec::new());
        let handle = async |body: String| {
            let result = if body == failing { Err(NoRoom) } else { Ok(()) };
            tried.borrow_mut().push(body);
            result
        };
        let event: SqsEvent = serde_json::from_value(json!({"Records": records})).unwrap();
        let response = event.for_each("a text", handle).await;
        let response = response.map(|response| serde_json::to_value(response).unwrap());
        (tried.into_inner(), response)
    }

    fn failures(ids: &[&str]) -> Value {
        let failures: Vec<Value> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
        json!({"batchItemFailures": failures})
    }

    #[tokio::test]
    async fn a_failed_message_hides_no_other() {
        let records = ["a", "b", "c"].map(|id| message(id, "parcels", "same"));
        let (tried, response) = handled(&records, "b").await;
        assert_eq!(tried, ["a", "b", "c"]);
        assert_eq!(response, Ok(failures(&["b"])));
        assert_eq!(handled(&records, "").await.1, Ok(failures(&[])));
    }

    #[tokio::test]
    async fn a_group_of_a_fifo_queue_ends_at_its_first_failure() {
        let records = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")]
            .map(|(id, group)| message(id, "refunds.fifo", group));
        let (tried, response) = handled(&records, "b").await;
        assert_eq!(tried, ["a", "b", "c"]);
        assert_eq!(response, Ok(failures(&["b", "d"])));
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_read_is_a_failed_one() {
        for body in [json!("no JSON"), json!("7"), json!(7), Value::Null] {
            let mut odd = message("b", "parcels", "x");
            odd["body"] = body;
            let records = [
                message("a", "parcels", "x"),
                odd,
                message("c", "parcels", "x"),
            ];
            let (tried, response) = handled(&records, "").await;
            assert_eq!(tried, ["a", "c"]);
            assert_eq!(response, Ok(failures(&["b"])));
        }
    }

    #[tokio::test]
    async fn a_message_without_an_id_fails_the_event_before_anything_is_done() {
        for odd in [json!({}), json!(null), json!({"messageId": ""})] {
            let (tried, response) = handled(&[message("a", "parcels", "x"), odd], "").await;
            assert_eq!(tried, <[&str; 0]>::default());
            let diagnostic = Diagnostic::from(response.unwrap_err());
            assert_eq!(diagnostic.error_type, "InvalidEventError");
            assert!(
                diagnostic
                    .error_message
                    .starts_with("record 2 of 2 has no \"messageId\""),
                "{}",
                diagnostic.error_message
            );
        }
    }

    #[test]
    fn what_is_no_event_of_a_queue_is_refused() {
        for other in [json!({}), json!({"Records": {}})] {
            assert!(serde_json::from_value::<SqsEvent>(other).is_err());
        }
    }
}
