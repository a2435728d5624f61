use std::time::Duration;

use super::*;
use crate::stream_poller::batch::Response;
use streams::Filters;

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
            for (bisect, partial) in [(false, false), (false, true), (true, false), (true, true)] {
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
