//! Where a mapping tells what it has given up.

use std::time::SystemTime;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use serde_json::{Value, json};
use tokio::sync::watch;
use traces::{GivenUp, What};
use tracing::{error, warn};

use super::batch::{Batch, Condition, back_off};
use super::clients::Clients;
use super::mapping::{Destination, Settings, ShardId, StreamArn};
use crate::aws::text_of;

impl Destination {
    fn arn(&self) -> &str {
        match self {
            Self::Queue { arn } | Self::Topic { arn } | Self::Unsupported(arn) => arn,
        }
    }

    /// Returns the message's identifier, if it is in a queue.
    async fn send(&self, clients: &Clients, message: &str) -> Result<Option<String>, String> {
        match self {
            Self::Queue { arn } => {
                let mut parts = arn.rsplit(':');
                let (name, account) = (parts.next(), parts.next());
                let url = clients
                    .sqs
                    .get_queue_url()
                    .set_queue_name(name.map(str::to_owned))
                    .set_queue_owner_aws_account_id(account.map(str::to_owned))
                    .send()
                    .await
                    .map_err(|error| text_of(&error))?
                    .queue_url;
                let send = clients.sqs.send_message().set_queue_url(url);
                let sent = send.message_body(message).send().await;
                sent.map(|sent| sent.message_id)
                    .map_err(|error| text_of(&error))
            }
            Self::Topic { arn } => {
                let publish = clients.sns.publish().topic_arn(arn).message(message);
                let published = publish.send().await;
                published.map(|_| None).map_err(|error| text_of(&error))
            }
            Self::Unsupported(arn) => {
                error!(
                    destination = arn,
                    message, "the local stage cannot send failure records to this destination"
                );
                Ok(None)
            }
        }
    }
}

/// Tells the destination that a batch is given up. Does not return before it was told, or
/// there is none any more: what is lost otherwise would be lost in silence.
pub(super) async fn give_up(
    clients: &Clients,
    stream: &StreamArn,
    shard: &ShardId,
    batch: &Batch,
    condition: Condition,
    settings: watch::Receiver<std::sync::Arc<Settings>>,
) {
    let mut failures = 0;
    loop {
        // The user may set another one, because this one does not answer.
        let settings = settings.borrow().clone();
        let message = message(
            stream,
            shard,
            batch,
            condition,
            &settings.function_arn,
            SystemTime::now(),
        );
        let function = &settings.function_arn;
        let (records, condition) = (batch.records.len(), condition.as_str());
        let Some(destination) = &settings.on_failure else {
            warn!(
                function,
                records,
                condition,
                batch = %message["DDBStreamBatchInfo"],
                "records are lost: every attempt failed, and the mapping has no on-failure destination"
            );
            note(clients, stream, batch, condition, &settings, None);
            return;
        };
        match destination.send(clients, &message.to_string()).await {
            Ok(message_id) => {
                note(clients, stream, batch, condition, &settings, message_id);
                warn!(
                    function,
                    records,
                    condition,
                    "every attempt failed: the failure record is in the on-failure destination"
                );
                return;
            }
            Err(error) => {
                failures += 1;
                warn!(
                    function,
                    records,
                    condition,
                    error,
                    "could not send the failure record to the on-failure destination: the shard waits"
                );
                tokio::time::sleep(back_off(failures)).await;
            }
        }
    }
}

/// Notes that records are given up.
fn note(
    clients: &Clients,
    stream: &StreamArn,
    batch: &Batch,
    condition: &str,
    settings: &Settings,
    message_id: Option<String>,
) {
    clients.observer.add(What::GivenUp(Box::new(GivenUp {
        events: stream.causes(&batch.sequence_numbers()),
        function: settings.function_name().to_owned(),
        condition: condition.to_owned(),
        destination: settings.on_failure.as_ref().map(|it| it.arn().to_owned()),
        message_id,
        error: None,
    })));
}

/// The message of "Retain discarded records for a DynamoDB event source in Lambda" in
/// Lambda's developer guide. `responseContext` is about the last invocation, and absent if
/// there was none.
fn message(
    StreamArn(stream): &StreamArn,
    ShardId(shard): &ShardId,
    batch: &Batch,
    condition: Condition,
    function_arn: &str,
    now: SystemTime,
) -> Value {
    let (first, last) = (batch.records.front(), batch.records.back());
    let request_id = batch
        .response
        .as_ref()
        .and_then(|response| response.request_id.clone())
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut message = json!({
        "requestContext": {
            "requestId": request_id,
            "functionArn": function_arn,
            "condition": condition.as_str(),
            "approximateInvokeCount": batch.invocations,
        },
        "version": "1.0",
        "timestamp": iso_8601(now),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first.map(|record| &record.sequence_number),
            "endSequenceNumber": last.map(|record| &record.sequence_number),
            "approximateArrivalOfFirstRecord": first.map(|record| iso_8601(record.arrived)),
            "approximateArrivalOfLastRecord": last.map(|record| iso_8601(record.arrived)),
            "batchSize": batch.records.len(),
            "streamArn": stream,
        },
    });
    if let Some(response) = &batch.response {
        let mut context = json!({
            "statusCode": response.status_code,
            "executedVersion": response.executed_version,
        });
        if let Some(error) = &response.function_error {
            context["functionError"] = error.as_str().into();
        }
        message["responseContext"] = context;
    }
    message
}

/// With milliseconds, if there are any, as AWS writes times.
fn iso_8601(time: SystemTime) -> String {
    let milliseconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        .unwrap_or_default();
    DateTime::from_millis(milliseconds)
        .fmt(DateTimeFormat::DateTime)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_poller::batch::{Record, Response};
    use std::time::Duration;

    fn batch(response: Option<Response>) -> Batch {
        let record = |sequence_number: &str, seconds| Record {
            sequence_number: sequence_number.to_owned(),
            arrived: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            json: String::new(),
        };
        let records = [
            record("800000000003126276362", 1_573_689_589),
            record("800000000003126276363", 1_573_689_590),
        ];
        let mut batch = Batch::new(records.into());
        batch.invocations = 3;
        batch.response = response;
        batch
    }

    fn message_for(response: Option<Response>) -> Value {
        message(
            &StreamArn("arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388".to_owned()),
            &ShardId("shardId-00000001573689847184-864758bb".to_owned()),
            &batch(response),
            Condition::RetryAttemptsExhausted,
            "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_573_691_886_021),
        )
    }

    #[test]
    fn the_message_is_the_documented_one() {
        let response = Response {
            request_id: Some("316aa6d0-8154-xmpl-9af7-85d5f4a6bc81".to_owned()),
            status_code: 200,
            executed_version: Some("$LATEST".to_owned()),
            function_error: Some("Unhandled".to_owned()),
        };
        assert_eq!(
            message_for(Some(response)),
            json!({
                "requestContext": {
                    "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
                    "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 3
                },
                "responseContext": {
                    "statusCode": 200,
                    "executedVersion": "$LATEST",
                    "functionError": "Unhandled"
                },
                "version": "1.0",
                "timestamp": "2019-11-14T00:38:06.021Z",
                "DDBStreamBatchInfo": {
                    "shardId": "shardId-00000001573689847184-864758bb",
                    "startSequenceNumber": "800000000003126276362",
                    "endSequenceNumber": "800000000003126276363",
                    "approximateArrivalOfFirstRecord": "2019-11-13T23:59:49Z",
                    "approximateArrivalOfLastRecord": "2019-11-13T23:59:50Z",
                    "batchSize": 2,
                    "streamArn": "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"
                }
            })
        );
    }

    #[test]
    fn without_an_invocation_there_is_no_response() {
        let message = message_for(None);
        assert_eq!(message.get("responseContext"), None);
        assert_eq!(
            message["requestContext"]["requestId"]
                .as_str()
                .unwrap()
                .len(),
            36
        );
    }
}
