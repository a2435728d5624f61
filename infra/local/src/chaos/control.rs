//! The server by which people, tests and the emulator talk to the faults.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Delivery, Faults};
use super::seed::Seed;
use super::shares::Shares;
use super::switch::FaultSwitch;
use crate::Error;
use crate::server::{json_response, refusal};

const MAX_BODY_BYTES: usize = 4096;

/// Which faults are to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    seed: Option<Seed>,
    #[serde(default)]
    shares: Shares,
}

/// Answers one request to a path below `secret`, which only who is told the server's URL knows:
///
/// - `GET /`: the figures.
/// - `PUT /`: makes faults, by `{"seed": 7, "shares": {"calls": 0.5}}` or a part of it; the figures.
/// - `DELETE /`, `POST /stop`: ends the faults; the figures.
/// - `POST /events/FUNCTION`: how an event is delivered: after which milliseconds, once or twice.
/// - `POST /held-back/MILLISECONDS`: answered after this time, or when faults are stopped.
/// - `POST /completions/FUNCTION`: whether the message of a video job that has ended is lost.
/// - `POST /invocations/FUNCTION`: after which milliseconds it is killed, if at all.
/// - `POST /late-message`: a message is held back.
///
/// The last five are for `chaos.py`.
pub(super) async fn answer(
    faults: Arc<Faults>,
    switch: FaultSwitch,
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
    let path = path.trim_start_matches('/').to_owned();
    let (resource, argument) = path.split_once('/').unwrap_or((&path, ""));
    let (head, body) = request.into_parts();
    let answer = match (&head.method, resource, argument) {
        (&Method::GET, "", "") => json!(faults.figures()),
        (&Method::PUT, "", "") => match wish(body).await {
            Err(message) => return refusal(StatusCode::BAD_REQUEST, &message),
            Ok(Wish { seed, shares }) => {
                let begun = switch.begin(seed.unwrap_or_else(Seed::random), shares);
                return switched(begun.await, &faults);
            }
        },
        (&Method::DELETE, "", "") | (&Method::POST, "stop", "") => {
            return switched(switch.stop().await, &faults);
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
            Err(_) => return not_found(&path),
        },
        (&Method::POST, "completions", function) => json!(faults.loses_completion(function)),
        (&Method::POST, "invocations", function) => {
            json!(faults.kill(function).map(|after| after.as_millis()))
        }
        (&Method::POST, "late-message", "") => {
            faults.message_is_late();
            Value::Null
        }
        _ => return not_found(&path),
    };
    json_response(StatusCode::OK, &answer)
}

async fn wish(body: Incoming) -> Result<Wish, String> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| format!("could not read the body: {error}"))?;
    let body = body.to_bytes();
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let wish: Wish = serde_json::from_slice(body)
        .map_err(|error| format!("could not read the body as JSON: {error}"))?;
    if !wish.shares.are_shares() {
        return Err("a share is a number from 0 to 1".to_owned());
    }
    Ok(wish)
}

fn switched(switched: Result<(), Error>, faults: &Faults) -> Response<Full<Bytes>> {
    match switched {
        Ok(()) => json_response(StatusCode::OK, &json!(faults.figures())),
        Err(error) => refusal(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

fn not_found(path: &str) -> Response<Full<Bytes>> {
    let message = format!(
        "nothing is at /{path}: GET / shows figures, PUT / makes faults, DELETE / stops them"
    );
    refusal(StatusCode::NOT_FOUND, &message)
}
