//! The reference of the command line, `docs/reference/cli.md`.
//!
//! `UPDATE_GOLDENS=1 cargo test -p xtask --lib reference` writes it anew. Examples name what the app
//! of this crate's tests declares.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use clap::{Arg, Command, CommandFactory};

use super::{Cli, help};
use crate::testing;

/// The lines between which the document has what the command line says.
const BEGIN: &str = "<!-- Written by `UPDATE_GOLDENS=1 cargo test -p xtask --lib reference`. -->\n";
const END: &str = "<!-- The end of the verbs. -->\n";

#[test]
fn the_reference_is_what_the_command_line_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
    let present = fs::read_to_string(&path).unwrap();
    let (before, rest) = present.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let verbs = reference(help::explain(Cli::command(), &testing::workspace()));
    let wanted = format!("{before}{BEGIN}\n{verbs}{END}{after}");
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(
        present == wanted,
        "docs/reference/cli.md is stale; run UPDATE_GOLDENS=1 cargo test -p xtask --lib reference"
    );
}

/// A section for each verb, in the order of the help.
fn reference(mut command: Command) -> String {
    command.build();
    let mut text = String::new();
    for verb in command.get_subcommands_mut() {
        section("", verb, &mut text);
    }
    text
}

fn section(above: &str, verb: &mut Command, text: &mut String) {
    if verb.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", verb.get_name())
        .trim_start()
        .to_owned();
    let usage = verb.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = writeln!(text, "## {name}\n");
    if let Some(about) = verb.get_about() {
        let _ = writeln!(text, "{about}.\n");
    }
    let _ = writeln!(text, "```text\n{usage}\n```\n");
    let arguments: Vec<&Arg> = verb
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        text.push_str("| option or argument | what |\n| --- | --- |\n");
    }
    for argument in &arguments {
        let cells = [form(argument), meaning(argument)].map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} | {} |", cells[0], cells[1]);
    }
    if !arguments.is_empty() {
        text.push('\n');
    }
    if let Some(more) = verb.get_after_help() {
        let _ = writeln!(text, "```text\n{more}\n```\n");
    }
    for below in verb.get_subcommands_mut() {
        section(&name, below, text);
    }
}

/// The argument as it is typed.
fn form(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let takes_value = argument
        .get_num_args()
        .is_some_and(|count| count.takes_values());
    let value: Vec<String> = names.iter().map(|name| format!("<{name}>")).collect();
    let value = if takes_value {
        value.join(" ")
    } else {
        String::new()
    };
    match argument.get_long() {
        Some(long) => {
            let aliases = argument.get_visible_aliases().unwrap_or_default();
            let names = std::iter::once(long).chain(aliases);
            let names: Vec<String> = names
                .map(|name| format!("`{}`", format!("--{name} {value}").trim_end()))
                .collect();
            names.join(", ")
        }
        None => format!("`{value}`"),
    }
}

/// What the help says of the argument.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() && !text.ends_with('.') {
        text.push('.');
    }
    let takes_value = argument
        .get_num_args()
        .is_some_and(|count| count.takes_values());
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if takes_value && !values.is_empty() {
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    let defaults = argument.get_default_values();
    if takes_value && let Some(default) = defaults.first() {
        let _ = write!(text, " Default: `{}`.", default.to_string_lossy());
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " Variable: `{}`.", variable.to_string_lossy());
    }
    text
}
