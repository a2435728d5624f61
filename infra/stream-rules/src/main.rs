//! A function that does what the records of its batch say, and logs what it saw.
//!
//! Attributes of the new image that it obeys:
//!
//! - `sleep_ms`: it takes that long, before anything else.
//! - `exit`: the process ends.
//! - `fail`, `report`: `always`, or `until_calm`, which is until the function has the
//!   environment variable `CALM`. It fails, or reports the record as failed.
//! - `answer`: it answers this JSON.
//! - `only`: all this is for the function of this name alone.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let records = event.payload["Records"].as_array().ok_or("no records")?;
    println!("{}", seen(&event.payload, records));

    let mine = records.iter().filter(|record| {
        instruction(record, "only").is_none_or(|name| {
            Some(name.to_owned()) == std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok()
        })
    });
    let mine: Vec<&Value> = mine.collect();
    for record in &mine {
        if let Some(milliseconds) = instruction(record, "sleep_ms") {
            tokio::time::sleep(Duration::from_millis(milliseconds.parse()?)).await;
        }
    }
    if mine
        .iter()
        .any(|record| instruction(record, "exit").is_some())
    {
        std::process::exit(3);
    }
    if mine.iter().any(|record| applies(record, "fail")) {
        return Err("a record says so".into());
    }
    if let Some(answer) = mine.iter().find_map(|record| instruction(record, "answer")) {
        return Ok(serde_json::from_str(answer)?);
    }
    // The highest first: the order is the poller's matter.
    let failures: Vec<Value> = mine
        .iter()
        .rev()
        .filter(|record| applies(record, "report"))
        .map(|record| json!({"itemIdentifier": record["dynamodb"]["SequenceNumber"]}))
        .collect();
    Ok(json!({ "batchItemFailures": failures }))
}

/// A line for the log; large records are cut down to their keys.
fn seen(event: &Value, records: &[Value]) -> Value {
    const SHOWN_BYTES_MAX: usize = 2_000;
    let started = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let records: Vec<Value> = records
        .iter()
        .map(|record| {
            let mut record = record.clone();
            if record.to_string().len() > SHOWN_BYTES_MAX {
                record["dynamodb"]["NewImage"] = Value::Null;
                record["dynamodb"]["OldImage"] = Value::Null;
            }
            record
        })
        .collect();
    json!({"probe": {
        "started_ms": u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        "payload_bytes": event.to_string().len(),
        "records": records,
    }})
}

fn instruction<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    record["dynamodb"]["NewImage"][name]["S"].as_str()
}

fn applies(record: &Value, name: &str) -> bool {
    match instruction(record, name) {
        Some("always") => true,
        Some("until_calm") => std::env::var_os("CALM").is_none(),
        _ => false,
    }
}
