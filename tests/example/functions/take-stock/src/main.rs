//! Counts the photos, and writes the number down.

use std::process::ExitCode;

use aws_sdk_dynamodb::types::Select;
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::{Diagnostic, Error};
use runtime::schedule::ScheduleEvent;
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("RECEIPTS_BUCKET_NAME")?;
    let stock = Stock {
        dynamodb: runtime::dynamodb::client(&aws),
        table: environment.require("PHOTOS_TABLE_NAME")?,
        s3: runtime::s3::client(&aws, &bucket),
        bucket,
    };
    runtime::serve(async |event| stock.take(event).await).await
}

#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("could not count the photos: {0}")]
    Count(ServiceError),
    #[error("could not write the number of photos: {0}")]
    Write(ServiceError),
}

impl From<NotTaken> for Diagnostic {
    fn from(error: NotTaken) -> Self {
        Self {
            error_type: "NotTaken".into(),
            error_message: error.to_string(),
        }
    }
}

struct Stock {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl Stock {
    /// A repeated event writes the same object again.
    async fn take(&self, event: ScheduleEvent) -> Result<(), NotTaken> {
        let scan = self.dynamodb.scan().table_name(&self.table);
        let mut pages = scan.select(Select::Count).into_paginator().send();
        let mut photos = 0;
        while let Some(page) = pages.next().await {
            photos += page
                .map_err(|error| NotTaken::Count(ServiceError::of(&error)))?
                .count;
        }
        let key = format!("stock/{}/{}", event.schedule, event.execution_id);
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        let put = put.body(ByteStream::from(format!("{photos} photos").into_bytes()));
        let sent = put.send().await;
        sent.map_err(|error| NotTaken::Write(ServiceError::of(&error)))?;
        Ok(())
    }
}
