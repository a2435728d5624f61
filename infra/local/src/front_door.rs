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
//! - Bodies of more than 10 MB are refused, and a function that takes longer than
//!   30 s is given up ("Quotas for HTTP APIs" in API Gateway's developer guide).
//!
//! An API is public, and answers any program on this machine. Pages of other origins
//! are answered as the API's CORS configuration says, and nobody under the name of
//! another host; see the crate `loopback`. The emulator behind takes such requests from
//! the stage's own servers only, which have its key.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::server::{Server, client, refusal, remove_hop_by_hop};
use crate::{Error, Keys, STAGE_KEY_HEADER};

/// By which the emulator knows that this server has let a request pass: see `door.py`.
const STAGE_KEY: HeaderName = HeaderName::from_static(STAGE_KEY_HEADER);
/// The path as the client has signed it, if it has.
const SIGNED_PATH: HeaderName = HeaderName::from_static("x-local-stage-path");

const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything but RFC 3986's unreserved characters and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The identifier that API Gateway gave to an HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiId(String);

impl From<String> for ApiId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// A running server that passes requests on to one HTTP API in the emulator.
/// Dropping it stops it.
#[derive(Debug)]
pub struct FrontDoor {
    api: watch::Sender<Option<ApiId>>,
    server: Server,
}

impl FrontDoor {
    /// Listens on 127.0.0.1 at `port` (0: any that is free). Until an API is
    /// [set](Self::set_api), requests are answered with 503.
    pub async fn start(port: u16, emulator_endpoint: &str, keys: &Keys) -> Result<Self, Error> {
        let (api, watched_api) = watch::channel(None);
        let forwarder = Arc::new(Forwarder::new(emulator_endpoint, keys, watched_api));
        let answer = move |request| {
            let forwarder = Arc::clone(&forwarder);
            async move { Ok::<_, Infallible>(forwarder.answer(request).await) }
        };
        let server = Server::start("the API", port, answer).await?;
        Ok(Self { api, server })
    }

    /// The URL that the API has for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.server.port())
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
        refusal(status, message).map(Either::Right)
    }
}

struct Forwarder {
    client: Client<HttpConnector, Full<Bytes>>,
    emulator_endpoint: String,
    stage_key: String,
    api: watch::Receiver<Option<ApiId>>,
}

impl Forwarder {
    fn new(emulator_endpoint: &str, keys: &Keys, api: watch::Receiver<Option<ApiId>>) -> Self {
        Self {
            client: client(),
            emulator_endpoint: emulator_endpoint.to_owned(),
            stage_key: keys.stage_key.clone(),
            api,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let response = self.forward(request).await.unwrap_or_else(Response::from);
        info!(
            %method,
            path,
            status = response.status().as_u16(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        response
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        loopback::admit_to_public_api(request.method(), request.headers())
            .map_err(|stranger| Refusal(StatusCode::FORBIDDEN, stranger.message()))?;
        let uri = self.target(request.uri())?;
        let (mut head, body) = request.into_parts();
        remove_hop_by_hop(&mut head.headers);
        for (name, value) in [
            (STAGE_KEY, &*self.stage_key),
            (SIGNED_PATH, head.uri.path()),
        ] {
            let value = HeaderValue::try_from(value)
                .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Bad Request"))?;
            head.headers.insert(name, value);
        }
        head.uri = uri;

        // API Gateway too has the whole body before it calls the function.
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            } else {
                Refusal(StatusCode::BAD_REQUEST, "Bad Request")
            }
        })?;
        let request = Request::from_parts(head, Full::new(body.to_bytes()));

        let unavailable = Refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        match tokio::time::timeout(INTEGRATION_TIMEOUT, self.client.request(request)).await {
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
        let Some(ApiId(api)) = api else {
            return Err(Refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "The local stage is still being deployed. Try again in a moment.",
            ));
        };
        let bad_request = Refusal(StatusCode::BAD_REQUEST, "Bad Request");
        let Some(path) = path_for_functions(requested.path()) else {
            warn!(
                path = requested.path(),
                "API Gateway decodes a path twice: send a percent sign as %2525"
            );
            return Err(bad_request);
        };
        let path = percent_encode(&path, PATH);
        let emulator = &self.emulator_endpoint;
        let mut target = format!("{emulator}/_aws/execute-api/{api}/$default{path}");
        if let Some(query) = requested.query() {
            target.push('?');
            target.push_str(query);
        }
        target.parse().map_err(|_| bad_request)
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
    fn requests_go_to_the_default_stage_with_their_query_untouched() {
        let (sender, receiver) = watch::channel(None);
        let keys = Keys::random().unwrap();
        let forwarder = Forwarder::new("http://127.0.0.1:1", &keys, receiver);
        let target = |uri: &'static str| forwarder.target(&Uri::from_static(uri));
        assert_eq!(target("/").unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);

        sender.send_replace(Some(ApiId("abc".to_owned())));
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
        assert_eq!(
            target("/100%25.jpg"),
            Err(Refusal(StatusCode::BAD_REQUEST, "Bad Request"))
        );
    }
}
