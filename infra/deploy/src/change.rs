//! What a change set does with a resource.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::{
    ChangeAction, ChangeSource, EvaluationType, ResourceAttribute, ResourceChange,
    ResourceChangeDetail, ResourceTargetDefinition, StackResourceDriftStatus,
};
use review::{PropertyChange, Review, between, path_of_pointer};
use serde::Serialize;
use serde_json::Value;

use crate::replacement::{self, Replacement};

/// What CloudFormation tells in place of a value that it knows only while executing.
const KNOWN_AFTER_APPLY: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// A change to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its name or ARN, if it exists.
    pub physical_id: Option<String>,
    /// For example `AWS::S3::Bucket`.
    pub resource_type: String,
    /// Whether it is replaced by a new one.
    pub replacement: Replacement,
    /// The properties and attributes that change.
    pub properties: Vec<String>,
    /// The values before and after, if CloudFormation returns them.
    pub property_changes: Vec<PropertyChange>,
    /// Whether the resource was changed or deleted by hand. Only told where the change set
    /// reverts drift.
    pub drifted: bool,
    /// Whether CloudFormation names nothing but references as the cause: to parameters, and to
    /// other resources, of which it knows the values only while executing.
    #[serde(skip)]
    pub only_by_reference: bool,
}

/// What a change set does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is created.
    Add,
    /// It is updated or replaced.
    Modify,
    /// It is deleted, or left behind if its deletion policy says so.
    Remove,
    /// It is as it shall be already: CloudFormation only notes that.
    Sync,
    /// CloudFormation can tell only while executing.
    Dynamic,
}

impl Change {
    /// What is known of the property changes: by CloudFormation where it tells values, else by
    /// the templates.
    pub fn property_changes_with<'a>(&'a self, review: &'a Review) -> &'a [PropertyChange] {
        let told = &self.property_changes;
        let tells_values = told
            .iter()
            .any(|property| property.before.is_some() || property.after.is_some());
        match review.property_changes.get(&self.logical_id) {
            Some(by_templates) if !tells_values => by_templates,
            _ => told,
        }
    }

    /// Whether executing the change can lose data or an address that others know.
    pub fn endangers_state(&self) -> bool {
        const STATEFUL: [&str; 16] = [
            "AWS::S3::Bucket",
            "AWS::DynamoDB::Table",
            "AWS::SQS::Queue",
            "AWS::SNS::Topic",
            "AWS::ApiGatewayV2::Api",
            "AWS::Lambda::Url",
            "AWS::Logs::LogGroup",
            // Which an app declares by their types.
            "AWS::Cognito::UserPool",
            "AWS::DynamoDB::GlobalTable",
            "AWS::EFS::FileSystem",
            "AWS::KMS::Key",
            "AWS::Kinesis::Stream",
            "AWS::OpenSearchService::Domain",
            "AWS::RDS::DBCluster",
            "AWS::RDS::DBInstance",
            "AWS::SecretsManager::Secret",
        ];
        let gone = self.action == Action::Remove
            || (self.action == Action::Modify && self.replacement != Replacement::Never);
        gone && STATEFUL.contains(&self.resource_type.as_str())
    }
}

impl From<&ResourceChange> for Change {
    fn from(change: &ResourceChange) -> Self {
        let mut properties: Vec<String> = change
            .details()
            .iter()
            .filter_map(|detail| {
                let target = detail.target()?;
                Some(match target.name() {
                    Some(name) => name.to_owned(),
                    None => target.attribute()?.as_str().to_owned(),
                })
            })
            .collect();
        properties.sort();
        properties.dedup();
        Self {
            action: match change.action() {
                Some(ChangeAction::Add | ChangeAction::Import) => Action::Add,
                Some(ChangeAction::Modify) => Action::Modify,
                Some(ChangeAction::Remove) => Action::Remove,
                Some(ChangeAction::SyncWithActual) => Action::Sync,
                _ => Action::Dynamic,
            },
            logical_id: change.logical_resource_id().unwrap_or_default().to_owned(),
            physical_id: change.physical_resource_id().map(str::to_owned),
            resource_type: change.resource_type().unwrap_or_default().to_owned(),
            replacement: replacement::of(change),
            properties,
            property_changes: property_changes(change),
            drifted: matches!(
                change.resource_drift_status(),
                Some(StackResourceDriftStatus::Modified | StackResourceDriftStatus::Deleted)
            ),
            only_by_reference: !change.details().is_empty()
                && change.details().iter().all(is_by_reference),
        }
    }
}

/// Whether a detail says that a property refers to something that changes, and not that its value
/// is another one.
fn is_by_reference(detail: &ResourceChangeDetail) -> bool {
    let value = |value: Option<&str>| value.filter(|value| *value != KNOWN_AFTER_APPLY).is_some();
    let known = detail.target().is_some_and(|target| {
        value(target.after_value()) && target.before_value() != target.after_value()
    });
    let uncertain = detail.evaluation() == Some(&EvaluationType::Dynamic);
    !known
        && match detail.change_source() {
            Some(
                ChangeSource::ParameterReference
                | ChangeSource::ResourceReference
                | ChangeSource::ResourceAttribute,
            ) => true,
            Some(ChangeSource::DirectModification) => uncertain,
            _ => false,
        }
}

/// What CloudFormation tells of a modified resource's properties when it is asked with
/// `IncludePropertyValues`: the resource as a whole before and after, and the fields that
/// change, of which some get their value only while executing. An endpoint that knows no
/// values still names the fields.
///
/// A resource that is added or removed has no property changes.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html>
fn property_changes(change: &ResourceChange) -> Vec<PropertyChange> {
    let context = |text: Option<&str>| serde_json::from_str::<Value>(text?).ok();
    let mut told = match (
        context(change.before_context()),
        context(change.after_context()),
    ) {
        (Some(before), Some(after)) => between(&before, &after),
        _ => Vec::new(),
    };
    let shown: BTreeSet<String> = told.iter().map(|change| change.path.clone()).collect();
    let overlaps = |path: &str| {
        // The contexts' lists are not always compared by position.
        let list = path
            .split('.')
            .take_while(|step| step.parse::<usize>().is_err())
            .collect::<Vec<_>>()
            .join(".");
        shown.iter().any(|shown| {
            shown == path || is_within(path, shown) || *shown == list || is_within(shown, &list)
        })
    };
    for detail in change.details() {
        let Some(target) = detail.target() else {
            continue;
        };
        let path = path_of(target);
        if !overlaps(&path) {
            told.push(PropertyChange {
                path,
                before: target.before_value().map(str::to_owned),
                after: target.after_value().map(str::to_owned),
            });
        }
    }
    told.sort_by(|a, b| a.path.cmp(&b.path));
    // One field may change for several reasons, each with a detail of its own.
    told.dedup_by(|a, b| a.path == b.path);
    told
}

fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// A field's path. The API's is a JSON pointer, `/Properties/Tags`; without values asked
/// for there is only the property's name, or the attribute's.
fn path_of(target: &ResourceTargetDefinition) -> String {
    if let Some(pointer) = target.path() {
        return path_of_pointer(pointer);
    }
    let attribute = target.attribute().map(ResourceAttribute::as_str);
    target.name().or(attribute).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
