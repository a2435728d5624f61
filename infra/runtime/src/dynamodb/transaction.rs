//! Transactions.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::condition::Outcome;
use crate::service_error::ServiceError;

/// Conflicting transactions last for milliseconds; these attempts span a second.
const ATTEMPTS: u32 = 7;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// Does all writes or none.
///
/// DynamoDB serialises transactions on the same item. When it cannot, it cancels one with
/// `TransactionConflict`, and that one is tried again here, for a second. The SDK's own retries
/// repeat a transaction under the same client token, so an answer that got lost does not turn a
/// transaction that was done into one whose condition failed.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
pub async fn transact_write(
    client: &Client,
    writes: &[TransactWriteItem],
) -> Result<Outcome, ServiceError> {
    let mut attempt = 1;
    loop {
        let request = client.transact_write_items();
        let result = request
            .set_transact_items(Some(writes.to_vec()))
            .send()
            .await;
        let Err(error) = result else {
            return Ok(Outcome::Written);
        };
        match error.as_service_error().and_then(cancellation) {
            Some(Cancellation::Condition) => return Ok(Outcome::ConditionFailed),
            Some(Cancellation::Contention) if attempt < ATTEMPTS => {
                tokio::time::sleep(FIRST_BACKOFF * 2_u32.pow(attempt - 1)).await;
                attempt += 1;
            }
            _ => return Err(ServiceError::of(&error)),
        }
    }
}

/// Why DynamoDB cancelled a transaction, for the reasons that a caller can act on.
enum Cancellation {
    /// A condition does not hold.
    Condition,
    /// Another transaction on the same items, or too many requests: try again.
    Contention,
}

fn cancellation(error: &TransactWriteItemsError) -> Option<Cancellation> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return None;
    };
    let has = |codes: &[&str]| {
        let mut reasons = cancelled.cancellation_reasons().iter();
        reasons.any(|reason| reason.code().is_some_and(|code| codes.contains(&code)))
    };
    if has(&["ConditionalCheckFailed"]) {
        Some(Cancellation::Condition)
    } else if has(&[
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ]) {
        Some(Cancellation::Contention)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::{client, text};
    use crate::testing::Wire;
    use aws_sdk_dynamodb::types::Delete;
    use serde_json::{Value, json};

    fn cancelled(codes: [&str; 2]) -> (u16, Value) {
        (
            400,
            json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": format!("Transaction cancelled: {codes:?}"),
                "CancellationReasons": codes.map(|code| json!({"Code": code})),
            }),
        )
    }

    async fn delete_two(wire: &Wire) -> Result<Outcome, ServiceError> {
        let writes = ["orders", "reports"].map(|table| {
            let delete = Delete::builder().table_name(table).key("id", text("1"));
            let delete = delete.build().unwrap();
            TransactWriteItem::builder().delete(delete).build()
        });
        transact_write(&client(&wire.aws()), &writes).await
    }

    #[tokio::test]
    async fn all_writes_are_one_request() {
        let wire = Wire::new([(200, json!({}))]);
        assert_eq!(delete_two(&wire).await, Ok(Outcome::Written));
        let requests = wire.requests();
        assert_eq!(requests.len(), 1);
        let (operation, body) = &requests[0];
        assert_eq!(operation, "DynamoDB_20120810.TransactWriteItems");
        let key = json!({"id": {"S": "1"}});
        assert_eq!(
            body["TransactItems"],
            json!([
                {"Delete": {"TableName": "orders", "Key": key}},
                {"Delete": {"TableName": "reports", "Key": key}},
            ])
        );
        assert!(body["ClientRequestToken"].is_string());
    }

    #[tokio::test]
    async fn a_failed_condition_is_an_outcome_whatever_else_failed() {
        for codes in [
            ["ConditionalCheckFailed", "None"],
            ["ConditionalCheckFailed", "TransactionConflict"],
        ] {
            let wire = Wire::new([cancelled(codes)]);
            assert_eq!(delete_two(&wire).await, Ok(Outcome::ConditionFailed));
            assert_eq!(wire.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again() {
        let wire = Wire::new([
            cancelled(["TransactionConflict", "None"]),
            cancelled(["None", "TransactionConflict"]),
            (200, json!({})),
        ]);
        assert_eq!(delete_two(&wire).await, Ok(Outcome::Written));
        assert_eq!(wire.requests().len(), 3);
    }

    #[tokio::test]
    async fn an_endless_conflict_is_an_error() {
        let conflicts = (0..ATTEMPTS).map(|_| cancelled(["TransactionConflict", "None"]));
        let wire = Wire::new(conflicts);
        let error = delete_two(&wire).await.unwrap_err().to_string();
        assert_eq!(wire.requests().len(), ATTEMPTS as usize);
        let expected = "TransactionCanceledException: Transaction cancelled: ";
        assert!(error.starts_with(expected), "{error}");
    }

    #[tokio::test]
    async fn any_other_failure_is_an_error_at_once() {
        let denied = json!({
            "__type": "com.amazon.coral.service#AccessDeniedException",
            "Message": "not authorized to perform: dynamodb:DeleteItem",
        });
        let wire = Wire::new([(400, denied)]);
        assert_eq!(
            delete_two(&wire).await.unwrap_err().to_string(),
            "AccessDeniedException: not authorized to perform: dynamodb:DeleteItem (AWS request id unknown)"
        );
        assert_eq!(wire.requests().len(), 1);
    }
}
