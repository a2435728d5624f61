//! Whether a change replaces a resource.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{
    self as sdk, AttributeChangeType, RequiresRecreation, ResourceAttribute, ResourceChange,
    ResourceChangeDetail, ResourceTargetDefinition,
};
use serde::Serialize;
use serde_json::Value;

/// Whether a modified resource is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Replacement {
    /// It is updated in place.
    Never,
    /// It depends on a value known only while executing.
    Conditional,
    /// A new one replaces it.
    Always,
}

/// The properties whose change replaces a resource, always or on a condition, by resource type.
/// For every other property of these types, the resource reference says "Update requires: No
/// interruption" or "Some interruptions".
///
/// They are `createOnlyProperties` and `conditionalCreateOnlyProperties` of CloudFormation's
/// registry schemas, as of October 2026.
/// <https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html>
const REPLACING: &[(&str, &[&str])] = &[
    ("AWS::ApiGatewayV2::Api", &["ProtocolType"]),
    ("AWS::ApiGatewayV2::Authorizer", &["ApiId"]),
    ("AWS::ApiGatewayV2::Integration", &["ApiId"]),
    ("AWS::ApiGatewayV2::Route", &["ApiId"]),
    ("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"]),
    ("AWS::CloudWatch::Alarm", &["AlarmName"]),
    ("AWS::CloudWatch::CompositeAlarm", &["AlarmName"]),
    (
        "AWS::CodeDeploy::DeploymentGroup",
        &["ApplicationName", "DeploymentGroupName"],
    ),
    (
        "AWS::DynamoDB::Table",
        &["ImportSourceSpecification", "KeySchema", "TableName"],
    ),
    ("AWS::IAM::Role", &["Path", "RoleName"]),
    ("AWS::Lambda::Alias", &["FunctionName", "Name"]),
    (
        "AWS::Lambda::EventInvokeConfig",
        &["FunctionName", "Qualifier"],
    ),
    (
        "AWS::Lambda::EventSourceMapping",
        &[
            "EventSourceArn",
            "SelfManagedEventSource",
            "StartingPosition",
            "StartingPositionTimestamp",
        ],
    ),
    (
        "AWS::Lambda::Function",
        &[
            "DurableConfig",
            "FunctionName",
            "PackageType",
            "TenancyConfig",
        ],
    ),
    ("AWS::Lambda::Url", &["Qualifier", "TargetFunctionArn"]),
    ("AWS::Logs::LogGroup", &["LogGroupName"]),
    (
        "AWS::S3::Bucket",
        &["BucketName", "BucketNamePrefix", "BucketNamespace"],
    ),
    ("AWS::S3::BucketPolicy", &["Bucket"]),
    ("AWS::SNS::Topic", &["FifoTopic", "TopicName"]),
    ("AWS::SNS::TopicPolicy", &[]),
    ("AWS::SQS::Queue", &["FifoQueue", "QueueName"]),
    ("AWS::SQS::QueuePolicy", &[]),
];

/// What becomes of a modified resource, by CloudFormation's word. An endpoint can call each change
/// of a property conditional: it is, only if the change of one of its properties can replace it.
pub(crate) fn of(change: &ResourceChange) -> Replacement {
    match change.replacement() {
        Some(sdk::Replacement::True) => Replacement::Always,
        Some(sdk::Replacement::Conditional) => {
            let details = change.details();
            let resource_type = change.resource_type().unwrap_or_default();
            let may_replace = |detail| may_replace(resource_type, detail);
            if details.is_empty() || details.iter().any(may_replace) {
                Replacement::Conditional
            } else {
                Replacement::Never
            }
        }
        _ => Replacement::Never,
    }
}

fn may_replace(resource_type: &str, detail: &ResourceChangeDetail) -> bool {
    let Some(target) = detail.target() else {
        return true;
    };
    match (target.attribute(), target.requires_recreation()) {
        (_, Some(RequiresRecreation::Never)) => false,
        (Some(ResourceAttribute::Properties), Some(RequiresRecreation::Conditionally)) => {
            let known = REPLACING.iter().find(|(known, _)| *known == resource_type);
            match (known, target.name()) {
                (Some(_), Some("AttributeDefinitions")) => may_retype(target),
                (Some((_, replacing)), Some(name)) => replacing.contains(&name),
                _ => true,
            }
        }
        _ => true,
    }
}

/// Whether an attribute of a key may get another type. No schema lists it among the properties that
/// replace a table, but the resource reference says "Replacement if you edit an existing
/// AttributeDefinition", and one that comes or goes with an index does not.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html>
fn may_retype(target: &ResourceTargetDefinition) -> bool {
    let types = |value: Option<&str>| -> Option<BTreeMap<String, Value>> {
        let definitions: Vec<Value> = serde_json::from_str(value?).ok()?;
        let types = definitions.into_iter().map(|mut definition| {
            let name = definition["AttributeName"].as_str()?.to_owned();
            Some((name, definition["AttributeType"].take()))
        });
        types.collect()
    };
    match (types(target.before_value()), types(target.after_value())) {
        (Some(before), Some(after)) => before
            .iter()
            .any(|(name, kind)| after.get(name).is_some_and(|after| after != kind)),
        _ => !matches!(
            target.attribute_change_type(),
            Some(AttributeChangeType::Add | AttributeChangeType::Remove)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(
        attribute: ResourceAttribute,
        name: Option<&str>,
        recreation: Option<RequiresRecreation>,
    ) -> ResourceChangeDetail {
        let target = ResourceTargetDefinition::builder()
            .attribute(attribute)
            .set_name(name.map(str::to_owned))
            .set_requires_recreation(recreation);
        ResourceChangeDetail::builder()
            .target(target.build())
            .build()
    }

    fn property(name: &str, recreation: RequiresRecreation) -> ResourceChangeDetail {
        detail(ResourceAttribute::Properties, Some(name), Some(recreation))
    }

    fn told(
        resource_type: &str,
        replacement: sdk::Replacement,
        details: Vec<ResourceChangeDetail>,
    ) -> Replacement {
        let change = ResourceChange::builder()
            .resource_type(resource_type)
            .replacement(replacement)
            .set_details(Some(details));
        of(&change.build())
    }

    #[test]
    fn a_property_that_never_replaces_makes_no_replacement() {
        use RequiresRecreation::{Conditionally, Never};
        for (resource_type, details) in [
            (
                "AWS::S3::Bucket",
                vec![property("NotificationConfiguration", Conditionally)],
            ),
            (
                "AWS::IAM::Role",
                vec![
                    property("Policies", Conditionally),
                    property("Tags", Never),
                    detail(ResourceAttribute::Metadata, None, Some(Never)),
                ],
            ),
            ("Custom::Any", vec![property("Name", Never)]),
        ] {
            let replacement = told(resource_type, sdk::Replacement::Conditional, details);
            assert_eq!(replacement, Replacement::Never, "{resource_type}");
        }
    }

    #[test]
    fn what_may_replace_stays_so() {
        use RequiresRecreation::{Always, Conditionally, Never};
        for (resource_type, details) in [
            ("AWS::S3::Bucket", vec![]),
            (
                "AWS::S3::Bucket",
                vec![
                    property("Tags", Never),
                    property("BucketName", Conditionally),
                ],
            ),
            ("AWS::S3::Bucket", vec![property("Tags", Always)]),
            (
                "AWS::DynamoDB::Table",
                vec![property("KeySchema", Conditionally)],
            ),
            ("AWS::EC2::Instance", vec![property("Any", Conditionally)]),
            (
                "AWS::S3::Bucket",
                vec![detail(
                    ResourceAttribute::Properties,
                    None,
                    Some(Conditionally),
                )],
            ),
            (
                "AWS::S3::Bucket",
                vec![detail(ResourceAttribute::Properties, Some("Tags"), None)],
            ),
            (
                "AWS::S3::Bucket",
                vec![ResourceChangeDetail::builder().build()],
            ),
        ] {
            let replacement = told(resource_type, sdk::Replacement::Conditional, details);
            assert_eq!(replacement, Replacement::Conditional, "{resource_type}");
        }
        let tags = || vec![property("Tags", Never)];
        let always = told("AWS::S3::Bucket", sdk::Replacement::True, tags());
        assert_eq!(always, Replacement::Always);
        let never = told("AWS::S3::Bucket", sdk::Replacement::False, tags());
        assert_eq!(never, Replacement::Never);
    }

    /// What becomes of a table by a change of `AttributeDefinitions`.
    fn of_definitions(
        change_type: Option<AttributeChangeType>,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Replacement {
        let target = ResourceTargetDefinition::builder()
            .attribute(ResourceAttribute::Properties)
            .name("AttributeDefinitions")
            .requires_recreation(RequiresRecreation::Conditionally)
            .set_attribute_change_type(change_type)
            .set_before_value(before.map(str::to_owned))
            .set_after_value(after.map(str::to_owned));
        let detail = ResourceChangeDetail::builder().target(target.build());
        let change = ResourceChange::builder()
            .resource_type("AWS::DynamoDB::Table")
            .replacement(sdk::Replacement::Conditional)
            .details(detail.build());
        of(&change.build())
    }

    #[test]
    fn an_attribute_of_another_type_replaces_its_table() {
        let id = r#"[{"AttributeName": "id", "AttributeType": "S"}]"#;
        let number = r#"[{"AttributeName": "id", "AttributeType": "N"}]"#;
        let more = r#"[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "day", "AttributeType": "S"}]"#;
        for (change_type, before, after, expected) in [
            (None, Some(id), Some(more), Replacement::Never),
            (None, Some(more), Some(id), Replacement::Never),
            (None, Some(id), Some(number), Replacement::Conditional),
            (None, None, None, Replacement::Conditional),
            (
                Some(AttributeChangeType::Modify),
                Some("S"),
                Some("N"),
                Replacement::Conditional,
            ),
            (
                Some(AttributeChangeType::Add),
                None,
                Some("day"),
                Replacement::Never,
            ),
        ] {
            assert_eq!(
                of_definitions(change_type, before, after),
                expected,
                "{before:?} → {after:?}"
            );
        }
    }
}
