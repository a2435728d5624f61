//! The emulator with a function in it, behind the front door.

#![expect(clippy::unwrap_used, reason = "also in what the tests share")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local::{
    ApiId, Chaos, ChaosConfig, Emulator, EmulatorConfig, Error, FaultKind, FrontDoor, Seed,
    StageTools, StreamPoller, StreamPollerConfig,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const REGION: &str = "us-east-1";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

struct Stage {
    python: PathBuf,
    emulator: Emulator,
    emulator_port: u16,
    front_door: FrontDoor,
    dir: tempfile::TempDir,
    chaos: Option<Chaos>,
}

impl Stage {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    async fn start_with(seed: Option<Seed>) -> Self {
        let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/python/stage");
        let tools = StageTools::prepare(&python, |line| println!("{line}"))
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let emulator_port = free_port();
        let chaos = match seed {
            None => None,
            Some(seed) => {
                let config = ChaosConfig {
                    seed,
                    port: 0,
                    emulator_port,
                    rekognition_port: Some(9),
                };
                Some(Chaos::start(config).await.unwrap())
            }
        };
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: dir.path(),
            port: emulator_port,
            rekognition_port: Some(9),
            region: REGION,
            account_id: "000000000000",
            chaos: chaos.as_ref(),
        })
        .await
        .unwrap();
        let front_door = FrontDoor::start(0, emulator.endpoint(), emulator.keys())
            .await
            .unwrap();
        let stage = Self {
            python: tools.python(),
            emulator,
            emulator_port,
            front_door,
            dir,
            chaos,
        };
        assert_eq!(stage.get("/").0, 503, "nothing is deployed yet");
        stage.front_door.set_api(stage.deploy_probe());
        stage
    }

    fn deploy_probe(&self) -> ApiId {
        ApiId::from(self.output_of("deploy.py").trim().to_owned())
    }

    /// What a script of the folder `probe` prints when it is run as root.
    fn output_of(&self, script: &str) -> String {
        let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe");
        let output = Command::new(&self.python)
            .arg(probe.join(script))
            .env_clear()
            // Not into the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_ENDPOINT_URL", self.emulator.endpoint())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &self.emulator.keys().access_key_id)
            .env(
                "AWS_SECRET_ACCESS_KEY",
                &self.emulator.keys().secret_access_key,
            )
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn get(&self, target: &str) -> (u16, String) {
        self.send(
            &format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n"),
            b"",
        )
    }

    fn probe(&self, target: &str) -> Value {
        let (status, body) = self.get(target);
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn send(&self, head: &str, body: &[u8]) -> (u16, String) {
        let url = self.front_door.url();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{head}connection: close\r\n\r\n").unwrap();
        // The server may answer, and close, before it has read everything.
        let _ = stream.write_all(body);
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

fn pid(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

/// Whether the process has ended; it may still wait for its parent to notice.
fn has_ended(pid: Pid) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.as_raw_nonzero().to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    state.trim().is_empty() || state.starts_with('Z')
}

fn assert_nothing_is_left(processes: &[Pid], port: u16, dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    // Another test's connection may have the port by now, so it need not be free: nobody may answer.
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    while !processes.iter().copied().all(has_ended) || answers() {
        assert!(
            Instant::now() < deadline,
            "{processes:?} still run, or port {port} still answers"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!dir.join(format!("emulator-{port}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_see_what_clients_send() {
    let stage = Stage::start().await;
    let name = |target: &str| {
        let seen = stage.probe(target);
        assert_eq!(
            seen["event"]["rawPath"]
                .as_str()
                .unwrap()
                .trim_start_matches('/'),
            seen["event"]["pathParameters"]["name"]
        );
        seen["event"]["pathParameters"]["name"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (target, expected) in [
        ("/plain.jpg", "plain.jpg"),
        ("/a%20b.jpg", "a b.jpg"),
        ("/a+b.jpg", "a+b.jpg"),
        ("/a%2Bb.jpg", "a+b.jpg"),
        ("/dir/a.jpg", "dir/a.jpg"),
        ("/dir%2Fa.jpg", "dir/a.jpg"),
        ("/dir//a.jpg", "dir//a.jpg"),
        ("/dir/", "dir/"),
        ("/%F0%9F%98%80.jpg", "😀.jpg"),
        ("/100%2525.jpg", "100%.jpg"),
        ("/100%252541.jpg", "100%41.jpg"),
        ("/a%253Fb.jpg", "a?b.jpg"),
        ("/a%23b%3Bc%3D%26d.jpg", "a#b;c=&d.jpg"),
        ("/new%0Aline.jpg", "new\nline.jpg"),
        ("/%0D%0A/%0A", "\r\n/\n"),
        (
            "/a%09b%7F%01%C2%85%E2%80%A8.jpg",
            "a\tb\u{7f}\u{1}\u{85}\u{2028}.jpg",
        ),
        ("/trailing%20", "trailing "),
        ("/@connections/a.jpg", "@connections/a.jpg"),
        ("/%40connections/a/b.jpg", "@connections/a/b.jpg"),
        ("/a/@connections/b.jpg", "a/@connections/b.jpg"),
        ("/café.jpg", "café.jpg"),
        // The route is found as if there were one slash.
        ("//a.jpg", "a.jpg"),
        ("/%2Fa.jpg", "a.jpg"),
    ] {
        assert_eq!(name(target), expected, "{target}");
    }
    assert_eq!(stage.get("/100%25.jpg").0, 400);

    let root = stage.probe("/?label=Dog%20house&startswith=a%2Bb+c&empty=");
    assert_eq!(root["event"]["rawPath"], "/");
    assert_eq!(
        root["event"]["rawQueryString"],
        "label=Dog%20house&startswith=a%2Bb+c&empty="
    );
    let unencoded = stage.probe("/?startswith=café&label=日本");
    assert_eq!(
        unencoded["event"]["queryStringParameters"],
        serde_json::json!({"startswith": "café", "label": "日本"})
    );
    let query = &root["event"]["queryStringParameters"];
    assert_eq!(query["label"], "Dog house");
    assert_eq!(query["startswith"], "a+b c");
    assert_eq!(query["empty"], "");
    assert_eq!(
        stage.probe("/")["event"]["queryStringParameters"],
        Value::Null
    );

    let (status, body) = stage.send(
        "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n",
        b"hello",
    );
    assert_eq!(status, 200);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["event"]["body"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_refuses_what_api_gateway_refuses() {
    let stage = Stage::start().await;
    let not_found = (404, r#"{"message":"Not Found"}"#.to_owned());
    assert_eq!(
        stage.send("DELETE /x HTTP/1.1\r\nhost: localhost\r\n", b""),
        not_found
    );

    let failed = (500, r#"{"message":"Internal Server Error"}"#.to_owned());
    assert_eq!(
        stage.send("PUT /x HTTP/1.1\r\nhost: localhost\r\n", b""),
        failed
    );

    let foreign = stage.send("GET / HTTP/1.1\r\nhost: evil.example\r\n", b"");
    assert_eq!(foreign.0, 403);
    assert!(
        foreign.1.contains("requests for 127.0.0.1"),
        "{}",
        foreign.1
    );

    // The probe's API has no CORS configuration, and no route for OPTIONS.
    let preflight =
        "OPTIONS /x HTTP/1.1\r\nhost: localhost\r\naccess-control-request-method: GET\r\n";
    assert_eq!(stage.send(preflight, b""), not_found);

    let long = "x".repeat(10_240);
    let too_large = r#"{"message":"Request Header Fields Too Large"}"#.to_owned();
    assert_eq!(stage.get(&format!("/{long}")), (431, too_large.clone()));
    let head = format!("GET /x HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n");
    assert_eq!(stage.send(&head, b""), (431, too_large));
    assert_eq!(stage.get(&format!("/{}", "x".repeat(10_000))).0, 200);

    // A function cannot be invoked with more than 6 MB, nor can it answer more.
    let body = vec![b'x'; 6 * 1024 * 1024];
    let head = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n";
    let length = |bytes: usize| format!("{head}content-length: {bytes}\r\n");
    assert_eq!(
        stage.send(&length(body.len()), &body),
        (413, r#"{"message":"Request Entity Too Large"}"#.to_owned())
    );
    let almost = &body[..body.len() - 64 * 1024];
    // The probe's answer has the request in it, and its environment.
    assert_eq!(stage.send(&length(almost.len()), almost).0, 200);

    // The answer has the request in it, and each quotation mark is escaped twice.
    let quotes = vec![b'"'; 2 * 1024 * 1024];
    assert_eq!(stage.send(&length(quotes.len()), &quotes), failed);

    let too_much = 11 * 1024 * 1024;
    let head = format!("POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: {too_much}\r\n");
    let refused = stage.send(&head, &vec![b'x'; too_much]);
    assert_eq!(
        refused,
        (413, r#"{"message":"Request Entity Too Large"}"#.to_owned())
    );

    let Stage {
        emulator,
        front_door,
        dir,
        ..
    } = stage;
    emulator.shutdown().await;
    let url = front_door.url();
    let mut stream =
        TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with(r#"{"message":"Service Unavailable"}"#),
        "{answer}"
    );
    front_door.shutdown().await;
    drop(dir);
}

/// "Configure CORS for HTTP APIs in API Gateway" in the developer guide: API Gateway answers preflight requests, and adds
/// the headers for origins that the configuration allows.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_answers_preflight_requests_of_every_origin() {
    let stage = Stage::start().await;
    stage.output_of("allow_origin.py");
    let url = stage.front_door.url();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    for (origin, is_allowed) in [("http://allowed.test", true), ("http://other.test", false)] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "OPTIONS /x HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\naccess-control-request-method: GET\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        let allows = answer.contains("access-control-allow-origin: http://allowed.test");
        assert_eq!(allows, is_allowed, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_have_no_more_rights_than_their_role() {
    let stage = Stage::start().await;
    let seen = stage.probe("/?list-buckets");
    assert_eq!(seen["list_buckets"], "AccessDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_decides_for_the_local_rekognition() {
    let stage = Stage::start().await;
    let answers = stage.output_of("authorize.py");
    let answers: Value = serde_json::from_str(&answers).unwrap();
    let expected = serde_json::json!({
        "root": "allowed",
        "granted": "allowed",
        "not granted": "AccessDeniedException",
        "object": "allowed",
        "object with a line feed": "allowed",
        "another object": "AccessDeniedException",
        "object that the bucket denies": "AccessDeniedException",
        "object that the bucket allows": "allowed",
        "object that the bucket allows another": "AccessDeniedException",
        "pass": "allowed",
        "pass another role": "AccessDeniedException",
        "pass a role with a line feed behind it": "AccessDeniedException",
        "pass to another service": "AccessDeniedException",
        "wrong secret": "InvalidSignatureException",
        "wrong token": "UnrecognizedClientException",
        "unknown key": "UnrecognizedClientException",
        "assume": "allowed",
        "assume for another account": "AccessDenied",
        "assume another service's role": "AccessDenied",
    });
    assert_eq!(answers, expected);
}

/// The limits and messages are those of "Lambda quotas" in Lambda's developer guide, and of Lambda.
#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_functions_are_limited() {
    let stage = Stage::start().await;
    let outcomes: Value = serde_json::from_str(&stage.output_of("limits.py")).unwrap();
    let too_large = |bytes: u64, kind: &str, limit: u64| {
        format!(
            "413 RequestEntityTooLargeException: {bytes} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        )
    };
    let expected = serde_json::json!({
        "6 MB": "answered",
        "more than 6 MB": too_large(6_291_457, "RequestResponse", 6_291_456),
        "1 MB, asynchronous": "accepted",
        "more than 1 MB, asynchronous": too_large(1_048_577, "Event", 1_048_576),
        "answer of 6 MB": "answered",
        "answer of more than 6 MB": "Unhandled Function.ResponseSizeTooLarge: Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    });
    assert_eq!(outcomes, expected);
}

/// The fields are those of "Capturing records of Lambda asynchronous invocations" in Lambda's
/// developer guide.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_event_is_recorded_as_on_aws_after_its_retries() {
    let stage = Stage::start().await;
    let records: Value = serde_json::from_str(&stage.output_of("asynchronous.py")).unwrap();
    let check = |record: &Value, function: &str, attempts: u32, event: &Value| {
        let request_id = &record["requestContext"]["requestId"];
        let expected = serde_json::json!({
            "version": "1.0",
            "timestamp": record["timestamp"],
            "requestContext": {
                "requestId": request_id,
                "functionArn":
                    format!("arn:aws:lambda:{REGION}:000000000000:function:{function}:$LATEST"),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": attempts,
            },
            "requestPayload": event,
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "responsePayload": {
                "errorType": "Failed",
                "errorMessage":
                    format!("{} at attempt {attempts}", request_id.as_str().unwrap()),
            },
        });
        assert_eq!(record, &expected);
        let timestamp = record["timestamp"].as_str().unwrap();
        assert_eq!(
            (&timestamp[4..5], &timestamp[10..11], &timestamp[19..20]),
            ("-", "T", "."),
            "{timestamp}"
        );
        assert_eq!((timestamp.len(), &timestamp[23..]), (24, "Z"));
    };
    // The first in the queue: the function that may not send there left nothing.
    let by_hand = serde_json::json!({"by": "hand"});
    check(&records["by hand"], "by-hand", 1, &by_hand);

    let of_topic = &records["of topic"];
    let event = &of_topic["requestPayload"];
    assert_eq!(event["Records"][0]["EventSource"], "aws:sns");
    assert_eq!(event["Records"][0]["Sns"]["Message"], "hello");
    check(of_topic, "of-topic", 3, event);

    // Throttling is no attempt.
    for record in records["one at a time"].as_array().unwrap() {
        let event = serde_json::json!({"seconds": 0.5});
        check(record, "one-at-a-time", 1, &event);
    }
}

/// Which messages the functions began with, and ended, by request ID.
struct Told {
    begun: Vec<(String, u32)>,
    ended: Vec<(String, u32)>,
}

fn told(file: &Path) -> Told {
    let text = std::fs::read_to_string(file).unwrap();
    let with = |kind: &str| {
        text.lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words[0] == kind)
            .map(|words| (words[2].to_owned(), words[1].parse().unwrap()))
            .collect()
    };
    Told {
        begun: with("begin"),
        ended: with("end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_events_come_twice_late_and_in_disorder_and_none_is_lost() {
    // The decisions for a hundred events follow from it: some are delivered twice, and
    // some functions are killed.
    let stage = Stage::start_with(Some("16".parse().unwrap())).await;
    let chaos = stage.chaos.as_ref().unwrap();
    let file = PathBuf::from(stage.output_of("publish.py").trim());

    let figure = |kind| chaos.figures().faults[&kind];
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        let told = told(&file);
        let twice = figure(FaultKind::EventTwice);
        let expected = 100 + twice.injected;
        if twice.opportunities == 100 && told.ended.len() as u64 >= expected {
            break told;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {expected} deliveries ended\n{}",
            told.ended.len(),
            chaos.figures()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    std::fs::remove_file(&file).unwrap();

    let mut messages: Vec<_> = told.ended.iter().map(|(_, message)| *message).collect();
    assert!(!messages.is_sorted());
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages, (0..100).collect::<Vec<_>>());

    // Each delivery is a request. It ends once, however often it was begun.
    let mut requests: Vec<_> = told.ended.iter().map(|(request, _)| request).collect();
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests.len(), told.ended.len());
    assert!(figure(FaultKind::EventTwice).injected > 0);
    assert!(figure(FaultKind::EventLate).injected > 0);
    let killed = figure(FaultKind::FunctionKilled).injected;
    let begun_again = told.begun.len() - told.ended.len();
    assert!(
        (1..=killed).contains(&(begun_again as u64)),
        "{begun_again} of {killed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_records_of_a_stream_come_again_after_later_ones_and_none_is_lost() {
    let stage = Stage::start_with(Some("24".parse().unwrap())).await;
    let chaos = stage.chaos.as_ref().unwrap();
    let poller = StreamPoller::start(StreamPollerConfig {
        endpoint: stage.emulator.endpoint(),
        keys: stage.emulator.keys(),
        region: REGION,
        chaos: Some(chaos),
    });
    let file = PathBuf::from(stage.output_of("put_items.py").trim());

    let deadline = Instant::now() + Duration::from_secs(60);
    let ended = loop {
        let ended: Vec<u32> = told(&file)
            .ended
            .into_iter()
            .map(|(_, item)| item)
            .collect();
        let different: HashSet<_> = ended.iter().collect();
        if different.len() == 100 && !ended.is_sorted() {
            break ended;
        }
        assert!(
            Instant::now() < deadline,
            "{} of 100 items ended: {ended:?}\n{}",
            different.len(),
            chaos.figures()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    std::fs::remove_file(&file).unwrap();
    poller.shutdown().await;

    // Only second deliveries are out of order.
    let mut known = HashSet::new();
    let first: Vec<_> = ended
        .into_iter()
        .filter(|item| known.insert(*item))
        .collect();
    assert_eq!(first, (0..100).collect::<Vec<_>>());
    for kind in [FaultKind::BatchTwice, FaultKind::BatchLate] {
        assert!(chaos.figures().faults[&kind].injected > 0, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_chaos_functions_call_through_the_proxies_as_who_they_are() {
    let stage = Stage::start_with(Some("1".parse().unwrap())).await;
    let chaos = stage.chaos.as_ref().unwrap();
    chaos.stop();
    let seen = stage.probe("/?list-buckets");
    assert_eq!(seen["list_buckets"], "AccessDenied");
    let environment = seen["environment"].as_object().unwrap();
    assert!(!environment.contains_key("CHAOS_URL"));
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REKOGNITION"] {
        let url = environment[variable].as_str().unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        assert_ne!(url, stage.emulator.endpoint());
        assert_ne!(url, "http://127.0.0.1:9");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poller_is_told_all_of_a_mapping() {
    let stage = Stage::start().await;
    let listed: Value = serde_json::from_str(&stage.output_of("mappings.py")).unwrap();
    let expected = serde_json::json!({
        "queue": ["Enabled", 10, null],
        "stream": ["Enabled", 100, null],
        "set": ["Disabled", 7, 30],
        "created": ["Disabled", 100, 30],
        "updated": ["Enabled", 100, 60],
    });
    assert_eq!(listed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_log_is_lost() {
    let stage = Stage::start().await;
    assert_eq!(stage.output_of("lines.py").trim(), "True");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_listens_on_loopback_only() {
    let stage = Stage::start().await;
    let connect = |host: [u8; 4]| {
        let address = SocketAddr::from((host, stage.emulator_port));
        TcpStream::connect_timeout(&address, Duration::from_secs(1))
    };
    connect([127, 0, 0, 1]).unwrap();
    // Reaches a server that listens on all addresses, but not one on 127.0.0.1.
    connect([127, 0, 0, 2]).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_emulator_on_the_same_port_leaves_the_first_alone() {
    let stage = Stage::start().await;
    let error = Emulator::start(EmulatorConfig {
        python: Path::new("python3"),
        dir: stage.dir.path(),
        port: stage.emulator_port,
        rekognition_port: None,
        region: REGION,
        account_id: "000000000000",
        chaos: None,
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::PortsTaken(_)), "{error}");
    stage.probe("/");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_and_drop_leave_nothing() {
    for drop_only in [false, true] {
        let stage = Stage::start().await;
        let seen = stage.probe("/");
        let processes = [pid(&seen["function_pid"]), pid(&seen["emulator_pid"])];
        let Stage {
            emulator,
            emulator_port,
            dir,
            ..
        } = stage;
        if drop_only {
            drop(emulator);
        } else {
            emulator.shutdown().await;
        }
        assert_nothing_is_left(&processes, emulator_port, dir.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_end_with_the_emulator() {
    let mut stage = Stage::start().await;
    let seen = stage.probe("/");
    let (function, emulator) = (pid(&seen["function_pid"]), pid(&seen["emulator_pid"]));

    kill_process(emulator, Signal::KILL).unwrap();
    let error = stage.emulator.ended().await;
    assert!(error.to_string().contains("signal: 9"), "{error}");
    assert!(
        error
            .hint()
            .contains(&format!("emulator-{}.log", stage.emulator_port)),
        "{}",
        error.hint()
    );
    let Stage {
        emulator,
        emulator_port,
        dir,
        ..
    } = stage;
    drop(emulator);
    assert_nothing_is_left(&[function], emulator_port, dir.path());
}

#[test]
fn everything_ends_with_its_parent() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "parent", "--ignored", "--nocapture"])
            .env("AWS_PROFILE", "the-users-own")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(parent.stdout.take().unwrap());
        let line = output
            .lines()
            .map(Result::unwrap)
            .find(|line| line.starts_with('{'))
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();

        let environment = ready["seen"]["environment"].as_object().unwrap();
        assert!(!environment.contains_key("AWS_PROFILE"));
        assert!(!environment.contains_key("HTTP_PROXY"));
        assert_eq!(
            environment["AWS_ENDPOINT_URL_REKOGNITION"],
            "http://127.0.0.1:9"
        );

        let processes = [
            pid(&ready["seen"]["function_pid"]),
            pid(&ready["seen"]["emulator_pid"]),
        ];
        assert!(!processes.iter().copied().any(has_ended));
        kill_process(Pid::from_child(&parent), signal).unwrap();
        parent.wait().unwrap();
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        let dir = PathBuf::from(ready["dir"].as_str().unwrap());
        assert_nothing_is_left(&processes, port, &dir);
        // The parent had no chance to remove its own temporary folder.
        std::fs::remove_dir_all(dir).unwrap();
    }
}

/// What `everything_ends_with_its_parent` starts and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs until it is killed"]
async fn parent() {
    let stage = Stage::start().await;
    let ready = serde_json::json!({
        "seen": stage.probe("/"),
        "port": stage.emulator_port,
        "dir": stage.dir.path(),
    });
    println!("\n{ready}");
    std::future::pending::<()>().await;
}
