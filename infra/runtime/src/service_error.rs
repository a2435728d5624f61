//! One line for any error.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

/// What a failed call of the AWS SDK says: what the service said, or else what kept the request from reaching it. The SDK's
/// own `Display` says "service error" for the former, and its alternative prints
/// the whole response.
pub fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    if let SdkError::ServiceError(context) = error {
        let (answer, status) = (context.err(), context.raw().status());
        return match (answer.code(), answer.message(), answer.request_id()) {
            (Some(code), message, request_id) => format!(
                "{code}: {} (AWS request id {})",
                message.unwrap_or("no explanation"),
                request_id.unwrap_or("unknown"),
            ),
            (None, ..) => format!("an answer with HTTP status {status} and no error code"),
        };
    }
    chain(error)
}

/// An error with its causes.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
