//! `info`: what is deployed, and how it fares.

use std::collections::BTreeMap;

use manifest::Function;

use crate::cli;
use crate::context::Context;
use crate::error::Result;
use crate::terminal::{human_bytes, json, line, table, warn};

pub(crate) async fn run(args: &cli::Info) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let target = context.connect().await?;
    let names: Vec<String> = context
        .app
        .functions()
        .map(Function::physical_name)
        .collect();
    let queues: BTreeMap<String, String> = context
        .app
        .functions()
        .filter_map(|function| Some((function.name().to_owned(), function.failure_queue_output()?)))
        .collect();
    let status = target
        .status(&context.app.stack_name(), &names, &queues)
        .await?
        .ok_or_else(|| context.not_deployed())?;
    if args.json {
        return json(&status);
    }
    let mut rows = vec![
        vec!["stack".to_owned(), status.stack.clone()],
        vec!["state".to_owned(), status.state.clone()],
        vec![
            "region".to_owned(),
            format!("{} of account {}", status.region, status.account),
        ],
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
    table(&rows)?;
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
            human_bytes(u64::try_from(function.code_bytes).unwrap_or_default()),
        ]
    }));
    table(&rows)?;
    line("")?;
    let mut rows = vec![
        ["FAILED EVENTS OF", "COUNT", "QUEUE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(status.failure_queues.iter().map(|queue| {
        vec![
            queue.function.clone(),
            queue.events.to_string(),
            queue.url.clone(),
        ]
    }));
    table(&rows)?;
    let failed: u64 = status.failure_queues.iter().map(|queue| queue.events).sum();
    if failed > 0 {
        warn(format!(
            "{failed} events could not be handled: `cargo xtask redrive <function> --dry-run` shows them"
        ));
    }
    Ok(())
}
