//! What CloudFormation's validation and hooks find.

use aws_sdk_cloudformation::types::{EventType, HookFailureMode, OperationEvent};
use serde::Serialize;

/// Something that CloudFormation's pre-deployment validation, or a hook, found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The resource's name in the template.
    pub logical_id: String,
    /// For example `AWS::S3::Bucket`.
    pub resource_type: String,
    /// Where in the template, for example `/Resources/Reports/Properties/BucketName`.
    pub path: Option<String>,
    /// The validation or the hook.
    pub check: String,
    /// What it says.
    pub message: String,
    /// Whether it forbids the deployment. Otherwise it only warns.
    pub fails: bool,
}

impl Finding {
    pub(crate) fn parse(event: &OperationEvent) -> Option<Self> {
        let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (check, message, mode) = match event.event_type()? {
            EventType::ValidationError => (
                event.validation_name(),
                event.validation_status_reason(),
                event.validation_failure_mode(),
            ),
            EventType::HookInvocationError => (
                event.hook_type(),
                event.hook_status_reason(),
                event.hook_failure_mode(),
            ),
            _ => return None,
        };
        Some(Self {
            logical_id: own(event.logical_resource_id()),
            resource_type: own(event.resource_type()),
            path: event.validation_path().map(str::to_owned),
            check: own(check),
            message: own(message.or(event.resource_status_reason())),
            fails: mode != Some(&HookFailureMode::Warn),
        })
    }
}

/// The findings that forbid a deployment, as one sentence.
pub(crate) fn described(findings: &[Finding]) -> Option<String> {
    let described: Vec<String> = findings
        .iter()
        .filter(|finding| finding.fails)
        .map(|finding| {
            let place = finding.path.as_ref().map(|path| format!(" at {path}"));
            format!(
                "{} ({}){}: {}",
                finding.logical_id,
                finding.resource_type,
                place.unwrap_or_default(),
                finding.message
            )
        })
        .collect();
    (!described.is_empty()).then(|| described.join("; "))
}
