//! Small histories, written by hand.
#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]

use serde_json::{Value, json};

use crate::*;

const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/1";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:failures";

fn history(occurrences: impl IntoIterator<Item = Value>) -> History {
    let mut history = History::new(Limits::default());
    for occurrence in occurrences {
        history.add(serde_json::from_value(occurrence).unwrap());
    }
    history
}

/// A call that began at a moment and took 5 ms.
fn call(id: &str, at: u32, service: &str, operation: &str, more: Value) -> Value {
    let mut call = json!({
        "what": "call", "at_ms": at + 5, "id": id, "service": service, "operation": operation,
        "principal": "arn:aws:iam::000000000000:root", "started_ms": at, "duration_ms": 5, "status": 200,
    });
    let more = more.as_object().unwrap().clone();
    call.as_object_mut().unwrap().extend(more);
    call
}

fn put_object(id: &str, at: u32, key: &str) -> Value {
    let resource = format!("arn:aws:s3:::photos/{key}");
    call(id, at, "s3", "PutObject", json!({"resource": resource}))
}

fn invocation(id: &str, request: &str, function: &str, at: u32, causes: Value) -> Value {
    json!({
        "what": "invocation", "at_ms": at, "id": id, "request_id": request, "function": function,
        "attempt": 1, "trigger": {"kind": "s3"}, "causes": causes, "started_ms": at,
        "event": {"text": "{}", "bytes": 2},
    })
}

fn ended(id: &str, at: u32, result: Value) -> Value {
    json!({
        "what": "ended", "at_ms": at, "id": id, "duration_ms": 8, "billed_ms": 8, "memory_mb": 128,
        "log": [{"at_ms": at - 1, "text": format!("line of {id}")}], "lines_left_out": 0,
        "result": result, "answer": {"text": "null", "bytes": 4},
    })
}

fn ok(id: &str, at: u32) -> Value {
    ended(id, at, json!({"result": "ok"}))
}

fn error(id: &str, at: u32) -> Value {
    let result = json!({"result": "error", "error_type": "Broken", "message": "it is broken"});
    ended(id, at, result)
}

fn record(number: u32) -> Value {
    json!({"record": {"stream": STREAM, "sequence_number": number.to_string()}})
}

fn put_item(id: &str, at: u32, numbers: &[u32]) -> Value {
    let records: Vec<Value> = numbers
        .iter()
        .map(|number| {
            json!({
                "stream": STREAM, "sequence_number": number.to_string(), "event_name": "INSERT",
                "keys": format!("item {number}"),
            })
        })
        .collect();
    call(id, at, "dynamodb", "PutItem", json!({"records": records}))
}

fn delivery(request: Option<&str>, at: u32, batch: &[u32], failed: &[u32], next: Value) -> Value {
    let records = |numbers: &[u32]| numbers.iter().map(|it| record(*it)).collect::<Vec<_>>();
    json!({
        "what": "delivery", "at_ms": at, "function": "check", "source": STREAM, "request_id": request,
        "batch": records(batch), "failed": records(failed), "next": next,
    })
}

fn all(history: &History) -> Vec<Summary> {
    history.summaries(&Filter::default())
}

/// The trace's spans, each with its depth.
fn shown(history: &History, id: &str) -> Vec<String> {
    let trace = history.trace(id).unwrap();
    let spans = trace.spans.iter();
    spans
        .map(|span| format!("{}{}", "  ".repeat(span.depth), span.title))
        .collect()
}

#[test]
fn a_record_that_no_filter_lets_pass_and_one_that_comes_late_are_told() {
    let fault = json!({
        "what": "fault", "at_ms": 6, "title": "fault: delivered 5 ms late", "causes": [record(2)],
    });
    let history = history([
        put_item("c1", 0, &[1]),
        put_item("c2", 1, &[2]),
        delivery(None, 5, &[1], &[], json!({"next": "filtered"})),
        fault,
        delivery(None, 7, &[2, 3], &[], json!({"next": "filtered"})),
    ]);
    assert_eq!(
        shown(&history, "c1")[1..],
        [
            "  INSERT item 1",
            "    not for check: no filter lets the record pass"
        ]
    );
    assert_eq!(
        shown(&history, "c2")[1..],
        [
            "  INSERT item 2",
            "    fault: delivered 5 ms late",
            "    not for check: no filter lets 2 records pass"
        ]
    );
    let outcomes = all(&history).into_iter().map(|summary| summary.outcome);
    assert!(outcomes.into_iter().all(|outcome| outcome == Outcome::Ok));
}

#[test]
fn an_upload_is_followed_to_the_last_function() {
    let by_a1 = json!({"causes": [{"invocation": "a1"}], "function": "detect"});
    let history = history([
        put_object("c1", 0, "cat.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        call("c2", 15, "rekognition", "DetectLabels", by_a1),
        call(
            "c3",
            25,
            "dynamodb",
            "UpdateItem",
            json!({
                "causes": [{"invocation": "a1"}],
                "records": [{"stream": STREAM, "sequence_number": "7", "event_name": "INSERT", "keys": "cat"}],
            }),
        ),
        ok("a1", 40),
        invocation("b1", "r2", "index", 50, json!([record(7)])),
        ok("b1", 60),
    ]);
    let summaries = all(&history);
    assert_eq!(summaries.len(), 1);
    let summary = &summaries[0];
    assert_eq!(summary.title, "PutObject photos/cat.jpg");
    assert_eq!((summary.kind, summary.outcome), (Kind::Object, Outcome::Ok));
    assert_eq!(summary.functions, ["detect", "index"]);
    assert_eq!((summary.duration_ms, summary.calls), (60.0, 3));
    assert_eq!(
        shown(&history, "c1"),
        [
            "PutObject photos/cat.jpg",
            "  detect",
            "    DetectLabels",
            "    UpdateItem",
            "      INSERT cat",
            "        index",
            "          line of b1",
            "    line of a1",
        ]
    );
    // Whatever of it is known leads to it.
    for id in ["c3", "b1", "r2"] {
        assert_eq!(history.trace(id), history.trace("c1"), "{id}");
    }
    assert_eq!(history.trace("c9"), None);
}

#[test]
fn two_uploads_at_the_same_moment_are_never_mixed() {
    let history = history([
        put_object("c1", 0, "a.jpg"),
        put_object("c2", 0, "a.jpg"),
        invocation("a2", "r2", "detect", 1, json!([{"call": "c2"}])),
        invocation("a1", "r1", "detect", 1, json!([{"call": "c1"}])),
        call(
            "c3",
            2,
            "rekognition",
            "DetectLabels",
            json!({"causes": [{"invocation": "a1"}], "function": "detect"}),
        ),
        ok("a1", 9),
        error("a2", 9),
    ]);
    let mut summaries = all(&history);
    summaries.sort_by(|one, other| one.id.cmp(&other.id));
    let outcomes: Vec<_> = summaries
        .iter()
        .map(|summary| (&*summary.id, summary.outcome, summary.calls))
        .collect();
    assert_eq!(
        outcomes,
        [("c1", Outcome::Ok, 2), ("c2", Outcome::Failed, 1)]
    );
}

#[test]
fn a_batch_of_two_traces_is_part_of_both() {
    let history = history([
        put_item("c1", 0, &[1]),
        put_item("c2", 10, &[2]),
        invocation("a1", "r1", "check", 20, json!([record(1), record(2)])),
        ok("a1", 30),
    ]);
    for id in ["c1", "c2"] {
        let trace = history.trace(id).unwrap();
        let check = trace.spans.iter().find(|span| span.title == "check");
        assert_eq!(check.unwrap().other_causes, 1);
        assert_eq!(trace.summary.functions, ["check"]);
    }
    assert_eq!(all(&history).len(), 2);
}

#[test]
fn a_call_before_the_first_event_is_inferred_and_says_so() {
    let history = history([
        put_object("c1", 0, "cat.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        call(
            "c2",
            12,
            "dynamodb",
            "DescribeEndpoints",
            json!({"function": "detect"}),
        ),
        // Of a process that nobody has asked for.
        call("c3", 12, "dynamodb", "Scan", json!({"function": "other"})),
        ok("a1", 40),
    ]);
    let trace = history.trace("c1").unwrap();
    let inferred: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| span.inferred.is_some())
        .map(|span| &*span.id)
        .collect();
    assert_eq!(inferred, ["c2"]);
    assert_eq!(all(&history).len(), 1);
}

#[test]
fn an_event_that_is_tried_again_is_retrying_and_then_done() {
    let mut history = history([
        put_object("c1", 0, "cat.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        error("a1", 20),
    ]);
    assert_eq!(all(&history)[0].outcome, Outcome::Failed);
    let retry = json!({
        "what": "retry", "at_ms": 21, "request_id": "r1", "function": "detect", "is_throttled": false,
        "not_before_ms": 1021,
    });
    history.add(serde_json::from_value(retry).unwrap());
    assert_eq!(all(&history)[0].outcome, Outcome::Retrying);
    let again = invocation("a2", "r1", "detect", 1030, json!([{"call": "c1"}]));
    history.add(serde_json::from_value(again).unwrap());
    assert_eq!(all(&history)[0].outcome, Outcome::Running);
    history.add(serde_json::from_value(ok("a2", 1040)).unwrap());
    assert_eq!(all(&history)[0].outcome, Outcome::Ok);
    assert_eq!(
        shown(&history, "c1"),
        [
            "PutObject photos/cat.jpg",
            "  detect",
            "    line of a1",
            "    failed: tried again",
            "  detect",
            "    line of a2",
        ]
    );
}

#[test]
fn an_event_that_is_given_up_waits_in_the_queue_until_it_is_redriven() {
    let mut history = history([
        put_object("c1", 0, "cat.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        error("a1", 20),
        json!({
            "what": "given_up", "at_ms": 30, "events": [{"request": "r1"}], "function": "detect",
            "condition": "RetriesExhausted", "destination": QUEUE, "message_id": "m1",
        }),
    ]);
    assert_eq!(all(&history)[0].outcome, Outcome::FailureQueue);
    let invoke = call(
        "c2",
        100,
        "lambda",
        "Invoke",
        json!({"causes": [{"message": "m1"}]}),
    );
    let again = invocation("a2", "r2", "detect", 101, json!([{"call": "c2"}]));
    for occurrence in [invoke, again, ok("a2", 110)] {
        history.add(serde_json::from_value(occurrence).unwrap());
    }
    let summaries = all(&history);
    assert_eq!((summaries.len(), summaries[0].outcome), (1, Outcome::Ok));
    assert_eq!(
        shown(&history, "c1"),
        [
            "PutObject photos/cat.jpg",
            "  detect",
            "    line of a1",
            "    RetriesExhausted: given up to failures",
            "      message in failures",
            "        Invoke",
            "          detect",
            "            line of a2",
        ]
    );
}

#[test]
fn of_a_split_batch_only_the_poison_is_given_up() {
    let mut history = history([
        put_item("c1", 0, &[1]),
        put_item("c2", 1, &[2]),
        invocation("a1", "r1", "check", 10, json!([record(1), record(2)])),
        error("a1", 20),
        delivery(
            Some("r1"),
            21,
            &[1, 2],
            &[1, 2],
            json!({"next": "split", "first": 1}),
        ),
        invocation("a2", "r2", "check", 30, json!([record(1)])),
        ok("a2", 40),
        invocation("a3", "r3", "check", 50, json!([record(2)])),
        error("a3", 60),
        delivery(Some("r3"), 61, &[2], &[2], json!({"next": "give_up"})),
        json!({
            "what": "given_up", "at_ms": 70, "events": [record(2)], "function": "check",
            "condition": "RetryAttemptsExhausted", "destination": QUEUE, "message_id": "m1",
        }),
    ]);
    let outcome = |history: &History, id: &str| history.trace(id).unwrap().summary.outcome;
    assert_eq!(outcome(&history, "c1"), Outcome::Ok);
    assert_eq!(outcome(&history, "c2"), Outcome::FailureQueue);
    // What follows from one record does not follow from the other.
    assert!(
        !shown(&history, "c1")
            .iter()
            .any(|line| line.contains("given up"))
    );
    // A redrive reads the records from the stream again.
    let invoke = call(
        "c3",
        80,
        "lambda",
        "Invoke",
        json!({"causes": [{"message": "m1"}]}),
    );
    let causes = json!([{"call": "c3"}, record(2)]);
    for occurrence in [
        invoke,
        invocation("a4", "r4", "check", 81, causes),
        ok("a4", 90),
    ] {
        history.add(serde_json::from_value(occurrence).unwrap());
    }
    assert_eq!(outcome(&history, "c2"), Outcome::Ok);
    assert_eq!(
        shown(&history, "c2").last().unwrap().trim_start(),
        "line of a4"
    );
    let trace = history.trace("c2").unwrap();
    let redriven = trace.spans.iter().find(|span| span.id == "a4").unwrap();
    assert_eq!(trace.spans[redriven.parent.unwrap()].id, "c3");
}

#[test]
fn a_function_that_reports_failed_records_has_not_handled_them() {
    let history = history([
        put_item("c1", 0, &[1]),
        put_item("c2", 1, &[2]),
        invocation("a1", "r1", "check", 10, json!([record(1), record(2)])),
        ok("a1", 20),
        delivery(
            Some("r1"),
            21,
            &[1, 2],
            &[2],
            json!({"next": "retry", "not_before_ms": 121}),
        ),
    ]);
    let outcomes = ["c1", "c2"].map(|id| history.trace(id).unwrap().summary.outcome);
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Retrying]);
}

#[test]
fn a_message_that_is_received_too_often_is_in_the_dead_letter_queue() {
    let sent = json!({"messages": [{"message_id": "m1", "queue": "arn:aws:sqs:us-east-1:000000000000:work"}]});
    let history = history([
        call("c1", 0, "sqs", "SendMessage", sent),
        invocation("a1", "r1", "work", 10, json!([{"message": "m1"}])),
        error("a1", 20),
        json!({"what": "moved", "at_ms": 30, "message_id": "m1", "from": "arn:aws:sqs:us-east-1:000000000000:work", "to": QUEUE}),
    ]);
    assert_eq!(all(&history)[0].outcome, Outcome::FailureQueue);
}

#[test]
fn a_job_of_rekognition_leads_to_its_message() {
    let history = history([
        put_object("c1", 0, "a.mp4"),
        invocation("a1", "r1", "start", 10, json!([{"call": "c1"}])),
        call(
            "c2",
            11,
            "rekognition",
            "StartLabelDetection",
            json!({"causes": [{"invocation": "a1"}], "job": "j1"}),
        ),
        ok("a1", 20),
        call(
            "c3",
            900,
            "sns",
            "Publish",
            json!({"causes": [{"job": "j1"}]}),
        ),
        invocation("a2", "r2", "finish", 905, json!([{"call": "c3"}])),
        ok("a2", 950),
    ]);
    let summaries = all(&history);
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0].functions, ["start", "finish"]);
}

#[test]
fn a_trace_whose_beginning_has_made_way_says_so() {
    let mut history = History::new(Limits {
        occurrences: 2,
        bytes: 1 << 20,
    });
    for occurrence in [
        put_object("c1", 0, "cat.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        ok("a1", 20),
    ] {
        history.add(serde_json::from_value(occurrence).unwrap());
    }
    assert_eq!(history.dropped(), 1);
    let summaries = all(&history);
    assert_eq!(summaries.len(), 1);
    assert!(summaries[0].is_cut);
    assert_eq!(
        (&*summaries[0].title, summaries[0].kind),
        ("detect", Kind::Object)
    );
}

#[test]
fn bytes_are_bounded_as_well() {
    let one = serde_json::from_value::<Occurrence>(put_object("c1", 0, "cat.jpg")).unwrap();
    let bytes = serde_json::to_vec(&one).unwrap().len();
    let mut history = History::new(Limits {
        occurrences: 100,
        bytes: 2 * bytes,
    });
    for _ in 0..5 {
        history.add(one.clone());
    }
    assert_eq!((history.occurrences().count(), history.dropped()), (2, 3));
}

#[test]
fn the_function_that_was_invoked_last_comes_first() {
    let invoked = |id: &str, function: &str, at| invocation(id, id, function, at, json!([]));
    let fired = |id: &str, function: &str, at| {
        let mut invocation = invoked(id, function, at);
        invocation["trigger"]["kind"] = "schedule".into();
        invocation
    };
    let history = history([
        invoked("a1", "sell", 0),
        invoked("a2", "pack", 10),
        ok("a1", 20),
        invoked("a3", "sell", 30),
        ok("a2", 40),
        fired("a4", "pack", 50),
        fired("a5", "clean", 60),
    ]);
    assert_eq!(history.invoked(), ["sell", "pack", "clean"]);
}

#[test]
fn filters_choose_by_function_kind_outcome_and_text() {
    let denied = json!({"action": "s3:GetObject", "resource": "arn:aws:s3:::photos/a.jpg"});
    let history = history([
        put_object("c1", 0, "a.jpg"),
        invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
        call(
            "c2",
            11,
            "s3",
            "GetObject",
            json!({"causes": [{"invocation": "a1"}], "denied": denied, "status": 403}),
        ),
        ok("a1", 20),
        json!({
            "what": "http", "at_ms": 105, "id": "h1", "port": 8000, "method": "GET", "path": "/a.jpg",
            "started_ms": 100, "duration_ms": 5, "status": 500,
        }),
    ]);
    let ids = |filter: Filter| {
        let summaries = history.summaries(&filter).into_iter();
        summaries.map(|summary| summary.id).collect::<Vec<_>>()
    };
    let none = Filter::default();
    assert_eq!(ids(none.clone()), ["h1", "c1"]);
    let of = |function: &str| Filter {
        function: Some(function.to_owned()),
        ..none.clone()
    };
    assert_eq!(ids(of("detect")), ["c1"]);
    assert!(ids(of("det")).is_empty());
    let of_kind = |kind| Filter {
        kind: Some(kind),
        ..none.clone()
    };
    assert_eq!(ids(of_kind(Kind::Request)), ["h1"]);
    let with = |outcome| Filter {
        outcome: Some(outcome),
        ..none.clone()
    };
    assert_eq!(ids(with(Outcome::Failed)), ["h1"]);
    assert_eq!(ids(with(Outcome::Denied)), ["c1"]);
    let about = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..none.clone()
    };
    assert_eq!(ids(about("A.JPG")), ["h1", "c1"]);
    assert_eq!(ids(about("line of a1")), ["c1"]);
}

#[test]
fn to_find_no_object_is_an_answer_and_to_read_none_a_failure() {
    let outcome = |operation: &str| {
        let by_a1 = json!({"causes": [{"invocation": "a1"}], "function": "detect", "status": 404});
        let history = history([
            put_object("c1", 1, "a.jpg"),
            invocation("a1", "r1", "detect", 10, json!([{"call": "c1"}])),
            call("c2", 12, "s3", operation, by_a1),
            ok("a1", 30),
        ]);
        let trace = history.trace("c1").unwrap();
        trace
            .spans
            .iter()
            .find(|span| span.title.starts_with(operation))
            .unwrap()
            .outcome
    };
    assert_eq!(outcome("HeadObject"), Outcome::Ok);
    assert_eq!(outcome("GetObject"), Outcome::Failed);
}

#[test]
fn a_denied_call_counts_until_another_attempt_has_handled_the_event() {
    let denied = json!({"action": "s3:PutObject", "resource": "arn:aws:s3:::receipts/1"});
    let mut history = history([
        put_item("c1", 0, &[1]),
        invocation("a1", "r1", "check", 10, json!([record(1)])),
        call(
            "c2",
            11,
            "s3",
            "PutObject",
            json!({"causes": [{"invocation": "a1"}], "denied": denied, "status": 403}),
        ),
        // The function does not say that it has failed.
        ok("a1", 20),
    ]);
    assert_eq!(all(&history)[0].outcome, Outcome::Denied);
    for occurrence in [
        delivery(
            Some("r1"),
            21,
            &[1],
            &[1],
            json!({"next": "retry", "not_before_ms": 121}),
        ),
        invocation("a2", "r2", "check", 130, json!([record(1)])),
        ok("a2", 140),
    ] {
        history.add(serde_json::from_value(occurrence).unwrap());
    }
    let summary = &all(&history)[0];
    assert_eq!((summary.outcome, summary.denied), (Outcome::Ok, 1));
}
