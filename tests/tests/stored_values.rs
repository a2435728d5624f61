//! Parameters and secrets on the local stage: a file has the values, functions read them, and nobody
//! is told.
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use acceptance::{Stage, both, one_command};
use serde_json::json;
use tempfile::TempDir;

/// As `infra/local-values.example.yaml` of the example has them.
const URL: &str = "https://carrier.example/";
const KEY: &str = "not-a-key";

/// What the start of a stage says without the values that it needs.
fn refused(values: &Path) -> String {
    let (mut local, _directory) = one_command(&["true"]);
    local.env("XTASK_LOCAL_VALUES", values);
    let output = local.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    both(&output)
}

#[test]
fn a_stage_does_not_start_without_its_values() {
    let folder = TempDir::new().unwrap();
    let values = folder.path().join("values.yaml");
    let error = refused(&values);
    for part in [
        "lacks values of the app",
        "parameter `carrier-url` (declared at tests/example/src/lib.rs:",
        "secret `carrier-key`",
        "install -m 600",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    std::fs::write(&values, "secrets:\n  carrier-key: s3cr3t\n").unwrap();
    std::fs::set_permissions(&values, PermissionsExt::from_mode(0o644)).unwrap();
    let error = refused(&values);
    assert!(error.contains("its mode is 0644"), "{error}");
    std::fs::set_permissions(&values, PermissionsExt::from_mode(0o600)).unwrap();
    let error = refused(&values);
    assert!(error.contains("parameter `carrier-url`") && !error.contains("`carrier-key`"));
    assert!(!error.contains("s3cr3t"), "{error}");
}

#[test]
fn functions_read_what_is_stored_and_a_deployment_misses_what_is_not() {
    let stage = Stage::start();
    let answer = stage.get("ORDERS_URL", "/carrier");
    assert_eq!(answer.status, 200, "{}", stage.log());
    assert_eq!(answer.json(), json!({"url": URL, "key_bytes": KEY.len()}));

    // The names are told, the values are not.
    let parameter = stage.variable("CARRIER_URL_PARAMETER");
    let secret = stage.variable("CARRIER_KEY_SECRET");
    assert_eq!(parameter, "/shop-local/carrier-url");
    assert_eq!(secret, "shop-local/carrier-key");
    let function = stage.physical_name("place-order");
    let configuration = ["lambda", "get-function-configuration", "--function-name"];
    let told = [
        stage.log(),
        stage.xtask_ok(&["env", "--json"]),
        stage.xtask_ok(&["synth"]),
        stage.aws_ok(&[&configuration[..], &[&function]].concat()),
        stage.aws_ok(&["ssm", "describe-parameters"]),
        stage.aws_ok(&["secretsmanager", "describe-secret", "--secret-id", secret]),
    ];
    for text in told {
        assert!(!text.contains(URL) && !text.contains(KEY), "{text}");
    }

    let grants = stage.xtask_ok(&["grants", "place-order", "--json"]);
    for action in ["ssm:GetParameter", "secretsmanager:GetSecretValue"] {
        assert!(grants.contains(action), "{grants}");
    }

    stage.aws_ok(&["ssm", "delete-parameter", "--name", parameter]);
    stage.aws_ok(&["secretsmanager", "delete-secret", "--secret-id", secret]);
    let output = stage.xtask(&["deploy"]).output().unwrap();
    let error = both(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [
        "parameter /shop-local/carrier-url does not exist",
        "secret shop-local/carrier-key is going to be deleted",
        "aws ssm put-parameter --region us-east-1 --name /shop-local/carrier-url --type SecureString",
        "aws secretsmanager restore-secret",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("Building"), "nothing was begun: {error}");
}
