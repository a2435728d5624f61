//! Stacks: plan by change set, execute, follow, explain.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetType, ExecutionStatus, Parameter,
    ResourceChange, Stack, StackStatus, Tag, TemplateStage,
};
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::progress::{Progress, Report, ResourceEvent};
use crate::review::{self, PropertyChange};
use crate::target::Target;

/// The largest template that CloudFormation takes in a request, in bytes; a larger one
/// must be in S3 (quota "template body size in a request").
const INLINE_TEMPLATE_LIMIT_BYTES: usize = 51_200;

/// Names of change sets begin with this, so that ours are known from others'.
const CHANGE_SET_PREFIX: &str = "xtask-";

/// A stack's outputs, by key.
pub type Outputs = BTreeMap<String, String>;

/// What a stack shall be.
#[derive(Debug, Clone)]
pub struct StackSpec<'a> {
    /// The stack's name.
    pub name: &'a str,
    /// The template, YAML or JSON.
    pub template: &'a str,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Tags for the stack and everything in it.
    pub tags: BTreeMap<String, String>,
    /// Where a template that is too large for a request is put.
    pub template_bucket: Option<&'a str>,
}

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
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    stack_id: String,
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

/// Why a stack operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The stack's state afterwards.
    pub status: String,
    /// The first real failure: later ones are mostly its consequences.
    pub cause: Option<ResourceEvent>,
}

/// A stack as CloudFormation describes it.
pub(crate) struct Described(pub(crate) Stack);

impl Described {
    pub(crate) fn status(&self) -> &StackStatus {
        // A described stack always has a status; the SDK models every field as optional.
        self.0.stack_status().unwrap_or(&StackStatus::CreateFailed)
    }

    pub(crate) fn outputs(&self) -> Outputs {
        self.0
            .outputs()
            .iter()
            .filter_map(|output| {
                Some((
                    output.output_key()?.to_owned(),
                    output.output_value()?.to_owned(),
                ))
            })
            .collect()
    }

    fn parameters(&self) -> BTreeMap<&str, &str> {
        self.0
            .parameters()
            .iter()
            .filter_map(|parameter| {
                Some((parameter.parameter_key()?, parameter.parameter_value()?))
            })
            .collect()
    }

    fn tags(&self) -> BTreeMap<&str, &str> {
        self.0
            .tags()
            .iter()
            .filter_map(|tag| Some((tag.key()?, tag.value()?)))
            .collect()
    }

    /// Whether the last operation left the stack as some deploy wanted it.
    fn settled(&self) -> bool {
        matches!(
            self.status(),
            StackStatus::CreateComplete
                | StackStatus::UpdateComplete
                | StackStatus::UpdateRollbackComplete
                | StackStatus::ImportComplete
        )
    }
}

impl Diagnosis {
    /// The failure as an error about `stack`.
    pub fn error(&self, stack: &str) -> Error {
        let error = Error::new(format!("stack {stack} is in state {}", self.status));
        match &self.cause {
            Some(cause) => error.because(format!(
                "{} {} ({}): {}",
                cause.status,
                cause.logical_id,
                cause.resource_type,
                cause.reason.as_deref().unwrap_or("no reason was given")
            )),
            None => error,
        }
    }
}

impl Target {
    /// The stack, if it exists.
    pub(crate) async fn describe(&self, stack: &str) -> Result<Option<Described>> {
        let answer = self
            .cloudformation
            .describe_stacks()
            .stack_name(stack)
            .send()
            .await;
        match answer {
            Ok(found) => Ok(found
                .stacks
                .unwrap_or_default()
                .into_iter()
                .next()
                .map(Described)),
            Err(error) => {
                let error = Error::aws(&format!("describe stack {stack}"), &error);
                if error.kind() == Kind::NotFound {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// The outputs of a deployed stack, or nothing when it does not exist or is not complete.
    ///
    /// # Errors
    /// When AWS cannot be asked.
    pub async fn outputs(&self, stack: &str) -> Result<Option<Outputs>> {
        let described = self.describe(stack).await?;
        Ok(described
            .filter(|stack| *stack.status() != StackStatus::ReviewInProgress)
            .map(|stack| stack.outputs()))
    }

    /// Creates a change set for what `spec` asks, or finds that nothing would change.
    ///
    /// # Errors
    /// When the stack is in a state that cannot be deployed to, or AWS refuses the template.
    pub async fn plan(&self, spec: &StackSpec<'_>, report: Report<'_>) -> Result<Plan> {
        let current = self.deployable(spec.name, report).await?;
        if let Some(current) = &current
            && current.settled()
            && self.is_as_specified(current, spec).await?
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
        match self
            .wait_for_change_set(spec.name, creates_stack, &created)
            .await?
        {
            Some(changes) => Ok(Plan::Changes(changes)),
            None => Ok(Plan::NoChanges(
                current.map(|stack| stack.outputs()).unwrap_or_default(),
            )),
        }
    }

    /// The stack, if there is one that a change set can be made for. A creation that
    /// failed and was rolled back holds nothing and can only be deleted, so it is.
    async fn deployable(&self, stack: &str, report: Report<'_>) -> Result<Option<Described>> {
        let Some(current) = self.describe(stack).await? else {
            return Ok(None);
        };
        match current.status() {
            StackStatus::RollbackComplete | StackStatus::CreateFailed | StackStatus::DeleteComplete => {
                report(Progress::RemovingFailedStack { stack: stack.to_owned() });
                self.delete_stack(stack, report).await?;
                Ok(None)
            }
            StackStatus::ReviewInProgress => Ok(Some(current)),
            StackStatus::RollbackFailed | StackStatus::DeleteFailed => {
                Err(Error::new(format!("stack {stack} is in state {}", current.status()))
                    .because(current.0.stack_status_reason().unwrap_or("an earlier operation failed half-way"))
                    .hint("finish the deletion with `cargo xtask delete`, then deploy again"))
            }
            StackStatus::UpdateRollbackFailed => {
                Err(Error::new(format!("stack {stack} is in state UPDATE_ROLLBACK_FAILED"))
                    .because(current.0.stack_status_reason().unwrap_or("the rollback of an update failed"))
                    .hint("repair what the reason names, then run `aws cloudformation continue-update-rollback`, then deploy again"))
            }
            status if status.as_str().ends_with("_IN_PROGRESS") => {
                Err(Error::new(format!("stack {stack} is busy: {status}"))
                    .because("another operation on it has not ended")
                    .hint("wait until it ends, then deploy again"))
            }
            _ => Ok(Some(current)),
        }
    }

    /// Whether the stack was last deployed with this very template, parameters and tags.
    async fn is_as_specified(&self, current: &Described, spec: &StackSpec<'_>) -> Result<bool> {
        let equal = |have: &BTreeMap<&str, &str>, want: &BTreeMap<String, String>| {
            have.len() == want.len()
                && want
                    .iter()
                    .all(|(key, value)| have.get(key.as_str()) == Some(&value.as_str()))
        };
        if !equal(&current.parameters(), &spec.parameters) || !equal(&current.tags(), &spec.tags) {
            return Ok(false);
        }
        let deployed = self
            .cloudformation
            .get_template()
            .stack_name(spec.name)
            .template_stage(TemplateStage::Original)
            .send()
            .await
            .map_err(|error| Error::aws("read the deployed template", &error))?;
        Ok(deployed.template_body() == Some(spec.template))
    }

    async fn create_change_set(&self, spec: &StackSpec<'_>, creates_stack: bool) -> Result<String> {
        let mut request = self
            .cloudformation
            .create_change_set()
            .stack_name(spec.name)
            .change_set_name(format!("{CHANGE_SET_PREFIX}{}", unique_suffix()))
            .change_set_type(if creates_stack {
                ChangeSetType::Create
            } else {
                ChangeSetType::Update
            })
            .capabilities(Capability::CapabilityIam)
            .capabilities(Capability::CapabilityNamedIam)
            .set_parameters(Some(
                spec.parameters
                    .iter()
                    .map(|(key, value)| {
                        Parameter::builder()
                            .parameter_key(key)
                            .parameter_value(value)
                            .build()
                    })
                    .collect(),
            ))
            .set_tags(Some(
                spec.tags
                    .iter()
                    .map(|(key, value)| Tag::builder().key(key).value(value).build())
                    .collect(),
            ));
        request = match spec.template_bucket {
            Some(bucket) if spec.template.len() > INLINE_TEMPLATE_LIMIT_BYTES => {
                request.template_url(self.upload_template(bucket, spec).await?)
            }
            _ => request.template_body(spec.template),
        };
        let created = request.send().await.map_err(|error| {
            Error::aws(
                &format!("create a change set for stack {}", spec.name),
                &error,
            )
        })?;
        Ok(created.id.unwrap_or_default())
    }

    /// Waits until the change set is ready; `None` when it holds no change.
    async fn wait_for_change_set(
        &self,
        stack: &str,
        creates_stack: bool,
        id: &str,
    ) -> Result<Option<ChangeSet>> {
        for wait in self.poll.waits() {
            let mut page = self.describe_change_set(stack, id, None).await?;
            match page.status() {
                Some(ChangeSetStatus::CreateComplete) => {
                    if page.execution_status() == Some(&ExecutionStatus::Unavailable)
                        && page.changes().is_empty()
                    {
                        self.delete_change_set(stack, id).await?;
                        return Ok(None);
                    }
                    let stack_id = page.stack_id().unwrap_or(stack).to_owned();
                    let mut changes: Vec<Change> = Vec::new();
                    loop {
                        let of_resources = page.changes().iter();
                        changes.extend(
                            of_resources
                                .filter_map(|change| change.resource_change().map(Change::from)),
                        );
                        let Some(token) = page.next_token.take() else {
                            break;
                        };
                        page = self.describe_change_set(stack, id, Some(token)).await?;
                    }
                    changes.sort_by(|a, b| a.logical_id.cmp(&b.logical_id));
                    return Ok(Some(ChangeSet {
                        stack: stack.to_owned(),
                        creates_stack,
                        changes,
                        id: id.to_owned(),
                        stack_id,
                    }));
                }
                Some(ChangeSetStatus::Failed) => {
                    let reason = page
                        .status_reason()
                        .unwrap_or("no reason was given")
                        .to_owned();
                    self.delete_change_set(stack, id).await?;
                    if holds_no_change(&reason) {
                        return Ok(None);
                    }
                    return Err(Error::new(format!(
                        "CloudFormation refused the change set for stack {stack}"
                    ))
                    .because(reason));
                }
                _ => tokio::time::sleep(wait).await,
            }
        }
        unreachable!("the waits never end")
    }

    /// A page of a change set's description.
    async fn describe_change_set(
        &self,
        stack: &str,
        id: &str,
        page: Option<String>,
    ) -> Result<DescribeChangeSetOutput> {
        self.cloudformation
            .describe_change_set()
            .change_set_name(id)
            .stack_name(stack)
            .include_property_values(true)
            .set_next_token(page)
            .send()
            .await
            .map_err(|error| Error::aws("describe the change set", &error))
    }

    async fn delete_change_set(&self, stack: &str, id: &str) -> Result<()> {
        self.cloudformation
            .delete_change_set()
            .change_set_name(id)
            .stack_name(stack)
            .send()
            .await
            .map_err(|error| Error::aws("delete the change set", &error))?;
        Ok(())
    }

    /// Gives up a change set, and the empty stack that creating it may have left.
    ///
    /// # Errors
    /// When AWS cannot be reached or refuses.
    pub async fn discard(&self, changes: &ChangeSet) -> Result<()> {
        self.delete_change_set(&changes.stack, &changes.id).await?;
        if changes.creates_stack {
            self.cloudformation
                .delete_stack()
                .stack_name(&changes.stack)
                .send()
                .await
                .map_err(|error| Error::aws("delete the empty stack", &error))?;
        }
        Ok(())
    }

    /// Executes a change set and follows its events until the stack has settled.
    ///
    /// # Errors
    /// When AWS cannot be reached or refuses to start. A failed deployment is an
    /// [`Outcome::RolledBack`], not an error.
    pub async fn execute(&self, changes: &ChangeSet, report: Report<'_>) -> Result<Outcome> {
        let token = format!("{CHANGE_SET_PREFIX}{}", unique_suffix());
        let mut events = EventFollower::from_now(self, &changes.stack_id, &token).await?;
        self.cloudformation
            .execute_change_set()
            .change_set_name(&changes.id)
            .stack_name(&changes.stack)
            .client_request_token(&token)
            .send()
            .await
            .map_err(|error| Error::aws("execute the change set", &error))?;
        let described = self
            .wait_for_stack(&changes.stack_id, &mut events, report)
            .await?;
        let described = described.ok_or_else(|| {
            Error::new(format!(
                "stack {} vanished while it was deployed",
                changes.stack
            ))
        })?;
        match described.status() {
            StackStatus::CreateComplete | StackStatus::UpdateComplete => {
                Ok(Outcome::Deployed(described.outputs()))
            }
            status => Ok(Outcome::RolledBack(Diagnosis {
                status: status.as_str().to_owned(),
                cause: events.first_failure.or(events.stack_failure),
            })),
        }
    }

    /// Reports events until the stack is in a final state; `None` when it is deleted.
    pub(crate) async fn wait_for_stack(
        &self,
        stack_id: &str,
        events: &mut EventFollower,
        report: Report<'_>,
    ) -> Result<Option<Described>> {
        for wait in self.poll.waits() {
            // The state is read before the events: no event of a final state is missed.
            let described = self.describe(stack_id).await?;
            events.report_new(self, report).await?;
            match described {
                None => return Ok(None),
                Some(stack) if *stack.status() == StackStatus::DeleteComplete => return Ok(None),
                Some(stack) if !stack.status().as_str().ends_with("_IN_PROGRESS") => {
                    return Ok(Some(stack));
                }
                Some(_) => tokio::time::sleep(wait).await,
            }
        }
        unreachable!("the waits never end")
    }
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
        }
    }
}

/// Reads a stack's events once each, and only those of one operation: an operation is
/// told apart by its client request token, and from what happened before it by the
/// events seen at its start.
pub(crate) struct EventFollower {
    stack_id: String,
    token: String,
    seen: BTreeSet<String>,
    pub(crate) first_failure: Option<ResourceEvent>,
    /// What CloudFormation says of the stack as a whole when it gives up: mostly which
    /// resources failed, but the only reason there is when its validation refuses to begin.
    stack_failure: Option<ResourceEvent>,
    pub(crate) completed: Vec<ResourceEvent>,
}

impl EventFollower {
    pub(crate) async fn from_now(target: &Target, stack_id: &str, token: &str) -> Result<Self> {
        let mut follower = Self {
            stack_id: stack_id.to_owned(),
            token: token.to_owned(),
            seen: BTreeSet::new(),
            first_failure: None,
            stack_failure: None,
            completed: Vec::new(),
        };
        follower.new_events(target).await?;
        Ok(follower)
    }

    async fn report_new(&mut self, target: &Target, report: Report<'_>) -> Result<()> {
        for event in self.new_events(target).await? {
            if event.failed() && self.first_failure.is_none() && !is_consequence(&event) {
                self.first_failure = Some(event.clone());
            }
            if self.stack_failure.is_none() && gives_up(&event) {
                self.stack_failure = Some(event.clone());
            }
            if event.complete() {
                self.completed.push(event.clone());
            }
            report(Progress::Resource(event));
        }
        Ok(())
    }

    /// The events since the last call, oldest first.
    async fn new_events(&mut self, target: &Target) -> Result<Vec<ResourceEvent>> {
        let mut fresh = Vec::new();
        let mut next_token = None;
        loop {
            let page = target
                .cloudformation
                .describe_stack_events()
                .stack_name(&self.stack_id)
                .set_next_token(next_token)
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = Error::aws("read the stack's events", &error);
                    // A stack that is being deleted may be gone between two calls.
                    if error.kind() == Kind::NotFound {
                        break;
                    }
                    return Err(error);
                }
            };
            let mut reached_seen = false;
            for event in page.stack_events() {
                if !self
                    .seen
                    .insert(event.event_id().unwrap_or_default().to_owned())
                {
                    reached_seen = true;
                    break;
                }
                if event
                    .client_request_token()
                    .is_none_or(|token| token == self.token)
                {
                    fresh.push(ResourceEvent {
                        logical_id: event.logical_resource_id().unwrap_or_default().to_owned(),
                        physical_id: event.physical_resource_id().unwrap_or_default().to_owned(),
                        resource_type: event.resource_type().unwrap_or_default().to_owned(),
                        status: event
                            .resource_status()
                            .map_or("", |status| status.as_str())
                            .to_owned(),
                        reason: event.resource_status_reason().map(str::to_owned),
                    });
                }
            }
            next_token = page.next_token;
            if reached_seen || next_token.is_none() {
                break;
            }
        }
        fresh.reverse();
        Ok(fresh)
    }
}

/// Whether a failure only says that something else failed first.
fn is_consequence(event: &ResourceEvent) -> bool {
    event.resource_type == "AWS::CloudFormation::Stack"
        || event.reason.as_deref().is_some_and(|reason| {
            reason.contains("cancelled") || reason.contains("The following resource(s) failed")
        })
}

/// Whether the stack itself is said to go back, with a reason.
fn gives_up(event: &ResourceEvent) -> bool {
    let goes_back = event.failed() || event.status.contains("ROLLBACK");
    event.resource_type == "AWS::CloudFormation::Stack" && goes_back && event.reason.is_some()
}

/// Distinct for every operation of this process and, practically, of others.
pub(crate) fn unique_suffix() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{:x}-{:x}-{}",
        since_epoch.as_nanos(),
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: &str, reason: &str) -> ResourceEvent {
        ResourceEvent {
            logical_id: "MediaBucket".to_owned(),
            physical_id: String::new(),
            resource_type: "AWS::S3::Bucket".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
        }
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
        }
    }

    #[test]
    fn a_cancelled_resource_is_a_consequence_not_a_cause() {
        assert!(is_consequence(&event(
            "CREATE_FAILED",
            "Resource creation cancelled"
        )));
        assert!(!is_consequence(&event(
            "CREATE_FAILED",
            "media already exists (Service: S3, Status Code: 409)"
        )));
    }

    #[test]
    fn a_stack_that_goes_back_says_why() {
        let stack = |status, reason: Option<&str>| ResourceEvent {
            resource_type: "AWS::CloudFormation::Stack".to_owned(),
            reason: reason.map(str::to_owned),
            ..event(status, "")
        };
        assert!(gives_up(&stack(
            "ROLLBACK_IN_PROGRESS",
            Some("Validation failed")
        )));
        assert!(!gives_up(&stack("ROLLBACK_COMPLETE", None)));
        assert!(!gives_up(&stack(
            "CREATE_IN_PROGRESS",
            Some("User Initiated")
        )));
        assert!(!gives_up(&event("DELETE_FAILED", "in use")));
    }

    #[test]
    fn losing_a_table_or_bucket_endangers_state_but_losing_a_function_does_not() {
        assert!(
            change(Action::Remove, "AWS::DynamoDB::Table", Replacement::Never).endangers_state()
        );
        assert!(
            change(Action::Modify, "AWS::S3::Bucket", Replacement::Conditional).endangers_state()
        );
        assert!(!change(Action::Modify, "AWS::S3::Bucket", Replacement::Never).endangers_state());
        assert!(
            !change(Action::Remove, "AWS::Lambda::Function", Replacement::Never).endangers_state()
        );
    }

    #[test]
    fn both_wordings_of_an_empty_change_set_are_known() {
        assert!(holds_no_change(
            "The submitted information didn't contain changes. Submit different information to create a change set."
        ));
        assert!(holds_no_change("No updates are to be performed."));
        assert!(!holds_no_change(
            "Template error: instance of Fn::GetAtt references undefined resource X"
        ));
    }
}
