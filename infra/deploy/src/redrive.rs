//! What functions failed on, and how it is handled again.
//!
//! Lambda puts two kinds of message into a failure queue. That of an asynchronous
//! invocation holds the event. That of a stream tells only where the records lie, and they
//! must be read again while the stream still has them.

use std::cmp::Ordering;

use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sqs::types::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::functions::FunctionError;
use crate::target::Target;

/// How long a message is hidden from others while it is looked at. Whatever happens in
/// between, it is in the queue again afterwards.
const VISIBILITY_TIMEOUT_SECONDS: i32 = 300;

/// The most that one receive call returns.
const PAGE: i32 = 10;

/// How long a receive call looks for messages. Without any wait SQS asks only some of its
/// servers, and may return nothing although there are messages.
const WAIT_SECONDS: i32 = 1;

/// A message of a failure queue.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedEvent {
    /// The message's id in the queue.
    pub message_id: String,
    /// Why Lambda gave up, in its own words, for example `RetriesExhausted`.
    pub condition: Option<String>,
    /// How often the function was invoked with it.
    pub attempts: Option<u64>,
    /// When Lambda gave up, RFC 3339.
    pub failed_at: Option<String>,
    /// What the function answered last. Lambda does not tell it for a stream.
    pub error: Option<FunctionError>,
    /// What the function failed on.
    pub subject: Subject,
    receipt_handle: String,
}

/// What a function failed on.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// An event.
    Event(Value),
    /// Records of a stream.
    Records(StreamBatch),
    /// Neither: the message was not written by Lambda.
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
    fn parse(message: Message) -> Self {
        let body = message.body.unwrap_or_default();
        let mut failed = Self {
            message_id: message.message_id.unwrap_or_default(),
            condition: None,
            attempts: None,
            failed_at: None,
            error: None,
            subject: Subject::Unknown(body.clone()),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
        };
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

/// How the function took what it had failed on before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is handled. The message can go.
    Handled,
    /// It failed again.
    FailedAgain(FunctionError),
}

impl Target {
    /// Takes some messages out of sight, to look at them; none when the queue is empty. Each
    /// comes back after five minutes, unless it is [removed](Self::remove_failed_event) or
    /// [put back](Self::put_back_failed_event) before.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn failed_events(&self, queue_url: &str) -> Result<Vec<FailedEvent>> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(PAGE)
            .visibility_timeout(VISIBILITY_TIMEOUT_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .send()
            .await
            .map_err(|error| Error::aws(&format!("read the queue {queue_url}"), &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages.into_iter().map(FailedEvent::parse).collect())
    }

    /// Takes a message out of the queue for good.
    ///
    /// # Errors
    /// When SQS refuses; the message then comes back.
    pub async fn remove_failed_event(&self, queue_url: &str, event: &FailedEvent) -> Result<()> {
        self.sqs
            .delete_message()
            .queue_url(queue_url)
            .receipt_handle(&event.receipt_handle)
            .send()
            .await
            .map_err(|error| Error::aws(&format!("take a message from {queue_url}"), &error))?;
        Ok(())
    }

    /// Shows a message to others again, at once.
    ///
    /// # Errors
    /// When SQS refuses; the message then comes back later.
    pub async fn put_back_failed_event(&self, queue_url: &str, event: &FailedEvent) -> Result<()> {
        self.sqs
            .change_message_visibility()
            .queue_url(queue_url)
            .receipt_handle(&event.receipt_handle)
            .visibility_timeout(0)
            .send()
            .await
            .map_err(|error| Error::aws(&format!("put a message back into {queue_url}"), &error))?;
        Ok(())
    }

    /// The records of a batch, as Lambda shows them to a function, with those between them
    /// that the function was not to see; `None` when they are there no more. A stream keeps
    /// its records for 24 hours, and goes with its table.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn records_of(&self, batch: &StreamBatch) -> Result<Option<Vec<Value>>> {
        // A stream may answer without records while there are more to come.
        const EMPTY_PAGES_MAX: usize = 50;

        let what = format!("read stream {}", batch.stream_arn);
        let first = self
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
            let page = self.streams.get_records().shard_iterator(current);
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

    /// Invokes a function with an event that it failed on, and waits for its answer.
    ///
    /// # Errors
    /// When Lambda refuses.
    pub async fn redrive_event(&self, physical_name: &str, event: &Value) -> Result<Redriven> {
        let invocation = self
            .invoke(physical_name, event.to_string().into_bytes())
            .await?;
        Ok(match invocation.result {
            Ok(_) => Redriven::Handled,
            Err(error) => Redriven::FailedAgain(error),
        })
    }

    /// Invokes a function with records that it failed on, and waits for its answer.
    ///
    /// # Errors
    /// When Lambda refuses.
    pub async fn redrive_records(
        &self,
        physical_name: &str,
        records: &[Value],
    ) -> Result<Redriven> {
        let event = json!({"Records": records});
        let invocation = self
            .invoke(physical_name, event.to_string().into_bytes())
            .await?;
        Ok(match invocation.result {
            Ok(answer) => outcome_of_records(&answer),
            Err(error) => Redriven::FailedAgain(error),
        })
    }
}

fn none_if_gone(error: Error) -> Result<Option<Vec<Value>>> {
    match error.kind() {
        Kind::NotFound => Ok(None),
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
mod tests {
    use super::*;

    fn failed(body: &Value) -> FailedEvent {
        let message = Message::builder()
            .message_id("m")
            .receipt_handle("r")
            .body(body.to_string());
        FailedEvent::parse(message.build())
    }

    #[test]
    fn an_asynchronous_invocation_is_understood() {
        let event = failed(&json!({
            "version": "1.0",
            "timestamp": "2019-11-14T18:16:05.568Z",
            "requestContext": {
                "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:my-function:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": {"ORDER_IDS": ["9e07af03"]},
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "responsePayload": {"errorMessage": "Process exited before completing request"},
        }));
        assert_eq!(
            event.subject,
            Subject::Event(json!({"ORDER_IDS": ["9e07af03"]}))
        );
        assert_eq!(event.condition.as_deref(), Some("RetriesExhausted"));
        assert_eq!(event.attempts, Some(3));
        assert_eq!(
            event.error.map(|error| error.error_message).as_deref(),
            Some("Process exited before completing request")
        );
    }

    #[test]
    fn a_batch_of_a_stream_is_understood() {
        let arn =
            "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388";
        let event = failed(&json!({
            "requestContext": {
                "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": "2019-11-14T00:13:49.717Z",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": "800000000003126276362",
                "endSequenceNumber": "800000000003126276363",
                "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z",
                "batchSize": 2,
                "streamArn": arn,
            },
        }));
        assert_eq!(
            event.subject,
            Subject::Records(StreamBatch {
                stream_arn: arn.to_owned(),
                shard_id: "shardId-00000001573689847184-864758bb".to_owned(),
                start_sequence_number: "800000000003126276362".to_owned(),
                end_sequence_number: "800000000003126276363".to_owned(),
                batch_size: 2,
            })
        );
        assert_eq!(event.failed_at.as_deref(), Some("2019-11-14T00:13:49.717Z"));
        assert_eq!(event.error, None);
    }

    #[test]
    fn what_lambda_did_not_write_is_kept_as_it_is() {
        for body in [json!("hello"), json!({"requestContext": {}}), json!({})] {
            assert_eq!(failed(&body).subject, Subject::Unknown(body.to_string()));
        }
    }

    #[test]
    fn reported_failures_are_failures() {
        for handled in [
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
            "{}",
            "null",
            "",
        ] {
            assert_eq!(outcome_of_records(handled), Redriven::Handled, "{handled}");
        }
        let failed = r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#;
        assert!(matches!(
            outcome_of_records(failed),
            Redriven::FailedAgain(_)
        ));
    }
}
