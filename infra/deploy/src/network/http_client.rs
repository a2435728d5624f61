//! The HTTP client of all calls: it goes through proxies, trusts the user's certificate
//! authorities, and gives up on an endpoint that does not answer.
//!
//! The SDK's own limits do not fit. Its read timeout ends a long upload, however fast it goes. Its
//! operation timeout ends the retries of calls that AWS throttles. And it reads a body for ever
//! whose bytes come one by one. Here, each byte that goes either way restarts the clock, and an
//! answer must come at a minimum rate.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::Result;
use crate::network::answer::Answered;
use crate::network::certificates::Authorities;
use crate::network::proxy::{Proxies, Proxy};

/// How long a request waits, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For a connection, with all that it takes: the host's address, the proxy, TLS.
    pub(crate) connect: Duration,
    /// For the next byte, either way.
    pub(crate) silence: Duration,
    /// For an answer that comes more slowly than [`SLOWEST_BYTES_PER_SECOND`].
    pub(crate) slow: Duration,
    /// How long `xtask` waits before it says for what.
    pub(crate) tell: Duration,
}

impl Limits {
    /// Two attempts end within a minute. AWS answers each of these calls within seconds.
    pub(crate) const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        silence: Duration::from_secs(25),
        slow: Duration::from_secs(45),
        tell: Duration::from_secs(5),
    };
}

/// Below the rate of any link that can upload a function.
const SLOWEST_BYTES_PER_SECOND: f64 = 1000.0;

/// The operating system can buffer this much of an upload before it sends anything.
const BUFFERED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The link speed that is assumed while the operating system sends its buffer.
const UPLOAD_BYTES_PER_SECOND: u64 = 64 * 1024;

/// The attempts at a call whose endpoint does not answer in time.
const SILENT_ATTEMPTS_MAX: u32 = 2;

/// The attempts at a call whose endpoint has never answered. An endpoint that has answered before
/// gets more attempts: a laptop may have changed its network during a deployment.
const UNREACHED_ATTEMPTS_MAX: u32 = 4;

/// From this attempt on, `xtask` says at once what it waits for.
const TOLD_ATTEMPT: u32 = 3;

/// Tells the user what the tool waits for: `for …`.
pub(crate) type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// An [`HttpClient`] of the SDK.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    proxies: Proxies,
    tls: TlsContext,
    limits: Limits,
    tell: Tell,
    connectors: Mutex<HashMap<Way, SharedHttpConnector>>,
    /// The endpoints that have answered.
    answered: Mutex<HashSet<String>>,
    /// The endpoints that a message to the user has named.
    told: Mutex<HashSet<String>>,
    used: AtomicBool,
}

/// What connectors differ in: their timeout for connections, and the proxy by its name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Way {
    connect: Option<Duration>,
    proxy: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(
        proxies: Proxies,
        authorities: Authorities,
        limits: Limits,
        tell: Tell,
    ) -> Result<Self> {
        let trust_store = TrustStore::empty().with_native_roots(authorities.system);
        let trust_store = match authorities.more {
            Some(pem) => trust_store.with_pem_certificate(pem),
            None => trust_store,
        };
        let tls = TlsContext::builder()
            .with_trust_store(trust_store)
            .build()
            .map_err(|error| {
                crate::Error::new("could not set up TLS").because(error.to_string())
            })?;
        Ok(Self(Arc::new(Shared {
            proxies,
            tls,
            limits,
            tell,
            connectors: Mutex::default(),
            answered: Mutex::default(),
            told: Mutex::default(),
            used: AtomicBool::new(false),
        })))
    }

    /// Makes one request of something other than AWS's API.
    pub(crate) async fn send(
        &self,
        request: HttpRequest,
    ) -> std::result::Result<HttpResponse, ConnectorError> {
        let limits = self.0.limits;
        let attempt = Attempt {
            client: Arc::clone(&self.0),
            connect: Some(limits.connect),
            silence: limits.silence,
        };
        attempt.make(request).await
    }

    /// Whether any request has been made.
    pub(crate) fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Attempt {
            client: Arc::clone(&self.0),
            connect: settings.connect_timeout(),
            silence: settings.read_timeout().unwrap_or(self.0.limits.silence),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The connector to go through a proxy, or through none. It keeps connections open.
    fn connector(
        &self,
        proxy: Option<&Proxy>,
        connect: Option<Duration>,
    ) -> std::result::Result<SharedHttpConnector, ConnectorError> {
        let way = Way {
            connect,
            proxy: proxy.map(ToString::to_string),
        };
        let mut connectors = lock(&self.connectors);
        if let Some(connector) = connectors.get(&way) {
            return Ok(connector.clone());
        }
        let config = match proxy {
            Some(proxy) => proxy
                .config()
                .map_err(|error| ConnectorError::user(error.into()))?,
            None => ProxyConfig::disabled(),
        };
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(connect);
        let connector = Connector::builder()
            .connector_settings(settings.build())
            .proxy_config(config)
            .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
            .tls_context(self.tls.clone())
            .build();
        let connector = SharedHttpConnector::new(connector);
        connectors.insert(way, connector.clone());
        Ok(connector)
    }
}

/// Makes one request.
#[derive(Clone)]
struct Attempt {
    client: Arc<Shared>,
    connect: Option<Duration>,
    silence: Duration,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

impl HttpConnector for Attempt {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let attempt = self.clone();
        HttpConnectorFuture::new(attempt.make(request))
    }
}

impl Attempt {
    async fn make(self, request: HttpRequest) -> std::result::Result<HttpResponse, ConnectorError> {
        let client = &self.client;
        client.used.store(true, Ordering::Relaxed);
        let uri: Uri = request
            .uri()
            .parse()
            .map_err(|error: http::uri::InvalidUri| ConnectorError::user(error.into()))?;
        let proxy = client.proxies.proxy_for(&uri);
        let connector = client.connector(proxy, self.connect)?;
        let endpoint = endpoint_of(&uri);
        let by = match proxy {
            Some(proxy) => format!("{endpoint}, through the proxy {proxy},"),
            None => endpoint.clone(),
        };
        let answered = Answered {
            by,
            without_body: request.method() == "HEAD",
        };
        let number = attempt_number(&request);
        let exchange = self.exchange(&connector, request);
        let outcome = tokio::select! {
            outcome = exchange => outcome,
            never = self.tell_of(&endpoint, number) => match never {},
        };
        let failed = match outcome {
            Ok(mut response) => {
                lock(&client.answered).insert(endpoint.clone());
                if response.status().as_u16() < 500 {
                    lock(&client.told).remove(&endpoint);
                }
                response.add_extension(answered);
                return Ok(response);
            }
            Err(failed) => failed,
        };
        let known = lock(&client.answered).contains(&endpoint);
        Err(failed.into_connector_error(&answered.by, number, known))
    }

    /// Sends the request and reads the whole answer.
    async fn exchange(
        &self,
        connector: &SharedHttpConnector,
        mut request: HttpRequest,
    ) -> std::result::Result<HttpResponse, Failed> {
        let sent = Arc::new(Mutex::new(Instant::now()));
        let body = request.take_body();
        let bytes = body.size_hint().lower().min(BUFFERED_BYTES_MAX);
        let silence = self.silence + Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND);
        *request.body_mut() = match body.bytes() {
            // It is handed over at once.
            Some(_) => body,
            None => SdkBody::from_body_1_x(Noted {
                body,
                sent: Arc::clone(&sent),
            }),
        };
        let mut answer = pin!(connector.call(request));
        let mut response = loop {
            let last = *lock(&sent);
            tokio::select! {
                biased;
                answer = &mut answer => break answer.map_err(Failed::Connection)?,
                () = sleep_until(last + silence) => {
                    if *lock(&sent) == last {
                        return Err(Failed::Silent(silence));
                    }
                }
            }
        };
        let body = self.read(response.take_body()).await?;
        *response.body_mut() = SdkBody::from(body);
        Ok(response)
    }

    /// Reads a body to its end.
    async fn read(&self, mut body: SdkBody) -> std::result::Result<Vec<u8>, Failed> {
        let started = Instant::now();
        let mut bytes = Vec::new();
        while let Some(frame) = timeout(self.silence, body.frame())
            .await
            .map_err(|_| Failed::Stalled(self.silence))?
        {
            let frame = frame.map_err(Failed::Broken)?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
            let seconds = started.elapsed();
            #[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
            let rate = bytes.len() as f64 / seconds.as_secs_f64();
            if seconds > self.client.limits.slow && rate < SLOWEST_BYTES_PER_SECOND {
                return Err(Failed::Slow(seconds));
            }
        }
        Ok(bytes)
    }

    /// Tells the user, once, what takes so long: an answer, or call after call that fails.
    /// A request for instance metadata is not announced, because most machines have none.
    async fn tell_of(&self, endpoint: &str, number: Option<u32>) -> Infallible {
        let attempts = number.unwrap_or_default();
        if attempts < TOLD_ATTEMPT {
            sleep(self.client.limits.tell).await;
        }
        if number.is_some() && lock(&self.client.told).insert(endpoint.to_owned()) {
            (self.client.tell)(&if attempts < TOLD_ATTEMPT {
                format!("for {endpoint} to answer")
            } else {
                format!("for {endpoint}, attempt {attempts}")
            });
        }
        std::future::pending().await
    }
}

/// Scheme, host and port.
fn endpoint_of(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    format!("{scheme}://{authority}")
}

/// Which attempt at a call this is. Requests of the SDK's credential providers for a container
/// or an instance do not tell.
fn attempt_number(request: &HttpRequest) -> Option<u32> {
    let info = request.headers().get("amz-sdk-request")?;
    let number = info
        .split(';')
        .find_map(|part| part.trim().strip_prefix("attempt="))?;
    number.parse().ok()
}

/// A body that notes when a part of it was last taken.
struct Noted {
    body: SdkBody,
    sent: Arc<Mutex<Instant>>,
}

impl Body for Noted {
    type Data = <SdkBody as Body>::Data;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Self::Data>, Self::Error>>> {
        let noted = self.get_mut();
        let frame = ready!(Pin::new(&mut noted.body).poll_frame(context));
        *lock(&noted.sent) = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    /// The connection could not be made, or ended before the answer.
    Connection(ConnectorError),
    /// It ended in the middle of the answer.
    Broken(<SdkBody as Body>::Error),
    /// No answer began.
    Silent(Duration),
    /// No more of the answer came.
    Stalled(Duration),
    /// The answer came too slowly.
    Slow(Duration),
}

/// What the user is told when there is no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    text: String,
    pub(crate) cause: Cause,
}

/// Why there was no answer, by what the user can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The certificate is not one of a known authority, or not for this host.
    Certificate,
    /// The proxy wants to know who asks.
    ProxyPassword,
    /// What listens there does not speak this protocol.
    Protocol,
    /// Anything else.
    Network,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for NoAnswer {}

impl Failed {
    /// `known` says whether the endpoint has answered before.
    fn into_connector_error(self, by: &str, attempt: Option<u32>, known: bool) -> ConnectorError {
        let (text, cause, again) = match self {
            Self::Silent(limit) => (
                format!("{by} did not answer within {} s", limit.as_secs()),
                Cause::Network,
                attempt.is_none_or(|number| number < SILENT_ATTEMPTS_MAX),
            ),
            Self::Stalled(limit) => (
                format!(
                    "{by} stopped in the middle of its answer: nothing more came for {} s",
                    limit.as_secs()
                ),
                Cause::Network,
                attempt.is_none_or(|number| number < SILENT_ATTEMPTS_MAX),
            ),
            Self::Slow(taken) => (
                format!(
                    "{by} answers too slowly: the answer was not complete after {} s",
                    taken.as_secs()
                ),
                Cause::Network,
                false,
            ),
            Self::Broken(error) => (
                format!(
                    "{by} broke off in the middle of its answer: {}",
                    innermost(&*error)
                ),
                Cause::Network,
                true,
            ),
            Self::Connection(error) => {
                let (text, cause) = told(by, &error);
                let limit = if error.is_timeout() {
                    SILENT_ATTEMPTS_MAX
                } else if known {
                    u32::MAX
                } else {
                    UNREACHED_ATTEMPTS_MAX
                };
                let passes = error.is_timeout()
                    || error.is_io()
                    || matches!(error.as_other(), Some(ErrorKind::TransientError));
                (
                    text,
                    cause,
                    passes
                        && cause == Cause::Network
                        && attempt.is_none_or(|number| number < limit),
                )
            }
        };
        let told = Box::new(NoAnswer { text, cause });
        if again {
            ConnectorError::io(told)
        } else {
            ConnectorError::other(told, None)
        }
    }
}

/// Says why there was no connection.
fn told(by: &str, error: &ConnectorError) -> (String, Cause) {
    let find = |is: fn(&(dyn StdError + 'static)) -> bool| chain(error).any(is);
    let tls = chain(error).find_map(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            return (
                format!("the certificate of {by} was not accepted: {why}"),
                Cause::Certificate,
            );
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            return (
                format!("{by} does not answer in TLS, which https:// asks for"),
                Cause::Protocol,
            );
        }
        _ => {}
    }
    if find(|error| error.downcast_ref().is_some_and(hyper::Error::is_parse)) {
        return (
            format!("what answers at {by} does not speak HTTP"),
            Cause::Protocol,
        );
    }
    let connecting = find(|error| {
        error
            .downcast_ref()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    });
    let why = innermost(error);
    // The proxy's connector has errors of a type that is not public.
    if let Some(refusal) = why.strip_prefix("tunnel error: ") {
        let (why, cause) = match refusal {
            "proxy authorization required" => {
                ("the proxy asks for a password", Cause::ProxyPassword)
            }
            "unsuccessful" => ("the proxy refused to connect to it", Cause::Network),
            _ => (refusal, Cause::Network),
        };
        return (format!("{by} could not be reached: {why}"), cause);
    }
    if error.is_timeout() {
        (
            format!("{by} could not be reached: no connection in time"),
            Cause::Network,
        )
    } else if connecting {
        (format!("{by} could not be reached: {why}"), Cause::Network)
    } else {
        (
            format!("{by} ended the connection without an answer: {why}"),
            Cause::Network,
        )
    }
}

/// An error, and what caused it, down to the first cause. An input or output error is passed
/// over by `source()` of the one that holds it.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests;
