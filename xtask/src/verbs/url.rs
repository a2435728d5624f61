//! `url`: where an HTTP API or a function URL answers.

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::line;
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Url) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let variable = variable(&context, args.api.as_deref())?;
    let target = context.connect().await?;
    let outputs = context.outputs(&target).await?;
    let url = context.variables(&outputs).remove(&variable);
    let url = url.ok_or_else(|| {
        CliError::new(format!(
            "stack {} has no such HTTP API or function URL",
            context.app.stack_name()
        ))
        .hint("it is older than the manifest: deploy the stage again")
    })?;
    line(url)
}

/// The variable of the API or function URL called `name`, or else of the first.
fn variable(context: &Context, name: Option<&str>) -> Result<String> {
    let mut apis = context.app.endpoints();
    let found = match name {
        None => apis.next(),
        Some(name) => apis.find(|api| api.name == name),
    };
    found.map(|api| api.variable).ok_or_else(|| {
        let names: Vec<String> = context.app.endpoints().map(|api| api.name).collect();
        let asked = name.map_or_else(String::new, |name| format!(" `{name}`"));
        CliError::misuse(format!("there is no HTTP API or function URL{asked}"))
            .hint(format!("there are: {}", names.join(", ")))
    })
}
