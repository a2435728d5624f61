//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::context::Context;
use crate::environment::STAGE_VARIABLE;

/// Build, deploy, run and delete the serverless app of this workspace.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Start here:\n  cargo xtask local                   run the whole app on this machine, no AWS account needed\n  cargo xtask deploy --stage dev      deploy it to AWS\n\nStages are declared in infra/stages.yaml, the app in infra/app/src/lib.rs."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print the CloudFormation template.
    #[command(after_help = "Example:\n  cargo xtask synth --stage prod --out target/synth")]
    Synth(Synth),
    /// Write the functions' IAM policies to policies/, or print the deployer's policies.
    #[command(
        after_help = "Examples:\n  cargo xtask gen-policy --check    show what is stale in policies/, and fail\n  cargo xtask gen-policy --deployer --stage prod --out target/deployer\n\nThe deployer's policies allow together what deploying, watching and deleting the stage needs, and no more. Each fits into a managed policy. Without --out, they are printed as a JSON array."
    )]
    GenPolicy(GenPolicy),
    /// Build the functions and zip them for Lambda.
    #[command(
        after_help = "Example:\n  cargo xtask package --stage dev\n\nThe zips are written to target/package/<stage>/. The same source gives the same bytes."
    )]
    Package(Package),
    /// Deploy the stage's stack.
    #[command(
        after_help = "Examples:\n  cargo xtask deploy --stage dev\n  cargo xtask deploy --hotswap\n\nShows the changes before it makes them: resources, properties, permissions. Asks before it broadens permissions, and before it replaces or removes a bucket, table or queue.\n\nRecovers a stack from any state that an earlier deployment left it in. You can stop it at any point."
    )]
    Deploy(Deploy),
    /// Show what a deployment would change.
    #[command(
        after_help = "Examples:\n  cargo xtask diff --stage prod\n  cargo xtask diff --json --exit-code    0 no changes, 3 changes, 1 failed\n\nBuilds the functions, because their code can differ. Uploads no code, and changes nothing.\n\nAlso shows what somebody changed by hand since: the roles' policies always, other resources with --drift, as far as CloudFormation compares their types. `cargo xtask deploy --revert-drift` puts it back."
    )]
    Diff(Diff),
    /// Return to what was deployed before: code and template.
    #[command(
        after_help = "Example:\n  cargo xtask rollback --stage prod\n\nShows the changes and asks, as deploy does. A second rollback undoes the first."
    )]
    Rollback(Rollback),
    /// Delete the stage's stack and everything in it.
    #[command(
        after_help = "Examples:\n  cargo xtask delete --stage dev --yes\n  cargo xtask delete --stage prod --force    asks for the stage's name\n\nDeletes only a stack with the tags of this app and stage. Then looks for resources that are left."
    )]
    Delete(Delete),
    /// Invoke a function and print its answer.
    #[command(
        after_help = "Examples:\n  cargo xtask invoke detect-labels --payload event.json --logs\n  echo '{\"Bucket\": \"some-bucket\", \"Key\": \"sample.jpg\"}' | cargo xtask invoke detect-labels"
    )]
    Invoke(Invoke),
    /// Invoke a function again with the events in its failure queue.
    #[command(
        after_help = "Examples:\n  cargo xtask redrive check-email --dry-run    show the events\n  cargo xtask redrive check-email              invoke it with each event\n  cargo xtask redrive check-email --drop       delete the events\n\nAn event that the function handles leaves the queue; an event that it fails on stays. For records of a stream, the queue holds only their place: redrive reads them from the stream, which keeps them for 24 hours.\n\nSQS hides the events from others while redrive handles them. Redrive puts the rest back when it ends, also on Ctrl-C. If it is killed, they come back within 30 seconds; until then, info counts them as hidden."
    )]
    Redrive(Redrive),
    /// Check a deployed stage by using it, and delete what the checks make.
    #[command(
        after_help = "Examples:\n  cargo xtask verify --stage dev\n  cargo xtask verify --stage local users roles    these flows only\n\nUploads files, creates users and asks the HTTP APIs, all under names that begin with xtask-verify, and deletes everything at the end, also after a failure and on Ctrl-C. It lists what it could not delete, with the command that does. On AWS, a run costs about two cents.\n\nExits with 1 if the stage does something else than the app promises. Some facts only an account can tell: docs/only-an-account-can-tell.md has them, each with the command that settles it."
    )]
    Verify(Verify),
    /// Print what functions log.
    #[command(
        after_help = "Examples:\n  cargo xtask logs handle-object-created --follow\n  cargo xtask logs users-api check-email --follow\n  cargo xtask logs --since 2h --filter ERROR"
    )]
    Logs(Logs),
    /// Print the URL of an HTTP API.
    #[command(
        after_help = "Examples:\n  curl \"$(cargo xtask url --stage dev)?label=Dog\"\n  curl -d '{}' \"$(cargo xtask url users)scan\""
    )]
    Url(Url),
    /// Show what is deployed: functions, failure queues, outputs.
    #[command(after_help = "Example:\n  cargo xtask info --stage dev --json")]
    Info(Info),
    /// Print what a shell needs to work with a stage.
    #[command(
        after_help = "Example:\n  eval \"$(cargo xtask env --stage local)\"\n  aws s3 cp photo.jpg s3://$MEDIA_BUCKET_NAME"
    )]
    Env(Env),
    /// Run the whole app on this machine, without an AWS account.
    #[command(
        after_help = "Examples:\n  cargo xtask local\n  cargo xtask local -- aws s3 ls\n  cargo xtask local --chaos\n\nWith a command, the stage ends when the command does, and returns its exit code.\n\nWith --chaos, `curl $CHAOS_URL` shows the faults so far, and `curl -X DELETE $CHAOS_URL` ends them. After that, and after `cargo xtask redrive` has emptied the failure queues, all stored data is right. If it is not, the same seed makes the same faults again."
    )]
    Local(Local),
    /// Wait until the local stage has handled all events.
    #[command(
        after_help = "Example:\n  aws s3 cp photo.jpg s3://$MEDIA_BUCKET_NAME\n  cargo xtask wait\n  curl $API_URL\n\nReturns when no event, no video and no record of a stream is left to handle. Events that a function gave up are in its failure queue, which `cargo xtask info` counts."
    )]
    Wait(Wait),
    /// Compare each function's grants with what its machine code can call.
    #[command(
        after_help = "Examples:\n  cargo xtask grants\n  cargo xtask grants media-api --json\n\nBuilds the functions for this machine, without optimization, and finds the AWS SDK's operations in the symbols of the executables. An operation is in an executable only if the code can call it.\n\nFails if an operation needs an action that no grant allows, and if a grant allows an action that no operation needs. `Function::exception` in infra/app/src/lib.rs declares a difference that is meant to be, with its reason.\n\nWhile the local stage runs, shows on which tables and buckets its functions have used each action."
    )]
    Grants(Grants),
    /// Measure each function's start-up, latency and memory on this machine.
    #[command(after_help = "Example:\n  cargo xtask bench --events 2000")]
    Bench(Bench),
    /// Print a shell's completions for the command `xtask`.
    #[command(
        after_help = "Example, for a shell with `alias xtask='cargo xtask'`:\n  source <(cargo xtask completions bash)\n\nThe names of stages, functions and APIs are those of this workspace now."
    )]
    Completions(Completions),
    /// Run every check: format, lints, generated files, templates, tests.
    #[command(
        after_help = "Examples:\n  cargo xtask ci\n  cargo xtask ci --long    also what takes minutes"
    )]
    Ci(Ci),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StageArgs {
    /// The stage, one of infra/stages.yaml.
    #[arg(long, default_value = "dev", env = STAGE_VARIABLE)]
    pub(crate) stage: String,
}

#[derive(Debug, Args)]
pub(crate) struct Synth {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Write template.yaml and the policies into this folder instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct GenPolicy {
    /// Write nothing; fail when a file is not as it would be written.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the least policies that deploying the stage needs.
    #[arg(long, conflicts_with = "check")]
    pub(crate) deployer: bool,
    /// Write the deployer's policies into this folder instead, each into a file.
    #[arg(long, value_name = "DIR", requires = "deployer")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
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
    /// Nothing is asked.
    Never,
    /// Changes that broaden permissions or endanger data.
    Broadening,
    /// Every change.
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
    pub(crate) fn settled(&self, context: &Context) -> Approval {
        if self.yes || context.local.is_some() {
            Approval::Never
        } else {
            self.require_approval
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    pub(crate) approval: ApprovalArgs,
    /// If only code has changed, put it into the functions without CloudFormation, in seconds.
    /// For development: the stack does not know of it, and the next deployment says so.
    #[arg(long)]
    pub(crate) hotswap: bool,
    /// Deploy although alarms are on, for what mends their cause: `canary` and
    /// `rollback_on_alarm_minutes` take nothing back because of an alarm.
    #[arg(long, conflicts_with = "hotswap")]
    pub(crate) ignore_alarms: bool,
    /// Put back what was changed by hand as well, which `cargo xtask diff --drift` shows.
    #[arg(long, conflicts_with = "hotswap")]
    pub(crate) revert_drift: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Let CloudFormation compare the resources with the template, and show what was changed by
    /// hand. Takes a minute or two.
    #[arg(long)]
    pub(crate) drift: bool,
    /// Exit with 3 when there are changes.
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
    /// Delete a stage that is in production or retains its data. Its name is asked for.
    #[arg(long)]
    pub(crate) force: bool,
    /// The name of such a stage, where nobody can type it.
    #[arg(long, value_name = "STAGE", requires = "force")]
    pub(crate) confirm: Option<String>,
    /// Print what was deleted, and what is left, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The function's name in the manifest.
    pub(crate) function: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// A file with the event, JSON; `-`, or none, for standard input. What begins as a JSON
    /// object or array is the event itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// Show the end of the invocation's log.
    #[arg(long)]
    pub(crate) logs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The function's name in the manifest.
    pub(crate) function: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Show the events, and do nothing with them.
    #[arg(long, conflicts_with = "drop")]
    pub(crate) dry_run: bool,
    /// Take the events out of the queue without handling them.
    #[arg(long)]
    pub(crate) drop: bool,
    /// Do not ask before events are dropped.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print the events and what became of them as JSON, one object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Flows of checks to run; without any, all flows.
    #[arg(value_name = "FLOW")]
    pub(crate) flows: Vec<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// How long to wait for each effect at most, such as the labels of a video.
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Verify a stage that is in production.
    #[arg(long)]
    pub(crate) force: bool,
    /// The JSON Web Token for HTTP APIs that ask for one.
    #[arg(long, env = "XTASK_API_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print the outcomes as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Functions' names in the manifest; without any, all functions.
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
    /// Only lines that match this CloudWatch Logs filter pattern.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, value_parser = parse_pattern)]
    pub(crate) filter: Option<String>,
    /// Print each line as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Url {
    /// The API's name in the manifest; without it, the first API.
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
    #[arg(long, default_value_t = 4566, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) aws_port: u16,
    /// Make faults: events that come twice, late or out of order, calls that fail, functions
    /// that are killed. The same SEED makes the same faults.
    #[arg(long, value_name = "SEED", num_args = 0..=1)]
    pub(crate) chaos: Option<Option<local::Seed>>,
    /// Run this when the stage is ready, then stop.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// How long to wait at most.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Warm events per function.
    #[arg(long, default_value_t = 1000)]
    pub(crate) events: usize,
    /// Cold starts per function.
    #[arg(long, default_value_t = 20)]
    pub(crate) starts: usize,
    /// Print the figures as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// The function's name in the manifest; without it, all functions.
    pub(crate) function: Option<String>,
    /// Print operations, grants and findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// Also run the checks that take minutes.
    #[arg(long)]
    pub(crate) long: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 0,
    };
    text.get(..text.len().saturating_sub(1))
        .and_then(|count| count.parse::<u64>().ok())
        .and_then(|count| count.checked_mul(unit_seconds))
        .filter(|_| unit_seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "write a number and a unit, for example 30s, 10m, 2h or 7d".to_owned())
}

/// A pattern may begin with a hyphen, before a term that lines must not have. Two are an option
/// that took the pattern's place.
fn parse_pattern(text: &str) -> Result<String, String> {
    if text.starts_with("--") {
        return Err(format!(
            "a pattern is missing before `{text}`, or needs quotes of its own: --filter '\"{text}\"'"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_filter_pattern_may_leave_lines_out() {
        let filter = |arguments: &[&str]| {
            let command = ["xtask", "logs", "media-api"];
            let cli = Cli::try_parse_from(command.iter().chain(arguments))?;
            let Verb::Logs(logs) = cli.verb else {
                unreachable!()
            };
            Ok::<_, clap::Error>(logs.filter)
        };
        for pattern in ["-INFO", "ERROR -retried", "", "{ $.level = \"INFO\" }"] {
            assert_eq!(filter(&["--filter", pattern]).unwrap().unwrap(), pattern);
        }
        assert_eq!(filter(&["--filter=-INFO"]).unwrap().unwrap(), "-INFO");
        let error = filter(&["--filter", "--json"]).unwrap_err().to_string();
        assert!(error.contains("a pattern is missing"), "{error}");
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "10", "m", "-1s", "1w", "99999999999999999999s", "10µ"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
