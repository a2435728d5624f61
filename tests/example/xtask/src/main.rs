//! `cargo xtask` for the example.

mod checks;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    // As cargo sets it, or a test that works in a copy.
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let mut folder = package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    folder.pop();
    xtask::Program::new(shop::app)
        .checks(checks::suite)
        .root(folder)
        .run()
}
