//! `wait`: until the local stage has handled all events.

use std::time::Instant;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use local::UnderWay;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::terminal::{spinner, status};

pub(crate) async fn run(args: &cli::Wait) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let Some(local) = &context.local else {
        return Err(CliError::misuse(format!(
            "only the local stage can tell what is under way, and {} is another",
            context.app.stage().name
        ))
        .hint("`cargo xtask logs --follow` shows what the functions do"));
    };
    let url: hyper::Uri = local.quiet_url.parse().map_err(CliError::new)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let started = Instant::now();
    let bar = spinner("waiting for the local stage");
    let quiet = loop {
        let under_way = ask(&client, url.clone()).await;
        match under_way {
            Ok(under_way) if under_way.is_quiet => break Ok(()),
            Ok(under_way) if started.elapsed() < args.timeout => {
                bar.set_message(format!("waiting for {}", describe(&under_way)));
            }
            Ok(under_way) => {
                break Err(CliError::new(format!(
                    "after {} s, the local stage still handles {}",
                    args.timeout.as_secs(),
                    describe(&under_way)
                ))
                .hint(
                    "`cargo xtask logs --filter ERROR` shows what fails; --timeout waits longer",
                ));
            }
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    quiet?;
    status(
        "Quiet",
        format!(
            "every event has been handled ({:.1} s)",
            started.elapsed().as_secs_f64()
        ),
    );
    Ok(())
}

type HttpClient = Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>;

async fn ask(client: &HttpClient, url: hyper::Uri) -> Result<UnderWay> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(format!(
            "the local stage did not say what is under way: {error}"
        ))
        .hint("is it still running, in the other terminal?")
    };
    let answer = client.get(url).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| failed(&error))?.to_bytes();
    if !status.is_success() {
        return Err(failed(&String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).map_err(|error| failed(&error))
}

/// What is under way, in words.
fn describe(under_way: &UnderWay) -> String {
    let count = |count: u64, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts: Vec<String> = [
        count(under_way.events, "event", "events"),
        count(under_way.video_jobs, "video", "videos"),
        count(under_way.shards, "stream", "streams"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.as_slice() {
        [] => "what has just begun".to_owned(),
        parts => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_told_in_words() {
        let under_way = UnderWay {
            events: 2,
            video_jobs: 1,
            ..UnderWay::default()
        };
        assert_eq!(describe(&under_way), "2 events, 1 video");
        assert_eq!(describe(&UnderWay::default()), "what has just begun");
    }
}
