//! `wait`: until the local stage has handled all events.

use std::time::Instant;

use local::UnderWay;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::stage_client::StageClient;
use crate::terminal::{spinner, status};
use crate::verbs::info::{status_of, warn_of_failed_events};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Wait) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let Some(local) = &context.local else {
        return Err(CliError::misuse(format!(
            "`wait` works on the local stage only, and {} is another stage",
            context.app.stage().name
        ))
        .hint("`cargo xtask logs --follow` shows what the functions do"));
    };
    let client = StageClient::new();
    let started = Instant::now();
    let bar = spinner("waiting for the local stage");
    let quiet = loop {
        let under_way: Result<UnderWay> = client.get(&local.quiet_url).await;
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
    // An event that has failed for good is handled, too.
    let target = context.connect().await?;
    if let Some(deployed) = status_of(&context, &target, &[]).await? {
        warn_of_failed_events(&context, &deployed);
    }
    Ok(())
}

/// What is under way, in words.
fn describe(under_way: &UnderWay) -> String {
    let count = |count: u64, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {}", many.trim_end_matches('s'))),
        count => Some(format!("{count} {many}")),
    };
    let parts: Vec<String> = [
        count(under_way.events, "events"),
        count(under_way.video_jobs, "videos"),
        count(under_way.shards, "streams"),
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
