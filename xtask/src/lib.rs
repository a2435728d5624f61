//! `cargo xtask` as a library: builds, packages, deploys, runs and deletes an app.
//!
//! The library knows no app. A [`Program`] is given one: its manifest, and the checks of a stage
//! that is deployed.
//!
//! The command line ([`cli`]) is not what a command works with ([`context`]), and neither is the
//! command: one module per verb under [`verbs`]. What belongs to the infrastructure lives in
//! `infra/`; this crate only composes it.

mod build;
mod changes;
mod cli;
mod context;
mod denials;
mod elf;
mod environment;
mod error;
mod examples;
mod framework;
mod generated;
mod interrupt;
mod kept;
mod log_view;
mod output;
mod package;
mod panic;
mod progress;
mod question;
mod stage_client;
mod stage_state;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
mod toolchain;
mod trace_view;
mod values;
mod verbs;
mod wanted;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use manifest::Manifest;
use verify::Suite;

use crate::cli::Cli;
use crate::error::CliError;
use crate::workspace::Workspace;

/// The program of an app: its `main` is to run it and return what it returns.
#[derive(Debug, Clone)]
pub struct Program {
    manifest: fn() -> Manifest,
    checks: Option<fn() -> Suite>,
    root: Option<PathBuf>,
}

impl Program {
    /// A program for the app that `manifest` declares. Each function of the app is a package of
    /// the cargo workspace, and has its package's name.
    #[must_use]
    pub fn new(manifest: fn() -> Manifest) -> Self {
        Self {
            manifest,
            checks: None,
            root: None,
        }
    }

    /// The checks that `verify` makes on a stage.
    #[must_use]
    pub fn checks(self, suite: fn() -> Suite) -> Self {
        Self {
            checks: Some(suite),
            ..self
        }
    }

    /// The folder of `infra/stages.yaml`, `policies` and `assets`, as an absolute path; without
    /// it, the folder of the cargo workspace. The workspace is the one that the folder lies in;
    /// if it lies in none, the one that this library was built in.
    #[must_use]
    pub fn root(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            root: Some(folder.into()),
            ..self
        }
    }

    /// Does what the command line asks for. Prints every error; the exit code is for `main` to
    /// return.
    #[must_use]
    pub fn run(self) -> ExitCode {
        panic::report_panics();
        if let Err(error) = environment::drop_empty_variables() {
            return error.report();
        }
        let workspace = Workspace::new(self.manifest, self.checks, self.root);
        let cli = match Cli::from_command_line(&workspace) {
            Ok(cli) => cli,
            Err(error) => return said_by_clap(&error),
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return CliError::new(format!("could not start: {error}")).report(),
        };
        let ended = runtime.block_on(verbs::run(&workspace, cli.verb));
        // A build in another thread must not delay the end.
        runtime.shutdown_background();
        match ended {
            Ok(code) => code,
            Err(error) => error.report(),
        }
    }
}

/// The help and the version are results, as those of a verb; the rest tells of a misuse.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        terminal::tell(text.trim_end());
        return ExitCode::from(2);
    }
    match output::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
