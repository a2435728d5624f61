//! What a failed call of an AWS service says, in one line.
//!
//! The SDK's own `Display` says "service error" for whatever a service answered, and its
//! alternative prints the whole response.
//!
//! ```no_run
//! use runtime::service_error::ServiceError;
//!
//! # async fn example(client: aws_sdk_dynamodb::Client) {
//! if let Err(error) = client.get_item().table_name("orders").send().await {
//!     // As in "AccessDeniedException: not authorized to perform: … (AWS request id …)".
//!     println!("could not read the order: {}", ServiceError::of(&error));
//! }
//! # }
//! ```

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

/// What a service said, or else what kept the request from reaching it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Answer {
        status: u16,
        code: Option<String>,
        message: Option<String>,
        request_id: String,
    },
    NoAnswer(String),
}

impl ServiceError {
    /// What the SDK's error is about.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + RequestId + Error + 'static,
    {
        Self(match error {
            SdkError::ServiceError(context) => {
                let answer = context.err();
                Reason::Answer {
                    status: context.raw().status().as_u16(),
                    code: answer.code().map(String::from),
                    message: answer.message().map(String::from),
                    request_id: answer.request_id().unwrap_or("unknown").into(),
                }
            }
            error => Reason::NoAnswer(chain(error)),
        })
    }

    /// The same without the service's message, which may quote what the request was about: the
    /// key of an object can be a person's name. `service` is who answered.
    pub fn without_message(&self, service: &str) -> String {
        match &self.0 {
            Reason::Answer {
                status,
                code,
                request_id,
                ..
            } => {
                let code = code.as_deref().unwrap_or("no error code");
                format!(
                    "{service} answered {code} (HTTP status {status}, AWS request id {request_id})"
                )
            }
            Reason::NoAnswer(reason) => reason.clone(),
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Answer {
                code: Some(code),
                message,
                request_id,
                ..
            } => {
                let message = message.as_deref().unwrap_or("no explanation");
                write!(f, "{code}: {message} (AWS request id {request_id})")
            }
            Reason::Answer { status, .. } => {
                write!(f, "an answer with HTTP status {status} and no error code")
            }
            Reason::NoAnswer(reason) => f.write_str(reason),
        }
    }
}

impl Error for ServiceError {}

/// An error with its causes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Wire;
    use serde_json::json;

    async fn refused(wire: &Wire) -> ServiceError {
        let client = crate::dynamodb::client(&wire.aws());
        let result = client.get_item().table_name("orders").send().await;
        ServiceError::of(&result.unwrap_err())
    }

    #[tokio::test]
    async fn an_answer_is_told_by_its_code() {
        let denied = json!({"__type": "AccessDeniedException", "Message": "About john."});
        let error = refused(&Wire::new([(400, denied)])).await;
        assert_eq!(
            error.to_string(),
            "AccessDeniedException: About john. (AWS request id unknown)"
        );
        assert_eq!(
            error.without_message("DynamoDB"),
            "DynamoDB answered AccessDeniedException (HTTP status 400, AWS request id unknown)"
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_not_the_services_is_told_by_its_status() {
        let error = refused(&Wire::new([(404, json!({}))])).await;
        assert_eq!(
            error.to_string(),
            "an answer with HTTP status 404 and no error code"
        );
    }

    #[tokio::test]
    async fn without_an_answer_the_cause_is_told() {
        let error = refused(&Wire::new([])).await;
        let (whole, without) = (error.to_string(), error.without_message("DynamoDB"));
        assert!(whole.ends_with("the script is at its end"), "{whole}");
        assert_eq!(whole, without);
    }
}
