//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, Error};
use make_thumbnail::s3::S3Bucket;
use make_thumbnail::{Backfill, MakeThumbnail};
use media::dynamodb::{DynamoCatalogue, Tables};
use runtime::stream::StreamEvent;
use runtime::{Aws, Environment, Service};
use serde::Deserialize;
use serde_json::Value;

/// What the function is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Backfill { backfill: Backfill },
    Records(StreamEvent),
}

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let media = media::media_bucket(&environment)?;
    let thumbnails = environment.require("THUMBNAILS_BUCKET_NAME")?;
    let function = MakeThumbnail {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        pictures: S3Bucket::new(&aws, media.as_str()),
        thumbnails: S3Bucket::new(&aws, &thumbnails),
    };
    aws.open_connections(&[
        Service::DYNAMODB,
        Service::s3(media.as_str()),
        Service::s3(&thumbnails),
    ])
    .await;
    runtime::serve(async |event| match event {
        Event::Records(event) => json(function.handle(event).await?),
        Event::Backfill { backfill } => json(function.backfill(backfill).await.map_err(failure)?),
    })
    .await
}

fn json(answer: impl serde::Serialize) -> Result<Value, Diagnostic> {
    serde_json::to_value(answer).map_err(failure)
}

fn failure(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic {
        error_type: "ThumbnailError".into(),
        error_message: error.to_string(),
    }
}
