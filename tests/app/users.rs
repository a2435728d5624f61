//! The users' service as a user meets it: the verification steps of the three tutorials that
//! it replaces, and what they left out.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use acceptance::{EVENT_PATIENCE, Reply, eventually, send};
use serde_json::{Value, json};
use ureq::http::Request;

use crate::library::Stage;

#[test]
fn users() {
    let stage = Stage::start();
    let id = a_user_is_created(&stage);
    its_data_appears(&stage, &id);
    a_user_is_deleted(&stage, &id);
    pages_follow_each_other(&stage);
    bad_requests_are_told_why(&stage);
    browsers_may_ask(&stage);
    personal_addresses_are_told_from_others(&stage);
    keys_stay_in_their_folder(&stage);
    records_are_followed_in_the_log(&stage);
    nothing_failed(&stage);
}

fn post(stage: &Stage, path: &str, body: &Value) -> Reply {
    stage.post("USERS_API_URL", path, &body.to_string())
}

fn create(stage: &Stage, email: &str) -> String {
    let reply = post(stage, "/create", &json!({"email": email}));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn delete(stage: &Stage, id: &str) {
    let reply = post(stage, "/delete", &json!({"id": id}));
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn put_item(stage: &Stage, item: &Value) {
    stage.aws_ok(&[
        "dynamodb",
        "put-item",
        "--table-name",
        stage.variable("USERS_TABLE_NAME"),
        "--item",
        &item.to_string(),
    ]);
}

fn item(stage: &Stage, id: &str) -> Option<Value> {
    let key = json!({"id": {"S": id}}).to_string();
    let table = stage.variable("USERS_TABLE_NAME");
    let answer = stage.aws_json(&[
        "dynamodb",
        "get-item",
        "--table-name",
        table,
        "--key",
        &key,
        "--consistent-read",
    ]);
    answer.get("Item").cloned()
}

// System B, steps 4 and 5
fn a_user_is_created(stage: &Stage) -> String {
    let reply = post(stage, "/create", &json!({"email": "test@test.com"}));
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    let user = reply.json();
    assert_eq!(user["email"], "test@test.com");
    let id = user["id"].as_str().unwrap();
    let stored = item(stage, id).unwrap();
    assert_eq!(stored["email"], json!({"S": "test@test.com"}));
    assert_eq!(
        stored["timestamp"],
        json!({"N": user["timestamp"].to_string()})
    );
    let scanned = post(stage, "/scan", &json!({})).json();
    assert_eq!(scanned[0]["id"], id);
    id.to_owned()
}

// System C
fn its_data_appears(stage: &Stage, id: &str) {
    let key = format!("{id}/userdata");
    eventually("the user's data", || {
        stage.keys("USER_BUCKET_NAME").contains(&key).then_some(())
    });
}

fn a_user_is_deleted(stage: &Stage, id: &str) {
    let reply = post(stage, "/delete", &json!({"id": id}));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.json(),
        json!({"message": format!("user {id} deleted")})
    );
    assert_eq!(item(stage, id), None);
    eventually("the user's data gone", || {
        stage.keys("USER_BUCKET_NAME").is_empty().then_some(())
    });
    let again = post(stage, "/delete", &json!({"id": id}));
    assert_eq!(again.status, 404, "{again:?}");
    assert!(again.body.contains(id), "{again:?}");
}

fn pages_follow_each_other(stage: &Stage) {
    let mut ids: Vec<String> = (0..5)
        .map(|number| create(stage, &format!("page{number}@example.com")))
        .collect();
    let mut found = Vec::new();
    let mut body = json!({"limit": 2});
    let mut pages = 0;
    loop {
        let reply = post(stage, "/scan", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        let users = reply.json();
        let users = users.as_array().unwrap();
        assert!(users.len() <= 2, "{users:?}");
        let page = users.iter().map(|user| user["id"].as_str().unwrap());
        found.extend(page.map(str::to_owned));
        pages += 1;
        match reply.header("next-cursor") {
            Some(cursor) => body["cursor"] = cursor.into(),
            None => break,
        }
    }
    assert!(pages >= 3, "{pages} pages");
    for id in &ids {
        delete(stage, id);
    }
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
}

fn bad_requests_are_told_why(stage: &Stage) {
    let oversized = json!({"email": format!("{}@example.com", "x".repeat(200_000))}).to_string();
    for (path, body, mentions) in [
        ("/create", "", "email"),
        ("/create", "{}", "email"),
        ("/create", "{\"email\":", "body"),
        ("/create", "[]", "body"),
        ("/create", "{\"email\": 5}", "email"),
        ("/create", "{\"email\": \"nobody\"}", "email"),
        ("/create", "{\"email\": \"a@b@c\"}", "email"),
        ("/create", oversized.as_str(), "bytes"),
        ("/delete", "{}", "id"),
        ("/delete", "{\"id\": \"\"}", "id"),
        ("/delete", "{\"id\": [1]}", "id"),
        ("/scan", "{\"limit\": 0}", "limit"),
        ("/scan", "{\"cursor\": \"nonsense\"}", "cursor"),
    ] {
        let reply = stage.post("USERS_API_URL", path, body);
        assert_eq!(reply.status, 400, "{path} {body:.60}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let error = reply.json();
        assert_eq!(error["Code"], "BadRequestError", "{error}");
        let message = error["Message"].as_str().unwrap();
        assert!(message.contains(mentions), "{path} {body:.60}: {message}");
    }
    let wrong_path = post(stage, "/nowhere", &json!({}));
    assert_eq!(wrong_path.status, 404, "{wrong_path:?}");
    assert_eq!(post(stage, "/scan", &json!({})).json(), json!([]));
}

/// A page of another origin asks first, and is told that it may.
fn browsers_may_ask(stage: &Stage) {
    let url = format!(
        "{}/create",
        stage.variable("USERS_API_URL").trim_end_matches('/')
    );
    let preflight = Request::options(&url)
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let reply = send(preflight.body(String::new()).unwrap());
    assert!(matches!(reply.status, 200 | 204), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let allows = |name: &str, what: &str| {
        let value = reply.header(name).unwrap_or_default().to_lowercase();
        assert!(value.contains(what), "{name}: {reply:?}");
    };
    allows("access-control-allow-methods", "post");
    allows("access-control-allow-headers", "content-type");

    let scan = Request::post(url.replace("/create", "/scan")).header("origin", "https://a.example");
    let reply = send(scan.body("{}".to_owned()).unwrap());
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let exposed = reply.header("access-control-expose-headers");
    assert_eq!(exposed, Some("next-cursor"));
}

// System D, "Test the DynamoDB Trigger"
fn personal_addresses_are_told_from_others(stage: &Stage) {
    let flag_becomes = |id: &str, flag: bool| {
        eventually(&format!("IsPersonalEmail = {flag} of {id}"), || {
            let item = item(stage, id)?;
            (item["IsPersonalEmail"] == json!({"BOOL": flag})).then_some(())
        });
    };
    put_item(
        stage,
        &json!({"id": {"S": "ID1"}, "email": {"S": "john@example.com"}}),
    );
    put_item(
        stage,
        &json!({"id": {"S": "ID2"}, "email": {"S": "john@gmail.com"}}),
    );
    flag_becomes("ID1", false);
    flag_becomes("ID2", true);

    // The e-mail changes, and the flag with it; then it changes without need for another flag.
    for (email, flag) in [
        (json!({"S": "John@GMAIL.com"}), true),
        (json!({"S": "john@notgmail.com"}), false),
        (json!({"S": "john@example.org"}), false),
        (json!({"S": "john@outlook.com"}), true),
        // No address any more, as some programs write it.
        (json!({"NULL": true}), false),
        (json!({"S": "john@hotmail.com"}), true),
    ] {
        let key = json!({"id": {"S": "ID1"}}).to_string();
        let table = stage.variable("USERS_TABLE_NAME");
        let value = json!({":email": email}).to_string();
        stage.aws_ok(&[
            "dynamodb",
            "update-item",
            "--table-name",
            table,
            "--key",
            &key,
            "--update-expression",
            "SET email = :email",
            "--expression-attribute-values",
            &value,
        ]);
        flag_becomes("ID1", flag);
    }
    let scanned = post(stage, "/scan", &json!({})).json();
    let user = scanned
        .as_array()
        .unwrap()
        .iter()
        .find(|u| u["id"] == "ID2");
    assert_eq!(user.unwrap()["IsPersonalEmail"], true);
    delete(stage, "ID1");
    delete(stage, "ID2");
}

/// No key reaches the folder of another, whatever characters it has.
fn keys_stay_in_their_folder(stage: &Stage) {
    let long = "long".repeat(500);
    let keys = ["a", "a/b", "..", "../a", "/", "%2F", "ä ö", &long];
    for key in keys {
        put_item(stage, &json!({"id": {"S": key}}));
    }
    let objects = eventually("an object for every user", || {
        let objects = stage.keys("USER_BUCKET_NAME");
        (objects.len() == keys.len()).then_some(objects)
    });
    for object in &objects {
        let segments: Vec<&str> = object.split('/').collect();
        assert_eq!(segments.len(), 2, "{object}");
        assert_eq!(segments[1], "userdata");
        assert!(!["", ".", ".."].contains(&segments[0]), "{object}");
    }
    for key in keys {
        delete(stage, key);
    }
    eventually("no object of nobody", || {
        stage.keys("USER_BUCKET_NAME").is_empty().then_some(())
    });
}

// System B, step 10
fn records_are_followed_in_the_log(stage: &Stage) {
    let mut followed = Follow::start(stage, "handle-user-stream");
    let id = create(stage, "secret.person@example.com");
    let inserted = followed.line_with("INSERT");
    delete(stage, &id);
    let removed = followed.line_with("REMOVE");
    for line in [inserted, removed] {
        assert!(!line.contains("secret.person"), "personal data: {line}");
        assert!(!line.contains("IsPersonalEmail"), "an image: {line}");
    }
}

fn nothing_failed(stage: &Stage) {
    for function in ["handle-user-stream", "check-email"] {
        assert_eq!(stage.failed_events(function), 0, "{function}");
    }
    let mappings = stage.aws_json(&["lambda", "list-event-source-mappings"]);
    let mappings = mappings["EventSourceMappings"].as_array().unwrap();
    let of_the_table = mappings.iter().filter(|mapping| {
        mapping["EventSourceArn"]
            .as_str()
            .unwrap()
            .contains(stage.variable("USERS_TABLE_NAME"))
    });
    assert_eq!(of_the_table.count(), 2, "a stream serves two consumers");
}

/// `xtask logs --follow`, while it lasts.
struct Follow {
    process: Child,
    lines: Receiver<String>,
}

impl Follow {
    fn start(stage: &Stage, function: &str) -> Self {
        let mut process = stage
            .xtask(&["logs", function, "--follow", "--since", "0s"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// The next line that contains `text`.
    fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(EVENT_PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
