//! Manifest and stage → App → template and policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::check::{Check, Subject, Violation};
use crate::cloudformation::Template;
use crate::function::{Declaration, Function};
use crate::grant::Grant;
use crate::kind::{self, DeployedSchedule};
use crate::manifest::{DeclaredResource, Manifest, Named};
use crate::name;
use crate::operator_value::OperatorValue;
use crate::origin::Origin;
use crate::overrides::Override;
use crate::render;
use crate::resource_id::{ResourceId, Variable};
use crate::stage::Stage;
use crate::synthesis::{ARTIFACT_BUCKET, Synthesis};

#[cfg(test)]
mod tests;

impl Manifest {
    /// Checks the manifest for `stage` and settles what depends on it.
    ///
    /// # Errors
    /// Every violation of AWS's rules and of ours, each saying what to change.
    pub fn resolve(&self, stage: &Stage) -> Result<App, Vec<Violation>> {
        let resources = self.resources();
        let functions = self.functions();
        let violations = violations(self.name(), stage, &resources, &functions);
        if !violations.is_empty() {
            return Err(violations);
        }
        let mut app = App::new(self.name(), stage, resources, &functions);
        let mut template = app.template();
        let overrides = self.overrides();
        if !overrides.is_empty() {
            let mut check = Check::new(self.name(), stage, &functions, BTreeSet::new());
            for property in &overrides {
                property.check(&mut check, &template);
            }
            let violations = check.violations();
            if !violations.is_empty() {
                return Err(violations);
            }
            app.overrides = overrides;
            template = app.template();
        }
        let collisions: Vec<Violation> = template
            .collisions()
            .iter()
            .map(|(logical_id, origin)| Violation::collision(logical_id, *origin))
            .collect();
        if !collisions.is_empty() {
            return Err(collisions);
        }
        let unknown: Vec<Violation> = unknown_references(self.name(), stage, &template);
        if !unknown.is_empty() {
            return Err(unknown);
        }
        app.origins = template.origins().clone();
        Ok(app)
    }
}

/// Everything wrong with an app or its stage that can be seen in them.
fn violations(
    app: &str,
    stage: &Stage,
    resources: &[Arc<dyn DeclaredResource>],
    functions: &[Declaration],
) -> Vec<Violation> {
    let ids = resources.iter().map(|resource| resource.named().id.clone());
    let mut check = Check::new(app, stage, functions, ids.collect());
    check.settings();
    for kind in kind::KINDS {
        (kind.settings)(&mut check);
    }
    check.app();

    let mut seen = BTreeSet::new();
    for resource in resources {
        let Named { id, origin, .. } = resource.named();
        let subject = Subject::new(id).at(*origin);
        check.kebab_case(&subject, id.name());
        check.declared_once(&subject, seen.insert(id));
        resource.check(&mut check);
    }
    let variables: Vec<Variable> = variables(resources).collect();
    check.variables(&variables);

    let mut seen = BTreeSet::new();
    for function in functions {
        check.declared_once(&Subject::of_function(function), seen.insert(&function.name));
        kind::function::check(&mut check, function, &variables);
    }
    check.violations()
}

/// What JSON of the declaration refers to, and the template does not have.
fn unknown_references(app: &str, stage: &Stage, template: &Template) -> Vec<Violation> {
    let mut check = Check::new(app, stage, &[], BTreeSet::new());
    for (logical_id, name) in template.unknown_references() {
        let mut subject = Subject::new(format!("resource `{logical_id}` of the template"));
        if let Some(origin) = template.origins().get(logical_id) {
            subject = subject.at(*origin);
        }
        let remedy = match name::nearest(&name, template.logical_ids()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "refer to resources of this app by `reference()` and `attribute(…)`".to_owned(),
        };
        let problem = format!("refers to `{name}`, which the template does not have");
        check.require(false, &subject, problem, remedy);
    }
    check.violations()
}

fn variables(resources: &[Arc<dyn DeclaredResource>]) -> impl Iterator<Item = Variable> {
    resources.iter().flat_map(|resource| resource.variables())
}

/// Everything that AWS must be told, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// The CloudFormation template, in YAML.
    pub template: String,
    /// One IAM policy document per function, by its name: pretty JSON with a
    /// trailing newline.
    pub policies: BTreeMap<String, String>,
}

/// An app that can be deployed to one stage.
#[derive(Clone)]
pub struct App {
    name: String,
    stage: Stage,
    resources: Vec<Arc<dyn DeclaredResource>>,
    functions: Vec<Function>,
    ignores_alarms: bool,
    overrides: Vec<Override>,
    /// Of the template's resources.
    origins: BTreeMap<String, Origin>,
}

impl App {
    fn new(
        name: &str,
        stage: &Stage,
        resources: Vec<Arc<dyn DeclaredResource>>,
        functions: &[Declaration],
    ) -> Self {
        let variables: Vec<Variable> = variables(&resources).collect();
        let mut functions: Vec<Function> = functions
            .iter()
            .map(|declared| Function::new(name, stage, &variables, declared))
            .collect();
        functions.sort_by(|left, right| left.name().cmp(right.name()));
        Self {
            name: name.to_owned(),
            stage: stage.clone(),
            resources,
            functions,
            ignores_alarms: false,
            overrides: Vec::new(),
            origins: BTreeMap::new(),
        }
    }

    /// Writes the template and the policies. The same app gives the same bytes.
    #[must_use]
    pub fn synth(&self) -> Assembly {
        let policies = self
            .functions()
            .map(|function| {
                let document = kind::function::policy(function);
                (function.name().to_owned(), render::json(&document))
            })
            .collect();
        Assembly {
            template: render::yaml(&self.template().to_value()),
            policies,
        }
    }

    pub(crate) fn template(&self) -> Template {
        let mut synthesis = Synthesis::new(
            &self.name,
            &self.stage,
            &self.functions,
            self.tags(),
            self.ignores_alarms,
            &self.overrides,
        );
        synthesis.parameter(
            ARTIFACT_BUCKET.to_owned(),
            "Bucket with the functions' code",
        );
        for resource in &self.resources {
            resource.synth(&mut synthesis);
        }
        for function in &self.functions {
            kind::function::synth(&mut synthesis, function);
        }
        kind::function::synth_common(&mut synthesis);
        for variable in self.variables_of_resources() {
            synthesis.variable_output(&variable.name, &variable.value);
        }
        synthesis.template()
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
        &self.name
    }

    /// The stage that it was resolved for.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The name of its CloudFormation stack. Names in the template derive from it.
    #[must_use]
    pub fn stack_name(&self) -> String {
        name::stack(&self.name, &self.stage.name)
    }

    /// The name of the stack with the artifact bucket: one for all stages in an
    /// account and region.
    #[must_use]
    pub fn bootstrap_stack_name(&self) -> String {
        name::stack(&self.name, name::BOOTSTRAP)
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
        grants.filter_map(Grant::service).collect()
    }

    /// The tags of its stack and of every resource in it.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.stage.tags.clone();
        tags.insert("app".to_owned(), self.name.clone());
        tags.insert("stage".to_owned(), self.stage.name.clone());
        tags
    }

    /// The stack outputs that a shell sees as environment variables, by the same
    /// variables as functions see them: output key → variable.
    #[must_use]
    pub fn env_outputs(&self) -> BTreeMap<String, String> {
        self.variables_of_resources()
            .map(|variable| (name::pascal_case(&variable.name), variable.name))
            .collect()
    }

    /// The environment variables that tell functions what attributes of tables are called, with
    /// what they are called.
    #[must_use]
    pub fn attribute_variables(&self) -> BTreeMap<String, String> {
        variables(&self.resources)
            .filter_map(|variable| {
                let text = variable.value.as_str()?.to_owned();
                Some((variable.name, text))
            })
            .collect()
    }

    /// Where it answers requests, in the order of declaration: HTTP APIs and function URLs. One
    /// without a variable is not among them: no function has its URL.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.variables_of_resources()
            .filter(|variable| kind::of(&variable.of).is_some_and(|kind| kind.has_url))
            .map(|variable| Endpoint {
                name: variable.of.name().to_owned(),
                noun: variable.of.noun().noun,
                url_output: name::pascal_case(&variable.name),
                variable: variable.name,
            })
    }

    /// Those of its [endpoints](Self::endpoints) that are HTTP APIs.
    pub fn http_apis(&self) -> impl Iterator<Item = Endpoint> {
        let is_api = |endpoint: &Endpoint| endpoint.noun == kind::HTTP_API;
        self.endpoints().filter(is_api)
    }

    /// The HTTP APIs that are described by a document, in the order of declaration.
    pub fn described_apis(&self) -> impl Iterator<Item = DescribedApi> {
        self.resources.iter().filter_map(|resource| {
            let id = &resource.named().id;
            let functions = self.functions();
            let triggers = functions.flat_map(Function::triggers_on_any_stage);
            let routes = triggers.filter(|trigger| trigger.source() == id);
            Some(DescribedApi {
                name: id.name().to_owned(),
                document: resource.document()?,
                routes: routes.map(|route| route.label().to_owned()).collect(),
                declared_at: resource.named().origin.to_string(),
            })
        })
    }

    /// Its schedules, in the order of their functions' names.
    pub fn schedules(&self) -> impl Iterator<Item = DeployedSchedule> {
        self.functions().flat_map(kind::schedules_of)
    }

    /// The values that an operator must have stored before the app can be deployed, in the order
    /// of their declaration.
    #[must_use]
    pub fn operator_values(&self) -> Vec<OperatorValue> {
        let stack = self.stack_name();
        let resources = self.resources.iter();
        resources
            .filter_map(|resource| resource.operator_value(&stack))
            .collect()
    }

    /// The stack output with the ARN of the composite alarm that CloudFormation is to watch
    /// for [`Stage::rollback_on_alarm_minutes`]; `None` if it is not to.
    #[must_use]
    pub fn rollback_alarm_output(&self) -> Option<&'static str> {
        kind::function::rollback_output(&self.stage)
    }

    /// The line that a resource of the template is there because of, like
    /// `infra/app/src/lib.rs:63`; `None` if the template has no such resource.
    #[must_use]
    pub fn declared_at(&self, logical_id: &str) -> Option<String> {
        self.origins.get(logical_id).map(ToString::to_string)
    }

    /// Every resource that functions can refer to.
    pub(crate) fn declared(&self) -> impl Iterator<Item = &Arc<dyn DeclaredResource>> {
        self.resources.iter()
    }

    /// The logical IDs of the template's resources of a type.
    #[must_use]
    pub fn logical_ids_of(&self, resource_type: &str) -> Vec<String> {
        let template = self.template();
        template.of_type(resource_type).map(str::to_owned).collect()
    }

    /// Every declared resource.
    pub(crate) fn declared_resources(&self) -> impl Iterator<Item = &dyn DeclaredResource> {
        self.resources.iter().map(AsRef::as_ref)
    }

    /// Every resource that functions can refer to, and where it is declared.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (ResourceId, Origin)> {
        let resources = self.resources.iter();
        resources.map(|resource| (resource.named().id.clone(), resource.named().origin))
    }

    /// The variables whose values only the stack knows.
    fn variables_of_resources(&self) -> impl Iterator<Item = Variable> {
        variables(&self.resources).filter(|variable| !variable.value.is_string())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("stage", &self.stage)
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}

/// An HTTP API with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedApi {
    /// Its name in the manifest.
    pub name: String,
    /// The OpenAPI document, in JSON.
    pub document: String,
    /// The routes that functions serve on any stage, as API Gateway names them, such as `GET /orders/{id}`.
    pub routes: Vec<String>,
    /// The line that declares it, such as `infra/app/src/lib.rs:63`.
    pub declared_at: String,
}

/// Where a resolved app answers requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in the manifest.
    pub name: String,
    /// What it is: an `HTTP API` or a `function URL`.
    pub noun: &'static str,
    /// The environment variable that tells its URL.
    pub variable: String,
    /// The stack output with its URL.
    pub url_output: String,
}
