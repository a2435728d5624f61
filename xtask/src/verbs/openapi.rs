//! `openapi`: the descriptions of the app's HTTP APIs, committed so that a change of a contract
//! shows in review.

mod tables;

use std::io::Read;
use std::process::{Command, ExitCode};

use ::openapi::{changes, faults};
use manifest::DescribedApi;
use serde_json::Value;

use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::generated::GeneratedFolder;
use crate::output::{exact, line};
use crate::terminal::{inert, status};
use crate::workspace::Workspace;

/// The folder of the documents, in that of the app.
const FOLDER: &str = "openapi";

/// What brings everything up to date.
const COMMAND: &str = "cargo xtask openapi --write";

/// The exit code of `--exit-code` when a change breaks clients: not that of a failure or a misuse.
const BREAKING: u8 = 3;

pub(crate) fn run(workspace: &Workspace, args: &cli::Openapi) -> Result<ExitCode> {
    if args.check {
        check(workspace)?;
    } else if args.write {
        let apis = described(workspace)?;
        check_routes(&apis)?;
        documents(workspace, &apis)?.write()?;
        tables::write(workspace, &apis)?;
    } else if let Some(old) = &args.diff {
        let apis = described(workspace)?;
        let breaks = diff(workspace, &apis, args.api.as_deref(), old)?;
        return Ok(ExitCode::from(if breaks && args.exit_code {
            BREAKING
        } else {
            0
        }));
    } else {
        let apis = described(workspace)?;
        exact(&chosen(&apis, args.api.as_deref())?.document)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails if a route is not described, or if something is not as it would be written.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let apis = described(workspace)?;
    check_routes(&apis)?;
    documents(workspace, &apis)?.check(COMMAND)?;
    tables::check(workspace, &apis)
}

fn described(workspace: &Workspace) -> Result<Vec<DescribedApi>> {
    Ok(workspace.declared_app()?.described_apis().collect())
}

fn documents(workspace: &Workspace, apis: &[DescribedApi]) -> Result<GeneratedFolder> {
    let documents = apis
        .iter()
        .map(|api| (api.name.clone(), api.document.clone()));
    GeneratedFolder::new(workspace, FOLDER, documents)
}

/// Whether each API is described as it is declared.
fn check_routes(apis: &[DescribedApi]) -> Result<()> {
    for api in apis {
        let routes = api.routes.iter().map(String::as_str);
        let faults = faults(&parsed(&api.document, &api.name)?, routes);
        if !faults.is_empty() {
            let list: Vec<String> = faults
                .iter()
                .map(|fault| format!("\n  - {fault}"))
                .collect();
            return Err(CliError::new(format!(
                "the description of HTTP API {} is not what {} declares:{}",
                api.name,
                api.declared_at,
                list.concat()
            ))
            .hint("describe each route where the API's document is written, with `.route(…)`"));
        }
    }
    Ok(())
}

fn chosen<'a>(apis: &'a [DescribedApi], name: Option<&str>) -> Result<&'a DescribedApi> {
    let found = match name {
        None => apis.first(),
        Some(name) => apis.iter().find(|api| api.name == name),
    };
    found.ok_or_else(|| {
        let asked = name.map_or_else(String::new, |name| format!(" `{name}`"));
        let error = CliError::misuse(format!("the app describes no HTTP API{asked}"));
        if apis.is_empty() {
            return error.hint("describe one with `.openapi(…)` in the app's declaration");
        }
        let names: Vec<&str> = apis.iter().map(|api| api.name.as_str()).collect();
        error.hint(format!("name one of: {}", names.join(", ")))
    })
}

fn parsed(document: &str, of: &str) -> Result<Value> {
    serde_json::from_str(document)
        .map_err(|error| CliError::new(format!("could not read the document of {of}: {error}")))
}

/// Tells what has changed since an older document; returns whether something of it breaks clients.
fn diff(
    workspace: &Workspace,
    apis: &[DescribedApi],
    name: Option<&str>,
    old: &str,
) -> Result<bool> {
    let file = workspace.root().join(old);
    let is_file = old == "-" || file.is_file();
    let compared = match name {
        None if !is_file && !apis.is_empty() => apis.iter().collect(),
        _ => vec![chosen(apis, name)?],
    };
    let mut breaks = false;
    for api in compared {
        let before = if old == "-" {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| {
                    CliError::new(format!("could not read standard input: {error}"))
                })?;
            Some(text)
        } else if is_file {
            Some(std::fs::read_to_string(&file).about("read", &file)?)
        } else {
            of_revision(workspace, old, &api.name)?
        };
        let Some(before) = before else {
            status("New", format!("{}: {old} has no document of it", api.name));
            continue;
        };
        let before = parsed(&before, old)?;
        if before.get("openapi").is_none() {
            return Err(CliError::new(format!("{old} holds no OpenAPI document")));
        }
        let changes = changes(&before, &parsed(&api.document, &api.name)?);
        if changes.is_empty() {
            status("Unchanged", &api.name);
        }
        for change in changes {
            breaks |= !change.is_compatible;
            let kind = if change.is_compatible {
                "compatible"
            } else {
                "breaking"
            };
            // The older document may come from anywhere.
            let change = inert(&change.to_string()).into_owned();
            CliError::unless_not_read(line(format_args!("{kind:<10}  {}  {change}", api.name)))?;
        }
    }
    Ok(breaks)
}

/// The document that a revision of git has, if it has one.
fn of_revision(workspace: &Workspace, revision: &str, api: &str) -> Result<Option<String>> {
    let git = |arguments: &[&str]| {
        Command::new("git")
            .current_dir(workspace.root())
            .args(arguments)
            .output()
            .map_err(|error| CliError::new(format!("could not run git: {error}")))
    };
    let commit = format!("{revision}^{{commit}}");
    let known = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &commit,
    ])?;
    if !known.status.success() {
        return Err(CliError::misuse(format!(
            "{revision} is neither a file nor a revision of git"
        )));
    }
    let commit = String::from_utf8_lossy(&known.stdout).trim().to_owned();
    let file = git(&["show", &format!("{commit}:./{FOLDER}/{api}.json")])?;
    let found = file.status.success();
    Ok(found.then(|| String::from_utf8_lossy(&file.stdout).into_owned()))
}

#[cfg(test)]
mod tests;
