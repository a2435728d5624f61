//! Data that would like to be more than text.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::workspace;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::browser::Browser;
use crate::library::Stage;

const HOSTILE: &str = "<script>document.title='taken'</script><img src=x onerror=alert(1)>";

pub(crate) fn an_uploaded_page_is_not_shown(stage: &Stage, browser: &Browser<'_>) {
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

pub(crate) fn hostile_data_is_text(stage: &Stage, browser: &Browser<'_>) {
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
    let hostile = "/%3Cscript%3Edocument.title='taken'%3C/script%3E";
    assert_eq!(stage.get(hostile).status, 404);
    a_function_logs(stage, HOSTILE);
    a_queue_holds(browser, HOSTILE);

    browser.go("/data/table/users");
    window.shows(HOSTILE);
    window.shows(r"a\u{202e}b\u{1b}[2J");
    for (path, text) in [
        ("/data/table/users?partition=huge", "huge"),
        // A slash in a key is shown as one of a folder.
        ("/data/bucket/media", "<script>document.title='taken'</"),
        ("/data/queue/waiting-images", HOSTILE),
        ("/events?text=document.title", "<script>"),
        ("/logs", HOSTILE),
        (
            "/data/table/users?attribute=%3Cscript%3E&value=%22%3E%3Cscript%3E",
            "users",
        ),
        ("/events/%3Cscript%3E", "Something went wrong"),
        ("/functions/%3Cscript%3E", "<script>"),
        ("/", "media"),
        ("/permissions", "Permissions"),
        ("/faults", "Faults"),
    ] {
        browser.go(path);
        if path != "/events/%3Cscript%3E" {
            window.shows(text);
        }
        let scripts = window.run("return document.scripts.length");
        assert_eq!(scripts, 1, "{path}");
        let title = window.run("return document.title");
        assert!(!title.as_str().unwrap().contains("taken"), "{path}");
    }

    // When the queue's messages arrive on time, a function fails on this one. So it ends in the failure queue.
    browser.go("/faults");
    window.click_text("Stop all faults");
    browser.go("/data/failures/label-waiting");
    window.click_text("Message");
    window.shows(HOSTILE);
    assert_eq!(window.run("return document.scripts.length"), 1);
}

/// Writes a line as a function would: none of the app's logs what others wrote.
fn a_function_logs(stage: &Stage, line: &str) {
    let group = format!("/aws/lambda/{}", stage.physical_name("media-api"));
    let described = stage.aws_json(&["logs", "describe-log-streams", "--log-group-name", &group]);
    let stream = described["logStreams"][0]["logStreamName"]
        .as_str()
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let events = json!([{"timestamp": u64::try_from(now.as_millis()).unwrap(), "message": line}]);
    stage.aws_ok(&[
        "logs",
        "put-log-events",
        "--log-group-name",
        &group,
        "--log-stream-name",
        stream,
        "--log-events",
        &events.to_string(),
    ]);
}

/// Sends a message that no function receives for a while.
fn a_queue_holds(browser: &Browser<'_>, message: &str) {
    let window = &browser.window;
    browser.go("/faults");
    browser.choose("queue", "waiting-images");
    window.fill("input[name=seconds]", "600");
    window.click_text("Delay messages");
    window.shows("Messages of waiting-images arrive 600 s late");
    browser.go("/data/queue/waiting-images");
    window.fill("textarea[name=message]", message);
    window.click_text("Send");
    window.shows("delayed, due in");
}
