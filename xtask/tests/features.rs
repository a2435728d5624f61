//! What the builds of a development have in common.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::process::Command;

use manifest::{Function, Stage};

/// The features of every dependency when cargo builds these packages together.
fn features(packages: &[&str]) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}|{f}",
        ])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut features: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, enabled) = line
            .trim_end_matches(" (*)")
            .split_once('|')
            .unwrap_or((line, ""));
        features
            .entry(package.to_owned())
            .or_default()
            .push(enabled.to_owned());
    }
    features
        .into_iter()
        .map(|(package, mut enabled)| {
            enabled.sort();
            enabled.dedup();
            (package, enabled.join(" and "))
        })
        .collect()
}

#[test]
fn dependencies_are_compiled_once_for_this_program_and_the_functions() {
    let app = app::app().resolve(&Stage::with_defaults("local")).unwrap();
    let functions = app.functions().map(Function::name);
    let local: Vec<&str> = functions.chain(["rekognition-local", "xtask"]).collect();
    let ours = features(&["xtask"]);
    let theirs = features(&local);
    assert!(ours.len() > 200, "{ours:?}");
    let different: Vec<String> = ours
        .iter()
        .filter_map(|(package, enabled)| Some((package, enabled, theirs.get(package)?)))
        .filter(|(_, enabled, other)| enabled != other)
        .map(|(package, enabled, other)| {
            format!("{package}: xtask has [{enabled}], the local stage [{other}]")
        })
        .collect();
    assert!(
        different.is_empty(),
        "these are compiled twice:\n{}",
        different.join("\n")
    );
}
