//! What CloudFormation does with the permissions of its caller to create, read, update, tag and
//! delete resources.
//!
//! AWS tells by resource type, in the `handlers` of the type's schema. That is for all
//! properties of a type; here are the actions for those that the template sets, and all that
//! read, as a type is read as a whole.
//! <https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html>

/// The actions for each type of a service's resources.
pub(super) type OfService = &'static [(&'static str, &'static [&'static str])];

/// Buckets and their policies.
pub(super) const BUCKET: &[&str] = &[
    "CreateBucket",
    "DeleteBucket",
    "DeleteBucketPolicy",
    "GetAccelerateConfiguration",
    "GetAnalyticsConfiguration",
    "GetBucketAbac",
    "GetBucketCORS",
    "GetBucketLogging",
    "GetBucketMetadataTableConfiguration",
    "GetBucketNotification",
    "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPublicAccessBlock",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetEncryptionConfiguration",
    "GetIntelligentTieringConfiguration",
    "GetInventoryConfiguration",
    "GetLifecycleConfiguration",
    "GetMetricsConfiguration",
    "GetReplicationConfiguration",
    "ListBucket",
    "ListTagsForResource",
    "PutBucketNotification",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutEncryptionConfiguration",
    "PutLifecycleConfiguration",
    "TagResource",
    "UntagResource",
];

/// Roles, but for what gives them permissions.
pub(super) const ROLE: &[&str] = &[
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
pub(super) const EMPOWER_ROLE: &[&str] = &[
    "CreateRole",
    "DeleteRolePermissionsBoundary",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
];

/// What gives roles permissions within a boundary. Whoever can take a boundary off a role gets
/// whatever its policies allow beyond the boundary.
pub(super) const EMPOWER_BOUNDED_ROLE: &[&str] =
    &["CreateRole", "PutRolePermissionsBoundary", "PutRolePolicy"];

/// Log groups.
pub(super) const LOG_GROUP: &[&str] = &[
    "CreateLogGroup",
    "DeleteLogGroup",
    "GetDataProtectionPolicy",
    "ListTagsForResource",
    "PutRetentionPolicy",
    "TagResource",
    "UntagResource",
];

/// Likewise, but IAM knows no resource for them.
pub(super) const ALL_LOG_GROUPS: &[&str] = &[
    "DescribeIndexPolicies",
    "DescribeLogGroups",
    "DescribeResourcePolicies",
];

/// What API Gateway does with the permissions of its caller to have access logs delivered.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html>
pub(super) const ACCESS_LOGS: &[&str] = &[
    "CreateLogDelivery",
    "DeleteLogDelivery",
    "GetLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "UpdateLogDelivery",
];

/// API Gateway's actions are the methods of its own HTTP API.
pub(super) const API_GATEWAY: OfService = &[
    (
        "AWS::ApiGatewayV2::Api",
        &["DELETE", "GET", "PATCH", "POST", "PUT"],
    ),
    (
        "AWS::ApiGatewayV2::Stage",
        &["TagResource", "UntagResource"],
    ),
];

/// Without what describes them.
pub(super) const CLOUDWATCH: OfService = &[
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

pub(super) const ALL_ALARMS: OfService = &[("AWS::CloudWatch::Alarm", &["DescribeAlarms"])];

/// Among them what an alias is moved by.
pub(super) const CODE_DEPLOY: OfService = &[
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
pub(super) const STOP_DEPLOYMENT: OfService =
    &[("AWS::CodeDeploy::DeploymentGroup", &["StopDeployment"])];

/// Without what deletes data.
pub(super) const DYNAMODB: OfService = &[(
    "AWS::DynamoDB::Table",
    &[
        "CreateTable",
        "DescribeContinuousBackups",
        "DescribeContributorInsights",
        "DescribeKinesisStreamingDestination",
        "DescribeTable",
        "DescribeTimeToLive",
        "GetResourcePolicy",
        "ListTagsOfResource",
        "TagResource",
        "UntagResource",
        "UpdateContinuousBackups",
        "UpdateTable",
        "UpdateTimeToLive",
    ],
)];

/// Without event source mappings, which are resources of their own in IAM, too. A stage that had
/// reserved concurrency takes it off its functions, and puts it back if the update is rolled back.
pub(super) const LAMBDA: OfService = &[
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

pub(super) const SNS: OfService = &[
    (
        "AWS::SNS::Topic",
        &[
            "CreateTopic",
            "DeleteTopic",
            "GetDataProtectionPolicy",
            "GetTopicAttributes",
            "ListSubscriptionsByTopic",
            "ListTagsForResource",
            "SetTopicAttributes",
            "TagResource",
            "UntagResource",
        ],
    ),
    ("AWS::SNS::Subscription", &["Subscribe"]),
];

/// Likewise, but IAM knows no resource for them.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html>
pub(super) const ALL_SUBSCRIPTIONS: OfService = &[(
    "AWS::SNS::Subscription",
    &["GetSubscriptionAttributes", "Unsubscribe"],
)];

/// A queue's policy is one of its attributes.
pub(super) const SQS: OfService = &[(
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
