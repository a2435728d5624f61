//! What AWS, or this project, does not accept in a manifest or a stage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use crate::declare::{
    BucketEvent, Cors, Function, Grant, Handle, ItemChanges, Manifest, Trigger, Variable,
};
use crate::name;
use crate::origin::{Declared, Origin};
use crate::resolve::App;
use crate::stage::{PerFunction, Stage};
use crate::synth;

mod exceptions;
mod settings;

/// Something in the manifest or the stage that cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    origin: Option<Origin>,
    subject: String,
    problem: String,
    remedy: String,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{} {}; {}", self.subject, self.problem, self.remedy)
    }
}

/// What a rule is about, and where it is written.
#[derive(Clone)]
struct Subject {
    text: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// Not a line but several, or none.
    Unknown,
    Declaration(Origin),
    /// A setting of the stage, by its keys.
    Setting(Vec<String>),
}

impl Subject {
    fn new(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            place: Place::Unknown,
        }
    }

    fn of_function(function: &Function) -> Self {
        Self::new(format!("function `{}`", function.name)).at(function.origin)
    }

    fn at(mut self, origin: Origin) -> Self {
        self.place = Place::Declaration(origin);
        self
    }

    fn in_setting(mut self, keys: &[&str]) -> Self {
        self.place = Place::Setting(keys.iter().map(|key| (*key).to_owned()).collect());
        self
    }
}

/// The longest name of a function, in characters.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
const FUNCTION_NAME_MAX: usize = 64;
/// The longest name of a bucket, in characters.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
const BUCKET_NAME_MAX: usize = 63;
/// The length of an account ID, in digits.
const ACCOUNT_DIGITS: usize = 12;
/// The longest name of a region, in characters: `us-isof-south-1`.
const REGION_NAME_MAX: usize = 15;
/// The longest name or ARN that a reference to a resource can turn into, in bytes.
const REFERENCE_MAX: usize = 256;
/// A function's environment, names and values together, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ENVIRONMENT_MAX: usize = 4096;
/// The longest that an HTTP API waits for a function, in seconds.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const INTEGRATION_TIMEOUT_SECONDS: u32 = 30;
/// Routes of one HTTP API, by the same page.
const ROUTES_MAX: usize = 300;
/// Functions that read one table's stream: with more, reads of a shard are throttled.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
const STREAM_READERS_MAX: usize = 2;
/// Records of one batch of a stream.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html>
const BATCH_SIZE: RangeInclusive<u32> = 1..=10_000;
/// How long Lambda may wait for a batch to fill, in seconds.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>
const BATCHING_WINDOW_SECONDS: RangeInclusive<u32> = 0..=300;
/// How often Lambda may try a batch again, by the same page.
const RETRY_ATTEMPTS: RangeInclusive<u32> = 0..=10_000;
/// The age at which a record may be given up, in seconds. The same page admits seven days,
/// but DynamoDB drops a record after one.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>
const RECORD_AGE_SECONDS: RangeInclusive<u32> = 60..=24 * 60 * 60;
/// Batches of one shard at a time, by the page of the mapping.
const PARALLELIZATION_FACTOR: RangeInclusive<u32> = 1..=10;
/// The shortest name of a variable, in characters, by the pattern of the page.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Environment.html>
const VARIABLE_NAME_MIN: usize = 2;
/// Variables that Lambda sets itself. The last three are of Lambda Managed Instances and of the
/// metadata endpoint.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const RESERVED_VARIABLES: [&str; 21] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
];
/// IAM services whose actions can be restricted to a resource that the manifest has a
/// type for, and that type.
pub(crate) const SCOPED_SERVICES: [(&str, &str); 3] = [
    ("dynamodb", "Table::allow"),
    ("iam", "Publisher::pass"),
    ("s3", "Bucket::allow"),
];

/// Everything wrong with `manifest` or `stage` that can be seen in them.
pub(crate) fn violations(manifest: &Manifest, stage: &Stage) -> Vec<Violation> {
    let mut check = Check {
        manifest,
        stage,
        violations: Vec::new(),
    };
    check.stage();
    check.names();
    check.variables();
    check.tables();
    for function in &manifest.functions {
        check.function(function);
        check.environment(function);
        check.grants(function);
        check.exceptions(function);
        check.item_changes(function);
        let subject = Subject::of_function(function);
        for trigger in &function.triggers {
            let subject = subject.clone().at(trigger.origin);
            check.references(&subject, [trigger.what.handle()]);
        }
        for grant in &function.grants {
            let subject = subject.clone().at(grant.origin);
            check.references(&subject, grant.what.handles());
        }
        for known in &function.known {
            let subject = subject.clone().at(known.origin);
            check.references(&subject, [known.what.clone()]);
        }
    }
    check.publishers();
    check.bucket_events();
    check.subscriptions();
    check.stream_readers();
    check.routes();
    check.cors();
    check.violations
}

/// Names that differ but become the same logical ID.
pub(crate) fn collisions(app: &App) -> Vec<Violation> {
    synth::template(app)
        .collisions()
        .iter()
        .map(|(logical_id, origin)| Violation {
            origin: Some(*origin),
            subject: format!("logical ID `{logical_id}`"),
            problem: "derives from the names of two things".to_owned(),
            remedy: "rename one of them so that they differ in more than punctuation".to_owned(),
        })
        .collect()
}

struct Check<'a> {
    manifest: &'a Manifest,
    stage: &'a Stage,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn require(
        &mut self,
        holds: bool,
        subject: &Subject,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !holds {
            let origin = match &subject.place {
                Place::Unknown => None,
                Place::Declaration(origin) => Some(*origin),
                Place::Setting(keys) => Some(self.stage.origin_of(keys)),
            };
            self.violations.push(Violation {
                origin,
                subject: subject.text.clone(),
                problem: problem.into(),
                remedy: remedy.into(),
            });
        }
    }

    fn names(&mut self) {
        let (manifest, stage) = (self.manifest, self.stage);
        let app = Subject::new(format!("app `{}`", manifest.name));
        self.kebab_case(&app, manifest.name);
        self.require(
            !manifest.functions.is_empty(),
            &app,
            "has no function",
            "add one to `functions` in infra/app/src/lib.rs",
        );

        let mut seen = BTreeSet::new();
        for resource in manifest.resources() {
            let handle = resource.handle;
            let subject = Subject::new(&handle).at(resource.origin);
            self.kebab_case(&subject, handle.name());
            if let Handle::Bucket(bucket) = &handle {
                let region = stage.region.as_ref().map_or(REGION_NAME_MAX, String::len);
                let length = name::stack(manifest.name, &stage.name).len()
                    + bucket.len()
                    + ACCOUNT_DIGITS
                    + region
                    + "---".len();
                self.length(&subject, length, BUCKET_NAME_MAX);
            }
            self.require(
                seen.insert(handle),
                &subject,
                "is declared twice",
                "remove or rename one",
            );
        }

        let mut seen = BTreeSet::new();
        for function in &manifest.functions {
            let subject = Subject::of_function(function);
            self.kebab_case(&subject, &function.name);
            let length = name::stack(manifest.name, &stage.name).len() + 1 + function.name.len();
            self.length(&subject, length, FUNCTION_NAME_MAX);
            self.require(
                seen.insert(&function.name),
                &subject,
                "is declared twice",
                "remove or rename one",
            );
        }
    }

    fn kebab_case(&mut self, subject: &Subject, name: &str) {
        self.require(
            name::is_kebab_case(name),
            subject,
            "has a name that is not in kebab-case",
            "use lower-case letters and digits in words joined by single hyphens, a letter first",
        );
    }

    fn length(&mut self, subject: &Subject, length: usize, max: usize) {
        self.require(
            length <= max,
            subject,
            format!("gets a name of {length} characters in AWS, where {max} are allowed"),
            format!(
                "shorten it, the app's or the stage's name by {}",
                length.saturating_sub(max)
            ),
        );
    }

    fn variables(&mut self) {
        let manifest = self.manifest;
        let mut seen: BTreeMap<String, Handle> = BTreeMap::new();
        for variable in manifest.variables() {
            let Variable { of, name, .. } = variable;
            let subject = Subject::new(&of).at(variable.origin);
            self.variable(&subject, &name);
            if let Some(other) = seen.get(&name) {
                let problem = if *other == of {
                    format!("has the variable `{name}` twice")
                } else {
                    format!("has the variable `{name}`, as {other} has")
                };
                self.require(false, &subject, problem, "rename one of the variables");
            }
            seen.insert(name, of);
        }
    }

    fn variable(&mut self, subject: &Subject, variable: &str) {
        let upper_snake_case = variable.starts_with(|first: char| first.is_ascii_uppercase())
            && variable.split('_').all(|word| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            });
        let reserved = RESERVED_VARIABLES.contains(&variable);
        self.require(
            upper_snake_case || reserved,
            subject,
            format!("has a variable `{variable}` that is not in UPPER_SNAKE_CASE"),
            "use upper-case letters and digits in words joined by single underscores, a letter first",
        );
        self.require(
            !reserved,
            subject,
            format!("has the variable `{variable}`, which Lambda sets itself"),
            "choose another name",
        );
        self.require(
            !upper_snake_case || variable.len() >= VARIABLE_NAME_MIN,
            subject,
            format!("has the variable `{variable}`, whose name is too short for Lambda"),
            format!("use at least {VARIABLE_NAME_MIN} characters"),
        );
    }

    /// The value of a variable, which CloudFormation passes on to Lambda.
    fn variable_value(&mut self, subject: &Subject, variable: &str, value: &str) {
        let unfit = value.chars().find(|letter| !is_xml(*letter));
        self.require(
            unfit.is_none(),
            subject,
            format!(
                "has the variable `{variable}` with the character U+{:04X}, which CloudFormation cannot pass on",
                unfit.map_or(0, u32::from)
            ),
            "remove it, or encode the value, for example in Base64",
        );
    }

    fn tables(&mut self) {
        let manifest = self.manifest;
        for table in &manifest.tables {
            let subject = Subject::new(format!("table `{}`", table.name)).at(table.origin);
            let told = table.attribute_variables.iter();
            let attributes: BTreeSet<&String> = std::iter::once(&table.partition_key)
                .chain(&table.time_to_live)
                .chain(told.map(|(_, attribute)| attribute))
                .collect();
            for attribute in attributes {
                self.require(
                    (1..=255).contains(&attribute.len()),
                    &subject,
                    format!("has an attribute name of {} bytes", attribute.len()),
                    "use 1 to 255",
                );
            }
            self.require(
                table.time_to_live.as_ref() != Some(&table.partition_key),
                &subject,
                format!(
                    "has its partition key `{}` as time to live, which must be a number",
                    table.partition_key
                ),
                "name another attribute in `time_to_live`",
            );
        }
    }

    fn function(&mut self, function: &Function) {
        let subject = Subject::of_function(function);
        self.memory(&subject, function.memory_mb);
        self.timeout(&subject, function.timeout_seconds);
        let (timeout_seconds, subject) = self.effective_timeout(subject, function);
        self.require(
            !function.has_route() || timeout_seconds <= INTEGRATION_TIMEOUT_SECONDS,
            &subject,
            format!(
                "serves an HTTP API and may take {timeout_seconds} s, but the API answers 503 after {INTEGRATION_TIMEOUT_SECONDS} s"
            ),
            format!("set `timeout_seconds` to at most {INTEGRATION_TIMEOUT_SECONDS}"),
        );
    }

    /// The timeout of `function` on the stage, and `subject` at the line that decides it.
    fn effective_timeout(&self, subject: Subject, function: &Function) -> (u32, Subject) {
        let setting = &self.stage.timeout_seconds;
        match (setting, setting.of(&function.name)) {
            (_, None) => (function.timeout_seconds, subject),
            (PerFunction::Some(_), Some(timeout_seconds)) => (
                timeout_seconds,
                subject.in_setting(&["timeout_seconds", &function.name]),
            ),
            (_, Some(timeout_seconds)) => {
                (timeout_seconds, subject.in_setting(&["timeout_seconds"]))
            }
        }
    }

    fn memory(&mut self, subject: &Subject, memory_mb: u32) {
        self.require(
            (128..=10_240).contains(&memory_mb),
            subject,
            format!("asks for {memory_mb} MB of memory"),
            "set `memory_mb` to 128 to 10240",
        );
    }

    fn timeout(&mut self, subject: &Subject, timeout_seconds: u32) {
        self.require(
            (1..=900).contains(&timeout_seconds),
            subject,
            format!("has a timeout of {timeout_seconds} s"),
            "set `timeout_seconds` to 1 to 900",
        );
    }

    fn environment(&mut self, function: &Function) {
        let (manifest, stage) = (self.manifest, self.stage);
        let subject = Subject::of_function(function);
        let knows = function.knows();
        let given: BTreeMap<String, Variable> = manifest
            .variables()
            .filter(|variable| knows.contains(&variable.of))
            .map(|variable| (variable.name.clone(), variable))
            .collect();
        let mut size: usize = given
            .values()
            .map(|Variable { name, value, .. }| {
                name.len() + value.as_str().map_or(REFERENCE_MAX, str::len)
            })
            .sum();
        let mut seen = BTreeSet::new();
        for declared in &function.environment {
            let subject = subject.clone().at(declared.origin);
            let (variable, value) = &declared.what;
            size += variable.len() + value.len();
            self.variable(&subject, variable);
            self.variable_value(&subject, variable, value);
            self.require(
                seen.insert(variable),
                &subject,
                format!("sets the variable `{variable}` twice"),
                "remove one",
            );
            if let Some(Variable { of, .. }) = given.get(variable) {
                self.require(
                    false,
                    &subject,
                    format!("sets the variable `{variable}`, which it gets from {of}"),
                    "remove or rename it",
                );
            }
        }
        for (variable, value) in &stage.environment {
            size += variable.len() + value.len();
            self.require(
                !seen.contains(variable) && !given.contains_key(variable),
                &self.setting(&["environment", variable]),
                format!(
                    "sets the variable `{variable}`, which function `{}` has from the app",
                    function.name
                ),
                "rename it, or change the app",
            );
        }
        self.require(
            size <= ENVIRONMENT_MAX,
            &subject,
            format!(
                "has an environment of up to {size} bytes, where Lambda takes {ENVIRONMENT_MAX}"
            ),
            "move long values into its code or into a parameter store",
        );
    }

    fn grants(&mut self, function: &Function) {
        let subject = Subject::of_function(function);
        let mut seen = BTreeSet::new();
        for Declared {
            what: grant,
            origin,
        } in &function.grants
        {
            let subject = subject.clone().at(*origin);
            let target = match grant {
                Grant::Unscoped { action, .. } => format!("`{action}`"),
                Grant::Bucket { bucket, .. } => Handle::Bucket(bucket.clone()).to_string(),
                Grant::Table { table, .. } => Handle::Table(table.clone()).to_string(),
                Grant::PassRole { topic, .. } => Handle::Publisher(topic.clone()).to_string(),
            };
            match grant {
                Grant::Bucket { actions, .. } => {
                    let actions = actions.iter().map(|action| action.iam_action());
                    self.granted(&subject, &target, actions);
                }
                Grant::Table { actions, .. } => {
                    let actions = actions.iter().map(|action| action.iam_action());
                    self.granted(&subject, &target, actions);
                }
                Grant::PassRole { .. } => {}
                Grant::Unscoped { action, reason } => self.unscoped(&subject, action, reason),
            }
            self.require(
                seen.insert(target.clone()),
                &subject,
                format!("has two grants of {target}"),
                "merge them into one",
            );
        }
    }

    fn granted(&mut self, subject: &Subject, target: &str, actions: impl Iterator<Item = String>) {
        let mut seen = BTreeSet::new();
        for action in actions {
            self.require(
                seen.insert(action.clone()),
                subject,
                format!("is granted {action} on {target} twice"),
                "list it once",
            );
        }
        self.require(
            !seen.is_empty(),
            subject,
            format!("has a grant on {target} that allows nothing"),
            "list actions in `allow` or remove the grant",
        );
    }

    fn unscoped(&mut self, subject: &Subject, action: &str, reason: &str) {
        let (service, verb) = action.split_once(':').unwrap_or_default();
        self.require(
            !service.is_empty()
                && service
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !verb.is_empty()
                && verb.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            subject,
            format!("is granted `{action}`, which is not one IAM action"),
            "write one like `rekognition:DetectLabels`, without wildcards",
        );
        self.require(
            !reason.trim().is_empty(),
            subject,
            format!("is granted `{action}` on every resource for no reason"),
            "say in `Grant::unscoped` why AWS cannot restrict the action to a resource",
        );
        if let Some((_, scoped)) = SCOPED_SERVICES.iter().find(|(name, _)| *name == service) {
            self.require(
                false,
                subject,
                format!(
                    "is granted `{action}` on every resource, though it can be restricted to one"
                ),
                format!("use `{scoped}`"),
            );
        }
    }

    fn item_changes(&mut self, function: &Function) {
        let mut seen = BTreeSet::new();
        for trigger in &function.triggers {
            let Some(changes) = trigger.what.item_changes() else {
                continue;
            };
            let subject = Subject::new(format!(
                "function `{}` on the stream of table `{}`",
                function.name, changes.table
            ))
            .at(trigger.origin);
            self.require(
                seen.insert(&changes.table),
                &subject,
                "has two triggers",
                "merge them into one",
            );
            self.require(
                !changes.kinds.is_empty(),
                &subject,
                "handles no change",
                "list what it handles in `item_changes`",
            );
            for (setting, value, range) in [
                ("batch_size", changes.batch_size, BATCH_SIZE),
                (
                    "batching_window_seconds",
                    changes.batching_window_seconds,
                    BATCHING_WINDOW_SECONDS,
                ),
                ("retry_attempts", changes.retry_attempts, RETRY_ATTEMPTS),
                (
                    "record_age_seconds",
                    changes.record_age_seconds,
                    RECORD_AGE_SECONDS,
                ),
                (
                    "parallelization_factor",
                    changes.parallelization_factor,
                    PARALLELIZATION_FACTOR,
                ),
            ] {
                self.require(
                    range.contains(&value),
                    &subject,
                    format!("has a `{setting}` of {value}"),
                    format!("set it to {} to {}", range.start(), range.end()),
                );
            }
            self.attempts(subject, function, changes);
        }
    }

    /// All attempts at a record must fit into the age at which it is given up.
    fn attempts(&mut self, subject: Subject, function: &Function, changes: &ItemChanges) {
        let (timeout_seconds, subject) = self.effective_timeout(subject, function);
        let attempts = u64::from(changes.retry_attempts) + 1;
        let needed_seconds = attempts * u64::from(timeout_seconds);
        self.require(
            needed_seconds <= u64::from(changes.record_age_seconds),
            &subject,
            format!(
                "may take {needed_seconds} s for {attempts} attempts, but gives records up when they are {} s old",
                changes.record_age_seconds
            ),
            "raise `record_age_seconds`, or lower `retry_attempts` or `timeout_seconds`",
        );
    }

    fn stream_readers(&mut self) {
        let manifest = self.manifest;
        for table in &manifest.tables {
            let subject = Subject::new(format!("table `{}`", table.name)).at(table.origin);
            let readers: Vec<&str> = manifest
                .functions
                .iter()
                .filter(|function| {
                    function
                        .item_changes()
                        .any(|changes| changes.table == table.name)
                })
                .map(|function| function.name.as_str())
                .collect();
            self.require(
                readers.len() <= STREAM_READERS_MAX,
                &subject,
                format!(
                    "has a stream that {} functions read ({}), where DynamoDB serves {STREAM_READERS_MAX}",
                    readers.len(),
                    readers.join(", ")
                ),
                "let one function do the work of two",
            );
        }
    }

    fn references(&mut self, subject: &Subject, referred: impl IntoIterator<Item = Handle>) {
        let declared: BTreeSet<Handle> = self
            .manifest
            .resources()
            .map(|resource| resource.handle)
            .collect();
        let unknown: BTreeSet<Handle> = referred
            .into_iter()
            .filter(|handle| !declared.contains(handle))
            .collect();
        for handle in unknown {
            let same_kind = declared
                .iter()
                .filter(|other| std::mem::discriminant(*other) == std::mem::discriminant(&handle))
                .map(Handle::name);
            let remedy = match name::nearest(handle.name(), same_kind) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "add it to the manifest".to_owned(),
            };
            self.require(
                false,
                subject,
                format!("refers to {handle}, which the manifest does not declare"),
                remedy,
            );
        }
    }

    fn publishers(&mut self) {
        let manifest = self.manifest;
        for publisher in &manifest.publishers {
            let topic = Handle::Topic(publisher.topic.clone());
            let handle = Handle::Publisher(publisher.topic.clone());
            let subject = Subject::new(handle).at(publisher.origin);
            self.references(&subject, [topic]);
            self.require(
                name::is_kebab_case(publisher.service),
                &subject,
                format!("is `{}`, which is no AWS service", publisher.service),
                "write one like `rekognition`, without `.amazonaws.com`",
            );
        }
    }

    /// SNS keeps one subscription of a function to a topic.
    fn subscriptions(&mut self) {
        let manifest = self.manifest;
        for function in &manifest.functions {
            let mut seen = BTreeSet::new();
            for trigger in &function.triggers {
                if let Trigger::TopicMessages { topic } = &trigger.what {
                    self.require(
                        seen.insert(topic),
                        &Subject::of_function(function).at(trigger.origin),
                        format!("handles the messages of topic `{topic}` twice"),
                        "remove one of the triggers",
                    );
                }
            }
        }
    }

    /// S3 refuses two notifications of one event.
    fn bucket_events(&mut self) {
        let manifest = self.manifest;
        let mut taken: BTreeMap<(&str, BucketEvent), &str> = BTreeMap::new();
        for function in &manifest.functions {
            for trigger in &function.triggers {
                let Trigger::BucketEvents { bucket, events } = &trigger.what else {
                    continue;
                };
                for event in events {
                    if let Some(other) = taken.insert((bucket, *event), &function.name) {
                        self.require(
                            false,
                            &Subject::of_function(function).at(trigger.origin),
                            format!(
                                "handles {} of bucket `{bucket}`, as function `{other}` does; S3 notifies one of each event",
                                event.event_type()
                            ),
                            "remove one of the triggers, or let one function do both",
                        );
                    }
                }
            }
        }
    }

    fn routes(&mut self) {
        let manifest = self.manifest;
        let mut taken: BTreeMap<(&str, &str, String), &str> = BTreeMap::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for function in &manifest.functions {
            for trigger in &function.triggers {
                let Trigger::Route {
                    http_api,
                    method,
                    path,
                } = &trigger.what
                else {
                    continue;
                };
                let subject = Subject::of_function(function).at(trigger.origin);
                *counts.entry(http_api).or_default() += 1;
                self.require(
                    is_route_path(path),
                    &subject,
                    format!("has the route `{method} {path}`, which is no path"),
                    "write one like `/`, `/users/{id}` or `/{name+}`, the `+` in the last segment only",
                );
                // Two paths that differ in their parameters' names are the same.
                let shape = synth::path_pattern(path) + if path.ends_with("+}") { "*" } else { "" };
                if let Some(other) = taken.insert((http_api, method, shape), &function.name) {
                    self.require(
                        false,
                        &subject,
                        format!("serves `{method} {path}` of HTTP API `{http_api}`, as function `{other}` does"),
                        "remove one of the routes",
                    );
                }
            }
        }
        for http_api in &manifest.http_apis {
            let count = counts
                .get(http_api.name.as_str())
                .copied()
                .unwrap_or_default();
            self.require(
                count <= ROUTES_MAX,
                &Subject::new(format!("HTTP API `{}`", http_api.name)).at(http_api.origin),
                format!("has {count} routes, where API Gateway takes {ROUTES_MAX}"),
                "split it into two APIs",
            );
        }
    }

    fn cors(&mut self) {
        let manifest = self.manifest;
        for http_api in &manifest.http_apis {
            let Some(Cors {
                origins,
                exposed_headers,
            }) = &http_api.cors
            else {
                continue;
            };
            let subject = Subject::new(format!("HTTP API `{}`", http_api.name)).at(http_api.origin);
            self.require(
                !origins.is_empty(),
                &subject,
                "has `Cors` for no origin",
                "name origins, or remove it",
            );
            for origin in origins {
                self.require(
                    is_origin(origin) || (origin == "*" && origins.len() == 1),
                    &subject,
                    format!("lets in pages of `{origin}`, which is no origin"),
                    "write one like `https://example.com`, without a path, or `*` alone",
                );
            }
            for header in exposed_headers {
                self.require(
                    is_header_name(header),
                    &subject,
                    format!("exposes `{header}`, which is no name of a header"),
                    "write one like `next-cursor`",
                );
            }
        }
    }
}

/// Whether XML may have the character: CloudFormation answers in XML, with the template and with
/// the values that a change set changes.
/// <https://www.w3.org/TR/xml/#charsets>
fn is_xml(letter: char) -> bool {
    !matches!(letter, '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}')
        || matches!(letter, '\t' | '\n' | '\r')
}

fn is_route_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    if rest.is_empty() {
        return true;
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    segments.iter().enumerate().all(|(index, segment)| {
        let word = match synth::parameter(segment) {
            Some(parameter) if index == last => parameter.strip_suffix('+').unwrap_or(parameter),
            Some(parameter) => parameter,
            None => segment,
        };
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    })
}

/// Whether `origin` is what a browser sends as `Origin`, or all of a scheme.
fn is_origin(origin: &str) -> bool {
    let authority = ["https://", "http://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    authority.is_some_and(|authority| {
        authority == "*"
            || !authority.is_empty()
                && authority.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
                })
    })
}

/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{Bucket, BucketAction, HttpApi, ItemChange, Table, TableAction, Topic};
    use crate::stage::Stages;

    fn stage(yaml: &str) -> Stage {
        Stages::parse(&format!("dev: {{{yaml}}}"))
            .unwrap()
            .get("dev")
            .unwrap()
    }

    fn manifest(functions: Vec<Function>) -> Manifest {
        Manifest {
            name: "shop",
            buckets: vec![bucket()],
            tables: vec![table()],
            topics: vec![topic()],
            publishers: vec![topic().publisher("rekognition")],
            http_apis: vec![http_api()],
            functions,
        }
    }

    fn bucket() -> Bucket {
        Bucket::new("photos").variable("PHOTOS_BUCKET_NAME")
    }

    fn table() -> Table {
        Table::new("orders", "id")
    }

    fn changes() -> ItemChanges {
        table().item_changes([ItemChange::Insert, ItemChange::Remove])
    }

    fn topic() -> Topic {
        Topic::new("orders")
    }

    fn http_api() -> HttpApi {
        HttpApi::new("shop")
    }

    fn sell() -> Function {
        Function::new("sell")
    }

    fn violations(manifest: &Manifest, stage: &Stage) -> Vec<Violation> {
        manifest.resolve(stage).err().unwrap_or_default()
    }

    fn complaints(manifest: &Manifest, stage: &Stage) -> Vec<String> {
        let violations = violations(manifest, stage);
        violations.iter().map(ToString::to_string).collect()
    }

    /// Asserts that `functions` violate exactly the rules whose messages have `parts`.
    fn assert_complaints(functions: Vec<Function>, parts: &[&str]) {
        assert_manifest_complaints(&manifest(functions), parts);
    }

    fn assert_manifest_complaints(manifest: &Manifest, parts: &[&str]) {
        assert_parts(&complaints(manifest, &stage("")), parts);
    }

    fn assert_stage_complaints(yaml: &str, parts: &[&str]) {
        assert_parts(&complaints(&manifest(vec![sell()]), &stage(yaml)), parts);
    }

    fn assert_parts(complaints: &[String], parts: &[&str]) {
        assert_eq!(complaints.len(), parts.len(), "{complaints:#?}");
        for (complaint, part) in complaints.iter().zip(parts) {
            assert!(complaint.contains(part), "{complaint:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_sound_manifest_has_no_violation() {
        let serve = Function::new("serve")
            .trigger(http_api().get("/"))
            .trigger(http_api().get("/orders/{id}"))
            .trigger(http_api().get("/orders/{id}/{rest+}"))
            .grant(table().allow([TableAction::Scan]))
            .environment("GREETING", "hello");
        let watch = Function::new("watch")
            .trigger(bucket().object_created())
            .trigger(bucket().object_removed())
            .trigger(topic().published())
            .grant(topic().publisher("rekognition").pass())
            .grant(Grant::unscoped("rekognition:DetectLabels", "no ARN"));
        let follow = Function::new("follow").trigger(changes());
        assert_complaints(vec![sell(), serve, watch, follow], &[]);
    }

    #[test]
    fn all_violations_are_reported_and_say_what_to_change() {
        let sell = Function::new("sell").memory_mb(64).timeout_seconds(0);
        let sell_line = line!() - 1;
        let mut manifest = manifest(vec![sell]);
        manifest.name = "Shop";
        let yaml = "dev:\n  production: true\n  log_retention_days: 2\n";
        let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
        let file = file!();
        assert_eq!(
            complaints(&manifest, &stage),
            [
                "infra/stages.yaml:3: stage `dev` has `log_retention_days: 2`, a period that \
                 CloudWatch Logs does not offer; choose from 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, \
                 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653"
                    .to_owned(),
                "app `Shop` has a name that is not in kebab-case; use lower-case letters and digits \
                 in words joined by single hyphens, a letter first"
                    .to_owned(),
                format!(
                    "{file}:{sell_line}: function `sell` asks for 64 MB of memory; set `memory_mb` \
                     to 128 to 10240"
                ),
                format!(
                    "{file}:{sell_line}: function `sell` has a timeout of 0 s; set \
                     `timeout_seconds` to 1 to 900"
                ),
            ]
        );
    }

    #[test]
    fn violations_tell_the_line_of_what_is_wrong() {
        let here = |line: u32| Some(format!("{}:{line}", file!()));
        let first = line!() + 1;
        let sell = Function::new("sell")
            .trigger(http_api().get("orders"))
            .grant(table().allow([]))
            .environment("lower", "");
        let mut manifest = manifest(vec![sell]);
        manifest.tables = vec![Table::new("orders", "id"), Table::new("Carts", "id")];
        let carts = line!() - 1;
        let origins: Vec<Option<String>> = violations(&manifest, &stage("timeout_seconds: 901"))
            .iter()
            .map(|violation| violation.origin.map(|origin| origin.to_string()))
            .collect();
        let setting = Some("infra/stages.yaml:1".to_owned());
        assert_eq!(
            origins,
            [
                setting.clone(),
                here(carts),
                setting,
                here(first + 3),
                here(first + 2),
                here(first + 1),
            ]
        );
    }

    #[test]
    fn names_fit_into_aws() {
        let long = "a".repeat(56);
        assert_complaints(
            vec![Function::new(&long)],
            &[
                "gets a name of 65 characters in AWS, where 64 are allowed; shorten it, the app's or the stage's name by 1",
            ],
        );
        assert_complaints(vec![Function::new(&long[1..])], &[]);

        let mut manifest = manifest(vec![sell()]);
        manifest.buckets = vec![Bucket::new(&"b".repeat(26))];
        assert_manifest_complaints(
            &manifest,
            &["gets a name of 64 characters in AWS, where 63"],
        );
        assert_parts(&complaints(&manifest, &stage("region: us-east-1")), &[]);
    }

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        assert_complaints(
            vec![sell(), Function::new("Sell"), sell()],
            &[
                "function `Sell` has a name that is not",
                "function `sell` is declared twice",
            ],
        );
        let mut twice = manifest(vec![sell()]);
        twice.tables.push(table());
        assert_manifest_complaints(&twice, &["table `orders` is declared twice"]);
    }

    #[test]
    fn names_that_become_the_same_logical_id_are_found() {
        let mut manifest = manifest(vec![sell()]);
        manifest.tables = vec![Table::new("order-1", "id"), Table::new("order1", "id")];
        let second = line!() - 1;
        assert_manifest_complaints(
            &manifest,
            &[&format!(
                "{}:{second}: logical ID `Order1Table` derives from the names of two",
                file!()
            )],
        );
    }

    #[test]
    fn an_app_has_a_function() {
        assert_complaints(Vec::new(), &["app `shop` has no function"]);
    }

    #[test]
    fn references_lead_to_declared_resources() {
        assert_complaints(
            vec![
                sell()
                    .trigger(Bucket::new("photo").object_created())
                    .know(&Bucket::new("photoss"))
                    .grant(Table::new("banana", "id").allow([TableAction::GetItem])),
            ],
            &[
                "refers to bucket `photo`, which the manifest does not declare; did you mean `photos`?",
                "refers to table `banana`, which the manifest does not declare; add it",
                "refers to bucket `photoss`, which the manifest does not declare; did you mean `photos`?",
            ],
        );
    }

    #[test]
    fn a_publisher_has_a_topic_and_a_service() {
        let mut manifest = manifest(vec![sell().grant(topic().publisher("rekognition").pass())]);
        manifest.publishers = vec![Topic::new("order").publisher("rekognition.amazonaws.com")];
        assert_manifest_complaints(
            &manifest,
            &[
                "function `sell` refers to publisher `orders`, which the manifest does not declare; did you mean `order`?",
                "publisher `order` refers to topic `order`, which the manifest does not declare; did you mean `orders`?",
                "publisher `order` is `rekognition.amazonaws.com`, which is no AWS service",
            ],
        );
    }

    #[test]
    fn a_function_subscribes_to_a_topic_once() {
        let twice = sell().trigger(topic().published());
        let also = Function::new("also").trigger(topic().published());
        assert_complaints(vec![twice.clone(), also.clone()], &[]);
        assert_complaints(
            vec![twice.trigger(topic().published()), also],
            &["function `sell` handles the messages of topic `orders` twice"],
        );
    }

    #[test]
    fn a_stream_has_two_readers_at_most() {
        let two = vec![
            sell().trigger(changes()),
            Function::new("watch").trigger(changes()),
        ];
        assert_complaints(two.clone(), &[]);
        let three = [two, vec![Function::new("also").trigger(changes())]].concat();
        assert_complaints(
            three,
            &[
                "table `orders` has a stream that 3 functions read (sell, watch, also), where DynamoDB serves 2",
            ],
        );
    }

    #[test]
    fn a_function_reads_a_stream_once_and_something_of_it() {
        assert_complaints(
            vec![
                sell().trigger(changes()).trigger(changes()),
                Function::new("watch").trigger(table().item_changes([])),
                Function::new("also").trigger(Table::new("order", "id").item_changes([])),
            ],
            &[
                "function `sell` on the stream of table `orders` has two triggers; merge them",
                "function `watch` on the stream of table `orders` handles no change; list",
                "function `also` on the stream of table `order` handles no change",
                "function `also` refers to table `order`, which the manifest does not declare",
            ],
        );
    }

    #[test]
    fn batches_of_a_stream_are_within_limits() {
        let least = changes()
            .batch_size(1)
            .batching_window_seconds(0)
            .retry_attempts(0)
            .record_age_seconds(60);
        let most = changes()
            .batch_size(10_000)
            .batching_window_seconds(300)
            .retry_attempts(10_000)
            .record_age_seconds(86_400)
            .parallelization_factor(10);
        assert_complaints(
            vec![
                sell().trigger(least.clone()),
                Function::new("watch")
                    .timeout_seconds(8)
                    .trigger(most.clone()),
            ],
            &[],
        );
        assert_complaints(
            vec![
                sell().trigger(
                    least
                        .batch_size(0)
                        .record_age_seconds(59)
                        .parallelization_factor(0),
                ),
                Function::new("watch").timeout_seconds(8).trigger(
                    most.batch_size(10_001)
                        .batching_window_seconds(301)
                        .retry_attempts(10_001)
                        .record_age_seconds(86_401)
                        .parallelization_factor(11),
                ),
            ],
            &[
                "has a `batch_size` of 0; set it to 1 to 10000",
                "has a `record_age_seconds` of 59; set it to 60 to 86400",
                "has a `parallelization_factor` of 0; set it to 1 to 10",
                "has a `batch_size` of 10001",
                "has a `batching_window_seconds` of 301; set it to 0 to 300",
                "has a `retry_attempts` of 10001; set it to 0 to 10000",
                "has a `record_age_seconds` of 86401",
                "has a `parallelization_factor` of 11",
            ],
        );
    }

    #[test]
    fn a_record_is_not_given_up_before_its_last_attempt() {
        let patient = |record_age_seconds| {
            let changes = changes().record_age_seconds(record_age_seconds);
            vec![sell().timeout_seconds(60).trigger(changes)]
        };
        assert_complaints(patient(360), &[]);
        assert_complaints(
            patient(359),
            &["may take 360 s for 6 attempts, but gives records up when they are 359 s old"],
        );
        assert_parts(
            &complaints(&manifest(patient(360)), &stage("timeout_seconds: 61")),
            &["may take 366 s for 6 attempts"],
        );
    }

    #[test]
    fn cors_names_origins_and_headers() {
        let shop = |cors| {
            let mut manifest = manifest(vec![sell().trigger(http_api().get("/"))]);
            manifest.http_apis = vec![http_api().cors(cors)];
            manifest
        };
        for origins in [
            ["https://example.com", "http://localhost:3000"],
            ["https://*", "http://[::1]:80"],
        ] {
            let cors = Cors::origins(origins).expose_headers(["next-cursor"]);
            assert_manifest_complaints(&shop(cors), &[]);
        }
        assert_manifest_complaints(&shop(Cors::origins(["*"])), &[]);
        assert_manifest_complaints(
            &shop(Cors::origins([])),
            &["HTTP API `shop` has `Cors` for no origin"],
        );
        for origin in [
            "",
            "example.com",
            "https://",
            "https://a.b/",
            "https://*.a.b",
            "null",
        ] {
            assert_manifest_complaints(&shop(Cors::origins([origin])), &["which is no origin"]);
        }
        assert_manifest_complaints(
            &shop(Cors::origins(["https://a.b", "*"])),
            &[
                "lets in pages of `*`, which is no origin; write one like `https://example.com`, without a path, or `*` alone",
            ],
        );
        assert_manifest_complaints(
            &shop(Cors::origins(["*"]).expose_headers(["", "next cursor", "x"])),
            &[
                "exposes ``, which is no name of a header",
                "exposes `next cursor`",
            ],
        );
    }

    #[test]
    fn a_bucket_notifies_one_function_of_an_event() {
        assert_complaints(
            vec![
                sell().trigger(bucket().object_created()),
                Function::new("watch").trigger(bucket().object_created()),
            ],
            &[
                "function `watch` handles s3:ObjectCreated:* of bucket `photos`, as function `sell` does",
            ],
        );
    }

    #[test]
    fn a_route_is_served_once() {
        assert_complaints(
            vec![
                sell().trigger(http_api().get("/{id}")),
                Function::new("serve")
                    .trigger(http_api().get("/{name}"))
                    .trigger(http_api().get("/{name+}")),
            ],
            &["function `serve` serves `GET /{name}` of HTTP API `shop`, as function `sell` does"],
        );
    }

    #[test]
    fn routes_have_paths_that_api_gateway_takes() {
        for path in [
            "", "orders", "/a//b", "/a/", "/{a+}/b", "/{}", "/{+}", "/a b", "/{a", "/?x",
        ] {
            assert_complaints(
                vec![sell().trigger(http_api().get(path))],
                &["which is no path"],
            );
        }
    }

    #[test]
    fn an_api_has_a_limited_number_of_routes() {
        let busy = (0..=ROUTES_MAX).fold(sell(), |function, number| {
            function.trigger(http_api().get(&format!("/r{number}")))
        });
        assert_complaints(vec![busy], &["HTTP API `shop` has 301 routes"]);
    }

    #[test]
    fn a_function_answers_before_the_api_gives_up() {
        let slow = sell().timeout_seconds(31).trigger(http_api().get("/"));
        assert_complaints(
            vec![slow],
            &["the API answers 503 after 30 s; set `timeout_seconds`"],
        );
        let overridden = manifest(vec![sell().trigger(http_api().get("/"))]);
        assert_parts(
            &complaints(&overridden, &stage("timeout_seconds: 60")),
            &["may take 60 s"],
        );
    }

    #[test]
    fn grants_name_actions_once() {
        assert_complaints(
            vec![
                sell()
                    .grant(bucket().allow([]))
                    .grant(table().allow([TableAction::GetItem, TableAction::GetItem])),
                Function::new("watch")
                    .grant(bucket().allow([BucketAction::GetObject]))
                    .grant(bucket().allow([BucketAction::PutObject])),
            ],
            &[
                "has a grant on bucket `photos` that allows nothing",
                "is granted dynamodb:GetItem on table `orders` twice",
                "function `watch` has two grants of bucket `photos`; merge them",
            ],
        );
    }

    #[test]
    fn unscoped_grants_name_one_action_that_cannot_be_scoped_and_a_reason() {
        for action in [
            "rekognition:*",
            "*",
            "rekognition:Detect*",
            "DetectLabels",
            "a:b:c",
            ":x",
            "x:",
        ] {
            assert_complaints(
                vec![sell().grant(Grant::unscoped(action, "because"))],
                &["which is not one IAM action"],
            );
        }
        assert_complaints(
            vec![sell().grant(Grant::unscoped("rekognition:DetectLabels", " "))],
            &["on every resource for no reason"],
        );
        assert_complaints(
            vec![sell().grant(Grant::unscoped("s3:GetObject", "because"))],
            &["though it can be restricted to one; use `Bucket::allow`"],
        );
        assert_complaints(
            vec![sell().grant(Grant::unscoped("iam:PassRole", "because"))],
            &["though it can be restricted to one; use `Publisher::pass`"],
        );
    }

    #[test]
    fn variables_are_well_formed_unique_and_free() {
        let mut manifest = manifest(vec![
            sell()
                .trigger(bucket().object_created())
                .environment("lower", "")
                .environment("AWS_REGION", "")
                .environment("_HANDLER", "")
                .environment("LAMBDA_RUNTIME_DIR", "")
                .environment("V", "")
                .environment("BELL", "a\u{7}")
                .environment("LINES", "a\tb\r\nc\u{85}\u{2028}")
                .environment("TWICE", "")
                .environment("TWICE", "")
                .environment("PHOTOS_BUCKET_NAME", ""),
        ]);
        manifest.tables = vec![table().variable("PHOTOS_BUCKET_NAME")];
        assert_manifest_complaints(
            &manifest,
            &[
                "table `orders` has the variable `PHOTOS_BUCKET_NAME`, as bucket `photos` has",
                "has a variable `lower` that is not in UPPER_SNAKE_CASE",
                "has the variable `AWS_REGION`, which Lambda sets itself",
                "has the variable `_HANDLER`, which Lambda sets itself",
                "has the variable `LAMBDA_RUNTIME_DIR`, which Lambda sets itself",
                "has the variable `V`, whose name is too short for Lambda; use at least 2 characters",
                "has the variable `BELL` with the character U+0007, which CloudFormation cannot pass on",
                "sets the variable `TWICE` twice",
                "sets the variable `PHOTOS_BUCKET_NAME`, which it gets from bucket `photos`",
            ],
        );
    }

    #[test]
    fn variables_of_a_tables_attributes_are_variables() {
        let mut manifest = manifest(vec![
            sell().trigger(changes()).environment("ORDERS_KEY", ""),
            Function::new("watch").environment("ORDERS_KEY", "of its own"),
        ]);
        manifest.tables = vec![
            table()
                .key_variable("ORDERS_KEY")
                .attribute_variable("ORDERS_KEY", "key")
                .attribute_variable("lower", "price")
                .attribute_variable("PHOTOS_BUCKET_NAME", "photos"),
        ];
        assert_manifest_complaints(
            &manifest,
            &[
                "table `orders` has the variable `ORDERS_KEY` twice",
                "table `orders` has a variable `lower` that is not in UPPER_SNAKE_CASE",
                "table `orders` has the variable `PHOTOS_BUCKET_NAME`, as bucket `photos` has",
                "function `sell` sets the variable `ORDERS_KEY`, which it gets from table `orders`",
            ],
        );
    }

    #[test]
    fn the_environment_is_limited() {
        assert_complaints(
            vec![sell().environment("TEXT", &"x".repeat(ENVIRONMENT_MAX - 3))],
            &["has an environment of up to 4097 bytes"],
        );
        let mut manifest = manifest(vec![
            sell()
                .trigger(changes())
                .environment("TEXT", &"x".repeat(ENVIRONMENT_MAX - 8)),
        ]);
        manifest.tables = vec![table().key_variable("KEY")];
        assert_manifest_complaints(&manifest, &["has an environment of up to 4097 bytes"]);
    }

    #[test]
    fn attributes_of_tables_make_sense() {
        let mut manifest = manifest(vec![sell()]);
        manifest.tables = vec![
            Table::new("orders", "id").time_to_live("id"),
            Table::new("carts", ""),
            Table::new("bills", "id").attribute_variable("SUM", &"x".repeat(256)),
        ];
        assert_manifest_complaints(
            &manifest,
            &[
                "table `orders` has its partition key `id` as time to live",
                "table `carts` has an attribute name of 0 bytes",
                "table `bills` has an attribute name of 256 bytes",
            ],
        );
    }

    #[test]
    fn settings_of_a_stage_suit_aws() {
        assert_stage_complaints(
            "region: Frankfurt, account: '123', endpoint_url: localhost, memory_mb: 1, timeout_seconds: 901",
            &[
                "has `region: Frankfurt`, which is no region; write one like `eu-central-1`",
                "has `account: 123`, which is no account ID",
                "has `endpoint_url: localhost`, which is no URL",
                "asks for 1 MB of memory",
                "has a timeout of 901 s",
            ],
        );
        for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1"] {
            assert_stage_complaints(&format!("region: {region}"), &[]);
        }
    }

    #[test]
    fn settings_name_what_there_is() {
        let mut manifest = manifest(vec![
            sell().trigger(http_api().get("/orders")),
            Function::new("also").environment("GREETING", "hello"),
        ]);
        manifest.tables = vec![table().variable("ORDERS_TABLE_NAME")];
        let yaml = "
dev:
  memory_mb: {sel: 512}
  timeout_seconds:
    sell: 20
    banana: 10
  reserved_concurrency:
    also: 1
    alsoo: 1
  environment:
    lower: x
    GREETING: bye
    ORDERS_TABLE_NAME: x
  authorization:
    shopp: iam
  throttling:
    shop:
      default: {rate: 1, burst: 1}
      GET /order: {rate: 1, burst: 1}
    carts:
      default: {rate: 1, burst: 1}
";
        let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
        assert_parts(
            &complaints(&manifest, &stage),
            &[
                "stages.yaml:3: stage `dev` has `memory_mb` for function `sel`, which the manifest does not declare; did you mean `sell`?",
                "stages.yaml:6: stage `dev` has `timeout_seconds` for function `banana`, which the manifest does not declare; there are sell, also",
                "stages.yaml:9: stage `dev` has `reserved_concurrency` for function `alsoo`",
                "stages.yaml:11: stage `dev` has a variable `lower` that is not in UPPER_SNAKE_CASE",
                "stages.yaml:15: stage `dev` has `authorization` for HTTP API `shopp`, which the manifest does not declare; did you mean `shop`?",
                "stages.yaml:20: stage `dev` has `throttling` for HTTP API `carts`",
                "stages.yaml:19: stage `dev` has `throttling` for route `GET /order`, which the manifest does not declare; did you mean `GET /orders`?",
                "stages.yaml:12: stage `dev` sets the variable `GREETING`, which function `also` has from the app",
            ],
        );
        let knowing = Function::new("also").grant(table().allow([TableAction::GetItem]));
        manifest.functions = vec![knowing];
        let told = Stages::parse("dev: {environment: {ORDERS_TABLE_NAME: x}}").unwrap();
        assert_parts(
            &complaints(&manifest, &told.get("dev").unwrap()),
            &["sets the variable `ORDERS_TABLE_NAME`, which function `also` has from the app"],
        );
    }

    #[test]
    fn settings_have_values_that_aws_takes() {
        for (settings, parts) in [
            ("memory_mb: {sell: 1}", &["asks for 1 MB of memory"][..]),
            ("reserved_concurrency: {sell: 0}", &[]),
            (
                "express: true, production: true",
                &["is production and has `express: true`"],
            ),
            (
                "permissions_boundary: boundary",
                &["has `permissions_boundary: boundary`, which is no policy"],
            ),
            (
                "permissions_boundary: 'arn:aws:iam::123456789012:role/x'",
                &["which is no policy"],
            ),
            (
                "permissions_boundary: 'arn:aws:iam::aws:policy/PowerUserAccess', account: '123456789012'",
                &[],
            ),
            (
                "permissions_boundary: 'arn:aws:iam::123456789012:policy/x', account: '210987654321'",
                &["bounds roles of account 210987654321 by a policy of account 123456789012"],
            ),
            ("alarms: true, rollback_on_alarm_minutes: 180", &[]),
            ("alarms: true, canary: {percent: 1, minutes: 120}", &[]),
            (
                "canary: {percent: 100, minutes: 0}",
                &[
                    "has a `canary` with `percent: 100`; set it to 1 to 99",
                    "has a `canary` with `minutes: 0`; set it to 1 to 120",
                    "has a `canary`, but no alarms",
                ],
            ),
            (
                "rollback_on_alarm_minutes: 181",
                &[
                    "has `rollback_on_alarm_minutes: 181`; set it to 1 to 180",
                    "has `rollback_on_alarm_minutes`, but no alarms; set `alarms`",
                ],
            ),
            (
                "alarms: topic",
                &["has `alarms: topic`, which is no SNS topic"],
            ),
            (
                "alarms: 'arn:aws:sns:us-east-1:123456789012:alarms:4a5b'",
                &["which is no SNS topic"],
            ),
            (
                "alarms: 'arn:aws:sns:us-east-1:123456789012:my alarms'",
                &["which is no SNS topic"],
            ),
            ("alarms: yes", &["write its ARN"]),
            (
                "endpoint_url: \"http://127.0.0.1:4566\\n\"",
                &["which is no URL"],
            ),
            (
                "alarms: 'arn:aws:sns:us-east-1:123456789012:alarms', region: eu-central-1",
                &["has alarms in eu-central-1 for a topic in us-east-1"],
            ),
            (
                "alarms: 'arn:aws-cn:sns:cn-north-1:123456789012:alarms'",
                &[],
            ),
            (
                "authorization: {shop: {jwt: {issuer: 'http://a', audience: []}}}",
                &[
                    "accepts tokens of `http://a`, which is no issuer",
                    "accepts tokens for 0 audiences; name 1 to 50",
                ],
            ),
            (
                "authorization: {shop: {jwt: {issuer: , audience: }}}",
                &[
                    "accepts tokens of ``, which is no issuer",
                    "accepts tokens for 0 audiences",
                ],
            ),
            (
                "authorization: {shop: {jwt: {issuer: \"https://a\\0\", audience: [a, ~]}}}",
                &[
                    "which is no issuer",
                    "accepts tokens for the audience ``, which is none",
                ],
            ),
            (
                "throttling: {shop: {default: {rate: 0, burst: 1}}}",
                &["lets no request through `default` of HTTP API `shop`"],
            ),
        ] {
            assert_stage_complaints(settings, parts);
        }
    }

    #[test]
    fn variables_of_a_stage_suit_aws_or_are_told_with_their_line() {
        let yaml = "
dev:
  environment:
    V: '3'
    X9: '3'
    AWS_LAMBDA_METADATA_API: here
    NUL: \"a\\0\"
    ESCAPE: \"\\e[1m\"
    NO_CHARACTER: \"\\uffff\"
    FINE: \"\\t\\r\\n\\N\\L\\x7f\\ufeff é\"
";
        let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
        assert_parts(
            &complaints(&manifest(vec![sell()]), &stage),
            &[
                "stages.yaml:6: stage `dev` has the variable `AWS_LAMBDA_METADATA_API`, which Lambda sets itself",
                "stages.yaml:8: stage `dev` has the variable `ESCAPE` with the character U+001B",
                "stages.yaml:9: stage `dev` has the variable `NO_CHARACTER` with the character U+FFFF",
                "stages.yaml:7: stage `dev` has the variable `NUL` with the character U+0000",
                "stages.yaml:4: stage `dev` has the variable `V`, whose name is too short",
            ],
        );
    }

    #[test]
    fn a_canary_that_cloudformation_does_not_wait_for_is_told_with_its_line() {
        for minutes in ["121", "2880"] {
            let yaml = format!(
                "dev:\n  alarms: true\n  canary:\n    percent: 10\n    minutes: {minutes}\n"
            );
            let stage = Stages::parse(&yaml).unwrap().get("dev").unwrap();
            assert_parts(
                &complaints(&manifest(vec![sell()]), &stage),
                &[&format!(
                    "stages.yaml:5: stage `dev` has a `canary` with `minutes: {minutes}`, but CloudFormation gives up the update of an alias after 120 minutes; set it to 1 to 120"
                )],
            );
        }
    }

    #[test]
    fn tags_that_iam_takes_for_one_are_told_with_their_line() {
        let yaml = "
dev:
  tags:
    App: shop
    STAGE: x
    Owner: ann
    owner: ben
    OWNER: cid
    Größe: x
    GRÖSSE: x
    größe: x
";
        let stage = Stages::parse(yaml).unwrap().get("dev").unwrap();
        assert_parts(
            &complaints(&manifest(vec![sell()]), &stage),
            &[
                "stages.yaml:4: stage `dev` sets the tag `App`, which IAM takes for the `app` that every resource has already; remove it",
                "stages.yaml:6: stage `dev` sets the tags `OWNER` and `Owner`, which IAM takes for one; remove one",
                "stages.yaml:5: stage `dev` sets the tag `STAGE`, which IAM takes for the `stage`",
                "stages.yaml:11: stage `dev` sets the tags `Größe` and `größe`, which IAM takes for one",
                "stages.yaml:7: stage `dev` sets the tags `OWNER` and `owner`, which IAM takes for one",
            ],
        );
    }

    #[test]
    fn tags_of_a_stage_suit_aws() {
        assert_stage_complaints(
            "tags: {app: x, 'aws:x': x, '': x, 'a#b': x}",
            &[
                "has a tag `` that is too long or empty",
                "has a tag `a#b` with characters that AWS does not accept",
                "sets the tag `app`, which every resource has already",
                "sets the tag `aws:x`",
            ],
        );
        let many: Vec<String> = (0..49).map(|number| format!("t{number}: x")).collect();
        assert_stage_complaints(
            &format!("tags: {{{}}}", many.join(", ")),
            &["has 49 tags; keep at most 48"],
        );
    }

    #[test]
    fn the_bootstrap_stacks_name_is_taken() {
        let bootstrap = Stages::parse("bootstrap:")
            .unwrap()
            .get("bootstrap")
            .unwrap();
        assert_parts(
            &complaints(&manifest(vec![sell()]), &bootstrap),
            &["stage `bootstrap` has the name of the stack with the artifact bucket"],
        );
    }
}
