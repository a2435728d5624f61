//! What somebody changes by hand, `diff` shows.
use acceptance::{Stage, both};
use serde_json::Value;

const STACK: &str = "shop-local";

#[test]
fn changes_by_hand_are_shown() {
    let stage = Stage::start();
    let physical = |logical_id: &str| {
        let resource = stage.aws_json(&[
            "cloudformation",
            "describe-stack-resource",
            "--stack-name",
            STACK,
            "--logical-resource-id",
            logical_id,
        ]);
        let name = &resource["StackResourceDetail"]["PhysicalResourceId"];
        name.as_str().unwrap().to_owned()
    };
    let diff = |arguments: &[&str]| {
        let arguments = [&["diff", "--exit-code"], arguments].concat();
        let output = stage.xtask(&arguments).output().unwrap();
        (output.status.code(), both(&output), output.stdout)
    };

    let (code, told, _) = diff(&["--drift"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("By hand"), "{told}");
    // The emulator compares fewer types than AWS does. Either way, the rest is told.
    assert!(told.contains("not compared: AWS::"), "{told}");

    let role = physical("ServeShopRole");
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    let on_role = ["--role-name", &role, "--policy-name", "quick-fix"];
    let put = [
        &["iam", "put-role-policy"],
        &on_role[..],
        &["--policy-document", policy],
    ]
    .concat();
    stage.aws_ok(&put);
    let (code, told, _) = diff(&[]);
    assert_eq!(code, Some(3), "{told}");
    for part in [
        "By hand",
        "1 broadened",
        "${ServeShopRole}",
        "s3:*",
        "--revert-drift",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    stage.aws_ok(&[&["iam", "delete-role-policy"], &on_role[..]].concat());
    let function = physical("ServeShopFunction");
    let memory = ["--function-name", &function, "--memory-size", "512"];
    stage.aws_ok(&[&["lambda", "update-function-configuration"], &memory[..]].concat());
    let (code, told, _) = diff(&[]);
    assert_eq!(code, Some(0), "drift detection was not asked for: {told}");
    let (code, told, stdout) = diff(&["--drift", "--json"]);
    assert_eq!(code, Some(3), "{told}");
    let shown: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(
        shown["by_hand"]["roles"]["access_changes"],
        Value::Array(Vec::new())
    );
    let [drifted] = &shown["by_hand"]["drift"]["drifted"].as_array().unwrap()[..] else {
        panic!("{shown}");
    };
    assert_eq!(drifted["logical_id"], "ServeShopFunction");
    let memory = &drifted["property_changes"][0];
    assert_eq!(
        (&memory["path"], &memory["before"], &memory["after"]),
        (&"MemorySize".into(), &"256".into(), &"512".into())
    );

    let output = stage.xtask(&["deploy", "--revert-drift"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = both(&output);
    assert!(told.contains("start the stage again"), "{told}");
}
