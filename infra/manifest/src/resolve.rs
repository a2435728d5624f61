//! Manifest and stage → App: checked, and with everything settled that a stage decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::Value;

use crate::declare::{
    self, BucketEvent, Exception, Grant, ItemChanges, Manifest, Trigger, Variable,
};
use crate::name;
use crate::origin::{Declared, Origin};
use crate::stage::Stage;
use crate::synth;
use crate::validate::{self, Violation};

impl Manifest {
    /// Checks the manifest for `stage` and settles what depends on it.
    ///
    /// # Errors
    /// Every violation of AWS's rules and of ours, each saying what to change.
    pub fn resolve(&self, stage: &Stage) -> Result<App, Vec<Violation>> {
        let violations = validate::violations(self, stage);
        if !violations.is_empty() {
            return Err(violations);
        }
        let app = App::new(self, stage);
        let collisions = validate::collisions(&app);
        if !collisions.is_empty() {
            return Err(collisions);
        }
        Ok(app)
    }
}

/// An app that can be deployed to one stage.
#[derive(Clone, Debug)]
pub struct App {
    manifest: Manifest,
    stage: Stage,
    functions: Vec<Function>,
    ignores_alarms: bool,
    origins: OnceLock<BTreeMap<String, Origin>>,
}

impl App {
    fn new(manifest: &Manifest, stage: &Stage) -> Self {
        let variables: Vec<Variable> = manifest.variables().collect();
        let mut functions: Vec<Function> = manifest
            .functions
            .iter()
            .map(|declared| Function::new(manifest.name, stage, &variables, declared))
            .collect();
        functions.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            manifest: manifest.clone(),
            stage: stage.clone(),
            functions,
            ignores_alarms: false,
            origins: OnceLock::new(),
        }
    }

    /// The app, to be deployed although its alarms may be on: a canary goes ahead, and what
    /// CloudFormation deploys is not taken back because of an alarm.
    #[must_use]
    pub fn ignoring_alarms(self) -> Self {
        Self {
            ignores_alarms: true,
            ..self
        }
    }

    /// Whether it is [deployed although its alarms may be on](Self::ignoring_alarms).
    #[must_use]
    pub fn ignores_alarms(&self) -> bool {
        self.ignores_alarms
    }

    /// The app's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.manifest.name
    }

    /// The stage that it was resolved for.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The name of its CloudFormation stack. Names in the template derive from it.
    #[must_use]
    pub fn stack_name(&self) -> String {
        name::stack(self.name(), &self.stage.name)
    }

    /// The name of the stack with the artifact bucket: one for all stages in an
    /// account and region.
    #[must_use]
    pub fn bootstrap_stack_name(&self) -> String {
        name::stack(self.name(), name::BOOTSTRAP)
    }

    /// Its functions, sorted by name.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }

    /// The services that its functions call beside the stack's own resources, as IAM's actions name
    /// them, for example `rekognition`.
    #[must_use]
    pub fn called_services(&self) -> BTreeSet<&str> {
        let grants = self.functions.iter().flat_map(Function::grants);
        grants
            .filter_map(|grant| match grant {
                Grant::Unscoped { action, .. } => action.split(':').next(),
                Grant::PassRole { service, .. } => Some(*service),
                Grant::Bucket { .. } | Grant::Table { .. } => None,
            })
            .collect()
    }

    /// The tags of its stack and of every resource in it.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.stage.tags.clone();
        tags.insert("app".to_owned(), self.name().to_owned());
        tags.insert("stage".to_owned(), self.stage.name.clone());
        tags
    }

    /// The stack outputs that a shell sees as environment variables, by the same
    /// variables as functions see them: output key → variable.
    #[must_use]
    pub fn env_outputs(&self) -> BTreeMap<String, String> {
        self.manifest
            .resources()
            .filter_map(|resource| resource.variable)
            .map(|variable| (name::pascal_case(variable), variable.to_owned()))
            .collect()
    }

    /// The environment variables by which tables' attributes are named to functions, with the
    /// names.
    #[must_use]
    pub fn attribute_variables(&self) -> BTreeMap<String, String> {
        let tables = self.manifest.tables.iter();
        tables
            .flat_map(|table| table.attribute_variables.iter().cloned())
            .collect()
    }

    /// Its HTTP APIs, in the order of their declaration. One without a variable is not among
    /// them, as nobody is told its URL.
    pub fn http_apis(&self) -> impl Iterator<Item = HttpApi> {
        self.manifest.http_apis.iter().filter_map(|declared| {
            let variable = declared.variable.clone()?;
            Some(HttpApi {
                name: declared.name.clone(),
                url_output: name::pascal_case(&variable),
                variable,
            })
        })
    }

    /// The stack output with the ARN of the composite alarm that CloudFormation is to watch
    /// for [`Stage::rollback_on_alarm_minutes`]; `None` if it is not to.
    #[must_use]
    pub fn rollback_alarm_output(&self) -> Option<&'static str> {
        self.stage
            .rollback_on_alarm_minutes
            .map(|_| "RollbackAlarmArn")
    }

    /// The line that a resource of the template is there because of, like
    /// `infra/app/src/lib.rs:63`; `None` if the template has no such resource.
    #[must_use]
    pub fn declared_at(&self, logical_id: &str) -> Option<String> {
        let origins = self
            .origins
            .get_or_init(|| synth::template(self).origins().clone());
        origins.get(logical_id).map(ToString::to_string)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// An HTTP API of a resolved app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpApi {
    /// Its name in the manifest.
    pub name: String,
    /// The environment variable that tells its URL.
    pub variable: String,
    /// The stack output with its URL.
    pub url_output: String,
}

/// A Lambda function of a resolved app.
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    physical_name: String,
    invoked_by_alias: bool,
    memory_mb: u32,
    timeout_seconds: u32,
    reserved_concurrency: Option<u32>,
    asynchronous: bool,
    environment: BTreeMap<String, Value>,
    triggers: Vec<Declared<Trigger>>,
    grants: Vec<Declared<Grant>>,
    exceptions: Vec<Declared<Exception>>,
    origin: Origin,
}

impl Function {
    fn new(app: &str, stage: &Stage, variables: &[Variable], declared: &declare::Function) -> Self {
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
            timeout_seconds: stage
                .timeout_seconds
                .of(&declared.name)
                .unwrap_or(declared.timeout_seconds),
            invoked_by_alias: stage.canary.is_some(),
            reserved_concurrency: stage.reserved_concurrency.get(&declared.name).copied(),
            asynchronous: declared.is_asynchronous(),
            environment: texts.chain(resources).collect(),
            triggers: declared.triggers.clone(),
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
    /// `None` unless it is invoked asynchronously or reads a stream.
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

    /// The longest an invocation of it may take, in seconds.
    #[must_use]
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
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
        self.asynchronous
    }

    /// The event names of the stream records that invoke it, in batches; none if it reads no
    /// stream. Lambda retries a batch, and what the function still fails on ends in its failure
    /// queue, as a message that says where in the stream the records are.
    #[must_use]
    pub fn stream_event_names(&self) -> BTreeSet<&'static str> {
        self.item_changes()
            .flat_map(|(_, changes)| &changes.kinds)
            .map(|kind| kind.event_name())
            .collect()
    }

    /// Whether what it fails on is kept.
    pub(crate) fn has_failure_queue(&self) -> bool {
        self.is_asynchronous() || self.item_changes().next().is_some()
    }

    /// The logical ID of the `part` of the template that belongs to the function.
    pub(crate) fn logical_id(&self, part: &str) -> String {
        format!("{}{part}", name::pascal_case(&self.name))
    }

    pub(crate) fn environment(&self) -> &BTreeMap<String, Value> {
        &self.environment
    }

    /// Where it is declared.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The events of `bucket` that invoke it, and the first trigger that says so.
    pub(crate) fn events_of(&self, bucket: &str) -> Option<(Origin, BTreeSet<BucketEvent>)> {
        let mut triggers = self
            .triggers
            .iter()
            .filter_map(|trigger| match &trigger.what {
                Trigger::BucketEvents { bucket: of, events } if of == bucket => {
                    Some((trigger.origin, events.clone()))
                }
                _ => None,
            });
        let (origin, mut events) = triggers.next()?;
        events.extend(triggers.flat_map(|(_, events)| events));
        Some((origin, events))
    }

    /// The trigger by which messages of `topic` invoke it.
    pub(crate) fn subscribes_to(&self, topic: &str) -> Option<Origin> {
        let mut triggers = self.triggers.iter();
        triggers
            .find(|trigger| {
                matches!(&trigger.what, Trigger::TopicMessages { topic: of } if of == topic)
            })
            .map(|trigger| trigger.origin)
    }

    /// What it reads from tables' streams.
    pub(crate) fn item_changes(&self) -> impl Iterator<Item = (Origin, &ItemChanges)> {
        self.triggers
            .iter()
            .filter_map(|trigger| Some((trigger.origin, trigger.what.item_changes()?)))
    }

    /// The routes of `http_api` that it serves.
    pub(crate) fn routes_of(&self, http_api: &str) -> Vec<Route<'_>> {
        self.triggers
            .iter()
            .filter_map(|trigger| match &trigger.what {
                Trigger::Route {
                    http_api: of,
                    method,
                    path,
                } if of == http_api => Some(Route {
                    method,
                    path,
                    origin: trigger.origin,
                }),
                _ => None,
            })
            .collect()
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
}

/// A route of an HTTP API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) origin: Origin,
}

impl Route<'_> {
    /// API Gateway's name of the route, such as `GET /`.
    pub(crate) fn key(self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use crate::declare::{Function, Manifest};
    use crate::stage::Stages;

    #[test]
    fn who_invokes_by_hand_gets_the_code_that_events_get() {
        for (settings, expected) in [
            ("{}", "shop-test-resize"),
            (
                "{alarms: true, canary: {percent: 10, minutes: 5}}",
                "shop-test-resize:live",
            ),
        ] {
            let stages = Stages::parse(&format!("test: {settings}")).unwrap();
            let manifest = Manifest {
                name: "shop",
                buckets: vec![],
                tables: vec![],
                topics: vec![],
                publishers: vec![],
                http_apis: vec![],
                functions: vec![Function::new("resize")],
            };
            let app = manifest.resolve(&stages.get("test").unwrap()).unwrap();
            let function = app.functions().find(|function| function.name() == "resize");
            assert_eq!(function.unwrap().invocation_name(), expected);
        }
    }
}
