//! One record that cannot be handled, among a thousand that can.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::eventually;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::library::Stage;

const FUNCTION: &str = "handle-user-stream";
const POISON: &str = "poison";
/// Each is created, deleted and created again: three records.
const OTHERS: usize = 333;

#[test]
fn a_poison_record_does_not_hold_up_the_others() {
    let stage = Stage::start();
    forbid(&stage);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let table = stage.variable("USERS_TABLE_NAME");
    runtime.block_on(write_records(&stage.dynamodb(), table));

    let failed = eventually("the poison in the failure queue", || {
        (stage.failed_events(FUNCTION) > 0).then(|| waiting(&stage))
    });
    let objects = eventually("the data of everybody else", || {
        let objects = stage.keys("USER_BUCKET_NAME");
        (objects.len() == OTHERS).then_some(objects)
    });
    assert!(!objects.contains(&format!("{POISON}/userdata")));
    assert_eq!(failed.len(), 1, "only the poison: {failed:?}");
    let record = &failed[0]["content"]["records"][0];
    assert_eq!(record["eventName"], "INSERT");
    assert_eq!(record["dynamodb"]["Keys"], json!({"id": {"S": POISON}}));
    assert_eq!(failed[0]["condition"], "RetryAttemptsExhausted");

    the_records_of_each_user_came_in_order(&stage);
    the_poison_is_redriven(&stage);
}

/// Makes one object impossible to write, as a mistake in a bucket policy would.
fn forbid(stage: &Stage) {
    let bucket = stage.variable("USER_BUCKET_NAME");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": format!("arn:aws:s3:::{bucket}/{POISON}/userdata"),
    }]});
    let policy = policy.to_string();
    stage.aws_ok(&[
        "s3api",
        "put-bucket-policy",
        "--bucket",
        bucket,
        "--policy",
        &policy,
    ]);
}

async fn write_records(client: &Client, table: &str) {
    let put = async |id: &str| {
        let item = client.put_item().table_name(table);
        let item = item.item("id", AttributeValue::S(id.to_owned()));
        item.send().await.unwrap();
    };
    let delete = async |id: &str| {
        let item = client.delete_item().table_name(table);
        let item = item.key("id", AttributeValue::S(id.to_owned()));
        item.send().await.unwrap();
    };
    for user in 0..OTHERS {
        let id = format!("user-{user:03}");
        put(&id).await;
        delete(&id).await;
        put(&id).await;
        if user == OTHERS / 3 {
            put(POISON).await;
        }
    }
}

/// What `redrive --dry-run` shows.
fn waiting(stage: &Stage) -> Vec<Value> {
    let shown = stage.xtask_ok(&["redrive", FUNCTION, "--dry-run", "--json"]);
    shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A line of the function's log about a record.
struct Line {
    time_ms: i64,
    event_id: String,
    failed: bool,
}

fn lines_about_records(stage: &Stage) -> Vec<Line> {
    let log = stage.xtask_ok(&["logs", FUNCTION, "--json"]);
    log.lines()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let message: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            Some(Line {
                time_ms: line["timestamp_ms"].as_i64()?,
                event_id: message["event_id"].as_str()?.to_owned(),
                failed: message["level"] == "ERROR",
            })
        })
        .collect()
}

fn the_records_of_each_user_came_in_order(stage: &Stage) {
    // The data of a user may be there while later records of the user still wait.
    let lines = eventually("a line about each record", || {
        let lines = lines_about_records(stage);
        let handled: BTreeSet<&str> = lines
            .iter()
            .filter(|line| !line.failed)
            .map(|line| line.event_id.as_str())
            .collect();
        (handled.len() == 3 * OTHERS).then_some(lines)
    });
    let records = stream_records(stage);
    let poison = &records
        .iter()
        .find(|record| record["dynamodb"]["Keys"]["id"]["S"] == POISON)
        .unwrap()["eventID"];
    let mut handled: BTreeMap<&str, usize> = BTreeMap::new();
    let mut poison_failed_at = None;
    let mut moved_on_at = None;
    for (place, line) in lines.iter().enumerate() {
        if line.failed {
            assert_eq!(line.event_id, *poison, "only the poison fails");
            poison_failed_at.get_or_insert(line.time_ms);
        } else {
            handled.entry(&line.event_id).or_insert_with(|| {
                moved_on_at = Some(line.time_ms);
                place
            });
        }
    }

    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records.iter().filter(|record| record["eventID"] != *poison) {
        let user = record["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap();
        let place = handled[record["eventID"].as_str().unwrap()];
        if let Some(before) = last.insert(user, place) {
            assert!(
                before < place,
                "the records of {user} were handled in order"
            );
        }
    }
    let (failed, done) = (poison_failed_at.unwrap(), moved_on_at.unwrap());
    println!(
        "{} records in order; from the poison's first failure until the last of them: {} ms",
        handled.len(),
        done - failed
    );
}

/// The users table's stream, as the Streams API shows it.
fn stream_records(stage: &Stage) -> Vec<Value> {
    let table = stage.variable("USERS_TABLE_NAME");
    let described = stage.aws_json(&["dynamodb", "describe-table", "--table-name", table]);
    let stream = described["Table"]["LatestStreamArn"].as_str().unwrap();
    let described = stage.aws_json(&["dynamodbstreams", "describe-stream", "--stream-arn", stream]);
    let mut records = Vec::new();
    for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
        let answer = stage.aws_json(&[
            "dynamodbstreams",
            "get-shard-iterator",
            "--stream-arn",
            stream,
            "--shard-id",
            shard["ShardId"].as_str().unwrap(),
            "--shard-iterator-type",
            "TRIM_HORIZON",
        ]);
        let mut iterator = answer["ShardIterator"].as_str().map(str::to_owned);
        while let Some(current) = iterator {
            let page = stage.aws_json(&[
                "dynamodbstreams",
                "get-records",
                "--shard-iterator",
                &current,
            ]);
            let page_records = page["Records"].as_array().unwrap();
            records.extend(page_records.iter().cloned());
            iterator = page["NextShardIterator"]
                .as_str()
                .filter(|_| !page_records.is_empty())
                .map(str::to_owned);
        }
    }
    records.retain(|record| record["eventName"] != "MODIFY");
    records
}

fn the_poison_is_redriven(stage: &Stage) {
    // As long as the cause is there, it fails again and stays.
    let output = stage.xtask(&["redrive", FUNCTION]).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        acceptance::both(&output)
    );
    assert!(acceptance::both(&output).contains("failed again"));
    assert_eq!(stage.failed_events(FUNCTION), 1);

    let bucket = stage.variable("USER_BUCKET_NAME");
    stage.aws_ok(&["s3api", "delete-bucket-policy", "--bucket", bucket]);
    let shown = stage.xtask_ok(&["redrive", FUNCTION]);
    assert!(
        shown.contains(POISON) && shown.contains("handled"),
        "{shown}"
    );
    assert_eq!(stage.failed_events(FUNCTION), 0);
    assert!(
        stage
            .keys("USER_BUCKET_NAME")
            .contains(&format!("{POISON}/userdata"))
    );

    let empty = stage.xtask_ok(&["redrive", FUNCTION, "--json"]);
    assert_eq!(empty, "");
}
