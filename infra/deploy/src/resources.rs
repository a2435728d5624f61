//! The resources of a stack.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary};

use crate::error::{Error, ErrorKind, Result};
use crate::resource_event::{ResourceEvent, is_consequence};
use crate::stack::Described;
use crate::target::Target;

/// The resources of a stack, or nothing when it does not exist.
pub(crate) async fn of(target: &Target, stack: &str) -> Result<Vec<StackResourceSummary>> {
    let mut pages = target
        .cloudformation
        .list_stack_resources()
        .stack_name(stack)
        .into_paginator()
        .send();
    let mut resources = Vec::new();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => resources.extend(page.stack_resource_summaries.unwrap_or_default()),
            Err(error) => {
                let what = format!("list the resources of stack {stack}");
                let error = Error::aws(&what, &error);
                if error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                break;
            }
        }
    }
    Ok(resources)
}

/// What the resources of a stack are called: physical by logical IDs. A stack that does not exist has none.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn resource_names(target: &Target, stack: &str) -> Result<BTreeMap<String, String>> {
    let resources = of(target, stack).await?.into_iter();
    let names = resources.filter_map(|resource| {
        let physical = resource.physical_resource_id?;
        Some((resource.logical_resource_id?, physical))
    });
    Ok(names.filter(|(_, physical)| !physical.is_empty()).collect())
}

/// The stack's resources in a state, less those that only followed others into it.
pub(crate) async fn in_status(
    target: &Target,
    stack: &Described,
    status: &ResourceStatus,
) -> Result<Vec<ResourceEvent>> {
    let resources = of(target, stack.id()).await?;
    Ok(resources
        .iter()
        .filter(|resource| resource.resource_status() == Some(status))
        .map(|resource| ResourceEvent {
            logical_id: resource
                .logical_resource_id()
                .unwrap_or_default()
                .to_owned(),
            physical_id: resource
                .physical_resource_id()
                .unwrap_or_default()
                .to_owned(),
            resource_type: resource.resource_type().unwrap_or_default().to_owned(),
            status: status.as_str().to_owned(),
            reason: resource
                .resource_status_reason()
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
        })
        .filter(|resource| !is_consequence(resource))
        .collect())
}

/// The buckets among a stack's resources that are not deleted yet.
pub(crate) fn buckets(resources: &[StackResourceSummary]) -> Vec<String> {
    resources
        .iter()
        .filter(|resource| {
            resource.resource_type() == Some("AWS::S3::Bucket")
                && resource.resource_status() != Some(&ResourceStatus::DeleteComplete)
        })
        .filter_map(|resource| resource.physical_resource_id())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
