//! `bench`: what each function costs on this machine, without AWS.
//!
//! The packaged binary runs as on Lambda, against a Runtime API on the loopback interface
//! that hands it the sample event of `assets/events/<function>.json`. AWS itself is played
//! by a server that answers at once, so the figures are the function's own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use manifest::Architecture;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::build::{self, Profile};
use crate::cli;
use crate::elf::Requirements;
use crate::error::{AboutFile, CliError, Result};
use crate::package;
use crate::terminal::{human_bytes, json, spinner, status, table};
use crate::workspace::{LOCAL, Workspace};

/// How long a function may take for anything before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct Figures {
    function: String,
    zip_bytes: u64,
    init_ms: f64,
    first_event_ms: f64,
    warm_p50_ms: f64,
    warm_p99_ms: f64,
    peak_memory_bytes: Option<u64>,
}

pub(crate) async fn run(workspace: &Workspace, args: &cli::Bench) -> Result<()> {
    let mut stage = workspace.stage(LOCAL)?;
    // Any name but `local` builds as for AWS; this machine's processor, so that it runs here.
    "bench".clone_into(&mut stage.name);
    let app = workspace.resolve(&stage)?;
    status("Building", "the functions as for AWS");
    let packages = package::package(workspace, &app)?.functions;

    let aws_port = serve_aws().await?;
    let working = spinner("measuring");
    let mut figures = Vec::new();
    for package in packages {
        let function = package.artifact.function;
        let event = sample_event(workspace, &function)?;
        working.set_message(format!("measuring {function}"));
        let process = || Command::new(&package.binary);
        let mut inits = Vec::new();
        let mut firsts = Vec::new();
        for _ in 0..args.starts {
            let run = measure(process(), &event, 1, aws_port).await?;
            inits.push(run.init);
            firsts.push(run.events[0]);
        }
        let warm = measure(process(), &event, args.events + 1, aws_port).await?;
        let mut events = warm.events[1..].to_vec();
        figures.push(Figures {
            function,
            zip_bytes: package.artifact.zip_bytes,
            init_ms: quantile_ms(&mut inits, 0.5),
            first_event_ms: quantile_ms(&mut firsts, 0.5),
            warm_p50_ms: quantile_ms(&mut events, 0.5),
            warm_p99_ms: quantile_ms(&mut events, 0.99),
            peak_memory_bytes: warm.peak_memory_bytes,
        });
    }
    working.finish_and_clear();
    if args.json {
        return json(&figures);
    }
    let mut rows = vec![
        [
            "FUNCTION",
            "ZIP",
            "INIT",
            "FIRST EVENT",
            "WARM P50",
            "WARM P99",
            "PEAK MEMORY",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(figures.into_iter().map(|figures| {
        vec![
            figures.function,
            human_bytes(figures.zip_bytes),
            format!("{:.1} ms", figures.init_ms),
            format!("{:.2} ms", figures.first_event_ms),
            format!("{:.2} ms", figures.warm_p50_ms),
            format!("{:.2} ms", figures.warm_p99_ms),
            figures
                .peak_memory_bytes
                .map_or_else(|| "-".to_owned(), human_bytes),
        ]
    }));
    table(&rows)?;
    status(
        "Measured",
        format!(
            "medians of {} starts; {} warm events each; init is from exec to the first request for an event",
            args.starts, args.events
        ),
    );
    Ok(())
}

/// Where Debian and Ubuntu put arm64's C library (`libc6-arm64-cross`). What is not there is
/// looked up as on arm64 itself.
const ARM64_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// Builds the app's first function for arm64, as for Lambda, and lets it answer its sample event
/// twice, in an emulated processor. To be called in a tokio runtime.
pub(crate) async fn answer_on_arm64(workspace: &Workspace, emulator: &str) -> Result<()> {
    let app = workspace.declared_app()?;
    let Some(function) = app.functions().map(manifest::Function::name).next() else {
        return Ok(());
    };
    let arm64 = Architecture::Arm64;
    let built = build::build(workspace, &[function], Profile::Lambda, arm64)?;
    let executable = &built[function];
    let bytes = std::fs::read(executable).about("read", executable)?;
    Requirements::read(&bytes)?.check(arm64)?;
    let event = sample_event(workspace, function)?;
    let mut process = Command::new(emulator);
    process.args(["-L", ARM64_LIBRARIES]).arg(executable);
    measure(process, &event, 2, serve_aws().await?).await?;
    Ok(())
}

/// The event of `assets/events/<function>.json`.
fn sample_event(workspace: &Workspace, function: &str) -> Result<Vec<u8>> {
    let file = workspace
        .root()
        .join(format!("assets/events/{function}.json"));
    std::fs::read(&file).about("read", &file)
}

fn quantile_ms(durations: &mut [Duration], quantile: f64) -> f64 {
    durations.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index between 0 and the length"
    )]
    let index = (quantile * (durations.len().saturating_sub(1)) as f64).round() as usize;
    durations
        .get(index)
        .map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

/// One life of a function.
struct Run {
    init: Duration,
    /// From handing out each event to its answer.
    events: Vec<Duration>,
    peak_memory_bytes: Option<u64>,
}

/// What the function does, as the Runtime API sees it.
enum Call {
    /// It asks for the next event, and waits for it.
    Next(oneshot::Sender<Bytes>),
    /// It answers, or reports an error.
    Answer { failed: bool, body: Bytes },
}

async fn measure(mut process: Command, event: &[u8], events: usize, aws_port: u16) -> Result<Run> {
    let (calls, mut called) = mpsc::channel(1);
    let runtime_port = serve_runtime(calls).await?;
    let started = Instant::now();
    let executable = PathBuf::from(process.as_std().get_program());
    let mut process = process
        .env_clear()
        .envs(environment(runtime_port, aws_port))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .about("run", &executable)?;
    let name = executable.display();
    let mut next_call = async || match tokio::time::timeout(PATIENCE, called.recv()).await {
        Ok(Some(call)) => Ok(call),
        _ => Err(CliError::new(format!(
            "{name} did not call the Runtime API for {} s",
            PATIENCE.as_secs()
        ))),
    };
    let mut init = None;
    let mut durations = Vec::with_capacity(events);
    loop {
        let Call::Next(hand_out) = next_call().await? else {
            return Err(CliError::new(format!("{name} failed during init")));
        };
        init.get_or_insert_with(|| started.elapsed());
        if durations.len() == events {
            break;
        }
        let handed_out = Instant::now();
        let _ = hand_out.send(Bytes::copy_from_slice(event));
        let Call::Answer { failed, body } = next_call().await? else {
            return Err(CliError::new(format!(
                "{name} asked for an event before it answered the last"
            )));
        };
        if failed {
            return Err(CliError::new(format!(
                "{name} failed on its sample event: {}",
                String::from_utf8_lossy(&body)
            )));
        }
        durations.push(handed_out.elapsed());
    }
    let peak_memory_bytes = process.id().and_then(peak_memory_bytes);
    let _ = process.kill().await;
    Ok(Run {
        init: init.unwrap_or_default(),
        events: durations,
        peak_memory_bytes,
    })
}

/// The largest resident set that the process ever had; known on Linux only.
fn peak_memory_bytes(process_id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn environment(runtime_port: u16, aws_port: u16) -> HashMap<&'static str, String> {
    HashMap::from([
        (
            "AWS_LAMBDA_RUNTIME_API",
            format!("127.0.0.1:{runtime_port}"),
        ),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench".to_owned()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{aws_port}")),
        // The bucket that the sample events are about.
        ("MEDIA_BUCKET_NAME", "amzn-s3-demo-bucket".to_owned()),
        ("MEDIA_TABLE_NAME", "media".to_owned()),
        ("MEDIA_STATE_TABLE_NAME", "media-state".to_owned()),
        (
            "VIDEO_TOPIC_ARN",
            "arn:aws:sns:us-east-1:000000000000:video".to_owned(),
        ),
        (
            "VIDEO_ROLE_ARN",
            "arn:aws:iam::000000000000:role/video".to_owned(),
        ),
        ("USER_BUCKET_NAME", "amzn-s3-demo-bucket".to_owned()),
        ("USERS_TABLE_NAME", "users".to_owned()),
        ("USERS_KEY_ATTRIBUTE", "id".to_owned()),
        ("USERS_EMAIL_ATTRIBUTE", "email".to_owned()),
        ("USERS_TIMESTAMP_ATTRIBUTE", "timestamp".to_owned()),
        (
            "USERS_IS_PERSONAL_EMAIL_ATTRIBUTE",
            "IsPersonalEmail".to_owned(),
        ),
        ("PERSONAL_EMAIL_DOMAINS", "gmail.com".to_owned()),
    ])
}

/// Lambda's Runtime API, as far as a function needs it.
async fn serve_runtime(calls: mpsc::Sender<Call>) -> Result<u16> {
    serve(move |request: Request<Incoming>| {
        let calls = calls.clone();
        async move {
            let path = request.uri().path().to_owned();
            let mut response = Response::new(Full::default());
            if path.ends_with("/invocation/next") {
                let (hand_out, event) = oneshot::channel();
                let _ = calls.send(Call::Next(hand_out)).await;
                // The last request of a process is never answered: it is killed.
                *response.body_mut() = Full::new(event.await.unwrap_or_default());
                let headers = response.headers_mut();
                headers.insert(
                    "lambda-runtime-aws-request-id",
                    hyper::header::HeaderValue::from_static("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                );
                headers.insert(
                    "lambda-runtime-deadline-ms",
                    hyper::header::HeaderValue::from_static("4102444800000"),
                );
                headers.insert(
                    "lambda-runtime-invoked-function-arn",
                    hyper::header::HeaderValue::from_static(
                        "arn:aws:lambda:us-east-1:000000000000:function:bench",
                    ),
                );
            } else {
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes)
                    .unwrap_or_default();
                // A batch of records may fail although its invocation succeeds.
                let failed = !path.ends_with("/response")
                    || String::from_utf8_lossy(&body).contains("itemIdentifier");
                let _ = calls.send(Call::Answer { failed, body }).await;
                *response.status_mut() = StatusCode::ACCEPTED;
            }
            response
        }
    })
    .await
}

/// AWS, as far as the functions' sample events need it: an image with two labels, and
/// tables without any history.
async fn serve_aws() -> Result<u16> {
    serve(|request: Request<Incoming>| async move {
        let target = request
            .headers()
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let _ = request.into_body().collect().await;
        let body = match target.rsplit('.').next().unwrap_or_default() {
            "DetectLabels" => r#"{"Labels":[{"Name":"Animal","Confidence":97.5,"Instances":[],"Parents":[]},{"Name":"Cat","Confidence":95.1,"Instances":[],"Parents":[{"Name":"Animal"}]}],"LabelModelVersion":"3.0"}"#,
            "Scan" => r#"{"Items":[{"name":{"S":"sample.jpg"},"type":{"S":"image"},"labels":{"L":[{"S":"Animal"},{"S":"Cat"}]}}],"Count":1,"ScannedCount":1}"#,
            _ => "{}",
        };
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/x-amz-json-1.0"));
        response
    })
    .await
}

/// Serves HTTP/1.1 on a free port of the loopback interface until the process ends.
async fn serve<H, F>(handle: H) -> Result<u16>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(|error| CliError::new(format!("could not listen on 127.0.0.1: {error}")))?;
    let port = listener
        .local_addr()
        .map_err(|error| CliError::new(format!("could not listen on 127.0.0.1: {error}")))?
        .port();
    let handle = Arc::new(handle);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let handle = Arc::clone(&handle);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = handle(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // A connection ends when its function is killed.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_durations() {
        let mut durations: Vec<Duration> = (1..=101).rev().map(Duration::from_millis).collect();
        assert!((quantile_ms(&mut durations, 0.5) - 51.0).abs() < 1e-9);
        assert!((quantile_ms(&mut durations, 0.99) - 100.0).abs() < 1e-9);
    }
}
