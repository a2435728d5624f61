//! What AWS, or this project, does not accept, and where it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::function::Declaration;
use crate::name;
use crate::origin::Origin;
use crate::resource_id::{Noun, ResourceId, Variable};
use crate::stage::{PerFunction, Stage};

/// Something in the manifest or the stage that cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    origin: Option<Origin>,
    subject: String,
    problem: String,
    remedy: String,
}

impl Violation {
    /// Two things whose names become the same logical ID.
    pub(crate) fn collision(logical_id: &str, origin: Origin) -> Self {
        Self {
            origin: Some(origin),
            subject: format!("logical ID `{logical_id}`"),
            problem: "derives from the names of two things".to_owned(),
            remedy: "rename one of them so that they differ in more than punctuation".to_owned(),
        }
    }
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
pub(crate) struct Subject {
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
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            place: Place::Unknown,
        }
    }

    pub(crate) fn of_function(function: &Declaration) -> Self {
        Self::new(format!("function `{}`", function.name)).at(function.origin)
    }

    pub(crate) fn at(mut self, origin: Origin) -> Self {
        self.place = Place::Declaration(origin);
        self
    }

    pub(crate) fn in_setting(mut self, keys: &[&str]) -> Self {
        self.place = Place::Setting(keys.iter().map(|key| (*key).to_owned()).collect());
        self
    }
}

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

/// What rules look at, and what they find.
pub(crate) struct Check<'a> {
    app: &'a str,
    stage: &'a Stage,
    functions: &'a [Declaration],
    resources: BTreeSet<ResourceId>,
    violations: Vec<Violation>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(
        app: &'a str,
        stage: &'a Stage,
        functions: &'a [Declaration],
        resources: BTreeSet<ResourceId>,
    ) -> Self {
        Self {
            app,
            stage,
            functions,
            resources,
            violations: Vec::new(),
        }
    }

    pub(crate) fn violations(self) -> Vec<Violation> {
        self.violations
    }

    pub(crate) fn stage(&self) -> &'a Stage {
        self.stage
    }

    pub(crate) fn functions(&self) -> &'a [Declaration] {
        self.functions
    }

    /// The app's name.
    pub(crate) fn app_name(&self) -> &'a str {
        self.app
    }

    /// The names of the declared resources of a kind.
    pub(crate) fn names_of(&self, noun: &Noun) -> Vec<String> {
        let of_kind = self.resources.iter().filter(|id| id.is_of(noun));
        of_kind.map(|id| id.name().to_owned()).collect()
    }

    /// The setting of the stage that `keys` lead to; the stage itself without keys.
    pub(crate) fn setting(&self, keys: &[&str]) -> Subject {
        Subject::new(format!("stage `{}`", self.stage.name)).in_setting(keys)
    }

    pub(crate) fn require(
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

    /// What is wrong with the app as a whole.
    pub(crate) fn app(&mut self) {
        let subject = Subject::new(format!("app `{}`", self.app));
        self.kebab_case(&subject, self.app);
        self.require(
            !self.functions.is_empty(),
            &subject,
            "has no function",
            "declare one by `app.function(…)` in infra/app/src/lib.rs",
        );
    }

    pub(crate) fn declared_once(&mut self, subject: &Subject, is_first: bool) {
        self.require(
            is_first,
            subject,
            "is declared twice",
            "remove or rename one",
        );
    }

    /// Variables of resources have names of their own.
    pub(crate) fn variables(&mut self, variables: &[Variable]) {
        let mut seen: BTreeMap<&str, &ResourceId> = BTreeMap::new();
        for Variable {
            of, name, origin, ..
        } in variables
        {
            let subject = Subject::new(of).at(*origin);
            self.variable(&subject, name);
            if let Some(other) = seen.insert(name, of) {
                let problem = if other == of {
                    format!("has the variable `{name}` twice")
                } else {
                    format!("has the variable `{name}`, as {other} has")
                };
                self.require(false, &subject, problem, "rename one of the variables");
            }
        }
    }

    pub(crate) fn kebab_case(&mut self, subject: &Subject, name: &str) {
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

    /// The name of a resource in AWS: the stack's, and what else there is in it.
    pub(crate) fn length_in_stack(&mut self, subject: &Subject, rest: usize, max: usize) {
        let stack = name::stack(self.app, &self.stage.name);
        self.length(subject, stack.len() + rest, max);
    }

    pub(crate) fn variable(&mut self, subject: &Subject, variable: &str) {
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
    pub(crate) fn variable_value(&mut self, subject: &Subject, variable: &str, value: &str) {
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

    /// The timeout of `function` on the stage, and `subject` at the line that decides it.
    pub(crate) fn effective_timeout(
        &self,
        subject: Subject,
        function: &Declaration,
    ) -> (u32, Subject) {
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

    pub(crate) fn memory(&mut self, subject: &Subject, memory_mb: u32) {
        self.require(
            (128..=10_240).contains(&memory_mb),
            subject,
            format!("asks for {memory_mb} MB of memory"),
            "set `memory_mb` to 128 to 10240",
        );
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_EphemeralStorage.html>
    pub(crate) fn ephemeral_storage(&mut self, subject: &Subject, ephemeral_storage_mb: u32) {
        self.require(
            (512..=10_240).contains(&ephemeral_storage_mb),
            subject,
            format!("asks for {ephemeral_storage_mb} MB of ephemeral storage"),
            "set `ephemeral_storage_mb` to 512 to 10240",
        );
    }

    pub(crate) fn timeout(&mut self, subject: &Subject, timeout_seconds: u32) {
        self.require(
            (1..=900).contains(&timeout_seconds),
            subject,
            format!("has a timeout of {timeout_seconds} s"),
            "set `timeout_seconds` to 1 to 900",
        );
    }

    /// `name` is one of `names`.
    pub(crate) fn known(
        &mut self,
        subject: &Subject,
        setting: &str,
        kind: &str,
        name: &str,
        names: &[&str],
    ) {
        let remedy = match name::nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        self.require(
            names.contains(&name),
            subject,
            format!("has `{setting}` for {kind} `{name}`, which the manifest does not declare"),
            remedy,
        );
    }

    /// `referred` is declared.
    pub(crate) fn references<'r>(
        &mut self,
        subject: &Subject,
        referred: impl IntoIterator<Item = &'r ResourceId>,
    ) {
        let unknown: BTreeSet<&ResourceId> = referred
            .into_iter()
            .filter(|id| !self.resources.contains(id))
            .collect();
        for id in unknown {
            let names = self.names_of(id.noun());
            let remedy = match name::nearest(id.name(), names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "declare it with this app".to_owned(),
            };
            self.require(
                false,
                subject,
                format!("refers to {id}, which the manifest does not declare"),
                remedy,
            );
        }
    }
}

/// Whether XML may have the character: CloudFormation answers in XML, with the template and with
/// the values that a change set changes.
/// <https://www.w3.org/TR/xml/#charsets>
pub(crate) fn is_xml(letter: char) -> bool {
    !matches!(letter, '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}')
        || matches!(letter, '\t' | '\n' | '\r')
}
