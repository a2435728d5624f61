//! Amazon EventBridge Scheduler: a function that is invoked at times.
//!
//! The event is what the stack's template says, which is what a [`ScheduleEvent`] holds. A schedule
//! fires at least once for each of its times, and Lambda delivers an event again that the function
//! failed on. So a function must take an event that comes twice: all of its deliveries have the
//! same [`execution_id`](ScheduleEvent::execution_id).
//!
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/what-is-scheduler.html>
//!
//! ```
//! use std::time::Duration;
//!
//! use lambda_runtime::Diagnostic;
//! use runtime::schedule::ScheduleEvent;
//!
//! async fn handle(event: ScheduleEvent) -> Result<(), Diagnostic> {
//!     // Not `SystemTime::now()`: a repeated event then does the same again.
//!     let yesterday = event.scheduled_time - Duration::from_secs(24 * 60 * 60);
//!     println!("{} sweeps what is older than {yesterday:?}", event.schedule);
//!     Ok(())
//! }
//! ```

use std::time::SystemTime;

use serde::Deserialize;

use crate::time;

/// A schedule has fired.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleEvent {
    /// The schedule's name in the app's declaration.
    pub schedule: String,
    /// The time for which the schedule has fired. The event may come later.
    #[serde(deserialize_with = "time::deserialize")]
    pub scheduled_time: SystemTime,
    /// Identifies the firing: the same for all deliveries of its event.
    pub execution_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    #[test]
    fn an_event_is_read() {
        let event = |time: &str| {
            serde_json::from_value::<ScheduleEvent>(json!({
                "schedule": "nightly",
                "scheduledTime": time,
                "executionId": "d32c5kddcf5bb8c3",
            }))
        };
        let expected = ScheduleEvent {
            schedule: "nightly".into(),
            scheduled_time: UNIX_EPOCH + Duration::from_secs(1_798_772_400),
            execution_id: "d32c5kddcf5bb8c3".into(),
        };
        assert_eq!(event("2027-01-01T03:00:00Z").unwrap(), expected);
        assert!(event("<aws.scheduler.scheduled-time>").is_err());
    }
}
