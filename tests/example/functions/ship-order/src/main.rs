//! Writes the receipt of an order, unless it is an order of nothing.

use std::process::ExitCode;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::Error;
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{error, info};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start()).await
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let bucket = environment.require("RECEIPTS_BUCKET_NAME")?;
    let client = runtime::s3::client(&Aws::new(&environment)?, &bucket);
    runtime::serve(async |batch: Batch| {
        let mut failures = Vec::new();
        for record in &batch.records {
            if let Err(reason) = ship(&client, &bucket, record).await {
                error!(reason, "order not shipped");
                failures.push(json!({"itemIdentifier": record["dynamodb"]["SequenceNumber"]}));
                break;
            }
            info!("order shipped");
        }
        Ok::<_, Error>(json!({"batchItemFailures": failures}))
    })
    .await
}

/// What Lambda delivers of the stream of orders.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

async fn ship(client: &Client, bucket: &str, record: &Value) -> Result<(), String> {
    let order = &record["dynamodb"]["NewImage"];
    let text = |attribute: &str| {
        let text = order[attribute]["S"].as_str();
        text.ok_or_else(|| format!("the order has no {attribute}"))
    };
    let (id, photo) = (text("id")?, text("photo")?);
    let put = client.put_object().bucket(bucket).key(format!("{id}.txt"));
    let put = put.body(ByteStream::from(photo.as_bytes().to_vec()));
    let sent = put.send().await;
    sent.map_err(|error| ServiceError::of(&error).to_string())?;
    Ok(())
}
