//! Records that are delivered together, and how a delivery ends.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

const EVENT_START: &str = r#"{"Records":["#;
const EVENT_END: &str = "]}";

/// What an event has besides its records and a comma for each.
pub(super) const EVENT_BYTES: usize = EVENT_START.len() + EVENT_END.len();

const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// How long to wait after the `failures`th failure in a row.
pub(super) fn back_off(failures: u32) -> Duration {
    2_u32
        .checked_pow(failures.saturating_sub(1))
        .map_or(LONGEST_BACK_OFF, |factor| {
            FIRST_BACK_OFF.saturating_mul(factor)
        })
        .min(LONGEST_BACK_OFF)
}

/// A record on its way to the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sequence_number: String,
    /// When the change was made, according to the record.
    pub(super) arrived: SystemTime,
    /// As the function sees it.
    pub(super) json: String,
}

/// Records that are delivered together, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) records: VecDeque<Record>,
    /// How often the function was invoked with these records.
    pub(super) invocations: u32,
    /// What the function answered last.
    pub(super) response: Option<Response>,
    pub(super) retries: u32,
    /// How often in a row the function could not be invoked.
    pub(super) stalls: u32,
}

/// An answer of Lambda's to an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) request_id: Option<String>,
    pub(super) status_code: i32,
    pub(super) executed_version: Option<String>,
    /// Absent when the function itself told what failed.
    pub(super) function_error: Option<String>,
}

impl Batch {
    pub(super) fn new(records: VecDeque<Record>) -> Self {
        Self {
            records,
            invocations: 0,
            response: None,
            retries: 0,
            stalls: 0,
        }
    }

    /// The sequence numbers of the records.
    pub(super) fn sequence_numbers(&self) -> Vec<String> {
        let numbers = self.records.iter();
        numbers
            .map(|record| record.sequence_number.clone())
            .collect()
    }

    /// The event that the function gets.
    pub(super) fn event(&self) -> String {
        let size = self.records.iter().map(|record| record.json.len() + 1);
        let mut event = String::with_capacity(size.sum::<usize>() + EVENT_START.len() + 2);
        event.push_str(EVENT_START);
        for (index, record) in self.records.iter().enumerate() {
            if index > 0 {
                event.push(',');
            }
            event.push_str(&record.json);
        }
        event.push_str(EVENT_END);
        event
    }

    /// Cuts the batch in two; `self` keeps what comes before `index`.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        Self {
            records: self.records.split_off(index),
            response: self.response.clone(),
            ..*self
        }
    }
}

/// How the delivery of a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All records are done.
    Succeeded,
    /// The records from `from` on are not.
    Failed {
        /// The index of the first record that is not done.
        from: usize,
        /// What Lambda answered.
        response: Response,
    },
    /// The function was not invoked: throttled, missing, or Lambda did not answer.
    NotInvoked,
}

/// Why records are given up, in the words of the message to the on-failure destination. AWS's
/// page has an example of the first alone; the second is what messages of AWS were seen to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

impl Condition {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_records_as_they_are() {
        let record = |number: u32| Record {
            sequence_number: number.to_string(),
            arrived: SystemTime::UNIX_EPOCH,
            json: format!("{{{number}}}"),
        };
        let batch = Batch::new((0..3).map(record).collect());
        assert_eq!(batch.event(), r#"{"Records":[{0},{1},{2}]}"#);
        let none = Batch::new(VecDeque::new());
        assert_eq!(none.event().len(), EVENT_BYTES);
    }

    #[test]
    fn back_offs_double_up_to_five_seconds() {
        let milliseconds: Vec<u128> = (1..=8).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(back_off(u32::MAX), LONGEST_BACK_OFF);
    }
}
