//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Build, deploy, run and delete the serverless app of this workspace.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Start here:\n  cargo xtask local                   run the whole app on this machine, no AWS account needed\n  cargo xtask deploy --stage dev      deploy it to AWS\n\nStages are declared in infra/stages.yaml, the app in infra/manifest/src/app.rs."
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
    /// Write the functions' IAM policies to policies/.
    #[command(
        after_help = "Example:\n  cargo xtask gen-policy --check    fail when policies/ is stale, showing the difference"
    )]
    GenPolicy(GenPolicy),
    /// Build the functions and zip them for Lambda.
    #[command(
        after_help = "Example:\n  cargo xtask package --stage dev\n\nThe zips are written to target/package/<stage>/. The same source gives the same bytes."
    )]
    Package(Package),
    /// Deploy the stage's stack.
    #[command(
        after_help = "Example:\n  cargo xtask deploy --stage dev\n\nShows the changes before it makes them, and asks when a bucket, table or queue would be\nreplaced or removed."
    )]
    Deploy(Deploy),
    /// Delete the stage's stack and everything in it.
    #[command(after_help = "Example:\n  cargo xtask delete --stage dev --yes")]
    Delete(Delete),
    /// Invoke a function and print its answer.
    #[command(
        after_help = "Examples:\n  cargo xtask invoke detect-labels --payload event.json --logs\n  echo '{\"Bucket\": \"some-bucket\", \"Key\": \"sample.jpg\"}' | cargo xtask invoke detect-labels"
    )]
    Invoke(Invoke),
    /// Print a function's log.
    #[command(
        after_help = "Examples:\n  cargo xtask logs handle-object-created --follow\n  cargo xtask logs media-api --since 2h --filter ERROR"
    )]
    Logs(Logs),
    /// Print the URL of the HTTP API.
    #[command(after_help = "Example:\n  curl \"$(cargo xtask url --stage dev)?label=Dog\"")]
    Url(StageArgs),
    /// Show what is deployed: functions, failure queues, outputs.
    #[command(after_help = "Example:\n  cargo xtask info --stage dev --json")]
    Info(Info),
    /// Print the stage's names as shell exports.
    #[command(
        after_help = "Example:\n  eval \"$(cargo xtask env --stage local)\"\n  aws s3 cp photo.jpg s3://$MEDIA_BUCKET_NAME"
    )]
    Env(Env),
    /// Run the whole app on this machine, without an AWS account.
    #[command(
        after_help = "Examples:\n  cargo xtask local\n  cargo xtask local -- aws s3 ls\n\nWith a command, the stage is stopped when the command ends, and its exit status returned."
    )]
    Local(Local),
    /// Measure each function's start-up, latency and memory on this machine.
    #[command(after_help = "Example:\n  cargo xtask bench --events 2000")]
    Bench(Bench),
    /// Run every check: format, lints, generated files, templates, tests.
    #[command(after_help = "Example:\n  cargo xtask ci")]
    Ci,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StageArgs {
    /// The stage, one of infra/stages.yaml.
    #[arg(long, default_value = "dev", env = "XTASK_STAGE")]
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
}

#[derive(Debug, Args)]
pub(crate) struct Package {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Print the packages as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Do not ask, also when something with data in it is replaced or removed.
    #[arg(long, short)]
    pub(crate) yes: bool,
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
    /// Print what was deleted as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The function's name in the manifest.
    pub(crate) function: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// A file with the event, JSON; without it, the event is read from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// Show the end of the invocation's log.
    #[arg(long)]
    pub(crate) logs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The function's name in the manifest.
    pub(crate) function: String,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Keep waiting for new lines until Ctrl-C.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How far back to begin: 30s, 10m, 2h, 7d.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub(crate) since: Duration,
    /// Only lines that match this CloudWatch Logs filter pattern.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) filter: Option<String>,
    /// Print each line as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Print a JSON object instead of shell exports.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Local {
    /// The HTTP API's port on 127.0.0.1.
    #[arg(long, default_value_t = 8000)]
    pub(crate) port: u16,
    /// The AWS endpoint's port on 127.0.0.1.
    #[arg(long, default_value_t = 4566)]
    pub(crate) aws_port: u16,
    /// Run this when the stage is ready, then stop.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
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
