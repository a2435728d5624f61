//! What must hold for the deployment policies of every stage.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::{BTreeMap, BTreeSet};

use manifest::{App, Removal};
use serde_json::{Value, json};

mod example;

use example::{apps, resolve};

/// The statements of all policies.
fn statements(app: &App) -> Vec<Value> {
    let documents = app.deployer_policies();
    let policies = documents
        .documents()
        .map(|document| serde_json::from_str::<Value>(&document).unwrap());
    policies
        .flat_map(|policy| policy["Statement"].as_array().unwrap().clone())
        .collect()
}

/// Resources and condition by action.
fn grants(app: &App) -> BTreeMap<String, Vec<(Vec<String>, Value)>> {
    let mut grants: BTreeMap<String, Vec<(Vec<String>, Value)>> = BTreeMap::new();
    for statement in statements(app) {
        assert_eq!(statement["Effect"], "Allow");
        let resources = match &statement["Resource"] {
            Value::Array(resources) => resources.iter().map(text).collect(),
            resource => vec![text(resource)],
        };
        for action in statement["Action"].as_array().unwrap() {
            let condition = statement["Condition"].clone();
            let grant = (resources.clone(), condition);
            grants.entry(text(action)).or_default().push(grant);
        }
    }
    grants
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn resources<'a>(
    grants: &'a BTreeMap<String, Vec<(Vec<String>, Value)>>,
    action: &str,
) -> Vec<&'a str> {
    let of_action = grants.get(action).into_iter().flatten();
    of_action
        .flat_map(|(resources, _)| resources.iter().map(String::as_str))
        .collect()
}

#[test]
fn every_type_of_resource_can_be_created_and_deleted() {
    for app in apps() {
        let template: Value = serde_yaml::from_str(&app.synth().template).unwrap();
        let grants = grants(&app);
        let types: BTreeSet<String> = template["Resources"]
            .as_object()
            .unwrap()
            .values()
            .map(|resource| text(&resource["Type"]))
            .collect();
        for resource_type in types {
            let (create, delete) = match resource_type.as_str() {
                "AWS::ApiGatewayV2::Api"
                | "AWS::ApiGatewayV2::Authorizer"
                | "AWS::ApiGatewayV2::Integration"
                | "AWS::ApiGatewayV2::Route"
                | "AWS::ApiGatewayV2::Stage" => ("apigateway:POST", "apigateway:DELETE"),
                "AWS::CloudWatch::Alarm" => {
                    ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms")
                }
                "AWS::CloudWatch::CompositeAlarm" => {
                    ("cloudwatch:PutCompositeAlarm", "cloudwatch:DeleteAlarms")
                }
                "AWS::CodeDeploy::Application" => (
                    "codedeploy:CreateApplication",
                    "codedeploy:DeleteApplication",
                ),
                "AWS::CodeDeploy::DeploymentConfig" => (
                    "codedeploy:CreateDeploymentConfig",
                    "codedeploy:DeleteDeploymentConfig",
                ),
                "AWS::CodeDeploy::DeploymentGroup" => (
                    "codedeploy:CreateDeploymentGroup",
                    "codedeploy:DeleteDeploymentGroup",
                ),
                "AWS::DynamoDB::Table" => ("dynamodb:CreateTable", "dynamodb:DeleteTable"),
                "AWS::IAM::Role" => ("iam:CreateRole", "iam:DeleteRole"),
                "AWS::Lambda::Alias" => ("lambda:CreateAlias", "lambda:DeleteAlias"),
                "AWS::Lambda::Version" => ("lambda:PublishVersion", "lambda:DeleteFunction"),
                "AWS::Lambda::EventInvokeConfig" => (
                    "lambda:PutFunctionEventInvokeConfig",
                    "lambda:DeleteFunctionEventInvokeConfig",
                ),
                "AWS::Lambda::EventSourceMapping" => (
                    "lambda:CreateEventSourceMapping",
                    "lambda:DeleteEventSourceMapping",
                ),
                "AWS::Lambda::Function" => ("lambda:CreateFunction", "lambda:DeleteFunction"),
                "AWS::Lambda::Permission" => ("lambda:AddPermission", "lambda:RemovePermission"),
                "AWS::Lambda::Url" => (
                    "lambda:CreateFunctionUrlConfig",
                    "lambda:DeleteFunctionUrlConfig",
                ),
                "AWS::Logs::LogGroup" => ("logs:CreateLogGroup", "logs:DeleteLogGroup"),
                "AWS::S3::Bucket" => ("s3:CreateBucket", "s3:DeleteBucket"),
                "AWS::S3::BucketPolicy" => ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
                "AWS::SNS::Subscription" => ("sns:Subscribe", "sns:Unsubscribe"),
                "AWS::SNS::Topic" => ("sns:CreateTopic", "sns:DeleteTopic"),
                "AWS::SNS::TopicPolicy" => ("sns:SetTopicAttributes", "sns:SetTopicAttributes"),
                "AWS::SQS::Queue" => ("sqs:CreateQueue", "sqs:DeleteQueue"),
                "AWS::SQS::QueuePolicy" => ("sqs:SetQueueAttributes", "sqs:SetQueueAttributes"),
                "AWS::Scheduler::Schedule" => {
                    ("scheduler:CreateSchedule", "scheduler:DeleteSchedule")
                }
                "AWS::Events::EventBus" => ("events:CreateEventBus", "events:DeleteEventBus"),
                "AWS::Events::Rule" => ("events:PutRule", "events:DeleteRule"),
                unheard_of => panic!("what does it take to create {unheard_of}?"),
            };
            assert!(grants.contains_key(create), "{create} is missing");
            let keeps = app.stage().removal == Removal::Retain && delete == "dynamodb:DeleteTable";
            assert_eq!(grants.contains_key(delete), !keeps, "{delete}");
        }
    }
}

#[test]
fn actions_are_single_and_only_those_without_a_resource_are_for_all() {
    const WITHOUT_A_RESOURCE: [&str; 17] = [
        "cloudformation:BatchDescribeTypeConfigurations",
        "cloudformation:DescribeStackDriftDetectionStatus",
        // Of composite alarms, which every setting has.
        "cloudwatch:DescribeAlarms",
        "codedeploy:StopDeployment",
        "lambda:CreateEventSourceMapping",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeIndexPolicies",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "sns:GetSubscriptionAttributes",
        "sns:Unsubscribe",
        "ssm:DescribeParameters",
    ];
    for app in apps() {
        for (action, grants) in grants(&app) {
            assert!(!action.contains('*'), "{action}");
            let for_all = WITHOUT_A_RESOURCE.contains(&action.as_str());
            for (resources, _) in grants {
                assert_eq!(resources.contains(&"*".to_owned()), for_all, "{action}");
            }
        }
    }
}

/// What a deployment needs is asked of IAM before it begins, what other verbs need is not.
#[test]
fn a_deployment_needs_all_but_what_other_verbs_need() {
    for app in apps() {
        let sids = |policies: Vec<Value>| -> BTreeSet<String> {
            let statements = policies
                .iter()
                .flat_map(|policy| policy["Statement"].as_array().unwrap());
            statements
                .map(|statement| text(&statement["Sid"]))
                .collect()
        };
        let whole: Vec<Value> = serde_json::from_str(&app.deployer_policies().array()).unwrap();
        let needed = serde_json::from_str(&app.deployment_policy()).unwrap();
        let others: Vec<String> = sids(whole)
            .difference(&sids(vec![needed]))
            .cloned()
            .collect();
        let mut expected = vec![
            "DeleteStacks",
            "EmptyBuckets",
            "FindDrift",
            "FollowDriftDetection",
            "InvokeFunctions",
            "ReadLogs",
            "RedriveFailures",
            "RedriveStreams",
        ];
        if !others.contains(&"EmptyBuckets".to_owned()) {
            expected.retain(|sid| *sid != "EmptyBuckets");
        }
        assert_eq!(others, expected);
    }
}

#[test]
fn resources_are_those_of_the_stack() {
    let app = &resolve("beta: {region: eu-central-1, account: '123456789012'}")[0];
    let grants = grants(app);
    for (action, expected) in [
        (
            "cloudformation:ExecuteChangeSet",
            vec![
                "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop-beta/*",
                "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop-bootstrap/*",
            ],
        ),
        (
            "lambda:UpdateFunctionCode",
            vec!["arn:aws:lambda:eu-central-1:123456789012:function:shop-beta-*"],
        ),
        (
            "iam:CreateRole",
            vec!["arn:aws:iam::123456789012:role/shop-beta-*"],
        ),
        (
            "s3:PutObject",
            vec!["arn:aws:s3:::shop-bootstrap-*/shop/beta/*"],
        ),
        (
            "logs:FilterLogEvents",
            vec!["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/shop-beta-*"],
        ),
        (
            "dynamodb:DeleteTable",
            vec!["arn:aws:dynamodb:eu-central-1:123456789012:table/shop-beta-*"],
        ),
        (
            "apigateway:PATCH",
            vec![
                "arn:aws:apigateway:eu-central-1::/apis",
                "arn:aws:apigateway:eu-central-1::/apis/*",
                "arn:aws:apigateway:eu-central-1::/tags/*",
            ],
        ),
    ] {
        assert_eq!(resources(&grants, action), expected);
    }
    let passed: Vec<&Value> = grants["iam:PassRole"]
        .iter()
        .map(|(_, condition)| &condition["StringEquals"]["iam:PassedToService"])
        .collect();
    assert_eq!(
        passed,
        [
            &json!("scheduler.amazonaws.com"),
            &json!(["lambda.amazonaws.com"])
        ]
    );
    assert_eq!(
        grants["lambda:CreateEventSourceMapping"][0].1,
        json!({"ArnLike": {"lambda:FunctionArn":
            "arn:aws:lambda:eu-central-1:123456789012:function:shop-beta-*"
        }})
    );
}

#[test]
fn what_a_stage_does_not_tell_is_open_and_partitions_are_known() {
    for (settings, function) in [
        ("", "arn:aws:lambda:*:*:function:shop-beta-*"),
        (
            "region: cn-north-1",
            "arn:aws-cn:lambda:cn-north-1:*:function:shop-beta-*",
        ),
        (
            "region: us-gov-west-1",
            "arn:aws-us-gov:lambda:us-gov-west-1:*:function:shop-beta-*",
        ),
    ] {
        let app = &resolve(&format!("beta: {{{settings}}}"))[0];
        assert_eq!(resources(&grants(app), "lambda:CreateFunction"), [function]);
    }
}

#[test]
fn where_data_stays_it_cannot_be_deleted() {
    let retained = &resolve("beta: {removal: retain}")[0];
    let deleted = &resolve("beta: {removal: delete, production: true}")[0];
    let objects = "arn:aws:s3:::shop-beta-*/*";
    let (retained, deleted) = (grants(retained), grants(deleted));
    assert!(!retained.contains_key("dynamodb:DeleteTable"));
    assert!(deleted.contains_key("dynamodb:DeleteTable"));
    for action in ["s3:DeleteObject", "s3:DeleteObjectVersion"] {
        assert!(!resources(&retained, action).contains(&objects));
        assert!(resources(&deleted, action).contains(&objects));
    }
}

#[test]
fn roles_are_made_within_the_boundary_only() {
    let boundary = "arn:aws:iam::123456789012:policy/boundary";
    let bounded = &resolve(&format!("beta: {{permissions_boundary: '{boundary}'}}"))[0];
    let bounded = grants(bounded);
    for action in [
        "iam:CreateRole",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    ] {
        assert_eq!(bounded[action].len(), 1);
        assert_eq!(
            bounded[action][0].1,
            json!({"StringEquals": {"iam:PermissionsBoundary": boundary}})
        );
    }
    assert!(!bounded.contains_key("iam:DeleteRolePermissionsBoundary"));
    let unbounded = grants(&resolve("beta:")[0]);
    assert!(unbounded["iam:CreateRole"][0].1.is_null());
}

#[test]
fn the_first_http_api_of_an_account_brings_a_role() {
    let app = &resolve("beta: {account: '123456789012'}")[0];
    assert_eq!(
        grants(app)["iam:CreateServiceLinkedRole"],
        [(
            vec!["arn:aws:iam::123456789012:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway".to_owned()],
            json!({"StringEquals": {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}})
        )]
    );
}

#[test]
fn a_boundary_that_the_stage_no_longer_has_is_taken_off_the_roles() {
    let unbounded = grants(&resolve("beta:")[0]);
    for action in [
        "iam:DeleteRolePermissionsBoundary",
        // The update is rolled back.
        "iam:PutRolePermissionsBoundary",
    ] {
        assert_eq!(
            resources(&unbounded, action),
            ["arn:aws:iam::*:role/shop-beta-*"]
        );
        assert!(unbounded[action][0].1.is_null());
    }
}

/// A stage whose name makes the stack's name so long. 33 is the most that the buckets' names allow.
fn of_stack_length(length: usize) -> App {
    let stage = "s".repeat(length - "shop-".len());
    resolve(&format!(
        "{stage}: {{account: '123456789012', region: us-east-1}}"
    ))
    .remove(0)
}

/// Whether a pattern with `*` matches.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|skipped| matches(rest, &text[skipped..]))),
    }
}

#[test]
fn names_that_cloudformation_cuts_are_within_reach() {
    for length in 13..=33 {
        let app = of_stack_length(length);
        let grants = grants(&app);
        let template: Value = serde_yaml::from_str(&app.synth().template).unwrap();
        for (kind, longest, arn, actions) in [
            (
                "AWS::IAM::Role",
                64,
                "arn:aws:iam::123456789012:role/",
                &["iam:CreateRole", "iam:DeleteRole", "iam:PassRole"][..],
            ),
            (
                "AWS::SQS::Queue",
                80,
                "arn:aws:sqs:us-east-1:123456789012:",
                &["sqs:CreateQueue", "sqs:ReceiveMessage"],
            ),
        ] {
            let resources_of_template = template["Resources"].as_object().unwrap();
            let of_kind = resources_of_template
                .iter()
                .filter(|(_, resource)| resource["Type"] == kind);
            for ((logical_id, _), random) in of_kind
                .flat_map(|one| ["aB3dE5fG7hI9", "1A2B3C4D5E6F7"].map(|random| (one, random)))
            {
                let stack = app.stack_name();
                let room = longest - 2 - logical_id.len() - random.len();
                let stack = &stack[..stack.len().min(room)];
                let name = format!("{arn}{stack}-{logical_id}-{random}");
                for action in actions {
                    let patterns = resources(&grants, action);
                    assert!(
                        patterns.iter().any(|pattern| matches(pattern, &name)),
                        "{action} on {name}: {patterns:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn only_names_that_are_cut_are_within_reach_by_less_than_the_stacks() {
    let role = "arn:aws:iam::123456789012:role";
    let uncut = of_stack_length(26);
    let stack = uncut.stack_name();
    assert_eq!(
        resources(&grants(&uncut), "iam:CreateRole"),
        [format!("{role}/{stack}-*")]
    );
    // One character more, and the longest names are cut.
    let cut = grants(&of_stack_length(27));
    let patterns = resources(&cut, "iam:CreateRole");
    assert!(
        patterns.contains(&&*format!("{role}/{stack}s-*")),
        "{patterns:?}"
    );
    assert!(
        patterns.contains(&&*format!("{role}/{stack}*-NotifyOrderShippersRole-*")),
        "{patterns:?}"
    );
    let alien = format!("{role}/{stack}-Administrator-aB3dE5fG7hI9");
    assert!(!patterns.iter().any(|pattern| matches(pattern, &alien)));
}

#[test]
fn each_fits_into_a_managed_policy_and_a_role_takes_them_all() {
    /// In characters that are not white space.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
    const MANAGED_POLICY_MAX: usize = 6_144;
    const MANAGED_POLICIES_OF_A_ROLE_MAX: usize = 10;
    let long_names = (13..=33).map(of_stack_length);
    for app in apps().into_iter().chain(long_names) {
        let stage = &app.stage().name;
        let policies = app.deployer_policies();
        for policy in policies.documents() {
            let size = policy.split_whitespace().map(str::len).sum::<usize>();
            assert!(size <= MANAGED_POLICY_MAX, "stage {stage}: {size}");
        }
        assert!(policies.documents().len() <= MANAGED_POLICIES_OF_A_ROLE_MAX);
    }
}

#[test]
fn the_array_is_of_the_documents() {
    for app in apps() {
        let policies = app.deployer_policies();
        let array: Vec<Value> = serde_json::from_str(&policies.array()).unwrap();
        let documents: Vec<Value> = policies
            .documents()
            .map(|document| serde_json::from_str(&document).unwrap())
            .collect();
        assert_eq!(array, documents);
    }
}

#[test]
fn sids_are_unique() {
    for app in apps() {
        let statements = statements(&app);
        let sids: Vec<String> = statements
            .iter()
            .map(|statement| text(&statement["Sid"]))
            .collect();
        let unique: BTreeSet<&String> = sids.iter().collect();
        assert_eq!(unique.len(), sids.len(), "{sids:?}");
    }
}
