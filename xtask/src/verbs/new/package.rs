//! The package of a new function, and the tools that work on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use manifest::Wiring;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::environment::set_by_cargo;
use crate::error::{CliError, Result};
use crate::workspace::Workspace;

/// The `Cargo.toml` of a function's package.
pub(super) fn cargo_toml(name: &str, wiring: &Wiring) -> String {
    let Wiring {
        handles,
        dependencies,
        dev_dependencies,
        ..
    } = wiring;
    let list = |names: &BTreeSet<&str>| -> String {
        let lines = names.iter();
        lines
            .map(|name| format!("{name}.workspace = true\n"))
            .collect()
    };
    let dev = match list(dev_dependencies) {
        none if none.is_empty() => none,
        list => format!("\n[dev-dependencies]\n{list}"),
    };
    format!(
        "[package]\n\
         name = \"{name}\"\n\
         description = \"Lambda function: handles {handles}\"\n\
         version.workspace = true\n\
         edition.workspace = true\n\
         rust-version.workspace = true\n\
         license.workspace = true\n\
         publish.workspace = true\n\
         \n\
         [dependencies]\n\
         {}{dev}\n\
         [lints]\n\
         workspace = true\n",
        list(dependencies),
    )
}

/// A cargo that works in the workspace at `root`.
pub(super) fn cargo(workspace: &Workspace, root: &Path) -> Command {
    let mut command = Command::new(workspace.cargo());
    command.current_dir(root).kill_on_drop(true);
    for name in set_by_cargo() {
        command.env_remove(name);
    }
    if let Some(target) = Workspace::named_target() {
        command.env("CARGO_TARGET_DIR", target);
    }
    command
}

/// Runs a command that is to succeed.
pub(super) async fn succeed(mut command: Command, failed: &str) -> Result<()> {
    let status = command.status().await;
    let status = status.map_err(|error| CliError::new(format!("could not run cargo: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(
        CliError::new(format!("{failed}: cargo ended with {status}"))
            .hint("see what is told above; nothing was kept"),
    )
}

/// Rust as `cargo fmt` writes it, with the settings of a folder.
pub(super) async fn formatted(source: &str, folder: &Path) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(format!("could not format the source: {error}"))
            .hint("install rustfmt: rustup component add rustfmt")
    };
    // The folder of a new function is not there yet.
    let folder = folder.ancestors().find(|folder| folder.exists());
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(folder.unwrap_or(Path::new(".")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = rustfmt.stdin.take() {
        stdin
            .write_all(source.as_bytes())
            .await
            .map_err(|error| failed(&error))?;
    }
    let output = rustfmt
        .wait_with_output()
        .await
        .map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(&error))
}
