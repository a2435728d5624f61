//! `delete`: the stack, what its buckets hold, and its code packages.

use deploy::{DeleteSpec, Progress};

use crate::cli;
use crate::context::Context;
use crate::error::Result;
use crate::terminal::{confirm, json, spinner, status, table, warn};
use crate::verbs::deploy::{artifact_prefix, decide, show};

pub(crate) async fn run(args: &cli::Delete) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let target = context.connect().await?;
    let app = &context.app;
    let stack = app.stack_name();
    let retains_data = app.stage().production;
    if target.outputs(&stack).await?.is_none() {
        status(
            "Absent",
            format!("{stack} is not deployed: nothing to delete"),
        );
        return Ok(());
    }
    if !args.yes {
        let data = if retains_data {
            "its buckets and tables stay"
        } else {
            "with all objects and items in it"
        };
        confirm(
            &format!(
                "Delete stack {stack} in {} of account {}, {data}?",
                target.region, target.account
            ),
            "--yes",
        )?;
    }
    let working = spinner(format!("deleting {stack}"));
    let report = |progress: Progress| show(&working, &progress);
    let deleted = target
        .delete(
            &DeleteSpec {
                stack: &stack,
                tags: app.tags(),
                retains_data,
                bootstrap_stack: &app.bootstrap_stack_name(),
                artifact_prefix: &artifact_prefix(&context),
            },
            &|question| decide(&working, question, args.yes),
            &report,
        )
        .await;
    working.finish_and_clear();
    let deleted = deleted?.unwrap_or_default();
    if args.json {
        return json(&deleted);
    }
    let rows: Vec<Vec<String>> = deleted
        .resources
        .iter()
        .map(|resource| {
            vec![
                "deleted".to_owned(),
                resource.resource_type.clone(),
                resource.physical_id.clone(),
            ]
        })
        .collect();
    table(&rows);
    status(
        "Deleted",
        format!(
            "{stack}: {} resources, {} object versions, {} code packages",
            deleted.resources.len(),
            deleted.object_versions,
            deleted.artifacts
        ),
    );
    if retains_data {
        warn("this is a production stage: its buckets and tables were kept");
    }
    Ok(())
}
