//! The floor: a function with the Lambda runtime and nothing else. It answers each event with the event.
//!
//! No function of this workspace can be smaller or start sooner. `cargo xtask bench` measures it beside them.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(event.payload)
    }))
    .await
}
