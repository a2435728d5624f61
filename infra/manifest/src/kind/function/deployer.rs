//! The permissions that deploying functions needs: for functions, and for the resources of each.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::deployer::{Deployer, OfService, Statement, one_or_more};

/// The longest name of a queue.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
const QUEUE_NAME_MAX: usize = 80;
/// The end of a FIFO queue's name, which counts.
const FIFO_SUFFIX: &str = ".fifo";

/// Roles, but for what gives them permissions.
const ROLE: &[&str] = &[
    "DeleteRole",
    "DeleteRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListRolePolicies",
    "TagRole",
    "UntagRole",
    "UpdateAssumeRolePolicy",
];

/// What gives roles permissions. A stage that had a permissions boundary takes it off its roles,
/// and puts it back if the update is rolled back.
const EMPOWER_ROLE: &[&str] = &[
    "CreateRole",
    "DeleteRolePermissionsBoundary",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
];

/// What gives roles permissions within a boundary. Whoever can take a boundary off a role gets
/// whatever its policies allow beyond the boundary.
const EMPOWER_BOUNDED_ROLE: &[&str] =
    &["CreateRole", "PutRolePermissionsBoundary", "PutRolePolicy"];

/// Without event source mappings, which are resources of their own in IAM, too. A stage that had
/// reserved concurrency takes it off its functions, and puts it back if the update is rolled back. So
/// it does with what Lambda does about recursion.
const LAMBDA: OfService = &[
    (
        "AWS::Lambda::Function",
        &[
            "CreateFunction",
            "DeleteFunction",
            "DeleteFunctionConcurrency",
            "GetFunction",
            "GetFunctionCodeSigningConfig",
            "GetFunctionRecursionConfig",
            "GetFunctionScalingConfig",
            "GetRuntimeManagementConfig",
            "ListTags",
            "PutFunctionConcurrency",
            "PutFunctionRecursionConfig",
            "TagResource",
            "UntagResource",
            "UpdateFunctionCode",
            "UpdateFunctionConfiguration",
        ],
    ),
    (
        "AWS::Lambda::Permission",
        &["AddPermission", "GetPolicy", "RemovePermission"],
    ),
    (
        "AWS::Lambda::EventInvokeConfig",
        &[
            "DeleteFunctionEventInvokeConfig",
            "GetFunctionEventInvokeConfig",
            "PutFunctionEventInvokeConfig",
            "UpdateFunctionEventInvokeConfig",
        ],
    ),
    (
        "AWS::Lambda::Version",
        &[
            "GetProvisionedConcurrencyConfig",
            "ListVersionsByFunction",
            "PublishVersion",
        ],
    ),
    (
        "AWS::Lambda::Alias",
        &["CreateAlias", "DeleteAlias", "GetAlias", "UpdateAlias"],
    ),
];

/// Log groups.
const LOG_GROUP: &[&str] = &[
    "CreateLogGroup",
    "DeleteLogGroup",
    "GetDataProtectionPolicy",
    "ListTagsForResource",
    "PutRetentionPolicy",
    "TagResource",
    "UntagResource",
];

/// Likewise, but IAM knows no resource for them.
const ALL_LOG_GROUPS: &[&str] = &[
    "DescribeIndexPolicies",
    "DescribeLogGroups",
    "DescribeResourcePolicies",
];

/// A queue's policy is one of its attributes.
const SQS: OfService = &[(
    "AWS::SQS::Queue",
    &[
        "CreateQueue",
        "DeleteQueue",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListQueueTags",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
    ],
)];

/// Without what describes them.
const CLOUDWATCH: OfService = &[
    (
        "AWS::CloudWatch::Alarm",
        &[
            "DeleteAlarms",
            "ListTagsForResource",
            "PutMetricAlarm",
            "TagResource",
            "UntagResource",
        ],
    ),
    ("AWS::CloudWatch::CompositeAlarm", &["PutCompositeAlarm"]),
];

const ALL_ALARMS: OfService = &[("AWS::CloudWatch::Alarm", &["DescribeAlarms"])];

/// Among them what an alias is moved by.
const CODE_DEPLOY: OfService = &[
    (
        "AWS::CodeDeploy::Application",
        &[
            "CreateApplication",
            "DeleteApplication",
            "GetApplication",
            "GetApplicationRevision",
            "ListTagsForResource",
            "RegisterApplicationRevision",
            "TagResource",
            "UntagResource",
        ],
    ),
    (
        "AWS::CodeDeploy::DeploymentConfig",
        &[
            "CreateDeploymentConfig",
            "DeleteDeploymentConfig",
            "GetDeploymentConfig",
        ],
    ),
    (
        "AWS::CodeDeploy::DeploymentGroup",
        &[
            "CreateDeployment",
            "CreateDeploymentGroup",
            "DeleteDeploymentGroup",
            "GetDeployment",
            "GetDeploymentGroup",
            "ListDeployments",
            "UpdateDeploymentGroup",
        ],
    ),
];

/// Likewise, but IAM knows no resource for it.
const STOP_DEPLOYMENT: OfService = &[("AWS::CodeDeploy::DeploymentGroup", &["StopDeployment"])];

pub(crate) fn statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    [
        roles(deployer),
        functions(deployer),
        event_source_mappings(deployer),
        logs(deployer),
        queues(deployer),
        alarms(deployer),
        canaries(deployer),
    ]
    .concat()
}

fn roles(deployer: &Deployer<'_>) -> Vec<Statement> {
    let roles = deployer.roles();
    let empower = match &deployer.stage().permissions_boundary {
        None => Statement::allow("EmpowerRoles", "iam", EMPOWER_ROLE, &roles),
        Some(boundary) => Statement::allow("EmpowerRoles", "iam", EMPOWER_BOUNDED_ROLE, &roles)
            .when(json!({"StringEquals": {"iam:PermissionsBoundary": boundary}})),
    };
    let mut services = vec!["lambda.amazonaws.com"];
    if deployer.has("AWS::CodeDeploy::DeploymentGroup") {
        services.insert(0, "codedeploy.amazonaws.com");
    }
    vec![
        Statement::allow("DeployRoles", "iam", ROLE, &roles),
        empower,
        Statement::allow("PassRoles", "iam", &["PassRole"], &roles)
            .when(json!({"StringEquals": {"iam:PassedToService": services}})),
    ]
}

fn functions_arn(deployer: &Deployer<'_>) -> String {
    deployer.arn("lambda", &format!("function:{}-*", deployer.stack()))
}

fn functions(deployer: &Deployer<'_>) -> Vec<Statement> {
    let functions = json!(functions_arn(deployer));
    let allow = |sid, actions: &[&str]| Statement::allow(sid, "lambda", actions, &functions);
    vec![
        allow("DeployFunctions", &deployer.needed_actions(LAMBDA)),
        allow("CompareFunctions", &["GetFunctionConfiguration"]),
        allow("InvokeFunctions", &["InvokeFunction"]).after_deployment(),
    ]
}

/// A mapping has no name, so it is limited by its function. IAM cannot limit the actions on its
/// tags by that.
fn event_source_mappings(deployer: &Deployer<'_>) -> Vec<Statement> {
    if !deployer.has("AWS::Lambda::EventSourceMapping") {
        return Vec::new();
    }
    let mappings = json!(deployer.arn("lambda", "event-source-mapping:*"));
    let of_functions = json!({"ArnLike": {"lambda:FunctionArn": functions_arn(deployer)}});
    vec![
        Statement::allow(
            "CreateEventSourceMappings",
            "lambda",
            &["CreateEventSourceMapping"],
            &json!("*"),
        )
        .when(of_functions.clone()),
        Statement::allow(
            "DeployEventSourceMappings",
            "lambda",
            &[
                "DeleteEventSourceMapping",
                "GetEventSourceMapping",
                "UpdateEventSourceMapping",
            ],
            &mappings,
        )
        .when(of_functions),
        Statement::allow(
            "TagEventSourceMappings",
            "lambda",
            &["ListTags", "TagResource", "UntagResource"],
            &mappings,
        ),
    ]
}

fn logs(deployer: &Deployer<'_>) -> Vec<Statement> {
    let log_groups = |prefix: &str| {
        let stack = deployer.stack();
        deployer.arn("logs", &format!("log-group:{prefix}{stack}-*"))
    };
    let of_functions = log_groups("/aws/lambda/");
    let vended = log_groups("/aws/vendedlogs/apis/");
    vec![
        Statement::allow(
            "DeployLogGroups",
            "logs",
            LOG_GROUP,
            &json!([of_functions, vended]),
        ),
        Statement::allow("FindLogGroups", "logs", ALL_LOG_GROUPS, &json!("*")),
        Statement::allow(
            "ReadLogs",
            "logs",
            &["FilterLogEvents"],
            &json!(of_functions),
        )
        .after_deployment(),
    ]
}

/// Failure queues, and the queues of the app: CloudFormation makes up the names of both.
fn queues(deployer: &Deployer<'_>) -> Vec<Statement> {
    let is_fifo = |properties: &Value| properties["FifoQueue"] == true;
    // A pattern with a shorter beginning also matches longer ones.
    let max = if deployer.has_with("AWS::SQS::Queue", is_fifo) {
        QUEUE_NAME_MAX - FIFO_SUFFIX.len()
    } else {
        QUEUE_NAME_MAX
    };
    let names: BTreeSet<String> = deployer.made_up_names("AWS::SQS::Queue", max);
    let queues: Vec<String> = names.iter().map(|name| deployer.arn("sqs", name)).collect();
    let queues: Value = one_or_more(&queues);
    let deploy = deployer.needed("DeployQueues", "sqs", SQS, &queues);
    let redrive = deploy.is_some().then(|| {
        let actions = ["ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage"];
        Statement::allow("RedriveFailures", "sqs", &actions, &queues).after_deployment()
    });
    deploy.into_iter().chain(redrive).collect()
}

fn alarms(deployer: &Deployer<'_>) -> Vec<Statement> {
    let alarms = deployer.arn("cloudwatch", &format!("alarm:{}-*", deployer.stack()));
    // Composite alarms are described to those only who may have all described.
    // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
    let described = if deployer.has("AWS::CloudWatch::CompositeAlarm") {
        "*"
    } else {
        &alarms
    };
    [
        deployer.needed("DeployAlarms", "cloudwatch", CLOUDWATCH, &json!(alarms)),
        deployer.needed("FindAlarms", "cloudwatch", ALL_ALARMS, &json!(described)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn canaries(deployer: &Deployer<'_>) -> Vec<Statement> {
    let stack = deployer.stack();
    let resources = ["application:", "deploymentconfig:", "deploymentgroup:"]
        .map(|prefix| deployer.arn("codedeploy", &format!("{prefix}{stack}-*")));
    [
        deployer.needed(
            "DeployCanaries",
            "codedeploy",
            CODE_DEPLOY,
            &json!(resources),
        ),
        deployer.needed("StopCanaries", "codedeploy", STOP_DEPLOYMENT, &json!("*")),
    ]
    .into_iter()
    .flatten()
    .collect()
}
