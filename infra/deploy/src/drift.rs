//! What was changed by hand, behind CloudFormation's back.
//!
//! A change set compares templates, so it does not see such changes. Those of roles are found by
//! IAM itself: CloudFormation's drift detection leaves out what the template does not set, and a
//! policy that somebody added is just that. Everything else is found by drift detection, which
//! takes a minute and so is asked for.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html>

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::types::{
    PropertyDifference, StackDriftDetectionStatus, StackResourceDrift, StackResourceDriftStatus,
    StackResourceSummary,
};
use aws_sdk_iam::operation::get_role::GetRoleError;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::parallel::at_once;
use crate::record::Record;
use crate::target::Target;
use crate::{record, resources};
use review::{AccessChange, Declared, PropertyChange};

const ROLE: &str = "AWS::IAM::Role";

/// What is different about a stack's roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RolesByHand {
    /// The permissions that were added and removed, broadened access first.
    pub access_changes: Vec<AccessChange>,
    /// The roles that are gone, by logical ID.
    pub gone: Vec<String>,
}

impl RolesByHand {
    /// Whether all roles are as they were deployed.
    pub fn is_empty(&self) -> bool {
        self.access_changes.is_empty() && self.gone.is_empty()
    }
}

/// What CloudFormation's drift detection found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The resources that are not as the template says, in order of logical ID.
    pub drifted: Vec<Drifted>,
    /// The types of resources that CloudFormation has not compared: it does not for every type.
    pub not_compared: BTreeSet<String>,
}

/// A resource that is not as the template says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drifted {
    /// The resource's name in the template.
    pub logical_id: String,
    /// For example `AWS::S3::Bucket`.
    pub resource_type: String,
    /// Its name or ARN.
    pub physical_id: Option<String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The properties that differ: what the template says, and what is there.
    pub property_changes: Vec<PropertyChange>,
}

/// Compares the roles of a stack with what was deployed. Nothing when there is no stack, or
/// none that is whole.
///
/// # Errors
/// When AWS cannot be reached or refuses, or the deployed template cannot be read.
pub async fn roles_changed_by_hand(target: &Target, stack: &str) -> Result<RolesByHand> {
    let Some(deployed) = record::deployed(target, stack).await? else {
        return Ok(RolesByHand::default());
    };
    let resources = resources::of(target, stack).await?;
    let roles = resources
        .iter()
        .filter(|resource| resource.resource_type() == Some(ROLE))
        .filter_map(named)
        .map(|(logical_id, name)| (logical_id.to_owned(), name.to_owned()));
    let roles = at_once(roles, &|_| {}, |(logical_id, name), _| {
        let target = target.clone();
        async move { Ok((logical_id, role(&target, &name).await?)) }
    })
    .await?;
    let mut present = BTreeMap::new();
    let mut gone = Vec::new();
    for (logical_id, role) in roles {
        match role {
            Some(role) => {
                present.insert(logical_id, role);
            }
            None => gone.push(logical_id),
        }
    }
    Ok(RolesByHand {
        access_changes: compare_roles(target, stack, &deployed, &resources, &present)?,
        gone,
    })
}

fn compare_roles(
    target: &Target,
    stack: &str,
    deployed: &Record,
    resources: &[StackResourceSummary],
    roles: &BTreeMap<String, Value>,
) -> Result<Vec<AccessChange>> {
    let mut values: BTreeMap<&str, &str> = resources.iter().filter_map(named).collect();
    values.extend([
        ("AWS::AccountId", target.account.as_str()),
        ("AWS::Partition", target.partition()),
        ("AWS::Region", &target.region),
        ("AWS::StackName", stack),
    ]);
    let deployed = Declared {
        template: &deployed.template,
        parameters: &deployed.parameters,
    };
    Ok(review::roles_by_hand(deployed, &values, roles)?)
}

/// A role in the form of a template's properties; `None` when it is gone.
async fn role(target: &Target, name: &str) -> Result<Option<Value>> {
    let what = format!("read role {name}");
    let role = match target.iam.get_role().role_name(name).send().await {
        Ok(answer) => answer.role,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetRoleError::is_no_such_entity_exception) =>
        {
            None
        }
        Err(error) => return Err(Error::aws(&what, &error)),
    };
    let Some(role) = role else {
        return Ok(None);
    };
    let mut policies = Vec::new();
    let request = target.iam.list_role_policies().role_name(name);
    let mut names = request.into_paginator().items().send();
    while let Some(policy) = names.next().await {
        let policy = policy.map_err(|error| Error::aws(&what, &error))?;
        let request = target.iam.get_role_policy().role_name(name);
        let answer = request.policy_name(&policy).send().await;
        let answer = answer.map_err(|error| Error::aws(&what, &error))?;
        policies.push(json!({
            "PolicyName": policy,
            "PolicyDocument": document(answer.policy_document())?,
        }));
    }
    let mut attached = Vec::new();
    let request = target.iam.list_attached_role_policies().role_name(name);
    let mut pages = request.into_paginator().items().send();
    while let Some(policy) = pages.next().await {
        let policy = policy.map_err(|error| Error::aws(&what, &error))?;
        attached.extend(policy.policy_arn);
    }
    let mut properties = json!({
        "AssumeRolePolicyDocument":
            document(role.assume_role_policy_document().unwrap_or_default())?,
        "Policies": policies,
        "ManagedPolicyArns": attached,
    });
    let boundary = role.permissions_boundary();
    if let Some(boundary) = boundary.and_then(|boundary| boundary.permissions_boundary_arn()) {
        properties["PermissionsBoundary"] = json!(boundary);
    }
    Ok(Some(properties))
}

/// Lets CloudFormation compare the resources of a stack with the template.
///
/// # Errors
/// When AWS cannot be reached or refuses, or the detection fails.
pub async fn detect_drift(target: &Target, stack: &str) -> Result<Drift> {
    let what = format!("detect the drift of stack {stack}");
    let request = target.cloudformation.detect_stack_drift().stack_name(stack);
    let answer = request.send().await;
    let answer = answer.map_err(|error| Error::aws(&what, &error))?;
    let detection = answer.stack_drift_detection_id().unwrap_or_default();
    let mut waits = target.poll.waits();
    loop {
        let answer = target
            .cloudformation
            .describe_stack_drift_detection_status()
            .stack_drift_detection_id(detection)
            .send()
            .await
            .map_err(|error| Error::aws(&what, &error))?;
        match answer.detection_status() {
            Some(StackDriftDetectionStatus::DetectionInProgress) => waits.pause().await,
            Some(StackDriftDetectionStatus::DetectionFailed) => {
                let reason = answer.detection_status_reason();
                return Err(Error::new(format!("could not {what}"))
                    .because(reason.unwrap_or("CloudFormation gave no reason")));
            }
            _ => break,
        }
    }
    use StackResourceDriftStatus::{Deleted, InSync, Modified};
    let mut drifted = Vec::new();
    let mut compared = BTreeSet::new();
    let request = target.cloudformation.describe_stack_resource_drifts();
    let mut pages = request.stack_name(stack).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::aws(&what, &error))?;
        for drift in page.stack_resource_drifts() {
            let status = drift.stack_resource_drift_status();
            if matches!(status, Some(InSync | Modified | Deleted)) {
                compared.extend(drift.logical_resource_id().map(str::to_owned));
            }
            if matches!(status, Some(Modified | Deleted)) {
                drifted.push(Drifted::from(drift));
            }
        }
    }
    drifted.sort_by(|a, b| a.logical_id.cmp(&b.logical_id));
    let resources = resources::of(target, stack).await?;
    let not_compared = resources
        .iter()
        .filter(|resource| {
            let logical_id = resource.logical_resource_id();
            logical_id.is_some_and(|logical_id| !compared.contains(logical_id))
        })
        .filter_map(|resource| resource.resource_type().map(str::to_owned));
    Ok(Drift {
        drifted,
        not_compared: not_compared.collect(),
    })
}

/// A resource's name in the template and its own.
fn named(resource: &StackResourceSummary) -> Option<(&str, &str)> {
    let physical_id = resource.physical_resource_id()?;
    Some((resource.logical_resource_id()?, physical_id))
}

/// A policy document, as IAM encodes it.
fn document(encoded: &str) -> Result<Value> {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    serde_json::from_str(&text).map_err(|error| {
        Error::new("IAM returned a policy that is not JSON").because(error.to_string())
    })
}

impl From<&StackResourceDrift> for Drifted {
    fn from(drift: &StackResourceDrift) -> Self {
        let differences = drift.property_differences().iter();
        Self {
            logical_id: drift.logical_resource_id().unwrap_or_default().to_owned(),
            resource_type: drift.resource_type().unwrap_or_default().to_owned(),
            physical_id: drift.physical_resource_id().map(str::to_owned),
            deleted: drift.stack_resource_drift_status()
                == Some(&StackResourceDriftStatus::Deleted),
            property_changes: differences.map(difference).collect(),
        }
    }
}

fn difference(difference: &PropertyDifference) -> PropertyChange {
    let value = |value: Option<&str>| {
        value
            .filter(|value| *value != "null")
            .map(ToOwned::to_owned)
    };
    PropertyChange {
        path: review::path_of_pointer(difference.property_path().unwrap_or_default()),
        before: value(difference.expected_value()),
        after: value(difference.actual_value()),
    }
}

#[cfg(test)]
mod tests;
