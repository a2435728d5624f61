//! `trace` of a stage on AWS: what CloudWatch Logs tells.
use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::fake_aws::{self, Answer, Call, xtask_at};
use acceptance::{both, succeed, xtask_program};
use serde_json::{Value, json};

const FIRST: &str = "6bc28136-0a1b-4365-b021-0ce6b2e64ab0";
const SECOND: &str = "7c38ef97-0a1b-4ae1-b5b4-3d2f9c8e1f00";

/// Two invocations in Lambda's words, of which one ends at the function's timeout. Another function's log is empty.
fn aws() -> String {
    // Logs are read from an hour ago on.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let began = u64::try_from(now.as_millis()).unwrap() - 60_000;
    let line = |at: u64, text: String| json!({"timestamp": at, "ingestionTime": at, "logStreamName": "a[$LATEST]1", "message": &text, "eventId": format!("{at} {text}")});
    let answered = json!({"timestamp": "t", "level": "INFO", "fields": {"message": "order placed", "order": "17"}});
    let events = json!([
        line(
            began,
            format!("START RequestId: {FIRST} Version: $LATEST\n")
        ),
        line(began + 5, answered.to_string()),
        line(began + 12, format!("END RequestId: {FIRST}\n")),
        line(
            began + 12,
            format!(
                "REPORT RequestId: {FIRST}\tDuration: 11.20 ms\tBilled Duration: 43 ms\tMemory Size: 128 MB\tMax Memory Used: 22 MB\tInit Duration: 31.50 ms\t\n"
            )
        ),
        line(
            began + 10000,
            format!("START RequestId: {SECOND} Version: $LATEST\n")
        ),
        line(
            began + 13000,
            format!("2026-11-27T06:54:13.000Z {SECOND} Task timed out after 3.00 seconds\n\n")
        ),
        line(began + 13000, format!("END RequestId: {SECOND}\n")),
        line(
            began + 13000,
            format!(
                "REPORT RequestId: {SECOND}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 23 MB\tStatus: timeout\n"
            )
        ),
    ]);
    fake_aws::start(move |call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        "FilterLogEvents" if call.body.contains("place-order") => Answer::new(
            200,
            json!({"events": events, "searchedLogStreams": []}).to_string(),
        ),
        "FilterLogEvents" => Answer::new(200, r#"{"events": [], "searchedLogStreams": []}"#),
        other => panic!("nobody expects {other}"),
    })
}

#[test]
fn the_invocations_of_a_stage_on_aws_are_listed_and_shown() {
    let (aws, program) = (aws(), xtask_program());
    let trace = |arguments: &[&str]| {
        let arguments = [&["trace"], arguments].concat();
        xtask_at(&program, &aws, &arguments)
    };
    let listed: Value = serde_json::from_str(&succeed(&mut trace(&["--json"]))).unwrap();
    let outcomes: Vec<_> = listed["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| {
            (
                trace["title"].as_str().unwrap(),
                trace["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(outcomes, [("place-order", "failed"), ("place-order", "ok")]);

    let shown = succeed(&mut trace(&[FIRST]));
    for part in [
        "order placed order=17",
        "cold start 32 ms",
        "billed 43 ms",
        "22 of 128 MB",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        !shown.contains('{'),
        "a line of a log is for people: {shown}"
    );
    let failed: Value =
        serde_json::from_str(&succeed(&mut trace(&["--json", "--outcome", "failed"]))).unwrap();
    assert_eq!(failed["traces"].as_array().unwrap().len(), 1, "{failed}");
    let last = succeed(&mut trace(&["--last"]));
    assert!(
        last.contains(SECOND) && last.contains("timed out"),
        "{last}"
    );

    let output = trace(&["--function", "ship-order"]).output().unwrap();
    let told = both(&output);
    assert!(
        told.contains("CloudWatch Logs tells of invocations alone."),
        "{told}"
    );
    assert!(
        told.contains("Nothing that came in passes the filters."),
        "{told}"
    );
    let output = trace(&["nothing"]).output().unwrap();
    let told = both(&output);
    assert!(
        told.contains("error: could not find trace nothing"),
        "{told}"
    );
    assert!(told.contains("--since looks further back"), "{told}");
}
