//! What CloudFormation says of a resource.

use aws_sdk_cloudformation::types::StackEvent;
use serde::Serialize;

/// A line of CloudFormation's event log, or a resource as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceEvent {
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its name or ARN in the account, once it has one.
    pub physical_id: String,
    /// For example `AWS::S3::Bucket`.
    pub resource_type: String,
    /// For example `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Why, mostly on failure.
    pub reason: Option<String>,
}

impl ResourceEvent {
    /// Whether this says that an operation on the resource failed.
    pub fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// Whether an operation on the resource ended well.
    pub fn complete(&self) -> bool {
        self.status.ends_with("_COMPLETE")
    }

    /// Whether this is about the stack itself.
    pub fn is_of_stack(&self) -> bool {
        self.resource_type == "AWS::CloudFormation::Stack"
    }
}

impl From<&StackEvent> for ResourceEvent {
    fn from(event: &StackEvent) -> Self {
        Self {
            logical_id: event.logical_resource_id().unwrap_or_default().to_owned(),
            physical_id: event.physical_resource_id().unwrap_or_default().to_owned(),
            resource_type: event.resource_type().unwrap_or_default().to_owned(),
            status: event
                .resource_status()
                .map_or("", |status| status.as_str())
                .to_owned(),
            reason: event
                .resource_status_reason()
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
        }
    }
}

/// Whether a failure only says that something else failed first.
pub(crate) fn is_consequence(event: &ResourceEvent) -> bool {
    event.is_of_stack()
        || event.reason.as_deref().is_some_and(|reason| {
            reason.contains("cancelled") || reason.contains("The following resource(s) failed")
        })
}

/// The resources with their reasons, for a sentence.
pub(crate) fn list(resources: &[ResourceEvent]) -> String {
    let described: Vec<String> = resources
        .iter()
        .map(|resource| {
            format!(
                "{} ({}): {}",
                resource.logical_id,
                resource.resource_type,
                resource
                    .reason
                    .as_deref()
                    .unwrap_or("no reason was given")
                    .trim_end_matches('.')
            )
        })
        .collect();
    described.join("; ")
}
