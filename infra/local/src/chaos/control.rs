//! The server by which people, tests and the emulator talk to the faults.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde_json::{Value, json};

use super::faults::{Delivery, Faults};
use crate::server::{json_response, refusal};

/// Answers one request to a path below `secret`, which only who is told the server's URL knows:
///
/// - `GET /`: the figures.
/// - `DELETE /`, `POST /stop`: ends the faults; the figures.
/// - `POST /events/FUNCTION`: how an event is delivered: after which milliseconds, once or twice.
/// - `POST /held-back/MILLISECONDS`: answered after this time, or when faults are stopped.
/// - `POST /completions/FUNCTION`: whether the message of a video job that has ended is lost.
/// - `POST /invocations/FUNCTION`: after which milliseconds it is killed, if at all.
///
/// The last four are for `chaos.py`.
pub(super) async fn answer(
    faults: Arc<Faults>,
    secret: Arc<str>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if let Err(stranger) = loopback::admit(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, stranger.message());
    }
    let path = request.uri().path().trim_start_matches('/');
    let Some(path) = path.strip_prefix(&*secret) else {
        let message = "`cargo xtask env` has the whole URL, as CHAOS_URL";
        return refusal(StatusCode::FORBIDDEN, message);
    };
    let path = path.trim_start_matches('/');
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
        (&Method::POST, "completions", function) => json!(faults.loses_completion(function)),
        (&Method::POST, "invocations", function) => {
            json!(faults.kill(function).map(|after| after.as_millis()))
        }
        _ => return not_found(path),
    };
    json_response(StatusCode::OK, &answer)
}

fn not_found(path: &str) -> Response<Full<Bytes>> {
    let message = format!("nothing is at /{path}: GET / shows figures, DELETE / stops faults");
    refusal(StatusCode::NOT_FOUND, &message)
}
