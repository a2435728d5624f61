//! The framework knows no app: none of its files holds a name of this one.

use std::path::PathBuf;

use acceptance::names::Names;
use acceptance::workspace;
use manifest::Stage;

/// What is the app's own in the folders below.
const OF_THE_APP: [&str; 7] = [
    "infra/app",
    "infra/app-checks",
    "infra/rekognition-local",
    "infra/stages.yaml",
    "tests/Cargo.toml",
    "tests/app",
    "xtask/src/main.rs",
];

/// Names of the app that the framework may hold: an operation of AWS, and the variable that every
/// new app begins with.
const SHARED: [&str; 2] = ["DetectLabels", "API_URL"];

/// The parts of the framework: the crates of `infra`, the files of `xtask/src`, and the tests.
fn parts() -> Vec<String> {
    let mut parts = Vec::new();
    for folder in ["infra", "xtask/src", "tests"] {
        for entry in std::fs::read_dir(workspace().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            parts.push(format!("{folder}/{name}"));
        }
    }
    parts.retain(|part| !OF_THE_APP.contains(&part.as_str()));
    parts.sort();
    parts
}

#[test]
fn the_framework_holds_no_name_of_the_app() {
    let app = app::app().resolve(&Stage::with_defaults("dev")).unwrap();
    let names = Names::of(&app, &SHARED);
    let mut wrong = Vec::new();
    for part in parts() {
        let findings = names.found_below(&workspace().join(&part)).unwrap();
        wrong.extend(findings.iter().map(|finding| {
            let (file, line): (&PathBuf, _) = (&finding.at.0, finding.at.1);
            let file = file.strip_prefix(workspace()).unwrap().display();
            format!("{file}:{line}: {} is a name of the app", finding.name)
        }));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
