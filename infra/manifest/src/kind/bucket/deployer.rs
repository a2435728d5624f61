//! The permissions that deploying buckets needs.

use serde_json::json;

use crate::deployer::{Deployer, Statement, made_up_name};

/// Buckets and their policies.
const BUCKET: &[&str] = &[
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
    "PutBucketCORS",
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

/// The app's buckets, the artifact bucket, and what is in them. The artifact bucket is there
/// whatever the app consists of.
pub(super) fn statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let s3 = |name: &str| format!("arn:{}:s3:::{name}", deployer.partition());
    let bootstrap = deployer.bootstrap_stack();
    let of_app = s3(&format!("{}-*", deployer.stack()));
    let artifacts = made_up_name(&bootstrap, "artifactbucket", super::NAME_MAX);
    let artifacts = s3(&artifacts.unwrap_or_else(|| format!("{bootstrap}-*")));
    let of_stage = format!("{artifacts}/{}/{}/*", deployer.app(), deployer.stage().name);
    let delete = ["DeleteObject", "DeleteObjectVersion", "ListBucketVersions"];
    let mut statements = vec![
        Statement::allow("DeployBuckets", "s3", BUCKET, &json!([of_app, artifacts])),
        // Lambda and CloudFormation read code and template with the caller's permissions.
        Statement::allow(
            "KeepArtifacts",
            "s3",
            &["GetObject", "PutObject"],
            &json!(of_stage),
        ),
        Statement::allow(
            "DeleteArtifacts",
            "s3",
            &delete,
            &json!([artifacts, of_stage]),
        ),
    ];
    if deployer.deletes_data() {
        let buckets_and_objects = json!([of_app, format!("{of_app}/*")]);
        let empty = Statement::allow("EmptyBuckets", "s3", &delete, &buckets_and_objects);
        statements.push(empty.after_deployment());
    }
    statements
}
