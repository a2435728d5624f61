//! Calls of AWS services as they look on the wire, and how their errors do.
//!
//! The forms are those of Smithy's documents on the AWS protocols (`awsJson1_0`,
//! `awsJson1_1`, `awsQuery`, `restJson1`, `restXml`) and of "Error responses" in Amazon
//! S3's API reference. The errors are those that the services' API references name, and
//! that AWS SDKs try again.

use std::fmt;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::{Serialize, Serializer};

/// A call of an AWS service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The service as signatures name it: `dynamodb`, `s3`, `cloudformation`. Empty if
    /// the request is not signed.
    pub service: String,
    /// The operation: `PutItem`. Services with a REST protocol do not name it. S3 is
    /// understood as far as SDKs name it in the parameter `x-id`; otherwise it
    /// is the method, what it is applied to, and the subresource: `HEAD object`,
    /// `GET bucket list-type`. For other REST services it is method and path.
    pub operation: String,
    /// Which call of this operation it is, from 1.
    pub number: u64,
}

impl Call {
    /// Whether it is of an operation, by AWS's name of it. `operation` has this name where a protocol names it.
    #[must_use]
    pub fn is(&self, service: &str, operation: &str) -> bool {
        let named = match (&*self.service, &*self.operation) {
            ("s3", "GET service") => "ListBuckets",
            ("s3", "HEAD object") => "HeadObject",
            ("s3", "HEAD bucket") => "HeadBucket",
            ("s3", "POST bucket delete") => "DeleteObjects",
            ("s3", "GET bucket list-type") => "ListObjectsV2",
            ("lambda", path) if path.ends_with("/invocations") => "Invoke",
            (_, operation) => operation,
        };
        self.service == service && named.eq_ignore_ascii_case(operation)
    }
}

/// What goes wrong with a call. AWS SDKs try again after each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service says that there are too many calls. It has done nothing.
    Throttled,
    /// The service says that something went wrong inside, mostly by 500.
    InternalError(Effect),
    /// The service answers 503.
    Unavailable(Effect),
    /// The connection ends without an answer.
    Disconnected(Effect),
}

/// Whether a call that seemed to fail has taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The service did not see the call.
    Missing,
    /// The service did what was asked; only its answer is lost.
    Done,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Throttled,
        Self::InternalError(Effect::Missing),
        Self::InternalError(Effect::Done),
        Self::Unavailable(Effect::Missing),
        Self::Unavailable(Effect::Done),
        Self::Disconnected(Effect::Missing),
        Self::Disconnected(Effect::Done),
    ];

    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Throttled => Effect::Missing,
            Self::InternalError(effect)
            | Self::Unavailable(effect)
            | Self::Disconnected(effect) => effect,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "throttled",
            Self::InternalError(_) => "internal error",
            Self::Unavailable(_) => "unavailable",
            Self::Disconnected(_) => "disconnected",
        })?;
        match self.effect() {
            Effect::Missing => Ok(()),
            Effect::Done => f.write_str(" after it took effect"),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `awsJson1_0` and `awsJson1_1`.
    Json,
    /// `awsQuery`, with answers in XML.
    Query,
    /// `restXml` as S3 speaks it.
    S3,
    /// `restJson1`.
    RestJson,
}

/// A request, understood. Its number is 0.
pub(super) fn understand(head: &Parts, body: &[u8]) -> (Protocol, Call) {
    let service = signing_service(head).unwrap_or_default().to_owned();
    let (protocol, operation) = if let Some(target) = text(&head.headers, "x-amz-target") {
        let operation = target.rsplit('.').next().unwrap_or(target);
        (Protocol::Json, operation.to_owned())
    } else if service == "s3" {
        (Protocol::S3, s3_operation(head))
    } else if let Some(action) = form_action(head, body) {
        (Protocol::Query, action)
    } else {
        let operation = format!("{} {}", head.method, head.uri.path());
        (Protocol::RestJson, operation)
    };
    let call = Call {
        service,
        operation,
        number: 0,
    };
    (protocol, call)
}

/// The part of the credential's scope before `aws4_request`, in the header or, of
/// a presigned URL, in the query.
fn signing_service(head: &Parts) -> Option<&str> {
    let (credential, separator) = match text(&head.headers, header::AUTHORIZATION.as_str()) {
        Some(authorization) => (authorization.split("Credential=").nth(1)?, "/"),
        None => (parameter(&head.uri, "X-Amz-Credential")?, "%2F"),
    };
    let scope = credential.split(',').next()?;
    scope
        .split(separator)
        .collect::<Vec<_>>()
        .iter()
        .rev()
        .nth(1)
        .copied()
}

fn s3_operation(head: &Parts) -> String {
    if let Some(id) = parameter(&head.uri, "x-id") {
        return id.to_owned();
    }
    let path = head.uri.path().trim_start_matches('/');
    let resource = match path.split_once('/') {
        _ if path.is_empty() => "service",
        None | Some((_, "")) => "bucket",
        Some(_) => "object",
    };
    let subresource = head.uri.query().map_or("", |query| {
        query
            .split(['&', '='])
            .next()
            .filter(|name| !name.starts_with("X-Amz-"))
            .unwrap_or_default()
    });
    format!("{} {resource} {subresource}", head.method)
        .trim_end()
        .to_owned()
}

fn form_action(head: &Parts, body: &[u8]) -> Option<String> {
    let form = text(&head.headers, header::CONTENT_TYPE.as_str())?
        .starts_with("application/x-www-form-urlencoded");
    let action = body
        .split(|byte| *byte == b'&')
        .find_map(|field| field.strip_prefix(b"Action="))?;
    form.then(|| String::from_utf8_lossy(action).into_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?
        .split('&')
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// What the service would answer. Nothing for a connection that ends.
pub(super) fn answer(
    protocol: Protocol,
    call: &Call,
    fault: Fault,
) -> Option<Response<Full<Bytes>>> {
    let (status, code) = status_and_code(protocol, call, fault)?;
    let id = format!("injected-{}", call.number);
    let message = format!("{} (an injected fault)", status_message(fault));
    let (content_type, body) = match protocol {
        Protocol::Json => (
            match call.service.as_str() {
                "dynamodb" | "sqs" => "application/x-amz-json-1.0",
                _ => "application/x-amz-json-1.1",
            },
            format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
        ),
        Protocol::RestJson => (
            "application/json",
            format!(r#"{{"Type":"Service","message":"{message}"}}"#),
        ),
        Protocol::Query => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>{}</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                if status.is_server_error() {
                    "Receiver"
                } else {
                    "Sender"
                },
            ),
        ),
        Protocol::S3 => (
            "application/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
                 <Message>{message}</Message><RequestId>{id}</RequestId></Error>"
            ),
        ),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if protocol == Protocol::RestJson {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    }
    let name = match protocol {
        Protocol::S3 => "x-amz-request-id",
        _ => "x-amzn-requestid",
    };
    headers.extend(HeaderValue::try_from(id).map(|id| (header::HeaderName::from_static(name), id)));
    Some(response)
}

fn status_and_code(
    protocol: Protocol,
    call: &Call,
    fault: Fault,
) -> Option<(StatusCode, &'static str)> {
    let is_even = call.number.is_multiple_of(2);
    Some(match (fault, protocol, call.service.as_str()) {
        (Fault::Disconnected(_), ..) => return None,

        (Fault::Throttled, Protocol::S3, _) => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        (Fault::Throttled, Protocol::RestJson, _) => {
            (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException")
        }
        (Fault::Throttled, Protocol::Query, _) => (StatusCode::BAD_REQUEST, "Throttling"),
        // Both have both, for different limits.
        (Fault::Throttled, Protocol::Json, "dynamodb") if is_even => (
            StatusCode::BAD_REQUEST,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        ),
        (Fault::Throttled, Protocol::Json, "dynamodb") => (
            StatusCode::BAD_REQUEST,
            "com.amazon.coral.availability#ThrottlingException",
        ),
        (Fault::Throttled, Protocol::Json, "rekognition") if is_even => (
            StatusCode::BAD_REQUEST,
            "ProvisionedThroughputExceededException",
        ),
        (Fault::Throttled, Protocol::Json, _) => (StatusCode::BAD_REQUEST, "ThrottlingException"),

        (Fault::InternalError(_), Protocol::S3, _) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
        (Fault::InternalError(_), Protocol::RestJson, _) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "ServiceException")
        }
        (Fault::InternalError(_), Protocol::Json, "dynamodb") => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
        ),
        (Fault::InternalError(_), Protocol::Json, "rekognition") => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
        }
        (Fault::InternalError(_), Protocol::Json | Protocol::Query, _) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure")
        }

        (Fault::Unavailable(_), ..) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    })
}

fn status_message(fault: Fault) -> &'static str {
    match fault {
        Fault::Throttled => "Rate exceeded",
        Fault::InternalError(_) => "An internal error occurred",
        Fault::Unavailable(_) | Fault::Disconnected(_) => "The service is unavailable",
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn understood(request: http::request::Builder, body: &str) -> (Protocol, String, String) {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let (protocol, call) = understand(&head, body.as_bytes());
        (protocol, call.service, call.operation)
    }

    fn signed(service: &str) -> http::request::Builder {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=ASIA/20260101/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=00"
        );
        Request::builder().header("authorization", authorization)
    }

    #[test]
    fn a_call_is_known_by_the_name_that_aws_gives_the_operation() {
        for (service, operation, name) in [
            ("dynamodb", "PutItem", "PutItem"),
            ("dynamodb", "PutItem", "putitem"),
            ("s3", "GetObject", "GetObject"),
            ("s3", "HEAD object", "HeadObject"),
            ("s3", "GET bucket list-type", "ListObjectsV2"),
            (
                "lambda",
                "POST /2015-03-31/functions/f/invocations",
                "Invoke",
            ),
        ] {
            let call = Call {
                service: service.to_owned(),
                operation: operation.to_owned(),
                number: 1,
            };
            assert!(call.is(service, name), "{operation}");
            assert!(!call.is("sqs", name) && !call.is(service, "GetItem"));
        }
    }

    #[test]
    fn operations_are_found_in_every_protocol() {
        let expected = |protocol, service: &str, operation: &str| {
            (protocol, service.to_owned(), operation.to_owned())
        };
        assert_eq!(
            understood(
                signed("dynamodb")
                    .method("POST")
                    .header("x-amz-target", "DynamoDB_20120810.PutItem"),
                "{}"
            ),
            expected(Protocol::Json, "dynamodb", "PutItem")
        );
        assert_eq!(
            understood(
                signed("cloudformation")
                    .method("POST")
                    .header("content-type", "application/x-www-form-urlencoded"),
                "Version=2010-05-15&Action=ExecuteChangeSet&ChangeSetName=x"
            ),
            expected(Protocol::Query, "cloudformation", "ExecuteChangeSet")
        );
        assert_eq!(
            understood(
                signed("lambda")
                    .method("POST")
                    .uri("http://h/2015-03-31/functions/f/invocations"),
                "{}"
            ),
            expected(
                Protocol::RestJson,
                "lambda",
                "POST /2015-03-31/functions/f/invocations"
            )
        );
        for (method, uri, operation) in [
            ("GET", "http://h/b/a.jpg?x-id=GetObject", "GetObject"),
            ("HEAD", "http://h/b/a%2Fb.jpg", "HEAD object"),
            (
                "GET",
                "http://h/b?list-type=2&prefix=a",
                "GET bucket list-type",
            ),
            ("POST", "http://h/b/?delete", "POST bucket delete"),
            ("GET", "http://h/", "GET service"),
        ] {
            assert_eq!(
                understood(signed("s3").method(method).uri(uri), ""),
                expected(Protocol::S3, "s3", operation)
            );
        }
        let presigned =
            "http://h/b/k?X-Amz-Credential=A%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
        assert_eq!(
            understood(Request::builder().uri(presigned), ""),
            expected(Protocol::S3, "s3", "GET object")
        );
        assert_eq!(
            understood(Request::builder().uri("http://h/x"), ""),
            expected(Protocol::RestJson, "", "GET /x")
        );
    }
}
