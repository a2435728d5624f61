//! `delete`: the stack, what its buckets hold, and its code packages.

use deploy::DeleteSpec;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::json;
use crate::progress::{Show, print_timings};
use crate::question::{confirm, type_name};
use crate::table::table;
use crate::terminal::{status, tell, warn};
use crate::values;
use crate::wanted::artifact_prefix;
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Delete) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    check(args, &context)?;
    let target = context.connect().await?;
    let app = &context.app;
    let stack = app.stack_name();
    let retains_data = context.retains_data();
    ask(args, &context, &target)?;

    let show = Show::new(&format!("deleting {stack}"));
    let deleted = deploy::delete(
        &target,
        &DeleteSpec {
            stack: &stack,
            tags: app.tags(),
            retains_data,
            bootstrap_stack: &app.bootstrap_stack_name(),
            artifact_prefix: &artifact_prefix(&context),
        },
        &|question| show.decide(question, args.yes),
        &|progress| show.note(&progress),
    )
    .await;
    let timings = show.finish();
    let Some(deleted) = deleted? else {
        status(
            "Absent",
            format!("{stack} is not deployed: nothing to delete"),
        );
        return if args.json {
            json(&serde_json::Value::Null)
        } else {
            Ok(())
        };
    };
    if args.json {
        return json(&deleted);
    }
    print_timings(&timings);
    let mut rows = vec![
        ["DELETED", "TYPE", "PHYSICAL ID"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(deleted.resources.iter().map(|resource| {
        vec![
            resource.logical_id.clone(),
            resource.resource_type.clone(),
            resource.physical_id.clone(),
        ]
    }));
    table(&rows)?;
    status(
        "Deleted",
        format!(
            "{stack}: {} resources, {} object versions, {} code packages and records",
            deleted.resources.len(),
            deleted.object_versions,
            deleted.artifacts
        ),
    );
    if deleted.leftovers.is_empty() {
        status("Checked", "nothing of it is left");
    } else {
        warn("these resources are left:");
        for left in &deleted.leftovers {
            tell(format_args!(
                "  {} {}: {}",
                left.resource_type, left.name, left.reason
            ));
        }
    }
    for value in values::kept(&context.app, &target.region) {
        status("Kept", value);
    }
    Ok(())
}

/// Why a stage is not deleted on a mere yes.
fn guarded(context: &Context) -> Option<&'static str> {
    if context.app.stage().production {
        Some("is a production stage")
    } else if context.retains_data() {
        Some("retains its data")
    } else {
        None
    }
}

/// Refuses a protected stage without --force, and a name that is not the stage's.
fn check(args: &cli::Delete, context: &Context) -> Result<()> {
    let stage = &context.app.stage().name;
    if let Some(why) = guarded(context)
        && !args.force
    {
        return Err(CliError::misuse(format!(
            "stage {stage} {why}, and is not deleted without --force"
        ))
        .hint("pass --force, and type the stage's name when asked"));
    }
    match &args.confirm {
        Some(name) if name != stage => Err(CliError::misuse(format!(
            "--confirm names stage {name}, but the stage to delete is {stage}"
        ))),
        _ => Ok(()),
    }
}

/// Asks before anything is deleted.
fn ask(args: &cli::Delete, context: &Context, target: &deploy::Target) -> Result<()> {
    let stack = context.app.stack_name();
    let stage = &context.app.stage().name;
    match guarded(context) {
        Some(_) if args.confirm.is_some() => Ok(()),
        Some(why) => type_name(
            &format!("Delete stack {stack}? Stage {stage} {why}."),
            stage,
            "--confirm",
        ),
        None if args.yes => Ok(()),
        None => confirm(
            &format!(
                "Delete stack {stack} in {} of account {}, with all its objects and items?",
                target.region, target.account
            ),
            "--yes",
        ),
    }
}
