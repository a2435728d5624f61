//! The modules of a crate refer to each other in one direction.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use acceptance::workspace;
use serde_json::Value;
use structure::cycles;

/// Packages with modules that refer to each other in a circle. They are to be taken apart. No
/// package is to be added.
const WITH_CYCLES: &[&str] = &["local", "rekognition-local", "xtask"];

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
    let mut with_cycles = BTreeSet::new();
    let mut found = Vec::new();
    for (package, first_file) in &crates {
        let cycles = cycles(first_file, &workspace()).unwrap();
        if !cycles.is_empty() {
            with_cycles.insert(package.as_str());
        }
        if !WITH_CYCLES.contains(&package.as_str()) {
            let cycles = cycles.iter();
            found.extend(cycles.map(|cycle| format!("in package `{package}`, {cycle}")));
        }
    }
    for package in WITH_CYCLES {
        if !with_cycles.contains(package) {
            found.push(format!(
                "package `{package}` has no circle any more: take it out of `WITH_CYCLES`"
            ));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n\n"));
}
