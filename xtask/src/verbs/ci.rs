//! `ci`: every check, in the order in which they are quick to fail.

mod arm64;
mod function;
mod parts;
mod templates;

pub(crate) use self::parts::Packages;

use std::io;
use std::path::Path;

use local::{CheckTools, ScanTools, StageTools};
use manifest::Function;
use xshell::{Shell, cmd};

use self::arm64::Arm64;
use crate::cli;
use crate::environment::without_cargo_variables;
use crate::error::{AboutFile, Result};
use crate::framework::Record;
use crate::package::uses_rekognition;
use crate::terminal::status;
use crate::verbs::{bench, gen_policy, grants, graph, openapi};
use crate::workspace::Workspace;

pub(crate) async fn run(workspace: &Workspace, args: &cli::Ci) -> Result<()> {
    if let Some(function) = &args.function {
        return function::check(workspace, function).await;
    }
    let shell = Shell::new()?;
    let _directory = shell.push_dir(workspace.cargo_root());
    let _target =
        Workspace::named_target().map(|target| shell.push_env("CARGO_TARGET_DIR", target));
    let cargo = workspace.cargo();

    let app = workspace.declared_app()?;
    let packages = parts::check(workspace, &app.functions().collect::<Vec<_>>())?;
    // The framework of an app has been checked where it comes from.
    let (every, checked) = match Record::of(workspace.cargo_root())? {
        None => (vec!["--all".to_owned()], vec!["--workspace".to_owned()]),
        Some(framework) => {
            let own = packages.outside(&framework);
            (own.clone(), own)
        }
    };
    let (every, checked) = (&every, &checked);
    status("Checking", "format");
    cmd!(shell, "{cargo} fmt {every...} --check")
        .quiet()
        .run()?;
    status("Checking", "policies");
    gen_policy::check(workspace)?;
    graph::check(workspace)?;
    openapi::check(workspace)?;
    // This tries the tool chain. The AWS SDK of a large function takes minutes.
    let functions = app.functions().map(Function::name);
    let smallest = packages.smallest(functions, &workspace.root().join("functions"));
    let arm64 = match smallest {
        Some(function) => Arm64::begin(workspace, &shell, function)?,
        None => None,
    };
    let python = workspace.target().join("python");
    let installing = |line: &str| status("Installing", line);
    let (checks, scan) = (python.join("checks"), python.join("scan"));
    let (checks, scanner) = tokio::try_join!(
        CheckTools::prepare(&checks, installing),
        ScanTools::prepare(&scan, installing),
    )?;
    templates::check(workspace, &shell, &checks, &scanner)?;
    status("Checking", "lints");
    let lints = cmd!(
        shell,
        "{cargo} clippy --no-deps {checked...} --all-targets -- --deny warnings"
    );
    without_cargo_variables(lints).quiet().run()?;
    status("Checking", "grants");
    grants::check(workspace)?;
    status("Testing", "the workspace");
    let tools =
        StageTools::prepare(&python.join("stage"), |line| status("Installing", line)).await?;
    let calls = workspace.target().join("calls");
    remove_folder(&calls)?;
    let mut tests = cmd!(shell, "{cargo} test {checked...}").env("XTASK_RECORD_CALLS", &calls);
    if uses_rekognition(&app) {
        let models = tools.models(|line| status("Installing", line)).await?;
        tests = tests
            .env("REKOGNITION_MODEL", models.classifier)
            .env("REKOGNITION_DETECTOR", models.detector);
    }
    without_cargo_variables(tests).quiet().run()?;
    // Without tests on a local stage, there are none.
    if calls.exists() {
        check_calls(workspace, &shell, &checks, &calls)?;
    }
    if let Some(arm64) = arm64 {
        arm64.answer().await?;
    }
    if args.long {
        status("Checking", "documentation");
        let documentation = cmd!(shell, "{cargo} doc --no-deps {checked...}");
        without_cargo_variables(documentation.env("RUSTDOCFLAGS", "--deny warnings"))
            .quiet()
            .run()?;
        // One of them has been checked with the function for arm64. All of them take minutes.
        status("Checking", "the sizes of zips");
        let functions: Vec<&str> = app.functions().map(Function::name).collect();
        bench::check_zips(workspace, &functions)?;
        test_long(workspace, &shell)?;
    }
    status("Passed", "every check");
    Ok(())
}

/// The tests that are ignored because they take minutes. Their names begin with `long_`.
fn test_long(workspace: &Workspace, shell: &Shell) -> Result<()> {
    status("Testing", "what takes minutes");
    let cargo = workspace.cargo();
    let test = cmd!(shell, "{cargo} test --workspace --tests long_ -- --ignored");
    without_cargo_variables(test).quiet().run()?;
    Ok(())
}

/// What the tests' local stages were asked, and what the local Rekognition answered, against AWS's models.
fn check_calls(
    workspace: &Workspace,
    shell: &Shell,
    tools: &CheckTools,
    calls: &Path,
) -> Result<()> {
    status("Checking", "the calls of the tests against AWS's models");
    let program = workspace.cargo_root().join("infra/checks/check.py");
    let python = tools.python();
    cmd!(shell, "{python} -B {program} calls {calls}")
        .quiet()
        .run()?;
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).about("remove", folder),
        _ => Ok(()),
    }
}
