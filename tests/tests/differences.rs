//! What `docs/reference/differs-from-aws.md` lists: one test for each entry, of the same name.
//!
//! A test fails when the local stage does as AWS does, which a new version of the emulator may
//! bring about. Then the entry and its test are to be deleted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use acceptance::strangers::Request;
use acceptance::{Stage, eventually, example, http_get, python, workspace};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// An entry, and its test.
type Entry = (&'static str, fn(&Stage));

const ENTRIES: &[Entry] = &[
    ("other-origins", other_origins),
    ("options-routes", options_routes),
    ("api-throttling", api_throttling),
    ("memory-size", memory_size),
    ("retry-pauses", retry_pauses),
    ("queue-retry-pauses", queue_retry_pauses),
    ("failure-destinations", failure_destinations),
    ("kinesis-retries", kinesis_retries),
    ("tumbling-windows", tumbling_windows),
    ("platform-lines", platform_lines),
    ("schedule-targets", schedule_targets),
    ("unknown-properties", unknown_properties),
    ("resource-types", resource_types),
    ("stack-permissions", stack_permissions),
    ("time-to-live", time_to_live),
    ("lifecycle-rules", lifecycle_rules),
    ("key-length", key_length),
    ("public-objects", public_objects),
    ("root-user", root_user),
    // Takes the API's permissions away.
    ("invoke-permissions", invoke_permissions),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share a stage.
    arguments.test_threads = Some(1);
    let shared = Arc::new(OnceLock::<Stage>::new());
    let mut tests = vec![Trial::test("every_entry_has_a_test", || {
        every_entry_has_a_test();
        Ok(())
    })];
    for &(entry, run) in ENTRIES {
        let shared = Arc::clone(&shared);
        tests.push(Trial::test(entry, move || {
            run(shared.get_or_init(Stage::start));
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, tests);
    if conclusion.has_failed()
        && let Some(stage) = shared.get()
    {
        eprintln!("what the stage printed:\n{}", stage.log());
    }
    conclusion.exit_code()
}

fn every_entry_has_a_test() {
    let list =
        std::fs::read_to_string(workspace().join("docs/reference/differs-from-aws.md")).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let tested: BTreeSet<&str> = ENTRIES.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(listed, tested);
}

fn port(url: &str) -> u16 {
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    port.parse().unwrap()
}

/// The identifier of the shop's API, and that of its integration.
fn shop_api(stage: &Stage) -> (String, String) {
    let id = |arguments: &[&str], list: &str, field: &str| {
        let answer = stage.aws_json(arguments);
        let items = answer["Items"].as_array().unwrap();
        let of_the_shop =
            |item: &&Value| list == "integrations" || item["Name"] == "shop-local-shop";
        let item = items.iter().find(of_the_shop).unwrap();
        item[field].as_str().unwrap().to_owned()
    };
    let api = id(&["apigatewayv2", "get-apis"], "apis", "ApiId");
    let arguments = ["apigatewayv2", "get-integrations", "--api-id", &api];
    let integration = id(&arguments, "integrations", "IntegrationId");
    (api, integration)
}

/// A JSON document in a file.
fn file(content: &Value) -> (NamedTempFile, String) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content.to_string()).unwrap();
    let url = format!("file://{}", file.path().display());
    (file, url)
}

/// Hands a function an event that it fails on.
fn invoke_in_vain(stage: &Stage, function: &str) {
    stage.aws_ok(&[
        "lambda",
        "invoke",
        "--function-name",
        &format!("shop-local-{function}"),
        "--invocation-type",
        "Event",
        "--payload",
        "{}",
        "/dev/null",
    ]);
}

fn other_origins(stage: &Stage) {
    let answer = Request::new("GET", "/")
        .headers(&[("Origin", "http://attacker.test")])
        .send(port(stage.variable("SHOP_URL")));
    assert_eq!(answer.status(), Some(403));
}

fn options_routes(stage: &Stage) {
    let (api, integration) = shop_api(stage);
    stage.aws_ok(&[
        "apigatewayv2",
        "create-route",
        "--api-id",
        &api,
        "--route-key",
        "OPTIONS /{name+}",
        "--target",
        &format!("integrations/{integration}"),
    ]);
    let answer = Request::new("OPTIONS", "/x").send(port(stage.variable("SHOP_URL")));
    assert_eq!(answer.status(), Some(404));
}

fn api_throttling(stage: &Stage) {
    let (api, _) = shop_api(stage);
    let set = |limit: u32| {
        stage.aws_ok(&[
            "apigatewayv2",
            "update-stage",
            "--api-id",
            &api,
            "--stage-name",
            "$default",
            "--default-route-settings",
            &format!("ThrottlingBurstLimit={limit},ThrottlingRateLimit={limit}"),
        ])
    };
    set(1);
    for _ in 0..10 {
        assert_eq!(stage.get("SHOP_URL", "/").status, 200);
    }
    set(10_000);
}

fn platform_lines(stage: &Stage) {
    let function = "shop-local-serve-shop";
    let configuration = stage.aws_json(&[
        "lambda",
        "get-function-configuration",
        "--function-name",
        function,
    ]);
    assert_eq!(configuration["LoggingConfig"]["LogFormat"], "JSON");
    assert_eq!(stage.get("SHOP_URL", "/").status, 200);
    let group = format!("/aws/lambda/{function}");
    eventually("the log has a line of Lambda's in text", || {
        let log = stage.aws_json(&["logs", "filter-log-events", "--log-group-name", &group]);
        let messages = log["events"].as_array().unwrap();
        let mut messages = messages
            .iter()
            .filter_map(|event| event["message"].as_str());
        messages
            .any(|message| message.starts_with("REPORT RequestId: "))
            .then_some(())
    });
}

fn memory_size(stage: &Stage) {
    let program = r#"
import os, urllib.request

api = os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    request = urllib.request.urlopen(api + "next")
    memory = b"x" * (256 << 20)
    answer = api + request.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
    urllib.request.urlopen(answer, str(len(memory)).encode()).read()
"#;
    let zip = NamedTempFile::new().unwrap();
    let mut writer = zip::ZipWriter::new(zip.as_file());
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer.start_file("bootstrap", options).unwrap();
    write!(writer, "#!{}{program}", python().display()).unwrap();
    writer.finish().unwrap();
    let role = stage.aws_json(&[
        "lambda",
        "get-function-configuration",
        "--function-name",
        "shop-local-serve-shop",
    ])["Role"]
        .take();
    stage.aws_ok(&[
        "lambda",
        "create-function",
        "--function-name",
        "large",
        "--runtime",
        "provided.al2023",
        "--handler",
        "bootstrap",
        "--role",
        role.as_str().unwrap(),
        "--memory-size",
        "128",
        "--zip-file",
        &format!("fileb://{}", zip.path().display()),
    ]);
    stage.aws_ok(&[
        "lambda",
        "wait",
        "function-active-v2",
        "--function-name",
        "large",
    ]);
    let answer = NamedTempFile::new().unwrap();
    let invoked = stage.aws_json(&[
        "lambda",
        "invoke",
        "--function-name",
        "large",
        answer.path().to_str().unwrap(),
    ]);
    assert_eq!(invoked["FunctionError"], Value::Null, "{invoked}");
    let answer = std::fs::read_to_string(answer.path()).unwrap();
    assert_eq!(answer, (256 << 20).to_string());
}

fn retry_pauses(stage: &Stage) {
    invoke_in_vain(stage, "file-photo");
    // The patience is less than AWS's first pause.
    eventually("the event in the failure queue", || {
        (stage.failed_events("file-photo") == 1).then_some(())
    });
}

fn queue_retry_pauses(stage: &Stage) {
    let url = stage.variable("PARCELS_QUEUE_URL");
    stage.aws_ok(&[
        "sqs",
        "send-message",
        "--queue-url",
        url,
        "--message-body",
        "no parcel",
    ]);
    // The patience is less than the queue's visibility timeout.
    eventually("the message in the failure queue", || {
        (stage.failed_events("pack-order") == 1).then_some(())
    });
}

fn failure_destinations(stage: &Stage) {
    let bucket = stage.variable("RECEIPTS_BUCKET_NAME");
    let destination = json!({"OnFailure": {"Destination": format!("arn:aws:s3:::{bucket}")}});
    stage.aws_ok(&[
        "lambda",
        "put-function-event-invoke-config",
        "--function-name",
        "shop-local-ship-order",
        "--maximum-retry-attempts",
        "0",
        "--destination-config",
        &destination.to_string(),
    ]);
    invoke_in_vain(stage, "ship-order");
    let port = port(stage.variable("AWS_ENDPOINT_URL"));
    let log = stage.directory().join(format!("emulator-{port}.log"));
    eventually("a line in the emulator's log", || {
        let log = std::fs::read_to_string(&log).unwrap();
        let line = "only queues and topics are destinations of the local stage";
        log.contains(line).then_some(())
    });
    assert_eq!(stage.keys("RECEIPTS_BUCKET_NAME"), BTreeSet::new());
}

fn tumbling_windows(stage: &Stage) {
    let table = stage.variable("ORDERS_TABLE_NAME");
    let table = stage.aws_json(&["dynamodb", "describe-table", "--table-name", table]);
    let stream = table["Table"]["LatestStreamArn"].as_str().unwrap();
    stage.aws_ok(&[
        "lambda",
        "create-event-source-mapping",
        "--function-name",
        "shop-local-ship-order",
        "--event-source-arn",
        stream,
        "--starting-position",
        "LATEST",
        "--tumbling-window-in-seconds",
        "10",
    ]);
    eventually("a warning in the stage's log", || {
        let line = "the local stage does not support TumblingWindowInSeconds";
        stage.log().contains(line).then_some(())
    });
}

fn queue(properties: &Value) -> Value {
    json!({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": properties}}})
}

fn stack_status(stage: &Stage, name: &str) -> Value {
    let stack = stage.aws_json(&["cloudformation", "describe-stacks", "--stack-name", name]);
    stack["Stacks"][0]["StackStatus"].clone()
}

fn schedule_targets(stage: &Stage) {
    let queue = "arn:aws:sqs:us-east-1:000000000000:parcels";
    let role = "arn:aws:iam::000000000000:role/scheduler";
    let create = ["scheduler", "create-schedule", "--name", "of-a-queue"];
    let when = ["--schedule-expression", "rate(1 hour)"];
    let window = ["--flexible-time-window", r#"{"Mode": "OFF"}"#];
    let target = json!({"Arn": queue, "RoleArn": role}).to_string();
    let target = ["--target", target.as_str()];
    stage.aws_ok(&[&create[..], &when, &window, &target].concat());
    eventually("a warning", || {
        let warning = "the local stage fires schedules of functions only";
        stage.log().contains(warning).then_some(())
    });
}

fn unknown_properties(stage: &Stage) {
    let (_template, url) = file(&queue(&json!({"NoSuchProperty": 1})));
    let name = "unknown-properties";
    let create = ["cloudformation", "create-stack", "--stack-name", name];
    stage.aws_ok(&[&create[..], &["--template-body", &url]].concat());
    eventually("the stack", || {
        (stack_status(stage, name) == "CREATE_COMPLETE").then_some(())
    });
}

fn kinesis_retries(stage: &Stage) {
    let stream = ["--stream-name", "retries"];
    stage.aws_ok(
        &[
            &["kinesis", "create-stream", "--shard-count", "1"],
            &stream[..],
        ]
        .concat(),
    );
    let described = eventually("the stream", || {
        let describe = ["kinesis", "describe-stream-summary"];
        let described = stage.aws_json(&[&describe[..], &stream].concat());
        let summary = &described["StreamDescriptionSummary"];
        (summary["StreamStatus"] == "ACTIVE").then(|| summary.clone())
    });
    let function = stage.physical_name("ship-order");
    let create = [
        "lambda",
        "create-event-source-mapping",
        "--function-name",
        &function,
    ];
    let source = [
        "--event-source-arn",
        described["StreamARN"].as_str().unwrap(),
        "--starting-position",
        "TRIM_HORIZON",
        "--maximum-retry-attempts",
        "1",
    ];
    let mapping = stage.aws_json(&[&create[..], &source].concat());
    let put = [
        "kinesis",
        "put-record",
        "--partition-key",
        "a",
        "--data",
        "e30=",
    ];
    stage.aws_ok(&[&put[..], &stream].concat());
    let logs = [
        "logs",
        "filter-log-events",
        "--filter-pattern",
        "InvalidEventError",
    ];
    let group = format!("/aws/lambda/{function}");
    eventually("one attempt more than there may be", || {
        let failures = stage.aws_json(&[&logs[..], &["--log-group-name", &group]].concat());
        (failures["events"].as_array()?.len() > 2).then_some(())
    });
    let uuid = mapping["UUID"].as_str().unwrap();
    stage.aws_ok(&["lambda", "delete-event-source-mapping", "--uuid", uuid]);
}

fn resource_types(stage: &Stage) {
    let type_of_aws = "AWS::Notifications::NotificationHub";
    let resource = json!({"Type": type_of_aws, "Properties": {"Region": "us-east-1"}});
    let (_template, url) = file(&json!({"Resources": {"Hub": resource}}));
    let create = ["cloudformation", "create-stack", "--stack-name", "types"];
    let error = stage.aws_error(&[&create[..], &["--template-body", &url]].concat());
    let unknown = format!("Unrecognized resource types: [{type_of_aws}]");
    assert!(error.contains(&unknown), "{error}");
}

fn stack_permissions(stage: &Stage) {
    let user = ["--user-name", "stacks-only"];
    stage.aws_ok(&[&["iam", "create-user"][..], &user].concat());
    let allowed = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}});
    let (_policy, policy) = file(&allowed);
    let put = ["iam", "put-user-policy", "--policy-name", "stacks"];
    stage.aws_ok(&[&put[..], &["--policy-document", &policy], &user].concat());
    let key = stage.aws_json(&[&["iam", "create-access-key"][..], &user].concat());
    let key = |field: &str| key["AccessKey"][field].as_str().unwrap().to_owned();
    let as_user = |arguments: &[&str]| {
        let mut command = stage.aws(arguments);
        command
            .env("AWS_ACCESS_KEY_ID", key("AccessKeyId"))
            .env("AWS_SECRET_ACCESS_KEY", key("SecretAccessKey"))
            .output()
            .unwrap()
    };
    assert!(
        !as_user(&["sqs", "create-queue", "--queue-name", "denied"])
            .status
            .success()
    );
    let (_template, url) = file(&queue(&json!({})));
    let name = "stack-permissions";
    let create = ["cloudformation", "create-stack", "--stack-name", name];
    let created = as_user(&[&create[..], &["--template-body", &url]].concat());
    assert!(created.status.success(), "{}", acceptance::both(&created));
    eventually("the stack", || {
        (stack_status(stage, name) == "CREATE_COMPLETE").then_some(())
    });
}

fn time_to_live(stage: &Stage) {
    // The template turns it on for this table.
    let table = stage.variable("ORDERS_TABLE_NAME");
    let described = stage.aws_json(&["dynamodb", "describe-time-to-live", "--table-name", table]);
    let status = &described["TimeToLiveDescription"]["TimeToLiveStatus"];
    assert_eq!(status, "DISABLED");
}

fn lifecycle_rules(stage: &Stage) {
    // The template has a rule for this bucket.
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let get = [
        "s3api",
        "get-bucket-lifecycle-configuration",
        "--bucket",
        bucket,
    ];
    let error = stage.aws_error(&get);
    assert!(error.contains("NoSuchLifecycleConfiguration"), "{error}");
}

fn key_length(stage: &Stage) {
    stage.upload(
        "PHOTOS_BUCKET_NAME",
        &"k".repeat(1025),
        &example().join("Cargo.toml"),
    );
}

fn public_objects(stage: &Stage) {
    let bucket = ["--bucket", "public-objects"];
    let s3 = |arguments: &[&str]| stage.aws_ok(&[&["s3api"], arguments, &bucket].concat());
    s3(&["create-bucket"]);
    s3(&["delete-public-access-block"]);
    let everybody = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::public-objects/*"}});
    s3(&["put-bucket-policy", "--policy", &everybody.to_string()]);
    s3(&["put-object", "--key", "object"]);
    let url = format!(
        "{}/public-objects/object",
        stage.variable("AWS_ENDPOINT_URL")
    );
    assert_eq!(http_get(&url).status, 403);
}

fn root_user(stage: &Stage) {
    let bucket = ["--bucket", "root-user"];
    let s3 = |arguments: &[&str]| stage.aws_ok(&[&["s3api"], arguments, &bucket].concat());
    s3(&["create-bucket"]);
    let nobody = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny",
        "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::root-user/*"}});
    s3(&["put-bucket-policy", "--policy", &nobody.to_string()]);
    s3(&["put-object", "--key", "object"]);
}

fn invoke_permissions(stage: &Stage) {
    let function = ["--function-name", "shop-local-serve-shop"];
    let policy = stage.aws_json(&[&["lambda", "get-policy"][..], &function].concat());
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        let statement = ["--statement-id", statement["Sid"].as_str().unwrap()];
        let remove = [&["lambda", "remove-permission"][..], &function, &statement].concat();
        stage.aws_ok(&remove);
    }
    assert_eq!(stage.get("SHOP_URL", "/").status, 200);
}
