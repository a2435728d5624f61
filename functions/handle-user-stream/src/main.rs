//! Starts the function: see the library for what it does.

use std::process::ExitCode;

use handle_user_stream::HandleUserStream;
use lambda_runtime::Error;
use runtime::{Aws, Environment, Service};
use users::s3::S3UserData;
use users::{Schema, UsersTable};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "users"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = environment.require("USER_BUCKET_NAME")?;
    let function = HandleUserStream {
        schema: Schema::named_by(&environment)?,
        users: UsersTable::new(&aws, &environment)?,
        user_data: S3UserData::new(&aws, &bucket),
    };
    aws.open_connections(&[Service::DYNAMODB, Service::s3(&bucket)])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}
