//! `rollback`: back to what was deployed before.

use std::collections::BTreeMap;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::progress::{Show, print_timings};
use crate::terminal::status;
use crate::verbs::deploy::{execute, summarize};
use crate::wanted::{ARTIFACT_BUCKET_PARAMETER, Wanted};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Rollback) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let target = context.connect().await?;
    let stack = context.app.stack_name();
    let deployed = deploy::deployed(&target, &stack)
        .await?
        .ok_or_else(|| context.not_deployed(&target))?;
    let bucket = deployed.parameters.get(ARTIFACT_BUCKET_PARAMETER).cloned();
    let wanted = Wanted::new(&context, bucket.unwrap_or_default(), &BTreeMap::new());
    let spec = wanted.spec();
    let previous = deploy::previous_deployment(&target, &spec)
        .await?
        .ok_or_else(|| {
            CliError::new(format!("stack {stack} has no earlier deployment"))
                .hint("the current deployment is the first; there is none to return to")
        })?;
    status(
        "Returning",
        format!(
            "{stack} to the deployment of {} (now: {})",
            previous.deployed_at, deployed.deployed_at
        ),
    );
    let show = Show::new("planning");
    let done = execute(
        &context,
        &target,
        &previous.spec(&spec),
        &show,
        args.approval.settled(context.local.is_some()),
    )
    .await;
    let timings = show.finish();
    let (done, outputs) = done?;
    print_timings(&timings);
    status("Returned", format!("{stack}: `rollback` again undoes this"));
    summarize(&context, &done, &outputs, &timings, args.json)
}
