//! Why a deployment failed, and what to do about it.

use aws_sdk_cloudformation::types::EventFilter;
use serde::Serialize;

use crate::denial::Denial;
use crate::error::Error;
use crate::finding::{self, Finding};
use crate::resource_event::ResourceEvent;
use crate::target::Target;

/// Why a stack operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The stack's state afterwards.
    pub status: String,
    /// The first real failure: later ones are mostly its consequences.
    pub cause: Option<ResourceEvent>,
    /// What CloudFormation's validation found, if it refused to begin.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// The failure as an error about `stack`.
    pub fn error(&self, stack: &str) -> Error {
        let error = Error::new(format!("stack {stack} is in state {}", self.status));
        let error = error.hint(self.hint().unwrap_or_else(|| {
            if self.status.ends_with("ROLLBACK_COMPLETE") {
                "nothing of this deployment remains: fix the cause and deploy again".to_owned()
            } else {
                "fix the cause and deploy again: `deploy` first recovers the stack from this state"
                    .to_owned()
            }
        }));
        if let Some(because) = finding::described(&self.findings) {
            return error.because(because).concerning(&self.findings);
        }
        let Some(cause) = &self.cause else {
            return error;
        };
        error.because(format!(
            "{} {} ({}): {}",
            cause.status,
            cause.logical_id,
            cause.resource_type,
            cause.reason.as_deref().unwrap_or("no reason was given")
        ))
    }

    /// What can be done about the cause, if it is one of the common ones.
    pub fn hint(&self) -> Option<String> {
        let cause = self.cause.as_ref()?;
        hint(&cause.resource_type, cause.reason.as_deref()?)
    }
}

/// Whose findings are asked for.
pub(crate) enum Checked<'a> {
    /// Those of the creation of a change set, by its ARN.
    ChangeSet(&'a str),
    /// Those of the operation on a stack that was begun with a token.
    Operation { stack_id: &'a str, token: &'a str },
}

/// What CloudFormation found. Nothing when it does not tell: an explanation that fails
/// must not hide what it was to explain.
pub(crate) async fn findings(target: &Target, checked: Checked<'_>) -> Vec<Finding> {
    let request = target
        .cloudformation
        .describe_events()
        .filters(EventFilter::builder().failed_events(true).build());
    let (request, wanted) = match checked {
        Checked::ChangeSet(id) => (request.change_set_name(id), None),
        Checked::Operation { stack_id, token } => (request.stack_name(stack_id), Some(token)),
    };
    let mut findings = Vec::new();
    let mut pages = request.into_paginator().send();
    while let Some(Ok(page)) = pages.next().await {
        findings.extend(
            page.operation_events()
                .iter()
                .filter(|event| match (wanted, event.client_request_token()) {
                    (Some(ours), Some(theirs)) => ours == theirs,
                    _ => true,
                })
                .filter_map(Finding::parse),
        );
    }
    findings
}

/// What to do about a resource that failed, where one of the common causes is known by its
/// words. CloudFormation passes on what the services say, so these are the services' words.
pub(crate) fn hint(resource_type: &str, reason: &str) -> Option<String> {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if let Some(denial) = Denial::parse(reason) {
        return Some(if denial.action == "iam:PassRole" {
            format!(
                "the caller may not pass {} to a service: it needs iam:PassRole on it",
                denial.resource.unwrap_or("the role")
            )
        } else {
            denial.hint()
        });
    }
    let hint = if says(&[
        "Throttling",
        "Rate exceeded",
        "TooManyRequests",
        "RequestLimitExceeded",
        "NotStabilized",
    ]) {
        "AWS was slow or limited its rate: deploy again"
    } else if says(&[
        "BucketAlreadyExists",
        "requested bucket name is not available",
    ]) {
        "another AWS account has a bucket of this name, and bucket names are unique in the world: choose another"
    } else if says(&[
        "already exists",
        "AlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ResourceInUseException",
    ]) {
        "it exists outside of this stack, perhaps kept by an earlier deletion: delete or rename it, or import it into the stack"
    } else if says(&["UnreservedConcurrentExecution"]) {
        "the account's unreserved concurrency would become too small: lower `reserved_concurrency`, or ask for a higher quota"
    } else if says(&[
        "LimitExceeded",
        "QuotaExceeded",
        "ServiceQuota",
        "TooManyBuckets",
    ]) || (says(&["limit", "Limit", "quota", "Quota"])
        && says(&["exceed", "Exceed", "reached"]))
    {
        "a quota of the account is used up: delete what is not needed, or ask for more in Service Quotas"
    } else if says(&["KMS", "kms:", "AWS KMS key"]) {
        "the KMS key refuses: its key policy must allow the role, and the key must be enabled and in this region"
    } else if says(&[
        "cannot be assumed by Lambda",
        "Cannot access stream",
        "does not have permissions to call",
    ]) {
        "the new role or its policy had not reached all of IAM: deploy again in a minute; if that fails as well, the role lacks this permission"
    } else if says(&["conflicting conditional operation"]) {
        "a bucket of this name was deleted a short time ago, and S3 has not released the name yet: deploy again in a few minutes"
    } else if says(&["NoSuchKey", "specified key does not exist"]) {
        "the code is no longer in the artifact bucket: deploy again, which uploads it"
    } else if says(&["Unzipped size must be smaller", "code uncompressed size"]) {
        "the function's code is larger than Lambda's 250 MB"
    } else if says(&["Unable to validate the following destination"]) {
        "S3 could not reach the function to notify: the permission to invoke it must exist first; deploy again"
    } else if says(&["not empty", "BucketNotEmpty"]) && resource_type == "AWS::S3::Bucket" {
        "the bucket still holds objects: `cargo xtask delete` empties it"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hinted(resource_type: &str, reason: &str) -> String {
        hint(resource_type, reason).unwrap_or_default()
    }

    #[test]
    fn common_failures_are_known_by_the_words_of_the_services() {
        for (resource_type, reason, part) in [
            (
                "AWS::S3::Bucket",
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again. (Service: S3, Status Code: 409, Request ID: Q, Extended Request ID: E) (HandlerErrorCode: AlreadyExists)",
                "another AWS account",
            ),
            (
                "AWS::DynamoDB::Table",
                "Resource of type 'AWS::DynamoDB::Table' with identifier 'shop-dev-orders' already exists. (RequestToken: 1, HandlerErrorCode: AlreadyExists)",
                "import it",
            ),
            (
                "AWS::Lambda::Function",
                "Resource handler returned message: \"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [10]. (Service: Lambda, Status Code: 400)\"",
                "unreserved concurrency",
            ),
            (
                "AWS::S3::Bucket",
                "You have attempted to create more buckets than allowed (Service: S3, Status Code: 400, Error Code: TooManyBuckets)",
                "Service Quotas",
            ),
            (
                "AWS::Lambda::Function",
                "Rate exceeded (Service: Lambda, Status Code: 429, HandlerErrorCode: Throttling)",
                "limited its rate",
            ),
            (
                "AWS::IAM::Role",
                "Cannot exceed quota for RolesPerAccount: 1000 (Service: Iam, Status Code: 409, HandlerErrorCode: ServiceLimitExceeded)",
                "Service Quotas",
            ),
            (
                "AWS::Lambda::Function",
                "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check the function's KMS key settings. KMS Exception: AccessDeniedException",
                "key policy",
            ),
            (
                "AWS::Lambda::Function",
                "Resource handler returned message: \"The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)\"",
                "deploy again",
            ),
            // https://github.com/aws/serverless-application-model/issues/1320
            (
                "AWS::Lambda::EventSourceMapping",
                "Resource handler returned message: \"Invalid request provided: Cannot access stream arn:aws:dynamodb:eu-west-1:123456789012:table/shop-dev-orders/stream/2026-11-20T08:00:00.000. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM. (Service: Lambda, Status Code: 400, Request ID: Q)\" (RequestToken: 1, HandlerErrorCode: InvalidRequest)",
                "deploy again",
            ),
            (
                "AWS::Lambda::EventSourceMapping",
                "Resource handler returned message: \"Invalid request provided: The function execution role does not have permissions to call SendMessage on SQS (Service: Lambda, Status Code: 400, Request ID: Q)\" (RequestToken: 1, HandlerErrorCode: InvalidRequest)",
                "deploy again",
            ),
            (
                "AWS::S3::Bucket",
                "A conflicting conditional operation is currently in progress against this resource. Please try again. (Service: S3, Status Code: 409, Request ID: Q, Extended Request ID: E) (HandlerErrorCode: ResourceConflict)",
                "a few minutes",
            ),
            (
                "AWS::Lambda::Function",
                "Resource handler returned message: \"Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist. (Service: Lambda, Status Code: 400)\"",
                "artifact bucket",
            ),
            (
                "AWS::S3::Bucket",
                "The bucket you tried to delete is not empty (Service: S3, Status Code: 409, HandlerErrorCode: GeneralServiceException)",
                "empties it",
            ),
        ] {
            let hint = hinted(resource_type, reason);
            assert!(hint.contains(part), "{reason}\n{hint}");
        }
        assert_eq!(hint("AWS::SNS::Topic", "Invalid parameter: TopicArn"), None);
    }

    #[test]
    fn a_role_that_may_not_be_passed_is_named() {
        let hint = hinted(
            "AWS::Lambda::Function",
            "Resource handler returned message: \"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/shop-dev-orders-api because no identity-based policy allows the iam:PassRole action (Service: Lambda, Status Code: 403)\"",
        );
        assert!(hint.contains("role/shop-dev-orders-api"), "{hint}");
        assert!(hint.contains("iam:PassRole"), "{hint}");
    }
}
