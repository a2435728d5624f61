//! A template under construction, and what every part of it needs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cloudformation::{DeletionPolicy, Resource, Template, attribute, reference, sub};
use crate::function::Function;
use crate::name;
use crate::origin::Origin;
use crate::overrides::{self, Override};
use crate::resource_id::ResourceId;
use crate::stage::{Removal, Stage};

/// The template parameter that takes the name of the bucket with the functions' code.
pub(crate) const ARTIFACT_BUCKET: &str = "ArtifactBucket";

/// Writes the template of an app on a stage.
pub(crate) struct Synthesis<'a> {
    stage: &'a Stage,
    functions: &'a [Function],
    tags: BTreeMap<String, String>,
    ignores_alarms: bool,
    overrides: &'a [Override],
    template: Template,
    /// Who else than Lambda puts events into a function's failure queue: statements of the queue's
    /// policy, by the function's name.
    failure_statements: BTreeMap<String, Vec<Value>>,
}

impl<'a> Synthesis<'a> {
    pub(crate) fn new(
        app: &str,
        stage: &'a Stage,
        functions: &'a [Function],
        tags: BTreeMap<String, String>,
        ignores_alarms: bool,
        overrides: &'a [Override],
    ) -> Self {
        let template = Template::new(format!("{app}, stage {}", stage.name));
        Self {
            stage,
            functions,
            tags,
            ignores_alarms,
            overrides,
            failure_statements: BTreeMap::new(),
            template: if stage.production {
                template.scanned()
            } else {
                template
            },
        }
    }

    pub(crate) fn template(self) -> Template {
        self.template
    }

    pub(crate) fn stage(&self) -> &'a Stage {
        self.stage
    }

    pub(crate) fn functions(&self) -> &'a [Function] {
        self.functions
    }

    /// Whether the app is deployed although its alarms may be on.
    pub(crate) fn ignores_alarms(&self) -> bool {
        self.ignores_alarms
    }

    /// A resource with the app's tags.
    pub(crate) fn tagged(&self, kind: &'static str, properties: Value) -> Resource {
        Resource::new(kind, properties).tagged(&self.tags)
    }

    /// A resource of API Gateway with the app's tags.
    pub(crate) fn tagged_as_map(&self, kind: &'static str, properties: Value) -> Resource {
        Resource::new(kind, properties).tagged_as_map(&self.tags)
    }

    /// What `source` invokes: each function with its triggers of a kind.
    pub(crate) fn invoked_by<T: 'static>(
        &self,
        source: &ResourceId,
    ) -> Vec<(&'a Function, Vec<(Origin, &'a T)>)> {
        let functions = self.functions.iter();
        functions
            .map(|function| {
                (
                    function,
                    function.triggers_of::<T>(source).collect::<Vec<_>>(),
                )
            })
            .filter(|(_, triggers)| !triggers.is_empty())
            .collect()
    }

    /// Adds a resource that is there because of what `origin` declares.
    pub(crate) fn add(&mut self, logical_id: String, origin: Origin, mut resource: Resource) {
        resource.change_properties(|properties| self.override_properties(&logical_id, properties));
        if let Some(reasons) = overrides::reasons(self.overrides, &logical_id) {
            resource = resource.with_metadata("Overridden", reasons);
        }
        self.template.resource(logical_id, origin, resource);
    }

    /// Gives properties of a resource the values that the declaration has for them.
    pub(crate) fn override_properties(&self, logical_id: &str, properties: &mut Value) {
        overrides::apply(self.overrides, logical_id, properties);
    }

    /// A resource that was added before.
    pub(crate) fn added(&self, logical_id: &str) -> Option<&Value> {
        self.template.get(logical_id)
    }

    pub(crate) fn parameter(&mut self, name: String, description: &str) {
        self.template.parameter(name, description);
    }

    pub(crate) fn output(&mut self, name: String, description: &str, value: &Value) {
        self.template.output(name, description, value);
    }

    /// The ARN to invoke `function` by.
    pub(crate) fn invoked(&self, function: &Function) -> Value {
        if self.has_canary() {
            reference(&function.logical_id("Alias"))
        } else {
            attribute(&function.logical_id("Function"), "Arn")
        }
    }

    /// How an event source mapping names `function`.
    pub(crate) fn mapped(&self, function: &Function) -> Value {
        if self.has_canary() {
            self.invoked(function)
        } else {
            reference(&function.logical_id("Function"))
        }
    }

    /// Whether functions are invoked by an alias that a deployment moves slowly.
    pub(crate) fn has_canary(&self) -> bool {
        self.stage.canary.is_some()
    }

    /// Lets a service invoke a function. `source` is of `SourceArn`, and maybe `SourceAccount`.
    pub(crate) fn permission(
        &mut self,
        logical_id: String,
        origin: Origin,
        function: &Function,
        principal: &str,
        source: Value,
    ) {
        let mut properties = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": self.invoked(function),
            "Principal": principal,
        });
        if let (Some(properties), Value::Object(source)) = (properties.as_object_mut(), source) {
            properties.extend(source);
        }
        let permission = Resource::new("AWS::Lambda::Permission", properties);
        self.add(logical_id, origin, permission);
    }

    /// Lets a service put what it cannot hand to `function` into the function's failure queue, for
    /// the resource with this logical ID and ARN.
    pub(crate) fn keeps_failures(
        &mut self,
        function: &Function,
        logical_id: &str,
        principal: &str,
        source_arn: &Value,
    ) {
        let statement = json!({
            "Sid": format!("Keep{logical_id}"),
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sqs:SendMessage",
            "Resource": function.failure_queue_arn(),
            "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
        });
        let name = function.name().to_owned();
        let statements = self.failure_statements.entry(name).or_default();
        statements.push(statement);
    }

    /// The statements of who else than Lambda puts events into the failure queue of `function`.
    pub(crate) fn failure_statements(&self, function: &Function) -> Vec<Value> {
        let statements = self.failure_statements.get(function.name());
        statements.cloned().unwrap_or_default()
    }

    /// A role with inline policies, by their names, within the stage's bounds.
    pub(crate) fn role(&self, trust: &Value, policies: Vec<(&str, Value)>) -> Resource {
        let policies: Vec<Value> = policies
            .into_iter()
            .map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": document}))
            .collect();
        let mut properties = json!({
            "AssumeRolePolicyDocument": trust,
            "Policies": policies,
        });
        if let Some(permissions_boundary) = &self.stage.permissions_boundary {
            properties["PermissionsBoundary"] = json!(permissions_boundary);
        }
        self.tagged("AWS::IAM::Role", properties)
    }

    /// The resource policy that refuses plain HTTP, except where plain HTTP is all
    /// that the stage's endpoint speaks: it would lock the functions out.
    pub(crate) fn tls_only(
        &mut self,
        logical_id: &str,
        origin: Origin,
        kind: &'static str,
        properties: Value,
    ) {
        if !self.stage.is_plain_http() {
            self.add(
                format!("{logical_id}Policy"),
                origin,
                Resource::new(kind, properties),
            );
        }
    }

    pub(crate) fn log_group(&mut self, logical_id: &str, origin: Origin, log_group_name: &str) {
        self.add(
            logical_id.to_owned(),
            origin,
            Resource::new(
                "AWS::Logs::LogGroup",
                json!({
                    "LogGroupName": sub(log_group_name),
                    "RetentionInDays": self.stage.log_retention_days,
                }),
            )
            .tagged(&self.tags)
            .deletion_policy(DeletionPolicy::Delete),
        );
    }

    /// What becomes of data: `retained` where the stage keeps it.
    pub(crate) fn deletion_policy(&self, retained: DeletionPolicy) -> DeletionPolicy {
        match self.stage.removal {
            Removal::Retain => retained,
            Removal::Delete => DeletionPolicy::Delete,
        }
    }

    /// The output that tells a variable of the environment to a shell.
    pub(crate) fn variable_output(&mut self, variable: &str, value: &Value) {
        self.template.output(
            name::pascal_case(variable),
            &format!("{variable} of the environment"),
            value,
        );
    }
}
