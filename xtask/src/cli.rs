//! The command line.

mod arguments;
mod help;
#[cfg(test)]
mod reference;
mod values;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::workspace::Workspace;

pub(crate) use arguments::{
    Approval, Bench, Ci, Completions, Delete, Deploy, Diff, Env, GenPolicy, GenerateEvent, Grants,
    Graph, Info, Invoke, Local, Logs, New, NewApp, NewFunction, NewThing, Openapi, Package,
    Redrive, Rollback, Snapshot, SnapshotAction, SnapshotList, Synth, Trace, Url, Verify, Wait,
};

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

impl Cli {
    /// What this program's command line asks for.
    ///
    /// # Errors
    /// What clap has to say instead: also the help and the version.
    pub(crate) fn from_command_line(workspace: &Workspace) -> Result<Self, clap::Error> {
        Self::try_parse().map_err(|error| {
            if error.kind() != ErrorKind::DisplayHelp {
                return error;
            }
            // Only help needs the app, which takes longer than all else here.
            let explained = help::explain(Self::command(), workspace);
            let help = explained.try_get_matches_from(std::env::args_os());
            help.err().unwrap_or(error)
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Begin a function, or an app.
    New(New),
    /// Print an event as AWS sends it, with the names of a stage.
    GenerateEvent(GenerateEvent),
    /// Print the app as a flowchart: events, functions, and what these may do.
    Graph(Graph),
    /// Print the CloudFormation template.
    Synth(Synth),
    /// Write the functions' IAM policies to policies/, or print the deployer's policies.
    GenPolicy(GenPolicy),
    /// Print the OpenAPI document of an HTTP API, or tell what breaks its clients.
    Openapi(Openapi),
    /// Build the functions and zip them for Lambda.
    Package(Package),
    /// Deploy the stage's stack.
    Deploy(Deploy),
    /// Show what a deployment would change.
    Diff(Diff),
    /// Return to what was deployed before: code and template.
    Rollback(Rollback),
    /// Delete the stage's stack and everything in it.
    Delete(Delete),
    /// Invoke a function and print its answer.
    Invoke(Invoke),
    /// Invoke a function again with the events in its failure queue.
    Redrive(Redrive),
    /// Check a deployed stage by using it, and delete what the checks make.
    Verify(Verify),
    /// Print what functions log.
    Logs(Logs),
    /// Show what came in, and everything that it has caused.
    Trace(Trace),
    /// Print the URL of an HTTP API or a function.
    Url(Url),
    /// Show what is deployed: functions, failure queues, outputs.
    Info(Info),
    /// Print what a shell needs to work with a stage.
    Env(Env),
    /// Run the whole app on this machine, without an AWS account.
    Local(Local),
    /// Save the local stage's data by a name, or begin with it.
    Snapshot(Snapshot),
    /// Wait until the local stage has handled all events.
    Wait(Wait),
    /// Compare each function's grants with what its machine code can call.
    Grants(Grants),
    /// Measure each function's start-up, latency and memory on this machine.
    Bench(Bench),
    /// Print a shell's completions for the command `xtask`.
    Completions(Completions),
    /// Run every check: format, lints, generated files, templates, tests.
    Ci(Ci),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_command_line_is_well_formed() {
        help::explain(Cli::command(), &testing::workspace()).debug_assert();
    }

    #[test]
    fn a_new_program_watches_as_the_one_before() {
        let deploy = |arguments: &[String]| {
            let program = ["xtask".to_owned()];
            let cli = Cli::try_parse_from(program.iter().chain(arguments)).unwrap();
            let Verb::Deploy(deploy) = cli.verb else {
                unreachable!()
            };
            deploy
        };
        for line in [
            "deploy --watch --stage=local --beside-stage --debug-info=sell --debug-info=rules --logs-from=7",
            "deploy --watch --stage=dev --require-approval=any-change",
            "deploy --watch --stage=dev --yes",
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let before = deploy(&arguments);
            let after = deploy(&before.watching(7));
            assert_eq!(format!("{after:?}"), format!("{before:?}"));
        }
    }

    #[test]
    fn a_filter_pattern_may_begin_with_a_hyphen() {
        let filter = |arguments: &[&str]| {
            let command = ["xtask", "logs", "take-order"];
            let cli = Cli::try_parse_from(command.iter().chain(arguments))?;
            let Verb::Logs(logs) = cli.verb else {
                unreachable!()
            };
            Ok::<_, clap::Error>(logs.filter)
        };
        for pattern in ["-INFO", "ERROR -retried"] {
            assert_eq!(filter(&["--filter", pattern]).unwrap().unwrap(), pattern);
        }
        assert_eq!(filter(&["--filter=-INFO"]).unwrap().unwrap(), "-INFO");
    }
}
