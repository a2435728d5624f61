//! Faults at every step, and a state that is right when they stop.
//!
//! While users and media files come, change and go, the stage delivers events twice, late and
//! out of order, loses messages of finished video jobs, lets calls fail, and kills functions. Then
//! the faults stop, what is in the failure queues is redriven, the schedule that looks for lost
//! jobs fires, and everything must be as the users table and the media bucket say. `CHAOS_USERS`, `CHAOS_FILES` and `CHAOS_SEED` change the size and the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use acceptance::{http_get, send, workspace};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat as Format};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use ureq::http::Request;

use crate::library::Stage;

/// How long the system may take to come to rest after the faults: retries of events wait for
/// seconds.
const REST_PATIENCE: Duration = Duration::from_secs(300);

/// Clients that use the stage at the same time.
const CLIENTS: usize = 8;

const PERSONAL: [&str; 3] = ["gmail.com", "outlook.com", "hotmail.com"];

#[test]
fn nothing_is_lost_and_nothing_is_left_over() {
    let (users, files) = (number("CHAOS_USERS", 400), number("CHAOS_FILES", 24));
    let seed = number("CHAOS_SEED", 1).to_string();
    let stage = Stage::start_with(&["--chaos", &seed]);
    let runtime = Runtime::new().unwrap();

    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| keep_files(&stage, files));
        keep_users(&stage, &runtime, users);
    });
    let under_faults = started.elapsed();

    let chaos = stage.variable("CHAOS_URL").to_owned();
    send(Request::delete(&chaos).body(String::new()).unwrap());
    let redriven = come_to_rest(&stage, &runtime);
    // What is right by accident does not stay right.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(differences(&stage, &runtime), Vec::<String>::new());
    labels_are_those_of_the_content(&stage);

    let figures = http_get(&chaos).json();
    assert_eq!(figures["seed"].to_string(), seed);
    let injected: u64 = figures["faults"]
        .as_object()
        .unwrap()
        .values()
        .map(|fault| fault["injected"].as_u64().unwrap())
        .sum();
    assert!(injected > 0, "no fault was injected: {figures}");
    if std::env::var_os("CHAOS_SEED").is_none() {
        let lost = &figures["faults"]["completion_lost"]["injected"];
        assert!(lost.as_u64() > Some(0), "no message was lost: {figures}");
    }
    println!(
        "seed {seed}: {users} users and {files} files in {:.0} s under {injected} faults; at rest {:.0} s after; {redriven} events redriven\n{figures:#}",
        under_faults.as_secs_f64(),
        (started.elapsed() - under_faults).as_secs_f64(),
    );
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}

/// Users are created over HTTP, their e-mail addresses change in the table, and one in three
/// is deleted over HTTP. A client that gets no answer tries again, as clients do.
fn keep_users(stage: &Stage, runtime: &Runtime, users: usize) {
    let table = stage.variable("USERS_TABLE_NAME");
    let client = stage.dynamodb();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let user = next.fetch_add(1, Ordering::Relaxed);
                    if user >= users {
                        return;
                    }
                    let email = json!({"email": format!("user{user}@{}", domain(user))});
                    let created = insist(stage, "/create", &email, &[200]);
                    let id = created["id"].as_str().unwrap();
                    runtime.block_on(change(&client, table, id, user));
                    if user.is_multiple_of(3) {
                        insist(stage, "/delete", &json!({"id": id}), &[200, 404]);
                    }
                }
            });
        }
    });
}

fn domain(number: usize) -> &'static str {
    ["example.com", "gmail.com", "notgmail.com", "outlook.com"][number % 4]
}

async fn change(client: &Client, table: &str, id: &str, user: usize) {
    for round in 0..user % 3 {
        let email = format!("user{user}.{round}@{}", domain(user / 3 + round));
        client
            .update_item()
            .table_name(table)
            .key("id", AttributeValue::S(id.to_owned()))
            .update_expression("SET email = :email")
            .expression_attribute_values(":email", AttributeValue::S(email))
            .send()
            .await
            .unwrap();
    }
}

/// Asks until there is an answer that is not the fault of the stage.
fn insist(stage: &Stage, path: &str, body: &Value, expected: &[u16]) -> Value {
    for _ in 0..50 {
        let reply = stage.post("USERS_API_URL", path, &body.to_string());
        if expected.contains(&reply.status) {
            return reply.json();
        }
        assert!(reply.status >= 500, "{path} {body}: {reply:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} {body}: no answer but errors");
}

/// Files are uploaded, some of them again with other content, and one in three is deleted.
fn keep_files(stage: &Stage, files: usize) {
    let bucket = format!("s3://{}", stage.variable("MEDIA_BUCKET_NAME"));
    let folder = tempfile::TempDir::new().unwrap();
    let fill = |round: usize| {
        for file in 0..files {
            let content_of_file = content(file);
            let extension = content_of_file.extension().unwrap().to_str().unwrap();
            let path = folder.path().join(format!("{file:03}.{extension}"));
            // A film stays a film; pictures take turns.
            std::fs::copy(
                content(if extension == "mp4" {
                    file
                } else {
                    file + round
                }),
                path,
            )
            .unwrap();
        }
    };
    let copy = |more: &[&str]| {
        let from = folder.path().to_str().unwrap();
        let arguments = ["s3", "cp", from, &bucket, "--recursive", "--no-progress"];
        stage.aws_ok(&[&arguments, more].concat());
    };
    fill(0);
    copy(&[]);
    fill(1);
    copy(&["--exclude", "*", "--include", "*1.jpg"]);
    let gone = ["--exclude", "*", "--include", "*[258].*"];
    stage.aws_ok(&[&["s3", "rm", &bucket, "--recursive"], &gone[..]].concat());
    copy(&["--exclude", "*", "--include", "*5.jpg"]);
}

/// A file of `assets`: one film among seven pictures.
fn content(number: usize) -> PathBuf {
    let name = match number % 8 {
        7 => "sample.mp4",
        even if even % 2 == 0 => "sample.jpg",
        _ => "othersample.jpg",
    };
    workspace().join("assets").join(name)
}

/// Redrives what failed until nothing is left to do; returns how many events that were.
fn come_to_rest(stage: &Stage, runtime: &Runtime) -> usize {
    let started = Instant::now();
    let mut redriven = 0;
    loop {
        let held_back = http_get(stage.variable("CHAOS_URL")).json()["held_back"].clone();
        let different = differences(stage, runtime);
        if different.is_empty() && held_back == json!(0) {
            let left = redrive(stage);
            if left == 0 {
                return redriven;
            }
            redriven += left;
            continue;
        }
        assert!(
            started.elapsed() < REST_PATIENCE,
            "not at rest, {held_back} events held back: {different:#?}"
        );
        redriven += redrive(stage);
        find_lost_jobs(stage);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// As the schedule does, but in an hour: jobs that have just been started are old then.
fn find_lost_jobs(stage: &Stage) {
    let in_an_hour = SystemTime::now() + Duration::from_secs(60 * 60);
    let in_an_hour = DateTime::from(in_an_hour).fmt(Format::DateTime).unwrap();
    let event = json!({
        "schedule": "find-lost-jobs",
        "scheduledTime": in_an_hour,
        "executionId": "chaos",
    });
    let payload = event.to_string();
    stage.xtask_ok(&["invoke", "find-lost-jobs", "--payload", &payload]);
}

fn redrive(stage: &Stage) -> usize {
    let info: Value = serde_json::from_str(&stage.xtask_ok(&["info", "--json"])).unwrap();
    let queues = info["failure_queues"].as_array().unwrap();
    let mut handled = 0;
    for queue in queues.iter().filter(|queue| queue["events"] != 0) {
        let function = queue["function"].as_str().unwrap();
        let output = stage.xtask(&["redrive", function, "--json"]).output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        handled += output
            .lines()
            .filter(|line| line.contains("\"outcome\":\"handled\""))
            .count();
    }
    handled
}

/// Everything that is not as the users table and the media bucket say.
fn differences(stage: &Stage, runtime: &Runtime) -> Vec<String> {
    let client = stage.dynamodb();
    let mut differences = Vec::new();

    let users = runtime.block_on(items(&client, stage.variable("USERS_TABLE_NAME")));
    let mut folders = BTreeSet::new();
    for user in &users {
        let id = user["id"].as_s().unwrap();
        folders.insert(format!("{id}/userdata"));
        let email = user["email"].as_s().unwrap();
        let personal = PERSONAL
            .iter()
            .any(|domain| email.ends_with(&format!("@{domain}")));
        if user.get("IsPersonalEmail") != Some(&AttributeValue::Bool(personal)) {
            differences.push(format!(
                "flag of {email}: {:?}",
                user.get("IsPersonalEmail")
            ));
        }
    }
    compare(
        "user data",
        &folders,
        &stage.keys("USER_BUCKET_NAME"),
        &mut differences,
    );

    let catalogue = runtime.block_on(items(&client, stage.variable("MEDIA_TABLE_NAME")));
    let names: BTreeSet<String> = catalogue
        .iter()
        .map(|item| item["name"].as_s().unwrap().clone())
        .collect();
    compare(
        "catalogue",
        &stage.keys("MEDIA_BUCKET_NAME"),
        &names,
        &mut differences,
    );
    differences
}

fn compare(what: &str, truth: &BTreeSet<String>, have: &BTreeSet<String>, into: &mut Vec<String>) {
    into.extend(
        truth
            .difference(have)
            .map(|name| format!("{what} lacks {name}")),
    );
    into.extend(
        have.difference(truth)
            .map(|name| format!("{what} still has {name}")),
    );
}

async fn items(client: &Client, table: &str) -> Vec<BTreeMap<String, AttributeValue>> {
    let pages = client.scan().table_name(table).consistent_read(true);
    let mut pages = pages.into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap().into_iter().collect());
    }
    items
}

/// Each item's labels are those of the object as it is now, not of an earlier one.
fn labels_are_those_of_the_content(stage: &Stage) {
    let bucket = stage.variable("MEDIA_BUCKET_NAME");
    let listed = stage.aws_json(&["s3api", "list-objects-v2", "--bucket", bucket]);
    let mut labels_of: BTreeMap<String, Value> = BTreeMap::new();
    for object in listed["Contents"].as_array().unwrap() {
        let key = object["Key"].as_str().unwrap();
        let labels = stage.get(&format!("/{key}")).json()["labels"].clone();
        assert!(
            !labels.as_array().unwrap().is_empty(),
            "{key} has no labels"
        );
        // Objects with the same content have the same entity tag.
        let tag = object["ETag"].as_str().unwrap().to_owned();
        let first = labels_of.entry(tag).or_insert_with(|| labels.clone());
        assert_eq!(*first, labels, "{key} has the labels of other content");
    }
    let different: BTreeSet<String> = labels_of.values().map(Value::to_string).collect();
    assert_eq!(
        different.len(),
        labels_of.len(),
        "labels tell contents apart"
    );
}
