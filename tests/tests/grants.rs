//! `cargo xtask grants`: each function is granted what its machine code can call.

use std::process::Output;

use acceptance::copy::Copy;
use acceptance::probe::Probe;
use acceptance::{Stage, eventually, example, http_get, xtask, xtask_program};
use serde_json::{Value, json};
use tempfile::TempDir;

fn succeeded(output: Output) -> (String, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn function<'a>(grants: &'a Value, name: &str) -> &'a Value {
    let mut functions = grants["functions"].as_array().unwrap().iter();
    functions.find(|one| one["function"] == name).unwrap()
}

fn operations(function: &Value) -> Vec<&str> {
    let operations = function["operations"].as_array().unwrap().iter();
    operations
        .map(|operation| operation["operation"].as_str().unwrap())
        .collect()
}

#[test]
fn no_function_has_a_grant_too_few_or_too_many() {
    let elsewhere = TempDir::new().unwrap();
    let mut command = xtask(&xtask_program(), &["grants", "--json"]);
    command.env("XTASK_LOCAL_DIR", elsewhere.path());
    let (grants, _) = succeeded(command.output().unwrap());
    let grants: Value = serde_json::from_str(&grants).unwrap();
    assert_eq!(grants["local_stage_is_running"], false);
    let names = shop::app();
    let names = names.function_names();
    assert_eq!(grants["functions"].as_array().unwrap().len(), names.len());
    for name in names {
        let function = function(&grants, &name);
        assert_eq!(function["findings"], json!([]), "{name}");
        assert!(!operations(function).is_empty(), "{name}");
    }
    // The session is of the SDK's support for directory buckets.
    assert_eq!(
        operations(function(&grants, "file-photo")),
        ["CreateSession", "HeadObject", "PutItem"]
    );
    assert_eq!(
        operations(function(&grants, "place-order")),
        [
            "GetParameter",
            "GetSecretValue",
            "PutEvents",
            "PutItem",
            "Query",
            "Scan"
        ]
    );
}

#[test]
fn the_local_stage_tells_what_grants_are_used_on_and_which_is_missing() {
    let stage = Stage::start();
    let decisions = format!("{}/_stage/decisions", stage.variable("AWS_ENDPOINT_URL"));
    assert_eq!(
        http_get(&decisions).status,
        403,
        "for the stage's own servers"
    );
    stage.upload("PHOTOS_BUCKET_NAME", "a.jpg", &example().join("Cargo.toml"));
    stage.xtask_ok(&["wait"]);
    let grants = stage.xtask_ok(&["grants", "file-photo", "--json"]);
    let grants: Value = serde_json::from_str(&grants).unwrap();
    let created = function(&grants, "file-photo");
    let used: Vec<(&str, &Value)> = created["grants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| (grant["action"].as_str().unwrap(), &grant["used_on"]))
        .collect();
    // S3 asks whether the function may list the bucket if the object is gone.
    for (action, resources) in [
        ("s3:GetObject", json!(["bucket `photos`"])),
        ("s3:ListBucket", json!([])),
        ("dynamodb:PutItem", json!(["table `photos`"])),
    ] {
        assert!(used.contains(&(action, &resources)), "{action}: {used:?}");
    }

    let probe = Probe::install(&stage, "file-photo");
    let table = stage.variable("PHOTOS_TABLE_NAME");
    let scan =
        json!({"service": "dynamodb", "operation": "scan", "parameters": {"TableName": table}});
    let bucket = stage.variable("RECEIPTS_BUCKET_NAME");
    let put = json!({"service": "s3", "operation": "put_object", "parameters": {"Bucket": bucket, "Key": "jane@example.com"}});
    for call in [&scan, &put] {
        assert!(probe.ask(call).starts_with("AccessDenied"), "{call}");
    }
    let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}");
    let allow = ["grants", "file-photo", "--allow", "dynamodb:Scan"];
    let line = stage.xtask_ok(&[&allow[..], &["--on", &arn]].concat());
    assert!(
        line.ends_with(" by .grant(catalogue.allow([PutItem, Scan]))\n"),
        "{line}"
    );
    let (_, said) = succeeded(stage.xtask(&["logs", "file-photo"]).output().unwrap());
    // The stage reads logs and denials four times a second.
    let log = eventually("the stage tells of both denials", || {
        let log = stage.log();
        log.contains(".allow([PutObject])").then_some(log)
    });
    for told in [said, log] {
        for expected in [
            "warning: the local stage denied file-photo the action dynamodb:Scan on table `photos`\n",
            " by .grant(catalogue.allow([PutItem, Scan]))\n",
            "warning: the local stage denied file-photo the action s3:PutObject on bucket `receipts`\n",
            "hint: add .grant(receipts.allow([PutObject])) to the function at tests/example/src/lib.rs:",
        ] {
            assert_eq!(told.matches(expected).count(), 1, "{expected}{told}");
        }
        assert!(!told.contains("jane"), "{told}");
    }
}

#[test]
fn an_edit_that_adds_or_removes_a_call_is_found() {
    let copy = Copy::new(&["file-photo", "place-order", "ship-order", "xtask"]);
    let functions = "tests/example/functions";
    copy.edit(
        &format!("{functions}/file-photo/src/main.rs"),
        "        info!(\"photo listed\");\n",
        "        let scan = self.dynamodb.scan().table_name(&self.table).send().await;\n\
         scan.map_err(|error| NotListed(ServiceError::of(&error)))?;\n",
    );
    copy.edit(
        &format!("{functions}/place-order/src/main.rs"),
        "self.take(order.map_err(no_order)?).await?",
        "order.map_err(no_order)?",
    );
    copy.edit(
        &format!("{functions}/ship-order/src/main.rs"),
        "    let put = client.put_object()",
        "    let look = client.head_object().bucket(bucket).key(id).send().await;\n\
         look.map_err(|error| NotShipped::Receipt(ServiceError::of(&error)))?;\n\
         let put = client.put_object()",
    );
    let output = copy.xtask(&["grants"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let declared = "tests/example/src/lib.rs:";
    for expected in [
        ": file-photo can call Scan, and no grant allows dynamodb:Scan\n",
        "hint: add .grant(TABLE.allow([Scan])) to the function at tests/example/src/lib.rs:",
        ": ship-order can call HeadObject, and no grant allows s3:GetObject\n",
        ": ship-order can call HeadObject, and no grant allows s3:ListBucket\n",
        "where BUCKET is one of: photos, receipts\n",
        ": place-order is granted dynamodb:PutItem on table `orders`, and no operation that it can call needs it\n",
        ": place-order is granted events:PutEvents on event bus `shop`, and no operation that it can call needs it\n",
    ] {
        assert!(said.contains(expected), "{expected}{said}");
    }
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 5, "{said}");
    assert!(
        errors.iter().all(|error| error.contains(declared)),
        "{said}"
    );
}
