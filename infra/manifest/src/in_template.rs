//! How raw resources and overrides refer to the resources of an app.

use serde_json::Value;

use crate::cloudformation::{attribute, reference};

/// What has a place in the template of an app: a declared resource or function, or any resource of
/// the template by its logical ID, as `cargo xtask synth` shows it.
pub trait InTemplate {
    /// The logical ID, such as `PhotosBucket`.
    fn logical_id(&self) -> String;

    /// `Ref`, for the JSON of another resource: CloudFormation makes of it what the page of the
    /// resource's type says under "Return values", mostly a name.
    fn reference(&self) -> Value {
        reference(&self.logical_id())
    }

    /// `Fn::GetAtt`, for the JSON of another resource: an attribute such as `Arn`.
    fn attribute(&self, name: &str) -> Value {
        attribute(&self.logical_id(), name)
    }
}

impl InTemplate for str {
    fn logical_id(&self) -> String {
        self.to_owned()
    }
}
