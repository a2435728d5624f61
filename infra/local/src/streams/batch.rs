//! What is done with a shard's records: when they are delivered, what follows a failure,
//! when they are given up. No AWS and no clock in here: decisions only.
//!
//! The rules are AWS's, from Lambda's developer guide:
//!
//! - "How Lambda processes records from stream and queue-based event sources" (batching
//!   behavior): a batch is delivered when it has its size, when the next record would make
//!   the payload larger than 6 MB, or when the batching window is over.
//! - "Retain discarded records for a DynamoDB event source in Lambda": a function that fails
//!   is tried again up to `MaximumRetryAttempts` times; one that could not be invoked, until
//!   the records are too old. Splitting a batch is no retry.
//! - "Configuring partial batch response with DynamoDB and Lambda": everything before the
//!   lowest sequence number that the function names is done. With
//!   `BisectBatchOnFunctionError`, the batch is split there, otherwise the rest is retried.
//!
//! Where AWS is silent, or was not followed to the letter:
//!
//! - The window begins with the first record that waits. On AWS's page it begins with the end
//!   of the invocation before, so on AWS a lonely record may be delivered sooner.
//! - A partial answer that names the batch's first record leaves nothing to split off. It is
//!   a failure of the whole batch, which is then halved. So the record that fails ends up
//!   alone, and nothing else is given up with it.
//! - The halves of a batch keep its count of retries and invocations.
//! - Failed batches are tried again after 0.1 s, then twice as long each time up to 5 s,
//!   split ones at once. AWS backs off as well, and does not say how.
//! - What is older than the stream keeps records is too old, whatever the mapping says.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::mapping::Settings;

/// Lambda's limit for the payload of an invocation.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

const EVENT_START: &str = r#"{"Records":["#;
const EVENT_END: &str = "]}";

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
    retries: u32,
    /// How often in a row the function could not be invoked.
    stalls: u32,
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
    fn split_off(&mut self, index: usize) -> Self {
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

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before something happens: a record comes, a delivery ends.
    Nothing,
    /// Nothing before this time.
    Wait(SystemTime),
    /// Invoke the function, then call [`Lane::delivered`].
    Deliver(Batch),
    /// Tell the on-failure destination, then call [`Lane::discarded`].
    Discard(Batch, Condition),
}

/// Records that are handled strictly one batch after the other: those of a shard, or, with a
/// parallelization factor, those of some of its items.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Records not delivered yet, and when they came.
    waiting: VecDeque<(SystemTime, Record)>,
    /// What failed and goes on before the others, in the order of the stream.
    failed: VecDeque<Failed>,
    /// A step is being carried out.
    busy: bool,
}

#[derive(Debug)]
enum Failed {
    Retry {
        batch: Batch,
        not_before: SystemTime,
    },
    GiveUp(Batch),
}

impl Lane {
    /// Adds a record that has passed the filters.
    pub(super) fn push(&mut self, record: Record, now: SystemTime) {
        self.waiting.push_back((now, record));
    }

    /// How many records are not delivered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every record is done.
    pub(super) fn is_empty(&self) -> bool {
        !self.busy && self.waiting.is_empty() && self.failed.is_empty()
    }

    /// What to do now. After [`Step::Deliver`] and [`Step::Discard`] there is nothing to do
    /// until they are reported as carried out.
    pub(super) fn next(&mut self, now: SystemTime, settings: &Settings) -> Step {
        if self.busy {
            return Step::Nothing;
        }
        let step = match self.failed.pop_front() {
            Some(failed) => self.resume(failed, now, settings),
            None => self.begin(now, settings),
        };
        self.busy = matches!(step, Step::Deliver(_) | Step::Discard(..));
        step
    }

    fn resume(&mut self, failed: Failed, now: SystemTime, settings: &Settings) -> Step {
        let (mut batch, not_before) = match failed {
            Failed::GiveUp(batch) => {
                return Step::Discard(batch, Condition::RetryAttemptsExhausted);
            }
            Failed::Retry { batch, not_before } => (batch, not_before),
        };
        let too_old = batch
            .records
            .iter()
            .take_while(|record| is_too_old(record, now, settings))
            .count();
        if too_old > 0 {
            let rest = batch.split_off(too_old);
            if !rest.records.is_empty() {
                self.failed.push_front(Failed::Retry {
                    batch: rest,
                    not_before,
                });
            }
            return Step::Discard(batch, Condition::RecordAgeExceeded);
        }
        if not_before > now {
            self.failed.push_front(Failed::Retry { batch, not_before });
            return Step::Wait(not_before);
        }
        Step::Deliver(batch)
    }

    fn begin(&mut self, now: SystemTime, settings: &Settings) -> Step {
        let Some((first_came, _)) = self.waiting.front() else {
            return Step::Nothing;
        };
        let window_ends = *first_came + settings.batching_window;
        let too_old = self
            .waiting
            .iter()
            .take(settings.batch_size)
            .take_while(|(_, record)| is_too_old(record, now, settings))
            .count();
        if too_old > 0 {
            return Step::Discard(self.take(too_old), Condition::RecordAgeExceeded);
        }

        let mut payload_bytes = EVENT_START.len() + EVENT_END.len();
        let fitting = self
            .waiting
            .iter()
            .take(settings.batch_size)
            .take_while(|(_, record)| {
                payload_bytes += record.json.len() + 1;
                payload_bytes <= PAYLOAD_BYTES_MAX
            })
            .count()
            // A single record is never that large, but must not be in the way for ever.
            .max(1);
        let is_full = fitting == settings.batch_size || fitting < self.waiting.len();
        if is_full || window_ends <= now {
            Step::Deliver(self.take(fitting))
        } else {
            Step::Wait(window_ends)
        }
    }

    fn take(&mut self, count: usize) -> Batch {
        let records = self.waiting.drain(..count).map(|(_, record)| record);
        Batch::new(records.collect())
    }

    /// Reports how [`Step::Deliver`] ended.
    pub(super) fn delivered(
        &mut self,
        mut batch: Batch,
        outcome: Outcome,
        now: SystemTime,
        settings: &Settings,
    ) {
        self.busy = false;
        let (from, response) = match outcome {
            Outcome::Succeeded => return,
            Outcome::NotInvoked => {
                batch.stalls += 1;
                let not_before = now + back_off(batch.stalls);
                return self.failed.push_front(Failed::Retry { batch, not_before });
            }
            Outcome::Failed { from, response } => (from, response),
        };
        batch.stalls = 0;
        batch.invocations += 1;
        batch.response = Some(response);
        let mut batch = batch.split_off(from);

        let at_once = |batch| Failed::Retry {
            batch,
            not_before: now,
        };
        if settings.bisect && from > 0 {
            self.failed.push_front(at_once(batch));
        } else if settings.bisect && batch.records.len() > 1 {
            let second = batch.split_off(batch.records.len() / 2);
            self.failed.push_front(at_once(second));
            self.failed.push_front(at_once(batch));
        } else if settings
            .maximum_retry_attempts
            .is_some_and(|maximum| batch.retries >= maximum)
        {
            self.failed.push_front(Failed::GiveUp(batch));
        } else {
            batch.retries += 1;
            let not_before = now + back_off(batch.retries);
            self.failed.push_front(Failed::Retry { batch, not_before });
        }
    }

    /// Reports that [`Step::Discard`] is done.
    pub(super) fn discarded(&mut self) {
        self.busy = false;
    }
}

fn is_too_old(record: &Record, now: SystemTime, settings: &Settings) -> bool {
    now.duration_since(record.arrived)
        .is_ok_and(|age| age > settings.maximum_record_age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::filter::Filters;

    fn settings() -> Settings {
        Settings {
            enabled: true,
            function_arn: String::new(),
            filters: Filters::default(),
            batch_size: 100,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            maximum_retry_attempts: Some(2),
            maximum_record_age: Duration::from_hours(24),
            bisect: false,
            report_item_failures: false,
            on_failure: None,
        }
    }

    fn response(function_error: Option<&str>) -> Response {
        Response {
            request_id: None,
            status_code: 200,
            executed_version: None,
            function_error: function_error.map(str::to_owned),
        }
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(1_000)
    }

    fn record(number: usize, arrived: SystemTime) -> Record {
        Record {
            sequence_number: number.to_string(),
            arrived,
            json: format!("{{{number}}}"),
        }
    }

    fn lane(records: std::ops::Range<usize>) -> Lane {
        let mut lane = Lane::default();
        for number in records {
            lane.push(record(number, start()), start());
        }
        lane
    }

    fn numbers(batch: &Batch) -> Vec<usize> {
        batch
            .records
            .iter()
            .map(|record| record.sequence_number.parse().unwrap())
            .collect()
    }

    /// What was done with a batch, and how long after the start.
    #[derive(Debug, PartialEq)]
    enum Did {
        Deliver(Vec<usize>),
        GiveUp(Vec<usize>, Condition, u32),
    }

    /// Carries out every step, on a clock that jumps to where something happens. `function`
    /// gets the records' numbers and the time.
    fn run(
        lane: &mut Lane,
        settings: &Settings,
        mut function: impl FnMut(&[usize], Duration) -> Outcome,
    ) -> (Vec<Did>, Duration) {
        let mut now = start();
        let mut done = Vec::new();
        loop {
            let elapsed = now.duration_since(start()).unwrap();
            match lane.next(now, settings) {
                Step::Nothing => return (done, elapsed),
                Step::Wait(until) => {
                    assert!(until > now, "a wait ends");
                    now = until;
                }
                Step::Deliver(batch) => {
                    assert_eq!(lane.next(now, settings), Step::Nothing, "one at a time");
                    let numbers = numbers(&batch);
                    let outcome = function(&numbers, elapsed);
                    done.push(Did::Deliver(numbers));
                    lane.delivered(batch, outcome, now, settings);
                }
                Step::Discard(batch, condition) => {
                    done.push(Did::GiveUp(numbers(&batch), condition, batch.invocations));
                    lane.discarded();
                }
            }
        }
    }

    fn failed(from: usize) -> Outcome {
        Outcome::Failed {
            from,
            response: response(Some("Unhandled")),
        }
    }

    fn fails_with(poison: usize) -> impl FnMut(&[usize], Duration) -> Outcome {
        move |numbers, _| {
            if numbers.contains(&poison) {
                failed(0)
            } else {
                Outcome::Succeeded
            }
        }
    }

    /// Stops at the poison and reports it, as a function with partial answers does.
    fn stops_at(poison: usize) -> impl FnMut(&[usize], Duration) -> Outcome {
        move |numbers, _| match numbers.iter().position(|number| *number == poison) {
            Some(from) => failed(from),
            None => Outcome::Succeeded,
        }
    }

    fn deliver(numbers: impl IntoIterator<Item = usize>) -> Did {
        Did::Deliver(numbers.into_iter().collect())
    }

    fn exhausted(numbers: impl IntoIterator<Item = usize>, invocations: u32) -> Did {
        let numbers = numbers.into_iter().collect();
        Did::GiveUp(numbers, Condition::RetryAttemptsExhausted, invocations)
    }

    #[test]
    fn batches_have_the_size_of_the_mapping_at_most() {
        let settings = Settings {
            batch_size: 2,
            ..settings()
        };
        let (done, _) = run(&mut lane(0..5), &settings, |_, _| Outcome::Succeeded);
        assert_eq!(done, [deliver(0..2), deliver(2..4), deliver(4..5)]);
    }

    #[test]
    fn the_window_starts_with_the_first_record_and_ends_when_the_batch_is_full() {
        let settings = Settings {
            batch_size: 3,
            batching_window: Duration::from_secs(10),
            ..settings()
        };
        let mut lane = lane(0..1);
        let ends = start() + Duration::from_secs(10);
        assert_eq!(lane.next(start(), &settings), Step::Wait(ends));

        let later = start() + Duration::from_secs(4);
        lane.push(record(1, later), later);
        assert_eq!(lane.next(later, &settings), Step::Wait(ends));
        lane.push(record(2, later), later);
        lane.push(record(3, later), later);
        let Step::Deliver(batch) = lane.next(later, &settings) else {
            panic!("the batch is full");
        };
        assert_eq!(numbers(&batch), [0, 1, 2]);
        lane.delivered(batch, Outcome::Succeeded, later, &settings);

        let ends = later + Duration::from_secs(10);
        assert_eq!(lane.next(later, &settings), Step::Wait(ends));
        let Step::Deliver(batch) = lane.next(ends, &settings) else {
            panic!("the window is over");
        };
        assert_eq!(numbers(&batch), [3]);
    }

    #[test]
    fn a_payload_has_six_megabytes_at_most_and_then_no_window() {
        let settings = Settings {
            batching_window: Duration::from_secs(300),
            ..settings()
        };
        let mut lane = Lane::default();
        let large = Record {
            json: "x".repeat(1024 * 1024),
            ..record(0, start())
        };
        for _ in 0..6 {
            lane.push(large.clone(), start());
        }
        let Step::Deliver(batch) = lane.next(start(), &settings) else {
            panic!("one more record would be too much");
        };
        assert_eq!(batch.records.len(), 5);
        assert!(batch.event().len() <= PAYLOAD_BYTES_MAX);
        lane.delivered(batch, Outcome::Succeeded, start(), &settings);
        assert!(matches!(lane.next(start(), &settings), Step::Wait(_)));
    }

    #[test]
    fn an_event_has_the_records_as_they_are() {
        let batch = lane(0..3).take(3);
        assert_eq!(batch.event(), r#"{"Records":[{0},{1},{2}]}"#);
    }

    #[test]
    fn a_failed_batch_is_retried_and_given_up_and_the_next_comes_after() {
        let settings = Settings {
            batch_size: 2,
            ..settings()
        };
        let (done, took) = run(&mut lane(0..4), &settings, fails_with(1));
        assert_eq!(
            done,
            [
                deliver(0..2),
                deliver(0..2),
                deliver(0..2),
                exhausted(0..2, 3),
                deliver(2..4)
            ]
        );
        assert_eq!(took, Duration::from_millis(300));
    }

    #[test]
    fn without_a_limit_a_batch_is_retried_until_it_is_too_old() {
        let settings = Settings {
            maximum_retry_attempts: None,
            maximum_record_age: Duration::from_mins(1),
            ..settings()
        };
        let (done, took) = run(&mut lane(0..1), &settings, fails_with(0));
        let invocations = u32::try_from(done.len() - 1).unwrap();
        assert_eq!(
            done.last().unwrap(),
            &Did::GiveUp(vec![0], Condition::RecordAgeExceeded, invocations)
        );
        assert!(took > Duration::from_mins(1) && took <= Duration::from_secs(65));
        assert!((15..25).contains(&invocations), "{invocations}");
    }

    #[test]
    fn records_that_are_too_old_are_given_up_untried_and_the_others_delivered() {
        let settings = Settings {
            maximum_record_age: Duration::from_mins(1),
            ..settings()
        };
        let mut lane = Lane::default();
        for (number, age) in [70, 61, 60, 0].into_iter().enumerate() {
            lane.push(record(number, start() - Duration::from_secs(age)), start());
        }
        let (done, _) = run(&mut lane, &settings, |_, _| Outcome::Succeeded);
        assert_eq!(
            done,
            [
                Did::GiveUp(vec![0, 1], Condition::RecordAgeExceeded, 0),
                deliver(2..4)
            ]
        );
    }

    #[test]
    fn of_a_failed_batch_only_what_is_too_old_is_given_up() {
        let settings = Settings {
            maximum_record_age: Duration::from_mins(1),
            maximum_retry_attempts: None,
            ..settings()
        };
        let mut lane = Lane::default();
        lane.push(record(0, start() - Duration::from_mins(1)), start());
        lane.push(record(1, start()), start());
        let (done, _) = run(&mut lane, &settings, fails_with(0));
        assert_eq!(
            done,
            [
                deliver(0..2),
                Did::GiveUp(vec![0], Condition::RecordAgeExceeded, 1),
                deliver(1..2)
            ]
        );
    }

    #[test]
    fn a_function_that_cannot_be_invoked_uses_up_no_retry() {
        let settings = Settings {
            maximum_retry_attempts: Some(0),
            bisect: true,
            ..settings()
        };
        let (done, took) = run(&mut lane(0..2), &settings, |_, elapsed| {
            if elapsed < Duration::from_secs(20) {
                Outcome::NotInvoked
            } else {
                Outcome::Succeeded
            }
        });
        assert!(done.iter().all(|did| *did == deliver(0..2)), "{done:?}");
        assert!(took >= Duration::from_secs(20));
    }

    #[test]
    fn bisecting_leaves_the_poison_alone_and_keeps_the_order() {
        let settings = Settings {
            maximum_retry_attempts: Some(1),
            bisect: true,
            ..settings()
        };
        let (done, _) = run(&mut lane(0..8), &settings, fails_with(5));
        assert_eq!(
            done,
            [
                deliver(0..8),
                deliver(0..4),
                deliver(4..8),
                deliver(4..6),
                deliver(4..5),
                deliver(5..6),
                deliver(5..6),
                exhausted(5..6, 5),
                deliver(6..8),
            ]
        );
    }

    #[test]
    fn a_partial_answer_is_a_checkpoint() {
        let (done, _) = run(&mut lane(0..5), &settings(), stops_at(3));
        assert_eq!(
            done,
            [
                deliver(0..5),
                deliver(3..5),
                deliver(3..5),
                exhausted(3..5, 3)
            ]
        );
    }

    #[test]
    fn with_bisecting_a_partial_answer_splits_and_is_no_retry() {
        let settings = Settings {
            maximum_retry_attempts: Some(0),
            bisect: true,
            ..settings()
        };
        let (done, _) = run(&mut lane(0..6), &settings, stops_at(2));
        assert_eq!(
            done,
            [
                deliver(0..6),
                deliver(2..6),
                deliver(2..4),
                deliver(2..3),
                exhausted(2..3, 4),
                deliver(3..4),
                deliver(4..6),
            ]
        );
    }

    #[test]
    fn whatever_fails_every_record_is_delivered_or_given_up_once_and_in_order() {
        for size in 1..40 {
            for poison in 0..size {
                for (bisect, partial) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let settings = Settings {
                        batch_size: 16,
                        bisect,
                        ..settings()
                    };
                    let mut settled = Vec::new();
                    let mut stops = stops_at(poison);
                    let mut fails = fails_with(poison);
                    let (done, _) = run(&mut lane(0..size), &settings, |numbers, elapsed| {
                        let outcome = if partial {
                            stops(numbers, elapsed)
                        } else {
                            fails(numbers, elapsed)
                        };
                        settled.extend(match outcome {
                            Outcome::Succeeded => numbers,
                            Outcome::Failed { from, .. } => &numbers[..from],
                            Outcome::NotInvoked => &[],
                        });
                        outcome
                    });
                    let given_up: Vec<usize> = done
                        .iter()
                        .filter_map(|did| match did {
                            Did::GiveUp(numbers, ..) => Some(numbers.clone()),
                            Did::Deliver(_) => None,
                        })
                        .flatten()
                        .collect();
                    assert!(settled.is_sorted(), "{settled:?}");
                    assert!(given_up.contains(&poison));
                    assert!(!bisect || given_up == [poison], "{given_up:?}");
                    settled.extend(given_up);
                    settled.sort_unstable();
                    assert_eq!(settled, (0..size).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn back_offs_double_up_to_five_seconds() {
        let milliseconds: Vec<u128> = (1..=8).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(back_off(u32::MAX), LONGEST_BACK_OFF);
    }
}
