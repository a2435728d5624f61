//! `verify`: the app's checks on a stage that is deployed.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use manifest::Authorization;
use verify::{Api, Callers, Event, Function, Left, Options, Outcome, Report, Run, Stage, Verdict};

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::interrupt::Endings;
use crate::output::json;
use crate::table::table;
use crate::terminal::{GREEN, RED, YELLOW, end_line, spinner, status, status_aside, tell, warn};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Verify) -> Result<ExitCode> {
    let context = Context::load(workspace, &args.stage.stage)?;
    refuse_production(args, &context)?;
    let suite = workspace.checks().ok_or_else(no_checks)?;
    check_flows(&args.flows, &suite)?;
    let target = context.connect().await?;
    let outputs = context.outputs(&target).await?;
    let stage = stage(args, &context, target, &outputs);
    status(
        "Verifying",
        format!(
            "{} in {} of account {}",
            context.app.stack_name(),
            stage.target.region,
            stage.target.account
        ),
    );
    let options = Options {
        timeout: args.timeout,
        only: args.flows.clone(),
    };
    let bar = spinner("counting the events in failure queues");
    let progress = Arc::new(Progress::new(bar.clone()));
    let noting = Arc::clone(&progress);
    let run = Run::new(suite, stage, &options, move |event| noting.note(event));
    progress.with(|state| state.checks = run.count());

    let started = Instant::now();
    let ended = until_end(&run, &progress).await;
    bar.finish_and_clear();
    let report = run.report(ended.is_err());
    if args.json {
        json(&report)?;
    } else {
        if ended.is_ok() {
            show(&report, started.elapsed())?;
        }
        show_left(&report.left, &args.stage.stage);
    }
    match ended {
        Err(code) => Ok(ExitCode::from(code)),
        Ok(()) if report.passed => Ok(ExitCode::SUCCESS),
        Ok(()) => Ok(ExitCode::FAILURE),
    }
}

/// Runs the checks and deletes what they made. A signal ends the checks; another one ends the
/// deletion. Fails with the exit code that tells of the signal.
async fn until_end(run: &Run, progress: &Progress) -> std::result::Result<(), u8> {
    let mut endings = match Endings::catch() {
        Ok(endings) => endings,
        Err(error) => {
            error.report();
            return Err(1);
        }
    };
    let interrupted = tokio::select! {
        () = run.flows() => None,
        code = endings.next() => Some(code),
    };
    if interrupted.is_some() {
        progress.interrupted();
    }
    tokio::select! {
        () = run.clean_up() => {}
        code = endings.next() => {
            run.abandon();
            return Err(code);
        }
    }
    if let Some(code) = interrupted {
        return Err(code);
    }
    run.compare_queues().await;
    Ok(())
}

fn refuse_production(args: &cli::Verify, context: &Context) -> Result<()> {
    let stage = context.app.stage();
    if stage.production && !args.force {
        let name = &stage.name;
        return Err(CliError::misuse(format!(
            "stage {name} is a production stage, and is not verified without --force"
        ))
        .hint("the checks create and delete data in the stage: pass --force to allow that"));
    }
    Ok(())
}

fn no_checks() -> CliError {
    CliError::misuse("the app has no checks to make on a stage").hint(
        "declare some with the crate infra/verify, and pass them to `Program::checks` in the app's main.rs",
    )
}

fn check_flows(flows: &[String], suite: &verify::Suite) -> Result<()> {
    let names: Vec<&str> = suite.flows.iter().map(|flow| flow.name).collect();
    let Some(unknown) = flows.iter().find(|flow| !names.contains(&flow.as_str())) else {
        return Ok(());
    };
    let error = CliError::misuse(format!("the app has no flow `{unknown}` of checks"));
    Err(match manifest::nearest(unknown, names.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!("name one of: {}", names.join(", "))),
    })
}

/// The stage as the checks see it.
fn stage(
    args: &cli::Verify,
    context: &Context,
    target: deploy::Target,
    outputs: &deploy::Outputs,
) -> Stage {
    let app = &context.app;
    let mut variables = context.variables(outputs);
    let apis = app.http_apis().filter_map(|api| {
        let callers = match app.stage().authorization_of(&api.name) {
            Authorization::None => Callers::Everybody,
            Authorization::Iam => Callers::Signed,
            Authorization::Jwt(_) => Callers::WithToken(args.token.clone()),
        };
        let url = variables.get(&api.variable)?.clone();
        Some((api.variable, Api { url, callers }))
    });
    let apis = apis.collect();
    variables.extend(app.attribute_variables());
    let functions = app.functions().map(|function| {
        let output = function.failure_queue_output();
        let described = Function {
            physical_name: function.physical_name(),
            invocation_name: function.invocation_name(),
            failure_queue_url: output.and_then(|output| outputs.get(&output).cloned()),
        };
        (function.name().to_owned(), described)
    });
    Stage {
        name: app.stage().name.clone(),
        functions: functions.collect(),
        target,
        variables,
        apis,
    }
}

/// The line that moves, or a line for each check where lines do not move.
struct Progress {
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    checks: usize,
    ended: BTreeSet<&'static str>,
    running: BTreeSet<&'static str>,
}

impl Progress {
    fn new(bar: ProgressBar) -> Self {
        Self {
            bar,
            state: Mutex::default(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The line that moved stays above the terminal's `^C`; the deletion has none.
    fn interrupted(&self) {
        if self.bar.is_hidden() {
            end_line();
        }
        self.bar.finish_and_clear();
        status("Deleting", "what the checks made: Ctrl-C again leaves it");
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Started(check) => self.with(|state| state.running.insert(check.name)),
            Event::Ended(verdict) => self.with(|state| {
                state.running.remove(verdict.check.name);
                state.ended.insert(verdict.check.name)
            }),
        };
        let message = self.with(|state| {
            let running: Vec<&str> = state.running.iter().copied().collect();
            format!(
                "{} of {}, {}",
                state.ended.len(),
                state.checks,
                running.join(" ")
            )
        });
        self.bar.set_message(crate::progress::fitting(
            &message,
            crate::terminal::stderr_columns(),
        ));
        if self.bar.is_hidden()
            && let Event::Ended(verdict) = event
        {
            let (verb, took) = match &verdict.outcome {
                Outcome::Passed { took, .. } => ("Passed", seconds(*took)),
                Outcome::Failed { took, .. } => ("Failed", seconds(*took)),
                Outcome::NotChecked { .. } => ("Skipped", String::new()),
            };
            status_aside(verb, format!("{} {took}", verdict.check.name).trim_end());
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The table, then each difference.
fn show(report: &Report, took: Duration) -> Result<()> {
    let names = ["CHECK", "RESULT", "TOOK", "WHAT"].map(str::to_owned);
    let mut rows = vec![names.to_vec()];
    rows.extend(report.checks.iter().map(row));
    table(&rows)?;
    for verdict in &report.checks {
        let name = verdict.check.name;
        match &verdict.outcome {
            Outcome::Passed { .. } => {}
            Outcome::Failed { difference, .. } => {
                CliError::new(format!("check {name} failed ({})", verdict.check.what))
                    .note(format!("expected: {}", difference.expected))
                    .note(format!("seen: {}", difference.seen))
                    .hint(&difference.next)
                    .report();
            }
            Outcome::NotChecked { reason } => warn(format!("check {name} was not made: {reason}")),
        }
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        let verdicts = report.checks.iter();
        verdicts.filter(|verdict| wanted(&verdict.outcome)).count()
    };
    let (passed, failed) = (count(Outcome::is_passed), count(Outcome::is_failed));
    status(
        if report.passed { "Verified" } else { "Differs" },
        format!(
            "{} checks: {passed} passed, {failed} failed, {} not made, in {}",
            report.checks.len(),
            report.checks.len() - passed - failed,
            seconds(took)
        ),
    );
    Ok(())
}

fn row(verdict: &Verdict) -> Vec<String> {
    let what = verdict.check.what;
    let (result, took, what) = match &verdict.outcome {
        Outcome::Passed { took, seen } => (
            format!("{GREEN}passed{GREEN:#}"),
            seconds(*took),
            format!("{what}: {seen}"),
        ),
        Outcome::Failed { took, .. } => (
            format!("{RED}failed{RED:#}"),
            seconds(*took),
            what.to_owned(),
        ),
        Outcome::NotChecked { .. } => (
            format!("{YELLOW}not checked{YELLOW:#}"),
            String::new(),
            what.to_owned(),
        ),
    };
    vec![verdict.check.name.to_owned(), result, took, what]
}

/// What the user has to delete.
fn show_left(left: &[Left], stage: &str) {
    if left.is_empty() {
        return;
    }
    warn(format!(
        "these are left. In a shell with `eval \"$(cargo xtask env --stage {stage})\"`, delete them by:"
    ));
    for left in left {
        tell(format_args!("  {}", left.command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn an_app_without_checks_is_told_how_to_have_some() {
        let suite = testing::workspace().checks().ok_or_else(no_checks);
        let error = format!("{:?}", suite.unwrap_err());
        assert!(error.contains("Program::checks"), "{error}");
    }
}
