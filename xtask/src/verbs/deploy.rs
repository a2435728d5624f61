//! `deploy`: build, package, publish, plan, show, execute.

use std::collections::BTreeMap;
use std::time::Instant;

use deploy::{
    Action, Artifact, Change, ChangeSet, Outcome, Outputs, Plan, Progress, Replacement, StackSpec,
    Target,
};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::package::{self, Packaged};
use crate::terminal::{
    DIM, GREEN, RED, YELLOW, confirm, human_bytes, json, spinner, status, table, warn,
};

/// The template's parameter for the bucket with the functions' code.
const ARTIFACT_BUCKET_PARAMETER: &str = "ArtifactBucket";

pub(crate) async fn run(args: &cli::Deploy) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let started = Instant::now();
    // Credentials first: a build that nothing can be done with would be a waste.
    let target = context.connect().await?;
    let packaged = package::package(&context.workspace, &context.app)?;
    // Nothing on the local stage is worth a question: it is empty after the next start.
    let yes = args.yes || context.local.is_some();
    let (changed, outputs) = deploy(&context, &target, packaged, yes).await?;
    let seconds = started.elapsed().as_secs_f64();
    let stack = context.app.stack_name();
    if changed {
        status("Deployed", format!("{stack} in {seconds:.1} s"));
    } else {
        status(
            "Unchanged",
            format!("{stack}: nothing to do ({seconds:.1} s)"),
        );
    }
    let variables = context.variables(&outputs);
    if args.json {
        return json(&Summary {
            stack: &stack,
            outcome: if changed { "deployed" } else { "unchanged" },
            functions: context
                .app
                .functions()
                .map(manifest::Function::physical_name)
                .collect(),
            variables: &variables,
            outputs: &outputs,
        });
    }
    print_resources(&context, &variables);
    Ok(())
}

#[derive(Serialize)]
struct Summary<'a> {
    stack: &'a str,
    outcome: &'static str,
    functions: Vec<String>,
    variables: &'a BTreeMap<String, String>,
    outputs: &'a Outputs,
}

/// Where an app's code for a stage lies in the artifact bucket.
pub(crate) fn artifact_prefix(context: &Context) -> String {
    format!("{}/{}/", context.app.name(), context.app.stage().name)
}

/// Brings the stage's stack to what the manifest and the packages say; returns whether
/// anything changed, and the outputs.
pub(crate) async fn deploy(
    context: &Context,
    target: &Target,
    packaged: Packaged,
    yes: bool,
) -> Result<(bool, Outputs)> {
    let app = &context.app;
    let stack = app.stack_name();
    let artifacts: Vec<Artifact> = packaged
        .functions
        .into_iter()
        .map(|package| package.artifact)
        .collect();

    let working = spinner("publishing");
    let report = |progress: Progress| show(&working, &progress);
    let bucket = target
        .ensure_bootstrap(
            &app.bootstrap_stack_name(),
            &manifest::bootstrap_template(),
            &report,
        )
        .await?;
    let published = target
        .publish(&bucket, &artifact_prefix(context), artifacts, &report)
        .await?;

    let assembly = app.synth();
    let mut parameters = BTreeMap::from([(
        ARTIFACT_BUCKET_PARAMETER.to_owned(),
        published.bucket.clone(),
    )]);
    for function in app.functions() {
        if let Some(key) = published.keys.get(function.name()) {
            parameters.insert(function.code_parameter(), key.clone());
        }
    }
    let spec = StackSpec {
        name: &stack,
        template: &assembly.template,
        parameters,
        tags: app.tags(),
        template_bucket: Some(&published.bucket),
    };
    let changes = match target.plan(&spec, &report).await? {
        Plan::NoChanges(outputs) => {
            working.finish_and_clear();
            return Ok((false, outputs));
        }
        Plan::Changes(changes) => changes,
    };
    working.finish_and_clear();
    show_changes(&changes);
    if context.local.is_none() {
        warn_of_denied(target, &stack).await;
    }
    if let Err(refused) = approve(&changes, yes) {
        target.discard(&changes).await?;
        return Err(refused);
    }
    let working = spinner("deploying");
    let outcome = target
        .execute(&changes, &|progress| show(&working, &progress))
        .await?;
    working.finish_and_clear();
    match outcome {
        Outcome::Deployed(outputs) => Ok((true, outputs)),
        Outcome::RolledBack(diagnosis) => Err(CliError::from(diagnosis.error(&stack))
            .hint("nothing of this deployment remains; mend the cause and deploy again")),
    }
}

async fn warn_of_denied(target: &Target, stack: &str) {
    let denied = target.denied_actions(stack).await;
    if !denied.is_empty() {
        warn(format!(
            "by IAM's simulation, {} may not do: {}",
            target.caller_arn,
            denied.join(", ")
        ));
    }
}

/// Asks before something that holds data is lost.
fn approve(changes: &ChangeSet, yes: bool) -> Result<()> {
    let endangered: Vec<&str> = changes
        .changes
        .iter()
        .filter(|change| change.endangers_state())
        .map(|change| change.logical_id.as_str())
        .collect();
    if endangered.is_empty() || yes {
        return Ok(());
    }
    confirm(
        &format!(
            "This replaces or removes {}, with what it holds. Continue?",
            endangered.join(", ")
        ),
        "--yes",
    )
}

/// The change set, a line per resource.
fn show_changes(changes: &ChangeSet) {
    status(
        "Changes",
        format!(
            "{} to {}{}",
            changes.changes.len(),
            changes.stack,
            if changes.creates_stack {
                ", a new stack"
            } else {
                ""
            }
        ),
    );
    for change in &changes.changes {
        anstream::eprintln!("{}", change_line(change));
    }
}

fn change_line(change: &Change) -> String {
    let (style, verb) = match (change.action, change.replacement) {
        (Action::Add, _) => (GREEN, "+ add"),
        (Action::Remove, _) => (RED, "- remove"),
        (Action::Modify, Replacement::Always) => (RED, "± replace"),
        (Action::Modify, Replacement::Conditional) => (YELLOW, "~ may replace"),
        (Action::Modify, Replacement::Never) => (YELLOW, "~ update"),
        (Action::Dynamic, _) => (YELLOW, "? depends"),
    };
    let properties = if change.properties.is_empty() {
        String::new()
    } else {
        format!(": {}", change.properties.join(", "))
    };
    format!(
        "{style}{verb:>15}{style:#} {} {DIM}{}{properties}{DIM:#}",
        change.logical_id, change.resource_type
    )
}

/// Shows a step: as the moving line on a terminal, as lines of their own otherwise.
pub(crate) fn show(working: &ProgressBar, progress: &Progress) {
    let (verb, what) = match progress {
        Progress::CreatingBootstrap { stack } => {
            ("Creating", format!("{stack}, with the bucket for code"))
        }
        Progress::Uploading { function, bytes } => {
            ("Uploading", format!("{function} ({})", human_bytes(*bytes)))
        }
        Progress::AlreadyUploaded { function } => {
            working.set_message(format!("{function} is uploaded already"));
            return;
        }
        Progress::Planning { stack } => ("Planning", stack.clone()),
        Progress::RemovingFailedStack { stack } => {
            ("Removing", format!("{stack}: its creation had failed"))
        }
        Progress::Emptied { bucket, versions } => {
            ("Emptied", format!("{bucket}: {versions} object versions"))
        }
        Progress::Resource(event) => {
            let line = format!(
                "{} {} {}",
                event.status, event.logical_id, event.resource_type
            );
            if event.failed() {
                let reason = event.reason.as_deref().unwrap_or("no reason was given");
                working.suspend(|| {
                    anstream::eprintln!("{RED}{:>12}{RED:#} {line}: {reason}", "Failed");
                });
            } else if working.is_hidden() && event.complete() {
                anstream::eprintln!("{DIM}{:>12}{DIM:#} {line}", "");
            } else {
                working.set_message(line);
            }
            return;
        }
    };
    working.suspend(|| status(verb, what));
}

fn print_resources(context: &Context, variables: &BTreeMap<String, String>) {
    let mut rows: Vec<Vec<String>> = context
        .app
        .functions()
        .map(|function| vec!["function".to_owned(), function.physical_name()])
        .collect();
    // The URLs last: they are what most will look for.
    let apis: Vec<String> = context.app.http_apis().map(|api| api.variable).collect();
    let (urls, names): (Vec<_>, Vec<_>) = variables
        .iter()
        .partition(|(variable, _)| apis.contains(variable));
    rows.extend(
        names
            .into_iter()
            .chain(urls)
            .map(|(variable, value)| vec![variable.clone(), value.clone()]),
    );
    table(&rows);
}
