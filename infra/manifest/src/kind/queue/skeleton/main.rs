//! Handles messages of a queue.
//!
//! SQS delivers a message at least once: handling it twice must do no harm.

use std::process::ExitCode;

use runtime::records::Failed;
use runtime::sqs::{SqsEvent, SqsResponse, UnidentifiedMessage};
use serde::Deserialize;
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// What is sent to the queue, as JSON.
#[derive(Debug, Deserialize)]
struct Message {
    id: String,
}

/// Handles one batch. A message that fails comes again, and in the end moves to the failure queue.
async fn handle(event: SqsEvent) -> Result<SqsResponse, UnidentifiedMessage> {
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
        assert_eq!(handle(event).await, Ok(SqsResponse::default()));
    }

    #[tokio::test]
    async fn another_message_fails() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let record = &mut event["Records"][0];
        record["body"] = "hello".into();
        record["messageId"] = "odd".into();
        let response = handle(serde_json::from_value(event).unwrap()).await.unwrap();
        assert_eq!(response.failed(), ["odd"]);
    }
}
