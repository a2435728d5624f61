//! Starts the function: see the library for what it does.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run(
        &[env!("CARGO_CRATE_NAME")],
        runtime::serve(new_function::handle),
    )
    .await
}
