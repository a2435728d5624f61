//! Change sets: what CloudFormation would do.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudformation::operation::create_change_set::builders::CreateChangeSetFluentBuilder;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetSummary, ChangeSetType, DeploymentConfig,
    DeploymentConfigMode, DeploymentMode, ExecutionStatus, Parameter, RollbackConfiguration,
    RollbackTrigger, StackStatus, Tag,
};
use serde::Serialize;

use crate::artifact;
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{self, Checked};
use crate::finding::{self, Finding};
use crate::progress::{Progress, Report};
use crate::stack::{self, Described, Mode, StackSpec, is_ours, unique_name};
use crate::target::Target;

/// The largest template that CloudFormation takes in a request, in bytes; a larger one
/// must be in S3 (quota "template body size in a request").
pub(crate) const INLINE_TEMPLATE_LIMIT_BYTES: usize = 51_200;

/// A change set of ours that is older than this belongs to no deployment that still runs:
/// nobody waits so long for an answer.
const LEFT_OVER_AGE: Duration = Duration::from_secs(3600);

/// A created change set.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeSet {
    /// The stack's name.
    pub stack: String,
    /// Whether executing it creates the stack.
    pub creates_stack: bool,
    /// What it would do, in order of logical id.
    pub changes: Vec<Change>,
    /// What CloudFormation's validation warns of.
    pub warnings: Vec<Finding>,
    #[serde(skip)]
    pub(crate) reverts_drift: bool,
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) stack_id: String,
}

/// Removes change sets that deployments which were stopped have left, as far as no
/// running one can need them. Executing one removes all others anyway.
pub(crate) async fn remove_left_over(
    target: &Target,
    stack: &Described,
    report: Report<'_>,
) -> Result<()> {
    let mut pages = target
        .cloudformation
        .list_change_sets()
        .stack_name(stack.id())
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::aws("list the change sets", &error))?;
        for summary in page.summaries() {
            if let Some((id, name)) = left_over(summary, SystemTime::now()) {
                report(Progress::RemovingChangeSet {
                    name: name.to_owned(),
                });
                delete(target, stack.id(), id).await?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn create(
    target: &Target,
    spec: &StackSpec<'_>,
    creates_stack: bool,
) -> Result<ChangeSet> {
    let what = format!("create a change set for stack {}", spec.name);
    let name = unique_name();
    let answer = request(target, spec, creates_stack)
        .await?
        .change_set_name(&name)
        .client_token(&name)
        .send()
        .await;
    let created = ChangeSet {
        stack: spec.name.to_owned(),
        creates_stack,
        changes: Vec::new(),
        warnings: Vec::new(),
        reverts_drift: spec.reverts_drift,
        // As long as its ARN is not known, a change set goes by its and the stack's name.
        id: name,
        stack_id: spec.name.to_owned(),
    };
    match answer {
        Ok(answer) => Ok(ChangeSet {
            id: answer.id.unwrap_or(created.id),
            stack_id: answer.stack_id.unwrap_or(created.stack_id),
            ..created
        }),
        // The name is our own, so an earlier try of this request made it, and the answer
        // was lost.
        Err(error)
            if error.as_service_error().is_some_and(
                aws_sdk_cloudformation::operation::create_change_set::CreateChangeSetError::is_already_exists_exception,
            ) =>
        {
            Ok(created)
        }
        Err(error) => {
            let error = Error::aws(&what, &error);
            // The stack was there a moment ago.
            Err(match error.kind() {
                ErrorKind::NotFound => error.stale(),
                _ => error,
            })
        }
    }
}

async fn request(
    target: &Target,
    spec: &StackSpec<'_>,
    creates_stack: bool,
) -> Result<CreateChangeSetFluentBuilder> {
    let parameters = spec.parameters.iter().map(|(key, value)| {
        Parameter::builder()
            .parameter_key(key)
            .parameter_value(value)
            .build()
    });
    let tags = spec.tags.iter();
    let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
    let mut request = target
        .cloudformation
        .create_change_set()
        .stack_name(spec.name)
        .change_set_type(if creates_stack {
            ChangeSetType::Create
        } else {
            ChangeSetType::Update
        })
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityNamedIam)
        .set_parameters(Some(parameters.collect()))
        .set_tags(Some(tags.collect()));
    if spec.mode == Mode::Express {
        // AWS announced the mode as one that does not roll back unless it is told to.
        request = request.deployment_config(
            DeploymentConfig::builder()
                .mode(DeploymentConfigMode::Express)
                .disable_rollback(false)
                .build(),
        );
    }
    if spec.reverts_drift && !creates_stack {
        request = request.deployment_mode(DeploymentMode::RevertDrift);
    }
    let rollback = rollback_configuration(target, spec, creates_stack).await?;
    let request = request.rollback_configuration(rollback);
    Ok(match spec.store {
        Some(store) if spec.template.len() > INLINE_TEMPLATE_LIMIT_BYTES => {
            request.template_url(artifact::upload_template(target, store, spec.template).await?)
        }
        _ => request.template_body(spec.template),
    })
}

/// Waits until the change set is ready; `None` when it holds no change.
pub(crate) async fn wait_for(target: &Target, mut created: ChangeSet) -> Result<Option<ChangeSet>> {
    let mut waits = target.poll.waits();
    loop {
        let mut page = describe(target, &created, None).await?;
        if let Some(id) = page.change_set_id() {
            created.id = id.to_owned();
        }
        if let Some(id) = page.stack_id() {
            created.stack_id = id.to_owned();
        }
        match page.status() {
            Some(ChangeSetStatus::CreateComplete) => {
                if page.execution_status() == Some(&ExecutionStatus::Unavailable)
                    && page.changes().is_empty()
                {
                    discard(target, &created).await?;
                    return Ok(None);
                }
                loop {
                    let changes = page.changes().iter();
                    created.changes.extend(
                        changes.filter_map(|change| change.resource_change().map(Change::from)),
                    );
                    let Some(token) = page.next_token.take() else {
                        break;
                    };
                    page = describe(target, &created, Some(token)).await?;
                }
                created
                    .changes
                    .sort_by(|a, b| a.logical_id.cmp(&b.logical_id));
                created.warnings = explain::findings(target, Checked::ChangeSet(&created.id)).await;
                return Ok(Some(created));
            }
            Some(ChangeSetStatus::Failed) => {
                let reason = page.status_reason().unwrap_or("no reason was given");
                if holds_no_change(reason) {
                    discard(target, &created).await?;
                    return Ok(None);
                }
                let findings = explain::findings(target, Checked::ChangeSet(&created.id)).await;
                discard(target, &created).await?;
                let found = finding::described(&findings);
                return Err(Error::new(format!(
                    "CloudFormation refused the change set for stack {}",
                    created.stack
                ))
                .because(found.unwrap_or_else(|| reason.to_owned()))
                .concerning(&findings));
            }
            Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress) | None => {
                waits.pause().await;
            }
            Some(status) => {
                return Err(Error::new(format!(
                    "the change set for stack {} is in state {status}",
                    created.stack
                ))
                .because("something else removed it")
                .stale());
            }
        }
    }
}

/// A page of a change set's description.
pub(crate) async fn describe(
    target: &Target,
    changes: &ChangeSet,
    page: Option<String>,
) -> Result<DescribeChangeSetOutput> {
    let answer = target
        .cloudformation
        .describe_change_set()
        .change_set_name(&changes.id)
        .stack_name(&changes.stack_id)
        .include_property_values(true)
        .set_next_token(page)
        .send()
        .await;
    answer.map_err(|error| {
        let error = Error::aws("describe the change set", &error);
        match error.kind() {
            ErrorKind::NotFound => error.stale(),
            _ => error,
        }
    })
}

pub(crate) async fn delete(target: &Target, stack: &str, id: &str) -> Result<()> {
    let answer = target
        .cloudformation
        .delete_change_set()
        .change_set_name(id)
        .stack_name(stack)
        .send()
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = Error::aws("delete the change set", &error);
            match error.kind() {
                // It is gone, or it is being executed: nothing is left of it either way.
                ErrorKind::NotFound | ErrorKind::Stale => Ok(()),
                _ => Err(error),
            }
        }
    }
}

/// Gives up a change set, and the empty stack that creating it may have left.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn discard(target: &Target, changes: &ChangeSet) -> Result<()> {
    if !is_all_there_is(target, changes).await? {
        return delete(target, &changes.stack_id, &changes.id).await;
    }
    target
        .cloudformation
        .delete_stack()
        .stack_name(&changes.stack_id)
        .send()
        .await
        .map_err(|error| Error::aws("delete the empty stack", &error))?;
    Ok(())
}

/// Whether the stack is nothing but this change set. Where another deployment has a
/// change set, the stack is needed; and where this one is gone, another was executed,
/// although the stack's state may not tell yet.
async fn is_all_there_is(target: &Target, changes: &ChangeSet) -> Result<bool> {
    if !changes.creates_stack {
        return Ok(false);
    }
    let stack = stack::describe(target, &changes.stack_id).await?;
    if stack.is_none_or(|stack| *stack.status() != StackStatus::ReviewInProgress) {
        return Ok(false);
    }
    let listed = target
        .cloudformation
        .list_change_sets()
        .stack_name(&changes.stack_id)
        .send()
        .await
        .map_err(|error| Error::aws("list the change sets", &error))?;
    let ids: Vec<Option<&str>> = listed
        .summaries()
        .iter()
        .map(ChangeSetSummary::change_set_id)
        .collect();
    Ok(ids == [Some(changes.id.as_str())])
}

/// What CloudFormation watches while it executes the change set: the stack's alarm, if the
/// stack has it when the update begins and keeps it, otherwise nothing.
///
/// Every change set says so. CloudFormation applies the triggers of the last operation to
/// one that names none, and takes an update back whose trigger is an alarm that is gone.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html>
async fn rollback_configuration(
    target: &Target,
    spec: &StackSpec<'_>,
    creates_stack: bool,
) -> Result<RollbackConfiguration> {
    let watched = match spec.rollback_alarm.filter(|_| !creates_stack) {
        // A rollback deploys a template that may be older than the alarm.
        Some(alarm) if review::has_output(spec.template, alarm.output)? => {
            let outputs = stack::outputs(target, spec.name).await?.unwrap_or_default();
            outputs.get(alarm.output).map(|arn| (arn.clone(), alarm))
        }
        _ => None,
    };
    let minutes = watched.as_ref().map_or(0, |(_, alarm)| alarm.minutes);
    let triggers = watched.into_iter().map(|(arn, _)| {
        RollbackTrigger::builder()
            .arn(arn)
            .r#type("AWS::CloudWatch::CompositeAlarm")
            .build()
    });
    Ok(RollbackConfiguration::builder()
        .set_rollback_triggers(Some(triggers.collect()))
        .monitoring_time_in_minutes(minutes)
        .build())
}

/// A change set of ours that no running deployment can need: its id and name.
fn left_over(summary: &ChangeSetSummary, now: SystemTime) -> Option<(&str, &str)> {
    let (id, name) = (summary.change_set_id()?, summary.change_set_name()?);
    if !is_ours(name) || summary.execution_status() == Some(&ExecutionStatus::ExecuteInProgress) {
        return None;
    }
    let dead = summary.status() == Some(&ChangeSetStatus::Failed)
        || matches!(
            summary.execution_status(),
            Some(
                ExecutionStatus::Obsolete
                    | ExecutionStatus::ExecuteFailed
                    | ExecutionStatus::ExecuteComplete
            )
        );
    let old = summary
        .creation_time()
        .and_then(|created| SystemTime::try_from(*created).ok())
        .and_then(|created| now.duration_since(created).ok())
        .is_some_and(|age| age > LEFT_OVER_AGE);
    (dead || old).then_some((id, name))
}

/// CloudFormation's two ways of saying that a change set is empty.
fn holds_no_change(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

#[cfg(test)]
mod tests;
