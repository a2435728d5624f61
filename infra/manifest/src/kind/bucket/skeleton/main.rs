//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use lambda_runtime::Error;
use new_function::NewFunction;
use runtime::Environment;
use runtime::s3::BucketName;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let function = NewFunction {
        bucket: BucketName::new(environment.require("RESOURCE_VARIABLE")?),
    };
    runtime::serve(async |event| function.handle(event).await).await
}
