//! What Amazon API Gateway's endpoint of an HTTP API is on AWS: the address that
//! clients call.
//!
//! MiniStack serves HTTP APIs under a long path of its own port. The front door
//! has a port of its own, so that URLs look as they do on AWS, and adds what
//! MiniStack lacks of API Gateway's behaviour:
//!
//! - **The path is decoded twice**, and cut at the first `?` in between. Functions
//!   see the result. So clients reach a key that holds `%` or `?` only by encoding
//!   it twice (`100%.jpg` is `/100%2525.jpg`), and `/100%25.jpg` is a bad request.
//!   AWS does not document this; it is what live HTTP APIs were seen to do
//!   (`vokerhttp/testdata/ingress-paths.json` in the repository `hotsock/voker`).
//!   MiniStack decodes once, see `emulator.py`; hence the second encoding here.
//! - A request line and header values of more than 10 240 bytes together are refused,
//!   bodies of more than 10 MB as well, and a function that takes longer than 30 s is
//!   given up ("Quotas for configuring and running an HTTP API in API Gateway" in the
//!   developer guide). AWS does not document the status of the first: it is 431 here.
//! - A body that is not complete after 30 s is given up with 408 and the end of the
//!   connection. AWS does not document how long it waits.
//!
//! A function URL has a front door as well. Its paths are passed on as they come.
//!
//! An API is public, and answers any program on this machine. Pages of other origins
//! are answered as the API's CORS configuration says, and nobody under the name of
//! another host; see the crate `loopback`. The emulator behind takes such requests from
//! the stage's own servers only, which have its key.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{self, Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode, percent_encode, utf8_percent_encode,
};
use tokio::sync::watch;
use traces::{HttpRequest, What};
use tracing::{info, warn};

use crate::observer::now_ms;
use crate::server::{BoxError, Server, client, refusal, remove_hop_by_hop};
use crate::{Error, Keys, Observer, STAGE_KEY_HEADER};

/// By which the emulator knows that this server has let a request pass: see `door.py`.
const STAGE_KEY: HeaderName = HeaderName::from_static(STAGE_KEY_HEADER);
/// The path as the client has signed it, if it has.
const SIGNED_PATH: HeaderName = HeaderName::from_static("x-local-stage-path");

/// The identifier of the request, which the emulator notes as the cause of what it leads to: see `observed.py`.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-local-stage-request");

/// Of the request line and the values of all headers.
const MAX_HEAD_BYTES: usize = 10_240;
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything but RFC 3986's unreserved characters and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The emulator takes ASCII only, API Gateway takes UTF-8 as well. Escapes stay as they are.
const QUERY: &AsciiSet = CONTROLS;

/// What a front door leads to, by the identifier that its service gave to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiId {
    /// An HTTP API of API Gateway.
    HttpApi(String),
    /// A URL of a Lambda function.
    FunctionUrl(String),
}

/// A running server that passes requests on to one HTTP API in the emulator.
/// Dropping it stops it.
#[derive(Debug)]
pub struct FrontDoor {
    api: watch::Sender<Option<ApiId>>,
    integration_timeout: watch::Sender<Option<Duration>>,
    server: Server,
}

impl FrontDoor {
    /// Listens on 127.0.0.1 at `port` (0: any that is free). Until an API is
    /// [set](Self::set_api), requests are answered with 503.
    pub async fn start(
        port: u16,
        emulator_endpoint: &str,
        keys: &Keys,
        observer: &Observer,
    ) -> Result<Self, Error> {
        let (api, watched_api) = watch::channel(None);
        let (integration_timeout, watched_timeout) = watch::channel(Some(INTEGRATION_TIMEOUT));
        let forwarder = Forwarder::new(
            emulator_endpoint,
            keys,
            watched_api,
            watched_timeout,
            port,
            observer.clone(),
        );
        let forwarder = Arc::new(forwarder);
        let answer = move |request| {
            let forwarder = Arc::clone(&forwarder);
            async move { Ok::<_, Infallible>(forwarder.answer(request).await) }
        };
        let server = Server::start("the API", port, answer).await?;
        Ok(Self {
            api,
            integration_timeout,
            server,
        })
    }

    /// The URL that the API has for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.server.port())
    }

    /// From now on, requests wait for their answers for as long as it takes: somebody may debug
    /// the function.
    pub fn lift_timeout(&self) {
        self.integration_timeout.send_replace(None);
    }

    /// From now on, requests go to the `$default` stage of this API.
    pub fn set_api(&self, id: ApiId) {
        self.api.send_replace(Some(id));
    }

    /// Accepts no more connections, and waits a moment for answers under way.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

type Body = Either<Incoming, Full<Bytes>>;

/// An answer that does not come from the function: a status, and the `message`
/// that API Gateway sends with it.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(StatusCode, &'static str);

impl From<Refusal> for Response<Body> {
    fn from(Refusal(status, message): Refusal) -> Self {
        let mut response = refusal(status, message).map(Either::Right);
        if status == StatusCode::REQUEST_TIMEOUT {
            // What the client still sends is the rest of the body, not another request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

struct Forwarder {
    client: Client<HttpConnector, Full<Bytes>>,
    emulator_endpoint: String,
    stage_key: String,
    api: watch::Receiver<Option<ApiId>>,
    integration_timeout: watch::Receiver<Option<Duration>>,
    port: u16,
    observer: Observer,
}

impl Forwarder {
    fn new(
        emulator_endpoint: &str,
        keys: &Keys,
        api: watch::Receiver<Option<ApiId>>,
        integration_timeout: watch::Receiver<Option<Duration>>,
        port: u16,
        observer: Observer,
    ) -> Self {
        Self {
            client: client(),
            emulator_endpoint: emulator_endpoint.to_owned(),
            stage_key: keys.stage_key.clone(),
            api,
            integration_timeout,
            port,
            observer,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (started, started_ms) = (Instant::now(), now_ms());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let id = self.observer.new_id();
        let answer = self.forward(request, &id).await;
        let response = answer.unwrap_or_else(Response::from);
        let status = response.status().as_u16();
        let took = started.elapsed();
        info!(
            %method,
            path,
            status,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        self.observer.add(What::Http(Box::new(HttpRequest {
            id,
            port: self.port,
            method: method.to_string(),
            path,
            started_ms,
            duration_ms: took.as_secs_f64() * 1000.0,
            status,
        })));
        response
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        id: &str,
    ) -> Result<Response<Body>, Refusal> {
        loopback::admit_to_public_api(request.method(), request.headers())
            .map_err(|stranger| Refusal(StatusCode::FORBIDDEN, stranger.message()))?;
        let (mut head, body) = request.into_parts();
        if head_bytes(&head) > MAX_HEAD_BYTES {
            return Err(Refusal(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Request Header Fields Too Large",
            ));
        }
        let uri = self.target(&head.uri)?;
        remove_hop_by_hop(&mut head.headers);
        for (name, value) in [
            (STAGE_KEY, &*self.stage_key),
            (SIGNED_PATH, head.uri.path()),
            (REQUEST_ID, id),
        ] {
            let value = HeaderValue::try_from(value)
                .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Bad Request"))?;
            head.headers.insert(name, value);
        }
        head.uri = uri;

        // API Gateway too has the whole body before it calls the function.
        let request = Request::from_parts(head, Full::new(whole(body, BODY_TIMEOUT).await?));

        let unavailable = Refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        let timeout = *self.integration_timeout.borrow();
        let answer = tokio::time::timeout(
            timeout.unwrap_or(Duration::MAX),
            self.client.request(request),
        );
        match answer.await {
            Ok(Ok(mut response)) => {
                remove_hop_by_hop(response.headers_mut());
                Ok(response.map(Either::Left))
            }
            Ok(Err(error)) => {
                warn!(%error, "the emulator did not answer");
                Err(unavailable)
            }
            Err(_) => {
                warn!(
                    "the function did not answer within 30 s, which is as long as API Gateway waits"
                );
                Err(unavailable)
            }
        }
    }

    /// Where the emulator serves what a client asks for.
    fn target(&self, requested: &Uri) -> Result<Uri, Refusal> {
        let api = self.api.borrow().clone();
        let Some(api) = api else {
            return Err(Refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "The local stage is still being deployed. Try again in a moment.",
            ));
        };
        let bad_request = Refusal(StatusCode::BAD_REQUEST, "Bad Request");
        let emulator = &self.emulator_endpoint;
        let mut target = match api {
            ApiId::HttpApi(api) => {
                let Some(path) = path_for_functions(requested.path()) else {
                    warn!(
                        path = requested.path(),
                        "API Gateway decodes a path twice: send a percent sign as %2525"
                    );
                    return Err(bad_request);
                };
                let path = percent_encode(&path, PATH);
                format!("{emulator}/_aws/execute-api/{api}/$default{path}")
            }
            ApiId::FunctionUrl(id) => {
                format!("{emulator}/_aws/lambda-url/{id}{}", requested.path())
            }
        };
        if let Some(query) = requested.query() {
            target.push('?');
            target.extend(utf8_percent_encode(query, QUERY));
        }
        target.parse().map_err(|_| bad_request)
    }
}

/// The bytes that API Gateway counts: those of the request line and of the headers' values.
fn head_bytes(head: &Parts) -> usize {
    let request_line = format!("{} {} {:?}", head.method, head.uri, head.version);
    let values = head.headers.values().map(HeaderValue::len);
    request_line.len() + values.sum::<usize>()
}

/// A whole body, if it is not too large and comes in time.
async fn whole<B>(body: B, timeout: Duration) -> Result<Bytes, Refusal>
where
    B: body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large",
        )),
        Ok(Err(_)) => Err(Refusal(StatusCode::BAD_REQUEST, "Bad Request")),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "Request Timeout")),
    }
}

/// The path as a function sees it, or nothing where API Gateway refuses it.
fn path_for_functions(requested: &str) -> Option<Vec<u8>> {
    let mut once = decode(requested.as_bytes())?;
    if let Some(query) = once.iter().position(|byte| *byte == b'?') {
        once.truncate(query);
    }
    decode(&once).filter(|path| path.starts_with(b"/"))
}

/// Nothing if a percent sign is not followed by two hexadecimal digits.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let is_escape = |(index, _): (usize, &u8)| {
        text.get(index + 1..index + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(is_escape)
        .then(|| percent_decode(text).collect())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    fn seen(path: &str) -> Option<String> {
        path_for_functions(path).map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn paths_are_decoded_as_api_gateway_was_seen_to() {
        for (sent, expected) in [
            ("/plain.jpg", Some("/plain.jpg")),
            ("/space%20value", Some("/space value")),
            ("/question%3Fvalue", Some("/question")),
            ("/percent%25done", None),
            ("/hash%23value", Some("/hash#value")),
            ("/slash%2Fvalue", Some("/slash/value")),
            ("/%CE%BB-%E4%B8%96", Some("/λ-世")),
            ("/literal%252Fvalue", Some("/literal/value")),
            ("/literal%253Fvalue", Some("/literal?value")),
            ("/literal%2525value", Some("/literal%value")),
        ] {
            assert_eq!(seen(sent).as_deref(), expected, "{sent}");
        }
    }

    #[test]
    fn paths_keep_plus_signs_and_empty_segments() {
        assert_eq!(seen("/a+b//c/").as_deref(), Some("/a+b//c/"));
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        for sent in ["*", "", "/%", "/%4", "/%zz", "/%25zz"] {
            assert_eq!(seen(sent), None, "{sent}");
        }
    }

    #[test]
    fn the_request_line_and_the_values_of_headers_count() {
        let request = Request::get("/é?b").header("name", "four");
        let (head, ()) = request.header("name", "").body(()).unwrap().into_parts();
        assert_eq!(head_bytes(&head), "GET /é?b HTTP/1.1".len() + 4);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        struct Endless;
        impl body::Body for Endless {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<body::Frame<Bytes>, Infallible>>> {
                Poll::Pending
            }
        }
        let refusal = whole(Endless, Duration::ZERO).await.unwrap_err();
        assert_eq!(refusal.0, StatusCode::REQUEST_TIMEOUT);
        let response = Response::<Body>::from(refusal);
        assert_eq!(response.headers()[header::CONNECTION], "close");
    }

    #[test]
    fn requests_go_to_the_default_stage_with_their_query_untouched() {
        let (sender, receiver) = watch::channel(None);
        let keys = Keys::random().unwrap();
        let (_, timeout) = watch::channel(None);
        let forwarder = Forwarder::new(
            "http://127.0.0.1:1",
            &keys,
            receiver,
            timeout,
            8000,
            Observer::new().unwrap(),
        );
        let target = |uri: &'static str| forwarder.target(&Uri::from_static(uri));
        assert_eq!(target("/").unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);

        sender.send_replace(Some(ApiId::HttpApi("abc".to_owned())));
        let base = "http://127.0.0.1:1/_aws/execute-api/abc/$default";
        for (requested, expected) in [
            ("/", "/"),
            ("/?a=%2B+b&empty=", "/?a=%2B+b&empty="),
            ("/a%20b%2Fc+d%252525.jpg?", "/a%20b/c%2Bd%2525.jpg?"),
        ] {
            assert_eq!(
                target(requested).unwrap().to_string(),
                format!("{base}{expected}")
            );
        }
        // As curl sends what is not encoded.
        let unencoded = Uri::from_maybe_shared("/?startswith=café%20".as_bytes()).unwrap();
        assert_eq!(
            forwarder.target(&unencoded).unwrap().to_string(),
            format!("{base}/?startswith=caf%C3%A9%20")
        );
        assert_eq!(
            target("/100%25.jpg"),
            Err(Refusal(StatusCode::BAD_REQUEST, "Bad Request"))
        );
        sender.send_replace(Some(ApiId::FunctionUrl("def".to_owned())));
        assert_eq!(
            target("/100%25.jpg?a=b").unwrap().to_string(),
            "http://127.0.0.1:1/_aws/lambda-url/def/100%25.jpg?a=b"
        );
    }
}
