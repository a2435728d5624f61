//! The bootstrap stack: what must exist before the app's own stack can be created.

use serde_json::json;

use crate::app::App;
use crate::cloudformation::{DeletionPolicy, Resource, Template, attribute, reference, sub};
use crate::origin::Origin;
use crate::{policy, render};

impl App {
    /// The CloudFormation template, in YAML, of the stack that holds the artifact bucket.
    /// Its output `ArtifactBucketName` is the bucket's name.
    ///
    /// It is the same for all stages, but for an endpoint that speaks no TLS: there, a bucket
    /// that wants TLS would be out of everybody's reach.
    #[must_use]
    pub fn bootstrap_template(&self) -> String {
        template(!self.stage().is_plain_http())
    }
}

/// The template of [`App::bootstrap_template`] on AWS.
#[must_use]
pub fn bootstrap_template() -> String {
    template(true)
}

fn template(tls_only: bool) -> String {
    let mut template =
        Template::new("Code of the functions, waiting to be deployed".to_owned()).scanned();
    let bucket = Resource::new(
        "AWS::S3::Bucket",
        json!({
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
            ]},
            // Artifacts do not expire: a stack rolls back to the code it had before.
            "LifecycleConfiguration": {"Rules": [
                {
                    "Id": "AbortIncompleteMultipartUploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                },
                {
                    "Id": "ExpireNoncurrentVersions",
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                },
            ]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
        }),
    )
    .deletion_policy(DeletionPolicy::Delete);
    let origin = Origin::of_caller();
    template.resource("ArtifactBucket".to_owned(), origin, bucket);
    if tls_only {
        let bucket_policy = json!({
            "Bucket": reference("ArtifactBucket"),
            "PolicyDocument": policy::tls_only(
                "s3:*",
                &json!([attribute("ArtifactBucket", "Arn"), sub("${ArtifactBucket.Arn}/*")]),
            ),
        });
        template.resource(
            "ArtifactBucketPolicy".to_owned(),
            origin,
            Resource::new("AWS::S3::BucketPolicy", bucket_policy),
        );
    }
    template.output(
        "ArtifactBucketName".to_owned(),
        "Where to upload artifacts",
        &reference("ArtifactBucket"),
    );
    render::yaml(&template.to_value())
}
