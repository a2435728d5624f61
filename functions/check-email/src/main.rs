//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use check_email::CheckEmail;
use lambda_runtime::Error;
use runtime::{Aws, Environment, Service};
use users::{Schema, UsersTable};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let function = CheckEmail {
        schema: Schema::named_by(&environment)?,
        domains: environment.require("PERSONAL_EMAIL_DOMAINS")?.parse()?,
        flags: UsersTable::new(&aws, &environment)?,
    };
    aws.open_connections(&[Service::DYNAMODB]).await;
    runtime::serve(async |event| function.handle(event).await).await
}
