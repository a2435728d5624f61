//! The bootstrap stack: what must exist before the app's own stack can be created.

/// The CloudFormation template, in YAML, of the stack that holds the artifact
/// bucket. Its output `ArtifactBucketName` is the bucket's name.
#[must_use]
pub fn bootstrap_template() -> String {
    String::new()
}
