//! What came in, and what it has caused.
use std::collections::BTreeSet;

use acceptance::{Stage, both, send};
use serde_json::Value;
use tempfile::NamedTempFile;
use ureq::http::Request;

fn traces(stage: &Stage, filters: &[&str]) -> Vec<Value> {
    let listed = stage.xtask_ok(&[&["trace", "--json", "--limit", "100"], filters].concat());
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["dropped"], 0);
    listed["traces"].as_array().unwrap().clone()
}

/// The newest trace that passes the filters.
fn last(stage: &Stage, filters: &[&str]) -> Value {
    let trace = stage.xtask_ok(&[&["trace", "--json", "--last"], filters].concat());
    serde_json::from_str(&trace).unwrap()
}

fn again(stage: &Stage, trace: &Value) -> Value {
    let id = trace["summary"]["id"].as_str().unwrap();
    serde_json::from_str(&stage.xtask_ok(&["trace", "--json", id])).unwrap()
}

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().unwrap()
}

/// The path of each span of a type from the trace's beginning, in the words of the manifest.
fn paths(trace: &Value, kind: &str) -> BTreeSet<String> {
    let spans = spans(trace);
    let word = |span: &Value| {
        let title = span["title"].as_str().unwrap();
        let is_invocation = span["details"]["type"] == "invocation";
        let first = title.split(' ').next().unwrap();
        let name = if is_invocation {
            title.strip_prefix("shop-local-").unwrap()
        } else {
            first
        };
        name.to_owned()
    };
    let path = |span: &Value| {
        let (mut span, mut path) = (span, word(span));
        while let Some(parent) = span["parent"].as_u64() {
            span = &spans[usize::try_from(parent).unwrap()];
            path = format!("{} > {path}", word(span));
        }
        path
    };
    let wanted = spans.iter().filter(|span| span["details"]["type"] == kind);
    wanted.map(path).collect()
}

fn set<const N: usize>(members: [&str; N]) -> BTreeSet<String> {
    members.map(str::to_owned).into()
}

/// The execution role of a function, and its policy by name.
fn policy(stage: &Stage, function: &str) -> (String, String, String) {
    let name = stage.physical_name(function);
    let get = ["lambda", "get-function-configuration", "--function-name"];
    let configuration = stage.aws_json(&[&get[..], &[&name]].concat());
    let role = configuration["Role"].as_str().unwrap();
    let role = role.rsplit('/').next().unwrap().to_owned();
    let policies = stage.aws_json(&["iam", "list-role-policies", "--role-name", &role]);
    let policy = policies["PolicyNames"][0].as_str().unwrap().to_owned();
    let of_role = ["--role-name", &role, "--policy-name", &policy];
    let got = stage.aws_json(&[&["iam", "get-role-policy"], &of_role[..]].concat());
    (role.clone(), policy, got["PolicyDocument"].to_string())
}

/// The steps follow each other on one stage: starting one takes longer than all of them.
#[test]
fn what_came_in_is_followed_to_its_end() {
    let stage = Stage::start();
    // A deployment is nothing that came in.
    assert_eq!(traces(&stage, &["--kind", "object"]), Vec::<Value>::new());
    two_uploads_at_the_same_moment_are_two_traces(&stage);
    a_request_is_followed_through_the_stream_and_the_bus(&stage);
    no_secret_is_shown(&stage);
    a_record_that_fails_is_followed_into_the_queue_and_out_of_it(&stage);
    a_message_that_fails_is_followed_into_the_queue_and_out_of_it(&stage);
}

fn two_uploads_at_the_same_moment_are_two_traces(stage: &Stage) {
    let photo = NamedTempFile::new().unwrap();
    std::thread::scope(|scope| {
        for key in ["one.jpg", "two.jpg"] {
            let photo = photo.path();
            scope.spawn(move || stage.upload("PHOTOS_BUCKET_NAME", key, photo));
        }
    });
    stage.xtask_ok(&["wait"]);
    assert_eq!(traces(stage, &["--kind", "object"]).len(), 2);
    for (own, other) in [("one.jpg", "two.jpg"), ("two.jpg", "one.jpg")] {
        let trace = last(stage, &["--kind", "object", "--text", own]);
        assert_eq!(trace["summary"]["outcome"], "ok", "{trace}");
        assert_eq!(
            paths(&trace, "call"),
            set([
                "PutObject",
                "PutObject > file-photo > HeadObject",
                "PutObject > file-photo > PutItem",
                "PutObject > audit > PutObject",
            ])
        );
        assert!(!trace.to_string().contains(other), "{trace}");
        let inferred = spans(&trace)
            .iter()
            .filter(|span| span["inferred"] != Value::Null);
        assert_eq!(inferred.count(), 0, "{trace}");
        // The line stands between the last call and the end.
        let logged = spans(&trace)
            .iter()
            .find(|span| span["details"]["type"] == "log");
        let put = spans(&trace)
            .iter()
            .find(|span| span["details"]["operation"] == "PutItem");
        let at = |span: Option<&Value>| span.unwrap()["started_ms"].as_f64().unwrap();
        assert!(at(put) < at(logged), "{trace}");
    }
}

fn a_request_is_followed_through_the_stream_and_the_bus(stage: &Stage) {
    stage.post(
        "ORDERS_URL",
        "/orders",
        r#"{"id": "1", "photo": "one.jpg"}"#,
    );
    stage.xtask_ok(&["wait"]);
    let trace = last(stage, &["--kind", "request"]);
    assert_eq!(trace["summary"]["title"], "POST /orders");
    assert_eq!(trace["summary"]["outcome"], "ok", "{trace}");
    assert_eq!(
        paths(&trace, "invocation"),
        set([
            "POST > place-order",
            "POST > place-order > PutItem > INSERT > ship-order",
            "POST > place-order > PutItem > INSERT > count-orders",
            "POST > place-order > PutEvents > audit",
        ])
    );
    let http = &spans(&trace)[0]["details"];
    assert_eq!(
        (&http["status"], &http["method"]),
        (&200.into(), &"POST".into())
    );
    // The identifier is that of Lambda, which the log has, too.
    let placed = spans(&trace)
        .iter()
        .find(|span| span["details"]["type"] == "invocation");
    let start = &placed.unwrap()["details"]["start"];
    let log = stage.xtask_ok(&["logs", "place-order"]);
    assert!(log.contains(start["request_id"].as_str().unwrap()), "{log}");

    // A person sees the same.
    let id = trace["summary"]["id"].as_str().unwrap();
    let text = stage.xtask_ok(&["trace", id]);
    for part in ["POST /orders\n", "place-order", "cold start", "INSERT"] {
        assert!(text.contains(part), "{text}");
    }
    let listed = stage.xtask_ok(&["trace", "--function", "ship-order"]);
    assert!(listed.contains(id), "{listed}");
    let unknown = both(&stage.xtask(&["trace", "nothing"]).output().unwrap());
    assert!(
        unknown.contains("error: could not find trace nothing"),
        "{unknown}"
    );
}

fn no_secret_is_shown(stage: &Stage) {
    let url = format!(
        "{}orders?X-Amz-Signature=5ec2e7",
        stage.variable("ORDERS_URL")
    );
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("authorization", "Bearer 5ec2e7")
        .header("cookie", "session=5ec2e7");
    let order = r#"{"id": "2", "photo": "a", "password": "5ec2e7"}"#;
    assert_eq!(send(request.body(order.to_owned()).unwrap()).status, 200);
    stage.xtask_ok(&["wait"]);
    let trace = last(stage, &["--kind", "request"]);
    let event = &spans(&trace)[1]["details"]["start"]["event"]["text"];
    assert!(event.as_str().unwrap().contains("[hidden]"), "{trace}");
    assert!(!trace.to_string().contains("5ec2e7"), "{trace}");
    // Nor is what an operator has stored, which the function reads.
    let carrier = stage.get("ORDERS_URL", "/carrier");
    assert_eq!(carrier.status, 200);
    let trace = last(stage, &["--kind", "request"]);
    let call = |operation: &str| {
        let found = spans(&trace)
            .iter()
            .find(|span| span["details"]["operation"] == operation);
        found.unwrap()["details"].clone()
    };
    for operation in ["GetParameter", "GetSecretValue"] {
        assert_eq!(call(operation)["response"]["text"], "", "{trace}");
    }
}

fn a_record_that_fails_is_followed_into_the_queue_and_out_of_it(stage: &Stage) {
    let (role, name, document) = policy(stage, "ship-order");
    let of_role = ["--role-name", &role, "--policy-name", &name];
    stage.aws_ok(&[&["iam", "delete-role-policy"], &of_role[..]].concat());
    stage.post(
        "ORDERS_URL",
        "/orders",
        r#"{"id": "3", "photo": "one.jpg"}"#,
    );
    stage.xtask_ok(&["wait"]);
    let trace = last(stage, &["--kind", "request"]);
    assert_eq!(trace["summary"]["outcome"], "failure-queue", "{trace}");
    let attempts = spans(&trace)
        .iter()
        .filter(|span| span["title"] == "shop-local-ship-order");
    assert!(attempts.count() > 1, "{trace}");
    let denied = spans(&trace)
        .iter()
        .find(|span| span["outcome"] == "denied");
    let denied = &denied.unwrap()["details"]["denied"];
    assert_eq!(denied["action"], "s3:PutObject", "{trace}");
    assert!(
        denied["resource"].as_str().unwrap().ends_with("/3.txt"),
        "{trace}"
    );
    for outcome in ["denied", "failure-queue"] {
        assert_eq!(traces(stage, &["--outcome", outcome]).len(), 1);
    }
    let shown = both(&stage.xtask(&["trace", "--last"]).output().unwrap());
    assert!(shown.contains("denied: s3:PutObject on "), "{shown}");
    assert!(shown.contains("hint: "), "{shown}");

    let policy = ["--policy-document", &document];
    stage.aws_ok(&[&["iam", "put-role-policy"], &of_role[..], &policy].concat());
    stage.xtask_ok(&["redrive", "ship-order"]);
    let trace = again(stage, &trace);
    assert_eq!(trace["summary"]["outcome"], "ok", "{trace}");
    let out_of_the_queue = paths(&trace, "invocation");
    assert!(
        out_of_the_queue
            .iter()
            .any(|path| path.ends_with("> message > Invoke > ship-order")),
        "{out_of_the_queue:?}"
    );
}

fn a_message_that_fails_is_followed_into_the_queue_and_out_of_it(stage: &Stage) {
    let queue = stage.variable("PARCELS_QUEUE_URL");
    let parcel = ["--queue-url", queue, "--message-body", r#"{"order": "4"}"#];
    stage.aws_ok(&[&["sqs", "send-message"], &parcel[..]].concat());
    let waited = stage.xtask(&["wait"]).output().unwrap();
    let said = String::from_utf8_lossy(&waited.stderr);
    assert!(waited.status.success(), "{said}");
    let warning = "warning: 1 event waits in the failure queue of pack-order: see `cargo xtask redrive pack-order";
    assert!(said.contains(warning), "{said}");
    let trace = last(stage, &["--kind", "message"]);
    assert_eq!(trace["summary"]["outcome"], "failure-queue", "{trace}");
    assert_eq!(
        paths(&trace, "invocation"),
        set(["SendMessage > message > pack-order"])
    );
    stage.post(
        "ORDERS_URL",
        "/orders",
        r#"{"id": "4", "photo": "one.jpg"}"#,
    );
    stage.xtask_ok(&["redrive", "pack-order"]);
    let trace = again(stage, &trace);
    assert_eq!(trace["summary"]["outcome"], "ok", "{trace}");
}
