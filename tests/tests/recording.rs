//! A local stage writes down what it is asked, for `infra/checks`, and no secret with it.
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use acceptance::{both, example, one_command};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use tempfile::TempDir;

/// Calls of each kind: signed, presigned, refused, and a function's own.
const CALLS: &str = r#"set -eu
echo text | aws s3 cp - "s3://$PHOTOS_BUCKET_NAME/photo.txt"
curl -sf "$(aws s3 presign "s3://$PHOTOS_BUCKET_NAME/photo.txt")" >&2
aws dynamodb describe-table --table-name nosuch >&2 || true
curl -sf "$SHOP_URL" >&2
printf '%s' "$AWS_SECRET_ACCESS_KEY""#;

#[test]
fn calls_are_recorded_without_secrets() {
    let folder = TempDir::new().unwrap();
    let recorded = folder.path().join("calls");
    let (mut local, _directory) = one_command(&["sh", "-c", CALLS]);
    local.env("XTASK_RECORD_CALLS", &recorded);
    let output = local.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let secret = String::from_utf8(output.stdout).unwrap();

    let mut text = String::new();
    for file in std::fs::read_dir(&recorded).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
        text += &std::fs::read_to_string(file.path()).unwrap();
    }
    let calls: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: BTreeSet<(&str, &str, &str, u64)> = calls
        .iter()
        .map(|call| {
            let target = call["headers"]["x-amz-target"].as_str();
            let path = call["path"].as_str().unwrap();
            let status = call["status"].as_u64().unwrap();
            (
                call["service"].as_str().unwrap(),
                call["method"].as_str().unwrap(),
                target.unwrap_or(path.rsplit('/').next().unwrap()),
                status,
            )
        })
        .collect();
    for call in [
        ("s3", "PUT", "photo.txt", 200),
        ("s3", "GET", "photo.txt", 200),
        ("dynamodb", "POST", "DynamoDB_20120810.DescribeTable", 400),
        // The function behind the HTTP API.
        ("dynamodb", "POST", "DynamoDB_20120810.Scan", 200),
        // What an operator stores.
        ("ssm", "POST", "AmazonSSM.PutParameter", 200),
        ("secretsmanager", "POST", "secretsmanager.CreateSecret", 200),
    ] {
        assert!(found.contains(&call), "{call:?} in {found:#?}");
    }
    assert!(secret.len() > 20);
    for hidden in [secret.as_str(), "Credential", "ignature", "ecurity-"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    let values = std::fs::read_to_string(example().join("infra/local-values.example.yaml"));
    let values = values.unwrap();
    let values: Vec<&str> = values.split('"').skip(1).step_by(2).collect();
    assert_eq!(values.len(), 2, "{values:?}");
    for call in &calls {
        let body = BASE64_STANDARD.decode(call["body"].as_str().unwrap_or_default());
        let body = String::from_utf8_lossy(&body.unwrap()).into_owned();
        assert!(!values.iter().any(|value| body.contains(value)), "{body}");
    }
}
