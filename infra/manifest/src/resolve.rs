//! Manifest and stage → App: checked, and with every name known.

use std::collections::BTreeMap;
use std::fmt;

use crate::declare::{self, Manifest};
use crate::name;
use crate::stage::Stage;

impl Manifest {
    /// Checks the manifest for `stage` and settles what depends on it.
    ///
    /// # Errors
    /// Every violation of AWS's rules and of ours, each saying what to change.
    pub fn resolve(&self, stage: &Stage) -> Result<App, Vec<Violation>> {
        Ok(App {
            name: self.name.to_owned(),
            stage: stage.clone(),
            functions: self
                .functions
                .iter()
                .map(|function| Function::new(self, stage, function))
                .collect(),
            outputs: BTreeMap::new(),
        })
    }
}

/// Something in the manifest or the stage that cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    subject: String,
    problem: String,
    remedy: String,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.subject, self.problem, self.remedy)
    }
}

/// An app that can be deployed to one stage.
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    stage: Stage,
    functions: Vec<Function>,
    outputs: BTreeMap<String, String>,
}

impl App {
    /// The app's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stage that it was resolved for.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The name of its CloudFormation stack.
    #[must_use]
    pub fn stack_name(&self) -> String {
        format!("{}-{}", self.name, self.stage.name)
    }

    /// The name of the stack with the artifact bucket, one for all stages in an
    /// account and region.
    #[must_use]
    pub fn bootstrap_stack_name(&self) -> String {
        format!("{}-bootstrap", self.name)
    }

    /// Its functions, in the order of their names.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }

    /// The stack outputs that functions and shells see, as environment variables:
    /// output key → variable.
    #[must_use]
    pub fn env_outputs(&self) -> BTreeMap<String, String> {
        self.outputs.clone()
    }
}

/// A Lambda function of a resolved app.
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    physical_name: String,
    memory_mb: u32,
    timeout_seconds: u32,
    asynchronous: bool,
}

impl Function {
    fn new(manifest: &Manifest, stage: &Stage, declared: &declare::Function) -> Self {
        Self {
            name: declared.name.clone(),
            physical_name: format!("{}-{}-{}", manifest.name, stage.name, declared.name),
            memory_mb: stage.memory_mb.unwrap_or(declared.memory_mb),
            timeout_seconds: stage.timeout_seconds.unwrap_or(declared.timeout_seconds),
            asynchronous: false,
        }
    }

    /// Its name in the manifest, which is also its package's and binary's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name in Lambda.
    #[must_use]
    pub fn physical_name(&self) -> String {
        self.physical_name.clone()
    }

    /// The CloudWatch log group that it writes to.
    #[must_use]
    pub fn log_group(&self) -> String {
        format!("/aws/lambda/{}", self.physical_name)
    }

    /// The template parameter that takes the S3 key of its code.
    #[must_use]
    pub fn code_parameter(&self) -> String {
        format!("{}CodeKey", name::pascal_case(&self.name))
    }

    /// The stack output with the URL of the queue that keeps the events it failed
    /// on; `None` unless it is invoked asynchronously.
    #[must_use]
    pub fn failure_queue_output(&self) -> Option<String> {
        self.asynchronous
            .then(|| format!("{}FailureQueueUrl", name::pascal_case(&self.name)))
    }

    /// Its memory, in MB.
    #[must_use]
    pub fn memory_mb(&self) -> u32 {
        self.memory_mb
    }

    /// The longest an invocation of it may take, in seconds.
    #[must_use]
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    /// Whether events invoke it without waiting for its answer.
    #[must_use]
    pub fn is_asynchronous(&self) -> bool {
        self.asynchronous
    }
}
