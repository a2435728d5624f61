use crate::kind::TableAction;
use crate::testing::{Shop, complaints, complaints_on, shop};

fn assert_complaints(settings: &str, parts: &[&str]) {
    complaints(&shop().app, settings).are(parts);
}

#[test]
fn settings_of_a_stage_suit_aws() {
    assert_complaints(
        "region: Frankfurt, account: '123', endpoint_url: localhost, memory_mb: 1, timeout_seconds: 901",
        &[
            "has `region: Frankfurt`, which is not a region; write one like `eu-central-1`",
            "has `account: 123`, which is not an account ID",
            "has `endpoint_url: localhost`, which is not a URL",
            "asks for 1 MB of memory",
            "has a timeout of 901 s",
        ],
    );
    for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1"] {
        assert_complaints(&format!("region: {region}"), &[]);
    }
}

#[test]
fn settings_have_values_that_aws_takes() {
    for (settings, parts) in [
        ("memory_mb: {sell: 1}", &["asks for 1 MB of memory"][..]),
        ("reserved_concurrency: {sell: 0}", &[]),
        (
            "ephemeral_storage_mb: 100",
            &["asks for 100 MB of ephemeral storage"],
        ),
        (
            "log_level: {sel: debug}",
            &["has `log_level` for function `sel`, which the manifest does not declare"],
        ),
        (
            "express: true, production: true",
            &["is production and has `express: true`"],
        ),
        (
            "permissions_boundary: boundary",
            &["has `permissions_boundary: boundary`, which is not a policy"],
        ),
        (
            "permissions_boundary: 'arn:aws:iam::123456789012:role/x'",
            &["which is not a policy"],
        ),
        (
            "permissions_boundary: 'arn:aws:iam::aws:policy/PowerUserAccess', account: '123456789012'",
            &[],
        ),
        (
            "permissions_boundary: 'arn:aws:iam::123456789012:policy/x', account: '210987654321'",
            &["bounds roles of account 210987654321 by a policy of account 123456789012"],
        ),
        ("alarms: true, rollback_on_alarm_minutes: 180", &[]),
        ("alarms: true, canary: {percent: 1, minutes: 120}", &[]),
        (
            "canary: {percent: 100, minutes: 0}",
            &[
                "has a `canary` with `percent: 100`; set it to 1 to 99",
                "has a `canary` with `minutes: 0`; set it to 1 to 120",
                "has a `canary`, but no alarms",
            ],
        ),
        (
            "rollback_on_alarm_minutes: 181",
            &[
                "has `rollback_on_alarm_minutes: 181`; set it to 1 to 180",
                "has `rollback_on_alarm_minutes`, but no alarms; set `alarms`",
            ],
        ),
        (
            "alarms: topic",
            &["has `alarms: topic`, which is not an SNS topic"],
        ),
        (
            "alarms: 'arn:aws:sns:us-east-1:123456789012:alarms:4a5b'",
            &["which is not an SNS topic"],
        ),
        (
            "alarms: 'arn:aws:sns:us-east-1:123456789012:my alarms'",
            &["which is not an SNS topic"],
        ),
        ("alarms: yes", &["write its ARN"]),
        (
            "endpoint_url: \"http://127.0.0.1:4566\\n\"",
            &["which is not a URL"],
        ),
        (
            "alarms: 'arn:aws:sns:us-east-1:123456789012:alarms', region: eu-central-1",
            &["has alarms in eu-central-1 for a topic in us-east-1"],
        ),
        (
            "alarms: 'arn:aws-cn:sns:cn-north-1:123456789012:alarms'",
            &[],
        ),
    ] {
        assert_complaints(settings, parts);
    }
}

#[test]
fn settings_name_what_there_is() {
    let Shop {
        app,
        http_api,
        table,
        sell,
        ..
    } = shop();
    let table = table.variable("ORDERS_TABLE_NAME");
    sell.trigger(http_api.get("/orders"));
    let also = app.function("also").environment("GREETING", "hello");
    let yaml = "
dev:
  memory_mb: {sel: 512}
  timeout_seconds:
    sell: 20
    banana: 10
  reserved_concurrency:
    also: 1
    alsoo: 1
  environment:
    lower: x
    GREETING: bye
    ORDERS_TABLE_NAME: x
  authorization:
    shopp: iam
  throttling:
    shop:
      default: {rate: 1, burst: 1}
      GET /order: {rate: 1, burst: 1}
    carts:
      default: {rate: 1, burst: 1}
";
    complaints_on(&app, yaml).are(&[
        "stages.yaml:3: stage `dev` has `memory_mb` for function `sel`, which the manifest does not declare; did you mean `sell`?",
        "stages.yaml:6: stage `dev` has `timeout_seconds` for function `banana`, which the manifest does not declare; there are sell, also",
        "stages.yaml:9: stage `dev` has `reserved_concurrency` for function `alsoo`",
        "stages.yaml:11: stage `dev` has a variable `lower` that is not in UPPER_SNAKE_CASE",
        "stages.yaml:15: stage `dev` has `authorization` for HTTP API `shopp`, which the manifest does not declare; did you mean `shop`?",
        "stages.yaml:20: stage `dev` has `throttling` for HTTP API `carts`",
        "stages.yaml:19: stage `dev` has `throttling` for route `GET /order`, which the manifest does not declare; did you mean `GET /orders`?",
        "stages.yaml:12: stage `dev` sets the variable `GREETING`, which function `also` has from the app",
    ]);
    also.grant(table.allow([TableAction::GetItem]));
    complaints(&app, "environment: {ORDERS_TABLE_NAME: x}")
        .are(&["sets the variable `ORDERS_TABLE_NAME`, which function `also` has from the app"]);
}

#[test]
fn variables_of_a_stage_suit_aws_or_are_told_with_their_line() {
    let yaml = "
dev:
  environment:
    V: '3'
    X9: '3'
    AWS_LAMBDA_METADATA_API: here
    NUL: \"a\\0\"
    ESCAPE: \"\\e[1m\"
    NO_CHARACTER: \"\\uffff\"
    FINE: \"\\t\\r\\n\\N\\L\\x7f\\ufeff é\"
";
    complaints_on(&shop().app, yaml).are(&[
                "stages.yaml:6: stage `dev` has the variable `AWS_LAMBDA_METADATA_API`, which Lambda sets itself",
                "stages.yaml:8: stage `dev` has the variable `ESCAPE` with the character U+001B",
                "stages.yaml:9: stage `dev` has the variable `NO_CHARACTER` with the character U+FFFF",
                "stages.yaml:7: stage `dev` has the variable `NUL` with the character U+0000",
                "stages.yaml:4: stage `dev` has the variable `V`, whose name is too short",
            ]);
}

#[test]
fn a_canary_that_cloudformation_does_not_wait_for_is_told_with_its_line() {
    for minutes in ["121", "2880"] {
        let yaml =
            format!("dev:\n  alarms: true\n  canary:\n    percent: 10\n    minutes: {minutes}\n");
        complaints_on(&shop().app, &yaml).are(&[&format!(
                "stages.yaml:5: stage `dev` has a `canary` with `minutes: {minutes}`, but CloudFormation gives up the update of an alias after 120 minutes; set it to 1 to 120"
            )]);
    }
}

#[test]
fn tags_that_iam_takes_for_one_are_told_with_their_line() {
    let yaml = "
dev:
  tags:
    App: shop
    STAGE: x
    Owner: ann
    owner: ben
    OWNER: cid
    Größe: x
    GRÖSSE: x
    größe: x
";
    complaints_on(&shop().app, yaml).are(&[
                "stages.yaml:4: stage `dev` sets the tag `App`, which IAM takes for the `app` that every resource has already; remove it",
                "stages.yaml:6: stage `dev` sets the tags `OWNER` and `Owner`, which IAM treats as one tag; remove one",
                "stages.yaml:5: stage `dev` sets the tag `STAGE`, which IAM takes for the `stage`",
                "stages.yaml:11: stage `dev` sets the tags `Größe` and `größe`, which IAM treats as one tag",
                "stages.yaml:7: stage `dev` sets the tags `OWNER` and `owner`, which IAM treats as one tag",
            ]);
}

#[test]
fn tags_of_a_stage_suit_aws() {
    assert_complaints(
        "tags: {app: x, 'aws:x': x, '': x, 'a#b': x}",
        &[
            "has a tag `` that is too long or empty",
            "has a tag `a#b` with characters that AWS does not accept",
            "sets the tag `app`, which every resource has already",
            "sets the tag `aws:x`",
        ],
    );
    let many: Vec<String> = (0..49).map(|number| format!("t{number}: x")).collect();
    assert_complaints(
        &format!("tags: {{{}}}", many.join(", ")),
        &["has 49 tags; keep at most 48"],
    );
}

#[test]
fn the_bootstrap_stacks_name_is_taken() {
    complaints_on(&shop().app, "bootstrap:")
        .are(&["stage `bootstrap` has the name of the stack with the artifact bucket"]);
}
