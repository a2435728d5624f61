//! Handles messages of a topic.
//!
//! SNS delivers a message at least once: handling it twice must do no harm.

use std::process::ExitCode;

use runtime::records::{Failed, RecordsError};
use runtime::sns::SnsEvent;
use serde::Deserialize;
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// What is published to the topic, as JSON.
#[derive(Debug, Deserialize)]
struct Message {
    id: String,
}

/// Handles one event.
async fn handle(event: SnsEvent) -> Result<(), RecordsError> {
    event.for_each("one with an id", handle_message).await
}

async fn handle_message(Message { id }: Message) -> Result<(), Failed> {
    info!(id, "message handled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const EVENT: &str = include_str!("../../../assets/events/new-function.json");

    #[tokio::test]
    async fn the_sample_event_is_handled() {
        let event = serde_json::from_str(EVENT).unwrap();
        assert_eq!(handle(event).await, Ok(()));
    }

    #[tokio::test]
    async fn another_message_fails() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["Records"][0]["Sns"]["Message"] = "hello".into();
        let event = serde_json::from_value(event).unwrap();
        let failed = handle(event).await.unwrap_err().to_string();
        assert!(failed.contains("the message is not one with an id"), "{failed}");
    }
}
