//! Writes the receipt of an order, unless it is an order of nothing.

use std::process::ExitCode;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::Error;
use runtime::service_error::ServiceError;
use runtime::stream::{RecordError, StreamEvent, StreamRecord};
use runtime::{Aws, Environment};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let bucket = environment.require("RECEIPTS_BUCKET_NAME")?;
    let client = runtime::s3::client(&Aws::new(&environment)?, &bucket);
    let ship = async |record: &StreamRecord| ship(&client, &bucket, record).await;
    runtime::serve(async |event: StreamEvent| event.handle_in_order(ship).await).await
}

#[derive(Debug, thiserror::Error)]
enum NotShipped {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the order has no {0}")]
    Lacks(&'static str),
    #[error("could not write the receipt: {0}")]
    Receipt(ServiceError),
}

async fn ship(client: &Client, bucket: &str, record: &StreamRecord) -> Result<(), NotShipped> {
    let order = record.new_image()?;
    let id = order.text("id")?.ok_or(NotShipped::Lacks("id"))?;
    let photo = order.text("photo")?.ok_or(NotShipped::Lacks("photo"))?;
    let put = client.put_object().bucket(bucket).key(format!("{id}.txt"));
    let put = put.body(ByteStream::from(photo.as_bytes().to_vec()));
    let sent = put.send().await;
    sent.map_err(|error| NotShipped::Receipt(ServiceError::of(&error)))?;
    Ok(())
}
