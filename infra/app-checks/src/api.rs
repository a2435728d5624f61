//! The documented error answers of both HTTP APIs.

use deploy::HttpAnswer;
use serde_json::Value;
use verify::{Check, PREFIX, Probe, Problem, Stopped};

use crate::media::{API, MEDIA_API, seen};
use crate::users::{USERS, USERS_API};

pub(crate) const MEDIA_CHECKS: &[Check] = &[Check {
    name: "media-errors",
    what: "the media API gives bad requests the documented answers",
}];

pub(crate) const USERS_CHECKS: &[Check] = &[Check {
    name: "users-errors",
    what: "the users API gives bad requests the documented answers",
}];

/// A request and the answer to it.
struct Case {
    method: &'static str,
    path: String,
    body: &'static str,
    status: u16,
    /// The function's code, or none where API Gateway answers.
    code: Option<&'static str>,
}

impl Case {
    fn bad(method: &'static str, path: &str, body: &'static str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            body,
            status: 400,
            code: Some("BadRequestError"),
        }
    }

    fn not_found(method: &'static str, path: &str, body: &'static str) -> Self {
        Self {
            status: 404,
            code: Some("NotFoundError"),
            ..Self::bad(method, path, body)
        }
    }

    fn no_route(method: &'static str, path: &str) -> Self {
        Self {
            status: 404,
            code: None,
            ..Self::bad(method, path, "")
        }
    }
}

pub(crate) async fn media(probe: Probe) -> Result<(), Stopped> {
    let missing = format!("{PREFIX}/{}/missing.jpg", probe.run());
    let cases = [
        Case::bad("GET", "?limit=0", ""),
        Case::bad("GET", "?limit=1001", ""),
        Case::bad("GET", "?media-type=audio", ""),
        Case::bad("GET", "?label=", ""),
        Case::bad("GET", "?label=Cat&label=Dog", ""),
        Case::bad("GET", "?colour=red", ""),
        Case::bad("GET", "?cursor=none", ""),
        Case::not_found("GET", &missing, ""),
        Case::no_route("POST", ""),
    ];
    let next = probe.stage().errors(MEDIA_API);
    let proof = answers(&probe, API, &cases, &next);
    probe.check("media-errors", proof).await
}

pub(crate) async fn users(probe: Probe) -> Result<(), Stopped> {
    const NOBODY: &str = r#"{"id": "00000000-0000-7000-8000-000000000000"}"#;
    let cases = [
        Case::bad("POST", "create", r#"{"mail": "x@example.com"}"#),
        Case::bad("POST", "create", r#"{"email": "nobody"}"#),
        Case::bad("POST", "create", "["),
        Case::bad("POST", "delete", "{}"),
        Case::bad("POST", "scan", r#"{"limit": 0}"#),
        Case::bad("POST", "scan", r#"{"cursor": "none"}"#),
        Case::not_found("POST", "delete", NOBODY),
        Case::no_route("GET", "scan"),
    ];
    let next = probe.stage().errors(USERS_API);
    let proof = answers(&probe, USERS, &cases, &next);
    probe.check("users-errors", proof).await
}

async fn answers(
    probe: &Probe,
    api: &str,
    cases: &[Case],
    next: &str,
) -> Result<((), String), Problem> {
    for case in cases {
        let answer = probe.http(api, case.method, &case.path, case.body).await?;
        if !is_answer(case, &answer) {
            let request = format!("{} /{} {}", case.method, case.path, case.body);
            let form = match case.code {
                Some(code) => format!("the code {code} and a message"),
                None => "a message of API Gateway's".to_owned(),
            };
            return Err(Problem::difference(
                format!(
                    "{} is answered by {} with {form}",
                    request.trim_end(),
                    case.status
                ),
                told(&answer),
                next,
            ));
        }
    }
    Ok(((), format!("{} requests", cases.len())))
}

fn is_answer(case: &Case, answer: &HttpAnswer) -> bool {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
    let told = match case.code {
        Some(code) => text("Code") == Some(code) && text("Message").is_some(),
        None => text("message").is_some(),
    };
    answer.status == case.status && told
}

/// What was answered, unless it may be somebody's data.
fn told(answer: &HttpAnswer) -> String {
    if answer.status < 400 {
        format!("{}, {} bytes", answer.status, answer.body.len())
    } else {
        seen(answer)
    }
}
