//! Writes the packing list of an order, unless there is no such order yet.

use std::process::ExitCode;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::Error;
use runtime::records::RecordFailure;
use runtime::service_error::ServiceError;
use runtime::sqs::SqsEvent;
use runtime::{Aws, Environment};
use serde::Deserialize;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("RECEIPTS_BUCKET_NAME")?;
    let packer = Packer {
        orders: runtime::dynamodb::client(&aws),
        table: environment.require("ORDERS_TABLE_NAME")?,
        receipts: runtime::s3::client(&aws, &bucket),
        bucket,
    };
    let pack = async |parcel: Parcel| packer.pack(parcel).await;
    runtime::serve(async |event: SqsEvent| event.for_each("a parcel", pack).await).await
}

#[derive(Deserialize)]
struct Parcel {
    order: String,
}

#[derive(Debug, thiserror::Error)]
enum NotPacked {
    #[error("there is no such order")]
    NoOrder,
    #[error("could not read the order: {0}")]
    Order(ServiceError),
    #[error("could not write the packing list: {0}")]
    List(ServiceError),
}

impl RecordFailure for NotPacked {}

struct Packer {
    orders: aws_sdk_dynamodb::Client,
    table: String,
    receipts: aws_sdk_s3::Client,
    bucket: String,
}

impl Packer {
    async fn pack(&self, Parcel { order }: Parcel) -> Result<(), NotPacked> {
        let get = self.orders.get_item().table_name(&self.table);
        let found = get.key("id", AttributeValue::S(order.clone())).send().await;
        let found = found.map_err(|error| NotPacked::Order(ServiceError::of(&error)))?;
        if found.item.is_none() {
            return Err(NotPacked::NoOrder);
        }
        let put = self.receipts.put_object().bucket(&self.bucket);
        let put = put.key(format!("{order}.list"));
        let put = put.body(ByteStream::from_static(b"one photo"));
        let sent = put.send().await;
        sent.map_err(|error| NotPacked::List(ServiceError::of(&error)))?;
        Ok(())
    }
}
