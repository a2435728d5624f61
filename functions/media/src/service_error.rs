//! One line for any error of the AWS SDK.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;

/// What the service said, or else what kept the request from reaching it. The SDK's
/// own `Display` says "service error" for the former, and its alternative prints
/// the whole response.
pub(crate) fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
    R: std::fmt::Debug,
{
    if let Some(service_error) = error.as_service_error() {
        let code = service_error.code().unwrap_or("unknown error");
        let message = service_error.message().unwrap_or("no explanation");
        let request_id = service_error.request_id().unwrap_or("none");
        return format!("{code}: {message} (AWS request id {request_id})");
    }
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
