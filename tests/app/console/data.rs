//! Items and objects: the steps of the tutorial, and an upload that is followed.

use acceptance::{eventually, workspace};
use serde_json::{Value, json};

use super::browser::Browser;
use crate::library::Stage;

// The tutorial "Configure Amazon DynamoDB triggers with AWS Lambda": "Test the DynamoDB Trigger"
pub(crate) fn the_steps_of_the_tutorial_are_done(browser: &Browser<'_>) {
    let window = &browser.window;
    let row = |id: &str| {
        let script = format!(
            "return [...document.querySelectorAll('tbody tr')].map(row => row.innerText).find(text => text.includes({id:?})) ?? ''"
        );
        window.run(&script).as_str().unwrap().to_owned()
    };
    for (id, email, flag) in [
        ("ID1", "john@example.com", "false"),
        ("ID2", "john@gmail.com", "true"),
    ] {
        browser.go("/data");
        window.click_text("users");
        window.click_text("Create item");
        window.fill(
            "textarea[name=item]",
            &json!({"id": {"S": id}, "email": {"S": email}}).to_string(),
        );
        window.click_text("Create item");
        window.shows(&format!("Created item {id}"));
        // The flag appears in this very page.
        window.run("window.sameDocument = true");
        window.eventually("flag", || row(id).contains(flag).then_some(()));
        assert_eq!(window.run("return window.sameDocument"), true);
    }
    browser.picture("table");
    window.click_text("ID1");
    let item = window.run("return document.querySelector('textarea').value");
    let mut item: Value = serde_json::from_str(item.as_str().unwrap()).unwrap();
    assert_eq!(item["IsPersonalEmail"], json!({"BOOL": false}));
    item["email"] = json!({"S": "john@outlook.com"});
    browser.picture("item");
    window.fill("textarea[name=item]", &item.to_string());
    window.click_text("Save");
    window.shows("Changed item ID1");
    window.eventually("flag", || row("ID1").contains("true").then_some(()));
}

/// Returns the path of its trace.
pub(crate) fn an_upload_is_followed(stage: &Stage, browser: &Browser<'_>) -> String {
    let window = &browser.window;
    browser.go("/data/bucket/media");
    let image = workspace().join("assets/sample.jpg");
    window.type_into("input[type=file]", image.to_str().unwrap());
    window.shows("Uploaded sample.jpg");
    let answer = eventually("the labels", || {
        let reply = stage.get("/sample.jpg");
        (reply.status == 200).then_some(reply)
    });
    assert!(answer.body.contains("Cat"), "{answer:?}");
    browser.picture("bucket");
    browser.go("/events?kind=object&text=sample.jpg");
    window.click("tbody th a");
    for part in [
        "handle-object-created",
        "DetectLabels",
        "TransactWriteItems",
    ] {
        window.shows(part);
    }
    let trace = window.url();
    let trace = trace
        .strip_prefix(&browser.console.origin)
        .unwrap()
        .to_owned();
    // The answer of the API is an event of its own.
    browser.go("/events?kind=request&text=sample.jpg");
    window.click("tbody th a");
    window.shows("media-api");
    window.shows("GetItem");
    browser.go("/data/bucket/media/object?key=sample.jpg");
    window.eventually("preview", || {
        let width = window.run("return document.querySelector('img.preview').naturalWidth");
        (width.as_u64()? > 0).then_some(())
    });
    browser.picture("object");
    trace
}

/// From the request and its answer to what the change of the table has caused, as one trace.
pub(crate) fn a_request_is_followed_through_the_stream(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    let user = r#"{"email": "grace@gmail.com"}"#;
    assert_eq!(stage.post("USERS_API_URL", "/create", user).status, 200);
    browser.go("/events?kind=request&text=grace@gmail.com");
    window.click("tbody th a");
    // The page follows what happens.
    for part in [
        "POST /create",
        "users-api",
        "PutItem",
        "INSERT",
        "check-email",
        "UpdateItem",
        "handle-user-stream",
        "PutObject",
    ] {
        window.shows(part);
    }
    window.eventually("status", || {
        let text = window.run("return document.querySelector('#trace').textContent");
        text.as_str()?.contains("Status200").then_some(())
    });
}
