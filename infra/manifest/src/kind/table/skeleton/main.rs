//! Handles changes of a table's items.
//!
//! Lambda delivers a batch again from the record that the function failed on: handling a record
//! twice must do no harm.

use std::process::ExitCode;

use runtime::stream::{
    EventName, RecordError, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord,
};

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// What became of a record.
#[derive(Debug)]
enum Outcome {
    /// There is a new item, or another version of one.
    Stored,
    /// The item is gone.
    Removed,
}

/// Handles one batch of records.
async fn handle(event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
    event.handle_in_order(handle_change).await
}

async fn handle_change(record: &StreamRecord) -> Result<Outcome, RecordError> {
    match record.event() {
        EventName::Insert | EventName::Modify => {
            record.new_image()?;
            Ok(Outcome::Stored)
        }
        EventName::Remove => {
            record.old_image()?;
            Ok(Outcome::Removed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/new-function.json");

    /// What Lambda is answered.
    async fn answered(event: Value) -> Value {
        let event = serde_json::from_value(event).unwrap();
        serde_json::to_value(handle(event).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_sample_event_is_handled() {
        let event = serde_json::from_str(EVENT).unwrap();
        assert_eq!(answered(event).await, json!({"batchItemFailures": []}));
    }

    #[tokio::test]
    async fn a_record_without_its_item_is_reported() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let record = &mut event["Records"][0]["dynamodb"];
        record["NewImage"].take();
        let failure = json!({"itemIdentifier": record["SequenceNumber"]});
        assert_eq!(
            answered(event).await,
            json!({"batchItemFailures": [failure]})
        );
    }
}
