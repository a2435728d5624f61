//! What a function may do.

use serde_json::{Value, json};

use crate::name;
use crate::policy;
use crate::resource_id::ResourceId;

/// Something that a function may do, made by the resource that it is done to, or by
/// [`Grant::unscoped`].
#[derive(Clone, Debug)]
pub struct Grant {
    resource: Option<ResourceId>,
    tells: Vec<ResourceId>,
    actions: Vec<String>,
    statements: Vec<Value>,
    reason: Option<String>,
    service: Option<String>,
    recursion: Option<Recursion>,
}

/// What a function's events that the function causes itself lead to.
#[derive(Clone, Debug)]
struct Recursion {
    reason: String,
    is_long: bool,
}

impl Grant {
    /// Lets a function do `action` to anything: only for actions that AWS cannot
    /// restrict to a resource, and `reason` says so.
    #[must_use]
    pub fn unscoped(action: &str, reason: &str) -> Self {
        let (service, verb) = action.split_once(':').unwrap_or_default();
        let sid = format!("{}{verb}", name::pascal_case(service));
        Self {
            resource: None,
            tells: Vec::new(),
            actions: vec![action.to_owned()],
            statements: vec![policy::allow(&sid, &[action.to_owned()], &json!("*"))],
            reason: Some(reason.to_owned()),
            service: Some(service.to_owned()),
            recursion: None,
        }
    }

    /// Lets a function do `actions`, IAM's names, to `resource`, by these statements of its role's
    /// policy.
    pub(crate) fn scoped(
        resource: ResourceId,
        actions: impl IntoIterator<Item = String>,
        statements: Vec<Value>,
    ) -> Self {
        Self {
            tells: vec![resource.clone()],
            resource: Some(resource),
            actions: actions.into_iter().collect(),
            statements,
            reason: None,
            service: None,
            recursion: None,
        }
    }

    /// Lets the function cause events that invoke it again. `reason` says what ends the recursion
    /// after a few rounds. Should it not end, Lambda stops it after about 16 rounds, unless it goes
    /// through a table.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>
    #[must_use]
    pub fn recursive(mut self, reason: &str) -> Self {
        self.recursion = Some(Recursion {
            reason: reason.to_owned(),
            is_long: false,
        });
        self
    }

    /// As [`Grant::recursive`], for a recursion that may have more than 16 rounds. Lambda does not
    /// stop the function then, whatever it does.
    #[must_use]
    pub fn long_recursive(self, reason: &str) -> Self {
        let mut grant = self.recursive(reason);
        if let Some(recursion) = &mut grant.recursion {
            recursion.is_long = true;
        }
        grant
    }

    /// Lets a function do `actions` to `resource`, by its ARN.
    pub(crate) fn on_arn(
        resource: ResourceId,
        actions: impl IntoIterator<Item = String>,
        arn: &Value,
    ) -> Self {
        let actions: Vec<String> = actions.into_iter().collect();
        let sid = resource.logical_id();
        let statement = policy::allow(&sid, &policy::sorted(actions.clone()), arn);
        Self::scoped(resource, actions, vec![statement])
    }

    /// Also gives the function the variables of another resource.
    pub(crate) fn telling(mut self, resource: ResourceId) -> Self {
        self.tells.push(resource);
        self
    }

    /// Lets the function have an AWS service do something for the app.
    pub(crate) fn calling(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// What the actions are on; `None` if they are on every resource.
    pub(crate) fn resource(&self) -> Option<&ResourceId> {
        self.resource.as_ref()
    }

    /// The resources whose variables the function gets.
    pub(crate) fn tells(&self) -> &[ResourceId] {
        &self.tells
    }

    /// IAM's names of the actions that it allows.
    pub(crate) fn iam_actions(&self) -> &[String] {
        &self.actions
    }

    pub(crate) fn statements(&self) -> &[Value] {
        &self.statements
    }

    /// The action on every resource, and why no resource can be named.
    pub(crate) fn reason(&self) -> Option<(&str, &str)> {
        Some((self.actions.first()?, self.reason.as_deref()?))
    }

    /// Why the function may cause events that invoke it again.
    pub(crate) fn recursion_reason(&self) -> Option<&str> {
        self.recursion
            .as_ref()
            .map(|recursion| recursion.reason.as_str())
    }

    /// Whether Lambda must not stop the function for causing events that invoke it again.
    pub(crate) fn is_long_recursive(&self) -> bool {
        self.recursion
            .as_ref()
            .is_some_and(|recursion| recursion.is_long)
    }

    /// The service that is called beside the stack's own resources, as IAM's actions name it.
    pub(crate) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unscoped_grant_covers_every_resource() {
        let grant = Grant::unscoped("rekognition:DetectLabels", "no ARN");
        assert_eq!(
            grant.statements(),
            [json!({
                "Sid": "RekognitionDetectLabels",
                "Effect": "Allow",
                "Action": ["rekognition:DetectLabels"],
                "Resource": "*",
            })]
        );
    }
}
