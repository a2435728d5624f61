//! Starts the function: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run(
        &[env!("CARGO_CRATE_NAME")],
        runtime::serve(new_function::handle),
    )
}
