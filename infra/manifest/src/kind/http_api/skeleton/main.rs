//! Answers requests of an HTTP API.

use std::convert::Infallible;
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use runtime::http::{HttpError, json_response, respond};
use serde_json::json;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// Answers one request. Whatever goes wrong is an answer too.
async fn handle(
    request: ApiGatewayV2httpRequest,
) -> Result<ApiGatewayV2httpResponse, Infallible> {
    let answer = match request.route_key.as_deref() {
        Some("EVENT") => answer().await,
        _ => Err(HttpError::no_handler(&request)),
    };
    Ok(respond(&request, answer))
}

async fn answer() -> Result<ApiGatewayV2httpResponse, HttpError> {
    Ok(json_response(200, &json!({"message": "Hello from new-function"})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/new-function.json");

    /// The status of the answer.
    async fn status(event: Value) -> i64 {
        let Ok(response) = handle(serde_json::from_value(event).unwrap()).await;
        response.status_code
    }

    #[tokio::test]
    async fn the_sample_event_is_answered() {
        assert_eq!(status(serde_json::from_str(EVENT).unwrap()).await, 200);
    }

    #[tokio::test]
    async fn another_route_is_a_mistake_of_the_stack() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["routeKey"] = "GET /elsewhere".into();
        assert_eq!(status(event).await, 500);
    }
}
