//! A local stage whose data is kept: what was there is there at the next start, and what was under way is handled.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use acceptance::{Stage, eventually, signal};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const KEEP: [&str; 1] = ["--keep"];

/// Sets off events of every kind: changes of a table, messages, uploads. Waits for none.
fn set_off(stage: &Stage, round: &str, count: usize) {
    let photo = NamedTempFile::new().unwrap();
    let mut parcels = Vec::new();
    for number in 0..count {
        let id = format!("{round}-{number}");
        let order = json!({"id": id, "photo": "cat.jpg"}).to_string();
        assert_eq!(stage.post("ORDERS_URL", "/orders", &order).status, 200);
        let parcel = json!({"order": id}).to_string();
        parcels.push(json!({"Id": number.to_string(), "MessageBody": parcel}));
    }
    let url = stage.variable("PARCELS_QUEUE_URL");
    for batch in parcels.chunks(10) {
        let entries = Value::from(batch.to_vec()).to_string();
        let send = ["sqs", "send-message-batch", "--queue-url", url];
        stage.aws_ok(&[&send[..], &["--entries", &entries]].concat());
    }
    for number in 0..count {
        stage.upload(
            "PHOTOS_BUCKET_NAME",
            &format!("{round}-{number}.jpg"),
            photo.path(),
        );
    }
}

/// The effect of every event is there, once where that can be told.
fn assert_handled(stage: &Stage, rounds: &[(&str, usize)]) {
    stage.xtask_ok(&["wait"]);
    let all = |suffix: &str| -> BTreeSet<String> {
        let ids = rounds.iter().flat_map(|(round, count)| {
            (0..*count).map(move |number| format!("{round}-{number}{suffix}"))
        });
        ids.collect()
    };
    let total: usize = rounds.iter().map(|(_, count)| count).sum();
    let written = stage.keys("RECEIPTS_BUCKET_NAME");
    let lists = written.iter().filter(|key| key.ends_with(".list"));
    assert_eq!(lists.cloned().collect::<BTreeSet<_>>(), all(".list"));
    assert_eq!(stage.keys("PHOTOS_BUCKET_NAME"), all(".jpg"));
    let photos = stage.get("SHOP_URL", "/").json();
    assert_eq!(photos.as_array().unwrap().len(), total, "{photos}");
    let counts = [
        "dynamodb",
        "scan",
        "--table-name",
        stage.variable("COUNTS_TABLE_NAME"),
    ];
    let counts = stage.aws_json(&counts);
    assert_eq!(
        counts["Items"][0]["count"]["N"],
        total.to_string(),
        "{counts}"
    );
    for function in ["pack-order", "count-orders", "ship-order", "file-photo"] {
        assert_eq!(stage.failed_events(function), 0, "{function}");
    }
}

fn kept(stage: &Stage) -> PathBuf {
    stage.directory().join("kept")
}

fn state(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("state.json")).unwrap()).unwrap()
}

fn taken_at(folder: &Path) -> String {
    state(folder)["taken_at"].as_str().unwrap().to_owned()
}

/// Ends every process of the stage at once, as nothing that it could prepare for.
fn kill_all(stage: &Stage) {
    let endpoint = stage.variable("AWS_ENDPOINT_URL").to_owned();
    let emulator = stage
        .directory()
        .join(format!("emulator-{}", endpoint.rsplit(':').next().unwrap()));
    signal("KILL", stage.process_id());
    eventually("the emulator has ended", || {
        (acceptance::processes_that_know(&endpoint).is_empty() && !emulator.exists()).then_some(())
    });
}

/// What a start prints that is refused.
fn refused(stage: &Stage, arguments: &[&str]) -> String {
    let output = stage.xtask(arguments).output().unwrap();
    let told = acceptance::both(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

#[test]
fn data_and_events_under_way_are_kept_and_saved_by_name() {
    let mut stage = Stage::start_with(&KEEP);
    set_off(&stage, "interrupted", 4);
    signal("INT", stage.process_id());
    stage = stage.again(&KEEP);
    assert!(
        stage.log().contains("Restoring the data of"),
        "{}",
        stage.log()
    );
    set_off(&stage, "terminated", 4);
    stage.stop();
    assert!(
        stage.log().contains("Kept the stage's data in"),
        "{}",
        stage.log()
    );

    // A template that somebody has changed is brought up to date.
    stage = stage.again(&KEEP);
    assert_handled(&stage, &[("interrupted", 4), ("terminated", 4)]);
    stage.xtask_ok(&["snapshot", "save", "eight"]);
    change_template(&stage);
    set_off(&stage, "killed", 2);
    // A state that is written after another one holds what that one holds. Something has to change for it.
    stage.xtask_ok(&["snapshot", "save", "mark"]);
    let mark = taken_at(&stage.directory().join("snapshots/mark"));
    let note = NamedTempFile::new().unwrap();
    stage.upload("RECEIPTS_BUCKET_NAME", "note.txt", note.path());
    eventually("the state is written", || {
        (taken_at(&kept(&stage)) > mark).then_some(())
    });
    kill_all(&stage);
    stage = stage.again(&KEEP);
    assert!(
        stage.log().contains("UPDATE_COMPLETE FilePhotoFunction"),
        "{}",
        stage.log()
    );
    assert_handled(
        &stage,
        &[("interrupted", 4), ("terminated", 4), ("killed", 2)],
    );
    let listed: Value =
        serde_json::from_str(&stage.xtask_ok(&["snapshot", "list", "--json"])).unwrap();
    assert_eq!(listed[1]["name"], "eight", "{listed}");
    assert_eq!(listed[1]["is_current"], true, "{listed}");
    let told = refused(&stage, &["snapshot", "load", "eight"]);
    assert!(told.contains("the local stage is running"), "{told}");
    stage.stop();

    // Back to the eight. What was kept until now has a name.
    stage.xtask_ok(&["snapshot", "load", "eight"]);
    stage = stage.again(&KEEP);
    assert_handled(&stage, &[("interrupted", 4), ("terminated", 4)]);
    stage.stop();

    // What is not as it was written is refused, and stays.
    let state = state(&kept(&stage));
    let file = kept(&stage).join(state["state"].as_str().unwrap());
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() / 2]).unwrap();
    let told = refused(&stage, &["local", "--keep"]);
    assert!(told.contains("has changed since it was written"), "{told}");
    assert!(told.contains("cargo xtask snapshot delete kept"), "{told}");
    fs::write(&file, content).unwrap();
    let listed = stage.xtask_ok(&["snapshot", "list"]);
    assert!(
        listed.contains("before-load") && listed.contains("kept"),
        "{listed}"
    );
    stage.xtask_ok(&["snapshot", "delete", "kept"]);
    assert!(!kept(&stage).exists());
}

/// Gives a function more memory than the manifest does, by the stack.
fn change_template(stage: &Stage) {
    let stack = ["--stack-name", "shop-local"];
    let template = stage.aws_json(&[&["cloudformation", "get-template"], &stack[..]].concat());
    let template = template["TemplateBody"].as_str().unwrap();
    let (before, function) = template.split_once("\n  FilePhotoFunction:\n").unwrap();
    let changed = function.replacen("MemorySize: ", "MemorySize: 1", 1);
    let changed = format!("{before}\n  FilePhotoFunction:\n{changed}");
    let described = stage.aws_json(&[&["cloudformation", "describe-stacks"], &stack[..]].concat());
    let parameters = described["Stacks"][0]["Parameters"].as_array().unwrap();
    let parameters = parameters.iter().map(
        |parameter| json!({"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": true}),
    );
    let parameters = Value::from_iter(parameters).to_string();
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), changed).unwrap();
    let body = format!("file://{}", file.path().display());
    let update = ["cloudformation", "update-stack", "--template-body", &body];
    let capabilities = ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"];
    stage.aws_ok(
        &[
            &update[..],
            &stack,
            &["--parameters", &parameters],
            &capabilities,
        ]
        .concat(),
    );
    stage.aws_ok(
        &[
            &["cloudformation", "wait", "stack-update-complete"],
            &stack[..],
        ]
        .concat(),
    );
}

#[test]
#[ignore = "takes minutes: `cargo xtask ci --long` runs it"]
fn long_nothing_is_lost_however_often_a_stage_is_ended() {
    let mut stage = Stage::start_with(&KEEP);
    let mut rounds = Vec::new();
    for (round, name) in [
        ("a", "INT"),
        ("b", "TERM"),
        ("c", "HUP"),
        ("d", "INT"),
        ("e", "TERM"),
    ] {
        set_off(&stage, round, 20);
        rounds.push((round, 20));
        signal(name, stage.process_id());
        stage = stage.again(&KEEP);
    }
    assert_handled(&stage, &rounds);
}
