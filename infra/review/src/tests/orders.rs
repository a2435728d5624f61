//! The template of a whole stage.

use serde_json::{Value, json};

use super::{compare, line};
use crate::Access;

/// A production stage of an app of two functions, as `manifest` renders it.
const TEMPLATE: &str = include_str!("orders.yaml");

fn deployed() -> Value {
    serde_yaml::from_str(TEMPLATE).unwrap()
}

/// The statement of the API's role that lets it read the orders table.
fn reads_orders(template: &mut Value) -> &mut Value {
    let policies = &mut template["Resources"]["OrdersApiRole"]["Properties"]["Policies"];
    policies[0]["PolicyDocument"]["Statement"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|statement| statement["Resource"] == json!({"Fn::GetAtt": ["OrdersTable", "Arn"]}))
        .unwrap()
}

fn changed(change: impl FnOnce(&mut Value)) -> (Access, Vec<String>) {
    let mut after = deployed();
    change(&mut after);
    // What is deployed is YAML, and this is JSON.
    let review = compare(TEMPLATE, &after.to_string());
    (
        review.access,
        review.access_changes.iter().map(line).collect(),
    )
}

#[test]
fn nothing_changes_by_itself() {
    assert_eq!(changed(|_| {}), (Access::Unchanged, vec![]));
}

#[test]
fn a_grant_is_added() {
    assert_eq!(
        changed(|template| {
            let actions = reads_orders(template)["Action"].as_array_mut().unwrap();
            actions.push(json!("dynamodb:DeleteItem"));
        }),
        (
            Access::Broadened,
            vec![
                "+! Allow ${OrdersApiRole}: dynamodb:DeleteItem on ${OrdersTable.Arn} [OrdersApiRole]"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn a_grant_is_removed() {
    assert_eq!(
        changed(|template| {
            let actions = reads_orders(template)["Action"].as_array_mut().unwrap();
            actions.retain(|action| action != "dynamodb:Scan");
        }),
        (
            Access::Narrowed,
            vec![
                "- Allow ${OrdersApiRole}: dynamodb:Scan on ${OrdersTable.Arn} [OrdersApiRole]"
                    .to_owned()
            ]
        )
    );
}

#[test]
fn a_condition_goes() {
    let (access, lines) = changed(|template| {
        let role = &mut template["Resources"]["ReportPublisherRole"]["Properties"];
        let trust = &mut role["AssumeRolePolicyDocument"]["Statement"][0];
        trust["Condition"]
            .as_object_mut()
            .unwrap()
            .remove("StringEquals");
    });
    assert_eq!(access, Access::Broadened);
    let source = "if ArnLikeIfExists aws:SourceArn arn:${AWS::Partition}:textract:${AWS::Region}:${AWS::AccountId}:*";
    let subject = "Service: textract.amazonaws.com: sts:AssumeRole on ${ReportPublisherRole.Arn}";
    assert_eq!(
        lines,
        [
            format!("+! Allow {subject} {source} [ReportPublisherRole]"),
            format!(
                "-= Allow {subject} {source} if StringEquals aws:SourceAccount ${{AWS::AccountId}} [ReportPublisherRole]"
            ),
        ]
    );
}

#[test]
fn removing_a_function_with_its_queue_broadens_nothing() {
    let (access, lines) = changed(|template| {
        let resources = template["Resources"].as_object_mut().unwrap();
        resources.retain(|id, _| !id.contains("AddReport"));
    });
    assert_eq!(access, Access::Narrowed, "{lines:#?}");
    assert!(lines.len() > 3);
}

#[test]
fn production_without_its_bucket_policy_is_broadened() {
    let mut after = deployed();
    let resources = after["Resources"].as_object_mut().unwrap();
    resources.remove("OrdersBucket");
    resources.remove("OrdersBucketPolicy");
    let review = compare(TEMPLATE, &after.to_string());
    // The bucket is retained, without what refused plain HTTP.
    assert_eq!(
        review.access_changes.iter().map(line).collect::<Vec<_>>(),
        [
            "-! Deny *: s3:* on ${OrdersBucket.Arn} if Bool aws:SecureTransport false [OrdersBucketPolicy]",
            "-! Deny *: s3:* on ${OrdersBucket.Arn}/* if Bool aws:SecureTransport false [OrdersBucketPolicy]",
        ]
    );
}
