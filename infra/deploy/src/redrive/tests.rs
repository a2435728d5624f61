use super::*;
use crate::testing::{Answer, Aws};
use aws_sdk_sqs::types::MessageAttributeValue;

fn failed(body: &Value) -> FailedEvent {
    let message = Message::builder()
        .message_id("m")
        .receipt_handle("r")
        .body(body.to_string());
    FailedEvent::of_message(message.build())
}

#[test]
fn an_asynchronous_invocation_is_understood() {
    let event = failed(&json!({
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:my-function:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"ORDER_IDS": ["9e07af03"]},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorMessage": "Process exited before completing request"},
    }));
    assert_eq!(
        event.subject,
        Subject::Event(json!({"ORDER_IDS": ["9e07af03"]}))
    );
    assert_eq!(event.condition.as_deref(), Some("RetriesExhausted"));
    assert_eq!(event.attempts, Some(3));
    assert_eq!(
        event.error.map(|error| error.error_message).as_deref(),
        Some("Process exited before completing request")
    );
}

#[test]
fn an_event_that_lambda_did_not_take_is_understood() {
    let attribute = |value: &str| {
        let attribute = MessageAttributeValue::builder().data_type("String");
        attribute.string_value(value).build().unwrap()
    };
    let message = Message::builder()
        .body(r#"{"schedule": "nightly"}"#)
        .message_attributes("ERROR_CODE", attribute("AccessDeniedException"))
        .message_attributes("ERROR_MESSAGE", attribute("not authorized"))
        .message_attributes(
            "TARGET_ARN",
            attribute("arn:aws:lambda:us-east-2:123456789012:function:sweep"),
        );
    let exhausted = attribute("MaximumRetryAttempts");
    let given_up = FailedEvent::of_message(
        message
            .clone()
            .message_attributes("EXHAUSTED_RETRY_CONDITION", exhausted)
            .build(),
    );
    let event = FailedEvent::of_message(message.build());
    assert_eq!(
        event.subject,
        Subject::Event(json!({"schedule": "nightly"}))
    );
    assert_eq!(event.condition.as_deref(), Some("AccessDeniedException"));
    assert_eq!(event.attempts, Some(0));
    assert_eq!(
        event.error.map(|error| error.error_message).as_deref(),
        Some("not authorized")
    );
    assert_eq!(given_up.condition.as_deref(), Some("MaximumRetryAttempts"));
}

#[test]
fn a_message_of_a_queue_is_shown_as_lambda_shows_it() {
    let attribute = MessageAttributeValue::builder().data_type("Binary");
    let attribute = attribute.binary_value(aws_sdk_sqs::primitives::Blob::new("hello"));
    let source = "arn:aws:sqs:us-east-2:123456789012:parcels";
    let message = Message::builder()
        .message_id("m")
        .receipt_handle("r")
        // Not for Lambda's words, although it looks like them.
        .body(r#"{"requestContext": {}, "requestPayload": 1}"#)
        .md5_of_body("5")
        .attributes(MessageSystemAttributeName::DeadLetterQueueSourceArn, source)
        .attributes(MessageSystemAttributeName::SentTimestamp, "1767605400000")
        .message_attributes("greeting", attribute.build().unwrap());
    let event = FailedEvent::of_message(message.build());
    assert_eq!(event.message_id, "m");
    assert_eq!(event.condition.as_deref(), Some("maxReceiveCount"));
    assert_eq!(event.sent_at.as_deref(), Some("2026-01-05T09:30:00Z"));
    assert_eq!(
        event.subject,
        Subject::Message(json!({
            "messageId": "m",
            "receiptHandle": "r",
            "body": r#"{"requestContext": {}, "requestPayload": 1}"#,
            "attributes": {"DeadLetterQueueSourceArn": source, "SentTimestamp": "1767605400000"},
            "messageAttributes": {"greeting": {
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
                "binaryValue": "aGVsbG8=",
            }},
            "md5OfBody": "5",
            "eventSource": "aws:sqs",
            "eventSourceARN": source,
            "awsRegion": "us-east-2",
        }))
    );
}

#[test]
fn a_batch_of_a_stream_is_understood() {
    let arn =
        "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388";
    let event = failed(&json!({
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "2019-11-14T00:13:49.717Z",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001573689847184-864758bb",
            "startSequenceNumber": "800000000003126276362",
            "endSequenceNumber": "800000000003126276363",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z",
            "batchSize": 2,
            "streamArn": arn,
        },
    }));
    assert_eq!(
        event.subject,
        Subject::Records(StreamBatch {
            stream_arn: arn.to_owned(),
            shard_id: "shardId-00000001573689847184-864758bb".to_owned(),
            start_sequence_number: "800000000003126276362".to_owned(),
            end_sequence_number: "800000000003126276363".to_owned(),
            batch_size: 2,
        })
    );
    assert_eq!(event.failed_at.as_deref(), Some("2019-11-14T00:13:49.717Z"));
    assert_eq!(event.error, None);
}

#[test]
fn what_lambda_did_not_write_is_kept_as_it_is() {
    for body in [json!("hello"), json!({"requestContext": {}}), json!({})] {
        assert_eq!(failed(&body).subject, Subject::Unknown(body.to_string()));
    }
}

#[test]
fn reported_failures_are_failures() {
    for handled in [
        r#"{"batchItemFailures":[]}"#,
        r#"{"batchItemFailures":null}"#,
        "{}",
        "null",
        "",
    ] {
        assert_eq!(outcome_of_records(handled), Redriven::Handled, "{handled}");
    }
    let failed = r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#;
    assert!(matches!(
        outcome_of_records(failed),
        Redriven::FailedAgain(_)
    ));
}

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/app-dev-failures";

/// ReceiveMessage: messages by their ids, with receipt handles of the n-th receive.
fn messages(ids: &[&str], receive: usize) -> Answer {
    let messages: Vec<Value> = ids
        .iter()
        .map(
            |id| json!({"MessageId": id, "ReceiptHandle": format!("{id}-{receive}"), "Body": "{}"}),
        )
        .collect();
    Answer::new(200, json!({"Messages": messages}).to_string())
}

/// ChangeMessageVisibilityBatch: changed, but for entries that failed by SQS's fault or not.
fn changed(failed: &[(&str, bool)]) -> Answer {
    let failed: Vec<Value> = failed
        .iter()
        .map(|(id, sender_fault)| json!({"Id": id, "SenderFault": sender_fault, "Code": "Some"}))
        .collect();
    Answer::new(200, json!({"Successful": [], "Failed": failed}).to_string())
}

/// The changes of visibility that were asked for: receipt handle and seconds.
fn changes(aws: &Aws) -> Vec<(String, i64)> {
    let calls = aws.calls("ChangeMessageVisibilityBatch");
    let entries = calls.iter().flat_map(|call| {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        body["Entries"].as_array().unwrap().clone()
    });
    let mut changes: Vec<(String, i64)> = entries
        .map(|entry| {
            (
                entry["ReceiptHandle"].as_str().unwrap().to_owned(),
                entry["VisibilityTimeout"].as_i64().unwrap(),
            )
        })
        .collect();
    changes.sort();
    changes
}

fn change(receipt_handle: &str, seconds: i64) -> (String, i64) {
    (receipt_handle.to_owned(), seconds)
}

#[tokio::test]
async fn messages_are_hidden_for_a_short_time_that_is_extended() {
    let aws = Aws::new()
        .on("ReceiveMessage", [messages(&["a", "b"], 1)])
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    assert_eq!(queue.next_page().await.unwrap().len(), 2);
    let receive: Value = serde_json::from_str(&aws.calls("ReceiveMessage")[0].body).unwrap();
    assert_eq!(receive["VisibilityTimeout"], 30);
    queue.extend().await;
    assert_eq!(changes(&aws), [change("a-1", 30), change("b-1", 30)]);
}

#[tokio::test]
async fn what_was_not_removed_is_put_back_once() {
    let aws = Aws::new()
        .on(
            "ReceiveMessage",
            [messages(&["a", "b"], 1), messages(&["c"], 2)],
        )
        .on("DeleteMessage", [Answer::new(200, "{}")])
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    let page = queue.next_page().await.unwrap();
    queue.next_page().await.unwrap();
    queue.remove(&page[0]).await.unwrap();
    queue.put_back().await.unwrap();
    assert_eq!(changes(&aws), [change("b-1", 0), change("c-2", 0)]);
    queue.put_back().await.unwrap();
    assert_eq!(changes(&aws).len(), 2);
}

#[tokio::test]
async fn messages_that_nobody_waits_for_any_more_are_put_back() {
    let aws = Aws::new()
        .on("ReceiveMessage", [messages(&["a"], 1)])
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    tokio::select! {
        biased;
        _ = queue.next_page() => panic!("the answer came too early for this test"),
        () = std::future::ready(()) => {}
    }
    queue.put_back().await.unwrap();
    assert_eq!(changes(&aws), [change("a-1", 0)]);
}

#[tokio::test]
async fn a_message_that_could_not_be_removed_is_put_back() {
    let aws = Aws::new()
        .on("ReceiveMessage", [messages(&["a"], 1)])
        .on(
            "DeleteMessage",
            [Answer::new(403, r#"{"__type":"AccessDeniedException"}"#)],
        )
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    let page = queue.next_page().await.unwrap();
    let error = queue.remove(&page[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    queue.put_back().await.unwrap();
    assert_eq!(changes(&aws), [change("a-1", 0)]);
}

#[tokio::test]
async fn a_message_that_came_again_is_known_by_its_latest_receipt() {
    let aws = Aws::new()
        .on(
            "ReceiveMessage",
            [messages(&["a", "b"], 1), messages(&["a", "b"], 2)],
        )
        .on("DeleteMessage", [Answer::new(200, "{}")])
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    let page = queue.next_page().await.unwrap();
    queue.next_page().await.unwrap();
    queue.remove(&page[0]).await.unwrap();
    let delete: Value = serde_json::from_str(&aws.calls("DeleteMessage")[0].body).unwrap();
    assert_eq!(delete["ReceiptHandle"], "a-2");
    queue.put_back().await.unwrap();
    assert_eq!(changes(&aws), [change("b-2", 0)]);
}

#[tokio::test]
async fn what_sqs_failed_to_put_back_is_tried_again() {
    let aws = Aws::new()
        .on("ReceiveMessage", [messages(&["a", "b", "c"], 1)])
        .on(
            "ChangeMessageVisibilityBatch",
            // One is back in sight or gone already, which is no failure.
            [changed(&[("0", true), ("1", false)]), changed(&[])],
        );
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    queue.next_page().await.unwrap();
    queue.put_back().await.unwrap();
    assert_eq!(
        changes(&aws),
        [
            change("a-1", 0),
            change("b-1", 0),
            change("b-1", 0),
            change("c-1", 0)
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_put_back_is_said_to_come_back_by_itself() {
    for refusal in [
        changed(&[("0", false)]),
        Answer::new(403, r#"{"__type":"AccessDeniedException","message":"no"}"#),
    ] {
        let aws = Aws::new()
            .on("ReceiveMessage", [messages(&["a"], 1)])
            .on("ChangeMessageVisibilityBatch", [refusal]);
        let queue = FailureQueueReader::new(&aws.target(), QUEUE);
        queue.next_page().await.unwrap();
        let error = queue.put_back().await.unwrap_err();
        assert_eq!(
            error.next_step(),
            Some("SQS shows them again within 30 seconds")
        );
    }
}

#[tokio::test]
async fn many_messages_are_put_back_ten_by_ten() {
    let ids: Vec<String> = (0..95).map(|number| format!("{number:02}")).collect();
    let pages: Vec<Answer> = ids
        .chunks(10)
        .map(|page| messages(&page.iter().map(String::as_str).collect::<Vec<_>>(), 1))
        .collect();
    let receives = pages.len();
    let aws = Aws::new()
        .on("ReceiveMessage", pages)
        .on("ChangeMessageVisibilityBatch", [changed(&[])]);
    let queue = FailureQueueReader::new(&aws.target(), QUEUE);
    for _ in 0..receives {
        queue.next_page().await.unwrap();
    }
    queue.put_back().await.unwrap();
    assert_eq!(aws.calls("ChangeMessageVisibilityBatch").len(), 10);
    let put_back: Vec<String> = ids.iter().map(|id| format!("{id}-1")).collect();
    assert!(
        changes(&aws)
            .into_iter()
            .eq(put_back.into_iter().map(|handle| (handle, 0)))
    );
}

#[tokio::test]
async fn what_waits_and_what_is_hidden_is_counted() {
    let counts = json!({"Attributes": {
        "ApproximateNumberOfMessages": "3",
        "ApproximateNumberOfMessagesNotVisible": "2",
    }});
    let aws = Aws::new().on("GetQueueAttributes", [Answer::new(200, counts.to_string())]);
    let depth = FailureQueueReader::new(&aws.target(), QUEUE)
        .depth()
        .await
        .unwrap();
    assert_eq!((depth.waiting, depth.hidden), (3, 2));
}
