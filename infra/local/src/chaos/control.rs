//! The server by which people, tests and the emulator talk to the faults.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde_json::{Value, json};

use super::faults::{Delivery, Faults};
use crate::server::is_for_this_host;

/// Answers one request:
///
/// - `GET /`: the figures.
/// - `DELETE /`, `POST /stop`: ends the faults; the figures.
/// - `POST /events/FUNCTION`: how an event is delivered: after which milliseconds, once or twice.
/// - `POST /held-back/MILLISECONDS`: answered after this time, or when faults are stopped.
/// - `POST /invocations/FUNCTION`: after which milliseconds it is killed, if at all.
///
/// The last three are for `chaos.py`.
pub(super) async fn answer(
    faults: Arc<Faults>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if !is_for_this_host(request.headers()) {
        let message = "this is for 127.0.0.1 and localhost only";
        return respond(StatusCode::FORBIDDEN, &json!({ "message": message }));
    }
    let path = request.uri().path().trim_start_matches('/');
    let (resource, argument) = path.split_once('/').unwrap_or((path, ""));
    let answer = match (request.method(), resource, argument) {
        (&Method::GET, "", "") => json!(faults.figures()),
        (&Method::DELETE, "", "") | (&Method::POST, "stop", "") => {
            faults.stop();
            json!(faults.figures())
        }
        (&Method::POST, "events", function) => {
            let Delivery {
                late_by,
                again_after,
            } = faults.event(function);
            let second = again_after.map(|after| late_by + after);
            let times: Vec<_> = std::iter::once(late_by).chain(second).collect();
            json!(times.iter().map(Duration::as_millis).collect::<Vec<_>>())
        }
        (&Method::POST, "held-back", milliseconds) => match milliseconds.parse() {
            Ok(milliseconds) => {
                faults.hold_back(Duration::from_millis(milliseconds)).await;
                Value::Null
            }
            Err(_) => return not_found(path),
        },
        (&Method::POST, "invocations", function) => {
            json!(faults.kill(function).map(|after| after.as_millis()))
        }
        _ => return not_found(path),
    };
    respond(StatusCode::OK, &answer)
}

fn not_found(path: &str) -> Response<Full<Bytes>> {
    let message = format!("nothing is at /{path}: GET / shows figures, DELETE / stops faults");
    respond(StatusCode::NOT_FOUND, &json!({ "message": message }))
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
