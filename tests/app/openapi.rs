//! The HTTP APIs answer what their OpenAPI documents say: Schemathesis makes requests from the
//! documents, valid ones and others, and compares the answers.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use acceptance::workspace;
use local::CheckTools;
use serde_json::json;

use crate::library::Stage;

/// What must hold for each answer: the function does not fail, and the status, the content type,
/// the headers and the body are described.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// Requests for each route that are made up at random, beside those that try each bound.
const RANDOM_REQUESTS: &str = "50";

#[test]
fn the_apis_answer_what_their_documents_say() {
    let tools = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let folder = workspace().join("target/python/checks");
        CheckTools::prepare(&folder, |line| eprintln!("{line}")).await
    });
    let tools = tools.unwrap();
    let stage = Stage::start();
    // Otherwise listings have nothing to describe.
    for (name, photo) in [
        ("sample.jpg", "sample.jpg"),
        ("a b/é.JPG", "othersample.jpg"),
    ] {
        stage.upload(name, &workspace().join("assets").join(photo));
    }
    stage.upload("broken.jpg", &workspace().join("README.md"));
    for number in 0..3 {
        let email = format!("user{number}@gmail.com");
        let body = json!({"email": email}).to_string();
        assert_eq!(stage.post("USERS_API_URL", "/create", &body).status, 200);
    }
    stage.xtask_ok(&["wait"]);
    assert_served(&stage, "media", "API_URL");
    assert_served(&stage, "users", "USERS_API_URL");
    drive(&stage, &tools, "users", "USERS_API_URL", &["--mode", "all"]);
    // A path that its description rules out may be that of another route: API Gateway decodes it
    // twice, and takes what comes after a `?` for a query string.
    let mut others = vec!["--mode", "all"];
    let of_one_item = ["getItem", "deleteItem"];
    others.extend(
        of_one_item
            .map(|operation| ["--exclude-operation-id", operation])
            .as_flattened(),
    );
    drive(&stage, &tools, "media", "API_URL", &others);
    for operation in of_one_item {
        let valid = ["--mode", "positive", "--include-operation-id", operation];
        drive(&stage, &tools, "media", "API_URL", &valid);
    }
}

/// Asserts that an API answers the document that is kept.
fn assert_served(stage: &Stage, api: &str, variable: &str) {
    let served = acceptance::Stage::get(stage, variable, "/openapi.json");
    let content_type = served.header("content-type");
    assert_eq!(
        (served.status, content_type),
        (200, Some("application/json"))
    );
    assert_eq!(served.body, std::fs::read_to_string(document(api)).unwrap());
}

fn document(api: &str) -> PathBuf {
    workspace().join(format!("openapi/{api}.json"))
}

/// Drives an API from its document.
fn drive(stage: &Stage, tools: &CheckTools, api: &str, variable: &str, arguments: &[&str]) {
    let output = Command::new(tools.schemathesis())
        .arg("run")
        .arg(document(api))
        .args(["--url", stage.variable(variable)])
        .args(["--checks", CHECKS, "--max-examples", RANDOM_REQUESTS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(arguments)
        // The same requests each time.
        .arg("--generation-deterministic")
        .args(["--suppress-health-check", "all", "--continue-on-failure"])
        // Python 3.11's parser, which Schemathesis uses, fails in two threads at a time.
        .args(["--workers", "1", "--warnings", "off", "--no-color"])
        .current_dir(stage.directory())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        stage.log()
    );
    let cases = told.lines().find(|line| line.contains(" generated, "));
    let cases = cases.unwrap_or_else(|| panic!("{told}")).trim();
    // Tests hide what they print by macros.
    let line = format!("HTTP API {api}, {}: {cases}\n", arguments.join(" "));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
