//! A saved file is built into one function first. Cargo must not compile that function's dependencies again, as it would if
//! their features were others than those of the whole local stage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::process::Command;

use acceptance::workspace;

/// The packages that these are built with, each with its features. `edges` tells those for this machine from those for
/// build scripts and macros.
fn resolved(packages: &[&str], edges: &str) -> BTreeSet<String> {
    let selected = packages.iter().map(|name| format!("--package={name}"));
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix=none", "--format={p} [{f}]"])
        .args(["--package=runtime", "--features=runtime/dylib"])
        .arg(format!("--edges={edges},no-proc-macro"))
        .args(selected)
        .current_dir(workspace())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A package that was shown before has this mark.
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.map(str::to_owned).collect()
}

#[test]
fn one_function_is_built_with_the_dependencies_that_all_are_built_with() {
    let stage = manifest::Stage::with_defaults("local");
    let app = app::app().resolve(&stage).unwrap();
    let functions: Vec<&str> = app.functions().map(manifest::Function::name).collect();
    let everything = [&functions[..], &["rekognition-local", "xtask"]].concat();
    for edges in ["normal", "build"] {
        let all = resolved(&everything, edges);
        for function in &functions {
            let other: Vec<_> = resolved(&[function], edges)
                .difference(&all)
                .cloned()
                .collect();
            assert!(
                other.is_empty(),
                "{function} alone has other features than with the rest of the local stage; \
                 name the missing ones in infra/runtime-dylib/Cargo.toml:\n{}",
                other.join("\n")
            );
        }
    }
}
