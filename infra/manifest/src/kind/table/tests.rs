use super::*;
use crate::testing::{Shop, complaints, resolve, resources, shop};
use ItemChange::{Insert, Modify, Remove};
use TableAction::{GetItem, PutItem};

fn changes(shop: &Shop) -> ItemChanges {
    shop.table.item_changes([Insert, Remove])
}

#[test]
fn actions_come_in_one_order_whatever_the_declarations() {
    let table = shop().table;
    assert_eq!(
        table.allow([PutItem, GetItem]).statements(),
        table.allow([GetItem, PutItem]).statements(),
    );
}

#[test]
fn a_stream_is_read_without_its_table() {
    let shop = shop();
    shop.sell.trigger(changes(&shop));
    let app = resolve(&shop.app, "");
    let sell = app.functions().next().unwrap();
    let trigger = sell.triggers().next().unwrap();
    assert_eq!(
        trigger.statements(),
        [
            json!({
                "Sid": "ReadOrdersTableStream",
                "Effect": "Allow",
                "Action": [
                    "dynamodb:DescribeStream",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                ],
                "Resource": {"Fn::GetAtt": ["OrdersTable", "StreamArn"]},
            }),
            json!({
                "Sid": "ListOrdersTableStreams",
                "Effect": "Allow",
                "Action": ["dynamodb:ListStreams"],
                "Resource": {"Fn::Sub": "${OrdersTable.Arn}/stream/*"},
            }),
        ]
    );
}

#[test]
fn a_stream_invokes_a_function_in_bounded_batches_of_what_it_handles() {
    let shop = shop();
    shop.app.table("carts", "id");
    shop.sell.trigger(
        shop.table
            .item_changes([Remove, Insert])
            .batch_size(10)
            .batching_window_seconds(2)
            .retry_attempts(3)
            .record_age_seconds(600)
            .parallelization_factor(4),
    );
    let count = shop.app.function("count");
    count.trigger(shop.table.item_changes([Modify]));
    let resources = resources(&shop.app, "");
    let properties = |logical_id: &str| &resources[logical_id]["Properties"];
    let mut mapping = properties("OrdersTableSellEventSourceMapping").clone();
    mapping.as_object_mut().unwrap().remove("Tags");
    assert_eq!(
        mapping,
        json!({
            "EventSourceArn": {"Fn::GetAtt": ["OrdersTable", "StreamArn"]},
            "FunctionName": {"Ref": "SellFunction"},
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 10,
            "MaximumBatchingWindowInSeconds": 2,
            "BisectBatchOnFunctionError": true,
            "MaximumRetryAttempts": 3,
            "MaximumRecordAgeInSeconds": 600,
            "ParallelizationFactor": 4,
            "DestinationConfig": {
                "OnFailure": {"Destination": {"Fn::GetAtt": ["SellFailureQueue", "Arn"]}},
            },
            "FilterCriteria": {"Filters": [{"Pattern": r#"{"eventName":["INSERT","REMOVE"]}"#}]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        })
    );
    let count = properties("OrdersTableCountEventSourceMapping");
    assert_eq!(
        count["FilterCriteria"]["Filters"],
        json!([{"Pattern": r#"{"eventName":["MODIFY"]}"#}])
    );
    assert_eq!(
        properties("OrdersTable")["StreamSpecification"],
        json!({"StreamViewType": "NEW_AND_OLD_IMAGES"})
    );
    assert!(properties("CartsTable")["StreamSpecification"].is_null());
}

#[test]
fn a_stream_has_two_readers_at_most() {
    let shop = shop();
    shop.sell.trigger(changes(&shop));
    shop.app.function("watch").trigger(changes(&shop));
    complaints(&shop.app, "").are(&[]);
    shop.app.function("also").trigger(changes(&shop));
    complaints(&shop.app, "").are(&[
        "table `orders` has a stream that 3 functions read (sell, watch, also), where DynamoDB serves 2",
    ]);
}

#[test]
fn a_function_reads_a_stream_once_and_something_of_it() {
    let shop = shop();
    shop.sell.trigger(changes(&shop)).trigger(changes(&shop));
    let watch = shop.app.function("watch");
    watch.trigger(shop.table.item_changes([]));
    complaints(&shop.app, "").are(&[
        "function `sell` has two triggers on the stream of table `orders`; merge them",
        "function `watch` on the stream of table `orders` handles no change; list",
    ]);
}

#[test]
fn batches_of_a_stream_are_within_limits() {
    let complaints_about = |changes: &dyn Fn(ItemChanges) -> ItemChanges, timeout_seconds: u32| {
        let shop = shop();
        let changes = changes(shop.table.item_changes([Insert]));
        shop.sell.timeout_seconds(timeout_seconds).trigger(changes);
        complaints(&shop.app, "")
    };
    let least = |changes: ItemChanges| {
        changes
            .batch_size(1)
            .batching_window_seconds(0)
            .retry_attempts(0)
            .record_age_seconds(60)
    };
    let most = |changes: ItemChanges| {
        changes
            .batch_size(10_000)
            .batching_window_seconds(300)
            .retry_attempts(10_000)
            .record_age_seconds(86_400)
            .parallelization_factor(10)
    };
    complaints_about(&least, 30).are(&[]);
    complaints_about(&most, 8).are(&[]);
    complaints_about(
        &|changes| {
            least(changes)
                .batch_size(0)
                .record_age_seconds(59)
                .parallelization_factor(0)
        },
        30,
    )
    .are(&[
        "has a `batch_size` of 0; set it to 1 to 10000",
        "has a `record_age_seconds` of 59; set it to 60 to 86400",
        "has a `parallelization_factor` of 0; set it to 1 to 10",
    ]);
    complaints_about(
        &|changes| {
            most(changes)
                .batch_size(10_001)
                .batching_window_seconds(301)
                .retry_attempts(10_001)
                .record_age_seconds(86_401)
                .parallelization_factor(11)
        },
        8,
    )
    .are(&[
        "has a `batch_size` of 10001",
        "has a `batching_window_seconds` of 301; set it to 0 to 300",
        "has a `retry_attempts` of 10001; set it to 0 to 10000",
        "has a `record_age_seconds` of 86401",
        "has a `parallelization_factor` of 11",
    ]);
}

#[test]
fn a_record_is_not_given_up_before_its_last_attempt() {
    let patient = |record_age_seconds| {
        let shop = shop();
        let changes = changes(&shop).record_age_seconds(record_age_seconds);
        shop.sell.timeout_seconds(60).trigger(changes);
        shop.app
    };
    complaints(&patient(360), "").are(&[]);
    complaints(&patient(359), "")
        .are(&["may take 360 s for 6 attempts, but gives records up when they are 359 s old"]);
    complaints(&patient(360), "timeout_seconds: 61").are(&["may take 366 s for 6 attempts"]);
}

#[test]
fn attributes_of_tables_make_sense() {
    let shop = shop();
    shop.app.table("bills", "id").time_to_live("id");
    shop.app.table("carts", "");
    let table = shop.app.table("debts", "id");
    table.attribute_variable("SUM", &"x".repeat(256));
    complaints(&shop.app, "").are(&[
        "table `bills` has its partition key `id` as time to live",
        "table `carts` has an attribute name of 0 bytes",
        "table `debts` has an attribute name of 256 bytes",
    ]);
}

#[test]
fn functions_of_a_table_know_what_its_attributes_are_called() {
    let Shop {
        app, table, sell, ..
    } = shop();
    let table = table
        .variable("ORDERS_TABLE_NAME")
        .key_variable("ORDERS_KEY_ATTRIBUTE")
        .attribute_variable("ORDERS_PRICE_ATTRIBUTE", "price");
    sell.grant(table.allow([GetItem]));
    app.function("follow").trigger(table.item_changes([Insert]));
    app.function("stranger").environment("GREETING", "hello");
    let resources = resources(&app, "");
    let variables = |function: &str| &resources[function]["Properties"]["Environment"]["Variables"];
    let of_orders = json!({
        "ORDERS_TABLE_NAME": {"Ref": "OrdersTable"},
        "ORDERS_KEY_ATTRIBUTE": "id",
        "ORDERS_PRICE_ATTRIBUTE": "price",
    });
    assert_eq!(*variables("SellFunction"), of_orders);
    assert_eq!(*variables("FollowFunction"), of_orders);
    assert_eq!(*variables("StrangerFunction"), json!({"GREETING": "hello"}));
    let app = resolve(&app, "");
    let outputs: Vec<String> = app.env_outputs().into_keys().collect();
    assert_eq!(outputs, ["OrdersTableName", "PhotosBucketName"]);
    let attributes: Vec<String> = app.attribute_variables().into_values().collect();
    assert_eq!(attributes, ["id", "price"]);
}
