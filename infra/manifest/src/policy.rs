//! IAM policy documents: what each function may do, and who may reach a resource.
//!
//! The same document goes into the template and into `policies/`: resources are
//! CloudFormation expressions, so it holds for every stage, account and region.

use serde_json::{Value, json};

use crate::cloudformation::{attribute, reference, sub};
use crate::declare::{BucketAction, Grant, Handle, ItemChanges, Publisher, TableAction};
use crate::name;
use crate::resolve::Function;

/// Everything that `function` may do.
pub(crate) fn document(function: &Function) -> Value {
    let mut statements = vec![allow(
        "WriteOwnLogs",
        &[
            "logs:CreateLogStream".to_owned(),
            "logs:PutLogEvents".to_owned(),
        ],
        // Not `Fn::GetAtt`: whether that ends in `:*` depends on who implements it.
        &sub(&format!(
            "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{}}}:*",
            function.logical_id("LogGroup")
        )),
    )];
    if function.has_failure_queue() {
        statements.push(allow(
            "KeepFailedEvents",
            &["sqs:SendMessage".to_owned()],
            &attribute(&function.logical_id("FailureQueue"), "Arn"),
        ));
    }
    let streams = function.item_changes();
    statements.extend(streams.flat_map(|(_, changes)| stream_statements(changes)));
    statements.extend(function.grants().flat_map(statements_of));
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// What Lambda does by a function's role to trace it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html>
pub(crate) const TRACING_ACTIONS: [&str; 2] = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

/// What a function that is traced may do besides its own work. A policy of its own, as it
/// depends on the stage and [`document`] does not.
pub(crate) fn tracing() -> Value {
    let trace = allow("Trace", &TRACING_ACTIONS.map(str::to_owned), &json!("*"));
    json!({"Version": "2012-10-17", "Statement": [trace]})
}

/// Denies `action` on `resources` to whoever does not come over TLS.
pub(crate) fn tls_only(action: &str, resources: &Value) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": action,
            "Resource": resources,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })
}

/// What CodeDeploy may do: move the functions' aliases while it looks at alarms.
/// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html>
pub(crate) fn canary() -> Value {
    let functions = sub(&format!(
        "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{}",
        name::function("*")
    ));
    let alias = ["GetAlias", "GetProvisionedConcurrencyConfig", "UpdateAlias"]
        .map(|action| format!("lambda:{action}"));
    let alarms = "cloudwatch:DescribeAlarms".to_owned();
    json!({
        "Version": "2012-10-17",
        "Statement": [
            allow("MoveAliases", &alias, &functions),
            allow("WatchAlarms", &[alarms], &json!("*")),
        ],
    })
}

/// Lets an AWS service, and nothing else, assume a role.
pub(crate) fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": principal(service)},
            "Action": "sts:AssumeRole",
        }],
    })
}

/// Lets a publisher's service assume its role, for this account's resources only.
///
/// AWS documents the two conditions, and that for stored videos the account alone will
/// do: their jobs have no ARN that Rekognition promises to send. Hence `IfExists`,
/// which admits no other account's ARN and does not insist on one.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/cross-service-confused-deputy-prevention.html>
pub(crate) fn publisher_trust(publisher: &Publisher) -> Value {
    let service = publisher.service;
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": principal(service)},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
                "ArnLikeIfExists": {"aws:SourceArn": sub(&format!(
                    "arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:*"
                ))},
            },
        }],
    })
}

/// Everything that a publisher's service may do by its role. The key that encrypts the
/// topic is used by SNS, not by the role: see [`crate::synth`].
pub(crate) fn publisher_document(publisher: &Publisher) -> Value {
    let topic = Handle::Topic(publisher.topic.clone()).logical_id();
    let publish = allow(&topic, &["sns:Publish".to_owned()], &reference(&topic));
    json!({"Version": "2012-10-17", "Statement": [publish]})
}

fn principal(service: &str) -> String {
    format!("{service}.amazonaws.com")
}

fn statements_of(grant: &Grant) -> Vec<Value> {
    match grant {
        Grant::Bucket { bucket, actions } => {
            let handle = Handle::Bucket(bucket.clone());
            let (on_bucket, on_objects): (Vec<BucketAction>, Vec<BucketAction>) = actions
                .iter()
                .copied()
                .partition(|action| matches!(action, BucketAction::ListBucket));
            let arn = name::bucket_arn(bucket);
            [
                (handle.logical_id(), on_bucket, sub(&arn)),
                (
                    format!("{}Objects", handle.logical_id()),
                    on_objects,
                    sub(&format!("{arn}/*")),
                ),
            ]
            .into_iter()
            .filter(|(_, actions, _)| !actions.is_empty())
            .map(|(sid, actions, resource)| {
                let actions = sorted(actions.into_iter().map(BucketAction::iam_action));
                allow(&sid, &actions, &resource)
            })
            .collect()
        }
        Grant::Table { table, actions } => {
            let logical_id = Handle::Table(table.clone()).logical_id();
            let actions = sorted(actions.iter().copied().map(TableAction::iam_action));
            vec![allow(&logical_id, &actions, &attribute(&logical_id, "Arn"))]
        }
        Grant::PassRole { topic, service } => {
            let logical_id = Handle::Publisher(topic.clone()).logical_id();
            let mut statement = allow(
                &format!("Pass{logical_id}"),
                &["iam:PassRole".to_owned()],
                &attribute(&logical_id, "Arn"),
            );
            statement["Condition"] =
                json!({"StringEquals": {"iam:PassedToService": principal(service)}});
            vec![statement]
        }
        Grant::Unscoped { action, .. } => {
            let (service, verb) = action.split_once(':').unwrap_or_default();
            let sid = format!("{}{verb}", name::pascal_case(service));
            vec![allow(&sid, std::slice::from_ref(action), &json!("*"))]
        }
    }
}

/// What Lambda does by the function's role to read a table's stream, and not its items.
/// Streams are listed by table.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html>
fn stream_statements(changes: &ItemChanges) -> [Value; 2] {
    let table = Handle::Table(changes.table.clone()).logical_id();
    let read = ["DescribeStream", "GetRecords", "GetShardIterator"]
        .map(|action| format!("dynamodb:{action}"));
    [
        allow(
            &format!("Read{table}Stream"),
            &read,
            &attribute(&table, "StreamArn"),
        ),
        allow(
            &format!("List{table}Streams"),
            &["dynamodb:ListStreams".to_owned()],
            &sub(&format!("${{{table}.Arn}}/stream/*")),
        ),
    ]
}

fn sorted(actions: impl Iterator<Item = String>) -> Vec<String> {
    let mut actions: Vec<String> = actions.collect();
    actions.sort();
    actions
}

fn allow(sid: &str, actions: &[String], resource: &Value) -> Value {
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{Bucket, ItemChange, Table, Topic};

    #[test]
    fn a_bucket_and_its_objects_are_different_resources() {
        let grant = Bucket::new("media").allow([
            BucketAction::PutObject,
            BucketAction::ListBucket,
            BucketAction::GetObject,
        ]);
        let arn =
            "arn:${AWS::Partition}:s3:::${AWS::StackName}-media-${AWS::AccountId}-${AWS::Region}";
        assert_eq!(
            statements_of(&grant),
            [
                json!({
                    "Sid": "MediaBucket",
                    "Effect": "Allow",
                    "Action": ["s3:ListBucket"],
                    "Resource": {"Fn::Sub": arn},
                }),
                json!({
                    "Sid": "MediaBucketObjects",
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:PutObject"],
                    "Resource": {"Fn::Sub": format!("{arn}/*")},
                }),
            ]
        );
    }

    #[test]
    fn actions_come_in_one_order_whatever_the_declarations() {
        let table = Table::new("media-state", "name");
        assert_eq!(
            statements_of(&table.allow([TableAction::PutItem, TableAction::GetItem])),
            statements_of(&table.allow([TableAction::GetItem, TableAction::PutItem])),
        );
    }

    #[test]
    fn a_stream_is_read_without_its_table() {
        let changes = Table::new("orders", "id").item_changes([ItemChange::Insert]);
        assert_eq!(
            stream_statements(&changes),
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
    fn a_role_is_passed_to_its_service_only() {
        let publisher = Topic::new("video").publisher("rekognition");
        assert_eq!(
            statements_of(&publisher.pass()),
            [json!({
                "Sid": "PassVideoPublisherRole",
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": {"Fn::GetAtt": ["VideoPublisherRole", "Arn"]},
                "Condition": {
                    "StringEquals": {"iam:PassedToService": "rekognition.amazonaws.com"},
                },
            })]
        );
    }

    #[test]
    fn only_an_unscoped_grant_covers_every_resource() {
        let grant = Grant::unscoped("rekognition:DetectLabels", "no ARN");
        assert_eq!(
            statements_of(&grant),
            [json!({
                "Sid": "RekognitionDetectLabels",
                "Effect": "Allow",
                "Action": ["rekognition:DetectLabels"],
                "Resource": "*",
            })]
        );
    }
}
