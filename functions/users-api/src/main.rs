//! Starts the function: see the library for what it does.

use std::convert::Infallible;
use std::process::ExitCode;

use lambda_runtime::Error;
use runtime::{Aws, Environment, Service};
use users::UsersTable;
use users_api::UsersApi;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = UsersApi {
        table: UsersTable::new(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |request| Ok::<_, Infallible>(function.handle(request).await)).await
}
