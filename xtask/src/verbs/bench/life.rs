//! One life of a function: a process that asks Lambda's Runtime API for events.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use super::sample::Sample;
use super::server::serve;
use crate::error::{AboutFile, CliError, Result};

/// How long a function may take for anything before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// One life of a function.
pub(super) struct Life {
    /// From the start to the first request for an event.
    pub(super) init: Duration,
    /// From handing out each event to its answer.
    pub(super) events: Vec<Duration>,
    pub(super) peak_memory_bytes: Option<u64>,
}

/// What the function does, as the Runtime API sees it.
enum Call {
    /// It asks for the next event, and waits for it.
    Next(oneshot::Sender<Bytes>),
    /// It answers, or reports an error.
    Answer { failed: bool, body: Bytes },
}

/// Starts a function and hands it its sample event so many times.
pub(super) async fn measure(mut process: Command, sample: &Sample, events: usize) -> Result<Life> {
    let (calls, mut called) = mpsc::channel(1);
    let runtime_port = serve_runtime(calls).await?;
    let started = Instant::now();
    let executable = PathBuf::from(process.as_std().get_program());
    let mut process = process
        .env_clear()
        .envs(environment(runtime_port, sample.aws_port))
        .envs(&sample.variables)
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
        let _ = hand_out.send(sample.event.clone());
        let Call::Answer { failed, body } = next_call().await? else {
            return Err(CliError::new(format!(
                "{name} asked for an event before it answered the last"
            )));
        };
        if failed {
            return Err(CliError::new(format!(
                "{name} failed on its sample event: {}",
                String::from_utf8_lossy(&body)
            ))
            .hint(format!(
                "see whether {} has what AWS answers to the function's calls",
                sample.answers_file
            )));
        }
        durations.push(handed_out.elapsed());
    }
    let peak_memory_bytes = process.id().and_then(peak_memory_bytes);
    let _ = process.kill().await;
    Ok(Life {
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

/// What Lambda tells every function.
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
    ])
}

/// The part of Lambda's Runtime API that a function needs.
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
