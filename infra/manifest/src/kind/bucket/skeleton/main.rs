//! Handles objects of a bucket.
//!
//! S3 delivers an event at least once and in any order. What the function does must come out the
//! same, whichever order the events of an object come in: see `runtime::s3::Sequencer`.

use std::process::ExitCode;

use lambda_runtime::Error;
use runtime::Environment;
use runtime::records::{Failed, RecordsError};
use runtime::s3::{BucketName, Notification, ObjectEvent};
use tracing::info;

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

/// Beginnings of the names of this function's events.
const EVENTS: &[&str] = &["EVENTS"];

/// The function, with what it works on.
#[derive(Debug)]
struct NewFunction {
    /// The bucket whose objects it handles.
    bucket: BucketName,
}

impl NewFunction {
    /// Handles one event.
    async fn handle(&self, event: Notification) -> Result<(), RecordsError> {
        event.for_each(&self.bucket, EVENTS, handle_object).await
    }
}

async fn handle_object(ObjectEvent { key, sequencer }: ObjectEvent) -> Result<(), Failed> {
    info!(%key, %sequencer, "object handled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = include_str!("../../../assets/events/new-function.json");

    async fn handled(bucket: &str) -> Result<(), RecordsError> {
        let function = NewFunction {
            bucket: BucketName::new(bucket),
        };
        let event = serde_json::from_str(EVENT).unwrap();
        function.handle(event).await
    }

    #[tokio::test]
    async fn the_sample_event_is_handled() {
        assert_eq!(handled("amzn-s3-demo-bucket").await, Ok(()));
    }

    #[tokio::test]
    async fn an_event_of_another_bucket_fails() {
        let failed = handled("another-bucket").await.unwrap_err().to_string();
        assert!(failed.contains("the record is about the bucket"), "{failed}");
    }
}
