//! The console in a real browser: what a person does there, and what hostile data does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod library;

use std::path::{Path, PathBuf};

use acceptance::webdriver::Window;
use acceptance::{Reply, eventually, send, workspace};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use ureq::http::Request;

use crate::library::Stage;

/// A folder for pictures of the pages, if somebody wants to see them.
const SCREENSHOTS: &str = "CONSOLE_SCREENSHOTS";

const HOSTILE: &str = "<script>document.title='taken'</script><img src=x onerror=alert(1)>";

#[test]
fn console() {
    let stage = Stage::start_with(&["--chaos", "7"]);
    let console = Console::of(&stage);
    nobody_is_let_in_without_the_key(&console);
    what_changes_something_comes_from_a_page(&console);
    let Some(window) = Window::open(1360, 950) else {
        eprintln!("left out: this machine has no chromium and chromedriver");
        return;
    };
    let browser = Browser {
        window,
        console: &console,
    };
    the_key_does_not_stay_in_the_address(&browser);
    faults_are_switched_off(&browser);
    the_steps_of_the_tutorial_are_done(&browser);
    an_upload_is_followed(&stage, &browser);
    an_uploaded_page_is_not_shown(&stage, &browser);
    hostile_data_is_text(&stage, &browser);
    a_function_is_invoked(&browser);
    a_denied_call_is_told_and_its_event_redriven(&stage, &browser);
    many_events_are_listed_in_pages(&stage, &browser);
    faults_are_switched_on(&browser);
    browser.visit_all();
    let mut complaints = browser.window.complaints();
    // Of the event that is not JSON, Chromium tells as well.
    complaints.retain(|complaint| !complaint.contains("status of 422"));
    assert_eq!(complaints, [""; 0]);
}

/// Where the console answers.
struct Console {
    /// With the key.
    url: String,
    origin: String,
    port: String,
}

impl Console {
    fn of(stage: &Stage) -> Self {
        let url = stage.variable("CONSOLE_URL").to_owned();
        let (origin, _) = url.split_once("/?").unwrap();
        Self {
            origin: origin.to_owned(),
            port: origin.rsplit(':').next().unwrap().to_owned(),
            url,
        }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request.body(body.to_owned()).unwrap())
    }

    /// Path and query with the key.
    fn keyed(&self, path: &str) -> String {
        let key = self.url.split_once("?").unwrap().1;
        format!("{path}?{key}")
    }

    /// The cookie that the key gets.
    fn cookie(&self) -> String {
        let reply = self.ask("GET", &self.keyed("/"), &[], "");
        reply
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }
}

fn nobody_is_let_in_without_the_key(console: &Console) {
    for path in ["/", "/data", "/?key=", "/?key=wrong", "/live", "/logs"] {
        let reply = console.ask("GET", path, &[], "");
        assert_eq!(reply.status, 403, "{path}");
        assert!(!reply.body.contains("media"), "{path}");
        assert_eq!(reply.header("set-cookie"), None);
    }
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let reply = console.ask("GET", &console.keyed("/"), &[(name, value)], "");
        assert_eq!(reply.status, 403, "{name}");
    }
    let cookie = console.cookie();
    assert!(cookie.starts_with(&format!("stage-console-{}=", console.port)));
    for method in ["GET", "HEAD"] {
        let reply = console.ask(method, "/data", &[("cookie", &cookie)], "");
        assert_eq!(reply.status, 200);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.body.contains("users"), method == "GET");
    }
}

fn what_changes_something_comes_from_a_page(console: &Console) {
    let cookie = console.cookie();
    let page = console.ask("GET", "/data", &[("cookie", &cookie)], "").body;
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = format!("token={}", token.split('"').next().unwrap());
    let path = "/data/schedule/find-lost-jobs/fire";
    let own = ("origin", console.origin.as_str());
    let other = ("origin", "http://127.0.0.1:1");
    let cookie = ("cookie", cookie.as_str());
    // Without it, the answer leads to a page.
    let script = ("x-console-script", "1");
    for (headers, body, status) in [
        (&[cookie, own][..], token.as_str(), 200),
        (&[cookie, own], "token=wrong", 403),
        (&[cookie, own], "", 403),
        (&[cookie], &token, 403),
        (&[cookie, other], &token, 403),
        (&[own], &token, 403),
    ] {
        let reply = console.ask("POST", path, &[headers, &[script]].concat(), body);
        assert_eq!(reply.status, status, "{headers:?} {body}");
    }
}

/// A window on the console.
struct Browser<'a> {
    window: Window,
    console: &'a Console,
}

impl Browser<'_> {
    fn go(&self, path: &str) {
        self.window.go(&format!("{}{path}", self.console.origin));
    }

    /// Keeps a picture, if somebody wants to see it.
    fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os(SCREENSHOTS) {
            self.window
                .save_screenshot(&PathBuf::from(folder).join(format!("{name}.png")));
        }
    }

    fn visit_all(&self) {
        for name in [
            "",
            "events",
            "data",
            "functions",
            "permissions",
            "faults",
            "logs",
        ] {
            self.go(&format!("/{name}"));
            self.picture(if name.is_empty() { "map" } else { name });
        }
    }
}

fn the_key_does_not_stay_in_the_address(browser: &Browser<'_>) {
    browser.window.go(&browser.console.url);
    browser.window.shows("handle-object-created");
    assert_eq!(browser.window.url(), format!("{}/", browser.console.origin));
    assert_eq!(browser.window.run("return document.cookie"), "");
}

fn faults_are_switched_off(browser: &Browser<'_>) {
    browser.go("/faults");
    browser.window.click_text("Stop faults");
    browser.window.shows("The stage makes no more faults");
}

fn faults_are_switched_on(browser: &Browser<'_>) {
    browser.go("/faults");
    browser.window.click_text("Make faults");
    browser.window.shows("The stage makes faults");
    browser.window.click_text("Stop faults");
    browser.window.shows("The stage makes no more faults");
}

// The tutorial "Configure Amazon DynamoDB triggers with AWS Lambda": "Test the DynamoDB Trigger"
fn the_steps_of_the_tutorial_are_done(browser: &Browser<'_>) {
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

fn an_upload_is_followed(stage: &Stage, browser: &Browser<'_>) {
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
    browser.picture("trace");
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
}

fn an_uploaded_page_is_not_shown(stage: &Stage, browser: &Browser<'_>) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["page.html", "drawing.svg"] {
        let file = folder.path().join(name);
        let script = "<svg xmlns='http://www.w3.org/2000/svg'><script>top.document.title='taken'</script></svg>";
        std::fs::write(&file, script).unwrap();
        stage.upload(name, Path::new(&file));
        let cookie = browser.console.cookie();
        let ask = |below: &str| {
            let path = format!("/data/bucket/media/{below}?key={name}");
            browser
                .console
                .ask("GET", &path, &[("cookie", &cookie)], "")
        };
        let reply = ask("download");
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        assert!(
            reply
                .header("content-disposition")
                .unwrap()
                .starts_with("attachment")
        );
        assert!(
            reply
                .header("content-security-policy")
                .unwrap()
                .contains("sandbox")
        );
        assert_eq!(ask("image").status, 422);
        browser.go(&format!("/data/bucket/media/object?key={name}"));
        browser.window.shows("top.document.title='taken'");
        assert!(
            !browser
                .window
                .run("return document.title")
                .as_str()
                .unwrap()
                .contains("taken")
        );
    }
}

fn hostile_data_is_text(stage: &Stage, browser: &Browser<'_>) {
    let window = &browser.window;
    let client = stage.dynamodb();
    let table = stage.variable("USERS_TABLE_NAME");
    let huge = "é".repeat(190_000);
    // Too long for the AWS CLI's command line.
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for (id, email) in [(HOSTILE, "a\u{202e}b\u{1b}[2J"), ("huge", huge.as_str())] {
            let put = client.put_item().table_name(table);
            let put = put.item("id", AttributeValue::S(id.to_owned()));
            let put = put.item("email", AttributeValue::S(email.to_owned()));
            put.send().await.unwrap();
        }
    });
    stage.upload(
        &format!("{HOSTILE}.txt"),
        &workspace().join("assets/sample.jpg"),
    );
    browser.go("/data/table/users");
    window.shows(HOSTILE);
    window.shows(r"a\u{202e}b\u{1b}[2J");
    for path in [
        "/data/table/users?partition=huge",
        "/data/bucket/media",
        "/events",
        "/logs",
        "/data/table/users?attribute=%3Cscript%3E&value=%22%3E%3Cscript%3E",
    ] {
        browser.go(path);
        let scripts = window.run("return document.scripts.length");
        assert_eq!(scripts, 1, "{path}");
        let title = window.run("return document.title");
        assert!(!title.as_str().unwrap().contains("taken"), "{path}");
    }
}

fn a_function_is_invoked(browser: &Browser<'_>) {
    let window = &browser.window;
    browser.go("/functions/media-api");
    window.click_text("Invoke");
    window.shows("statusCode");
    window.shows("REPORT RequestId");
    window.shows("dynamodb:Scan");
    browser.picture("function");
    window.fill("textarea[name=event]", "{");
    window.click_text("Invoke");
    window.shows("the event is not JSON");
}

fn a_denied_call_is_told_and_its_event_redriven(stage: &Stage, browser: &Browser<'_>) {
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

fn many_events_are_listed_in_pages(stage: &Stage, browser: &Browser<'_>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = stage.dynamodb();
    let table = stage.variable("MEDIA_JOBS_TABLE_NAME").to_owned();
    runtime.block_on(async {
        for number in 0..1_000 {
            let put = client.put_item().table_name(&table);
            let value = AttributeValue::S(format!("job-{number}"));
            put.item("job", value).send().await.unwrap();
        }
    });
    browser.go("/events?text=job-999");
    browser.window.shows("1 event");
    browser.go("/events");
    let rows = || {
        browser
            .window
            .run("return document.querySelectorAll('tbody tr').length")
    };
    assert_eq!(rows(), 100);
    browser.window.click_text("Older");
    assert_eq!(rows(), 100);
    assert!(browser.window.url().ends_with("from=100"));
}
