//! Whether the caller may do what it asks.
//!
//! This endpoint knows no access keys. The emulator that has made them does: the caller's own request is shown to it as it
//! came, so that the emulator can check the signature, and headers beside the signed ones name the action, the resource and
//! the context in question. The emulator decides by the policies that it has. What is asked is
//! - [`ACTION`]: an IAM action, such as `rekognition:DetectLabels`,
//! - [`RESOURCE`]: the ARN of a resource, or `*`,
//! - [`CONTEXT`]: a JSON object of condition keys.
//!
//! A response of success allows it. Any other one is an error of AWS's JSON protocol, which the caller gets.

use http::{
    Method, Request, StatusCode,
    header::{self, HeaderValue},
    request::Parts,
    uri::Authority,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use crate::{
    objects::causes,
    protocol::{ApiError, ErrorKind},
};

/// Names the header of the action.
pub const ACTION: &str = "x-authorize-action";
/// Names the header of the resource.
pub const RESOURCE: &str = "x-authorize-resource";
/// Names the header of the context.
pub const CONTEXT: &str = "x-authorize-context";

/// Bytes of the largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Asks who knows.
pub struct Authorizer {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: Authority,
}

/// A request as it came: what the caller has signed.
pub struct Signed {
    /// Everything but the body.
    pub parts: Parts,
    /// The whole body.
    pub body: Bytes,
}

impl Authorizer {
    /// Asks the server at `authority`, a host and a port, in clear text.
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, authority }
    }

    /// Returns if the caller may do this.
    ///
    /// # Errors
    /// It may not, its credentials are not valid, or the emulator does not answer.
    pub async fn check(
        &self,
        signed: &Signed,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        let unknown = |error: &(dyn std::error::Error + 'static)| {
            ApiError::new(
                ErrorKind::Internal,
                format!(
                    "asking http://{} whether {action} is allowed failed: {}",
                    self.authority,
                    causes(error)
                ),
            )
        };
        let request = self
            .question(signed, action, resource, context)
            .map_err(|error| unknown(&error))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| unknown(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let body = body
            .collect()
            .await
            .map_err(|error| unknown(&*error))?
            .to_bytes();
        answer(status, &body)
    }

    fn question(
        &self,
        signed: &Signed,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let context: serde_json::Map<_, _> = context
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        let path = signed
            .parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{path}", self.authority))
            .body(Full::new(signed.body.clone()))?;
        *request.headers_mut() = signed.parts.headers.clone();
        // They concern the caller's connection, and nobody signs them.
        for name in [
            header::CONNECTION,
            header::EXPECT,
            header::TRANSFER_ENCODING,
        ] {
            request.headers_mut().remove(name);
        }
        for (name, value) in [
            (ACTION, action.to_owned()),
            // Keys may hold what a header may not.
            (RESOURCE, serde_json::Value::from(resource).to_string()),
            (CONTEXT, serde_json::Value::from(context).to_string()),
        ] {
            request
                .headers_mut()
                .insert(name, HeaderValue::try_from(ascii(&value))?);
        }
        Ok(request)
    }
}

/// JSON in which everything but ASCII is escaped.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

fn answer(status: StatusCode, body: &[u8]) -> Result<(), ApiError> {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(rename = "__type", default)]
        kind: String,
        #[serde(alias = "Message", default)]
        message: String,
    }
    if status.is_success() {
        return Ok(());
    }
    let Refusal { kind, message } = serde_json::from_slice(body).unwrap_or_default();
    let kind = match kind.rsplit('#').next().unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => ErrorKind::AccessDenied,
        "ExpiredToken" | "ExpiredTokenException" => ErrorKind::ExpiredToken,
        "InvalidSignatureException" | "SignatureDoesNotMatch" => ErrorKind::InvalidSignature,
        "UnrecognizedClientException" | "InvalidClientTokenId" => ErrorKind::UnrecognizedClient,
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => {
            ErrorKind::MissingAuthenticationToken
        }
        _ => {
            let body = String::from_utf8_lossy(body);
            return Err(ApiError::new(
                ErrorKind::Internal,
                format!("who was asked for the caller's permissions answered {status}: {body}"),
            ));
        }
    };
    Err(ApiError::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn success_allows_and_errors_of_aws_are_handed_on() {
        assert_eq!(answer(StatusCode::OK, b"{}"), Ok(()));
        for (body, kind) in [
            (
                json!({"__type": "AccessDeniedException", "Message": "no"}),
                ErrorKind::AccessDenied,
            ),
            (
                json!({"__type": "com.amazon#UnrecognizedClientException", "message": "no"}),
                ErrorKind::UnrecognizedClient,
            ),
            (
                json!({"__type": "InvalidSignatureException", "message": "no"}),
                ErrorKind::InvalidSignature,
            ),
        ] {
            let refusal = answer(StatusCode::BAD_REQUEST, body.to_string().as_bytes());
            assert_eq!(refusal, Err(ApiError::new(kind, "no")));
        }
    }

    #[test]
    fn an_answer_of_another_kind_allows_nothing() {
        for body in [
            &b""[..],
            b"<html>",
            br#"{"error": "Unsupported service: rekognition"}"#,
        ] {
            let refusal = answer(StatusCode::BAD_REQUEST, body).unwrap_err();
            assert_eq!(refusal.kind, ErrorKind::Internal);
        }
    }

    #[test]
    fn the_question_is_the_signed_request_and_three_headers() {
        let request = Request::post("/")
            .header("host", "127.0.0.1:4567")
            .header("authorization", "AWS4-HMAC-SHA256 x")
            .header("connection", "close");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let signed = Signed {
            parts,
            body: Bytes::from_static(b"{}"),
        };
        let authorizer = Authorizer::new(Authority::from_static("127.0.0.1:4566"));
        let context = [("iam:PassedToService", "rekognition.amazonaws.com")];
        let question = authorizer
            .question(&signed, "s3:GetObject", "arn:aws:s3:::b/é \"1\"", &context)
            .unwrap();
        assert_eq!(question.uri(), "http://127.0.0.1:4566/");
        let header = |name: &str| question.headers()[name].to_str().unwrap();
        assert_eq!(
            (header("host"), header("authorization")),
            ("127.0.0.1:4567", "AWS4-HMAC-SHA256 x")
        );
        assert!(!question.headers().contains_key("connection"));
        assert_eq!(header(ACTION), "s3:GetObject");
        assert_eq!(header(RESOURCE), r#""arn:aws:s3:::b/\u00e9 \"1\"""#);
        assert_eq!(
            header(CONTEXT),
            r#"{"iam:PassedToService":"rekognition.amazonaws.com"}"#
        );
    }
}
