//! `cargo xtask`: builds, packages, deploys, runs and deletes the app of this workspace.
//!
//! The command line ([`cli`]) is not the settings of a command ([`context`]), and neither
//! is the command: one module per verb under [`verbs`]. What belongs to the app's
//! infrastructure lives in `infra/`; this crate only composes it.

mod build;
mod changes;
mod cli;
mod context;
mod denials;
mod elf;
mod environment;
mod error;
mod interrupt;
mod package;
mod panic;
mod progress;
mod stage_client;
mod stage_state;
mod terminal;
mod toolchain;
mod verbs;
mod wanted;

use std::process::ExitCode;

use clap::Parser;

use crate::error::CliError;

fn main() -> ExitCode {
    panic::report_panics();
    if let Err(error) = environment::drop_empty_variables() {
        return error.report();
    }
    let cli = match cli::Cli::try_parse() {
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
    let ended = runtime.block_on(verbs::run(cli.verb));
    // A build in another thread must not delay the end.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

/// The help and the version are results, as those of a verb; the rest tells of a misuse.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        terminal::tell(text.trim_end());
        return ExitCode::from(2);
    }
    match terminal::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
