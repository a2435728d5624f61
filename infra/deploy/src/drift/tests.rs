use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;
use crate::testing::*;
use review::{Access, Difference};

const DEPLOYED: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]}
      Policies:
        - PolicyName: work
          PolicyDocument: {Statement: [{Effect: Allow, Action: s3:GetObject, Resource: {"Fn::Sub": "${Bucket.Arn}/*"}}]}
  Gone: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Statement: []}}}
  Bucket: {Type: AWS::S3::Bucket}
"#;

const TRUST: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
const WORK: &str = r#"{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::app-dev-bucket/*"}]}"#;
const FIX: &str = r#"{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;

fn encoded(document: &str) -> String {
    utf8_percent_encode(document, NON_ALPHANUMERIC).to_string()
}

/// A stack with two roles, of which one is gone and the other has these inline policies.
fn stack_with_policies(policies: &[(&str, &str)]) -> Aws {
    const DONE: &str = "CREATE_COMPLETE";
    let resources = resources(&[
        ("Role", "app-dev-Role-1", ROLE, DONE, ""),
        ("Gone", "app-dev-Gone-1", ROLE, DONE, ""),
        ("Bucket", "app-dev-bucket", "AWS::S3::Bucket", DONE, ""),
    ]);
    let role = format!(
        "<Role><Path>/</Path><RoleName>app-dev-Role-1</RoleName><RoleId>AROA</RoleId><Arn>arn:aws:iam::123456789012:role/app-dev-Role-1</Arn>
  <CreateDate>2026-11-20T08:00:00Z</CreateDate><AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument></Role>",
        encoded(TRUST)
    );
    let names: Vec<String> = policies
        .iter()
        .map(|(name, _)| format!("<member>{name}</member>"))
        .collect();
    let documents = policies.iter().map(|(name, document)| {
        query(
            "GetRolePolicy",
            &format!(
                "<RoleName>app-dev-Role-1</RoleName><PolicyName>{name}</PolicyName><PolicyDocument>{}</PolicyDocument>",
                encoded(document)
            ),
        )
    });
    Aws::new()
        .on("DescribeStacks", [stack("UPDATE_COMPLETE")])
        .on("GetTemplate", [template(DEPLOYED)])
        .on("ListStackResources", [resources])
        .on_for("GetRole", "app-dev-Role-1", query("GetRole", &role))
        .on_for(
            "GetRole",
            "app-dev-Gone-1",
            query_error("NoSuchEntity", "gone"),
        )
        .on(
            "ListRolePolicies",
            [query(
                "ListRolePolicies",
                &format!(
                    "<PolicyNames>{}</PolicyNames><IsTruncated>false</IsTruncated>",
                    names.concat()
                ),
            )],
        )
        .on("GetRolePolicy", documents)
        .on(
            "ListAttachedRolePolicies",
            [query(
                "ListAttachedRolePolicies",
                "<AttachedPolicies/><IsTruncated>false</IsTruncated>",
            )],
        )
}

#[tokio::test]
async fn roles_are_compared_with_what_was_deployed() {
    let aws = stack_with_policies(&[("work", WORK)]);
    let found = roles_changed_by_hand(&aws.target(), STACK).await.unwrap();
    assert_eq!(found.access_changes, []);
    assert_eq!(found.gone, ["Gone"]);
    assert!(!found.is_empty());

    let aws = stack_with_policies(&[("quick-fix", FIX), ("work", WORK)]);
    let found = roles_changed_by_hand(&aws.target(), STACK).await.unwrap();
    let [change] = &found.access_changes[..] else {
        panic!("{found:?}");
    };
    assert_eq!(change.difference, Difference::Added);
    assert_eq!(change.access, Access::Broadened);
    assert_eq!(change.principal, "${Role}");
    assert_eq!(change.actions, ["s3:*"]);
}

#[tokio::test]
async fn no_stack_has_no_roles() {
    let aws = Aws::new().on("DescribeStacks", [no_stack()]);
    let found = roles_changed_by_hand(&aws.target(), STACK).await.unwrap();
    assert!(found.is_empty());
}

fn detection(status: &str, reason: &str) -> Answer {
    query(
        "DescribeStackDriftDetectionStatus",
        &format!(
            "<StackId>{STACK_ID}</StackId><StackDriftDetectionId>1</StackDriftDetectionId><DetectionStatus>{status}</DetectionStatus>
  <DetectionStatusReason>{reason}</DetectionStatusReason><Timestamp>2026-11-20T08:00:00Z</Timestamp>"
        ),
    )
}

fn detect() -> Answer {
    query(
        "DetectStackDrift",
        "<StackDriftDetectionId>1</StackDriftDetectionId>",
    )
}

#[tokio::test]
async fn drift_is_waited_for_and_told_with_both_values() {
    let aws = Aws::new()
        .on("DetectStackDrift", [detect()])
        .on(
            "DescribeStackDriftDetectionStatus",
            [
                detection("DETECTION_IN_PROGRESS", ""),
                detection("DETECTION_COMPLETE", ""),
            ],
        )
        .on(
            "DescribeStackResourceDrifts",
            [query(
                "DescribeStackResourceDrifts",
                &format!(
                    "<StackResourceDrifts>
  <member><StackId>{STACK_ID}</StackId><LogicalResourceId>Queue</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType>
    <StackResourceDriftStatus>MODIFIED</StackResourceDriftStatus><Timestamp>2026-11-20T08:00:00Z</Timestamp>
    <PropertyDifferences>
      <member><PropertyPath>/DelaySeconds</PropertyPath><ExpectedValue>0</ExpectedValue><ActualValue>60</ActualValue><DifferenceType>NOT_EQUAL</DifferenceType></member>
      <member><PropertyPath>/Tags/0</PropertyPath><ExpectedValue>null</ExpectedValue><ActualValue>x</ActualValue><DifferenceType>ADD</DifferenceType></member>
    </PropertyDifferences></member>
  <member><StackId>{STACK_ID}</StackId><LogicalResourceId>Api</LogicalResourceId><ResourceType>AWS::Lambda::Function</ResourceType>
    <StackResourceDriftStatus>DELETED</StackResourceDriftStatus><Timestamp>2026-11-20T08:00:00Z</Timestamp></member>
  <member><StackId>{STACK_ID}</StackId><LogicalResourceId>Topic</LogicalResourceId><ResourceType>AWS::SNS::Topic</ResourceType>
    <StackResourceDriftStatus>IN_SYNC</StackResourceDriftStatus><Timestamp>2026-11-20T08:00:00Z</Timestamp></member>
  <member><StackId>{STACK_ID}</StackId><LogicalResourceId>Odd</LogicalResourceId><ResourceType>AWS::Odd::One</ResourceType>
    <StackResourceDriftStatus>NOT_CHECKED</StackResourceDriftStatus><Timestamp>2026-11-20T08:00:00Z</Timestamp></member>
</StackResourceDrifts>"
                ),
            )],
        )
        .on(
            "ListStackResources",
            [resources(&[
                ("Api", "api", "AWS::Lambda::Function", "CREATE_COMPLETE", ""),
                ("Odd", "odd", "AWS::Odd::One", "CREATE_COMPLETE", ""),
                ("Queue", "queue", "AWS::SQS::Queue", "CREATE_COMPLETE", ""),
                ("Route", "route", "AWS::ApiGatewayV2::Route", "CREATE_COMPLETE", ""),
                ("Topic", "topic", "AWS::SNS::Topic", "CREATE_COMPLETE", ""),
            ])],
        );
    let drift = detect_drift(&aws.target(), STACK).await.unwrap();
    let not_compared: Vec<&str> = drift.not_compared.iter().map(String::as_str).collect();
    assert_eq!(not_compared, ["AWS::ApiGatewayV2::Route", "AWS::Odd::One"]);
    let [api, queue] = &drift.drifted[..] else {
        panic!("{drift:?}");
    };
    assert_eq!((api.logical_id.as_str(), api.deleted), ("Api", true));
    let change = |path: &str, before: Option<&str>, after: &str| PropertyChange {
        path: path.to_owned(),
        before: before.map(str::to_owned),
        after: Some(after.to_owned()),
    };
    assert_eq!(
        queue.property_changes,
        [
            change("DelaySeconds", Some("0"), "60"),
            change("Tags.0", None, "x"),
        ]
    );
    assert_eq!(aws.calls("DescribeStackDriftDetectionStatus").len(), 2);
}

#[tokio::test]
async fn a_detection_that_fails_is_an_error_with_its_reason() {
    let aws = Aws::new().on("DetectStackDrift", [detect()]).on(
        "DescribeStackDriftDetectionStatus",
        [detection("DETECTION_FAILED", "no rights")],
    );
    let error = detect_drift(&aws.target(), STACK).await.unwrap_err();
    assert_eq!(error.why(), Some("no rights"));
}
