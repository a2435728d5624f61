//! The function at the end of a mapping.

use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;
use tracing::{info, warn};

use super::batch::{Batch, Outcome, Response};
use super::mapping::Settings;
use crate::aws::text_of;

/// Delivers a batch: every delivery of the poller is a call of this function.
///
/// A function that fails, times out or ends in the middle was invoked. Whatever keeps Lambda
/// from starting it (throttling, above all) is another matter: it uses up no retry.
pub(super) async fn deliver(
    lambda: &aws_sdk_lambda::Client,
    settings: &Settings,
    batch: &Batch,
) -> Outcome {
    let function = &settings.function_arn;
    let records = batch.records.len();
    let invoked = lambda
        .invoke()
        .function_name(function)
        .payload(Blob::new(batch.event()))
        .send()
        .await;
    let answer = match invoked {
        Ok(answer) => answer,
        Err(error) => {
            let error = text_of(&error);
            warn!(
                function,
                records, error, "a batch could not be delivered, and will be tried again"
            );
            return Outcome::NotInvoked;
        }
    };
    let response = Response {
        request_id: answer.request_id().map(str::to_owned),
        status_code: answer.status_code(),
        executed_version: answer.executed_version().map(str::to_owned),
        function_error: answer.function_error().map(str::to_owned),
    };
    if let Some(error) = &response.function_error {
        info!(function, records, error, "the function failed with a batch");
        return Outcome::Failed { from: 0, response };
    }
    if !settings.report_item_failures {
        return Outcome::Succeeded;
    }
    let answer = answer.payload().map(AsRef::as_ref).unwrap_or_default();
    match first_failure(answer, batch) {
        None => Outcome::Succeeded,
        Some(from) => {
            info!(
                function,
                records, from, "the function reports failed records of a batch"
            );
            Outcome::Failed { from, response }
        }
    }
}

/// The index of the first record that the function reports as failed: "Configuring partial
/// batch response with DynamoDB and Lambda" in Lambda's developer guide. A list that is empty
/// or absent reports none; an identifier that is empty, absent or of no record of the batch
/// reports all. So does an answer of another form, of which AWS's page says nothing.
fn first_failure(answer: &[u8], batch: &Batch) -> Option<usize> {
    const WHOLE_BATCH: Option<usize> = Some(0);

    if answer.is_empty() {
        return None;
    }
    let failures = match serde_json::from_slice(answer) {
        Ok(Value::Null) => return None,
        Ok(Value::String(text)) if text.is_empty() => return None,
        Ok(Value::Array(list)) if list.is_empty() => return None,
        Ok(Value::Object(mut answer)) => match answer.remove("batchItemFailures") {
            None | Some(Value::Null) => return None,
            Some(Value::Array(failures)) => failures,
            Some(_) => return WHOLE_BATCH,
        },
        _ => return WHOLE_BATCH,
    };
    failures
        .iter()
        .map(|failure| {
            let identifier = failure.get("itemIdentifier")?.as_str()?;
            batch
                .records
                .iter()
                .position(|record| record.sequence_number == identifier)
        })
        .map(Option::unwrap_or_default)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_poller::batch::Record;
    use crate::stream_poller::lane::{Lane, Step};
    use crate::stream_poller::mapping;
    use aws_sdk_lambda::types::EventSourceMappingConfiguration;
    use std::time::SystemTime;

    fn batch() -> Batch {
        let now = SystemTime::now();
        let mut lane = Lane::default();
        for sequence_number in ["100", "200", "300"] {
            let record = Record {
                sequence_number: sequence_number.to_owned(),
                arrived: now,
                json: "{}".to_owned(),
            };
            lane.push(record, now);
        }
        let mapping = EventSourceMappingConfiguration::builder()
            .uuid("id")
            .event_source_arn("arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s")
            .build();
        let (_, settings, _) = mapping::read(&mapping).unwrap();
        let Step::Deliver(batch) = lane.next(now, &settings) else {
            panic!("the records are there");
        };
        batch
    }

    #[test]
    fn the_lowest_sequence_number_is_the_checkpoint() {
        for (answer, expected) in [
            ("", None),
            ("null", None),
            (r#""""#, None),
            ("{}", None),
            ("[]", None),
            (r#"{"batchItemFailures": null}"#, None),
            (r#"{"batchItemFailures": []}"#, None),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": "200"}]}"#,
                Some(1),
            ),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": "300"}, {"itemIdentifier": "200"}]}"#,
                Some(1),
            ),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#,
                Some(0),
            ),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#,
                Some(0),
            ),
            (r#"{"batchItemFailures": [{"identifier": "200"}]}"#, Some(0)),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": 200}]}"#,
                Some(0),
            ),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": "400"}]}"#,
                Some(0),
            ),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": "300"}, {"itemIdentifier": "400"}]}"#,
                Some(0),
            ),
            (r#"{"batchItemFailures": ["200"]}"#, Some(0)),
            (
                r#"{"batchItemFailures": {"itemIdentifier": "200"}}"#,
                Some(0),
            ),
            (r#"{"batchItemFailures": "200"}"#, Some(0)),
            (r#""200""#, Some(0)),
            (r#"["200"]"#, Some(0)),
            ("{", Some(0)),
        ] {
            assert_eq!(
                first_failure(answer.as_bytes(), &batch()),
                expected,
                "{answer}"
            );
        }
    }
}
