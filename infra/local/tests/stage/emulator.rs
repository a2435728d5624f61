//! What the emulator does that MiniStack does not.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use local::{Emulator, EmulatorConfig, Error};
use serde_json::Value;

use crate::fixture::{REGION, Stage};

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

/// By "Handling errors for an SQS event source in Lambda", "Using Lambda with Amazon SQS" and "Using
/// the message group ID with Amazon SQS FIFO queues".
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_queue_are_handled_or_moved_as_on_aws() {
    let stage = Stage::start().await;
    let outcomes: Value = serde_json::from_str(&stage.output_of("queues.py")).unwrap();
    let once = ["all-done", "no-list", "nothing"];
    let twice = [
        "error",
        "failed",
        "no-answer",
        "no-failure",
        "of-no-message",
        "without-a-name",
    ];
    let mut came = [&once[..], &twice, &twice].concat();
    came.sort_unstable();
    let expected = serde_json::json!({
        // The second of a group waits for the first, which is given up. Another group does not.
        "groups": {"came": ["x1", "y1", "x1", "x2"], "failed": ["x1"]},
        "single": {"came": came, "failed": twice},
        "filling": {"came": ["0 1 2 3 4 5 6 7 8 9 10 11"], "failed": []},
        "delayed": {"came": ["soon", "late"], "failed": []},
    });
    assert_eq!(outcomes, expected);
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
async fn figures_in_a_log_are_measured_or_left_out() {
    let stage = Stage::start().await;
    let logs: Value = serde_json::from_str(&stage.output_of("reports.py")).unwrap();
    let took = "REPORT RequestId: ID\tDuration: N ms\tBilled Duration: N ms\tMemory Size: N MB";
    let memory = "\tMax Memory Used: N MB";
    let start = "\tInit Duration: N ms";
    let exited = "RequestId: ID Error: Runtime exited with error:";
    let log = |end: &str, lambda_says: &[String], figures: String| {
        let mut lines = vec![
            "START RequestId: ID Version: $LATEST".to_owned(),
            format!("one line:\u{2028}{end}"),
        ];
        lines.extend_from_slice(lambda_says);
        lines.push("END RequestId: ID".to_owned());
        lines.push(format!("{took}{figures}"));
        lines
    };
    let timed_out = "TIME ID Task timed out after N seconds".to_owned();
    let crashed = "\tStatus: error\tError Type: Runtime.ExitError";
    let expected = [
        log("answer", &[], format!("{memory}{start}")),
        log("answer", &[], memory.to_owned()),
        log(
            "error",
            &[],
            format!("{memory}\tStatus: error\tError Type: Failed"),
        ),
        log(
            "timeout",
            &[timed_out, String::new()],
            format!("{memory}\tStatus: timeout"),
        ),
        // Of a process that is gone, nobody knows how large it was.
        log(
            "exit",
            &[format!("{exited} exit status N")],
            format!("{start}{crashed}"),
        ),
        log(
            "kill",
            &[format!("{exited} signal: killed")],
            format!("{start}{crashed}"),
        ),
        log(
            "start",
            &["RequestId: ID Error: bootstrap exited during init with code N".to_owned()],
            format!("{start}\tStatus: error\tError Type: Runtime.Unknown"),
        ),
    ];
    let logs: Vec<Vec<String>> = serde_json::from_value(logs).unwrap();
    for (log, expected) in logs.iter().zip(&expected) {
        assert_eq!(log, expected);
    }
    assert_eq!(logs.len(), expected.len());
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
        debugged: None,
        state: None,
    })
    .await
    .unwrap_err();
    assert!(matches!(error, Error::PortsTaken(_)), "{error}");
    stage.probe("/");
}
