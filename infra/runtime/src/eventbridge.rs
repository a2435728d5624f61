//! Amazon EventBridge: events of an event bus, handled and put.
//!
//! EventBridge delivers an event at least once, and Lambda delivers an event again that the
//! function failed on. All deliveries of an event have the same [`id`](Event::id).
//!
//! ```
//! use lambda_runtime::Diagnostic;
//! use runtime::eventbridge::Event;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct OrderPaid {
//!     order: String,
//! }
//!
//! async fn handle(event: Event<OrderPaid>) -> Result<(), Diagnostic> {
//!     println!("{} was paid at {:?}", event.detail.order, event.time);
//!     Ok(())
//! }
//! ```
//!
//! Events are put by an `EventBus`, behind the feature `eventbridge`.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>

#[cfg(feature = "eventbridge")]
mod bus;
mod object;

use std::time::SystemTime;

use serde::Deserialize;

use crate::time;

#[cfg(feature = "eventbridge")]
pub use bus::{EventBus, FailedEvent, NewEvent, PutError};
pub use object::ObjectDetail;

/// An event, with what the rule's pattern makes sure of in `D`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event<D> {
    /// Identifies the event: the same for all of its deliveries.
    pub id: String,
    /// What happened, such as `Object Created`.
    pub detail_type: String,
    /// Who told, such as `aws.s3`.
    pub source: String,
    /// When it happened, according to the sender.
    #[serde(deserialize_with = "time::deserialize")]
    pub time: SystemTime,
    /// The ARNs of what it happened to.
    #[serde(default)]
    pub resources: Vec<String>,
    /// What else there is to tell.
    pub detail: D,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct OrderPaid {
        order: String,
    }

    #[test]
    fn an_event_is_read() {
        let event: Event<OrderPaid> = serde_json::from_value(json!({
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "OrderPaid",
            "source": "shop",
            "account": "123456789012",
            "time": "2027-01-01T03:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail": {"order": "1", "cents": 7},
        }))
        .unwrap();
        let expected = Event {
            id: "6a7e8feb-b491-4cf7-a9f1-bf3703467718".into(),
            detail_type: "OrderPaid".into(),
            source: "shop".into(),
            time: UNIX_EPOCH + Duration::from_secs(1_798_772_400),
            resources: Vec::new(),
            detail: OrderPaid { order: "1".into() },
        };
        assert_eq!(event, expected);
    }
}
