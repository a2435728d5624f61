//! Invoking functions.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LogType;
use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::target::Target;

/// What an invocation gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The function's answer, or its error.
    pub result: std::result::Result<String, FunctionError>,
    /// The last 4 KB of the invocation's log.
    pub log_tail: String,
}

/// An error that the function returned, or that the runtime reported for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// For example `Sandbox.Timedout` or a name of the function's own.
    #[serde(default)]
    pub error_type: String,
    /// What it says.
    #[serde(default)]
    pub error_message: String,
}

/// Invokes a function by its physical name and waits for its answer.
///
/// # Errors
/// When the function does not exist or Lambda refuses. An error of the function itself
/// is part of the [`Invocation`].
pub async fn invoke(target: &Target, physical_name: &str, payload: Vec<u8>) -> Result<Invocation> {
    invoke_with(target, physical_name, payload, None).await
}

/// Tells the local stage what an invocation comes from: see `observed.py` in `infra/local`.
const CAUSE: &str = "x-local-stage-cause";

/// Invokes a function with an event that was in a message of a queue. AWS is not told of the message.
pub(crate) async fn invoke_with(
    target: &Target,
    physical_name: &str,
    payload: Vec<u8>,
    message_id: Option<&str>,
) -> Result<Invocation> {
    let cause = message_id.filter(|_| target.endpoint_url.is_some());
    let cause = cause.map(|message_id| serde_json::json!({"message": message_id}).to_string());
    let invoke = target
        .invocations
        .invoke()
        .function_name(physical_name)
        .log_type(LogType::Tail)
        .payload(Blob::new(payload))
        .customize()
        .mutate_request(move |request| {
            if let Some(cause) = &cause {
                request.headers_mut().insert(CAUSE, cause.clone());
            }
        });
    let answer = invoke.send().await.map_err(|error| {
        let error = Error::aws(&format!("invoke {physical_name}"), &error);
        match error.kind() {
            ErrorKind::NotFound => error.hint("deploy the stage first"),
            _ => error,
        }
    })?;
    let body = answer
        .payload()
        .map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned())
        .unwrap_or_default();
    let log_tail = answer
        .log_result()
        .and_then(|log| base64::engine::general_purpose::STANDARD.decode(log).ok())
        .map(|log| String::from_utf8_lossy(&log).into_owned())
        .unwrap_or_default();
    let result = if answer.function_error().is_some() {
        Err(serde_json::from_str(&body).unwrap_or(FunctionError {
            error_type: "Unknown".to_owned(),
            error_message: body,
        }))
    } else {
        Ok(body)
    };
    Ok(Invocation { result, log_tail })
}
