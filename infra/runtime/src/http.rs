//! Requests and answers of an HTTP API, in API Gateway's payload format 2.0.
//!
//! Errors have the body `{"Code": "…", "Message": "…"}`. A listing comes in pages: when there
//! is more, the header `Next-Cursor` holds the `cursor` of the next page.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
//!
//! ```
//! use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
//! use runtime::http::{
//!     HttpError, PageLimit, key_of_cursor, page_response, query, respond,
//! };
//! use serde::Deserialize;
//!
//! const LIMIT: PageLimit = PageLimit { default: 2, max: 1000 };
//! const ORDERS: [&str; 3] = ["order-1", "order-2", "order-3"];
//!
//! #[derive(Deserialize)]
//! struct Listing {
//!     limit: Option<String>,
//!     cursor: Option<String>,
//! }
//!
//! fn handle(request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
//!     let answer = match request.route_key.as_deref() {
//!         Some("GET /orders") => list(request),
//!         _ => Err(HttpError::no_handler(request)),
//!     };
//!     respond(request, answer)
//! }
//!
//! fn list(request: &ApiGatewayV2httpRequest) -> Result<ApiGatewayV2httpResponse, HttpError> {
//!     let Listing { limit, cursor } = query(request)?;
//!     let limit = LIMIT.of_text("query parameter limit", limit.as_deref())?;
//!     let after = key_of_cursor("query parameter cursor", cursor.as_deref(), Some)?;
//!     let (page, more) = orders(after, limit);
//!     Ok(page_response(&page, page.last().copied().filter(|_| more)))
//! }
//!
//! fn orders(after: Option<String>, limit: usize) -> (Vec<&'static str>, bool) {
//!     let after = after.unwrap_or_default();
//!     let due = ORDERS.into_iter().filter(|order| **order > *after);
//!     (due.clone().take(limit).collect(), due.count() > limit)
//! }
//!
//! let mut request = ApiGatewayV2httpRequest::default();
//! request.route_key = Some("GET /orders".into());
//! let first = handle(&request);
//! assert_eq!(first.status_code, 200);
//!
//! let cursor = first.headers["next-cursor"].to_str().unwrap();
//! request.raw_query_string = Some(format!("cursor={cursor}"));
//! let last = handle(&request);
//! assert!(!last.headers.contains_key("next-cursor"));
//!
//! request.raw_query_string = Some("limit=none".into());
//! assert_eq!(handle(&request).status_code, 400);
//! ```

mod answer;
mod body;
mod error;
mod page;
mod parameters;

pub use answer::{json_response, json_text_response, respond};
pub use body::{MAX_BODY_BYTES, json_body, optional_json_body};
pub use error::HttpError;
pub use page::{PageLimit, cursor_of_key, key_of_cursor, page_response};
pub use parameters::{path, query, query_parameters};
