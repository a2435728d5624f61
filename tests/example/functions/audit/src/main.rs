//! Writes down what happens in the shop: orders that are placed, and photos that are uploaded.

use std::process::ExitCode;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::{Diagnostic, Error};
use runtime::eventbridge::Event;
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment};
use serde_json::Value;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let bucket = environment.require("RECEIPTS_BUCKET_NAME")?;
    let client = runtime::s3::client(&Aws::new(&environment)?, &bucket);
    runtime::serve(async |event| write_down(&client, &bucket, event).await).await
}

/// A repeated event writes the same object again.
async fn write_down(client: &Client, bucket: &str, event: Event<Value>) -> Result<(), Diagnostic> {
    let key = format!("audit/{}/{}", event.detail_type, event.id);
    let put = client.put_object().bucket(bucket).key(key);
    let put = put.body(ByteStream::from(event.detail.to_string().into_bytes()));
    let sent = put.send().await;
    sent.map(drop).map_err(|error| Diagnostic {
        error_type: "NotWritten".into(),
        error_message: ServiceError::of(&error).to_string(),
    })
}
