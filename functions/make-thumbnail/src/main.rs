//! Starts the function: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    make_thumbnail::main()
}
