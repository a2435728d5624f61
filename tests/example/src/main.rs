//! `cargo xtask` for the example.

use std::process::ExitCode;

fn main() -> ExitCode {
    // As cargo sets it, or a test that works in a copy.
    let folder = std::env::var("CARGO_MANIFEST_DIR");
    let folder = folder.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    xtask::Program::new(shop::app)
        .checks(shop::suite)
        .root(folder)
        .run()
}
