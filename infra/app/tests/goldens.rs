//! What the declaration becomes, stage by stage, as files to review: production in full, and how
//! each other stage differs.
//!
//! `UPDATE_GOLDENS=1 cargo test -p app --test goldens` writes them anew.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use app::app;
use manifest::{App, Architecture, Stages};
use serde_json::Value;

/// The stage that the others are compared with.
const PRODUCTION: &str = "prod";

/// The app on its stages.
fn apps() -> BTreeMap<String, App> {
    let stages = Stages::parse(include_str!("../../stages.yaml")).unwrap();
    let on_stage = |name: &str| {
        let mut stage = stages.get(name).unwrap();
        if name == "local" {
            // `architecture: host`, but the same golden on every machine.
            stage.architecture = Architecture::X86_64;
        }
        (name.to_owned(), app().resolve(&stage).unwrap())
    };
    stages.names().map(on_stage).collect()
}

fn assert_golden(relative: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{relative} is stale; if the change is meant, run UPDATE_GOLDENS=1 cargo test -p app"
    );
}

/// The values at which `other` differs from `base`, a line each; nothing of what is equal.
fn differences(base: &Value, other: &Value) -> String {
    fn compare(path: &str, base: &Value, other: &Value, lines: &mut String) {
        match (base, other) {
            (Value::Object(of_base), Value::Object(of_other)) => {
                let mut keys: Vec<&String> = of_base.keys().chain(of_other.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    let path = format!("{path}/{key}");
                    compare(&path, &base[key], &other[key], lines);
                }
            }
            _ if base == other => {}
            (_, Value::Null) => writeln!(lines, "- {path}").unwrap(),
            (Value::Null, _) => writeln!(lines, "+ {path}: {other}").unwrap(),
            _ => writeln!(lines, "~ {path}: {other}").unwrap(),
        }
    }
    let mut lines = String::new();
    compare("", base, other, &mut lines);
    lines
}

#[test]
fn templates() {
    let apps = apps();
    let production = apps[PRODUCTION].synth().template;
    assert_golden(&format!("tests/golden/{PRODUCTION}.yaml"), &production);
    let production: Value = serde_yaml::from_str(&production).unwrap();
    for (stage, app) in apps.iter().filter(|(stage, _)| *stage != PRODUCTION) {
        let template = serde_yaml::from_str(&app.synth().template).unwrap();
        let differences = differences(&production, &template);
        assert_golden(&format!("tests/golden/{stage}.differences"), &differences);
    }
}

#[test]
fn deployer_policies() {
    let policies = apps()[PRODUCTION].deployer_policies().array();
    assert_golden("tests/golden/prod.deployer.json", &policies);
}

#[test]
fn differences_are_all_that_differ() {
    let base = serde_json::json!({"a": 1, "b": {"c": [1], "d": 2}, "e": 3});
    let other = serde_json::json!({"a": 1, "b": {"c": [2], "f": {}}, "e": 3});
    assert_eq!(
        differences(&base, &other),
        "~ /b/c: [2]\n- /b/d\n+ /b/f: {}\n"
    );
}
