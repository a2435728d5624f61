//! What the builds of a development have in common.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use manifest::{Function, Stage};

/// The features of every dependency when cargo builds what these arguments select.
fn features(selection: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--prefix", "none", "--format", "{p}|{f}"])
        .args(selection)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, enabled) = line
            .trim_end_matches(" (*)")
            .split_once('|')
            .unwrap_or((line, ""));
        features
            .entry(package.to_owned())
            .or_default()
            .insert(enabled.to_owned());
    }
    features
}

/// Builds only, so not what the tests use.
const BUILD: [&str; 2] = ["--edges", "normal,build"];

/// Fails if a dependency of xtask has other features in another selection of packages. What macros
/// depend on is compiled apart from the rest, and a package may have both.
fn assert_compiled_once(whose: &str, theirs: &BTreeMap<String, BTreeSet<String>>) {
    let ours = features(&[&BUILD[..], &["--package", "xtask"]].concat());
    assert!(ours.len() > 200, "{ours:?}");
    let different: Vec<String> = ours
        .iter()
        .filter_map(|(package, enabled)| Some((package, enabled, theirs.get(package)?)))
        .filter(|(_, enabled, other)| !enabled.is_subset(other))
        .map(|(package, enabled, other)| {
            format!("{package}: xtask has {enabled:?}, {whose} {other:?}")
        })
        .collect();
    assert!(
        different.is_empty(),
        "these are compiled twice:\n{}",
        different.join("\n")
    );
}

#[test]
fn dependencies_are_compiled_once_for_this_program_and_the_functions() {
    let app = app::app().resolve(&Stage::with_defaults("local")).unwrap();
    let functions = app.functions().map(Function::name);
    let packages = functions.chain(["rekognition-local", "xtask"]);
    let packages: Vec<&str> = packages.flat_map(|name| ["--package", name]).collect();
    let theirs = features(&[&BUILD[..], &packages].concat());
    assert_compiled_once("the local stage", &theirs);
}

#[test]
fn dependencies_are_compiled_once_for_this_program_and_the_workspace() {
    let theirs = features(&[&BUILD[..], &["--workspace"]].concat());
    assert_compiled_once("the workspace", &theirs);
}

#[test]
fn dependencies_are_compiled_once_for_this_program_and_the_tests() {
    let theirs = features(&["--workspace", "--edges", "normal,build,dev"]);
    assert_compiled_once("the workspace with tests", &theirs);
}
