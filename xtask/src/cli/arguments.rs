//! What each verb takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use traces::{Kind, Outcome};

use super::values::{kinds, outcomes, parse_duration, parse_pattern};
use crate::environment::STAGE_VARIABLE;
use crate::kept::SnapshotName;

#[derive(Debug, Clone, Args)]
pub(crate) struct StageArgs {
    /// The stage, one of infra/stages.yaml.
    #[arg(long, default_value = "dev", env = STAGE_VARIABLE)]
    pub(crate) stage: String,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    #[command(subcommand)]
    pub(crate) what: NewThing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewThing {
    /// Write a function's crate, its sample event and its declaration.
    Function(NewFunction),
    /// Write a workspace with the framework and one function behind an HTTP API.
    App(NewApp),
}

#[derive(Debug, Args)]
pub(crate) struct NewApp {
    /// The app's folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The app's name: words joined by hyphens. All names in AWS begin with it.
    #[arg(long, required_unless_present = "update")]
    pub(crate) name: Option<String>,
    /// Replace the framework in an app with the one of this workspace.
    #[arg(long, conflicts_with = "name")]
    pub(crate) update: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NewFunction {
    /// The function's name: words joined by hyphens, such as `resize-photo`.
    pub(crate) name: String,
    /// What invokes the function. Repeat it for several events of one form.
    #[arg(long, value_name = "TRIGGER", required = true)]
    pub(crate) on: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateEvent {
    /// What happens, as `cargo xtask new function --on` takes it.
    pub(crate) trigger: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// Show events only, not what functions may do.
    #[arg(long)]
    pub(crate) events: bool,
    /// Write the flowcharts into README.md and ARCHITECTURE.md, where they have marks for one.
    #[arg(long, conflicts_with_all = ["check", "events"])]
    pub(crate) update: bool,
    /// Write nothing. Fail if a flowchart in these files is out of date.
    #[arg(long, conflicts_with = "events")]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Synth {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Write template.yaml and the policies to this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GenPolicy {
    /// Write nothing. Fail if a file is out of date.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the least policies that deploying the stage needs.
    #[arg(long, conflicts_with = "check")]
    pub(crate) deployer: bool,
    /// Write each of the deployer's policies to a file in this folder instead.
    #[arg(long, value_name = "DIR", requires = "deployer")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Openapi {
    /// The API's name in the manifest. Default: the first API that has a description, or with
    /// --diff=REVISION all of them.
    #[arg(conflicts_with_all = ["write", "check"])]
    pub(crate) api: Option<String>,
    /// Write all documents to openapi/, and their tables into README.md and docs/, where these have
    /// marks for one.
    #[arg(long, conflicts_with_all = ["check", "diff"])]
    pub(crate) write: bool,
    /// Write nothing. Fail if a route is not described, or a document or table is out of date.
    #[arg(long, conflicts_with = "diff")]
    pub(crate) check: bool,
    /// Tell what has changed since an older document: that of a revision of git, or a file. `-` is
    /// standard input.
    #[arg(long, value_name = "REVISION|FILE", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD")]
    pub(crate) diff: Option<String>,
    /// Exit with 3 if a change breaks clients.
    #[arg(long, requires = "diff")]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Package {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Print the packages as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is asked before a deployment changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Approval {
    /// Ask nothing.
    Never,
    /// Ask before changes that broaden permissions or endanger data.
    Broadening,
    /// Ask before every change.
    AnyChange,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalArgs {
    /// Do not ask: the same as `--require-approval never`.
    #[arg(long, short, conflicts_with = "require_approval")]
    yes: bool,
    /// Which changes to ask about before they are made. Without a terminal to answer on, the
    /// command changes nothing and exits with 2.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "broadening")]
    require_approval: Approval,
}

impl ApprovalArgs {
    /// Nothing on the local stage is worth a question: it is empty after the next start.
    pub(crate) fn settled(&self, is_local: bool) -> Approval {
        if self.yes || is_local {
            Approval::Never
        } else {
            self.require_approval
        }
    }

    /// What to write on a command line for the same.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let approval = self.require_approval.to_possible_value();
        match approval {
            _ if self.yes => vec!["--yes".to_owned()],
            Some(approval) => vec![format!("--require-approval={}", approval.get_name())],
            None => Vec::new(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    pub(crate) approval: ApprovalArgs,
    /// If only code has changed, put it into the functions without CloudFormation, within seconds.
    /// For development: the stack does not record it, and the next deployment says so.
    #[arg(long)]
    pub(crate) hotswap: bool,
    /// Deploy even if alarms are on, for a change that fixes their cause. `canary` and
    /// `rollback_on_alarm_minutes` then ignore alarms.
    #[arg(long, conflicts_with = "hotswap")]
    pub(crate) ignore_alarms: bool,
    /// Also undo changes by hand, which `cargo xtask diff --drift` shows.
    #[arg(long, conflicts_with = "hotswap")]
    pub(crate) revert_drift: bool,
    /// Deploy again after every saved change until Ctrl-C, by hotswap if only code has changed.
    /// For development, like --hotswap.
    #[arg(long, conflicts_with_all = ["hotswap", "ignore_alarms", "revert_drift", "json"])]
    pub(crate) watch: bool,
    /// For the local stage, which does this as its child: end with standard input, and write to
    /// standard output which HTTP APIs there are.
    #[arg(long, hide = true, requires = "watch")]
    pub(crate) beside_stage: bool,
    /// Follow the functions' logs from this time on, in milliseconds since 1970.
    #[arg(long, hide = true, requires = "beside_stage")]
    pub(crate) logs_from: Option<u64>,
    /// Build these packages for a debugger.
    #[arg(long, hide = true, requires = "beside_stage", value_name = "PACKAGE")]
    pub(crate) debug_info: Vec<String>,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Deploy {
    /// What to write on a command line to go on watching, with logs from a time on if they are
    /// followed.
    pub(crate) fn watching(&self, now_ms: u64) -> Vec<String> {
        let mut arguments = ["deploy", "--watch", "--stage", &self.stage.stage]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(self.approval.arguments());
        if self.beside_stage {
            arguments.push("--beside-stage".to_owned());
        }
        let debugged = self.debug_info.iter();
        arguments.extend(debugged.map(|package| format!("--debug-info={package}")));
        let logs_from = self.logs_from.map(|_| format!("--logs-from={now_ms}"));
        arguments.extend(logs_from);
        arguments
    }
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Let CloudFormation compare the resources with the template, and show what was changed by
    /// hand. Takes a minute or two.
    #[arg(long)]
    pub(crate) drift: bool,
    /// Exit with 3 if there are changes.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Print the changes as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    pub(crate) approval: ApprovalArgs,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Delete a stage that is in production or retains its data. Asks for its name.
    #[arg(long)]
    pub(crate) force: bool,
    /// The name of such a stage, instead of typing it when asked.
    #[arg(long, value_name = "STAGE", requires = "force")]
    pub(crate) confirm: Option<String>,
    /// Print what was deleted, and what is left, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The function's name in the manifest.
    #[arg(required_unless_present = "schedule")]
    pub(crate) function: Option<String>,
    /// Invoke the function of this schedule now, with the event of a schedule that has fired.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["function", "payload"])]
    pub(crate) schedule: Option<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// A file that holds the event as JSON. `-` or no file means standard input. A value that begins
    /// as a JSON object or array is the event itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// Show the end of the invocation's log.
    #[arg(long)]
    pub(crate) logs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    pub(crate) action: SnapshotAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotAction {
    /// Save the data of the running stage.
    Save(NamedSnapshot),
    /// Let the next `local --keep` begin with a snapshot.
    Load(NamedSnapshot),
    /// List the snapshots, and `kept`, which is what `local --keep` begins with.
    List(SnapshotList),
    /// Delete a snapshot, or `kept`.
    Delete(NamedSnapshot),
}

#[derive(Debug, Args)]
pub(crate) struct NamedSnapshot {
    /// The snapshot's name.
    pub(crate) name: SnapshotName,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotList {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The function's name in the manifest.
    pub(crate) function: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Show the events and leave them in the queue.
    #[arg(long, visible_alias = "list", conflicts_with = "drop")]
    pub(crate) dry_run: bool,
    /// Delete the events from the queue without handling them.
    #[arg(long)]
    pub(crate) drop: bool,
    /// Only the event with this id, of those that --dry-run shows.
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    /// Do not ask before --drop deletes events.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print each event and its outcome as JSON, one object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The flows of checks to run. Default: all flows.
    #[arg(value_name = "FLOW")]
    pub(crate) flows: Vec<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// The longest time to wait for an effect, such as the labels of a video.
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Verify a stage that is in production.
    #[arg(long)]
    pub(crate) force: bool,
    /// The JSON Web Token for HTTP APIs that require one.
    #[arg(long, env = "XTASK_API_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print the outcomes as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Functions' names in the manifest. Default: all functions.
    #[arg(value_name = "FUNCTION")]
    pub(crate) functions: Vec<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Keep waiting for new lines until Ctrl-C.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How far back to begin: 30s, 10m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub(crate) since: Duration,
    /// Print only lines that match this CloudWatch Logs filter pattern.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, value_parser = parse_pattern)]
    pub(crate) filter: Option<String>,
    /// Print each line as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A trace's identifier, or that of anything in it: a request to Lambda, a message, a record.
    /// Without one, the newest traces are listed.
    #[arg(value_name = "ID", conflicts_with_all = ["last", "function", "kind", "outcome", "text"])]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Show the newest trace that passes the filters.
    #[arg(long)]
    pub(crate) last: bool,
    /// Only traces in which this function ran.
    #[arg(long, value_name = "FUNCTION")]
    pub(crate) function: Option<String>,
    /// Only traces that began with such a thing.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub(crate) kind: Option<Kind>,
    /// Only traces that ended so. `denied`: all with a denied call.
    #[arg(long, value_name = "OUTCOME", value_parser = outcomes())]
    pub(crate) outcome: Option<Outcome>,
    /// Only traces with this text in a title, a payload or a line of a log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// How many traces are listed at most.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    /// How far back to look on AWS: 30s, 10m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub(crate) since: Duration,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Url {
    /// The API's name in the manifest. Default: the first API.
    pub(crate) api: Option<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Info {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Env {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Print a JSON object instead of shell exports; null stands for a variable to unset.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Local {
    /// The first HTTP API's port on 127.0.0.1; the ports of others follow.
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// The AWS endpoint's port on 127.0.0.1; Rekognition takes the one after it.
    #[arg(long, value_name = "PORT", default_value_t = 4566, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) aws_port: u16,
    /// The console's port on 127.0.0.1. Default: the second after --aws-port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "no_console")]
    pub(crate) console_port: Option<u16>,
    /// Serve no console.
    #[arg(long)]
    pub(crate) no_console: bool,
    /// Inject faults: events that arrive twice, late or out of order, calls that fail, functions
    /// that are killed. The same SEED injects the same faults.
    #[arg(long, value_name = "SEED", num_args = 0..=1)]
    pub(crate) chaos: Option<Option<local::Seed>>,
    /// Reload after every saved change: new code is put into its functions, and a changed manifest
    /// is deployed. Data stays. It is the default, except with a COMMAND.
    #[arg(long, overrides_with = "no_watch")]
    watch: bool,
    /// Do not reload.
    #[arg(long)]
    no_watch: bool,
    /// Go on with the data that was kept last, and keep it: buckets, tables, queues and events that were not handled.
    /// Without it, the stage begins empty, and the kept data stays as it is.
    #[arg(long, conflicts_with = "snapshot")]
    pub(crate) keep: bool,
    /// Begin with this snapshot's data. The snapshot stays as it is.
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// Let each process of this function wait for a debugger before it handles its first event.
    #[arg(long, value_name = "FUNCTION", conflicts_with = "chaos")]
    pub(crate) debug: Option<String>,
    /// Run this when the stage is ready, then stop.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

impl Local {
    /// Whether saved changes reload. A command is to find the code that it was started for.
    pub(crate) fn watches(&self) -> bool {
        !self.no_watch && (self.watch || self.command.is_empty())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// The longest time to wait.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The function's name in the manifest. Default: all functions.
    pub(crate) function: Option<String>,
    /// Warm events per function.
    #[arg(long, default_value_t = 1000)]
    pub(crate) events: usize,
    /// Cold starts per function.
    #[arg(long, default_value_t = 20)]
    pub(crate) starts: usize,
    /// Fail if a function exceeds its budget.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the figures and the budgets as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// The function's name in the manifest. Default: all functions.
    pub(crate) function: Option<String>,
    /// Print the line of Rust that grants this action to the function.
    #[arg(
        long,
        value_name = "ACTION",
        requires = "function",
        conflicts_with = "json"
    )]
    pub(crate) allow: Option<String>,
    /// The ARN of the resource that the function uses by this action.
    #[arg(long, value_name = "ARN", requires = "allow")]
    pub(crate) on: Option<String>,
    /// Print operations, grants and findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// A function's name in the manifest. Checks this function only.
    pub(crate) function: Option<String>,
    /// Also run the checks that take minutes.
    #[arg(long, conflicts_with = "function")]
    pub(crate) long: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}
