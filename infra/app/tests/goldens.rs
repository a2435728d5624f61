//! What the committed declaration becomes, stage by stage, as files to review.
//!
//! `UPDATE_GOLDENS=1 cargo test -p app --test goldens` writes them anew.
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; this test compares it with files"
)]
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use app::app;
use manifest::{App, Architecture, Stages, bootstrap_template};

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The stages of the app, and one with every setting.
fn apps() -> BTreeMap<String, App> {
    [
        include_str!("../../stages.yaml"),
        include_str!("every-setting.yaml"),
    ]
    .into_iter()
    .flat_map(|yaml| {
        let stages = Stages::parse(yaml).unwrap();
        let names: Vec<String> = stages.names().map(str::to_owned).collect();
        names.into_iter().map(move |name| {
            let mut stage = stages.get(&name).unwrap();
            if name == "local" {
                // `architecture: host`, but the same golden on every machine.
                stage.architecture = Architecture::X86_64;
            }
            (name, app().resolve(&stage).unwrap())
        })
    })
    .collect()
}

fn assert_golden(relative: &str, actual: &str) {
    let path = path(relative);
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

#[test]
fn templates() {
    for (stage, app) in apps() {
        let template = app.synth().template;
        assert_golden(&format!("tests/golden/{stage}.yaml"), &template);
    }
    assert_golden("tests/golden/bootstrap.yaml", &bootstrap_template());
}

#[test]
fn deployer_policies() {
    for (stage, app) in apps() {
        let policies = app.deployer_policies().array();
        assert_golden(&format!("tests/golden/{stage}.deployer.json"), &policies);
    }
}

#[test]
fn policies() {
    for app in apps().values() {
        for (function, policy) in app.synth().policies {
            assert_golden(&format!("../../policies/{function}.json"), &policy);
        }
    }
}
