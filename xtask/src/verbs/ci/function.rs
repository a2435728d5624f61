//! `ci FUNCTION`: what one function consists of.

use xshell::{Shell, cmd};

use super::parts;
use crate::context::function_of;
use crate::environment::without_cargo_variables;
use crate::error::Result;
use crate::terminal::status;
use crate::verbs::{bench, gen_policy, grants, graph};
use crate::workspace::Workspace;

/// Checks a function, the libraries of the app that it depends on, and what is generated from the
/// declaration.
pub(super) async fn check(workspace: &Workspace, name: &str) -> Result<()> {
    let app = workspace.declared_app()?;
    let packages = parts::check(workspace, &[function_of(&app, name)?])?;
    let folder = workspace.root().join("functions");
    let packages: Vec<&str> = packages
        .with_dependencies(name, &folder)
        .into_iter()
        .collect();
    let selected: Vec<String> = packages
        .iter()
        .map(|package| format!("--package={package}"))
        .collect();
    let selected = &selected;
    let all = packages.join(", ");

    let shell = Shell::new()?;
    let _directory = shell.push_dir(workspace.cargo_root());
    let _target =
        Workspace::named_target().map(|target| shell.push_env("CARGO_TARGET_DIR", target));
    let cargo = workspace.cargo();
    status("Checking", format!("format of {all}"));
    cmd!(shell, "{cargo} fmt --check {selected...}")
        .quiet()
        .run()?;
    status("Checking", "policies");
    gen_policy::check(workspace)?;
    graph::check(workspace)?;
    let package = workspace.declaring_package(&app);
    if package.join("tests/goldens.rs").exists() {
        status("Checking", "golden files");
        let manifest = package.join("Cargo.toml");
        let goldens = cmd!(
            shell,
            "{cargo} test --quiet --manifest-path {manifest} --test goldens"
        );
        without_cargo_variables(goldens).quiet().run()?;
    }
    status("Checking", format!("grants of {name}"));
    let executable = grants::check_function(workspace, name)?;
    status("Checking", format!("lints of {all}"));
    let lints = cmd!(
        shell,
        "{cargo} clippy --no-deps {selected...} --all-targets -- --deny warnings"
    );
    without_cargo_variables(lints).quiet().run()?;
    status("Testing", &all);
    let tests = cmd!(shell, "{cargo} test --quiet {selected...}");
    without_cargo_variables(tests).quiet().run()?;
    status("Testing", format!("{name} on its sample event"));
    bench::answer_here(workspace, name, &executable).await?;
    status("Checking", format!("the size of the zip of {name}"));
    bench::check_zips(workspace, &[name])?;
    status("Passed", format!("every check of {name}"));
    Ok(())
}
