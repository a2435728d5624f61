//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use label_waiting::LabelWaiting;
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
    let channel = Channel::named_by(&environment)?;
    let function = LabelWaiting {
        labelling: Labelling {
            catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
            detector: RekognitionDetector::new(&aws, &bucket).asking_once(&aws),
            jobs: NotedJobs {
                jobs: RekognitionJobs::new(&aws, &bucket, channel)?.asking_once(&aws),
                running: DynamoJobs::new(&aws, &environment)?,
            },
            bucket,
        },
        waiting: WaitingQueues::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION, Service::SQS])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
