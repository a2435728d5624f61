//! Lambda functions: what every other kind serves.

use std::fmt;

use serde_json::json;

use crate::budget::Budget;
use crate::exception::Exception;
use crate::function::Declaration;
use crate::grant::Grant;
use crate::in_template::InTemplate;
use crate::manifest::{Entry, Manifest};
use crate::name;
use crate::origin::{Declared, Origin};
use crate::resource_id::ResourceId;
use crate::stage::LogLevel;
use crate::trigger::Trigger;
use crate::trigger_word::{Skeleton, TriggerWord};

use super::{Bucket, Table};

mod alarms;
mod canary;
mod deployer;
mod exceptions;
mod rules;
mod template;

#[cfg(test)]
mod tests;

pub(crate) use alarms::rollback_output;
pub(crate) use deployer::statements as deployer_statements;
pub(crate) use rules::check;
pub(crate) use template::{policy, synth, synth_common};

/// The words for what invokes a function without a resource of the app.
pub(super) static TRIGGERS: &[TriggerWord] = &[TriggerWord {
    word: "invoke",
    about: "callers that invoke the function by its name",
    resource: |_, function| Ok(function.to_owned()),
    call: |_, _| String::new(),
    sample: |_| json!({"name": "Ada"}),
    skeleton: &Skeleton {
        handles: "what callers send",
        main: include_str!("function/skeleton/main.rs"),
        dependencies: &["serde"],
    },
    ..TriggerWord::DEFAULTS
}];

/// A Lambda function, built from the workspace package of the same name.
#[derive(Clone)]
pub struct DeclaredFunction(Entry<Declaration>);

impl Manifest {
    /// Declares a function with 256 MB of memory and a timeout of 30 seconds. Without a
    /// trigger it is invoked by hand.
    #[track_caller]
    pub fn function(&self, name: &str) -> DeclaredFunction {
        DeclaredFunction(self.declare_function(Declaration {
            name: name.to_owned(),
            origin: Origin::of_caller(),
            memory_mb: 256,
            description: None,
            ephemeral_storage_mb: None,
            log_level: None,
            timeout_seconds: 30,
            budget: Declared::by_caller(Budget::default()),
            triggers: Vec::new(),
            grants: Vec::new(),
            exceptions: Vec::new(),
            told: Vec::new(),
            environment: Vec::new(),
        }))
    }
}

impl DeclaredFunction {
    /// Memory, in MB; Lambda's share of CPU grows with it.
    pub fn memory_mb(&self, memory_mb: u32) -> Self {
        self.with(|function| function.memory_mb = memory_mb)
    }

    /// What the function is for, as the list of functions in AWS's console shows it.
    pub fn description(&self, description: &str) -> Self {
        let description = description.to_owned();
        self.with(|function| function.description = Some(description))
    }

    /// The size of the folder `/tmp`, in MB: 512 unless told. An execution environment keeps what
    /// is in it from one invocation to the next.
    pub fn ephemeral_storage_mb(&self, ephemeral_storage_mb: u32) -> Self {
        self.with(|function| function.ephemeral_storage_mb = Some(ephemeral_storage_mb))
    }

    /// The least severe of the function's own log lines that are kept: `info` unless told.
    pub fn log_level(&self, log_level: LogLevel) -> Self {
        self.with(|function| function.log_level = Some(log_level))
    }

    /// The longest an invocation may take, in seconds.
    pub fn timeout_seconds(&self, timeout_seconds: u32) -> Self {
        self.with(|function| function.timeout_seconds = timeout_seconds)
    }

    /// What the function may cost at most, by `cargo xtask bench --check`; without it, the default of [`Budget`].
    #[track_caller]
    pub fn budget(&self, budget: Budget) -> Self {
        let budget = Declared::by_caller(budget);
        self.with(|function| function.budget = budget)
    }

    /// What invokes the function. It also gets the variables of a bucket or a table whose
    /// events it handles.
    #[track_caller]
    pub fn trigger(&self, trigger: impl Into<Trigger>) -> Self {
        let trigger = Declared::by_caller(trigger.into());
        self.with(|function| function.triggers.push(trigger))
    }

    /// What the function may do. It also gets the variables of the resource.
    #[track_caller]
    pub fn grant(&self, grant: Grant) -> Self {
        let grant = Declared::by_caller(grant);
        self.with(|function| function.grants.push(grant))
    }

    /// A difference between the function's grants and what its binary can call that is meant to
    /// be. `cargo xtask grants` reports every other one.
    #[track_caller]
    pub fn exception(&self, exception: Exception) -> Self {
        let exception = Declared::by_caller(exception);
        self.with(|function| function.exceptions.push(exception))
    }

    /// A bucket or table whose variable the function gets although it has no grant on it: a bucket, for example, of whose
    /// objects others tell the function.
    #[track_caller]
    pub fn variable_of(&self, resource: impl Into<VariableOf>) -> Self {
        let id = Declared::by_caller(resource.into().0);
        self.with(|function| function.told.push(id))
    }

    /// An environment variable with a fixed value.
    #[track_caller]
    pub fn environment(&self, name: &str, value: &str) -> Self {
        let variable = Declared::by_caller((name.to_owned(), value.to_owned()));
        self.with(|function| function.environment.push(variable))
    }

    fn with(&self, change: impl FnOnce(&mut Declaration)) -> Self {
        self.0.change(change);
        self.clone()
    }
}

/// A bucket or a table, for [`variable_of`](DeclaredFunction::variable_of).
#[derive(Debug)]
pub struct VariableOf(ResourceId);

impl From<&Bucket> for VariableOf {
    fn from(bucket: &Bucket) -> Self {
        Self(bucket.id())
    }
}

impl From<&Table> for VariableOf {
    fn from(table: &Table) -> Self {
        Self(table.id())
    }
}

impl InTemplate for DeclaredFunction {
    fn logical_id(&self) -> String {
        name::function_logical_id(&self.0.get().name, "Function")
    }
}

impl fmt::Debug for DeclaredFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
