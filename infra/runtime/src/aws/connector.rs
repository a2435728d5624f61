//! How requests are sent: by HTTP/1.1 with TLS, or without it where no endpoint speaks it.
//!
//! The connector of `aws-smithy-http-client` would do, but it brings HTTP/2, which the services that functions call do
//! not speak, proxies, and a client for each way to connect: together a sixth of a function's zip. This one keeps its
//! timeouts and the way it tells errors apart, which decides what the SDK tries again.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fs, io};

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{self, CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tower_service::Service as TowerService;

use super::service::{BoxError, Service};
use crate::environment::Environment;

/// How long the parts of a call may take.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    connect: Duration,
    /// The longest silence of a service. Rekognition may look at a large image for seconds.
    read: Duration,
}

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    read: Duration::from_secs(15),
};

/// The pool of connections that all clients of a function share.
pub(crate) fn http_connector(environment: &Environment) -> SharedHttpConnector {
    let roots = if environment.speaks_plain_http() {
        RootCertStore::empty()
    } else {
        environment.roots()
    };
    SharedHttpConnector::new(Http::new(roots, TIMEOUTS))
}

/// Sends requests over connections that it keeps.
#[derive(Debug)]
struct Http {
    client: Client<Connect, SdkBody>,
    read_timeout: Duration,
}

impl Http {
    fn new(roots: RootCertStore, timeouts: Timeouts) -> Self {
        let mut tcp = connect::HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connect = Connect {
            https: HttpsConnector::from((tcp, tls(roots))),
            timeout: timeouts.connect,
        };
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connect),
            read_timeout: timeouts.read,
        }
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || describe(&connection));
        }
        let response = self.client.request(request);
        let after = self.read_timeout;
        HttpConnectorFuture::new(async move {
            match timeout(after, response).await {
                Ok(Ok(response)) => HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                    .map_err(|error| ConnectorError::other(error.into(), None)),
                Ok(Err(error)) => Err(classify(error)),
                Err(_) => Err(ConnectorError::timeout(
                    TimedOut {
                        what: "read",
                        after,
                    }
                    .into(),
                )),
            }
        })
    }
}

/// The connection of a request, as the SDK wants to know it: after some failures, it has the connection closed.
fn describe(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let close = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    let metadata = ConnectionMetadata::builder();
    Some(metadata.proxied(false).poison_fn(close).build())
}

/// The SDK tries again what failed by time or in transit.
fn classify(error: legacy::Error) -> ConnectorError {
    let is_io = |error| source::<io::Error>(error).is_some();
    if source::<TimedOut>(&error).is_some() {
        return ConnectorError::timeout(error.into());
    }
    match source::<hyper::Error>(&error) {
        Some(cause) if cause.is_timeout() => ConnectorError::timeout(error.into()),
        Some(cause) if cause.is_user() => ConnectorError::user(error.into()),
        Some(cause) if cause.is_closed() || cause.is_canceled() || is_io(cause) => {
            ConnectorError::io(error.into())
        }
        // S3 closes connections in the middle of an answer now and then.
        Some(cause) if cause.is_incomplete_message() => {
            ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
        }
        None if error.is_connect() || is_io(&error) => ConnectorError::io(error.into()),
        _ => ConnectorError::other(error.into(), None),
    }
}

/// The first error of this type among an error and its causes.
fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    errors.find_map(|error| error.downcast_ref())
}

/// Opens connections, in the time that it may take.
#[derive(Debug, Clone)]
struct Connect {
    https: HttpsConnector<connect::HttpConnector>,
    timeout: Duration,
}

type Connection = <HttpsConnector<connect::HttpConnector> as TowerService<Uri>>::Response;

impl TowerService<Uri> for Connect {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connection = self.https.call(to);
        let after = self.timeout;
        Box::pin(async move {
            let connection = timeout(after, connection).await;
            connection.unwrap_or_else(|_| {
                let what = "connect";
                Err(TimedOut { what, after }.into())
            })
        })
    }
}

#[derive(Debug)]
struct TimedOut {
    what: &'static str,
    after: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, after } = self;
        write!(f, "HTTP {what} timeout occurred after {after:?}")
    }
}

impl Error for TimedOut {}

/// TLS 1.2 and 1.3, with every cipher that ring has.
fn tls(roots: RootCertStore) -> ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    #[expect(
        clippy::expect_used,
        reason = "ring has ciphers for both versions of TLS"
    )]
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3");
    config.with_root_certificates(roots).with_no_client_auth()
}

/// Where Amazon Linux and Debian keep all root certificates in one file.
const ROOT_BUNDLES: [&str; 2] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];

impl Environment {
    /// Whether no service has an endpoint with TLS, as on the local stage. Reading root certificates would be half of a
    /// function's start there.
    fn speaks_plain_http(&self) -> bool {
        let is_plain = |url: &str| url.to_ascii_lowercase().starts_with("http://");
        self.get("AWS_ENDPOINT_URL").is_some_and(is_plain)
            && Service::IDS.iter().all(|id| {
                let of_service = self.get(&format!("AWS_ENDPOINT_URL_{id}"));
                of_service.is_none_or(is_plain)
            })
    }

    /// The root certificates that services are checked by: those that the environment names, or else the system's.
    fn roots(&self) -> RootCertStore {
        let certificates = self
            .bundled_roots()
            .unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        roots
    }

    /// The system's root certificates, read from one file. `rustls-native-certs` looks for them in
    /// that file and in hundreds more that hold the same, which takes as long as all
    /// the rest of starting a function.
    ///
    /// `None` leaves it to `rustls-native-certs`: when the environment names other roots, and
    /// when the file is not there or is not wholly readable.
    fn bundled_roots(&self) -> Option<Vec<CertificateDer<'static>>> {
        if self
            .get("SSL_CERT_FILE")
            .or_else(|| self.get("SSL_CERT_DIR"))
            .is_some()
        {
            return None;
        }
        let pem = ROOT_BUNDLES.iter().find_map(|path| fs::read(path).ok())?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        certificates
            .ok()
            .filter(|certificates| !certificates.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use crate::service_error::chain;

    const SHORT: Timeouts = Timeouts {
        connect: Duration::from_millis(50),
        read: Duration::from_millis(50),
    };

    /// A server that does the same with each connection. Returns its address.
    async fn serve<F>(answer: fn(TcpStream) -> F) -> String
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection));
            }
        });
        address
    }

    async fn is_silent(connection: TcpStream) {
        std::future::pending::<()>().await;
        drop(connection);
    }

    async fn breaks_off(mut connection: TcpStream) {
        let _ = connection.read(&mut [0; 1024]).await;
        let _ = connection.write_all(b"HTTP/1.1 200").await;
    }

    /// Answers each request with the port that its connection comes from.
    async fn tells_the_port(mut connection: TcpStream) {
        let port = connection.peer_addr().unwrap().port();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{port:05}");
        while connection
            .read(&mut [0; 1024])
            .await
            .is_ok_and(|bytes| bytes > 0)
        {
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    async fn failure(timeouts: Timeouts, url: String) -> ConnectorError {
        let http = Http::new(RootCertStore::empty(), timeouts);
        http.call(HttpRequest::get(url).unwrap()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_silent_service_is_a_timeout() {
        let address = serve(is_silent).await;
        for (scheme, part) in [("http", "read"), ("https", "connect")] {
            let timeouts = match part {
                "read" => Timeouts {
                    connect: TIMEOUTS.connect,
                    ..SHORT
                },
                _ => Timeouts {
                    read: TIMEOUTS.read,
                    ..SHORT
                },
            };
            let error = failure(timeouts, format!("{scheme}://{address}/")).await;
            assert!(error.is_timeout(), "{error:?}");
            let text = chain(&error);
            let expected = format!("HTTP {part} timeout occurred after 50ms");
            assert!(text.contains(&expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_service_that_cannot_be_reached_is_an_io_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = failure(TIMEOUTS, format!("http://{address}/")).await;
        assert!(error.is_io(), "{error:?}");
        let text = chain(&error);
        assert!(
            text.contains("tcp connect error: Connection refused"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_transient() {
        let address = serve(breaks_off).await;
        let error = failure(TIMEOUTS, format!("http://{address}/")).await;
        assert_eq!(error.as_other(), Some(ErrorKind::TransientError));
    }

    #[tokio::test]
    async fn connections_are_kept_until_the_sdk_gives_them_up() {
        let address = serve(tells_the_port).await;
        let http = Http::new(RootCertStore::empty(), TIMEOUTS);
        let call = async || {
            let mut request = HttpRequest::get(format!("http://{address}/")).unwrap();
            let capture = CaptureSmithyConnection::new();
            request.add_extension(capture.clone());
            let response = http.call(request).await.unwrap();
            let body = http_body_util::BodyExt::collect(response.into_body())
                .await
                .unwrap();
            (capture.get().unwrap(), body.to_bytes())
        };
        let (connection, first) = call().await;
        let (_, second) = call().await;
        assert_eq!(first, second);
        connection.poison();
        let (_, third) = call().await;
        assert_ne!(second, third);
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn roots_that_the_environment_names_are_left_to_the_default() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let environment = environment(&[(name, "/etc/own")]);
            assert!(environment.bundled_roots().is_none());
        }
    }

    #[test]
    fn root_certificates_are_spared_only_where_every_endpoint_is_plain_http() {
        let plain = |more: &[(&str, &str)]| environment(more).speaks_plain_http();
        let local = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        assert!(plain(&[local]));
        assert!(plain(&[
            local,
            ("AWS_ENDPOINT_URL_S3", "HTTP://127.0.0.1:2")
        ]));
        assert!(!plain(&[]));
        assert!(!plain(&[("AWS_ENDPOINT_URL", "https://127.0.0.1:1")]));
        assert!(!plain(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")]));
        for service in [Service::DYNAMODB, Service::REKOGNITION, Service::s3("b")] {
            let own = format!("AWS_ENDPOINT_URL_{}", service.id);
            assert!(!plain(&[local, (&own, "https://127.0.0.1:2")]));
        }
    }
}
