//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use count_labels::CountLabels;
use lambda_runtime::Error;
use media::dynamodb::DynamoLabelCounts;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = CountLabels {
        counts: DynamoLabelCounts::named_by(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}
