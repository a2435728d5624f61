//! Clients of AWS: their configuration and their connections.
//!
//! The AWS configuration is made by hand from the variables that Lambda sets. The
//! SDK's default chain would look for profiles, containers and instance metadata,
//! none of which a function has, and would bring their code into every zip.
//!
//! Connections are opened while the function starts, when Lambda gives it the
//! most CPU, and not by the first request: with TLS that is the longest
//! part of it. All clients share one pool of connections.
//!
//! ```no_run
//! use runtime::aws::{Aws, Service};
//! use runtime::dynamodb;
//! use runtime::environment::Environment;
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::of_process();
//! let aws = Aws::new(&environment)?;
//! let orders = dynamodb::client(&aws);
//! aws.open_connections(&[Service::DYNAMODB]).await;
//! # Ok(())
//! # }
//! ```

mod connector;
mod service;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::endpoint::ResolveEndpoint;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::Boxed;
use crate::environment::{Environment, MissingVariable};
use crate::service_error::chain;

pub use service::Service;

use connector::http_connector;
use service::BoxError;

/// One attempt of a call of a service that answers in milliseconds, and all of them.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that takes longer is left to the first request. Lambda stops a
/// function that does not start within 10 seconds.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(1);

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

    /// Configuration of a client of a service that answers in milliseconds, with short timeouts: a
    /// function that meets one of them ends with an error that names the call, and not with
    /// Lambda's timeout.
    pub(crate) fn config_with_timeouts(&self, service: Service<'_>) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        self.config(service)
            .into_builder()
            .timeout_config(timeouts)
            .build()
    }

    /// Opens a connection to each service and leaves it in the pool, so that the first
    /// request finds it there. A failure is not reported: if it lasts, the
    /// request will meet it, and tell more.
    pub fn open_connections<'a>(&'a self, services: &'a [Service<'_>]) -> Boxed<'a, ()> {
        // Not an `async fn`, whose code would be compiled with each function.
        Box::pin(async move {
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
        })
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

    /// The URL of a bucket.
    pub(crate) async fn bucket_url(&self, bucket: &str) -> Result<String, BoxError> {
        let service = Service::s3(bucket);
        let url = self.endpoint(service).await?;
        let url = url.trim_end_matches('/');
        Ok(match self.custom_endpoint(service) {
            Some(_) => format!("{url}/{bucket}"),
            None => url.to_owned(),
        })
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn region(&self) -> &str {
        self.region.as_ref()
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
