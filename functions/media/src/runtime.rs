//! What every function does before its first event: logging, configuration, clients.
//!
//! The AWS configuration is made by hand from the variables that Lambda sets. The
//! SDK's default chain would look for profiles, containers and instance metadata,
//! none of which a function has, and would bring their code into every zip.
//!
//! Connections are opened while the function starts, when Lambda gives it the
//! most CPU, and not by the first request: with TLS that is the longest
//! part of it. All clients share one pool of connections.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::endpoint::EndpointFuture;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::BodyExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing::{debug, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::key::BucketName;
use crate::service_error::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest silence of a service. Rekognition may look at a large image for seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that takes longer is left to the first request. Lambda stops a
/// function that does not start within 10 seconds.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a function until Lambda ends it: `main` in all but name. An error
/// is one of starting, and is logged like any other. `crate_name` is the function's.
pub async fn run<F>(crate_name: &str, function: F) -> ExitCode
where
    F: Future<Output = Result<(), lambda_runtime::Error>>,
{
    log_json(
        crate_name,
        Environment::of_process().get("AWS_LAMBDA_LOG_LEVEL"),
    );
    match function.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(
                error = chain(error.as_ref()),
                "the function could not start"
            );
            ExitCode::FAILURE
        }
    }
}

/// Hands the payload of each event to `handle`, and its answer back to Lambda, until
/// Lambda ends the process.
pub async fn serve<P, R, E>(
    handle: impl AsyncFn(P) -> Result<R, E>,
) -> Result<(), lambda_runtime::Error>
where
    P: DeserializeOwned,
    R: Serialize,
    E: Into<Diagnostic>,
{
    let handle = &handle;
    // Boxed, because the SDK's futures nest deeper than the compiler looks.
    let service = service_fn(|event: LambdaEvent<P>| {
        Box::pin(async move { handle(event.payload).await.map_err(Into::into) })
    });
    lambda_runtime::run::<_, _, _, R, _, _, _>(service).await
}

/// One JSON object per line on standard output. Lines of a request carry its id in
/// `span.requestId`, by the span that the Lambda runtime opens for each.
///
/// `level` is Lambda's setting for application logs; without it, `INFO`. It is for our
/// own crates. Others tell only of trouble: further down they write whole events,
/// and signed requests with the session's token.
fn log_json(crate_name: &str, level: Option<&str>) {
    let level = match level {
        Some("FATAL") => LevelFilter::ERROR,
        level => level
            .and_then(|level| level.parse().ok())
            .unwrap_or(LevelFilter::INFO),
    };
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("lambda_runtime::layers::trace", LevelFilter::INFO)
        .with_target("media", level)
        .with_target(crate_name, level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .init();
}

/// The environment variables, as they were when the function started.
#[derive(Debug, Clone)]
pub struct Environment(BTreeMap<String, String>);

/// A variable that the function cannot do without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the environment variable {0} is not set: Lambda or the function's stack sets it; by hand, set it before starting"
)]
pub struct MissingVariable(String);

impl Environment {
    /// The variables of this process. One that is not UTF-8 is none of ours.
    pub fn of_process() -> Self {
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable's value. An empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be there.
    pub fn require(&self, name: &str) -> Result<String, MissingVariable> {
        let value = self.get(name).map(String::from);
        value.ok_or_else(|| MissingVariable(name.into()))
    }

    /// The bucket that the catalogue is of.
    pub fn bucket(&self) -> Result<BucketName, MissingVariable> {
        self.require("MEDIA_BUCKET_NAME").map(BucketName::new)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// An AWS service that functions call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon Rekognition.
    Rekognition,
}

impl Service {
    /// The variable that AWS's SDKs read for another endpoint of this service alone.
    fn endpoint_variable(self) -> &'static str {
        match self {
            Self::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Rekognition => "AWS_ENDPOINT_URL_REKOGNITION",
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
        Self::with_connector(environment, https_connector(environment))
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
    pub fn config(&self, service: Service) -> SdkConfig {
        let connector = self.connector.clone();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(self.region.clone())
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        config.set_endpoint_url(self.custom_endpoint(service).map(String::from));
        config.build()
    }

    /// Opens a connection to each service and leaves it in the pool, so that the first
    /// request finds it there. A failure is not reported: if it lasts, the
    /// request will meet it, and tell more.
    pub async fn open_connections(&self, services: &[Service]) {
        let mut attempts = JoinSet::new();
        for &service in services {
            let aws = self.clone();
            attempts.spawn(async move {
                let result = timeout(WARM_UP_TIMEOUT, aws.open_connection(service)).await;
                let failure = match result {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => chain(error.as_ref()),
                    Err(elapsed) => elapsed.to_string(),
                };
                debug!(?service, failure, "no connection opened in advance");
            });
        }
        attempts.join_all().await;
    }

    async fn open_connection(&self, service: Service) -> Result<(), Box<dyn Error + Send + Sync>> {
        let endpoint = match self.custom_endpoint(service) {
            Some(url) => url.to_owned(),
            None => self.default_endpoint(service).await?,
        };
        // AWS's endpoints answer this without credentials. Whatever the answer, the
        // connection is there; it must be read to its end for it to be used again.
        let ping = HttpRequest::get(format!("{}/ping", endpoint.trim_end_matches('/')))?;
        let response = self.connector.call(ping).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    fn custom_endpoint(&self, service: Service) -> Option<&str> {
        let of_service = self.environment.get(service.endpoint_variable());
        of_service.or_else(|| self.environment.get("AWS_ENDPOINT_URL"))
    }

    /// The URL by the SDK's own rules, so that it is the one the client will use.
    async fn default_endpoint(
        &self,
        service: Service,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let region = self.region.as_ref();
        let endpoint = match service {
            Service::DynamoDb => {
                use aws_sdk_dynamodb::config::endpoint::{
                    DefaultResolver, Params, ResolveEndpoint,
                };
                let params = Params::builder().region(region).build()?;
                resolved(DefaultResolver::new().resolve_endpoint(&params)).await?
            }
            Service::Rekognition => {
                use aws_sdk_rekognition::config::endpoint::{
                    DefaultResolver, Params, ResolveEndpoint,
                };
                let params = Params::builder().region(region).build()?;
                resolved(DefaultResolver::new().resolve_endpoint(&params)).await?
            }
        };
        Ok(endpoint)
    }
}

async fn resolved(endpoint: EndpointFuture<'_>) -> Result<String, Box<dyn Error + Send + Sync>> {
    Ok(endpoint.await?.url().to_owned())
}

fn https_connector(environment: &Environment) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
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

    use crate::catalogue::Catalogue;
    use crate::dynamodb::{DynamoCatalogue, Tables};
    use crate::key::ObjectKey;

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
    fn a_missing_variable_is_named() {
        for empty in [
            Environment::from_iter([("A", "a")]),
            Environment::from_iter([("NAME", "")]),
        ] {
            let message = empty.require("NAME").unwrap_err().to_string();
            assert!(message.contains("NAME is not set"), "{message}");
        }
        assert_eq!(environment(&[("NAME", "x")]).require("NAME").unwrap(), "x");
    }

    #[test]
    fn roots_that_the_environment_names_are_left_to_the_default() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let environment = environment(&[(name, "/etc/own")]);
            assert!(environment.bundled_roots().is_none());
        }
    }

    #[test]
    fn a_services_own_endpoint_comes_first() {
        let aws = Aws::new(&environment(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_REKOGNITION", "http://127.0.0.1:2"),
        ]))
        .unwrap();
        let endpoint = |service| aws.config(service).endpoint_url().map(String::from);
        assert_eq!(endpoint(Service::DynamoDb).unwrap(), "http://127.0.0.1:1");
        assert_eq!(
            endpoint(Service::Rekognition).unwrap(),
            "http://127.0.0.1:2"
        );
    }

    #[tokio::test]
    async fn without_one_the_endpoint_is_awss() {
        let aws = Aws::new(&environment(&[])).unwrap();
        assert_eq!(aws.config(Service::DynamoDb).endpoint_url(), None);
        for (service, expected) in [
            (
                Service::DynamoDb,
                "https://dynamodb.eu-central-1.amazonaws.com",
            ),
            (
                Service::Rekognition,
                "https://rekognition.eu-central-1.amazonaws.com",
            ),
        ] {
            assert_eq!(aws.default_endpoint(service).await.unwrap(), expected);
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
        let tables = Tables {
            media: "media".into(),
            state: "state".into(),
        };
        let catalogue = DynamoCatalogue::new(&aws, tables);
        aws.open_connections(&[Service::DynamoDb]).await;
        assert_eq!(requests.load(Ordering::SeqCst), 1);

        let name = ObjectKey::new("dog.jpg").unwrap();
        assert_eq!(catalogue.state(&name).await.unwrap(), None);
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_does_not_stop_the_start() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let aws = Aws::new(&environment(&[("AWS_ENDPOINT_URL", &url)])).unwrap();
        aws.open_connections(&[Service::DynamoDb, Service::Rekognition])
            .await;
    }
}
