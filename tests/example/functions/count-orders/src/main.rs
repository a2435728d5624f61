//! Counts the orders of each photo. An order of nothing does not count.

use std::process::ExitCode;

use lambda_runtime::Error;
use runtime::counting::{Contribution, Counts};
use runtime::dynamodb::{Attributes, PageKey};
use runtime::{Aws, Environment};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let counts = Counts {
        client: runtime::dynamodb::client(&Aws::new(&environment)?),
        items: environment.require("ORDERS_TABLE_NAME")?,
        key: PageKey(&["id"]),
        contribution,
        ledger: environment.require("LEDGER_TABLE_NAME")?,
        counters: environment.require("COUNTS_TABLE_NAME")?,
    };
    runtime::serve(async |event| counts.handle(event).await).await
}

fn contribution(order: &Attributes) -> Result<Contribution, String> {
    let Some(photo) = order.get("photo") else {
        return Ok(Contribution::new());
    };
    let photo = photo.as_s().map_err(|_| "the photo is not a string")?;
    Ok(Contribution::from([(photo.clone(), 1)]))
}
