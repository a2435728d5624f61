//! Amazon SNS: messages that a topic delivers to a function.
//!
//! An event holds records, in practice one: see [`crate::records`]. Each has a message, which is
//! text. What an application or an AWS service publishes is mostly JSON: [`SnsEvent::for_each`]
//! reads it as a type.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
//!
//! ```
//! use runtime::records::{RecordFailure, RecordsError};
//! use runtime::sns::SnsEvent;
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! struct OrderPaid {
//!     order: String,
//!     cents: u64,
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the order {0:?} costs nothing")]
//! struct Free(String);
//!
//! impl RecordFailure for Free {}
//!
//! async fn handle(event: SnsEvent) -> Result<(), RecordsError> {
//!     let report = async |paid: OrderPaid| {
//!         if paid.cents == 0 {
//!             return Err(Free(paid.order));
//!         }
//!         Ok(())
//!     };
//!     event.for_each("about a paid order", report).await
//! }
//! ```

use aws_lambda_events::sns::SnsRecord;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::records::{Failed, RecordFailure, RecordsError, for_each_record};

/// What SNS sends: records, in practice one.
#[derive(Debug, Deserialize)]
pub struct SnsEvent {
    #[serde(rename = "Records", default)]
    records: Vec<SnsRecord>,
}

/// A message that is not what the function expects. Nothing is skipped in silence: a message that
/// should not be here ends in the failure queue, where it is seen.
#[derive(Debug, thiserror::Error)]
#[error("the message is not {expected}: {reason}")]
pub struct UnexpectedMessage {
    /// What the function expects, as in "about a paid order".
    expected: &'static str,
    /// Where it differs from that.
    reason: serde_json::Error,
}

impl RecordFailure for UnexpectedMessage {}

impl SnsEvent {
    /// Hands the message of every record to `handle`, one after the other in the event's order,
    /// and fails if one of them failed. A message that is not the JSON of an `M` is a failed one,
    /// and the error says that it is not what `expected` says.
    pub async fn for_each<M: DeserializeOwned, E: Into<Failed>>(
        self,
        expected: &'static str,
        handle: impl AsyncFn(M) -> Result<(), E>,
    ) -> Result<(), RecordsError> {
        for_each_record(
            &self.records,
            |record| &record.sns.message_id,
            async |record| match serde_json::from_str(&record.sns.message) {
                Ok(message) => handle(message).await.map_err(Into::into),
                Err(reason) => Err(UnexpectedMessage { expected, reason }.into()),
            },
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use serde_json::{Value, json};

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct OrderPaid {
        order: String,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no such order")]
    struct NoSuchOrder;

    impl RecordFailure for NoSuchOrder {}

    fn record(id: &str, message: &str) -> Value {
        json!({
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:orders:1",
            "Sns": {
                "Type": "Notification",
                "MessageId": id,
                "TopicArn": "arn:aws:sns:us-east-1:123456789012:orders",
                "Message": message,
                "Timestamp": "2026-01-05T09:33:00.945Z",
                "SignatureVersion": "1",
                "Signature": "",
                "SigningCertUrl": "",
                "UnsubscribeUrl": "",
            },
        })
    }

    /// Handles all orders but the one with the id 0. Which were handled, and the outcome.
    async fn handled(event: Value) -> (Vec<String>, Result<(), RecordsError>) {
        let orders = RefCell::new(Vec::new());
        let event: SnsEvent = serde_json::from_value(event).unwrap();
        let handle = async |paid: OrderPaid| {
            if paid.order == "0" {
                return Err(NoSuchOrder);
            }
            orders.borrow_mut().push(paid.order);
            Ok(())
        };
        let result = event.for_each("about a paid order", handle).await;
        (orders.into_inner(), result)
    }

    #[tokio::test]
    async fn every_message_is_handed_on() {
        let records = [
            record("a", r#"{"order": "1"}"#),
            record("b", r#"{"order": "2", "cents": 7}"#),
        ];
        let (orders, result) = handled(json!({"Records": records})).await;
        assert_eq!((orders, result), (vec!["1".into(), "2".into()], Ok(())));
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_handled_hides_no_other_and_fails_the_event() {
        for (message, told) in [
            (
                "hello",
                "the message is not about a paid order: expected value",
            ),
            (
                r#"{"cents": 7}"#,
                "the message is not about a paid order: missing field `order`",
            ),
            (r#"{"order": "0"}"#, "no such order"),
        ] {
            let records = [record("a", message), record("b", r#"{"order": "2"}"#)];
            let (orders, result) = handled(json!({"Records": records})).await;
            assert_eq!(orders, ["2"]);
            let reason = result.unwrap_err().to_string();
            let expected = format!("1 of 2 records failed: \"a\": {told}");
            assert!(reason.starts_with(&expected), "{reason}");
        }
    }

    #[tokio::test]
    async fn an_event_without_records_is_none() {
        for event in [json!({}), json!({"Records": []})] {
            assert_eq!(handled(event).await.1, Err(RecordsError::NoRecords));
        }
    }
}
