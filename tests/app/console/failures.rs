//! What fails: a denied call, a poison record, and the way out of the failure queue.

use serde_json::json;

use super::browser::Browser;
use crate::library::Stage;

pub(crate) fn a_denied_call_is_told_and_its_event_redriven(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    let function = "handle-object-removed";
    let physical = stage.physical_name(function);
    let described = stage.aws_json(&[
        "lambda",
        "get-function-configuration",
        "--function-name",
        &physical,
    ]);
    let role = described["Role"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}
    ]})
    .to_string();
    let name = ["--role-name", &role, "--policy-name", "deny"];
    let put = [
        &["iam", "put-role-policy"],
        &name[..],
        &["--policy-document", &policy],
    ]
    .concat();
    stage.aws_ok(&put);
    browser.go("/data/bucket/media/object?key=sample.jpg");
    window.click_text("Delete object");
    window.click(".danger button");
    window.shows("Deleted sample.jpg");

    browser.go("/permissions");
    window.shows(function);
    window.shows("may not dynamodb:");
    // The manifest is not the fault, and the page says so.
    window.shows("grants it: if the grant is new");
    browser.picture("denied");
    browser.go(&format!("/data/failures/{function}"));
    window.shows("RetriesExhausted");
    browser.picture("failures");
    browser.go("/events?outcome=failure-queue");
    window.shows("in the failure queue");

    stage.aws_ok(&[&["iam", "delete-role-policy"], &name[..]].concat());
    browser.go(&format!("/data/failures/{function}"));
    window.click_text("Redrive");
    window.shows("1 event handled");
    window.shows("The queue is empty.");
}

/// The event is in the trace, in the failure queue, and handled in the end; the trace's page is open all the time.
pub(crate) fn a_poison_record_is_followed_until_its_redrive(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    let function = "handle-user-stream";
    let bucket = stage.variable("USER_BUCKET_NAME");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": format!("arn:aws:s3:::{bucket}/poison/userdata"),
    }]})
    .to_string();
    let of_bucket = ["--bucket", bucket];
    let put = [
        &["s3api", "put-bucket-policy"],
        &of_bucket[..],
        &["--policy", &policy],
    ];
    stage.aws_ok(&put.concat());

    browser.go("/data/table/users/new");
    let item = json!({"id": {"S": "poison"}, "email": {"S": "poison@example.com"}});
    window.fill("textarea[name=item]", &item.to_string());
    window.click_text("Create item");
    window.shows("Created item poison");
    browser.go("/events?kind=record&text=poison");
    window.click("tbody th a");
    let trace = window.url();
    window.run("window.sameDocument = true");
    for part in [
        "retrying",
        "PutObject",
        "AccessDenied",
        "in the failure queue",
    ] {
        window.eventually(part, || {
            let text = window.run("return document.querySelector('#trace').textContent");
            text.as_str()?.contains(part).then_some(())
        });
    }
    assert_eq!(window.run("return window.sameDocument"), true);
    browser.picture("poison");

    window.click_text(&format!("to the failure queue of {function}"));
    window.shows("RetryAttemptsExhausted");
    stage.aws_ok(&[&["s3api", "delete-bucket-policy"], &of_bucket[..]].concat());
    window.click_text("Redrive");
    window.shows("1 event handled");
    window.shows("The queue is empty.");
    assert!(stage.keys("USER_BUCKET_NAME").contains("poison/userdata"));
    window.go(&trace);
    window.eventually("good end", || {
        let tag =
            window.run("return document.querySelector('#trace > .facts .tag.good').innerText");
        (tag == "ok").then_some(())
    });
}
