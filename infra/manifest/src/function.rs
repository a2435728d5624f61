//! A Lambda function, as it is declared and as a stage settles it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cloudformation::attribute;
use crate::exception::Exception;
use crate::grant::Grant;
use crate::name;
use crate::origin::{Declared, Origin};
use crate::resource_id::{ResourceId, Variable};
use crate::stage::{LogLevel, Stage};
use crate::trigger::{Invocation, Trigger};

/// What the manifest says of a function.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) memory_mb: u32,
    pub(crate) description: Option<String>,
    pub(crate) ephemeral_storage_mb: Option<u32>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) timeout_seconds: u32,
    pub(crate) budget: Declared<Budget>,
    pub(crate) triggers: Vec<Declared<Trigger>>,
    pub(crate) grants: Vec<Declared<Grant>>,
    pub(crate) exceptions: Vec<Declared<Exception>>,
    pub(crate) told: Vec<Declared<ResourceId>>,
    pub(crate) environment: Vec<Declared<(String, String)>>,
}

impl Declaration {
    /// The resources whose variables it gets: those that it has a grant on, those whose events
    /// it handles, unless the event tells everything, and those that it is told of.
    pub(crate) fn knows(&self) -> BTreeSet<ResourceId> {
        let granted = self.grants.iter().flat_map(|grant| grant.what.tells());
        let triggers = self.triggers.iter().map(|trigger| &trigger.what);
        let handled = triggers
            .filter(|trigger| trigger.tells_variables())
            .map(Trigger::source);
        let told = self.told.iter().map(|told| &told.what);
        granted.chain(handled).chain(told).cloned().collect()
    }

    /// Its triggers of a kind by `source`, each with what the kind has to know of it.
    pub(crate) fn triggers_of<'a, T: 'static>(
        &'a self,
        source: &ResourceId,
    ) -> impl Iterator<Item = (Origin, &'a T)> {
        triggers_of(&self.triggers, source)
    }
}

/// The variable that tells a function with routes for writers which of them its stage has.
const WRITE_ROUTES: &str = "WRITE_ROUTES";

fn write_routes(triggers: &[Declared<Trigger>], stage: &Stage) -> Option<(String, Value)> {
    let for_writers = || {
        let triggers = triggers.iter().map(|trigger| &trigger.what);
        triggers.filter(|trigger| trigger.is_for_writers())
    };
    for_writers().next()?;
    let routes = for_writers().filter(|trigger| trigger.is_on(stage));
    let routes: Vec<&str> = routes.map(Trigger::label).collect();
    Some((WRITE_ROUTES.to_owned(), routes.join(", ").into()))
}

fn triggers_of<'a, T: 'static>(
    triggers: &'a [Declared<Trigger>],
    source: &ResourceId,
) -> impl Iterator<Item = (Origin, &'a T)> {
    triggers
        .iter()
        .filter(move |trigger| trigger.what.source() == source)
        .filter_map(|trigger| Some((trigger.origin, trigger.what.details()?)))
}

/// A Lambda function of a resolved app.
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    physical_name: String,
    invoked_by_alias: bool,
    description: Option<String>,
    memory_mb: u32,
    ephemeral_storage_mb: Option<u32>,
    log_level: Option<LogLevel>,
    timeout_seconds: u32,
    budget: Declared<Budget>,
    reserved_concurrency: Option<u32>,
    environment: BTreeMap<String, Value>,
    triggers: Vec<Declared<Trigger>>,
    /// Those that only other stages have.
    other_triggers: Vec<Declared<Trigger>>,
    grants: Vec<Declared<Grant>>,
    exceptions: Vec<Declared<Exception>>,
    origin: Origin,
}

impl Function {
    pub(crate) fn new(
        app: &str,
        stage: &Stage,
        variables: &[Variable],
        declared: &Declaration,
    ) -> Self {
        let triggers = declared.triggers.iter();
        let (triggers, other_triggers): (Vec<_>, Vec<_>) = triggers
            .cloned()
            .partition(|trigger| trigger.what.is_on(stage));
        let texts = declared.environment.iter().map(|variable| &variable.what);
        let texts = texts
            .map(|(variable, text)| (variable, text))
            .chain(&stage.environment)
            .map(|(variable, text)| (variable.clone(), Value::from(text.as_str())));
        let knows = declared.knows();
        let resources = variables
            .iter()
            .filter(|variable| knows.contains(&variable.of))
            .map(|variable| (variable.name.clone(), variable.value.clone()));
        Self {
            name: declared.name.clone(),
            physical_name: format!("{}-{}", name::stack(app, &stage.name), declared.name),
            memory_mb: stage
                .memory_mb
                .of(&declared.name)
                .unwrap_or(declared.memory_mb),
            description: declared.description.clone(),
            ephemeral_storage_mb: stage
                .ephemeral_storage_mb
                .of(&declared.name)
                .or(declared.ephemeral_storage_mb),
            log_level: stage.log_level.of(&declared.name).or(declared.log_level),
            timeout_seconds: stage
                .timeout_seconds
                .of(&declared.name)
                .unwrap_or(declared.timeout_seconds),
            budget: declared.budget.clone(),
            invoked_by_alias: stage.canary.is_some(),
            reserved_concurrency: stage.reserved_concurrency.get(&declared.name).copied(),
            environment: texts
                .chain(resources)
                .chain(write_routes(&declared.triggers, stage))
                .collect(),
            triggers,
            other_triggers,
            grants: declared.grants.clone(),
            exceptions: declared.exceptions.clone(),
            origin: declared.origin,
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

    /// What an invocation by hand names, so that the same code answers as for events: the
    /// function, or its alias where the stage has canaries.
    #[must_use]
    pub fn invocation_name(&self) -> String {
        if self.invoked_by_alias {
            format!("{}:{}", self.physical_name, name::ALIAS)
        } else {
            self.physical_name.clone()
        }
    }

    /// The CloudWatch log group that it writes to.
    #[must_use]
    pub fn log_group(&self) -> String {
        name::log_group(&self.physical_name)
    }

    /// The template parameter that takes the S3 key of its code.
    #[must_use]
    pub fn code_parameter(&self) -> String {
        self.logical_id("CodeKey")
    }

    /// The stack output with the URL of the queue of events that it failed on;
    /// `None` unless it is invoked asynchronously or reads a stream or a queue.
    #[must_use]
    pub fn failure_queue_output(&self) -> Option<String> {
        self.has_failure_queue()
            .then(|| self.logical_id("FailureQueueUrl"))
    }

    /// Its memory, in MB.
    #[must_use]
    pub fn memory_mb(&self) -> u32 {
        self.memory_mb
    }

    /// What it is for, in its author's words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The size of its `/tmp`, in MB; `None` is Lambda's default, 512.
    pub(crate) fn ephemeral_storage_mb(&self) -> Option<u32> {
        self.ephemeral_storage_mb
    }

    /// The least severe of its log lines that are kept; `None` is Lambda's default, `info`.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        self.log_level
    }

    /// The longest an invocation of it may take, in seconds.
    #[must_use]
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    /// What it may cost at most.
    #[must_use]
    pub fn budget(&self) -> Budget {
        self.budget.what
    }

    /// The line that declares its budget, like `infra/app/src/lib.rs:63`: that of the function, unless it has a budget
    /// of its own.
    #[must_use]
    pub fn budget_declared_at(&self) -> String {
        self.budget.origin.to_string()
    }

    /// How many invocations of it run at a time at most; `None` leaves it to what the
    /// account has left.
    #[must_use]
    pub fn reserved_concurrency(&self) -> Option<u32> {
        self.reserved_concurrency
    }

    /// Whether events invoke it and nobody waits for its answer: Lambda retries it,
    /// and what it still fails on ends in its failure queue, as a message with the event.
    #[must_use]
    pub fn is_asynchronous(&self) -> bool {
        self.invocations()
            .any(|invocation| *invocation == Invocation::Asynchronous)
    }

    /// Whether it reads a table's stream, in batches. Lambda retries a batch, and what the function
    /// still fails on ends in its failure queue, as a message that says where in the stream the
    /// records are.
    #[must_use]
    pub fn reads_stream(&self) -> bool {
        self.record_age_seconds().is_some()
    }

    /// The patterns of Lambda's event filtering by which it reads the stream of `table`, such as
    /// ``table `orders` ``. A record that invokes it matches one of them.
    #[must_use]
    pub fn stream_patterns(&self, table: &str) -> Vec<String> {
        let of_table = self
            .triggers()
            .filter(|of| of.source().to_string() == table);
        of_table
            .filter_map(|trigger| {
                let Invocation::Stream { patterns, .. } = trigger.invocation() else {
                    return None;
                };
                Some(patterns.clone())
            })
            .flatten()
            .collect()
    }

    /// The line that declares it, like `infra/app/src/lib.rs:63`.
    #[must_use]
    pub fn declared_at(&self) -> String {
        self.origin.to_string()
    }

    /// The age at which Lambda gives the first record up to its failure queue, in seconds; `None`
    /// if it reads no stream.
    pub(crate) fn record_age_seconds(&self) -> Option<u32> {
        self.invocations()
            .filter_map(|invocation| match invocation {
                Invocation::Stream {
                    record_age_seconds, ..
                } => Some(*record_age_seconds),
                Invocation::Asynchronous | Invocation::Synchronous | Invocation::Queue { .. } => {
                    None
                }
            })
            .min()
    }

    /// Whether what it fails on is kept.
    pub(crate) fn has_failure_queue(&self) -> bool {
        self.sends_failures() || self.queues_read().next().is_some()
    }

    /// Whether Lambda sends what it fails on to the failure queue, by the function's role. From a
    /// queue that it reads, SQS moves messages there by itself.
    pub(crate) fn sends_failures(&self) -> bool {
        self.is_asynchronous() || self.record_age_seconds().is_some()
    }

    /// Whether its failure queue is a FIFO queue, as the queue that it reads is.
    pub(crate) fn has_fifo_failure_queue(&self) -> bool {
        self.queues_read().any(|is_fifo| is_fifo)
    }

    /// The ARN of the queue of what it fails on.
    pub(crate) fn failure_queue_arn(&self) -> Value {
        attribute(&self.logical_id("FailureQueue"), "Arn")
    }

    /// The destination of what it fails on.
    pub(crate) fn on_failure(&self) -> Value {
        json!({"OnFailure": {"Destination": self.failure_queue_arn()}})
    }

    /// The logical ID of the `part` of the template that belongs to the function.
    pub(crate) fn logical_id(&self, part: &str) -> String {
        name::function_logical_id(&self.name, part)
    }

    pub(crate) fn environment(&self) -> &BTreeMap<String, Value> {
        &self.environment
    }

    /// Where it is declared.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Its triggers of a kind by `source`, each with what the kind has to know of it.
    pub(crate) fn triggers_of<'a, T: 'static>(
        &'a self,
        source: &ResourceId,
    ) -> impl Iterator<Item = (Origin, &'a T)> {
        triggers_of(&self.triggers, source)
    }

    pub(crate) fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().map(|trigger| &trigger.what)
    }

    /// Its triggers on whatever stage.
    pub(crate) fn triggers_on_any_stage(&self) -> impl Iterator<Item = &Trigger> {
        let others = self.other_triggers.iter().map(|trigger| &trigger.what);
        self.triggers().chain(others)
    }

    pub(crate) fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.declared_grants().map(|grant| &grant.what)
    }

    pub(crate) fn declared_grants(&self) -> impl Iterator<Item = &Declared<Grant>> {
        self.grants.iter()
    }

    pub(crate) fn declared_exceptions(&self) -> impl Iterator<Item = &Declared<Exception>> {
        self.exceptions.iter()
    }

    /// Whether each of the queues that it reads is a FIFO queue.
    fn queues_read(&self) -> impl Iterator<Item = bool> {
        self.invocations()
            .filter_map(|invocation| match invocation {
                Invocation::Queue { is_fifo } => Some(*is_fifo),
                Invocation::Asynchronous | Invocation::Synchronous | Invocation::Stream { .. } => {
                    None
                }
            })
    }

    fn invocations(&self) -> impl Iterator<Item = &Invocation> {
        self.triggers().map(Trigger::invocation)
    }
}
