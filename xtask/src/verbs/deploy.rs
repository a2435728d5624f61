//! `deploy`: build, package, publish, plan, show, execute.

use std::collections::BTreeMap;
use std::time::Instant;

use deploy::{
    Action, Artifact, Change, ChangeSet, Deployment, Outcome, Outputs, Progress, Question,
    Replacement, StackSpec, Store, Target,
};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli;
use crate::context::Context;
use crate::error::Result;
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
    let decide = |question: &Question| decide(&working, question, yes);
    let bucket = target
        .ensure_bootstrap(
            &app.bootstrap_stack_name(),
            &manifest::bootstrap_template(),
            &decide,
            &report,
        )
        .await?;
    let prefix = artifact_prefix(context);
    let published = target
        .publish(&bucket, &prefix, artifacts, &report)
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
        parameters,
        tags: app.tags(),
        store: Some(Store {
            bucket: &published.bucket,
            prefix: &prefix,
        }),
        functions: app
            .functions()
            .map(|function| (function.physical_name(), function.code_parameter()))
            .collect(),
        retains_data: app.stage().production,
        ..StackSpec::new(&stack, &assembly.template)
    };
    let approve = async |changes: &ChangeSet| {
        working.suspend(|| show_changes(changes));
        if context.local.is_none() {
            warn_of_denied(target, &stack).await;
        }
        working.suspend(|| approve(changes, yes))
    };
    let deployment = target.deploy(&spec, approve, &decide, &report).await;
    working.finish_and_clear();
    match deployment? {
        Deployment::Unchanged { outputs, .. } => Ok((false, outputs)),
        Deployment::Executed(Outcome::Deployed(outputs)) => Ok((true, outputs)),
        Deployment::Executed(Outcome::RolledBack(diagnosis)) => Err(diagnosis.error(&stack).into()),
    }
}

/// Puts a question of the deployment to the user.
pub(crate) fn decide(working: &ProgressBar, question: &Question, yes: bool) -> bool {
    yes || working.suspend(|| confirm(&question.to_string(), "--yes").is_ok())
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
        Progress::Phase(_) | Progress::Uploaded { .. } => return,
        Progress::ReplacingBootstrap { stack, bucket } => {
            ("Replacing", format!("{stack}: bucket {bucket} is gone"))
        }
        Progress::Planning { stack } => ("Planning", stack.clone()),
        Progress::PlanningAgain { stack, reason } => {
            ("Planning", format!("{stack} again: {reason}"))
        }
        Progress::Waiting { stack, status } => (
            "Waiting",
            format!("for another operation on {stack}: {status}"),
        ),
        Progress::RemovingFailedStack { stack, status } => {
            ("Removing", format!("{stack}: it is in state {status}"))
        }
        Progress::ResumingRollback {
            stack,
            status,
            skipped,
        } => {
            let without = if skipped.is_empty() {
                String::new()
            } else {
                format!(", without {}", skipped.join(", "))
            };
            ("Undoing", format!("{stack}: it is in state {status}{without}"))
        }
        Progress::RemovingChangeSet { name } => {
            ("Removing", format!("change set {name}, left by an earlier deployment"))
        }
        Progress::CodeUpdated { function } => ("Updated", format!("the code of {function}")),
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
