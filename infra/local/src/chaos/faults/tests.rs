//! What is decided, and what is counted.

use std::time::Instant;

use super::*;

const MANY: u64 = 20_000;

fn faults(seed: u64) -> Faults {
    Faults::new(seed.to_string().parse().unwrap())
}

fn call(operation: &str, number: u64) -> Call {
    Call {
        service: "dynamodb".to_owned(),
        operation: operation.to_owned(),
        number,
    }
}

/// Of one function: deliveries and kills.
fn course(faults: &Faults, function: &str) -> (Delivery, Delivery, Option<Duration>) {
    (
        faults.event(function),
        faults.stream_batch(function),
        faults.kill(function),
    )
}

#[test]
fn decisions_depend_on_the_seed_and_not_on_what_happens_elsewhere() {
    let (one, two, other) = (faults(7), faults(7), faults(8));
    // Everything of `a` first, or by turns with `b`.
    let a_alone: Vec<_> = (0..MANY).map(|_| course(&one, "a")).collect();
    let by_turns: Vec<_> = (0..MANY)
        .map(|_| (course(&two, "b"), course(&two, "a")))
        .collect();
    assert!(by_turns.iter().map(|(_, a)| a).eq(&a_alone));
    assert!(!by_turns.iter().map(|(b, _)| b).eq(&a_alone));
    assert!(!(0..MANY).map(|_| course(&other, "a")).eq(a_alone));

    let calls = |faults: &Faults, operation| -> Vec<_> {
        (1..=MANY)
            .map(|number| faults.call(&call(operation, number)))
            .collect()
    };
    assert_eq!(calls(&one, "PutItem"), calls(&two, "PutItem"));
    assert_ne!(calls(&one, "PutItem"), calls(&one, "GetItem"));
    assert_ne!(calls(&one, "PutItem"), calls(&other, "PutItem"));
}

#[test]
fn each_kind_has_its_share() {
    let faults = faults(1);
    for number in 1..=MANY {
        let _ = course(&faults, "function");
        let _ = faults.call(&call("PutItem", number));
    }
    let figures = faults.figures();
    for (kind, share) in [
        (FaultKind::CallThrottled, 0.04),
        (FaultKind::CallFailed, 0.02),
        (FaultKind::AnswerLost, 0.02),
        (FaultKind::CallDropped, 0.01),
        (FaultKind::AnswerDropped, 0.01),
        (FaultKind::EventLate, 0.2),
        (FaultKind::EventTwice, 0.1),
        (FaultKind::BatchLate, 0.2),
        (FaultKind::BatchTwice, 0.1),
        (FaultKind::FunctionKilled, 0.02),
    ] {
        let figure = figures.faults[&kind];
        assert_eq!(figure.opportunities, MANY);
        let seen = figure.injected as f64 / MANY as f64;
        // Five standard deviations of the binomial distribution.
        let tolerance = 5.0 * (share * (1.0 - share) / MANY as f64).sqrt();
        assert!((seen - share).abs() < tolerance, "{kind}: {seen}");
    }
}

#[test]
fn delays_are_spread_over_what_they_may_be() {
    let faults = faults(1);
    let course: Vec<_> = (0..MANY).map(|_| course(&faults, "function")).collect();
    let late: Vec<_> = course
        .iter()
        .map(|(event, ..)| event.late_by)
        .filter(|late_by| !late_by.is_zero())
        .collect();
    assert!(late.iter().all(|late_by| *late_by < MAX_DELAY));
    let early = late.iter().filter(|late_by| **late_by < MAX_DELAY / 2);
    assert!((late.len() * 2 / 5..late.len() * 3 / 5).contains(&early.count()));

    let lives: Vec<_> = course.iter().filter_map(|(.., life)| *life).collect();
    assert!(lives.iter().all(|life| *life <= MAX_LIFE));
    for magnitude in [1, 10, 100] {
        let range = Duration::from_millis(magnitude)..Duration::from_millis(magnitude * 10);
        let count = lives.iter().filter(|life| range.contains(*life)).count();
        assert!((lives.len() / 4..lives.len() / 2).contains(&count));
    }
}

#[test]
fn nothing_goes_wrong_after_the_stop() {
    let faults = faults(1);
    let _ = course(&faults, "function");
    faults.stop();
    let before = faults.figures();
    for number in 1..=MANY {
        let nothing = (Delivery::default(), Delivery::default(), None);
        assert_eq!(course(&faults, "function"), nothing);
        assert_eq!(faults.call(&call("PutItem", number)), None);
    }
    assert!(!before.on);
    assert_eq!(faults.figures(), before);
}

#[test]
fn what_is_ordered_happens_and_nothing_else() {
    let faults = Faults::off();
    let throttled = |operation: &str, left| FailingCalls {
        service: "dynamodb".to_owned(),
        operation: operation.to_owned(),
        fault: Fault::Throttled,
        left,
    };
    assert_eq!(*faults.wanted().borrow(), Wanted::default());
    faults.order_failing_calls(throttled("PutItem", 2));
    faults.order_failing_calls(throttled("GetItem", 1));
    faults.order_kill("sell", Duration::from_millis(5));
    assert_eq!(
        *faults.wanted().borrow(),
        Wanted {
            on: false,
            asks: true,
            proxied: true,
            late_queues: BTreeMap::new(),
        }
    );
    let made: Vec<_> = (1..=4)
        .map(|number| faults.call(&call("PutItem", number)).is_some())
        .collect();
    assert_eq!(made, [true, true, false, false]);
    assert_eq!(faults.kill("pack"), None);
    assert_eq!(faults.kill("sell"), Some(Duration::from_millis(5)));
    assert_eq!(faults.kill("sell"), None);
    assert_eq!(faults.event("sell"), Delivery::default());
    // Until the last order is done, functions call by way of the proxy.
    let wanted = faults.wanted();
    assert!(wanted.borrow().proxied && !wanted.borrow().asks);
    assert_eq!(
        faults.call(&call("getitem", 1)),
        Some(Fault::Throttled),
        "in whatever case"
    );
    assert_eq!(*wanted.borrow(), Wanted::default());
    let figures = faults.figures().faults;
    let injected = |kind| figures[&kind].injected;
    assert_eq!(injected(FaultKind::OrderedCallFailed), 3);
    assert_eq!(injected(FaultKind::OrderedKill), 1);
    assert_eq!(figures.len(), 2, "{figures:?}");
}

#[test]
fn the_stop_forgets_what_is_ordered() {
    let faults = Faults::off();
    faults.order_kill("sell", Duration::ZERO);
    faults.order_late_queue("http://h/0/parcels", 5);
    assert_eq!(faults.wanted().borrow().late_queues.len(), 1);
    faults.order_late_queue("http://h/0/parcels", 0);
    assert_eq!(faults.wanted().borrow().late_queues.len(), 0);
    faults.stop();
    assert_eq!(faults.figures().orders, Orders::default());
    assert_eq!(faults.kill("sell"), None);
}

#[tokio::test]
async fn the_stop_releases_what_is_held_back() {
    let faults = faults(1);
    let started = Instant::now();
    let hour = Duration::from_secs(3600);
    let stop = async {
        while faults.figures().held_back < 2 {
            tokio::task::yield_now().await;
        }
        faults.stop();
    };
    tokio::join!(faults.hold_back(hour), faults.hold_back(hour), stop);
    assert!(started.elapsed() < hour);
    assert_eq!(faults.figures().held_back, 0);
    faults.hold_back(hour).await;
}

#[test]
fn figures_read_well_and_travel_as_json() {
    let faults = faults(7);
    let _ = faults.kill("function");
    let figures = faults.figures();
    assert_eq!(
        figures.to_string(),
        "seed 7\nfunctions killed                   0 of       1"
    );
    assert_eq!(
        serde_json::to_value(&figures).unwrap(),
        serde_json::json!({
            "seed": 7,
            "on": true,
            "shares": {"calls": 0.1, "late": 0.2, "twice": 0.1, "killed": 0.02, "completions": 0.5},
            "orders": {"kill_after_ms": {}, "failing_calls": [], "late_queues": {}},
            "held_back": 0,
            "faults": {"function_killed": {"opportunities": 1, "injected": 0}},
        })
    );
}
