//! Tells the local stage of calls. The stage shows what its functions do, and cannot see what they ask of this endpoint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderValue, Request,
    header::{self, HeaderName},
    uri::Authority,
};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::authorization::Signed;

/// Where calls are reported to the emulator: see `observed.py`.
const PATH: &str = "/_stage/occurrences";

/// Of a request or an answer.
const MAX_TOLD_BYTES: usize = 4096;

/// Tells an emulator.
pub struct Observation {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: Authority,
    stage_key: HeaderValue,
}

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) operation: &'static str,
    pub(crate) started: SystemTime,
    pub(crate) took: Duration,
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Observation {
    /// Tells the server at `authority`, which knows this one by the key.
    ///
    /// # Errors
    /// The key is none that a header may hold.
    pub fn new(authority: Authority, stage_key: &str) -> Result<Self, header::InvalidHeaderValue> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            authority,
            stage_key: stage_key.parse()?,
        })
    }

    /// Returns at once. What cannot be told is missing in traces, and nowhere else.
    pub(crate) fn tell(&self, signed: &Signed, answered: &Answered<'_>) {
        let told = told(&signed.parts.headers, &signed.body, answered);
        let request = Request::post(format!("http://{}{PATH}", self.authority))
            .header(
                HeaderName::from_static("x-local-stage-key"),
                &self.stage_key,
            )
            .body(Full::from(told.to_string()));
        let client = self.client.clone();
        tokio::spawn(async move {
            let sent = match request {
                Ok(request) => client
                    .request(request)
                    .await
                    .map(drop)
                    .map_err(anyhow::Error::from),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = sent {
                tracing::debug!("a call is missing in traces: {error}");
            }
        });
    }
}

/// What is reported to the emulator. Of a signature, the headers keep only the access key.
fn told(headers: &HeaderMap, body: &[u8], answered: &Answered<'_>) -> Value {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let credential = header("authorization").and_then(|it| it.split_once("Credential="));
    let key = credential.and_then(|(_, scope)| scope.split('/').next());
    let answer: Value = serde_json::from_slice(answered.body).unwrap_or_default();
    let since = answered
        .started
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let is_error = answered.status >= 400;
    json!({
        "access_key_id": key,
        "trace": header("x-amzn-trace-id"),
        "attempt": header("amz-sdk-request"),
        "operation": answered.operation,
        "resource": object(body),
        "started_ms": since.as_secs_f64() * 1000.0,
        "duration_ms": answered.took.as_secs_f64() * 1000.0,
        "status": answered.status,
        "error": answer["__type"].as_str().filter(|_| is_error),
        "message": answer["message"].as_str().or(answer["Message"].as_str()).filter(|_| is_error),
        "request": beginning(body),
        "request_bytes": body.len(),
        "response": beginning(answered.body),
        "response_bytes": answered.body.len(),
        "job": answer["JobId"].as_str(),
    })
}

/// The ARN of the image or video, if it is an object. An image may also be in the request, which is long then.
fn object(body: &[u8]) -> Option<String> {
    if body.len() > 1 << 16 {
        return None;
    }
    let request: Value = serde_json::from_slice(body).ok()?;
    let location = ["Image", "Video"].map(|name| &request[name]["S3Object"]);
    let location = location.into_iter().find(|location| location.is_object())?;
    let (bucket, name) = (location["Bucket"].as_str()?, location["Name"].as_str()?);
    Some(format!("arn:aws:s3:::{bucket}/{name}"))
}

fn beginning(body: &[u8]) -> String {
    // One byte more, so that what is cut is longer than what is kept.
    let part = &body[..body.len().min(MAX_TOLD_BYTES + 1)];
    String::from_utf8_lossy(part).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_with_its_cause_and_without_its_signature() {
        let mut headers = HeaderMap::new();
        let authorization = "AWS4-HMAC-SHA256 Credential=ASIA1/20260101/us-east-1/rekognition/aws4_request, \
            SignedHeaders=host, Signature=abc";
        for (name, value) in [
            ("authorization", authorization),
            ("x-amzn-trace-id", "Root=1-2-3;Parent=4"),
            ("x-amz-security-token", "token"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let answered = Answered {
            operation: "StartLabelDetection",
            started: UNIX_EPOCH + Duration::from_secs(1),
            took: Duration::from_millis(2),
            status: 200,
            body: br#"{"JobId": "j1"}"#,
        };
        let request = br#"{"Video": {"S3Object": {"Bucket": "media", "Name": "a b.mp4"}}}"#;
        let told = told(&headers, request, &answered);
        assert_eq!(told["access_key_id"], "ASIA1");
        assert_eq!(told["trace"], "Root=1-2-3;Parent=4");
        assert_eq!(told["resource"], "arn:aws:s3:::media/a b.mp4");
        assert_eq!(told["job"], "j1");
        assert_eq!(
            (&told["started_ms"], &told["duration_ms"]),
            (&json!(1000.0), &json!(2.0))
        );
        let text = told.to_string();
        assert!(!text.contains("abc") && !text.contains("token"), "{text}");
    }

    #[test]
    fn of_a_long_request_the_beginning_is_told() {
        let answered = Answered {
            operation: "DetectLabels",
            started: UNIX_EPOCH,
            took: Duration::ZERO,
            status: 400,
            body: br#"{"__type": "InvalidImageFormatException", "message": "no image"}"#,
        };
        let told = told(&HeaderMap::new(), &[b'x'; 100_000], &answered);
        assert_eq!(told["request"].as_str().unwrap().len(), MAX_TOLD_BYTES + 1);
        assert_eq!(told["request_bytes"], 100_000);
        assert_eq!(told["error"], "InvalidImageFormatException");
        assert_eq!(told["message"], "no image");
    }
}
