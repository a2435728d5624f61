//! The permissions that a deployment needs: statements, and the resources that they name.
//!
//! Each kind of resource says which statements its resources need.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cloudformation::Template;
use crate::name;
use crate::resource_id::{Noun, ResourceId};
use crate::stage::{Removal, Stage};

/// The actions for each type of a service's resources: what CloudFormation does with the
/// permissions of its caller to create, read, update, tag and delete them.
///
/// AWS tells them by resource type, in the `handlers` of the type's schema. That is for all
/// properties of a type; here are the actions for those that the template sets, and all that
/// read, as a type is read as a whole.
/// <https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html>
pub(crate) type OfService = &'static [(&'static str, &'static [&'static str])];

/// A statement of the deployer's policies.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    document: Value,
    is_of_deployment: bool,
}

impl Statement {
    pub(crate) fn allow(sid: &str, service: &str, actions: &[&str], resources: &Value) -> Self {
        let actions: Vec<String> = actions
            .iter()
            .map(|action| format!("{service}:{action}"))
            .collect();
        Self::allow_actions(sid, &actions, resources)
    }

    /// Actions of any services, by their whole names.
    pub(crate) fn allow_actions(sid: &str, actions: &[String], resources: &Value) -> Self {
        Self {
            document: json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}),
            is_of_deployment: true,
        }
    }

    /// On a condition.
    pub(crate) fn when(mut self, condition: Value) -> Self {
        self.document["Condition"] = condition;
        self
    }

    /// For other verbs than `deploy` and `rollback`.
    pub(crate) fn after_deployment(mut self) -> Self {
        self.is_of_deployment = false;
        self
    }

    /// Whether a deployment needs it.
    pub(crate) fn is_of_deployment(&self) -> bool {
        self.is_of_deployment
    }

    pub(crate) fn into_document(self) -> Value {
        self.document
    }
}

/// Who deploys an app, and what its template consists of.
pub(crate) struct Deployer<'a> {
    app: &'a str,
    stage: &'a Stage,
    types: BTreeSet<String>,
    template: &'a Template,
    declared: Vec<ResourceId>,
}

impl<'a> Deployer<'a> {
    pub(crate) fn new(
        app: &'a str,
        stage: &'a Stage,
        template: &'a Template,
        declared: Vec<ResourceId>,
    ) -> Self {
        Self {
            app,
            stage,
            types: template.types(),
            template,
            declared,
        }
    }

    pub(crate) fn app(&self) -> &'a str {
        self.app
    }

    pub(crate) fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// The name of the app's stack, with which most names of its resources begin.
    pub(crate) fn stack(&self) -> String {
        name::stack(self.app, &self.stage.name)
    }

    /// The name of the stack with the artifact bucket.
    pub(crate) fn bootstrap_stack(&self) -> String {
        name::stack(self.app, name::BOOTSTRAP)
    }

    /// Whether the template has a resource of a type.
    pub(crate) fn has(&self, resource_type: &str) -> bool {
        self.types.contains(resource_type)
    }

    /// Whether the template has a resource of a type with such properties.
    pub(crate) fn has_with(&self, resource_type: &str, such: impl Fn(&Value) -> bool) -> bool {
        let resources = self.template.of_type(resource_type);
        let mut resources = resources.filter_map(|logical_id| self.template.get(logical_id));
        resources.any(|resource| such(&resource["Properties"]))
    }

    /// Whether the app has a resource of a kind, of which the template may know nothing.
    pub(crate) fn declares(&self, noun: &Noun) -> bool {
        self.declared.iter().any(|id| id.is_of(noun))
    }

    /// The statement, unless the app has none of the types that need its actions.
    pub(crate) fn needed(
        &self,
        sid: &str,
        service: &str,
        handlers: OfService,
        resources: &Value,
    ) -> Option<Statement> {
        let actions = self.needed_actions(handlers);
        (!actions.is_empty()).then(|| Statement::allow(sid, service, &actions, resources))
    }

    /// Patterns of the names that CloudFormation makes up for the stack's resources of a type.
    /// Names of types that are not asked about here may be so long that none is cut.
    pub(crate) fn made_up_names(&self, kind: &str, max: usize) -> BTreeSet<String> {
        let uncut = format!("{}-*", self.stack());
        let mut names: BTreeSet<String> = self
            .template
            .of_type(kind)
            .map(|logical_id| {
                made_up_name(&self.stack(), logical_id, max).unwrap_or_else(|| uncut.clone())
            })
            .collect();
        if names.is_empty() {
            names.insert(uncut);
        }
        names
    }

    /// The ARNs of the stack's roles.
    pub(crate) fn roles(&self) -> Value {
        /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
        const NAME_MAX: usize = 64;
        let names = self.made_up_names("AWS::IAM::Role", NAME_MAX);
        let roles: Vec<String> = names
            .iter()
            .map(|name| self.global_arn("iam", &format!("role/{name}")))
            .collect();
        one_or_more(&roles)
    }

    /// The actions for those types of a service's resources that the app has.
    pub(crate) fn needed_actions(&self, handlers: OfService) -> Vec<&'static str> {
        let actions: BTreeSet<&'static str> = handlers
            .iter()
            .filter(|(resource_type, _)| self.types.contains(*resource_type))
            .flat_map(|(_, actions)| actions.iter().copied())
            .collect();
        actions.into_iter().collect()
    }

    /// Whether the stage's data goes with the stack.
    pub(crate) fn deletes_data(&self) -> bool {
        self.stage.removal == Removal::Delete
    }

    /// The ARN of something in the stage's account and region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.region();
        format!(
            "arn:{}:{service}:{region}:{}:{resource}",
            self.partition(),
            self.account()
        )
    }

    /// A text with CloudFormation's pseudo parameters, as it is on the stage.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace("${AWS::Partition}", self.partition())
            .replace("${AWS::Region}", self.region())
            .replace("${AWS::AccountId}", self.account())
            .replace("${AWS::StackName}", &self.stack())
    }

    /// The ARN of something in the stage's account, in all regions.
    pub(crate) fn global_arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}::{}:{resource}",
            self.partition(),
            self.account()
        )
    }

    pub(crate) fn region(&self) -> &str {
        self.stage.region.as_deref().unwrap_or("*")
    }

    fn account(&self) -> &str {
        self.stage.account.as_deref().unwrap_or("*")
    }

    /// IAM knows no pattern of partitions; without a region it is the largest.
    pub(crate) fn partition(&self) -> &'static str {
        name::partition(self.region())
    }
}

/// A pattern of the names that CloudFormation makes up for a resource of a stack, if it has to cut
/// the stack's name; otherwise they begin with it and a hyphen.
///
/// A name is the stack's name, the logical ID and 12 or 13 random characters, with hyphens between
/// them. AWS does not document what it cuts. By the names of stacks in public reports, each of the
/// first two parts has half of the room, and what the other one leaves of its half. Where 12 random
/// characters leave room for one character more, the pattern has a wildcard.
pub(crate) fn made_up_name(stack: &str, logical_id: &str, max: usize) -> Option<String> {
    const HYPHENS: usize = 2;
    const RANDOM_MAX: usize = 13;
    let room = max - HYPHENS - RANDOM_MAX;
    let kept = |part: &str, other: &str| {
        room.saturating_sub(other.len())
            .max(room / 2)
            .min(part.len())
    };
    let of_stack = stack.get(..kept(stack, logical_id))?;
    let of_resource = logical_id.get(..kept(logical_id, stack))?;
    if of_stack == stack {
        return None;
    }
    let end = if of_resource == logical_id { "-*" } else { "*" };
    Some(format!("{of_stack}*-{of_resource}{end}"))
}

/// A single text, or a list.
pub(crate) fn one_or_more(texts: &[String]) -> Value {
    match texts {
        [text] => json!(text),
        texts => json!(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_part_of_a_name_is_cut_to_what_the_other_leaves() {
        let stack = |length| "s".repeat(length);
        let id = |length| "L".repeat(length);
        for (stack_length, id_length, kept) in [
            // 64 - 2 hyphens - 13 random characters = 49.
            (26, 23, None),
            (27, 23, Some((26, 23))),
            (42, 23, Some((26, 23))),
            (44, 5, None),
            (60, 5, Some((44, 5))),
            (24, 60, None),
            (25, 60, Some((24, 24))),
            (60, 60, Some((24, 24))),
        ] {
            let expected = kept.map(|(of_stack, of_id)| {
                let end = if of_id == id_length { "-*" } else { "*" };
                format!("{}*-{}{end}", stack(of_stack), id(of_id))
            });
            assert_eq!(
                made_up_name(&stack(stack_length), &id(id_length), 64),
                expected,
                "{stack_length} {id_length}"
            );
        }
        let bootstrap = "the-library-of-alexandria-bootstrap";
        assert_eq!(
            made_up_name(bootstrap, "artifactbucket", 63).as_deref(),
            Some("the-library-of-alexandria-bootstra*-artifactbucket-*")
        );
    }
}
