//! Stacks: what one shall be, and what it is.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudformation::types::{Stack, StackStatus, TemplateStage};

use crate::error::{Error, ErrorKind, Result};
use crate::target::Target;

/// Begins the names of our change sets and requests, so that ours are known from others'.
const OURS: &str = "xtask-";

/// The tags that say whose a stack is.
const OWNER_TAGS: [&str; 2] = ["app", "stage"];

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
    /// Where code, large templates and records of deployments are kept. Without it the
    /// stack has none.
    pub store: Option<Store<'a>>,
    /// The functions, by physical name: each with the parameter that holds the key of its
    /// code in the store.
    pub functions: BTreeMap<String, String>,
    /// How CloudFormation deploys.
    pub mode: Mode,
    /// Whether buckets outlive the stack, and so are never emptied.
    pub retains_data: bool,
    /// The alarm on which CloudFormation takes an update back.
    pub rollback_alarm: Option<RollbackAlarm>,
    /// Whether an update puts back what was changed by hand. CloudFormation then compares with
    /// the resources, and not only with the deployed template.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html>
    pub reverts_drift: bool,
}

/// An alarm of a stack that watches over its updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackAlarm {
    /// The stack's output with the ARN of the composite alarm.
    pub output: &'static str,
    /// How long CloudFormation watches after an update, in minutes, up to 180.
    pub minutes: i32,
}

impl<'a> StackSpec<'a> {
    /// A stack of a template alone.
    pub fn new(name: &'a str, template: &'a str) -> Self {
        Self {
            name,
            template,
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            store: None,
            functions: BTreeMap::new(),
            mode: Mode::Standard,
            retains_data: false,
            rollback_alarm: None,
            reverts_drift: false,
        }
    }

    /// Where a function's code lies in the store.
    pub(crate) fn code_key(&self, function: &str) -> Option<&str> {
        let parameter = self.functions.get(function)?;
        self.parameters.get(parameter).map(String::as_str)
    }
}

/// A part of the artifact bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// What every key begins with, for example `shop/dev/`.
    pub prefix: &'a str,
}

/// How CloudFormation deploys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It waits until every resource can be used.
    #[default]
    Standard,
    /// It ends as soon as every resource is configured; they become ready by themselves
    /// afterwards. See "Deploy CloudFormation stacks faster with express mode" in its user
    /// guide.
    Express,
}

/// A stack as CloudFormation describes it.
#[derive(Debug)]
pub(crate) struct Described(pub(crate) Stack);

impl Described {
    pub(crate) fn id(&self) -> &str {
        self.0.stack_id().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.0.stack_name().unwrap_or_default()
    }

    pub(crate) fn status(&self) -> &StackStatus {
        // A described stack always has a status; the SDK models every field as optional.
        self.0.stack_status().unwrap_or(&StackStatus::CreateFailed)
    }

    pub(crate) fn outputs(&self) -> Outputs {
        let outputs = self.0.outputs().iter();
        outputs
            .filter_map(|output| {
                Some((
                    output.output_key()?.to_owned(),
                    output.output_value()?.to_owned(),
                ))
            })
            .collect()
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let parameters = self.0.parameters().iter();
        parameters
            .filter_map(|parameter| {
                Some((
                    parameter.parameter_key()?.to_owned(),
                    parameter.parameter_value()?.to_owned(),
                ))
            })
            .collect()
    }

    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.0.tags().iter();
        tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())))
            .collect()
    }

    /// Whether the stack is that of the app and stage which `tags` name. One under review
    /// holds nothing, and has no tags yet.
    pub(crate) fn belongs_to(&self, tags: &BTreeMap<String, String>) -> bool {
        let ours = self.tags();
        *self.status() == StackStatus::ReviewInProgress
            || OWNER_TAGS
                .iter()
                .all(|tag| ours.get(*tag) == tags.get(*tag))
    }

    /// Whether the last operation left the stack as some deploy wanted it.
    pub(crate) fn settled(&self) -> bool {
        matches!(
            self.status(),
            StackStatus::CreateComplete
                | StackStatus::UpdateComplete
                | StackStatus::UpdateRollbackComplete
                | StackStatus::ImportComplete
        )
    }
}

/// What a deployed stack has otherwise than it shall.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) template: bool,
    pub(crate) tags: bool,
    pub(crate) parameters: BTreeSet<String>,
}

impl Mismatch {
    pub(crate) fn between(current: &Described, template: &str, spec: &StackSpec<'_>) -> Self {
        let have = current.parameters();
        let names = have.keys().chain(spec.parameters.keys());
        Self {
            template: template != spec.template,
            tags: current.tags() != spec.tags,
            parameters: names
                .filter(|name| have.get(*name) != spec.parameters.get(*name))
                .cloned()
                .collect(),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The stack, if it exists.
pub(crate) async fn describe(target: &Target, stack: &str) -> Result<Option<Described>> {
    let answer = target
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
            if error.kind() == ErrorKind::NotFound {
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
pub async fn outputs(target: &Target, stack: &str) -> Result<Option<Outputs>> {
    let described = describe(target, stack).await?;
    Ok(described
        .filter(|stack| *stack.status() != StackStatus::ReviewInProgress)
        .map(|stack| stack.outputs()))
}

/// The template that a stack was deployed with, as it was given.
pub(crate) async fn template(target: &Target, stack: &str) -> Result<String> {
    let answer = target
        .cloudformation
        .get_template()
        .stack_name(stack)
        .template_stage(TemplateStage::Original)
        .send()
        .await
        .map_err(|error| Error::aws("read the deployed template", &error))?;
    Ok(answer.template_body.unwrap_or_default())
}

/// What the stack has otherwise than `spec` says.
pub(crate) async fn mismatch(
    target: &Target,
    current: &Described,
    spec: &StackSpec<'_>,
) -> Result<Mismatch> {
    Ok(Mismatch::between(
        current,
        &template(target, spec.name).await?,
        spec,
    ))
}

/// A name for a change set or a request: distinct for every one of this process and,
/// practically, of others.
pub(crate) fn unique_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{OURS}{:x}-{:x}-{}",
        since_epoch.as_nanos(),
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Whether [`unique_name`] made it, in whatever process.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}
