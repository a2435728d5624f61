//! `deploy`: build, package, publish, plan, show, execute.

use std::collections::BTreeMap;
use std::time::Instant;

use deploy::{
    Artifact, ChangeSet, Denied, Deployment, Diagnosis, Hotswap, Outcome, Outputs, Progress,
    StackSpec, Target, Timing,
};
use manifest::App;
use serde::Serialize;

use crate::changes::{Changes, heading};
use crate::cli::{self, Approval};
use crate::context::Context;
use crate::environment::STAGE_VARIABLE;
use crate::error::{CliError, Result};
use crate::output::json;
use crate::package::{self, Packaged};
use crate::progress::{Detail, Show, print_timings};
use crate::table::pairs;
use crate::terminal::{status, stderr_columns, tell, warn};
use crate::values;
use crate::wanted::{Wanted, artifact_prefix};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Deploy) -> Result<()> {
    let mut context = Context::load(workspace, &args.stage.stage)?;
    if args.ignore_alarms {
        context.app = context.app.ignoring_alarms();
    }
    if args.hotswap {
        refuse_hotswap(&context, "--hotswap")?;
    }
    if args.revert_drift && context.local.is_some() {
        return Err(CliError::misuse(
            "the local stage cannot find what was changed by hand: its CloudFormation is an emulator",
        )
        .hint("start the stage again: it creates every resource again"));
    }
    let started = Instant::now();
    // Credentials first: a build that nothing can be done with would be a waste.
    let target = context.connect().await?;
    values::check(&context.app, &target).await?;
    let show = Show::new("building");
    show.begin("build");
    let packaged = show.suspend(|| package::package(&context.workspace, &context.app))?;
    let done = deploy(
        &context,
        &target,
        packaged,
        &show,
        args.approval.settled(context.local.is_some()),
        Way {
            hotswap: args.hotswap,
            reverts_drift: args.revert_drift,
        },
    )
    .await;
    let timings = show.finish();
    let (done, outputs) = done?;
    print_timings(&timings);
    done.report(&context, started.elapsed().as_secs_f64());
    summarize(&context, &done, &outputs, &timings, args.json)
}

/// Refuses what an option asks for where CloudFormation alone may replace code.
pub(crate) fn refuse_hotswap(context: &Context, option: &str) -> Result<()> {
    let Some(why) = against_hotswap(context) else {
        return Ok(());
    };
    Err(CliError::misuse(format!(
        "stage {} {why}: its code is deployed by CloudFormation only",
        context.app.stage().name
    ))
    .hint(format!("deploy without {option}")))
}

fn against_hotswap(context: &Context) -> Option<&'static str> {
    let stage = context.app.stage();
    if stage.production {
        Some("is a production stage")
    } else if stage.canary.is_some() {
        Some("serves versions of its functions, one after the other")
    } else {
        None
    }
}

/// What became of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(crate) enum Done {
    /// It was up to date.
    Unchanged,
    /// It was, but for functions, by physical name, whose code had been replaced.
    Repaired { functions: Vec<String> },
    /// Functions, by physical name, run new code, which the stack does not know.
    Hotswapped { functions: Vec<String> },
    /// CloudFormation changed it.
    Deployed,
}

impl Done {
    /// Tells people.
    pub(crate) fn report(&self, context: &Context, seconds: f64) {
        let stack = context.app.stack_name();
        match self {
            Self::Unchanged => status(
                "Unchanged",
                format!("{stack}: nothing to do ({seconds:.1} s)"),
            ),
            Self::Repaired { functions } => {
                status("Repaired", format!("{stack} in {seconds:.1} s"));
                warn(format!(
                    "the code of {} had been replaced; the deployed code was put back",
                    functions.join(", ")
                ));
            }
            Self::Hotswapped { functions } if functions.is_empty() => status(
                "Unchanged",
                format!("{stack}: every function already has this code ({seconds:.1} s)"),
            ),
            Self::Hotswapped { functions } => {
                status(
                    "Hotswapped",
                    format!("{} in {seconds:.1} s", functions.join(", ")),
                );
                warn(
                    "CloudFormation does not know of this code: the next deployment updates the stack",
                );
            }
            Self::Deployed => status("Deployed", format!("{stack} in {seconds:.1} s")),
        }
    }
}

/// Prints what is deployed, for people or for scripts.
pub(crate) fn summarize(
    context: &Context,
    done: &Done,
    outputs: &Outputs,
    timings: &[Timing],
    as_json: bool,
) -> Result<()> {
    let variables = context.variables(outputs);
    tell_stale_names(context, &variables);
    if as_json {
        return json(&Summary {
            stack: &context.app.stack_name(),
            done,
            functions: context
                .app
                .functions()
                .map(manifest::Function::physical_name)
                .collect(),
            variables: &variables,
            outputs,
            seconds: timings
                .iter()
                .map(|timing| (timing.phase.as_str(), timing.duration.as_secs_f64()))
                .collect(),
        });
    }
    print_resources(context, &variables)
}

/// A shell that has the stage's names by `env` does not learn of new ones by itself.
fn tell_stale_names(context: &Context, variables: &BTreeMap<String, String>) {
    let in_shell = |name: &str| std::env::var(name).ok();
    if in_shell(STAGE_VARIABLE).as_deref() != Some(&context.app.stage().name) {
        return;
    }
    let (known, stale): (Vec<_>, Vec<_>) = variables
        .iter()
        .partition(|(name, value)| in_shell(name).as_deref() == Some(value.as_str()));
    if !known.is_empty() && !stale.is_empty() {
        let names: Vec<&str> = stale.iter().map(|(name, _)| name.as_str()).collect();
        warn(format!(
            "this shell does not have the stage's new {}: run eval \"$(cargo xtask env)\" again",
            names.join(", ")
        ));
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    stack: &'a str,
    #[serde(flatten)]
    done: &'a Done,
    functions: Vec<String>,
    variables: &'a BTreeMap<String, String>,
    outputs: &'a Outputs,
    /// How long each phase took.
    seconds: BTreeMap<&'a str, f64>,
}

/// How a stack is brought to what it shall be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// Without CloudFormation, if only code has changed.
    pub(crate) hotswap: bool,
    /// What was changed by hand is put back as well.
    pub(crate) reverts_drift: bool,
}

/// Brings the stage's stack to what the manifest and the packages say.
pub(crate) async fn deploy(
    context: &Context,
    target: &Target,
    packaged: Packaged,
    show: &Show,
    approval: Approval,
    way: Way,
) -> Result<(Done, Outputs)> {
    let app = &context.app;
    if context.local.is_none() {
        let called: Vec<&str> = app.called_services().into_iter().collect();
        let absent = deploy::absent_services(target, &called).await;
        show.suspend(|| warn_of_absent(&absent, target));
    }
    let artifacts: Vec<Artifact> = packaged
        .functions
        .into_iter()
        .map(|package| package.artifact)
        .collect();
    let report = |progress: Progress| show.note(&progress);
    let yes = approval == Approval::Never;
    let bucket = deploy::ensure_bootstrap(
        target,
        &app.bootstrap_stack_name(),
        &app.bootstrap_template(),
        &|question| show.decide(question, yes),
        &report,
    )
    .await?;
    let published = deploy::publish(
        target,
        &bucket,
        &artifact_prefix(context),
        artifacts,
        &report,
    )
    .await?;
    let wanted = Wanted::new(context, published.bucket, &published.keys);
    let spec = StackSpec {
        reverts_drift: way.reverts_drift,
        ..wanted.spec()
    };
    if way.hotswap {
        match deploy::hotswap(target, &spec, &report).await? {
            Hotswap::Swapped { functions, outputs } => {
                return Ok((Done::Hotswapped { functions }, outputs));
            }
            Hotswap::NotPossible(why) => show.suspend(|| status("Deploying", why)),
        }
    }
    execute(context, target, &spec, show, approval).await
}

/// Plans, shows, asks and executes.
pub(crate) async fn execute(
    context: &Context,
    target: &Target,
    spec: &StackSpec<'_>,
    show: &Show,
    approval: Approval,
) -> Result<(Done, Outputs)> {
    let app = &context.app;
    let approve = async |change_set: &ChangeSet| {
        // Every start of the local stage creates all of it, and nobody is asked.
        if context.local.is_some() && change_set.creates_stack {
            let heading = heading(&change_set.stack, true, change_set.changes.len());
            show.suspend(|| tell(heading));
            return Ok(());
        }
        let changes = Changes::of(change_set, spec, target).await?;
        let lines = match show.detail() {
            Detail::Full => changes.lines(&context.app, stderr_columns()),
            Detail::Brief => vec![changes.line()],
            Detail::Silent => Vec::new(),
        };
        show.suspend(|| lines.iter().for_each(tell));
        changes.check(&context.app)?;
        show.expect(changes.logical_ids());
        if context.local.is_none() {
            let denied = deploy::denied(target, &context.app.deployment_policy()).await;
            show.suspend(|| warn_of(&denied, target));
        }
        show.suspend(|| changes.approve(approval))
    };
    let yes = approval == Approval::Never;
    let deployment = deploy::deploy(
        target,
        spec,
        approve,
        &|question| show.decide(question, yes),
        &|progress| show.note(&progress),
    )
    .await
    .map_err(|error| with_places(error, app))?;
    match deployment {
        Deployment::Unchanged { outputs, repaired } if repaired.is_empty() => {
            Ok((Done::Unchanged, outputs))
        }
        Deployment::Unchanged { outputs, repaired } => Ok((
            Done::Repaired {
                functions: repaired,
            },
            outputs,
        )),
        Deployment::Executed(Outcome::Deployed(outputs)) => Ok((Done::Deployed, outputs)),
        Deployment::Executed(Outcome::RolledBack(diagnosis)) => {
            Err(explain(&diagnosis, spec.name, &context.app))
        }
    }
}

/// The failure, and the lines of the manifest that it comes from.
fn explain(diagnosis: &Diagnosis, stack: &str, app: &App) -> CliError {
    let cause = diagnosis.cause.iter().map(|cause| &cause.logical_id);
    let findings = diagnosis.findings.iter().map(|finding| &finding.logical_id);
    let error = CliError::from(diagnosis.error(stack));
    let mut places: Vec<String> = cause
        .chain(findings)
        .filter_map(|logical_id| {
            let place = app.declared_at(logical_id)?;
            Some(format!("{logical_id} is declared at {place}"))
        })
        .collect();
    places.dedup();
    places.into_iter().fold(error, CliError::note)
}

/// The error, and the lines of the manifest that declare the types which it names.
fn with_places(error: CliError, app: &App) -> CliError {
    let logical_ids: Vec<String> = unknown_types(error.message())
        .into_iter()
        .flat_map(|resource_type| app.logical_ids_of(resource_type))
        .collect();
    let places = logical_ids.iter().filter_map(|logical_id| {
        let place = app.declared_at(logical_id)?;
        Some(format!("{logical_id} is declared at {place}"))
    });
    places.fold(error, CliError::note)
}

/// What CloudFormation does not know: `Template format error: Unrecognized resource types: [A, B]`.
fn unknown_types(error: &str) -> Vec<&str> {
    let list = error.split_once("Unrecognized resource types: [");
    let list = list.and_then(|(_, list)| list.split_once(']'));
    list.map_or(Vec::new(), |(list, _)| list.split(", ").collect())
}

fn warn_of_absent(services: &[&str], target: &Target) {
    for service in services {
        warn(format!(
            "region {} does not seem to have {service}, which functions of this app call: choose another region in infra/stages.yaml",
            target.region
        ));
    }
}

/// How many of the actions that the caller lacks are shown.
const DENIED_SHOWN: usize = 10;

fn warn_of(denied: &[Denied], target: &Target) {
    if denied.is_empty() {
        return;
    }
    let shown = denied.iter().take(DENIED_SHOWN);
    let mut lines: Vec<String> = shown
        .map(|denied| format!("  {} on {}", denied.action, denied.resource))
        .collect();
    let more = denied.len() - lines.len();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    warn(format!(
        "by IAM's simulation, {} lacks permissions that this deployment may need:\n{}\n`cargo xtask gen-policy --deployer` prints policies that have them",
        target.caller_arn,
        lines.join("\n")
    ));
}

fn print_resources(context: &Context, variables: &BTreeMap<String, String>) -> Result<()> {
    let mut rows: Vec<Vec<String>> = context
        .app
        .functions()
        .map(|function| vec!["function".to_owned(), function.physical_name()])
        .collect();
    // The URLs last: they are what most will look for.
    let apis: Vec<String> = context.app.endpoints().map(|api| api.variable).collect();
    let (urls, names): (Vec<_>, Vec<_>) = variables
        .iter()
        .partition(|(variable, _)| apis.contains(variable));
    rows.extend(
        names
            .into_iter()
            .chain(urls)
            .map(|(variable, value)| vec![variable.clone(), value.clone()]),
    );
    pairs(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_cloudformation_does_not_know_are_read_from_its_message() {
        let message = "could not create a change set: Template format error: Unrecognized resource types: [AWS::Kinesis::Streem, AWS::No::One] (ValidationError)";
        assert_eq!(
            unknown_types(message),
            ["AWS::Kinesis::Streem", "AWS::No::One"]
        );
        assert!(unknown_types("Template format error").is_empty());
    }
}
