#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{
    ChangeAction, ResourceAttribute, ResourceChange, ResourceChangeDetail, ResourceTargetDefinition,
};
use review::{Declared, review};
use serde_json::json;

use super::*;

fn property(path: &str, before: Option<&str>, after: Option<&str>) -> PropertyChange {
    PropertyChange {
        path: path.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

fn detail(target: ResourceTargetDefinition) -> ResourceChangeDetail {
    ResourceChangeDetail::builder().target(target).build()
}

/// The form is that of the API, with a function's properties.
#[test]
fn values_come_from_the_contexts_and_unknown_ones_from_the_details() {
    let told = property_changes(
        &ResourceChange::builder()
            .action(ChangeAction::Modify)
            .before_context(
                json!({"Properties": {
                    "MemorySize": "256",
                    "Environment": {"Variables": {"TABLE": "a", "LOG": "info"}},
                    "Tags": [{"Key": "stage", "Value": "dev"}],
                    "Layers": ["a"],
                }})
                .to_string(),
            )
            .after_context(
                json!({"Properties": {
                    "MemorySize": "512",
                    "Environment": {"Variables": {"TABLE": "b"}},
                    "Tags": [{"Value": "x", "Key": "app"}, {"Value": "dev", "Key": "stage"}],
                    "Layers": ["a", "b"],
                }})
                .to_string(),
            )
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("MemorySize")
                    .path("/Properties/MemorySize")
                    .before_value("256")
                    .after_value("512")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Tags)
                    .path("/Properties/Tags/0/Value")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("Layers")
                    .path("/Properties/Layers/1")
                    .after_value("b")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("Role")
                    .path("/Properties/Role")
                    .before_value("arn:aws:iam::123456789012:role/old")
                    .build(),
            ))
            .build(),
    );
    assert_eq!(
        told,
        [
            property("Environment.Variables.LOG", Some("info"), None),
            property("Environment.Variables.TABLE", Some("a"), Some("b")),
            property("Layers", Some(r#"["a"]"#), Some(r#"["a","b"]"#)),
            property("MemorySize", Some("256"), Some("512")),
            property("Role", Some("arn:aws:iam::123456789012:role/old"), None),
            property("Tags.app", None, Some("x")),
        ]
    );
}

#[test]
fn without_contexts_the_details_tell_and_without_values_the_names() {
    let told = property_changes(
        &ResourceChange::builder()
            .action(ChangeAction::Modify)
            .details(detail(
                ResourceTargetDefinition::builder()
                    .path("/Properties/Environment/Variables/A~1B")
                    .after_value("x")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("Timeout")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name("Timeout")
                    .build(),
            ))
            .details(detail(
                ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Metadata)
                    .build(),
            ))
            .build(),
    );
    assert_eq!(
        told,
        [
            property("Environment.Variables.A/B", None, Some("x")),
            property("Metadata", None, None),
            property("Timeout", None, None),
        ]
    );
}

#[test]
fn an_added_resource_has_no_property_changes() {
    let added = ResourceChange::builder()
        .action(ChangeAction::Add)
        .after_context(r#"{"Properties":{"MemorySize":"256"}}"#)
        .build();
    assert_eq!(property_changes(&added), []);
}

#[test]
fn cloudformation_has_the_word_on_values_if_it_says_any() {
    let template = |memory: u32| {
        json!({"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": memory}}}})
            .to_string()
    };
    let (before, after) = (template(128), template(256));
    let parameters = BTreeMap::new();
    let declared = |template| Declared {
        template,
        parameters: &parameters,
    };
    let review = review(Some(declared(&before)), declared(&after)).unwrap();
    let told = |before: Option<&str>| {
        Change::from(
            &ResourceChange::builder()
                .action(ChangeAction::Modify)
                .logical_resource_id("F")
                .details(detail(
                    ResourceTargetDefinition::builder()
                        .path("/Properties/MemorySize")
                        .set_before_value(before.map(str::to_owned))
                        .build(),
                ))
                .build(),
        )
    };
    let (names, values) = (told(None), told(Some("192")));
    assert_eq!(
        names.property_changes_with(&review)[0].before.as_deref(),
        Some("128")
    );
    assert_eq!(
        values.property_changes_with(&review)[0].before.as_deref(),
        Some("192")
    );
}

fn change(action: Action, resource_type: &str, replacement: Replacement) -> Change {
    Change {
        action,
        logical_id: "X".to_owned(),
        physical_id: None,
        resource_type: resource_type.to_owned(),
        replacement,
        properties: Vec::new(),
        property_changes: Vec::new(),
        drifted: false,
        only_by_reference: false,
    }
}

#[test]
fn losing_a_table_or_bucket_endangers_state_but_losing_a_function_does_not() {
    assert!(change(Action::Remove, "AWS::DynamoDB::Table", Replacement::Never).endangers_state());
    assert!(change(Action::Modify, "AWS::S3::Bucket", Replacement::Conditional).endangers_state());
    assert!(!change(Action::Modify, "AWS::S3::Bucket", Replacement::Never).endangers_state());
    assert!(!change(Action::Remove, "AWS::Lambda::Function", Replacement::Never).endangers_state());
}

#[test]
fn what_was_changed_by_hand_is_told() {
    use aws_sdk_cloudformation::types::StackResourceDriftStatus as Status;
    let told = |action: ChangeAction, status: Status| {
        let change = ResourceChange::builder()
            .action(action)
            .resource_drift_status(status);
        let change = Change::from(&change.build());
        (change.action, change.drifted)
    };
    for (action, status, expected) in [
        (
            ChangeAction::Modify,
            Status::Modified,
            (Action::Modify, true),
        ),
        (ChangeAction::Add, Status::Deleted, (Action::Add, true)),
        (
            ChangeAction::Modify,
            Status::InSync,
            (Action::Modify, false),
        ),
        (
            ChangeAction::SyncWithActual,
            Status::Modified,
            (Action::Sync, true),
        ),
    ] {
        assert_eq!(told(action, status), expected);
    }
}
