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

fn patterns(changes: ItemChanges) -> Vec<Value> {
    let shop = shop();
    shop.sell.trigger(changes);
    let app = resolve(&shop.app, "");
    let sell = app.functions().next().unwrap();
    let patterns = sell.stream_patterns("table `orders`").into_iter();
    let patterns = patterns.map(|pattern| serde_json::from_str(&pattern).unwrap());
    patterns.collect()
}

#[test]
fn changes_are_filtered_by_what_the_items_have() {
    let table = shop().table;
    let shipped = table
        .item_changes([Modify])
        .where_new("status", ["paid", "shipped"])
        .where_new("urgent", true)
        .where_old("status", Match::not("paid"))
        .where_old("refund", Match::no_number());
    assert_eq!(
        patterns(shipped),
        [json!({
            "eventName": ["MODIFY"],
            "dynamodb": {
                "NewImage": {
                    "status": {"S": ["paid", "shipped"]},
                    "urgent": {"BOOL": [true]},
                },
                "OldImage": {
                    "status": {"S": [{"anything-but": ["paid"]}]},
                    "refund": {"N": [{"exists": false}]},
                },
            },
        })]
    );
    let either = table
        .item_changes([Insert, Modify])
        .where_new("total", [0, -5])
        .or()
        .where_new("carrier", Match::prefix("pigeon"))
        .where_old("note", Match::no_string());
    assert_eq!(
        patterns(either),
        [
            json!({
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": {"NewImage": {"total": {"N": ["0", "-5"]}}},
            }),
            json!({
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": {
                    "NewImage": {"carrier": {"S": [{"prefix": "pigeon"}]}},
                    "OldImage": {"note": {"S": [{"exists": false}]}},
                },
            }),
        ]
    );
    assert!(patterns(table.item_changes([Insert]).where_new("a", 1))[0]["eventName"].is_array());
}

#[test]
fn a_function_knows_the_filters_of_each_stream_that_it_reads() {
    let shop = shop();
    let carts = shop.app.table("carts", "id");
    shop.sell
        .trigger(shop.table.item_changes([Insert]))
        .trigger(carts.item_changes([Remove]));
    let app = resolve(&shop.app, "");
    let sell = app.functions().next().unwrap();
    assert!(sell.reads_stream());
    let remove = r#"{"eventName":["REMOVE"]}"#;
    assert_eq!(sell.stream_patterns("table `carts`"), [remove]);
    assert!(sell.stream_patterns("table `films`").is_empty());
}

#[test]
fn filters_let_something_pass_and_are_within_limits() {
    let complaints_about = |changes: &dyn Fn(&Table) -> ItemChanges| {
        let shop = shop();
        shop.sell.trigger(changes(&shop.table));
        complaints(&shop.app, "")
    };
    complaints_about(&|table| {
        table
            .item_changes([Insert, Modify, Remove])
            .where_new("status", "paid")
            .where_old("status", "open")
            .where_new("status", Match::suffix("d"))
            .where_new("", [""; 0])
    })
    .are(&[
        "handles Insert, but asks for attributes of the old item, which Insert does not have",
        "handles Remove, but asks for attributes of the new item, which Remove does not have",
        "asks twice for `status` of the new item; ask once",
        "asks for no value of `` of the new item",
        "has an attribute name of 0 bytes",
    ]);
    complaints_about(&|table| {
        let either = table.item_changes([Insert, Modify, Remove]);
        let either = either.where_new("photo", Match::string());
        either.or().where_old("photo", Match::string())
    })
    .are(&[]);
    complaints_about(&|table| {
        let changes = table.item_changes([Insert]).where_new("a", true);
        changes
            .where_old("b", Match::no_string())
            .or()
            .where_old("a", true)
    })
    .are(&["has an `or` that lets in none of the changes that it handles"]);
    complaints_about(&|table| {
        let long = "x".repeat(4096);
        let mut changes = table.item_changes([Insert]).where_new("a", long.as_str());
        for _ in 0..4 {
            changes = changes.or().where_new("a", true);
        }
        changes
    })
    .are(&["has a filter of 4161 characters, but Lambda takes at most 4096"]);
    complaints_about(&|table| {
        let changes = table.item_changes([Insert]).or().or().or().or().or();
        changes.where_new("a", true)
    })
    .are(&[
        "has 6 filters, but Lambda takes at most 5; merge",
        "has an `or` with no condition on one side",
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
        "table `bills` has `id` as time to live, which must be a number, and in a key as a string",
        "table `carts` has an attribute name of 0 bytes",
        "table `debts` has an attribute name of 256 bytes",
    ]);
}

#[test]
fn keys_have_types() {
    let app = Manifest::new("shop");
    app.function("sell");
    let orders = app
        .table("orders", Key::binary("customer"))
        .sort_key(Key::number("placed_at"));
    orders
        .index("by-day", "day")
        .sort_key(Key::number("placed_at"));
    let orders = resources(&app, "")["OrdersTable"]["Properties"].clone();
    assert_eq!(
        orders["AttributeDefinitions"],
        json!([
            {"AttributeName": "customer", "AttributeType": "B"},
            {"AttributeName": "placed_at", "AttributeType": "N"},
            {"AttributeName": "day", "AttributeType": "S"},
        ])
    );
    let range = json!({"AttributeName": "placed_at", "KeyType": "RANGE"});
    assert_eq!(
        orders["KeySchema"],
        json!([{"AttributeName": "customer", "KeyType": "HASH"}, range])
    );
    assert_eq!(
        orders["GlobalSecondaryIndexes"],
        json!([{
            "IndexName": "by-day",
            "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}, range],
            "Projection": {"ProjectionType": "ALL"},
        }])
    );
}

#[test]
fn an_index_has_what_it_is_told_to_have() {
    let app = Manifest::new("shop");
    app.function("sell");
    let orders = app.table("orders", "id");
    orders.index("by-status", "status").keys_only();
    orders.index("by-day", "day").include(["total", "customer"]);
    let orders = resources(&app, "")["OrdersTable"]["Properties"].clone();
    let projection = |index: usize| &orders["GlobalSecondaryIndexes"][index]["Projection"];
    assert_eq!(*projection(0), json!({"ProjectionType": "KEYS_ONLY"}));
    assert_eq!(
        *projection(1),
        json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total", "customer"]})
    );
}

#[test]
fn an_index_is_read_without_its_table() {
    let Shop {
        app, table, sell, ..
    } = shop();
    let table = table.variable("ORDERS_TABLE_NAME");
    let by_day = table.index("by-day", "day").variable("ORDERS_BY_DAY");
    sell.grant(by_day.allow([IndexAction::Scan, IndexAction::Query]));
    app.function("stranger").grant(table.allow([GetItem]));
    let resolved = resolve(&app, "");
    let functions: Vec<_> = resolved.functions().collect();
    let statements = functions[0].grants().next().unwrap().statements();
    assert_eq!(
        *statements,
        [json!({
            "Sid": "OrdersTableByDayIndex",
            "Effect": "Allow",
            "Action": ["dynamodb:Query", "dynamodb:Scan"],
            "Resource": {"Fn::Sub": "${OrdersTable.Arn}/index/by-day"},
        })]
    );
    let of_sell = json!({
        "ORDERS_BY_DAY": "by-day",
        "ORDERS_TABLE_NAME": {"Ref": "OrdersTable"},
    });
    assert_eq!(json!(functions[0].environment()), of_sell);
    let of_stranger = json!({"ORDERS_TABLE_NAME": {"Ref": "OrdersTable"}});
    assert_eq!(json!(functions[1].environment()), of_stranger);
}

#[test]
fn grants_on_a_table_and_on_its_indexes_are_different_grants() {
    let shop = shop();
    let by_day = shop.table.index("by-day", "day");
    let by_status = shop.table.index("by-status", "status");
    shop.sell
        .grant(shop.table.allow([TableAction::Query]))
        .grant(by_day.allow([IndexAction::Query]))
        .grant(by_status.allow([IndexAction::Query]))
        .grant(by_status.allow([IndexAction::Scan]));
    complaints(&shop.app, "")
        .are(&["has two grants of index `by-status` of table `orders`; merge them"]);
}

#[test]
fn keys_and_indexes_are_within_limits() {
    let app = Manifest::new("shop");
    app.function("sell");
    let orders = app.table("orders", "id").sort_key("id");
    orders.index("by-id", Key::number("id"));
    orders.index("to", "status").include([]);
    orders.index("by-status", "status").include(["status", ""]);
    orders.index("by-status", "status");
    let most = app.table("most", "id");
    let attributes: [String; 51] = std::array::from_fn(|number| format!("a{number}"));
    let attributes: [&str; 51] = std::array::from_fn(|number| attributes[number].as_str());
    for number in 0..21 {
        let index = most.index(&format!("by-{number}"), "day");
        if number < 2 {
            index.include(attributes);
        }
    }
    complaints(&app, "").are(&[
        "table `orders` has `id` as partition key and as sort key",
        "table `orders` has the attribute `id` in keys as a string and as a number; declare it",
        "index `to` of table `orders` has a name of 2 characters; use 3 to 255",
        "index `to` of table `orders` includes no attribute",
        "index `by-status` of table `orders` has an attribute name of 0 bytes",
        "index `by-status` of table `orders` includes `status`, which is part of its key",
        "index `by-status` of table `orders` is declared twice",
        "table `most` has 21 indexes, where DynamoDB takes 20",
        "table `most` includes 102 attributes in its indexes, where DynamoDB takes 100",
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
