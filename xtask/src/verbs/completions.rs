//! `completions`: what a shell offers after Tab.

use clap::builder::PossibleValuesParser;
use clap::{Command, CommandFactory};

use crate::cli::{self, Cli};
use crate::error::Result;
use crate::output::print;
use crate::workspace::Workspace;

/// `cargo` has completions of its own, which leave no room for those of an alias.
const COMMAND: &str = "xtask";

pub(crate) fn run(workspace: &Workspace, args: &cli::Completions) -> Result<()> {
    let app = workspace.declared_app()?;
    let names = Names {
        stages: workspace.stages()?.names().map(str::to_owned).collect(),
        functions: app.functions().map(|f| f.name().to_owned()).collect(),
        apis: app.endpoints().map(|api| api.name).collect(),
        triggers: app.triggers(),
    };
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut names.offered_by(Cli::command()),
        COMMAND,
        &mut script,
    );
    print(String::from_utf8_lossy(&script))
}

/// What stands in this workspace for the values that a command takes.
struct Names {
    stages: Vec<String>,
    functions: Vec<String>,
    apis: Vec<String>,
    triggers: Vec<String>,
}

impl Names {
    fn offered_by(&self, command: Command) -> Command {
        command.mut_subcommands(|verb| {
            self.offered_by(verb).mut_args(|argument| {
                let values = match argument.get_id().as_str() {
                    "stage" => &self.stages,
                    "function" | "functions" => &self.functions,
                    "api" => &self.apis,
                    "on" | "trigger" => &self.triggers,
                    _ => return argument,
                };
                argument.value_parser(PossibleValuesParser::new(values.clone()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_workspace_are_offered() {
        let names = Names {
            stages: vec!["staging".to_owned()],
            functions: vec!["take-order".to_owned()],
            apis: vec!["orders".to_owned()],
            triggers: vec!["topic:bills".to_owned()],
        };
        let mut script = Vec::new();
        let mut command = names.offered_by(Cli::command());
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut command,
            COMMAND,
            &mut script,
        );
        let script = String::from_utf8(script).unwrap();
        for offered in [
            "staging",
            "take-order",
            "orders",
            "topic:bills",
            "--dry-run",
            "redrive",
        ] {
            assert!(script.contains(offered), "{offered}");
        }
    }
}
