//! Writes on a condition.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::service_error::ServiceError;

/// What a write on a condition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The table holds what was to be written.
    Written,
    /// The condition does not hold, and nothing was written.
    ConditionFailed,
}

/// The outcome of `PutItem`, `UpdateItem` or `DeleteItem` on a condition.
///
/// The SDK repeats a write whose answer got lost. If the write itself makes its condition fail,
/// that one is taken for one that was not made: see [`LostAnswers`] where this matters.
pub fn outcome<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Result<Outcome, ServiceError>
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    match result {
        Ok(_) => Ok(Outcome::Written),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
            Ok(Outcome::ConditionFailed)
        }
        Err(error) => Err(ServiceError::of(&error)),
    }
}

/// An interceptor of one write whose condition fails because of the write itself, as with a
/// `PutItem` of an item that must not exist. It notes whether an attempt ended without
/// DynamoDB's word on it: with no answer at all, or with a server error. What was to be written
/// may be there or not, and a condition that fails after that counts as met. All else that DynamoDB
/// answers, throttling too, says that nothing was written.
///
/// ```no_run
/// use runtime::dynamodb::{LostAnswers, Outcome, text};
/// use runtime::service_error::ServiceError;
///
/// # async fn example(client: aws_sdk_dynamodb::Client) -> Result<(), ServiceError> {
/// let lost = LostAnswers::default();
/// let result = client
///     .put_item()
///     .table_name("orders")
///     .item("id", text("order-1"))
///     .condition_expression("attribute_not_exists(id)")
///     .customize()
///     .interceptor(lost.clone())
///     .send()
///     .await;
/// let is_new = lost.outcome(result)? == Outcome::Written;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct LostAnswers(Arc<AtomicBool>);

impl LostAnswers {
    /// The outcome of the write that this was the interceptor of.
    pub fn outcome<T, E>(
        &self,
        result: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<Outcome, ServiceError>
    where
        E: ProvideErrorMetadata + RequestId + Error + 'static,
    {
        match outcome(result)? {
            Outcome::ConditionFailed if self.0.load(Ordering::Relaxed) => Ok(Outcome::Written),
            outcome => Ok(outcome),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for LostAnswers {
    fn name(&self) -> &'static str {
        "LostAnswers"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.is_none_or(|response| response.status().is_server_error()) {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::{client, text};
    use crate::testing::Wire;
    use serde_json::{Value, json};

    fn error(status: u16, code: &str) -> (u16, Value) {
        (status, json!({"__type": code, "message": "because"}))
    }

    fn condition_failed() -> (u16, Value) {
        error(
            400,
            "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        )
    }

    async fn put(wire: &Wire) -> Result<Outcome, ServiceError> {
        let lost = LostAnswers::default();
        let put = client(&wire.aws()).put_item().table_name("orders");
        let put = put.item("id", text("order-1")).customize();
        let result = put.interceptor(lost.clone()).send().await;
        lost.outcome(result)
    }

    #[tokio::test]
    async fn a_failed_condition_is_an_outcome_and_any_other_failure_an_error() {
        for (answer, expected) in [
            ((200, json!({})), Ok(Outcome::Written)),
            (condition_failed(), Ok(Outcome::ConditionFailed)),
        ] {
            let client = client(&Wire::new([answer]).aws());
            let result = client.delete_item().table_name("orders").send().await;
            assert_eq!(outcome(result), expected);
        }
        let client = client(&Wire::new([error(400, "AccessDeniedException")]).aws());
        let result = client.delete_item().table_name("orders").send().await;
        assert_eq!(
            outcome(result).unwrap_err().to_string(),
            "AccessDeniedException: because (AWS request id unknown)"
        );
    }

    #[tokio::test]
    async fn a_condition_that_fails_after_a_lost_answer_counts_as_met() {
        let wire = Wire::new([error(500, "InternalServerError"), condition_failed()]);
        assert_eq!(put(&wire).await, Ok(Outcome::Written));
        let requests = wire.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0], requests[1]);
    }

    #[tokio::test]
    async fn a_throttled_attempt_has_written_nothing() {
        let wire = Wire::new([error(400, "ThrottlingException"), condition_failed()]);
        assert_eq!(put(&wire).await, Ok(Outcome::ConditionFailed));
        let wire = Wire::new([condition_failed()]);
        assert_eq!(put(&wire).await, Ok(Outcome::ConditionFailed));
    }
}
