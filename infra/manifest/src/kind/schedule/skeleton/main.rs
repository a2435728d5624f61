//! Does what is due when a schedule fires.
//!
//! A schedule fires at least once for each of its times: doing twice what is due must do no harm.

use std::process::ExitCode;

use lambda_runtime::Diagnostic;
use runtime::schedule::ScheduleEvent;
use tracing::info;

fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME")], runtime::serve(handle))
}

/// Handles one event.
async fn handle(event: ScheduleEvent) -> Result<(), Diagnostic> {
    info!(event.schedule, event.execution_id, "schedule handled");
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
    fn an_event_without_a_time_is_of_no_schedule() {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["scheduledTime"] = "tomorrow".into();
        assert!(serde_json::from_value::<ScheduleEvent>(event).is_err());
    }
}
