//! Rules of [checkov](https://www.checkov.io/), a scanner of templates, that do not fit a resource.
//!
//! The reasons are in the templates of production stages, in a resource's metadata, where checkov
//! looks for them: `cargo xtask ci` lets it scan those, and who runs it elsewhere finds the reasons
//! too. Other stages lack on purpose what rules ask for, and their templates are shorter without.
//! <https://www.checkov.io/2.Basics/Suppressing%20and%20Skipping%20Policies.html>

use serde_json::{Value, json};

/// A rule that does not fit the resources of a type.
struct Exception {
    kind: &'static str,
    rule: &'static str,
    /// The property that the rule asks for, as a JSON pointer. A resource that has it meets the rule.
    unless: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 9] = [
    Exception {
        kind: "AWS::DynamoDB::Table",
        rule: "CKV_AWS_119",
        unless: "/SSESpecification/KMSMasterKeyId",
        reason: "DynamoDB encrypts the table with a key that AWS manages; the app has no customer managed key",
    },
    Exception {
        kind: "AWS::Lambda::Function",
        rule: "CKV_AWS_115",
        unless: "/ReservedConcurrentExecutions",
        reason: "functions share the account's concurrency; a stage reserves some by reserved_concurrency",
    },
    Exception {
        kind: "AWS::Lambda::Function",
        rule: "CKV_AWS_116",
        unless: "/DeadLetterConfig",
        reason: "failed events are in an on-failure destination, which also has the error; a function without one tells its caller",
    },
    Exception {
        kind: "AWS::Lambda::Function",
        rule: "CKV_AWS_117",
        unless: "/VpcConfig",
        reason: "the function calls public endpoints of AWS only, and has nothing in a VPC to reach",
    },
    Exception {
        kind: "AWS::Lambda::Function",
        rule: "CKV_AWS_173",
        unless: "/KmsKeyArn",
        reason: "Lambda encrypts the variables with a key of its own; they are names of resources, not secrets",
    },
    Exception {
        kind: "AWS::Logs::LogGroup",
        rule: "CKV_AWS_158",
        unless: "/KmsKeyId",
        reason: "CloudWatch Logs encrypts the log group with a key of its own; the app has no customer managed key",
    },
    Exception {
        kind: "AWS::S3::Bucket",
        rule: "CKV_AWS_18",
        unless: "/LoggingConfiguration",
        reason: "access logs need one more bucket; CloudTrail records the same as data events, for a whole account",
    },
    Exception {
        kind: "AWS::S3::Bucket",
        rule: "CKV_AWS_21",
        unless: "/VersioningConfiguration",
        reason: "a deletion must be final: versions would keep what a user has deleted",
    },
    Exception {
        kind: "AWS::SQS::Queue",
        rule: "CKV_AWS_27",
        unless: "/KmsMasterKeyId",
        reason: "SQS encrypts the queue with a key of its own, by SqsManagedSseEnabled, which the rule does not know",
    },
];

/// What checkov is to skip for a resource: the value of `checkov` in its metadata.
pub(crate) fn exceptions(kind: &str, properties: &Value) -> Option<Value> {
    let skip: Vec<Value> = EXCEPTIONS
        .iter()
        .filter(|exception| {
            exception.kind == kind && properties.pointer(exception.unless).is_none()
        })
        .map(|exception| json!({"id": exception.rule, "comment": exception.reason}))
        .collect();
    (!skip.is_empty()).then(|| json!({"skip": skip}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_meets_a_rule_has_no_exception() {
        let rules = |properties| {
            exceptions("AWS::S3::Bucket", &properties)
                .into_iter()
                .flat_map(|exceptions| exceptions["skip"].as_array().cloned().unwrap())
                .map(|exception| exception["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(rules(json!({})), ["CKV_AWS_18", "CKV_AWS_21"]);
        let versioned = json!({"VersioningConfiguration": {"Status": "Enabled"}});
        assert_eq!(rules(versioned), ["CKV_AWS_18"]);
        assert_eq!(exceptions("AWS::SNS::Topic", &json!({})), None);
    }
}
