//! Starts the function: see the library for what it does.

use std::convert::Infallible;
use std::process::ExitCode;

use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, Tables};
use media_api::MediaApi;
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = MediaApi {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |request| Ok::<_, Infallible>(function.handle(request).await)).await
}
