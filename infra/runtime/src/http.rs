//! Answers of an HTTP API, in API Gateway's payload format 2.0.
//!
//! Errors have the body `{"Code": "…", "Message": "…"}`. A listing comes in pages: when there
//! is more, the header `Next-Cursor` holds the `cursor` of the next page.

use std::fmt::Display;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tracing::{error, info};

const NEXT_CURSOR: HeaderName = HeaderName::from_static("next-cursor");

/// What tells our cursors from other base64 texts, and from later forms of them.
const CURSOR_PREFIX: &str = "1:";

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request is not well formed. Says what to change.
    #[error("{0}")]
    BadRequest(String),
    /// What it is about is not there. Says what.
    #[error("{0}")]
    NotFound(String),
    /// The path is there, but not with this method.
    #[error("{method} is not supported: use {allowed}")]
    MethodNotAllowed {
        /// The request's.
        method: String,
        /// The one to use.
        allowed: &'static str,
    },
    /// Nothing that a client should see or could act on: the reason is for the log.
    #[error("the request could not be served: try again later")]
    Internal(String),
}

impl HttpError {
    /// What failed behind the API.
    pub fn internal(reason: impl Display) -> Self {
        Self::Internal(reason.to_string())
    }

    fn status(&self) -> (i64, &'static str) {
        match self {
            Self::BadRequest(_) => (400, "BadRequestError"),
            Self::NotFound(_) => (404, "NotFoundError"),
            Self::MethodNotAllowed { .. } => (405, "MethodNotAllowedError"),
            Self::Internal(_) => (500, "InternalServerError"),
        }
    }

    fn to_response(&self) -> ApiGatewayV2httpResponse {
        let (status, code) = self.status();
        let body = json!({"Code": code, "Message": format!("{code}: {self}")});
        let mut response = json_response(status, &body);
        if let Self::MethodNotAllowed { allowed, .. } = self {
            response
                .headers
                .insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

/// Turns what a request led to into its answer, and logs one line about it.
pub fn respond(
    request: &ApiGatewayV2httpRequest,
    answer: Result<ApiGatewayV2httpResponse, HttpError>,
) -> ApiGatewayV2httpResponse {
    // What was asked for may name people: the route is enough to count by.
    let route = request.route_key.as_deref().unwrap_or_default();
    let status = match &answer {
        Ok(response) => response.status_code,
        Err(error) => error.status().0,
    };
    if let Err(HttpError::Internal(reason)) = &answer {
        error!(route, status, error = reason, "request not served");
    } else {
        info!(route, status, "request answered");
    }
    answer.unwrap_or_else(|error| error.to_response())
}

/// An answer with a JSON body.
pub fn json_response(status: i64, body: &Value) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status;
    response
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body = Some(Body::Text(body.to_string()));
    response
}

/// One page of a listing. `last` is the key of its last item, if there is another page.
pub fn page_response(items: &Value, last: Option<&str>) -> ApiGatewayV2httpResponse {
    let mut response = json_response(200, items);
    // Base64 is always a header value.
    let cursor = last.and_then(|key| HeaderValue::try_from(to_cursor(key)).ok());
    let headers = cursor.map(|cursor| (NEXT_CURSOR, cursor));
    response.headers.extend(headers);
    response
}

/// The cursor of the page after `key`. Clients take it as it is; only [`from_cursor`]
/// knows that it holds a key.
pub fn to_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{CURSOR_PREFIX}{key}"))
}

/// The key that a cursor holds. `None` if no answer of ours had this cursor.
pub fn from_cursor(cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix(CURSOR_PREFIX).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_its_cursor() {
        for key in ["a", "holiday/2024/é 🐕.png", "1:x", "\0"] {
            assert_eq!(from_cursor(&to_cursor(key)).as_deref(), Some(key));
        }
    }

    #[test]
    fn only_our_cursors_are_taken() {
        for text in ["dog.jpg", "2:dog.jpg", "1"] {
            assert_eq!(from_cursor(&URL_SAFE_NO_PAD.encode(text)), None, "{text}");
        }
        for cursor in ["abc", "%", "MTp4=", "MTr_"] {
            assert_eq!(from_cursor(cursor), None, "{cursor}");
        }
    }
}
