//! Starts the function: see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    add_video_file::main()
}
