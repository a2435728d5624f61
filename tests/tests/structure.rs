//! The modules of a crate refer to each other in one direction.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;

use acceptance::workspace;
use serde_json::Value;
use structure::cycles;

/// The first file of each library and program in the workspace, with the package's name.
fn crates() -> Vec<(String, PathBuf)> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = command.current_dir(workspace()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut crates = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let kinds = target["kind"].as_array().unwrap();
            if kinds.iter().any(|kind| kind == "lib" || kind == "bin") {
                let name = package["name"].as_str().unwrap().to_owned();
                crates.push((name, target["src_path"].as_str().unwrap().into()));
            }
        }
    }
    crates
}

#[test]
fn modules_do_not_refer_to_each_other_in_a_circle() {
    let crates = crates();
    assert!(crates.iter().any(|(package, _)| package == "xtask"));
    let mut found = Vec::new();
    for (package, first_file) in &crates {
        let cycles = cycles(first_file, &workspace()).unwrap().into_iter();
        found.extend(cycles.map(|cycle| format!("in package `{package}`, {cycle}")));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n\n"));
}
