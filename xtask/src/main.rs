//! `cargo xtask` for the app of this workspace.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::Program::new(app::app)
        .checks(app_checks::suite)
        .run()
}
