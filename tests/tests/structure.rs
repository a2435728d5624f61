//! The modules of a crate refer to each other in one direction, and every file of tests is a part of a program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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

/// The names of the Rust files of a folder, and of folders with a `main.rs`.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| {
        path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists()
    });
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.map(name).collect()
}

/// The compiler says nothing of a file that it is not told of.
#[test]
fn every_file_of_acceptance_tests_is_run() {
    let package = workspace().join("tests");
    let declared = std::fs::read_to_string(package.join("Cargo.toml")).unwrap();
    for folder in ["tests", "app"] {
        let Ok(program) = std::fs::read_to_string(package.join(folder).join("main.rs")) else {
            assert_eq!(folder, "app", "only the app's tests may be deleted");
            continue;
        };
        let left_out: Vec<String> = files(&package.join(folder))
            .into_iter()
            .filter(|name| {
                let is_module = program.contains(&format!("\nmod {name};\n"));
                let is_target = ["", "/main"]
                    .iter()
                    .any(|below| declared.contains(&format!("\"{folder}/{name}{below}.rs\"")));
                !is_module && !is_target
            })
            .collect();
        assert!(left_out.is_empty(), "in tests/{folder}: {left_out:?}");
    }
}
