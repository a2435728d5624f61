//! Lists a photo that was uploaded.

use std::process::ExitCode;

use aws_lambda_events::s3::{S3Event, S3EventRecord};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Error;
use runtime::{Aws, Environment, Service};
use tracing::info;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start()).await
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("PHOTOS_BUCKET_NAME")?;
    let files = Files {
        s3: runtime::s3::client(&aws, &bucket),
        bucket,
        dynamodb: aws_sdk_dynamodb::Client::new(&aws.config(Service::DYNAMODB)),
        table: environment.require("PHOTOS_TABLE_NAME")?,
    };
    runtime::serve(async |event: S3Event| {
        for record in event.records {
            files.file(record).await?;
        }
        Ok::<_, Error>(())
    })
    .await
}

struct Files {
    s3: aws_sdk_s3::Client,
    bucket: String,
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

impl Files {
    async fn file(&self, record: S3EventRecord) -> Result<(), Error> {
        // It comes encoded as in a form, which changes no letter, digit or dot.
        let key = record.s3.object.key.ok_or("the record names no object")?;
        let head = self.s3.head_object().bucket(&self.bucket).key(&key);
        let etag = head.send().await?.e_tag.unwrap_or_default();
        let put = self.dynamodb.put_item().table_name(&self.table);
        let put = put.item("name", AttributeValue::S(key));
        put.item("etag", AttributeValue::S(etag)).send().await?;
        info!("photo listed");
        Ok(())
    }
}
