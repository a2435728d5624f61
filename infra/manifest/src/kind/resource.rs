//! Any other resource of CloudFormation's, by its type and properties, and properties of generated
//! resources.

use serde_json::Value;

use super::Kind;
use crate::check::{Check, Subject};
use crate::cloudformation::{DeletionPolicy, Resource, attribute, reference};
use crate::deployer::{Deployer, Statement};
use crate::function::Function;
use crate::grant::Grant;
use crate::in_template::InTemplate;
use crate::manifest::{DeclaredResource, Entry, Manifest, Named};
use crate::origin::{Declared, Origin};
use crate::overrides::Override;
use crate::policy;
use crate::resource_id::{Noun, ResourceId, Variable};
use crate::synthesis::Synthesis;

#[cfg(test)]
mod tests;

pub(super) static KIND: Kind = Kind {
    noun: &NOUN,
    // Actions are granted by their whole names, such as `kinesis:PutRecord`.
    grants: None,
    has_url: false,
    is_at: |id, stack, _, name| {
        let name = name.rsplit(['/', ':']).next().unwrap_or_default();
        super::is_made_up(id, stack, name)
    },
    settings: super::no_settings,
    // Each resource says what is needed for it.
    deployer: |_| Vec::new(),
    triggers: &[],
};

static NOUN: Noun = Noun {
    noun: "resource",
    logical_id: "Resource",
    identifier: "resource",
    value: |id| reference(&id.logical_id()),
};

/// A resource of any type that CloudFormation has, by the JSON of its properties.
///
/// ```
/// use manifest::{Manifest, json};
///
/// let app = Manifest::new("shop");
/// let clicks = app
///     .resource("clicks", "AWS::Kinesis::Stream", json!({
///         "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
///         "StreamEncryption": {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
///     }))
///     .variable("CLICKS_STREAM_NAME");
/// app.function("count-click").grant(clicks.allow(["kinesis:PutRecord"]));
/// ```
///
/// The properties are written as CloudFormation documents them. What they refer to is checked;
/// the rest `cargo xtask ci` compares with the schema of the type, and CloudFormation validates
/// it before it changes anything. The stack's tags become the resource's.
#[derive(Clone, Debug)]
pub struct RawResource(Entry<Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    named: Named,
    kind: String,
    properties: Value,
    attribute_variables: Vec<(String, String)>,
    arn: Option<Value>,
    depends_on: Vec<String>,
    holds_data: bool,
    deployer_actions: Vec<Declared<DeployerActions>>,
}

/// The permissions that a deployment needs.
#[derive(Clone, Debug)]
struct DeployerActions {
    resource: String,
    actions: Vec<String>,
}

impl Manifest {
    /// Declares a resource by its type, such as `AWS::Kinesis::Stream`, and its properties.
    #[track_caller]
    pub fn resource(&self, name: &str, kind: &str, properties: Value) -> RawResource {
        RawResource(self.declare(Declaration {
            named: Named::by_caller(&NOUN, name),
            kind: kind.to_owned(),
            properties,
            attribute_variables: Vec::new(),
            arn: None,
            depends_on: Vec::new(),
            holds_data: false,
            deployer_actions: Vec::new(),
        }))
    }

    /// Gives a property of a generated resource another value: `path` has names, and positions in
    /// lists, joined by dots; null takes the property away.
    ///
    /// ```
    /// # use manifest::{Manifest, json};
    /// # let app = Manifest::new("shop");
    /// # let photos = app.bucket("photos");
    /// # app.function("sell");
    /// app.override_property(&photos, "VersioningConfiguration.Status", json!("Enabled"));
    /// app.override_property("SellLogGroup", "RetentionInDays", json!(400));
    /// ```
    ///
    /// What the declaration decides, such as a function's role, cannot be overridden. What
    /// protects a resource can be, for a reason: see [`OverriddenProperty::because`].
    #[track_caller]
    pub fn override_property(
        &self,
        resource: &(impl InTemplate + ?Sized),
        path: &str,
        value: Value,
    ) -> OverriddenProperty {
        OverriddenProperty(self.declare_override(Override {
            logical_id: resource.logical_id(),
            path: path.to_owned(),
            value,
            reason: None,
            origin: Origin::of_caller(),
        }))
    }
}

/// A property of a generated resource that has another value.
#[derive(Debug)]
pub struct OverriddenProperty(Entry<Override>);

impl OverriddenProperty {
    /// Why a property that encrypts, keeps out, or keeps data or failed events, has another
    /// value. The reason is in the resource's metadata.
    pub fn because(&self, reason: &str) {
        let reason = reason.to_owned();
        self.0.change(|property| property.reason = Some(reason));
    }
}

impl RawResource {
    /// The environment variable that tells what `Ref` returns, mostly a name, to every function
    /// with a grant on the resource, and to the shell of `cargo xtask env`.
    pub fn variable(self, name: &str) -> Self {
        let name = name.to_owned();
        self.0
            .change(|resource| resource.named.variable = Some(name));
        self
    }

    /// An environment variable that tells an attribute, such as `Arn`, to the same functions.
    pub fn attribute_variable(self, name: &str, attribute: &str) -> Self {
        let variable = (name.to_owned(), attribute.to_owned());
        self.0
            .change(|resource| resource.attribute_variables.push(variable));
        self
    }

    /// What grants are on, if that is not the attribute `Arn`: an ARN, or an expression of
    /// CloudFormation's for one. It applies to grants that are made afterwards.
    pub fn arn(self, arn: Value) -> Self {
        self.0.change(|resource| resource.arn = Some(arn));
        self
    }

    /// CloudFormation creates the resource after another one that its properties do not refer to.
    pub fn depends_on(self, other: &(impl InTemplate + ?Sized)) -> Self {
        let other = other.logical_id();
        self.0.change(|resource| resource.depends_on.push(other));
        self
    }

    /// The resource holds data: it stays when the stack is deleted, on stages that keep theirs.
    pub fn holds_data(self) -> Self {
        self.0.change(|resource| resource.holds_data = true);
        self
    }

    /// The permissions that a deployment of the resource needs, for `cargo xtask gen-policy
    /// --deployer`. `resource` is `*`, or an ARN with `${AWS::Partition}`, `${AWS::Region}`,
    /// `${AWS::AccountId}` and `${AWS::StackName}`, with which names begin that CloudFormation
    /// makes up. `check.py actions TYPE` in `infra/checks` prints the actions of a type.
    #[track_caller]
    pub fn deployer_actions<const N: usize>(self, resource: &str, actions: [&str; N]) -> Self {
        let needed = Declared::by_caller(DeployerActions {
            resource: resource.to_owned(),
            actions: policy::sorted(actions.map(str::to_owned)),
        });
        self.0
            .change(|resource| resource.deployer_actions.push(needed));
        self
    }

    /// Lets a function do `actions`, IAM's names such as `kinesis:PutRecord`, to the resource.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [&str; N]) -> Grant {
        let Declaration { named, arn, .. } = self.0.get();
        let arn = arn.unwrap_or_else(|| attribute(&named.id.logical_id(), "Arn"));
        Grant::on_arn(named.id, actions.map(str::to_owned), &arn)
    }
}

in_template!(RawResource);

impl DeclaredResource for Declaration {
    fn named(&self) -> &Named {
        &self.named
    }

    fn variables(&self) -> Vec<Variable> {
        let Named {
            id,
            origin,
            variable,
        } = &self.named;
        let name = variable.iter().map(|name| (name, id.value()));
        let attributes = self.attribute_variables.iter();
        let attributes = attributes.map(|(name, of)| (name, attribute(&id.logical_id(), of)));
        name.chain(attributes)
            .map(|(name, value)| Variable {
                of: id.clone(),
                name: name.clone(),
                value,
                origin: *origin,
            })
            .collect()
    }

    fn deployer_statements(&self, deployer: &Deployer<'_>) -> Vec<Statement> {
        let needed = self.deployer_actions.iter().enumerate();
        needed
            .map(|(index, Declared { what, .. })| {
                let sid = format!("Deploy{}{}", self.named.id.logical_id(), index + 1);
                let resource = deployer.fill_in(&what.resource);
                Statement::allow_actions(&sid, &what.actions, &resource.into())
            })
            .collect()
    }

    fn check(&self, check: &mut Check<'_>) {
        let subject = Subject::new(&self.named.id).at(self.named.origin);
        check.require(
            is_type(&self.kind),
            &subject,
            format!(
                "is of the type `{}`, which is not one of CloudFormation's",
                self.kind
            ),
            "write one like `AWS::Kinesis::Stream`",
        );
        check.require(
            self.properties.is_object(),
            &subject,
            "has properties that are not a JSON object",
            "write them as `json!({\"Name\": …})`",
        );
        for Declared { what, origin } in &self.deployer_actions {
            for action in &what.actions {
                let subject = subject.clone().at(*origin);
                check_action(check, &subject, action);
            }
        }
        for function in check.functions() {
            for Declared { what, origin } in &function.grants {
                if what.resource() == Some(&self.named.id) {
                    let subject = Subject::of_function(function).at(*origin);
                    for action in what.iam_actions() {
                        check_action(check, &subject, action);
                    }
                }
            }
        }
    }

    fn synth(&self, synthesis: &mut Synthesis<'_>) {
        let mut properties = self.properties.clone();
        if synthesis.has_canary() {
            invoke_by_alias(&mut properties, synthesis.functions());
        }
        let mut resource =
            Resource::new(self.kind.clone(), properties).depends_on(self.depends_on.clone());
        if self.holds_data {
            let policy = synthesis.deletion_policy(DeletionPolicy::RetainExceptOnCreate);
            resource = resource.deletion_policy(policy);
        }
        synthesis.add(self.named.id.logical_id(), self.named.origin, resource);
    }
}

/// Whether it is a resource of this kind.
pub(crate) fn is(id: &ResourceId) -> bool {
    id.is_of(&NOUN)
}

/// The line of Rust that grants `actions` on the resource in a variable.
pub(crate) fn grant(variable: &str, actions: &[String]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    format!(".grant({variable}.allow([{}]))", actions.join(", "))
}

/// Words of letters and digits, joined by `::`.
fn is_type(kind: &str) -> bool {
    let words: Vec<&str> = kind.split("::").collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    words.len() >= 2 && words.iter().all(is_word)
}

fn check_action(check: &mut Check<'_>, subject: &Subject, action: &str) {
    let is_action = action.split_once(':').is_some_and(|(service, verb)| {
        let is_service =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !service.is_empty()
            && service.bytes().all(is_service)
            && !verb.is_empty()
            && verb.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    check.require(
        is_action,
        subject,
        format!("has `{action}`, which is not one IAM action"),
        "write one like `kinesis:PutRecord`, without wildcards",
    );
}

/// Where functions have aliases, whatever knows a function by its ARN is to know the alias.
fn invoke_by_alias(value: &mut Value, functions: &[Function]) {
    let of_function = functions
        .iter()
        .find(|function| *value == attribute(&function.logical_id("Function"), "Arn"));
    match (of_function, value) {
        (Some(function), value) => *value = reference(&function.logical_id("Alias")),
        (None, Value::Array(items)) => {
            items
                .iter_mut()
                .for_each(|item| invoke_by_alias(item, functions));
        }
        (None, Value::Object(members)) => {
            members
                .values_mut()
                .for_each(|member| invoke_by_alias(member, functions));
        }
        (None, _) => {}
    }
}
