//! What a user's machine has set does not lead the local stage, its commands or its shell astray.
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use acceptance::{Stage, both, eventually, example};

/// Settings that each alone would lead an AWS tool somewhere else, or nowhere.
fn astray() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("ALL_PROXY", "http://127.0.0.1:9"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("AWS_CONFIG_FILE", "/nowhere/config"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9"),
        ("AWS_DEFAULT_PROFILE", "nosuch"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_REKOGNITION", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("AWS_PROFILE", "nosuch"),
        ("AWS_REGION", "eu-nowhere-1"),
        ("AWS_SESSION_TOKEN", "of-another/session"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("https_proxy", "http://127.0.0.1:9"),
    ])
}

/// What a user would type to see that everything is reached.
const EVERYTHING: &str = r#"set -eu
aws s3 ls "s3://$PHOTOS_BUCKET_NAME"
aws sqs get-queue-attributes --queue-url "$PARCELS_QUEUE_URL"
aws dynamodb describe-table --table-name "$PHOTOS_TABLE_NAME" --query Table.TableStatus
curl -sf "$SHOP_URL""#;

#[test]
fn a_command_of_the_stage_sees_the_stage_alone() {
    let command =
        format!("{EVERYTHING}\ncargo xtask --version >/dev/null 2>&1 || true\necho; env; exit 7");
    let (mut local, _directory) = acceptance::one_command(&["sh", "-c", &command]);
    local.envs(astray());
    // As `cargo run` sets them, before what the caller had.
    let libraries = std::env::join_paths([
        acceptance::target_directory().join("debug/deps"),
        "/opt/callers/lib".into(),
    ]);
    local
        .env("LD_LIBRARY_PATH", libraries.unwrap())
        .env("CARGO_PKG_NAME", "xtask")
        .env("CARGO_PKG_VERSION", "0.1.0")
        .env("CARGO_MANIFEST_DIR", example().join("xtask"))
        .env("CARGO_MANIFEST_PATH", example().join("xtask/Cargo.toml"))
        .env("MINE", "kept");
    let output = local.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", both(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.contains(&"MINE=kept"), "{shown}");
    assert!(
        lines.contains(&"LD_LIBRARY_PATH=/opt/callers/lib"),
        "{shown}"
    );
    assert!(lines.contains(&"XTASK_STAGE=local"), "{shown}");
    for line in lines {
        assert!(
            !line.starts_with("CARGO_PKG_") && !line.starts_with("CARGO_MANIFEST_"),
            "{line}"
        );
    }
}

#[test]
fn a_command_that_cannot_be_run_ends_as_in_a_shell() {
    for (command, code) in [("nosuchcommand", 127), ("/etc/passwd", 126)] {
        let (mut local, _directory) = acceptance::one_command(&[command]);
        let output = local.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", both(&output));
    }
}

#[test]
fn one_stage_and_its_shell() {
    let stage = Stage::start();
    a_shell_finds_the_stage_whatever_it_had_set(&stage);
    another_stage_in_its_folder_is_refused(&stage);
    waiting_is_no_guess(&stage);
}

fn a_shell_finds_the_stage_whatever_it_had_set(stage: &Stage) {
    let exports = stage.xtask(&["env"]).envs(astray()).output().unwrap();
    assert!(exports.status.success(), "{}", both(&exports));
    let exports = String::from_utf8(exports.stdout).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &format!("{exports}\n{EVERYTHING}\n")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(astray())
        .stdin(Stdio::null());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", both(&output));

    // A script gets the same: text is to be set, null is to be removed.
    let json = stage.xtask(&["env", "--json"]).envs(astray()).output();
    let json: serde_json::Value = serde_json::from_slice(&json.unwrap().stdout).unwrap();
    assert_eq!(json["AWS_PROFILE"], serde_json::Value::Null);
    assert!(
        json.as_object()
            .unwrap()
            .contains_key("AWS_ENDPOINT_URL_S3")
    );
    assert_eq!(json["XTASK_STAGE"], "local");
    assert_ne!(json["AWS_ACCESS_KEY_ID"], "test");
}

fn another_stage_in_its_folder_is_refused(stage: &Stage) {
    let (port, aws_port) = (free_port(), free_port());
    let output = stage
        .xtask(&[
            "local",
            "--port",
            &port,
            "--aws-port",
            &aws_port,
            "--",
            "true",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("a local stage runs already"), "{error}");
    assert!(error.contains("hint: "), "{error}");
    stage.xtask_ok(&["info"]);
}

fn waiting_is_no_guess(stage: &Stage) {
    let photo = example().join("Cargo.toml");
    for key in ["cat.jpg", "dog.jpg"] {
        stage.upload("PHOTOS_BUCKET_NAME", key, &photo);
    }
    let order = r#"{"id": "1", "photo": "cat.jpg"}"#;
    assert_eq!(stage.post("ORDERS_URL", "/orders", order).status, 200);
    stage.xtask_ok(&["wait"]);
    for path in ["/cat.jpg", "/dog.jpg"] {
        let found = stage.get("SHOP_URL", path);
        assert_eq!(found.status, 200, "{path}: {}", found.body);
    }
    // The audit has an object for each photo and for the order, besides the order's receipt.
    assert_eq!(stage.keys("RECEIPTS_BUCKET_NAME").len(), 4);

    // An event that fails is under way until it is given up.
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let function = "shop-local-file-photo";
    let payload = format!(
        r#"{{"Records": [{{"s3": {{"bucket": {{"name": "{bucket}"}}, "object": {{"key": "x.jpg"}}}}}}]}}"#
    );
    stage.aws_ok(&[
        "lambda",
        "invoke",
        "--function-name",
        function,
        "--invocation-type",
        "Event",
        "--payload",
        &payload,
        "/dev/null",
    ]);
    let busy = stage.xtask(&["wait", "--timeout", "0s"]).output().unwrap();
    assert_eq!(busy.status.code(), Some(1), "{}", both(&busy));
    let error = String::from_utf8(busy.stderr).unwrap();
    assert!(error.contains("still handles 1 event"), "{error}");
    stage.xtask_ok(&["wait"]);
    eventually("the event is in the failure queue", || {
        (stage.failed_events("file-photo") == 1).then_some(())
    });
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
