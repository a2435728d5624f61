//! Handles events of an event bus.
//!
//! EventBridge delivers an event at least once: handling it twice must do no harm.

use std::process::ExitCode;

use lambda_runtime::Diagnostic;
use runtime::eventbridge::Event;
use serde::Deserialize;
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// What happened.
#[derive(Debug, Deserialize)]
struct Detail {
    id: String,
}

/// Handles one event.
async fn handle(event: Event<Detail>) -> Result<(), Diagnostic> {
    info!(event.detail_type, event.detail.id, "event handled");
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
        assert!(handle(event).await.is_ok());
    }

    #[test]
    fn an_event_without_an_id_is_another() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["detail"] = serde_json::json!({});
        assert!(serde_json::from_value::<Event<Detail>>(event).is_err());
    }
}
