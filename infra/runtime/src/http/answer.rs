//! Answers, in API Gateway's payload format 2.0.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::json;
use tracing::{error, info};

use super::error::HttpError;

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
    answer.unwrap_or_else(|error| {
        let (status, code) = error.status();
        let message = format!("{code}: {error}");
        json_response(status, &ErrorBody { code, message })
    })
}

/// The body of an error.
#[derive(Serialize)]
struct ErrorBody {
    #[serde(rename = "Code")]
    code: &'static str,
    #[serde(rename = "Message")]
    message: String,
}

/// An answer with a JSON body, whose fields are in the order of their names.
pub fn json_response(status: i64, body: &impl Serialize) -> ApiGatewayV2httpResponse {
    json_text_response(status, json!(body).to_string())
}

/// As [`json_response`], for a text that is JSON already.
pub fn json_text_response(status: i64, body: impl Into<String>) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status;
    response
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body = Some(Body::Text(body.into()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn answered(error: HttpError) -> (i64, Value) {
        let response = respond(&ApiGatewayV2httpRequest::default(), Err(error));
        let Some(Body::Text(body)) = response.body else {
            panic!("an answer is text");
        };
        assert_eq!(response.headers[CONTENT_TYPE], "application/json");
        (response.status_code, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn an_error_tells_its_name_and_what_to_change() {
        let error = HttpError::BadRequest("limit is 0".into());
        let body = json!({"Code": "BadRequestError", "Message": "BadRequestError: limit is 0"});
        assert_eq!(answered(error), (400, body));
        let error = HttpError::NotFound("order 7 not found".into());
        let body = json!({"Code": "NotFoundError", "Message": "NotFoundError: order 7 not found"});
        assert_eq!(answered(error), (404, body));
    }

    #[test]
    fn the_body_of_an_error_is_as_it_is_described() {
        for error in [
            HttpError::BadRequest("limit is 0".into()),
            HttpError::NotFound("order 7 not found".into()),
            HttpError::internal("no network"),
        ] {
            let (_, code) = error.status();
            let (_, body) = answered(error);
            let body: openapi::ErrorBody = serde_json::from_value(body).unwrap();
            assert_eq!(body.code, code);
        }
    }

    #[test]
    fn details_of_an_internal_error_stay_inside() {
        let mut request = ApiGatewayV2httpRequest::default();
        request.route_key = Some("GET /secret".into());
        for error in [
            HttpError::internal("arn:aws:iam::1:role/secret"),
            HttpError::no_handler(&request),
        ] {
            let message = "InternalServerError: the request could not be served: try again later";
            let body = json!({"Code": "InternalServerError", "Message": message});
            assert_eq!(answered(error), (500, body));
        }
    }
}
