//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use index_media::IndexMedia;
use lambda_runtime::Error;
use media::dynamodb::{DynamoCatalogue, Tables};
use runtime::{Aws, Environment, Service};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = IndexMedia {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}
