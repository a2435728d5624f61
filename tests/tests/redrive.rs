//! However `redrive` ends, no event is lost, and none is hidden for long.
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use acceptance::fake_aws::{self, Answer, Call, xtask_at};
use acceptance::{Stage, both, eventually, signal, xtask_program};
use serde_json::{Value, json};

static PROGRAM: LazyLock<std::path::PathBuf> = LazyLock::new(xtask_program);

const FUNCTION: &str = "ship-order";

/// A message that Lambda wrote about an event of so many bytes and more.
fn message(number: usize, bytes: usize) -> String {
    json!({
        "timestamp": "2026-11-20T09:46:42.06Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": {"number": number, "text": "x".repeat(bytes)},
    })
    .to_string()
}

/// An SQS queue by the rules of its visibility timeout.
#[derive(Default)]
struct Queue {
    messages: Vec<Message>,
    receives: usize,
}

struct Message {
    id: String,
    body: String,
    /// What SQS tells beside the body.
    attributes: Value,
    receipt_handle: String,
    visible_at: Instant,
}

impl Queue {
    fn of(count: usize, bytes: usize) -> Arc<Mutex<Self>> {
        let messages = (0..count).map(|number| Message {
            id: format!("message-{number}"),
            body: message(number, bytes),
            attributes: json!({}),
            receipt_handle: String::new(),
            visible_at: Instant::now(),
        });
        Arc::new(Mutex::new(Self {
            messages: messages.collect(),
            receives: 0,
        }))
    }

    /// How many messages the next reader gets, and how many are hidden.
    fn depth(&self) -> (usize, usize) {
        let now = Instant::now();
        let waiting = self
            .messages
            .iter()
            .filter(|message| message.visible_at <= now)
            .count();
        (waiting, self.messages.len() - waiting)
    }

    fn receive(&mut self, visibility_timeout: u64) -> Value {
        let now = Instant::now();
        self.receives += 1;
        let receive = self.receives;
        let visible = self
            .messages
            .iter_mut()
            .filter(|message| message.visible_at <= now)
            .take(10);
        let page: Vec<Value> = visible
            .map(|message| {
                message.visible_at = now + Duration::from_secs(visibility_timeout);
                message.receipt_handle = format!("{}-{receive}", message.id);
                json!({
                    "MessageId": message.id,
                    "ReceiptHandle": message.receipt_handle,
                    "Body": message.body,
                    "Attributes": message.attributes,
                })
            })
            .collect();
        json!({"Messages": page})
    }

    fn answer(&mut self, call: &Call) -> Option<Value> {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        Some(match call.operation.as_str() {
            "ReceiveMessage" => self.receive(body["VisibilityTimeout"].as_u64().unwrap()),
            "DeleteMessage" => {
                self.messages
                    .retain(|message| body["ReceiptHandle"] != message.receipt_handle);
                json!({})
            }
            "ChangeMessageVisibilityBatch" => {
                for entry in body["Entries"].as_array().unwrap() {
                    let seconds = entry["VisibilityTimeout"].as_u64().unwrap();
                    let mut messages = self.messages.iter_mut();
                    let changed =
                        messages.find(|message| entry["ReceiptHandle"] == message.receipt_handle);
                    if let Some(message) = changed {
                        message.visible_at = Instant::now() + Duration::from_secs(seconds);
                    }
                }
                json!({"Successful": [], "Failed": []})
            }
            "GetQueueAttributes" => {
                let (waiting, hidden) = self.depth();
                json!({"Attributes": {
                    "ApproximateNumberOfMessages": waiting.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
                }})
            }
            _ => return None,
        })
    }
}

/// The queue as the failure queue of a function, which answers as it is told.
fn aws(
    queue: &Arc<Mutex<Queue>>,
    function: impl Fn(&Call) -> Answer + Send + Sync + 'static,
) -> String {
    let queue = Arc::clone(queue);
    let output = ("ShipOrderFailureQueueUrl", "https://sqs.example/1/failures");
    fake_aws::start(move |call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        "DescribeStacks" => fake_aws::stack("shop-dev", &[output]),
        operation if operation.contains("/invocations") => function(call),
        _ => {
            let answer = queue.lock().unwrap().answer(call);
            Answer::new(200, answer.unwrap().to_string())
        }
    })
}

fn handles(_: &Call) -> Answer {
    Answer::new(200, "null")
}

fn redrive(endpoint_url: &str, arguments: &[&str]) -> Command {
    let arguments = [&["redrive", FUNCTION], arguments].concat();
    let mut command = xtask_at(&PROGRAM, endpoint_url, &arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(command: &mut Command) -> Output {
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn what_is_handled_leaves_the_queue_and_what_fails_stays() {
    let queue = Queue::of(25, 0);
    let aws = aws(&queue, |call: &Call| {
        let event: Value = serde_json::from_str(&call.body).unwrap();
        if event["number"] == 7 {
            let error = r#"{"errorType": "Poison", "errorMessage": "no"}"#;
            return Answer::new(200, error).header("X-Amz-Function-Error", "Unhandled");
        }
        handles(call)
    });
    let first = output(&mut redrive(&aws, &[]));
    assert_eq!(first.status.code(), Some(1), "{}", both(&first));
    assert!(both(&first).contains("24 handled, 0 dropped, 1 still in the queue"));
    assert_eq!(queue.lock().unwrap().depth(), (1, 0));

    let dropped = output(&mut redrive(&aws, &["--drop", "--yes"]));
    assert!(dropped.status.success(), "{}", both(&dropped));
    let empty = output(&mut redrive(&aws, &[]));
    assert!(empty.status.success(), "{}", both(&empty));
    assert!(both(&empty).contains("the failure queue of ship-order is empty"));
}

#[test]
fn the_messages_of_a_fifo_queue_are_handled_in_the_order_of_their_groups() {
    let queue = Queue::of(5, 0);
    let groups = ["x", "x", "y", "x", "y"];
    for (message, group) in queue.lock().unwrap().messages.iter_mut().zip(groups) {
        message.attributes = json!({
            "DeadLetterQueueSourceArn": "arn:aws:sqs:eu-west-1:123456789012:claims.fifo",
            "MessageGroupId": group,
            "SentTimestamp": "1767605400000",
        });
    }
    let aws = aws(&queue, |call: &Call| {
        let event: Value = serde_json::from_str(&call.body).unwrap();
        let record = &event["Records"][0];
        let failures = match record["messageId"].as_str().unwrap() {
            "message-1" => json!([{"itemIdentifier": "message-1"}]),
            _ => json!([]),
        };
        Answer::new(200, json!({"batchItemFailures": failures}).to_string())
    });
    let ended = output(&mut redrive(&aws, &[]));
    let told = both(&ended);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(
        told.contains("3 handled, 0 dropped, 2 still in the queue"),
        "{told}"
    );
    assert!(
        told.contains("sent 2026-01-05T09:30:00Z  maxReceiveCount"),
        "{told}"
    );
    assert!(
        told.contains("a message of its group failed before it"),
        "{told}"
    );
    assert!(
        told.contains("there may be more behind those that stay"),
        "{told}"
    );
    let queue = queue.lock().unwrap();
    let left: Vec<&str> = queue
        .messages
        .iter()
        .map(|message| message.id.as_str())
        .collect();
    assert_eq!(left, ["message-1", "message-3"]);
}

#[test]
fn a_signal_puts_back_what_is_not_handled() {
    for (name, exit_code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let queue = Queue::of(25, 0);
        let invocations = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&invocations);
        let aws = aws(&queue, move |call: &Call| {
            if counted.fetch_add(1, Ordering::SeqCst) == 2 {
                // The third event takes its time.
                std::thread::sleep(Duration::from_secs(60));
            }
            handles(call)
        });
        let child = redrive(&aws, &[]).spawn().unwrap();
        eventually("the third event", || {
            (invocations.load(Ordering::SeqCst) == 3).then_some(())
        });
        signal(name, child.id());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(exit_code), "{}", both(&ended));
        assert!(
            both(&ended).contains("Stopped 2 handled, 0 dropped"),
            "{}",
            both(&ended)
        );
        assert_eq!(queue.lock().unwrap().depth(), (23, 0), "SIG{name}");
    }
}

#[test]
fn a_signal_is_heard_while_nobody_reads() {
    let queue = Queue::of(10, 100_000);
    let aws = aws(&queue, handles);
    let child = redrive(&aws, &["--dry-run"]).spawn().unwrap();
    eventually("the events to be read", || {
        (queue.lock().unwrap().depth() == (0, 10)).then_some(())
    });
    // The pipe is full by now, or will be soon: nobody reads it.
    std::thread::sleep(Duration::from_millis(300));
    signal("INT", child.id());
    assert_eq!(exit_code(child), Some(130));
    assert_eq!(queue.lock().unwrap().depth(), (10, 0));
}

/// Waits for the end without reading anything.
fn exit_code(mut child: Child) -> Option<i32> {
    eventually("the end", || child.try_wait().unwrap()).code()
}

#[test]
fn what_could_not_be_written_is_not_dropped() {
    for format in [&["--drop", "--yes"][..], &["--drop", "--yes", "--json"]] {
        let queue = Queue::of(12, 0);
        let aws = aws(&queue, handles);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = output(redrive(&aws, format).stdout(full));
        assert_eq!(ended.status.code(), Some(1), "{}", both(&ended));
        // The other line says which endpoint is not AWS's.
        assert_eq!(both(&ended).lines().count(), 2, "{}", both(&ended));
        assert_eq!(queue.lock().unwrap().depth(), (12, 0));

        let (theirs, ours) = UnixStream::pair().unwrap();
        drop(theirs);
        let ended = output(redrive(&aws, format).stdout(OwnedFd::from(ours)));
        assert!(ended.status.success(), "{}", both(&ended));
        assert_eq!(both(&ended).lines().count(), 1, "{}", both(&ended));
        assert_eq!(queue.lock().unwrap().depth(), (12, 0));
    }
}

#[test]
fn an_error_puts_everything_back() {
    let queue = Queue::of(12, 0);
    let aws = aws(&queue, |_: &Call| {
        Answer::new(403, r#"{"message": "no"}"#).header("X-Amzn-ErrorType", "AccessDeniedException")
    });
    let ended = output(&mut redrive(&aws, &[]));
    assert_eq!(ended.status.code(), Some(1), "{}", both(&ended));
    assert_eq!(queue.lock().unwrap().depth(), (12, 0));
}

#[test]
fn what_another_reader_holds_is_not_called_empty() {
    let queue = Queue::of(3, 0);
    queue.lock().unwrap().receive(60);
    let aws = aws(&queue, handles);
    for (arguments, exit_code) in [(&[][..], 1), (&["--dry-run"], 0)] {
        let ended = output(&mut redrive(&aws, arguments));
        let told = both(&ended);
        assert_eq!(ended.status.code(), Some(exit_code), "{told}");
        assert!(
            told.contains("3 events in the failure queue of ship-order are hidden: another `redrive` holds them")
                && told.contains("again within 30 seconds"),
            "{told}"
        );
        assert!(!told.contains("empty"), "{told}");
    }
}

#[test]
fn a_long_walk_keeps_its_events_hidden_and_meets_none_twice() {
    let queue = Queue::of(4, 0);
    let aws = aws(&queue, |call: &Call| {
        // Together, longer than SQS hides a message.
        std::thread::sleep(Duration::from_secs(9));
        let error = json!({"errorType": "Poison", "errorMessage": call.body});
        Answer::new(200, error.to_string()).header("X-Amz-Function-Error", "Unhandled")
    });
    let ended = output(&mut redrive(&aws, &[]));
    assert!(
        both(&ended).contains("0 handled, 0 dropped, 4 still in the queue"),
        "{}",
        both(&ended)
    );
    assert_eq!(queue.lock().unwrap().depth(), (4, 0));
    let receives = queue.lock().unwrap().receives;
    assert_eq!(receives, 2, "a page, and an empty one");
}

/// On the local stage, with its SQS.
#[test]
fn killed_or_interrupted_on_a_stage_it_loses_nothing_and_hides_nothing_in_silence() {
    const EVENTS: usize = 20;

    let stage = Stage::start();
    let info: Value = serde_json::from_str(&stage.xtask_ok(&["info", "--json"])).unwrap();
    let queues = info["failure_queues"].as_array().unwrap();
    let queue = queues
        .iter()
        .find(|queue| queue["function"] == FUNCTION)
        .unwrap();
    let url = queue["url"].as_str().unwrap();
    for number in 0..EVENTS {
        stage.aws_ok(&[
            "sqs",
            "send-message",
            "--queue-url",
            url,
            "--message-body",
            &message(number, 50_000),
        ]);
    }
    let depth = || {
        let info: Value = serde_json::from_str(&stage.xtask_ok(&["info", "--json"])).unwrap();
        let queues = info["failure_queues"].as_array().unwrap().clone();
        let mut queues = queues.into_iter();
        let queue = queues.find(|queue| queue["function"] == FUNCTION).unwrap();
        (
            queue["events"].as_u64().unwrap(),
            queue["hidden_events"].as_u64().unwrap(),
        )
    };
    // Nobody reads what it prints, so it stands still in the middle.
    let stuck = || {
        let child = stage
            .xtask(&["redrive", FUNCTION, "--dry-run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("a page in its hands", || (depth().1 > 0).then_some(()));
        child
    };

    let child = stuck();
    signal("INT", child.id());
    assert_eq!(exit_code(child), Some(130));
    assert_eq!(depth(), (EVENTS as u64, 0));

    let mut child = stuck();
    child.kill().unwrap();
    child.wait().unwrap();
    let (waiting, hidden) = depth();
    assert_eq!(waiting + hidden, EVENTS as u64);
    assert!(hidden > 0);
    let told = output(
        stage
            .xtask(&["info"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let told = both(&told);
    assert!(
        told.contains(&format!(
            "{hidden} events in the failure queue of {FUNCTION} are hidden"
        )),
        "{told}"
    );
    let killed = Instant::now();
    while depth() != (EVENTS as u64, 0) {
        assert!(killed.elapsed() < Duration::from_secs(60), "{:?}", depth());
        std::thread::sleep(Duration::from_millis(500));
    }

    let shown = stage.xtask_ok(&["redrive", FUNCTION, "--dry-run", "--json"]);
    assert_eq!(shown.lines().count(), EVENTS);
}
