//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use add_video_file::AddVideoFile;
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::media_bucket;
use media::rekognition::RekognitionResults;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = AddVideoFile {
        bucket: media_bucket(&environment)?,
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        running: DynamoJobs::new(&aws, &environment)?,
        results: RekognitionResults::new(&aws),
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
