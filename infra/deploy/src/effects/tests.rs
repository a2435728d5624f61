#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use aws_sdk_cloudformation::types::{
    ChangeAction, ChangeSource, EvaluationType, Replacement as Replaced, RequiresRecreation,
    ResourceAttribute, ResourceChange, ResourceChangeDetail, ResourceTargetDefinition,
    StackResourceDriftStatus,
};
use review::{Declared, review};
use serde_json::{Value, json};

use super::*;
use crate::testing::new_stack_change_set;

/// A template of a function, its permission, a bucket that notifies it, and a rule for the bucket.
fn resources(memory: u32) -> Value {
    let arn = json!({"Fn::GetAtt": ["Resize", "Arn"]});
    json!({
        "Resize": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": memory}},
        "Permission": {"Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": arn}},
        "Reports": {"Type": "AWS::S3::Bucket", "DependsOn": "Permission", "Properties": {
            "NotificationConfiguration": {"LambdaConfigurations": [{"Function": arn}]},
        }},
        "Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Reports"}}},
    })
}

/// A property that is another one by the templates.
fn direct(name: &str) -> ResourceChangeDetail {
    detail(name, RequiresRecreation::Never)
        .evaluation(EvaluationType::Static)
        .change_source(ChangeSource::DirectModification)
        .build()
}

/// A property that refers to something that changes.
fn reference(name: &str, to: &str, recreation: RequiresRecreation) -> ResourceChangeDetail {
    let source = match to.split_once('.') {
        Some(_) => ChangeSource::ResourceAttribute,
        None => ChangeSource::ResourceReference,
    };
    detail(name, recreation)
        .evaluation(EvaluationType::Dynamic)
        .change_source(source)
        .causing_entity(to)
        .build()
}

fn detail(
    name: &str,
    recreation: RequiresRecreation,
) -> aws_sdk_cloudformation::types::builders::ResourceChangeDetailBuilder {
    let target = ResourceTargetDefinition::builder()
        .attribute(ResourceAttribute::Properties)
        .name(name)
        .requires_recreation(recreation);
    ResourceChangeDetail::builder().target(target.build())
}

fn modified(
    logical_id: &str,
    resource_type: &str,
    replaced: Replaced,
    details: Vec<ResourceChangeDetail>,
) -> ResourceChange {
    ResourceChange::builder()
        .action(ChangeAction::Modify)
        .logical_resource_id(logical_id)
        .resource_type(resource_type)
        .replacement(replaced)
        .set_details(Some(details))
        .build()
}

/// What CloudFormation lists when the function gets more memory.
fn listed() -> Vec<ResourceChange> {
    use RequiresRecreation::{Always, Conditionally};
    vec![
        modified(
            "Permission",
            "AWS::Lambda::Permission",
            Replaced::Conditional,
            vec![reference("FunctionName", "Resize.Arn", Always)],
        ),
        modified(
            "Policy",
            "AWS::S3::BucketPolicy",
            Replaced::Conditional,
            vec![reference("Bucket", "Reports", Always)],
        ),
        modified(
            "Reports",
            "AWS::S3::Bucket",
            Replaced::Conditional,
            vec![reference(
                "NotificationConfiguration",
                "Resize.Arn",
                Conditionally,
            )],
        ),
        modified(
            "Resize",
            "AWS::Lambda::Function",
            Replaced::False,
            vec![direct("MemorySize")],
        ),
    ]
}

fn change_set(listed: &[ResourceChange]) -> ChangeSet {
    ChangeSet {
        creates_stack: false,
        changes: listed.iter().map(Change::from).collect(),
        ..new_stack_change_set()
    }
}

/// The logical IDs of the resources that change and of those that stay as they are.
fn told(changes: &ChangeSet, before: &Value, after: &Value) -> [Vec<String>; 2] {
    let template = |resources: &Value| json!({"Resources": resources}).to_string();
    let (before, after) = (template(before), template(after));
    let parameters = BTreeMap::new();
    let declared = |template| Declared {
        template,
        parameters: &parameters,
    };
    let review = review(Some(declared(&before)), declared(&after)).unwrap();
    let Effects { changes, checked } = changes.effects(&review);
    [changes, checked].map(|changes| {
        let names = changes.iter().map(|change| change.logical_id.clone());
        names.collect()
    })
}

fn changed(listed: &[ResourceChange]) -> Vec<String> {
    let [changes, _] = told(&change_set(listed), &resources(128), &resources(256));
    changes
}

#[test]
fn what_only_refers_to_a_changed_resource_stays_as_it_is() {
    let effects = told(&change_set(&listed()), &resources(128), &resources(256));
    assert_eq!(effects[0], ["Resize"]);
    assert_eq!(effects[1], ["Permission", "Policy", "Reports"]);
}

#[test]
fn what_is_declared_otherwise_changes() {
    for (path, value) in [
        ("/Permission/Properties/SourceArn", json!("arn:aws:s3:::b")),
        ("/Permission/Metadata", json!({"a": "b"})),
        ("/Permission/DeletionPolicy", json!("Retain")),
        ("/Permission/Condition", json!("Prod")),
    ] {
        let mut after = resources(256);
        let (parent, key) = path.rsplit_once('/').unwrap();
        after.pointer_mut(parent).unwrap()[key] = value;
        let [changes, _] = told(&change_set(&listed()), &resources(128), &after);
        assert!(changes.contains(&"Permission".to_owned()), "{path}");
    }
}

#[test]
fn what_refers_to_a_resource_that_may_be_replaced_may_change() {
    let mut listed = listed();
    listed[3] = modified(
        "Resize",
        "AWS::Lambda::Function",
        Replaced::Conditional,
        vec![
            direct("MemorySize"),
            reference("FunctionName", "Other", RequiresRecreation::Always),
        ],
    );
    // The bucket may get another configuration, and keeps its name.
    assert_eq!(changed(&listed), ["Permission", "Reports", "Resize"]);
    listed[2] = modified("Reports", "AWS::S3::Bucket", Replaced::True, vec![]);
    assert_eq!(
        changed(&listed),
        ["Permission", "Policy", "Reports", "Resize"]
    );
}

#[test]
fn an_attribute_that_tells_a_state_may_change() {
    let template = |memory| {
        let mut resources = resources(memory);
        resources["Permission"]["Properties"]["FunctionName"] =
            json!({"Fn::GetAtt": ["Resize", "SnapStartResponse.ApplyOn"]});
        resources
    };
    let [changes, _] = told(&change_set(&listed()), &template(128), &template(256));
    assert_eq!(changes, ["Permission", "Resize"]);
}

#[test]
fn values_of_custom_resources_may_change() {
    let template = |memory| {
        let mut resources = resources(memory);
        resources["Resize"]["Type"] = json!("Custom::Resize");
        resources
    };
    let mut listed = listed();
    listed[3] = modified(
        "Resize",
        "Custom::Resize",
        Replaced::False,
        vec![direct("MemorySize")],
    );
    let [changes, _] = told(&change_set(&listed), &template(128), &template(256));
    assert_eq!(changes, ["Permission", "Reports", "Resize"]);
}

#[test]
fn what_cloudformation_is_certain_of_changes() {
    let certain = [
        // A tag of the stack.
        ResourceChangeDetail::builder()
            .target(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Tags)
                    .build(),
            )
            .evaluation(EvaluationType::Static)
            .build(),
        direct("SourceAccount"),
        ResourceChangeDetail::builder()
            .target(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("FunctionName")
                    .before_value("a")
                    .after_value("b")
                    .build(),
            )
            .evaluation(EvaluationType::Dynamic)
            .change_source(ChangeSource::ResourceAttribute)
            .build(),
    ];
    for more in certain {
        let mut listed = listed();
        let uncertain = reference("FunctionName", "Resize.Arn", RequiresRecreation::Always);
        listed[0] = modified(
            "Permission",
            "AWS::Lambda::Permission",
            Replaced::Conditional,
            vec![uncertain, more],
        );
        assert_eq!(changed(&listed), ["Permission", "Resize"]);
    }
    let mut listed = listed();
    listed[0] = modified(
        "Permission",
        "AWS::Lambda::Permission",
        Replaced::Conditional,
        vec![],
    );
    assert_eq!(changed(&listed), ["Permission", "Resize"], "no details");
}

#[test]
fn a_value_that_is_known_only_while_executing_is_no_certain_change() {
    let target = ResourceTargetDefinition::builder()
        .attribute(ResourceAttribute::Properties)
        .name("FunctionName")
        .requires_recreation(RequiresRecreation::Always)
        .before_value("arn:aws:lambda:eu-west-1:123456789012:function:resize")
        .after_value("{{changeSet:KNOWN_AFTER_APPLY}}");
    let detail = ResourceChangeDetail::builder()
        .target(target.build())
        .evaluation(EvaluationType::Dynamic)
        .change_source(ChangeSource::DirectModification);
    let mut listed = listed();
    listed[0] = modified(
        "Permission",
        "AWS::Lambda::Permission",
        Replaced::Conditional,
        vec![detail.build()],
    );
    assert_eq!(changed(&listed), ["Resize"]);
}

#[test]
fn additions_and_removals_change_and_what_refers_to_them() {
    let change = |action: ChangeAction| {
        ResourceChange::builder()
            .action(action)
            .logical_resource_id("Resize")
            .resource_type("AWS::Lambda::Function")
            .build()
    };
    for action in [
        ChangeAction::Add,
        ChangeAction::Remove,
        ChangeAction::Dynamic,
    ] {
        let mut listed = listed();
        listed[3] = change(action);
        assert_eq!(changed(&listed), ["Permission", "Reports", "Resize"]);
    }
}

#[test]
fn drift_is_not_in_the_templates() {
    let everything = ["Permission", "Policy", "Reports", "Resize"];
    let reverting = ChangeSet {
        reverts_drift: true,
        ..change_set(&listed())
    };
    let [changes, _] = told(&reverting, &resources(128), &resources(256));
    assert_eq!(changes, everything);
    let mut listed = listed();
    listed[3] = ResourceChange::builder()
        .action(ChangeAction::Modify)
        .logical_resource_id("Resize")
        .resource_type("AWS::Lambda::Function")
        .resource_drift_status(StackResourceDriftStatus::Modified)
        .build();
    assert_eq!(changed(&listed), everything);
}
