//! `info`: what is deployed, and how it fares.

use std::collections::BTreeMap;

use deploy::{HIDDEN_AT_MOST, Status, Target};
use indicatif::DecimalBytes;
use manifest::Function;

use crate::cli;
use crate::context::Context;
use crate::error::Result;
use crate::output::{json, line};
use crate::table::{pairs, table};
use crate::terminal::warn;
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Info) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let target = context.connect().await?;
    let names: Vec<String> = context
        .app
        .functions()
        .map(Function::physical_name)
        .collect();
    let status = status_of(&context, &target, &names).await?;
    let status = status.ok_or_else(|| context.not_deployed(&target))?;
    if args.json {
        return json(&status);
    }
    let mut rows = vec![
        vec!["stack".to_owned(), status.stack.clone()],
        vec!["state".to_owned(), status.state.clone()],
        vec!["region".to_owned(), status.region.clone()],
        vec!["account".to_owned(), status.account.clone()],
    ];
    rows.extend(
        status
            .updated
            .iter()
            .map(|updated| vec!["updated".to_owned(), updated.clone()]),
    );
    rows.extend(
        context
            .variables(&status.outputs)
            .into_iter()
            .map(|(variable, value)| vec![variable, value]),
    );
    pairs(&rows)?;
    line("")?;
    let mut rows = vec![
        ["FUNCTION", "STATE", "MEMORY", "CODE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(status.functions.iter().map(|function| {
        vec![
            function.name.clone(),
            function.state.clone(),
            format!("{} MB", function.memory_mb),
            DecimalBytes(u64::try_from(function.code_bytes).unwrap_or_default()).to_string(),
        ]
    }));
    table(&rows)?;
    line("")?;
    let mut rows = vec![
        ["FAILED EVENTS OF", "WAITING", "HIDDEN"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(status.failure_queues.iter().map(|queue| {
        vec![
            queue.function.clone(),
            queue.events.to_string(),
            queue.hidden_events.to_string(),
        ]
    }));
    table(&rows)?;
    warn_of_failed_events(&context, &status);
    Ok(())
}

/// The stack, its failure queues, and these functions, by physical names; none if it is not deployed.
pub(super) async fn status_of(
    context: &Context,
    target: &Target,
    functions: &[String],
) -> Result<Option<Status>> {
    let queue = |function: &Function| {
        let output = function.failure_queue_output()?;
        Some((function.name().to_owned(), output))
    };
    let queues: BTreeMap<String, String> = context.app.functions().filter_map(queue).collect();
    Ok(deploy::status(target, &context.app.stack_name(), functions, &queues).await?)
}

/// A warning for each failure queue that holds events.
pub(super) fn warn_of_failed_events(context: &Context, status: &Status) {
    for queue in &status.failure_queues {
        let (function, events) = (&queue.function, queue.events);
        let stage = &context.app.stage().name;
        if events > 0 {
            let wait = if events == 1 {
                "event waits"
            } else {
                "events wait"
            };
            warn(format!(
                "{events} {wait} in the failure queue of {function}: see `cargo xtask redrive {function} --stage {stage} --dry-run`"
            ));
        }
        if queue.hidden_events > 0 {
            warn(hidden_events(queue.hidden_events, function));
        }
    }
}

/// What a user must know of events that are hidden at the moment.
pub(crate) fn hidden_events(count: u64, function: &str) -> String {
    let seconds = HIDDEN_AT_MOST.as_secs();
    let (events, are, them) = match count {
        1 => ("event", "is", "it"),
        _ => ("events", "are", "them"),
    };
    format!(
        "{count} {events} in the failure queue of {function} {are} hidden: another `redrive` holds {them}, or ended without putting {them} back; SQS shows {them} again within {seconds} seconds"
    )
}
