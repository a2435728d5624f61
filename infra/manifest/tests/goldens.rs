//! What an app with every kind of resource becomes, as files to review.
//!
//! `UPDATE_GOLDENS=1 cargo test -p manifest --test goldens` writes them anew.
#![allow(
    clippy::disallowed_methods,
    reason = "the crate is pure; this test compares it with files"
)]
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::path::Path;
use std::{env, fs};

use manifest::{App, bootstrap_template};

mod example;

fn assert_golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{name} is stale; if the change is meant, run UPDATE_GOLDENS=1 cargo test -p manifest"
    );
}

fn on_stage(name: &str) -> App {
    let mut apps = example::apps().into_iter();
    apps.find(|app| app.stage().name == name).unwrap()
}

#[test]
fn template() {
    let every_setting = on_stage("every-setting");
    assert_golden("every-setting.yaml", &every_setting.synth().template);
}

#[test]
fn bootstrap() {
    assert_golden("bootstrap.yaml", &bootstrap_template());
}

/// With and without a region and an account.
#[test]
fn deployer_policies() {
    for stage in ["dev", "every-setting"] {
        let policies = on_stage(stage).deployer_policies().array();
        assert_golden(&format!("{stage}.deployer.json"), &policies);
    }
}
