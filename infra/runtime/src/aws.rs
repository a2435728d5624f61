//! Clients of AWS: their configuration and their connections.
//!
//! The AWS configuration is made by hand from the variables that Lambda sets. The
//! SDK's default chain would look for profiles, containers and instance metadata,
//! none of which a function has, and would bring their code into every zip.
//!
//! Connections are opened while the function starts, when Lambda gives it the
//! most CPU, and not by the first request: with TLS that is the longest
//! part of it. All clients share one pool of connections.

use std::error::Error;
use std::fs;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::endpoint::{
    EndpointResolverParams, ResolveEndpoint, SharedEndpointResolver,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::BodyExt;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::environment::{Environment, MissingVariable};
use crate::service_error::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest silence of a service. Rekognition may look at a large image for seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// One attempt of a call of S3, and all of them.
const S3_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const S3_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that takes longer is left to the first request. Lambda stops a
/// function that does not start within 10 seconds.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// An AWS service that functions call.
///
/// Not an enum: the rules for endpoints are large, and this way the linker leaves those
/// of services that a function does not name out of its zip.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// As in the variable that AWS's SDKs read for another endpoint of this service alone.
    id: &'static str,
    bucket: Option<&'a str>,
    rules: fn(region: &str, bucket: Option<&str>) -> Result<Rules, BoxError>,
}

/// The SDK's own rules for endpoints of one service, and what to apply them to.
type Rules = (SharedEndpointResolver, EndpointResolverParams);

type BoxError = Box<dyn Error + Send + Sync>;

impl<'a> Service<'a> {
    /// Of all services.
    const IDS: [&'static str; 3] = ["DYNAMODB", "REKOGNITION", "S3"];

    /// Amazon DynamoDB.
    pub const DYNAMODB: Self = Self {
        id: "DYNAMODB",
        bucket: None,
        rules: |region, _| {
            use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let params = Params::builder().region(region).build()?;
            Ok((
                DefaultResolver::new().into_shared_resolver(),
                EndpointResolverParams::new(params),
            ))
        },
    };

    /// Amazon Rekognition.
    pub const REKOGNITION: Self = Self {
        id: "REKOGNITION",
        bucket: None,
        rules: |region, _| {
            use aws_sdk_rekognition::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let params = Params::builder().region(region).build()?;
            Ok((
                DefaultResolver::new().into_shared_resolver(),
                EndpointResolverParams::new(params),
            ))
        },
    };

    /// Amazon S3, as far as it is about one bucket: each has a host of its own, unless a custom
    /// endpoint is the host of all. [`Aws::s3_client`] makes the client.
    pub const fn s3(bucket: &'a str) -> Self {
        Self {
            id: "S3",
            bucket: Some(bucket),
            rules: |region, bucket| {
                use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
                let params = Params::builder()
                    .region(region)
                    .set_bucket(bucket.map(String::from))
                    .build()?;
                Ok((
                    DefaultResolver::new().into_shared_resolver(),
                    EndpointResolverParams::new(params),
                ))
            },
        }
    }
}

/// What the clients of all services share.
#[derive(Debug, Clone)]
pub struct Aws {
    environment: Environment,
    credentials: Credentials,
    region: Region,
    connector: SharedHttpConnector,
}

impl Aws {
    /// Reads region and credentials, which Lambda sets, and makes the pool of
    /// connections. The credentials of a process never change: Lambda starts
    /// another process before they expire.
    pub fn new(environment: &Environment) -> Result<Self, MissingVariable> {
        Self::with_connector(environment, http_connector(environment))
    }

    /// As [`Aws::new`], with another way to send requests.
    pub(crate) fn with_connector(
        environment: &Environment,
        connector: SharedHttpConnector,
    ) -> Result<Self, MissingVariable> {
        let credentials = Credentials::new(
            environment.require("AWS_ACCESS_KEY_ID")?,
            environment.require("AWS_SECRET_ACCESS_KEY")?,
            environment.get("AWS_SESSION_TOKEN").map(String::from),
            None,
            "environment",
        );
        Ok(Self {
            environment: environment.clone(),
            credentials,
            region: Region::new(environment.require("AWS_REGION")?),
            connector,
        })
    }

    /// Configuration of a service's client.
    pub fn config(&self, service: Service<'_>) -> SdkConfig {
        let connector = self.connector.clone();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(self.region.clone())
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        config.set_endpoint_url(self.custom_endpoint(service).map(String::from));
        config.build()
    }

    /// A client of S3 for one bucket. S3 answers in some ten milliseconds.
    pub fn s3_client(&self, bucket: &str) -> aws_sdk_s3::Client {
        let config = self.config(Service::s3(bucket));
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(S3_ATTEMPT_TIMEOUT)
            .operation_timeout(S3_TIMEOUT)
            .build();
        let config = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(config.endpoint_url().is_some())
            .timeout_config(timeouts)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Opens a connection to each service and leaves it in the pool, so that the first
    /// request finds it there. A failure is not reported: if it lasts, the
    /// request will meet it, and tell more.
    pub async fn open_connections(&self, services: &[Service<'_>]) {
        let mut attempts = JoinSet::new();
        for &service in services {
            let aws = self.clone();
            let id = service.id;
            let endpoint = self.endpoint(service).await;
            attempts.spawn(async move {
                let attempt = async { aws.open_connection(&endpoint?).await };
                let failure = match timeout(WARM_UP_TIMEOUT, attempt).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => chain(error.as_ref()),
                    Err(elapsed) => elapsed.to_string(),
                };
                debug!(service = id, failure, "no connection opened in advance");
            });
        }
        attempts.join_all().await;
    }

    async fn open_connection(&self, endpoint: &str) -> Result<(), BoxError> {
        // AWS's endpoints answer this without credentials. Whatever the answer, the
        // connection is there; it must be read to its end for it to be used again.
        let ping = HttpRequest::get(format!("{}/ping", endpoint.trim_end_matches('/')))?;
        let response = self.connector.call(ping).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    fn custom_endpoint(&self, service: Service<'_>) -> Option<&str> {
        let of_service = format!("AWS_ENDPOINT_URL_{}", service.id);
        let of_service = self.environment.get(&of_service);
        of_service.or_else(|| self.environment.get("AWS_ENDPOINT_URL"))
    }

    /// The URL that the service's client will use.
    async fn endpoint(&self, service: Service<'_>) -> Result<String, BoxError> {
        if let Some(url) = self.custom_endpoint(service) {
            return Ok(url.to_owned());
        }
        let (resolver, params) = (service.rules)(self.region.as_ref(), service.bucket)?;
        Ok(resolver.resolve_endpoint(&params).await?.url().to_owned())
    }
}

fn http_connector(environment: &Environment) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    if environment.speaks_plain_http() {
        let connector = Connector::builder().connector_settings(settings);
        return SharedHttpConnector::new(connector.build_http());
    }
    let mut connector = Connector::builder()
        .connector_settings(settings)
        .tls_provider(Provider::Rustls(CryptoMode::Ring));
    if let Some(tls) = environment.bundled_roots() {
        connector = connector.tls_context(tls);
    }
    SharedHttpConnector::new(connector.build())
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

    /// The system's root certificates, read from one file. The default looks for them in
    /// that file and in hundreds more that hold the same, which takes as long as all
    /// the rest of starting a function.
    ///
    /// `None` leaves it to the default: when the environment names other roots, and
    /// when the file is not there or is not wholly readable, because the connector
    /// panics at a certificate that it cannot parse.
    fn bundled_roots(&self) -> Option<TlsContext> {
        if self
            .get("SSL_CERT_FILE")
            .or_else(|| self.get("SSL_CERT_DIR"))
            .is_some()
        {
            return None;
        }
        let pem = ROOT_BUNDLES.iter().find_map(|path| fs::read(path).ok())?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .ok()?;
        let (valid, invalid) = RootCertStore::empty().add_parsable_certificates(certificates);
        if valid == 0 || invalid > 0 {
            return None;
        }
        let roots = TrustStore::empty().with_pem_certificate(pem);
        TlsContext::builder().with_trust_store(roots).build().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
    use tokio::net::{TcpListener, TcpStream};

    fn environment(more: &[(&str, &str)]) -> Environment {
        [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
        .iter()
        .chain(more)
        .copied()
        .collect()
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

    #[test]
    fn a_services_own_endpoint_comes_first() {
        let aws = Aws::new(&environment(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_REKOGNITION", "http://127.0.0.1:2"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:3"),
        ]))
        .unwrap();
        for (service, expected) in [
            (Service::DYNAMODB, "http://127.0.0.1:1"),
            (Service::REKOGNITION, "http://127.0.0.1:2"),
            (Service::s3("b"), "http://127.0.0.1:3"),
        ] {
            assert_eq!(aws.config(service).endpoint_url(), Some(expected));
        }
    }

    #[tokio::test]
    async fn without_one_the_endpoint_is_awss() {
        let aws = Aws::new(&environment(&[])).unwrap();
        for (service, expected) in [
            (
                Service::DYNAMODB,
                "https://dynamodb.eu-central-1.amazonaws.com",
            ),
            (
                Service::REKOGNITION,
                "https://rekognition.eu-central-1.amazonaws.com",
            ),
            (
                Service::s3("amzn-s3-demo-bucket"),
                "https://amzn-s3-demo-bucket.s3.eu-central-1.amazonaws.com",
            ),
        ] {
            assert_eq!(aws.config(service).endpoint_url(), None);
            assert_eq!(aws.endpoint(service).await.unwrap(), expected);
        }
    }

    /// Answers every request of a connection with an empty JSON object.
    async fn serve(connection: TcpStream, requests: &AtomicUsize) -> Option<()> {
        let mut connection = BufStream::new(connection);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if connection.read_line(&mut line).await.ok()? == 0 {
                    return None;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if line == "\r\n" {
                    break;
                }
            }
            connection.read_exact(&mut vec![0; length]).await.ok()?;
            requests.fetch_add(1, Ordering::SeqCst);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            connection.write_all(answer.as_bytes()).await.ok()?;
            connection.flush().await.ok()?;
        }
    }

    #[tokio::test]
    async fn the_first_request_uses_the_connection_opened_in_advance() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let (accepted, served) = (connections.clone(), requests.clone());
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let served = served.clone();
                tokio::spawn(async move { serve(connection, &served).await });
            }
        });

        let aws = Aws::new(&environment(&[("AWS_ENDPOINT_URL", &url)])).unwrap();
        let client = aws_sdk_dynamodb::Client::new(&aws.config(Service::DYNAMODB));
        aws.open_connections(&[Service::DYNAMODB]).await;
        assert_eq!(requests.load(Ordering::SeqCst), 1);

        client.list_tables().send().await.unwrap();
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_does_not_stop_the_start() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let aws = Aws::new(&environment(&[("AWS_ENDPOINT_URL", &url)])).unwrap();
        aws.open_connections(&[Service::DYNAMODB, Service::s3("b")])
            .await;
    }
}
