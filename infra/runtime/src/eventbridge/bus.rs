//! Putting events on an event bus.

use std::fmt;
use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use lambda_runtime::Diagnostic;
use serde::Serialize;

use crate::aws::{Aws, Service};
use crate::requests::Limits;
use crate::service_error::ServiceError;

/// What one request takes.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const REQUEST: Limits = Limits {
    entries: 10,
    bytes: 256 * 1024,
};

/// Before the further attempts at entries that EventBridge did not take.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// The codes of entries that another attempt can help.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
const PASSING: [&str; 3] = [
    "InternalFailure",
    "InternalException",
    "ThrottlingException",
];

/// An event bus that a function puts events on.
///
/// ```no_run
/// use runtime::eventbridge::{EventBus, NewEvent};
/// use runtime::{Aws, Environment};
/// use serde_json::json;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let environment = Environment::of_process();
/// let bus = environment.require("SHOP_BUS_NAME")?;
/// let bus = EventBus::new(&Aws::new(&environment)?, &bus, "shop");
/// let paid = NewEvent::new("OrderPaid", &json!({"order": "1"}))?;
/// bus.put(&[paid]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
    source: String,
}

/// An event that is to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    detail_type: String,
    detail: String,
}

impl NewEvent {
    /// An event of this type, with this JSON.
    ///
    /// # Errors
    /// When `detail` is not JSON.
    pub fn new(detail_type: &str, detail: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self {
            detail_type: detail_type.to_owned(),
            detail: serde_json::to_string(detail)?,
        })
    }
}

/// An event that EventBridge did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedEvent {
    /// Its place among those that were to be put.
    pub place: usize,
    /// Why, for example `ThrottlingException`.
    pub code: String,
    /// EventBridge's explanation.
    pub message: String,
}

/// Why not all events are on the bus. Those that are not named are: whoever puts all of them again
/// puts these twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutError {
    /// A request failed.
    Request {
        /// How many events are on the bus.
        put: usize,
        /// How many there are.
        of: usize,
        /// Why.
        reason: ServiceError,
    },
    /// EventBridge took a request, and not all that was in it.
    Entries {
        /// Those that it did not take.
        failed: Vec<FailedEvent>,
        /// How many there are.
        of: usize,
    },
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { put, of, reason } => {
                let left = of - put;
                write!(f, "could not put {left} of {of} events: {reason}")
            }
            Self::Entries { failed, of } => {
                let reasons: Vec<String> = failed
                    .iter()
                    .map(|event| {
                        format!("event {}: {}: {}", event.place, event.code, event.message)
                    })
                    .collect();
                let (left, reasons) = (failed.len(), reasons.join("; "));
                write!(f, "could not put {left} of {of} events: {reasons}")
            }
        }
    }
}

impl std::error::Error for PutError {}

impl From<PutError> for Diagnostic {
    fn from(error: PutError) -> Self {
        Self {
            error_type: "EventsNotPutError".into(),
            error_message: error.to_string(),
        }
    }
}

impl EventBus {
    /// The event bus of this name. `source` is what patterns know the app's events by.
    #[must_use]
    pub fn new(aws: &Aws, name: &str, source: &str) -> Self {
        Self {
            client: Client::new(&aws.config_with_timeouts(Service::EVENTBRIDGE)),
            name: name.to_owned(),
            source: source.to_owned(),
        }
    }

    /// Puts all events on the bus, in as few requests as they need. An event that EventBridge is
    /// too busy for is put again, twice.
    ///
    /// # Errors
    /// When one of them is not on the bus in the end.
    pub async fn put(&self, events: &[NewEvent]) -> Result<(), PutError> {
        let mut waiting: Vec<usize> = (0..events.len()).collect();
        let mut failed = Vec::new();
        let mut pauses = PAUSES.into_iter();
        while !waiting.is_empty() {
            let mut refused = Vec::new();
            let mut tried = 0;
            for request in self.requests(events, &waiting) {
                let entries = request.iter().map(|place| self.entry(&events[*place]));
                let sent = self
                    .client
                    .put_events()
                    .set_entries(Some(entries.collect()));
                let answer = sent.send().await.map_err(|error| PutError::Request {
                    put: events.len() - (waiting.len() - tried) - refused.len() - failed.len(),
                    of: events.len(),
                    reason: ServiceError::of(&error),
                })?;
                tried += request.len();
                for (place, entry) in request.iter().zip(answer.entries()) {
                    if let Some(code) = entry.error_code() {
                        refused.push(FailedEvent {
                            place: *place,
                            code: code.to_owned(),
                            message: entry.error_message().unwrap_or_default().to_owned(),
                        });
                    }
                }
            }
            let pause = pauses.next();
            let (again, given_up): (Vec<_>, Vec<_>) = refused
                .into_iter()
                .partition(|event| pause.is_some() && PASSING.contains(&event.code.as_str()));
            failed.extend(given_up);
            waiting = again.iter().map(|event| event.place).collect();
            if let Some(pause) = pause.filter(|_| !waiting.is_empty()) {
                tokio::time::sleep(pause).await;
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        failed.sort_by_key(|event| event.place);
        let of = events.len();
        Err(PutError::Entries { failed, of })
    }

    /// The places of the events that fit into a request, for each request.
    fn requests(&self, events: &[NewEvent], places: &[usize]) -> Vec<Vec<usize>> {
        REQUEST.packed(places.iter().copied(), |place| {
            let event = &events[*place];
            self.source.len() + event.detail_type.len() + event.detail.len()
        })
    }

    fn entry(&self, event: &NewEvent) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&self.source)
            .detail_type(&event.detail_type)
            .detail(&event.detail)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Wire;

    use serde_json::{Value, json};

    fn events(count: usize) -> Vec<NewEvent> {
        let event = |number| NewEvent::new("OrderPaid", &json!({"order": number})).unwrap();
        (0..count).map(event).collect()
    }

    /// An answer with these codes; an entry without one was taken.
    fn answer(codes: &[Option<&str>]) -> (u16, Value) {
        let entries: Vec<Value> = codes
            .iter()
            .map(|code| match code {
                None => json!({"EventId": "id"}),
                Some(code) => json!({"ErrorCode": code, "ErrorMessage": "because"}),
            })
            .collect();
        let failed = codes.iter().flatten().count();
        (200, json!({"FailedEntryCount": failed, "Entries": entries}))
    }

    /// What became of the events, and the orders in each request.
    async fn put(
        count: usize,
        answers: Vec<(u16, Value)>,
    ) -> (Result<(), PutError>, Vec<Vec<u64>>) {
        let wire = Wire::new(answers);
        let bus = EventBus::new(&wire.aws(), "orders", "shop");
        let result = bus.put(&events(count)).await;
        let order = |entry: &Value| {
            assert_eq!(entry["EventBusName"], "orders");
            assert_eq!(entry["Source"], "shop");
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            detail["order"].as_u64().unwrap()
        };
        let requests = wire.requests();
        let orders = requests.iter().map(|(_, body)| {
            body["Entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(order)
                .collect()
        });
        (result, orders.collect())
    }

    #[tokio::test]
    async fn a_request_has_ten_events() {
        let (result, requests) = put(12, vec![answer(&[None; 10]), answer(&[None; 2])]).await;
        assert_eq!(result, Ok(()));
        assert_eq!(requests, [(0..10).collect::<Vec<_>>(), vec![10, 11]]);
        assert_eq!(put(0, vec![]).await, (Ok(()), vec![]));
    }

    #[test]
    fn a_request_has_a_size() {
        let bus = EventBus::new(&Wire::new([]).aws(), "orders", "shop");
        let large = NewEvent::new("OrderPaid", &"x".repeat(REQUEST.bytes / 2 - 20)).unwrap();
        let events = [large.clone(), large.clone(), large];
        assert_eq!(bus.requests(&events, &[0, 1, 2]), [vec![0, 1], vec![2]]);
    }

    #[tokio::test]
    async fn what_was_not_taken_is_put_again() {
        let busy = Some("ThrottlingException");
        let (result, requests) = put(
            3,
            vec![
                answer(&[None, busy, busy]),
                answer(&[busy, None]),
                answer(&[None]),
            ],
        )
        .await;
        assert_eq!(result, Ok(()));
        assert_eq!(requests, [vec![0, 1, 2], vec![1, 2], vec![1]]);
    }

    #[tokio::test]
    async fn what_is_not_taken_in_the_end_is_told() {
        let (denied, busy) = (Some("AccessDeniedException"), Some("InternalFailure"));
        let answers = vec![answer(&[busy, denied]), answer(&[busy]), answer(&[busy])];
        let (result, requests) = put(2, answers).await;
        assert_eq!(requests, [vec![0, 1], vec![0], vec![0]]);
        assert_eq!(
            result.unwrap_err().to_string(),
            "could not put 2 of 2 events: event 0: InternalFailure: because; event 1: AccessDeniedException: because"
        );
    }

    #[tokio::test]
    async fn a_request_that_fails_tells_how_many_events_are_left() {
        let error = json!({"__type": "AccessDeniedException", "message": "no"});
        let (result, _) = put(12, vec![answer(&[None; 10]), (400, error)]).await;
        let told = result.unwrap_err().to_string();
        assert!(
            told.starts_with("could not put 2 of 12 events: AccessDenied"),
            "{told}"
        );
    }
}
