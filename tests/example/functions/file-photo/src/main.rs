//! Lists a photo that was uploaded.

use std::process::ExitCode;

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Error;
use runtime::records::RecordFailure;
use runtime::s3::{BucketName, Notification, ObjectEvent};
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment};
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("PHOTOS_BUCKET_NAME")?;
    let files = Files {
        s3: runtime::s3::client(&aws, &bucket),
        bucket: BucketName::new(bucket),
        dynamodb: runtime::dynamodb::client(&aws),
        table: environment.require("PHOTOS_TABLE_NAME")?,
    };
    let file = async |event| files.file(event).await;
    runtime::serve(async |event: Notification| {
        event
            .for_each(&files.bucket, &["ObjectCreated:"], file)
            .await
    })
    .await
}

#[derive(Debug, thiserror::Error)]
#[error("could not list the photo: {0}")]
struct NotListed(ServiceError);

impl RecordFailure for NotListed {}

struct Files {
    s3: aws_sdk_s3::Client,
    bucket: BucketName,
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

impl Files {
    async fn file(&self, ObjectEvent { key, .. }: ObjectEvent) -> Result<(), NotListed> {
        let head = self.s3.head_object().bucket(self.bucket.as_str());
        let head = head.key(key.as_str()).send().await;
        let head = head.map_err(|error| NotListed(ServiceError::of(&error)))?;
        let name = AttributeValue::S(key.as_str().to_owned());
        let etag = AttributeValue::S(head.e_tag.unwrap_or_default());
        let put = self.dynamodb.put_item().table_name(&self.table);
        let put = put.item("name", name).item("etag", etag).send().await;
        put.map_err(|error| NotListed(ServiceError::of(&error)))?;
        info!("photo listed");
        Ok(())
    }
}
