//! The built command, how it is asked, and what it asks in turn.

use std::{
    convert::Infallible,
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use aws_sdk_rekognition::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Where the weights are.
#[derive(Clone)]
pub(crate) struct Weights {
    pub(crate) model: PathBuf,
    pub(crate) detector: PathBuf,
}

impl Weights {
    pub(crate) fn from_environment() -> Option<Self> {
        let path = |variable| env::var_os(variable).map(PathBuf::from);
        Some(Self {
            model: path("REKOGNITION_MODEL")?,
            detector: path("REKOGNITION_DETECTOR")?,
        })
    }
}

/// The built command, without what this process was told of weights and AWS.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekognition-local"));
    for variable in [
        "REKOGNITION_MODEL",
        "REKOGNITION_DETECTOR",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
    ] {
        command.env_remove(variable);
    }
    command
}

/// A running endpoint. Dropping it closes its standard input, which ends it.
pub(crate) struct Endpoint {
    pub(crate) process: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) url: String,
}

impl Endpoint {
    /// Starts the command with these arguments and those that every endpoint has.
    pub(crate) fn start<'a>(
        weights: &Weights,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut process = command()
            .args(["--port", "0", "--exit-with-stdin", "--model"])
            .arg(&weights.model)
            .arg("--detector")
            .arg(&weights.detector)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("listening on ");
        let url = url.expect("the line that says where").to_owned();
        let stdin = process.stdin.take();
        Self {
            process,
            stdin,
            url,
        }
    }

    /// A client that tries once.
    pub(crate) fn client(&self, access_key: &str) -> Client {
        let config = aws_sdk_rekognition::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(access_key, "test", None, None, "test"))
            .endpoint_url(&self.url)
            .retry_config(RetryConfig::disabled())
            .http_client(
                Builder::new()
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_https(),
            )
            .build();
        Client::from_conf(config)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves what the endpoint asks of AWS, for as long as the runtime lives. Returns the URL.
pub(crate) async fn serve<F>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> String
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}
