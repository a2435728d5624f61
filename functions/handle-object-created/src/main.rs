//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use handle_object_created::HandleObjectCreated;
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, Tables};
use media::rekognition::{Channel, RekognitionDetector, RekognitionJobs};
use media::runtime::{self, Aws, Environment, Service};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run(env!("CARGO_CRATE_NAME"), start()).await
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = HandleObjectCreated {
        bucket: environment.bucket()?,
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        detector: RekognitionDetector::new(&aws),
        jobs: RekognitionJobs::new(&aws, Channel::named_by(&environment)?)?,
    };
    aws.open_connections(&[Service::DynamoDb, Service::Rekognition])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
