//! A batch of records, and the answer to it.

use std::fmt;

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::Value;
use tracing::{error, info};

use super::record::{RecordError, StreamRecord};

/// What Lambda delivers: a batch of records of one shard, in the shard's order.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

/// What a function answers: nothing, or the one record from which to deliver again.
pub type StreamResponse = DynamoDbEventResponse;

/// A record whose failure could not be reported, because it has no sequence number. It fails
/// the whole event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {number} of {total} has no \"dynamodb\".\"SequenceNumber\", so its failure could not be reported: send records as a DynamoDB stream does"
)]
pub struct UnnumberedRecord {
    /// Place in the event, from 1.
    number: usize,
    /// How many records the event has.
    total: usize,
}

impl From<UnnumberedRecord> for Diagnostic {
    fn from(error: UnnumberedRecord) -> Self {
        Self {
            error_type: "InvalidEventError".into(),
            error_message: error.to_string(),
        }
    }
}

/// A record with its sequence number, which grows along the records of an item and of a shard.
#[derive(Debug, Clone)]
pub struct NumberedRecord {
    /// The sequence number: up to 40 digits.
    pub sequence_number: String,
    /// The record.
    pub record: StreamRecord,
}

impl StreamEvent {
    /// Hands all records to `handle` at once: what one writes for many records is then written once.
    /// If `handle` fails, all are delivered again. A record that cannot be read is a failed one, and
    /// those after it come again with it. Logs a line for the batch.
    pub async fn handle_together<E>(
        self,
        handle: impl AsyncFnOnce(&[NumberedRecord]) -> Result<(), E>,
    ) -> Result<StreamResponse, UnnumberedRecord>
    where
        E: fmt::Display + From<RecordError>,
    {
        let total = self.records.len();
        let mut records = Vec::with_capacity(total);
        let mut failed = None;
        for (number, record) in (1..).zip(self.records) {
            let sequence_number = text_at(&record, "/dynamodb/SequenceNumber");
            let sequence_number = sequence_number.ok_or(UnnumberedRecord { number, total })?;
            match StreamRecord::read(record) {
                Ok(record) => records.push(NumberedRecord {
                    sequence_number,
                    record,
                }),
                Err(error) => {
                    failed = Some((sequence_number, E::from(error)));
                    break;
                }
            }
        }
        if let Err(error) = handle(&records).await
            && let Some(first) = records.first()
        {
            failed = Some((first.sequence_number.clone(), error));
        }
        let mut response = StreamResponse::default();
        match failed {
            None => info!(total, "records handled"),
            Some((sequence_number, error)) => {
                error!(
                    total,
                    sequence_number,
                    reason = %error,
                    "record failed: to be delivered again, with all that follow it"
                );
                response.batch_item_failures.push(failure(sequence_number));
            }
        }
        Ok(response)
    }

    /// Hands the records to `handle` one after the other, up to the first that fails. Logs
    /// a line for each.
    pub async fn handle_in_order<O, E>(
        self,
        handle: impl AsyncFn(&StreamRecord) -> Result<O, E>,
    ) -> Result<StreamResponse, UnnumberedRecord>
    where
        O: fmt::Debug,
        E: fmt::Display + From<RecordError>,
    {
        let total = self.records.len();
        let mut response = StreamResponse::default();
        for (index, record) in self.records.into_iter().enumerate() {
            let event_id = text_at(&record, "/eventID");
            let event_name = text_at(&record, "/eventName");
            let number = index + 1;
            let sequence_number = text_at(&record, "/dynamodb/SequenceNumber");
            let sequence_number = sequence_number.ok_or(UnnumberedRecord { number, total })?;

            let handled = match StreamRecord::read(record) {
                Ok(record) => {
                    let deleted_by = record.deleted_by();
                    handle(&record).await.map(|outcome| (outcome, deleted_by))
                }
                Err(error) => Err(error.into()),
            };
            match handled {
                Ok((outcome, deleted_by)) => {
                    info!(
                        event_id,
                        event_name,
                        sequence_number,
                        deleted_by,
                        ?outcome,
                        "record handled"
                    );
                }
                Err(error) => {
                    error!(
                        event_id,
                        event_name,
                        sequence_number,
                        reason = %error,
                        "record failed: to be delivered again, with all that follow it"
                    );
                    response.batch_item_failures.push(failure(sequence_number));
                    break;
                }
            }
        }
        Ok(response)
    }
}

/// A text in a record that is not empty.
fn text_at(record: &Value, path: &str) -> Option<String> {
    let text = record.pointer(path).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(String::from)
}

/// The record with this sequence number failed.
fn failure(sequence_number: String) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(sequence_number);
    failure
}

#[cfg(test)]
mod tests {
    use super::super::sample::record;
    use super::*;
    use std::cell::RefCell;

    use serde_json::json;

    fn numbered(number: &str) -> Value {
        record(|record| {
            record["dynamodb"]["SequenceNumber"] = number.into();
            record["dynamodb"]["Keys"] = json!({"id": {"S": number}});
        })
    }

    fn event(records: &[Value]) -> StreamEvent {
        serde_json::from_value(json!({"Records": records})).unwrap()
    }

    /// Handles all records but the one of this sequence number. Which were tried, and the
    /// answer.
    async fn handled(
        event: StreamEvent,
        failing: &str,
    ) -> (Vec<String>, Result<Value, UnnumberedRecord>) {
        let tried = RefCell::new(Vec::new());
        let handle = async |record: &StreamRecord| {
            let number = record.partition_key("id")?.unwrap_or_default();
            tried.borrow_mut().push(number.to_string());
            if number == failing {
                return Err(RecordError::UnknownEvent("test".into()));
            }
            Ok(())
        };
        let response = event.handle_in_order(handle).await;
        let response = response.map(|response| serde_json::to_value(response).unwrap());
        (tried.into_inner(), response)
    }

    #[tokio::test]
    async fn a_batch_without_failures_is_done() {
        for records in [vec![], vec![numbered("1"), numbered("2")]] {
            let total = records.len();
            let (tried, response) = handled(event(&records), "").await;
            assert_eq!(tried.len(), total);
            assert_eq!(response, Ok(json!({"batchItemFailures": []})));
        }
    }

    #[tokio::test]
    async fn a_batch_stops_at_its_first_failure() {
        let records = ["1", "2", "3"].map(numbered);
        let (tried, response) = handled(event(&records), "2").await;
        assert_eq!(tried, ["1", "2"]);
        assert_eq!(
            response,
            Ok(json!({"batchItemFailures": [{"itemIdentifier": "2"}]}))
        );
    }

    #[tokio::test]
    async fn an_odd_record_is_a_failed_one_and_spoils_no_other() {
        let odd = |path: &str, value: Value| {
            let mut record = numbered("2");
            let (parent, field) = path.rsplit_once('/').unwrap();
            record.pointer_mut(parent).unwrap()[field] = value;
            record
        };
        for record in [
            odd("/dynamodb/NewImage", json!("secret")),
            odd("/dynamodb/Keys", json!(7)),
            odd("/eventName", json!(7)),
            odd("/eventName", json!("DROP")),
            json!({"dynamodb": {"SequenceNumber": "2"}}),
        ] {
            let records = vec![numbered("1"), record, numbered("3")];
            let (tried, response) = handled(event(&records), "").await;
            assert_eq!(tried, ["1"]);
            assert_eq!(
                response,
                Ok(json!({"batchItemFailures": [{"itemIdentifier": "2"}]}))
            );
        }
    }

    /// Handles all records at once, unless one of them has the number. The numbers, and the answer.
    async fn together(event: StreamEvent, failing: &str) -> (Vec<String>, Value) {
        let tried = RefCell::new(Vec::new());
        let handle = async |records: &[NumberedRecord]| {
            let numbers = records.iter().map(|record| record.sequence_number.clone());
            tried.borrow_mut().extend(numbers);
            if tried.borrow().iter().any(|number| number == failing) {
                return Err(RecordError::UnknownEvent("test".into()));
            }
            Ok(())
        };
        let response = event.handle_together(handle).await.unwrap();
        (tried.into_inner(), serde_json::to_value(response).unwrap())
    }

    #[tokio::test]
    async fn records_that_are_handled_together_come_again_together() {
        let records = ["1", "2", "3"].map(numbered);
        let from = |number: &str| json!({"batchItemFailures": [{"itemIdentifier": number}]});
        let none = json!({"batchItemFailures": []});
        let all = ["1", "2", "3"].map(String::from).to_vec();
        assert_eq!(
            together(event(&records), "").await,
            (all.clone(), none.clone())
        );
        assert_eq!(
            together(event(&records), "2").await,
            (all.clone(), from("1"))
        );
        assert_eq!(together(event(&[]), "").await, (vec![], none));

        let mut records = records;
        records[1]["dynamodb"]["NewImage"] = json!("odd");
        let first = all[..1].to_vec();
        assert_eq!(
            together(event(&records), "").await,
            (first.clone(), from("2"))
        );
        assert_eq!(together(event(&records), "1").await, (first, from("1")));
        assert_eq!(
            together(event(&records[1..]), "").await,
            (vec![], from("2"))
        );
        records[1]["dynamodb"]["SequenceNumber"] = "".into();
        let handle = async |_: &[NumberedRecord]| Ok::<_, RecordError>(());
        assert!(event(&records).handle_together(handle).await.is_err());
    }

    #[tokio::test]
    async fn a_record_without_a_sequence_number_fails_the_event() {
        for unnumbered in [numbered(""), json!({}), json!(null), json!("john")] {
            let (tried, response) = handled(event(&[numbered("1"), unnumbered]), "").await;
            assert_eq!(tried, ["1"]);
            let diagnostic = Diagnostic::from(response.unwrap_err());
            assert_eq!(diagnostic.error_type, "InvalidEventError");
            assert!(
                diagnostic.error_message.starts_with("record 2 of 2 has no"),
                "{}",
                diagnostic.error_message
            );
        }
    }

    #[test]
    fn what_is_no_stream_event_is_refused() {
        for other in [json!({}), json!({"Records": {}}), json!([])] {
            assert!(serde_json::from_value::<StreamEvent>(other).is_err());
        }
    }
}
