//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use detect_labels::DetectLabels;
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, Tables};
use media::media_bucket;
use media::rekognition::RekognitionDetector;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = media_bucket(&environment)?;
    let function = DetectLabels {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        detector: RekognitionDetector::new(&aws, &bucket),
        bucket,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
