use serde_json::{Value, json};

use super::template::TRACING_ACTIONS;
use crate::app::App;
use crate::budget::Budget;
use crate::grant::Grant;
use crate::kind::{
    BucketAction, Cors,
    ItemChange::{Insert, Modify, Remove},
    QueueAction, TableAction,
};
use crate::manifest::Manifest;
use crate::stage::LogLevel;
use crate::testing::{Shop, complaints, resolve, resources, shop};
use crate::trigger::Trigger;

#[test]
fn names_fit_into_aws() {
    let long = "a".repeat(56);
    let named = |name: &str| {
        let app = Manifest::new("shop");
        app.function(name);
        complaints(&app, "")
    };
    named(&long).are(&[
        "gets a name of 65 characters in AWS, where 64 are allowed; shorten it, the app's or the stage's name by 1",
    ]);
    named(&long[1..]).are(&[]);
}

#[test]
fn grants_name_actions_once() {
    let shop = shop();
    shop.sell.grant(shop.bucket.allow([])).grant(
        shop.table
            .allow([TableAction::GetItem, TableAction::GetItem]),
    );
    shop.app
        .function("watch")
        .grant(shop.bucket.allow([BucketAction::GetObject]))
        .grant(shop.bucket.allow([BucketAction::PutObject]));
    complaints(&shop.app, "").are(&[
        "has a grant on bucket `photos` that allows nothing",
        "is granted dynamodb:GetItem on table `orders` twice",
        "function `watch` has two grants of bucket `photos`; merge them",
    ]);
}

#[test]
fn unscoped_grants_name_one_action_that_cannot_be_scoped_and_a_reason() {
    let with = |action: &str, reason: &str| {
        let shop = shop();
        shop.sell.grant(Grant::unscoped(action, reason));
        complaints(&shop.app, "")
    };
    for action in [
        "rekognition:*",
        "*",
        "rekognition:Detect*",
        "DetectLabels",
        "a:b:c",
        ":x",
        "x:",
    ] {
        with(action, "because").are(&["which is not one IAM action"]);
    }
    with("rekognition:DetectLabels", " ").are(&["on every resource without a reason"]);
    for (action, call) in [
        ("s3:GetObject", "Bucket::allow"),
        ("dynamodb:GetItem", "Table::allow"),
        ("iam:PassRole", "Publisher::pass"),
    ] {
        let remedy = format!("though it can be restricted to one; use `{call}`");
        with(action, "because").are(&[&remedy]);
    }
}

#[test]
fn variables_are_well_formed_unique_and_free() {
    let Shop {
        app,
        bucket,
        table,
        sell,
        ..
    } = shop();
    table.variable("PHOTOS_BUCKET_NAME");
    sell.trigger(bucket.object_created())
        .environment("lower", "")
        .environment("AWS_REGION", "")
        .environment("_HANDLER", "")
        .environment("LAMBDA_RUNTIME_DIR", "")
        .environment("V", "")
        .environment("BELL", "a\u{7}")
        .environment("LINES", "a\tb\r\nc\u{85}\u{2028}")
        .environment("TWICE", "")
        .environment("TWICE", "")
        .environment("PHOTOS_BUCKET_NAME", "");
    complaints(&app, "").are(&[
        "table `orders` has the variable `PHOTOS_BUCKET_NAME`, as bucket `photos` has",
        "has a variable `lower` that is not in UPPER_SNAKE_CASE",
        "has the variable `AWS_REGION`, which Lambda sets itself",
        "has the variable `_HANDLER`, which Lambda sets itself",
        "has the variable `LAMBDA_RUNTIME_DIR`, which Lambda sets itself",
        "has the variable `V`, whose name is too short for Lambda; use at least 2 characters",
        "has the variable `BELL` with the character U+0007, which CloudFormation cannot pass on",
        "sets the variable `TWICE` twice",
        "sets the variable `PHOTOS_BUCKET_NAME`, which it gets from bucket `photos`",
    ]);
}

#[test]
fn variables_of_a_tables_attributes_are_variables() {
    let Shop {
        app, table, sell, ..
    } = shop();
    let table = table
        .key_variable("ORDERS_KEY")
        .attribute_variable("ORDERS_KEY", "key")
        .attribute_variable("lower", "price")
        .attribute_variable("PHOTOS_BUCKET_NAME", "photos");
    sell.trigger(table.item_changes([Insert]))
        .environment("ORDERS_KEY", "");
    app.function("watch")
        .environment("ORDERS_KEY", "of its own");
    complaints(&app, "").are(&[
        "table `orders` has the variable `ORDERS_KEY` twice",
        "table `orders` has a variable `lower` that is not in UPPER_SNAKE_CASE",
        "table `orders` has the variable `PHOTOS_BUCKET_NAME`, as bucket `photos` has",
        "function `sell` sets the variable `ORDERS_KEY`, which it gets from table `orders`",
    ]);
}

#[test]
fn the_environment_is_limited() {
    let shop = shop();
    shop.sell.environment("TEXT", &"x".repeat(4093));
    complaints(&shop.app, "").are(&["has an environment of up to 4097 bytes"]);

    let Shop {
        app, table, sell, ..
    } = self::shop();
    sell.trigger(table.key_variable("KEY").item_changes([Insert]))
        .environment("TEXT", &"x".repeat(4088));
    complaints(&app, "").are(&["has an environment of up to 4097 bytes"]);
}

#[test]
fn a_function_that_causes_its_own_events_says_what_ends_the_recursion() {
    type Causes = fn(&Shop) -> Grant;
    type Caused = fn(&Shop) -> Trigger;
    let causes: [(&str, Causes, Caused); 6] = [
        (
            "s3:PutObject on bucket `photos`",
            |shop| shop.bucket.allow([BucketAction::PutObject]),
            |shop| shop.bucket.object_created().into(),
        ),
        (
            "s3:DeleteObject on bucket `photos`",
            |shop| shop.bucket.allow([BucketAction::DeleteObject]),
            |shop| shop.bucket.object_removed().into(),
        ),
        (
            "dynamodb:PutItem on table `orders`",
            |shop| shop.table.allow([TableAction::PutItem]),
            |shop| shop.table.item_changes([Modify]).into(),
        ),
        (
            "dynamodb:UpdateItem on table `orders`",
            |shop| shop.table.allow([TableAction::UpdateItem]),
            |shop| shop.table.item_changes([Insert]).into(),
        ),
        (
            "dynamodb:DeleteItem on table `orders`",
            |shop| shop.table.allow([TableAction::DeleteItem]),
            |shop| shop.table.item_changes([Remove]).into(),
        ),
        (
            "sqs:SendMessage on queue `parcels`",
            |shop| shop.queue.allow([QueueAction::SendMessage]),
            |shop| shop.queue.messages().into(),
        ),
    ];
    for (what, grant, trigger) in causes {
        let told = |reason: Option<&str>| {
            let shop = shop();
            shop.sell.trigger(trigger(&shop));
            shop.sell.grant(match reason {
                None => grant(&shop),
                Some(reason) => grant(&shop).recursive(reason),
            });
            complaints(&shop.app, "")
        };
        told(Some("it writes once")).are(&[]);
        told(Some(" "))
            .are(&["on a resource that invokes it, without a reason; say in `recursive`"]);
        let complaints = told(None);
        complaints.are(&["which causes events that invoke it, by the trigger at infra/manifest"]);
        let granted = format!("function `sell` is granted {what}, which");
        complaints.are(&[&granted]);
    }
}

#[test]
fn what_causes_no_event_of_the_function_is_no_recursion() {
    let shop = shop();
    shop.sell
        .trigger(shop.bucket.object_removed())
        .trigger(shop.table.item_changes([Remove]))
        .trigger(shop.queue.messages())
        .grant(shop.bucket.allow([BucketAction::PutObject]))
        .grant(shop.table.allow([TableAction::PutItem]))
        .grant(shop.queue.allow([QueueAction::GetQueueAttributes]));
    let other = shop.app.table("other", "id");
    shop.sell.grant(other.allow([TableAction::DeleteItem]));
    complaints(&shop.app, "").are(&[]);
    let once = shop.app.queue("once").allow([QueueAction::SendMessage]);
    shop.sell.grant(once.recursive("there is nothing to end"));
    complaints(&shop.app, "")
        .are(&["has a recursive grant that causes none of its events; remove"]);
}

#[test]
fn lambda_does_not_stop_a_recursion_that_is_to_be_long() {
    let allowed = |grant: fn(Grant) -> Grant| {
        let shop = shop();
        shop.sell
            .trigger(shop.queue.messages())
            .grant(grant(shop.queue.allow([QueueAction::SendMessage])));
        resources(&shop.app, "")["SellFunction"]["Properties"]["RecursiveLoop"].clone()
    };
    assert_eq!(allowed(|grant| grant.recursive("twice")), Value::Null);
    assert_eq!(allowed(|grant| grant.long_recursive("for days")), "Allow");
}

#[test]
fn what_a_function_fails_on_goes_to_one_queue() {
    let Shop {
        app, bucket, table, ..
    } = shop();
    app.function("both")
        .trigger(table.item_changes([Insert]))
        .trigger(bucket.object_created());
    app.function("stream").trigger(table.item_changes([Insert]));
    let app = resolve(&app, "");
    let template = app.template().to_value();
    let has = |logical_id: &str| template["Resources"][logical_id].is_object();
    for (function, queue, asynchronous, reads_stream) in [
        ("Both", true, true, true),
        ("Sell", false, false, false),
        ("Stream", true, false, true),
    ] {
        assert_eq!(has(&format!("{function}FailureQueue")), queue);
        assert_eq!(has(&format!("{function}EventInvokeConfig")), asynchronous);
        let resolved = app
            .functions()
            .find(|resolved| resolved.logical_id("") == function)
            .unwrap();
        assert_eq!(resolved.is_asynchronous(), asynchronous);
        assert_eq!(resolved.reads_stream(), reads_stream);
        let output = resolved.failure_queue_output();
        assert_eq!(output, queue.then(|| format!("{function}FailureQueueUrl")));
        let statements = super::policy(resolved)["Statement"].to_string();
        assert_eq!(statements.contains("sqs:SendMessage"), queue);
        assert_eq!(statements.contains("dynamodb:GetRecords"), reads_stream);
    }
}

#[test]
fn who_invokes_by_hand_gets_the_code_that_events_get() {
    for (settings, expected) in [
        ("", "shop-dev-sell"),
        (
            "alarms: true, canary: {percent: 10, minutes: 5}",
            "shop-dev-sell:live",
        ),
    ] {
        let app = resolve(&shop().app, settings);
        let sell = app.functions().next().unwrap();
        assert_eq!(sell.invocation_name(), expected);
    }
}

/// An app with an API, a bucket and a stream: `serve` and `ship`.
fn busy() -> Manifest {
    let app = Manifest::new("shop");
    let topic = app.topic("orders");
    app.publisher(&topic, "rekognition");
    let bills = app.bucket("bills");
    let orders = app.table("orders", "id").variable("ORDERS_TABLE_NAME");
    let shop = app.http_api("shop").cors(Cors::origins(["*"]));
    app.function("serve")
        .trigger(shop.post("/orders"))
        .trigger(shop.get("/orders/{id}"))
        .trigger(bills.object_created());
    app.function("ship")
        .trigger(orders.item_changes([Insert]).record_age_seconds(600));
    app
}

fn resources_on(settings: &str) -> Value {
    resources(&busy(), settings)
}

#[test]
fn a_function_has_what_it_declares_unless_the_stage_says_otherwise() {
    let app = busy();
    app.function("count")
        .description("Counts orders")
        .ephemeral_storage_mb(1024)
        .log_level(LogLevel::Debug);
    let count = |settings: &str| resources(&app, settings)["CountFunction"]["Properties"].clone();
    let declared = count("ephemeral_storage_mb: {serve: 600}, log_level: {serve: warn}");
    assert_eq!(declared["Description"], "Counts orders");
    assert_eq!(declared["EphemeralStorage"], json!({"Size": 1024}));
    assert_eq!(declared["LoggingConfig"]["ApplicationLogLevel"], "DEBUG");
    for settings in [
        "ephemeral_storage_mb: 600, log_level: warn",
        "ephemeral_storage_mb: {count: 600}, log_level: {count: warn}",
    ] {
        let set = count(settings);
        assert_eq!(set["EphemeralStorage"], json!({"Size": 600}));
        assert_eq!(set["LoggingConfig"]["ApplicationLogLevel"], "WARN");
    }
    let ship = resources(&app, "")["ShipFunction"]["Properties"].clone();
    for property in ["Description", "EphemeralStorage"] {
        assert!(ship[property].is_null());
    }
    assert!(ship["LoggingConfig"]["ApplicationLogLevel"].is_null());
}

#[test]
fn a_budget_is_no_part_of_the_template() {
    let app = Manifest::new("shop");
    let count = app.function("count");
    let before = resolve(&app, "");
    assert_eq!(
        before.functions().next().unwrap().budget(),
        Budget::default()
    );
    let budget = Budget {
        zip_bytes: 3_000_000,
        ..Budget::default()
    };
    count.budget(budget);
    let after = resolve(&app, "");
    assert_eq!(after.functions().next().unwrap().budget(), budget);
    assert_eq!(after.synth(), before.synth());
}

#[test]
fn a_budget_can_be_met_and_exceeded() {
    let app = busy();
    let budget = Budget {
        zip_bytes: 0,
        init_ms: 10_001,
        warm_p99_ms: 2001,
        peak_memory_bytes: 128 * 1024 * 1024 + 1,
    };
    let function = app.function("odd").memory_mb(128).timeout_seconds(2);
    function.budget(budget);
    app.function("fits").budget(Budget {
        zip_bytes: 1,
        init_ms: 10_000,
        warm_p99_ms: 30_000,
        peak_memory_bytes: 256 * 1024 * 1024,
    });
    complaints(&app, "").are(&[
        "function `odd` has a budget of 0 for `zip_bytes`; set `zip_bytes` to 1 to 262144000, the largest",
        "function `odd` has a budget of 10001 for `init_ms`; set `init_ms` to 1 to 10000, the longest",
        "function `odd` has a budget of 2001 for `warm_p99_ms`; set `warm_p99_ms` to 1 to 2000, its timeout",
        "function `odd` has a budget of 134217729 for `peak_memory_bytes`; set `peak_memory_bytes` to 1 to 134217728, its memory",
    ]);
}

#[test]
fn settings_that_a_function_declares_are_within_limits() {
    let app = busy();
    app.function("little").ephemeral_storage_mb(511);
    app.function("much").ephemeral_storage_mb(10_241);
    app.function("wordy").description(&"\u{e4}".repeat(257));
    app.function("odd").description("\u{1}");
    let fits = app.function("fits").ephemeral_storage_mb(10_240);
    fits.description(&"\u{e4}".repeat(256));
    complaints(&app, "").are(&[
        "function `little` asks for 511 MB of ephemeral storage; set `ephemeral_storage_mb` to 512",
        "function `much` asks for 10241 MB",
        "function `wordy` has a description of 257 characters, but Lambda takes at most 256",
        "function `odd` has a description with characters that CloudFormation cannot pass on",
    ]);
}

#[test]
fn settings_of_functions_are_properties_of_theirs() {
    let resources = resources_on(
        "memory_mb: {serve: 512}, timeout_seconds: 20, reserved_concurrency: {serve: 0}, \
         environment: {GREETING: hello}, log_level: warn, tracing: true",
    );
    let serve = &resources["ServeFunction"]["Properties"];
    assert_eq!(serve["MemorySize"], 512);
    assert_eq!(serve["Timeout"], 20);
    assert_eq!(serve["ReservedConcurrentExecutions"], 0);
    assert_eq!(serve["Environment"]["Variables"]["GREETING"], "hello");
    assert_eq!(serve["LoggingConfig"]["LogFormat"], "JSON");
    assert_eq!(serve["LoggingConfig"]["ApplicationLogLevel"], "WARN");
    assert_eq!(serve["TracingConfig"], json!({"Mode": "Active"}));
    let ship = &resources["ShipFunction"]["Properties"];
    assert_eq!(ship["MemorySize"], 256);
    assert_eq!(ship["Timeout"], 20);
    assert!(ship["ReservedConcurrentExecutions"].is_null());
    assert_eq!(ship["Environment"]["Variables"]["GREETING"], "hello");

    let role = &resources["ServeRole"];
    assert_eq!(
        role["Properties"]["Policies"][1],
        json!({"PolicyName": "tracing", "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Trace",
                "Effect": "Allow",
                "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                "Resource": "*",
            }],
        }})
    );
    for action in TRACING_ACTIONS {
        assert!(role["Metadata"]["Unscoped"][action].is_string(), "{role}");
    }
}

#[test]
fn a_boundary_bounds_every_role() {
    let boundary = "arn:aws:iam::123456789012:policy/boundary";
    let resources = resources_on(&format!("permissions_boundary: '{boundary}'"));
    for role in ["ServeRole", "ShipRole", "OrdersPublisherRole"] {
        let properties = &resources[role]["Properties"];
        assert_eq!(properties["PermissionsBoundary"], boundary, "{role}");
    }
}

#[test]
fn alarms_watch_what_can_fail() {
    let topic = "arn:aws:sns:eu-central-1:123456789012:alarms";
    let resources = resources_on(&format!("alarms: '{topic}'"));
    let alarm = |logical_id: &str| {
        let properties = &resources[logical_id]["Properties"];
        assert_eq!(properties["TreatMissingData"], "notBreaching");
        assert_eq!(properties["AlarmActions"], json!([topic]));
        assert_eq!(properties["OKActions"], json!([topic]));
        json!([
            properties["Namespace"],
            properties["MetricName"],
            properties["Dimensions"][0]["Value"],
            properties["Statistic"],
            properties["Threshold"],
        ])
    };
    let ship = json!({"Ref": "ShipFunction"});
    for (logical_id, metric) in [
        (
            "ShipErrorsAlarm",
            json!(["AWS/Lambda", "Errors", ship, "Sum", 0]),
        ),
        (
            "ShipThrottlesAlarm",
            json!(["AWS/Lambda", "Throttles", ship, "Sum", 0]),
        ),
        (
            "ShipIteratorAgeAlarm",
            json!(["AWS/Lambda", "IteratorAge", ship, "Maximum", 300_000]),
        ),
        (
            "ShipFailureQueueAlarm",
            json!([
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                {"Fn::GetAtt": ["ShipFailureQueue", "QueueName"]},
                "Maximum",
                0,
            ]),
        ),
    ] {
        assert_eq!(alarm(logical_id), metric);
    }
    // It reads no stream.
    assert!(resources["ServeIteratorAgeAlarm"].is_null());

    let rollback = resources_on("alarms: true, rollback_on_alarm_minutes: 5");
    assert_eq!(
        rollback["RollbackAlarm"]["Properties"]["AlarmRule"],
        json!({"Fn::Sub": r#"ALARM("${ServeErrorsAlarm}") OR ALARM("${ShipErrorsAlarm}")"#})
    );
    assert!(resources["RollbackAlarm"].is_null());

    let silent = &resources_on("alarms: true")["ServeErrorsAlarm"]["Properties"];
    assert_eq!(silent["MetricName"], "Errors");
    assert!(silent["AlarmActions"].is_null());
    assert!(resources_on("alarms: false")["ServeErrorsAlarm"].is_null());
}

#[test]
fn an_app_that_ignores_alarms_differs_in_nothing_but_what_the_canaries_watch() {
    let settings = "alarms: true, rollback_on_alarm_minutes: 5, canary: {percent: 20, minutes: 15}";
    let app = resolve(&busy(), settings);
    let template = |app: &App| -> Value { serde_yaml::from_str(&app.synth().template).unwrap() };
    let mut expected = template(&app);
    for group in ["ServeDeploymentGroup", "ShipDeploymentGroup"] {
        let watched = &mut expected["Resources"][group]["Properties"]["AlarmConfiguration"];
        assert_eq!(watched["Enabled"], true);
        watched["Enabled"] = json!(false);
    }
    assert_eq!(template(&app.ignoring_alarms()), expected);
}

#[test]
fn a_canary_is_invoked_by_its_alias() {
    let settings = "alarms: true, canary: {percent: 20, minutes: 15}";
    let resources = resources_on(settings);
    let alias = json!({"Ref": "ServeAlias"});
    for (logical_id, property) in [
        ("ShopHttpApiServeIntegration", "IntegrationUri"),
        ("ShopHttpApiPostOrdersRoutePermission", "FunctionName"),
        ("BillsBucketServePermission", "FunctionName"),
    ] {
        assert_eq!(resources[logical_id]["Properties"][property], alias);
    }
    let notifications = &resources["BillsBucket"]["Properties"]["NotificationConfiguration"];
    assert_eq!(notifications["LambdaConfigurations"][0]["Function"], alias);
    let mapping = &resources["OrdersTableShipEventSourceMapping"]["Properties"];
    assert_eq!(mapping["FunctionName"], json!({"Ref": "ShipAlias"}));
    let invoke_config = &resources["ServeEventInvokeConfig"];
    assert_eq!(invoke_config["Properties"]["Qualifier"], "live");
    assert_eq!(invoke_config["DependsOn"], json!(["ServeAlias"]));

    let alias = &resources["ServeAlias"];
    assert_eq!(
        alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"],
        json!({
            "ApplicationName": {"Ref": "Canary"},
            "DeploymentGroupName": {"Ref": "ServeDeploymentGroup"},
        })
    );
    assert_eq!(
        alias["Properties"]["FunctionVersion"],
        json!({"Fn::GetAtt": ["ServeVersion", "Version"]})
    );
    let group = &resources["ServeDeploymentGroup"]["Properties"];
    assert_eq!(
        group["AlarmConfiguration"]["Alarms"],
        json!([{"Name": {"Ref": "ServeErrorsAlarm"}}])
    );
    assert_eq!(
        resources["CanaryConfiguration"]["Properties"]["TrafficRoutingConfig"]["TimeBasedCanary"],
        json!({"CanaryPercentage": 20, "CanaryInterval": 15})
    );
    assert!(resources_on("alarms: true")["ServeAlias"].is_null());
}

#[test]
fn a_canary_gets_a_version_for_what_changes_it() {
    let canary = "alarms: true, canary: {percent: 20, minutes: 15}";
    let version = |settings: &str, function: &str| {
        let resources = resources_on(&format!("{canary}{settings}"));
        let description =
            &resources[format!("{function}Version")]["Properties"]["Description"]["Fn::Sub"];
        let (fingerprint, code) = description.as_str().unwrap().split_once(' ').unwrap();
        assert_eq!(code, format!("${{{function}CodeKey}}"));
        let function = &resources[format!("{function}Function")]["Properties"];
        let variables = &function["Environment"]["Variables"];
        assert_eq!(variables["CONFIGURATION_FINGERPRINT"], fingerprint);
        fingerprint.to_owned()
    };
    let (serve, ship) = (version("", "Serve"), version("", "Ship"));
    assert_ne!(serve, ship);
    assert_ne!(version(", memory_mb: {serve: 512}", "Serve"), serve);
    assert_eq!(version(", memory_mb: {serve: 512}", "Ship"), ship);
    // Of the two, only `ship` knows the table, which changes with the setting.
    assert_ne!(version(", removal: retain", "Ship"), ship);
    assert_eq!(version(", removal: retain", "Serve"), serve);
}

#[test]
fn a_function_is_told_the_name_of_a_table_that_it_may_not_use() {
    let shop = shop();
    let stock = shop.app.table("stock", "id").variable("STOCK_TABLE_NAME");
    shop.sell.variable_of(&stock);
    let resources = resources(&shop.app, "");
    let variables = &resources["SellFunction"]["Properties"]["Environment"]["Variables"];
    assert_eq!(variables["STOCK_TABLE_NAME"], json!({"Ref": "StockTable"}));
    assert!(!resources["SellRole"].to_string().contains("StockTable"));
}
