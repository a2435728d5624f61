//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use handle_object_created::HandleObjectCreated;
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, DynamoJobs, Tables};
use media::labelling::Labelling;
use media::media_bucket;
use media::rekognition::{Channel, RekognitionDetector, RekognitionJobs};
use media::running::NotedJobs;
use media::sqs::WaitingQueues;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = media_bucket(&environment)?;
    let function = HandleObjectCreated {
        labelling: Labelling {
            catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
            detector: RekognitionDetector::new(&aws, &bucket),
            jobs: NotedJobs {
                jobs: RekognitionJobs::new(&aws, &bucket, Channel::named_by(&environment)?)?,
                running: DynamoJobs::new(&aws, &environment)?,
            },
            bucket,
        },
        waiting: WaitingQueues::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
