use super::*;
use crate::testing::{Shop, complaints, resolve, resources, shop};
use QueueAction::{ReceiveMessage, SendMessage};
use serde_json::Value;

fn without_tags(resource: &Value) -> Value {
    let mut properties = resource["Properties"].clone();
    properties.as_object_mut().unwrap().remove("Tags");
    properties
}

#[test]
fn a_queue_without_a_reader_is_a_queue() {
    let Shop { app, .. } = shop();
    let resources = resources(&app, "");
    assert_eq!(
        without_tags(&resources["ParcelsQueue"]),
        json!({"MessageRetentionPeriod": 345_600, "SqsManagedSseEnabled": true})
    );
    assert_eq!(
        resources["ParcelsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Sid"],
        "TlsOnly"
    );
}

#[test]
fn a_function_handles_messages_in_batches_and_what_fails_moves_to_its_failure_queue() {
    let Shop {
        app, queue, sell, ..
    } = shop();
    sell.timeout_seconds(20).trigger(
        queue
            .retention_seconds(3600)
            .messages()
            .batch_size(50)
            .batching_window_seconds(5)
            .max_concurrency(2)
            .max_receive_count(3),
    );
    let resources = resources(&app, "");
    assert_eq!(
        without_tags(&resources["ParcelsQueue"]),
        json!({
            "MessageRetentionPeriod": 3600,
            "SqsManagedSseEnabled": true,
            "VisibilityTimeout": 125,
            "RedrivePolicy": {
                "deadLetterTargetArn": {"Fn::GetAtt": ["SellFailureQueue", "Arn"]},
                "maxReceiveCount": 3,
            },
        })
    );
    assert_eq!(
        without_tags(&resources["ParcelsQueueSellEventSourceMapping"]),
        json!({
            "EventSourceArn": {"Fn::GetAtt": ["ParcelsQueue", "Arn"]},
            "FunctionName": {"Ref": "SellFunction"},
            "BatchSize": 50,
            "MaximumBatchingWindowInSeconds": 5,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 2},
        })
    );
    assert!(resources["SellFailureQueue"]["Properties"]["FifoQueue"].is_null());
    assert!(resources["SellEventInvokeConfig"].is_null());
    let statements = &resources["SellRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    assert_eq!(
        statements["Statement"][1],
        json!({
            "Sid": "ReceiveParcelsQueueMessages",
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "Resource": {"Fn::GetAtt": ["ParcelsQueue", "Arn"]},
        })
    );
    // SQS moves the messages, not Lambda by the function's role.
    assert!(!statements.to_string().contains("sqs:SendMessage"));
}

#[test]
fn the_failure_queue_of_a_fifo_queue_is_one() {
    let Shop { app, sell, .. } = shop();
    let bills = app.fifo_queue("bills");
    sell.trigger(bills.messages());
    let resources = resources(&app, "");
    let bills = &resources["BillsQueue"]["Properties"];
    assert_eq!(bills["FifoQueue"], true);
    assert_eq!(bills["ContentBasedDeduplication"], true);
    assert_eq!(bills["VisibilityTimeout"], 180);
    assert_eq!(
        resources["SellFailureQueue"]["Properties"]["FifoQueue"],
        true
    );
    let mapping = &resources["BillsQueueSellEventSourceMapping"]["Properties"];
    assert!(mapping["MaximumBatchingWindowInSeconds"].is_null());
}

#[test]
fn a_stage_that_changes_the_timeout_changes_the_visibility_timeout() {
    let Shop {
        app, queue, sell, ..
    } = shop();
    sell.trigger(queue.messages());
    let resources = resources(&app, "timeout_seconds: 100");
    assert_eq!(
        resources["ParcelsQueue"]["Properties"]["VisibilityTimeout"],
        600
    );
}

#[test]
fn settings_are_within_limits() {
    let complaints_about = |messages: &dyn Fn(Messages) -> Messages| {
        let shop = shop();
        shop.sell.trigger(messages(shop.queue.messages()));
        complaints(&shop.app, "")
    };
    complaints_about(&|messages| {
        messages
            .batch_size(10_000)
            .batching_window_seconds(300)
            .max_concurrency(1000)
            .max_receive_count(1000)
            .visibility_timeout_seconds(43_200)
    })
    .are(&[]);
    complaints_about(&|messages| {
        messages
            .batch_size(1)
            .max_concurrency(2)
            .max_receive_count(1)
            .visibility_timeout_seconds(30)
    })
    .are(&[]);
    complaints_about(&|messages| {
        messages
            .batch_size(10_001)
            .batching_window_seconds(301)
            .max_concurrency(1001)
            .max_receive_count(1001)
            .visibility_timeout_seconds(43_201)
    })
    .are(&[
        "function `sell` on the messages of queue `parcels` has a `batch_size` of 10001; set it to 1 to 10000",
        "has a `batching_window_seconds` of 301; set it to 0 to 300",
        "has a `max_receive_count` of 1001; set it to 1 to 1000",
        "has a `max_concurrency` of 1001; set it to 2 to 1000",
        "has a `visibility_timeout_seconds` of 43201; set it to 0 to 43200",
    ]);
    complaints_about(&|messages| {
        messages
            .batch_size(0)
            .max_concurrency(1)
            .max_receive_count(0)
            .visibility_timeout_seconds(29)
    })
    .are(&[
        "has a `batch_size` of 0",
        "has a `max_receive_count` of 0",
        "has a `max_concurrency` of 1; set it to 2",
        "may take 30 s, but its messages are hidden for 29 s; raise",
    ]);
    complaints_about(&|messages| messages.batch_size(11))
        .are(&["has a `batch_size` of 11 without a `batching_window_seconds`; set"]);

    let Shop { app, sell, .. } = shop();
    let bills = app.fifo_queue("bills").retention_seconds(59);
    sell.trigger(bills.messages().batch_size(11).batching_window_seconds(1));
    complaints(&app, "").are(&[
        "queue `bills` keeps messages for 59 s; set `retention_seconds` to 60 to 1209600",
        "has a `batch_size` of 11; set it to 1 to 10",
        "has a `batching_window_seconds` of 1; set it to 0, which is all that a FIFO queue takes",
    ]);
}

#[test]
fn a_stage_may_not_let_a_function_outlast_the_visibility_timeout() {
    let Shop {
        app, queue, sell, ..
    } = shop();
    sell.trigger(queue.messages().visibility_timeout_seconds(60));
    complaints(&app, "timeout_seconds: 60").are(&[]);
    complaints(&app, "timeout_seconds: 61").are(&[
        "infra/stages.yaml:1: function `sell` on the messages of queue `parcels` may take 61 s",
    ]);
}

#[test]
fn one_function_handles_the_messages_of_a_queue() {
    let shop = shop();
    shop.sell.trigger(shop.queue.messages());
    shop.sell.trigger(shop.queue.messages());
    let also = shop.app.function("also");
    also.trigger(shop.queue.messages());
    complaints(&shop.app, "").are(&[
        "function `sell` has two triggers on the messages of queue `parcels`; remove",
        "function `also` handles the messages of queue `parcels`, as function `sell` does; each message goes to one of them",
    ]);
}

#[test]
fn a_function_of_a_fifo_queue_handles_nothing_else_that_needs_a_failure_queue() {
    let shop = shop();
    let (bills, refunds) = (shop.app.fifo_queue("bills"), shop.app.fifo_queue("refunds"));
    shop.sell
        .trigger(bills.messages())
        .trigger(refunds.messages())
        .trigger(shop.http_api.get("/"));
    complaints(&shop.app, "").are(&[]);
    shop.sell.trigger(shop.topic.published());
    let told = "handles a FIFO queue and events of topic `orders`, whose failures cannot share a failure queue; let another";
    complaints(&shop.app, "").are(&[told, told]);
    let shop = self::shop();
    let bills = shop.app.fifo_queue("bills");
    shop.sell
        .trigger(bills.messages())
        .trigger(shop.queue.messages());
    complaints(&shop.app, "").are(&["and events of queue `parcels`, whose failures"]);
}

#[test]
fn who_may_use_a_queue_knows_its_url() {
    let Shop {
        app, queue, sell, ..
    } = shop();
    let queue = queue.variable("PARCELS_QUEUE_URL");
    sell.grant(queue.allow([SendMessage, ReceiveMessage]));
    let app = resolve(&app, "");
    let sell = app.functions().next().unwrap();
    assert_eq!(
        sell.environment()["PARCELS_QUEUE_URL"],
        json!({"Ref": "ParcelsQueue"})
    );
    let grant = sell.grants().next().unwrap();
    assert_eq!(
        grant.statements()[0]["Action"],
        json!(["sqs:ReceiveMessage", "sqs:SendMessage"])
    );
}
