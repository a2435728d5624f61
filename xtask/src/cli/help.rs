//! The examples and explanations below each verb's options, from `help.txt`. They name what the
//! app has, so that the examples work as they are.

use clap::Command;
use manifest::{App, Function};

use crate::examples;
use crate::workspace::Workspace;

/// A section for each verb. Names in braces stand for what [`Names`] holds.
const TEXTS: &str = include_str!("help.txt");

/// Adds to the help of each verb what is to be said for the app of a workspace.
pub(super) fn explain(command: Command, workspace: &Workspace) -> Command {
    explain_below("", command, &Names::of(workspace))
}

/// `verb` is the command's name, as it is typed after the program's.
fn explain_below(verb: &str, command: Command, names: &Names) -> Command {
    command.mut_subcommands(|below| {
        let verb = format!("{verb} {}", below.get_name());
        let below = explain_below(&verb, below, names);
        match text(verb.trim_start()) {
            Some(text) => below.after_help(names.filled_in(text)),
            None => below,
        }
    })
}

/// What stands below a verb's options.
fn text(verb: &str) -> Option<&'static str> {
    let (_, from) = TEXTS.split_once(&format!("[{verb}]\n"))?;
    Some(from.split("\n[").next()?.trim_end())
}

/// What the examples name: of the app, or a placeholder where the app has no such thing.
struct Names(Vec<(&'static str, String)>);

impl Names {
    fn of(workspace: &Workspace) -> Self {
        // The help of an app that breaks a rule is not lost: the verbs tell which.
        let app = workspace.declared_app().ok();
        let functions = || app.iter().flat_map(App::functions);
        let function = |found: Option<&Function>| {
            let found = found.or_else(|| functions().next());
            found.map_or_else(|| "FUNCTION".to_owned(), |found| found.name().to_owned())
        };
        let has_queue = |function: &&Function| function.failure_queue_output().is_some();
        let reads_stream = |function: &&Function| function.reads_stream();
        let retried = functions().find(reads_stream);
        let apis: Vec<_> = app.iter().flat_map(App::http_apis).collect();
        let suite = workspace.checks();
        let flows = suite.iter().flat_map(|suite| &suite.flows).take(2);
        let flows: Vec<&str> = flows.map(|flow| flow.name).collect();
        Self(vec![
            (
                "waited_for",
                function(functions().find(|function| !has_queue(function))),
            ),
            (
                "retried",
                function(retried.or_else(|| functions().find(has_queue))),
            ),
            (
                "api",
                apis.last()
                    .map_or_else(|| "API".to_owned(), |api| api.name.clone()),
            ),
            (
                "ask",
                format!(
                    "curl ${}",
                    apis.first().map_or("URL", |api| api.variable.as_str())
                ),
            ),
            (
                "schedule",
                app.iter()
                    .flat_map(App::schedules)
                    .next()
                    .map_or_else(|| "SCHEDULE".to_owned(), |schedule| schedule.name),
            ),
            ("upload", examples::upload(app.as_ref(), "photo.jpg")),
            (
                "flows",
                if flows.is_empty() {
                    "FLOW".to_owned()
                } else {
                    flows.join(" ")
                },
            ),
            (
                "about_checks",
                suite.map_or_else(
                    || "The app has no checks.".to_owned(),
                    |suite| suite.about.to_owned(),
                ),
            ),
            ("prefix", verify::PREFIX.to_owned()),
            ("trigger", trigger(app.as_ref())),
            ("triggers", triggers()),
        ])
    }

    fn filled_in(&self, text: &str) -> String {
        let names = self.0.iter();
        names.fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }
}

/// A trigger of a resource that the app has; of anything else if it has no such.
fn trigger(app: Option<&App>) -> String {
    let examples: Vec<String> = app.into_iter().flat_map(App::triggers).collect();
    let first = examples.into_iter().next();
    first.unwrap_or_else(|| "GET:/orders".to_owned())
}

/// How triggers are written, a line for each.
fn triggers() -> String {
    let usages: Vec<_> = manifest::trigger_usages().collect();
    let widths = usages.iter().map(|trigger| trigger.usage.len());
    let width = widths.max().unwrap_or_default();
    let lines = usages
        .iter()
        .map(|trigger| format!("  {:width$}  {}", trigger.usage, trigger.about));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::testing;

    fn command() -> Command {
        explain(Cli::command(), &testing::workspace())
    }

    fn help_of(verb: &str) -> String {
        let command = command();
        let verb = command.find_subcommand(verb).unwrap();
        verb.get_after_help().unwrap().to_string()
    }

    #[test]
    fn every_verb_has_examples_without_gaps() {
        fn verbs_below(command: &Command) -> Vec<&Command> {
            let below = command.get_subcommands();
            below
                .flat_map(|verb| [vec![verb], verbs_below(verb)].concat())
                .collect()
        }
        let command = command();
        let verbs = verbs_below(&command);
        for verb in &verbs {
            let help = verb.get_after_help().unwrap().to_string();
            assert!(help.starts_with("Example"), "{verb}: {help}");
            assert!(!help.contains(['{', '[', '}']), "{verb}: {help}");
        }
        assert_eq!(TEXTS.matches("\n[").count() + 1, verbs.len());
    }

    #[test]
    fn examples_name_what_the_app_has() {
        for (verb, example) in [
            ("invoke", "cargo xtask invoke count-stock --payload"),
            ("redrive", "cargo xtask redrive pack-order --dry-run"),
            ("logs", "cargo xtask logs count-stock pack-order --follow"),
            ("url", "cargo xtask url stock"),
            ("wait", "curl $SHOP_URL"),
            ("env", "aws s3 cp photo.jpg s3://$RECEIPT_BUCKET_NAME"),
        ] {
            let help = help_of(verb);
            assert!(help.contains(example), "{help}");
        }
    }
}
