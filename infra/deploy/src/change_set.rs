//! Change sets: what CloudFormation would do, and doing it.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudformation::operation::create_change_set::builders::CreateChangeSetFluentBuilder;
use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetSummary, ChangeSetType, DeploymentConfig,
    DeploymentConfigMode, DeploymentMode, ExecutionStatus, Parameter, ResourceChange,
    RollbackConfiguration, RollbackTrigger, StackResourceDriftStatus, StackStatus, Tag,
};
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::events::EventFollower;
use crate::explain::{Checked, Diagnosis, Finding, describe_findings};
use crate::progress::{Decide, Progress, Report};
use crate::review::{self, PropertyChange};
use crate::stack::{Described, Mode, Outputs, StackSpec, is_ours, unique_name};
use crate::target::Target;

/// The largest template that CloudFormation takes in a request, in bytes; a larger one
/// must be in S3 (quota "template body size in a request").
const INLINE_TEMPLATE_LIMIT_BYTES: usize = 51_200;

/// How often a plan is made anew because the stack changed meanwhile. Whoever is in the way
/// is waited for each time, so there must be many of them before this is too few.
pub(crate) const PLANS_MAX: usize = 5;

/// A change set of ours that is older than this belongs to no deployment that still runs:
/// nobody waits so long for an answer.
const LEFT_OVER_AGE: Duration = Duration::from_secs(3600);

/// What deploying would do.
#[derive(Debug)]
pub enum Plan {
    /// The stack is as it shall be.
    NoChanges(Outputs),
    /// CloudFormation's answer.
    Changes(ChangeSet),
}

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
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) stack_id: String,
}

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
    /// Which value becomes which, as far as CloudFormation tells.
    pub property_changes: Vec<PropertyChange>,
    /// Whether the resource was changed or deleted by hand. Only told where the change set
    /// reverts drift.
    pub drifted: bool,
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

impl Change {
    /// Whether executing the change can lose data or an address that others know.
    pub fn endangers_state(&self) -> bool {
        const STATEFUL: [&str; 6] = [
            "AWS::S3::Bucket",
            "AWS::DynamoDB::Table",
            "AWS::SQS::Queue",
            "AWS::SNS::Topic",
            "AWS::ApiGatewayV2::Api",
            "AWS::Logs::LogGroup",
        ];
        let gone = self.action == Action::Remove
            || (self.action == Action::Modify && self.replacement != Replacement::Never);
        gone && STATEFUL.contains(&self.resource_type.as_str())
    }
}

/// How the execution of a change set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stack is as it shall be.
    Deployed(Outputs),
    /// CloudFormation gave up and went back.
    RolledBack(Diagnosis),
}

impl Target {
    /// Creates a change set for what `spec` asks, or finds that nothing would change. A
    /// stack that is stuck is recovered first, and someone else's operation is waited for.
    ///
    /// # Errors
    /// When the stack cannot be recovered, or not without a yes; when AWS refuses the
    /// template.
    pub async fn plan(
        &self,
        spec: &StackSpec<'_>,
        decide: Decide<'_>,
        report: Report<'_>,
    ) -> Result<Plan> {
        for _ in 1..PLANS_MAX {
            match self.plan_once(spec, decide, report).await {
                Err(error) if error.kind() == Kind::Stale => {
                    report(Progress::planning_again(spec.name, &error));
                }
                planned => return planned,
            }
        }
        self.plan_once(spec, decide, report).await
    }

    async fn plan_once(
        &self,
        spec: &StackSpec<'_>,
        decide: Decide<'_>,
        report: Report<'_>,
    ) -> Result<Plan> {
        let current = self.deployable(spec, decide, report).await?;
        if let Some(current) = &current {
            self.remove_left_over_change_sets(current, report).await?;
        }
        if let Some(current) = &current
            && !spec.reverts_drift
            && current.settled()
            && self.mismatch(current, spec).await?.is_none()
        {
            return Ok(Plan::NoChanges(current.outputs()));
        }
        report(Progress::Planning {
            stack: spec.name.to_owned(),
        });
        let creates_stack = current
            .as_ref()
            .is_none_or(|stack| *stack.status() == StackStatus::ReviewInProgress);
        let created = self.create_change_set(spec, creates_stack).await?;
        match self.wait_for_change_set(created).await? {
            Some(changes) => Ok(Plan::Changes(changes)),
            None => Ok(Plan::NoChanges(
                current.map(|stack| stack.outputs()).unwrap_or_default(),
            )),
        }
    }

    /// Removes change sets that deployments which were stopped have left, as far as no
    /// running one can need them. Executing one removes all others anyway.
    async fn remove_left_over_change_sets(
        &self,
        stack: &Described,
        report: Report<'_>,
    ) -> Result<()> {
        let mut pages = self
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
                    self.delete_change_set(stack.id(), id).await?;
                }
            }
        }
        Ok(())
    }

    async fn create_change_set(
        &self,
        spec: &StackSpec<'_>,
        creates_stack: bool,
    ) -> Result<ChangeSet> {
        let what = format!("create a change set for stack {}", spec.name);
        let name = unique_name();
        let answer = self
            .change_set_request(spec, creates_stack)
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
                    Kind::NotFound => error.stale(),
                    _ => error,
                })
            }
        }
    }

    async fn change_set_request(
        &self,
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
        let mut request = self
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
        let rollback = self.rollback_configuration(spec, creates_stack).await?;
        let request = request.rollback_configuration(rollback);
        Ok(match spec.store {
            Some(store) if spec.template.len() > INLINE_TEMPLATE_LIMIT_BYTES => {
                request.template_url(self.upload_template(store, spec.template).await?)
            }
            _ => request.template_body(spec.template),
        })
    }

    /// Waits until the change set is ready; `None` when it holds no change.
    async fn wait_for_change_set(&self, mut created: ChangeSet) -> Result<Option<ChangeSet>> {
        let mut waits = self.poll.waits();
        loop {
            let mut page = self.describe_change_set(&created, None).await?;
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
                        self.discard(&created).await?;
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
                        page = self.describe_change_set(&created, Some(token)).await?;
                    }
                    created
                        .changes
                        .sort_by(|a, b| a.logical_id.cmp(&b.logical_id));
                    created.warnings = self.findings(Checked::ChangeSet(&created.id)).await;
                    return Ok(Some(created));
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = page.status_reason().unwrap_or("no reason was given");
                    if holds_no_change(reason) {
                        self.discard(&created).await?;
                        return Ok(None);
                    }
                    let findings = self.findings(Checked::ChangeSet(&created.id)).await;
                    self.discard(&created).await?;
                    let found = describe_findings(&findings);
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
    async fn describe_change_set(
        &self,
        changes: &ChangeSet,
        page: Option<String>,
    ) -> Result<DescribeChangeSetOutput> {
        let answer = self
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
                Kind::NotFound => error.stale(),
                _ => error,
            }
        })
    }

    pub(crate) async fn delete_change_set(&self, stack: &str, id: &str) -> Result<()> {
        let answer = self
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
                    Kind::NotFound | Kind::Stale => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Gives up a change set, and the empty stack that creating it may have left.
    ///
    /// # Errors
    /// When AWS cannot be reached or refuses.
    pub async fn discard(&self, changes: &ChangeSet) -> Result<()> {
        if !self.is_all_there_is(changes).await? {
            return self.delete_change_set(&changes.stack_id, &changes.id).await;
        }
        self.cloudformation
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
    async fn is_all_there_is(&self, changes: &ChangeSet) -> Result<bool> {
        if !changes.creates_stack {
            return Ok(false);
        }
        let stack = self.describe(&changes.stack_id).await?;
        if stack.is_none_or(|stack| *stack.status() != StackStatus::ReviewInProgress) {
            return Ok(false);
        }
        let listed = self
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
        &self,
        spec: &StackSpec<'_>,
        creates_stack: bool,
    ) -> Result<RollbackConfiguration> {
        let watched = match spec.rollback_alarm.filter(|_| !creates_stack) {
            // A rollback deploys a template that may be older than the alarm.
            Some(alarm) if review::has_output(spec.template, alarm.output)? => {
                let outputs = self.outputs(spec.name).await?.unwrap_or_default();
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

    /// Executes a change set and follows its events until the stack has settled.
    ///
    /// # Errors
    /// When AWS cannot be reached or refuses to start; with [`Kind::Stale`] when the stack
    /// has changed since the change set was made. A failed deployment is an
    /// [`Outcome::RolledBack`], not an error.
    pub async fn execute(&self, changes: &ChangeSet, report: Report<'_>) -> Result<Outcome> {
        let token = unique_name();
        let mut events = EventFollower::from_now(self, &changes.stack_id, Some(&token)).await?;
        let answer = self
            .cloudformation
            .execute_change_set()
            .change_set_name(&changes.id)
            .stack_name(&changes.stack_id)
            .client_request_token(&token)
            // Not `RetainExceptOnCreate`: a table that is protected from deletion cannot be
            // deleted, so the rollback would fail. What may go says so in the template.
            .send()
            .await;
        if let Err(error) = answer {
            let error = Error::aws("execute the change set", &error);
            let gone = [Kind::NotFound, Kind::Stale].contains(&error.kind());
            // When the answer to a request is lost, the SDK sends it again, and finds the
            // change set under way.
            if !gone || !self.is_executed(changes).await? {
                return Err(if gone { error.stale() } else { error });
            }
        }
        let described = self.wait_for_stack(&mut events, report).await?;
        let Some(described) = described else {
            let name = &changes.stack;
            let gone = Error::new(format!("stack {name} vanished while it was deployed"));
            // A stack that was about to be created may have given way to another's.
            return Err(if changes.creates_stack {
                gone.because("another deployment made it anew").stale()
            } else {
                gone.because("someone deleted it")
                    .hint("deploy again if it is still wanted")
            });
        };
        match described.status() {
            StackStatus::CreateComplete | StackStatus::UpdateComplete => {
                Ok(Outcome::Deployed(described.outputs()))
            }
            status => Ok(Outcome::RolledBack(Diagnosis {
                status: status.as_str().to_owned(),
                cause: events.cause().cloned(),
                findings: match events.cause() {
                    Some(cause) if cause.is_of_stack() => {
                        let stack_id = &changes.stack_id;
                        let token = &token;
                        self.findings(Checked::Operation { stack_id, token }).await
                    }
                    _ => Vec::new(),
                },
            })),
        }
    }

    /// Whether the stack's last operation is the execution of this change set.
    async fn is_executed(&self, changes: &ChangeSet) -> Result<bool> {
        let stack = self.describe(&changes.stack_id).await?;
        if stack.is_some_and(|stack| {
            *stack.status() != StackStatus::ReviewInProgress
                && stack.0.change_set_id() == Some(&changes.id)
        }) {
            return Ok(true);
        }
        // Not every endpoint tells of a stack which change set made it what it is.
        let described = self.describe_change_set(changes, None).await;
        Ok(described.is_ok_and(|page| {
            matches!(
                page.execution_status(),
                Some(
                    ExecutionStatus::ExecuteInProgress
                        | ExecutionStatus::ExecuteComplete
                        | ExecutionStatus::ExecuteFailed
                )
            )
        }))
    }
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

impl From<&ResourceChange> for Change {
    fn from(change: &ResourceChange) -> Self {
        use aws_sdk_cloudformation::types::Replacement as Sdk;
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
            replacement: match change.replacement() {
                Some(Sdk::True) => Replacement::Always,
                Some(Sdk::Conditional) => Replacement::Conditional,
                _ => Replacement::Never,
            },
            properties,
            property_changes: review::told_by(change),
            drifted: matches!(
                change.resource_drift_status(),
                Some(StackResourceDriftStatus::Modified | StackResourceDriftStatus::Deleted)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
