//! The kinds of resources that an app can consist of, a module for each.
//!
//! A module has all there is of its kind: the vocabulary of the declaration, the rules of AWS, the
//! template, what grants allow, and the permissions that a deployment needs. A new kind is a
//! module and its lines below. Nothing outside knows a kind by name, but for functions: they are
//! what the others serve.

use crate::check::Check;
use crate::deployer::{Deployer, Statement};
use crate::resource_id::{Noun, ResourceId};
use crate::trigger_word::TriggerWord;

/// Declares an enumeration of what may be done to resources of a kind, in IAM's words, and its
/// names.
macro_rules! iam_actions {
    ($service:literal, $(#[$about:meta])* $name:ident { $($(#[$what:meta])* $action:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$what])* $action,)*
        }

        impl $name {
            /// IAM's names of all of them, without their service.
            const NAMES: &[&str] = &[$(stringify!($action)),*];

            fn iam_action(self) -> String {
                format!(concat!($service, ":{:?}"), self)
            }
        }
    };
}

/// Gives a handle of a resource that is in the template its place there.
macro_rules! in_template {
    ($handle:ty) => {
        impl crate::in_template::InTemplate for $handle {
            fn logical_id(&self) -> String {
                self.0.get().named.id.logical_id()
            }
        }
    };
}

mod bucket;
mod event_bus;
mod event_rule;
pub(crate) mod function;
mod function_url;
mod http_api;
mod operator_value;
mod parameter;
mod publisher;
mod queue;
pub(crate) mod resource;
mod schedule;
mod secret;
mod table;
mod topic;

pub use bucket::{Bucket, BucketAction, BucketEvents, SharedBucketEvents};
pub use event_bus::{EventBus, EventBusAction};
pub use event_rule::EventRule;
pub use function::{DeclaredFunction, VariableOf};
pub use function_url::FunctionUrl;
pub use http_api::{Cors, HttpApi, Requests};
pub use parameter::Parameter;
pub use publisher::Publisher;
pub use queue::{Messages, Queue, QueueAction};
pub use resource::{OverriddenProperty, RawResource};
pub(crate) use schedule::schedules_of;
pub use schedule::{DeployedSchedule, Schedule};
pub use secret::Secret;
pub use table::{Index, IndexAction, ItemChange, ItemChanges, Key, Match, Table, TableAction};
pub use topic::Topic;

/// Every kind of resource that functions can refer to.
pub(crate) static KINDS: &[&Kind] = &[
    &bucket::KIND,
    &table::KIND,
    &table::index::KIND,
    &topic::KIND,
    &queue::KIND,
    &publisher::KIND,
    &http_api::KIND,
    &function_url::KIND,
    &schedule::KIND,
    &event_bus::KIND,
    &event_rule::KIND,
    &parameter::KIND,
    &secret::KIND,
    &resource::KIND,
];

/// What HTTP APIs are called.
pub(crate) const HTTP_API: &str = http_api::NOUN.noun;

/// What there is to a kind beside each resource of it.
pub(crate) struct Kind {
    pub(crate) noun: &'static Noun,
    /// What can be granted on a resource.
    pub(crate) grants: Option<Grants>,
    /// Whether resources answer at a URL, which is their value.
    pub(crate) has_url: bool,
    /// Whether a resource in the stack of this name is, or holds, what has an ARN with this
    /// service and this name.
    pub(crate) is_at: fn(id: &ResourceId, stack: &str, service: &str, name: &str) -> bool,
    /// The rules of those settings of a stage that are about resources of the kind.
    pub(crate) settings: fn(&mut Check<'_>),
    /// The permissions that a deployment needs for resources of the kind.
    pub(crate) deployer: fn(&Deployer<'_>) -> Vec<Statement>,
    /// The words by which a new function is wired to events of resources of the kind.
    pub(crate) triggers: &'static [TriggerWord],
}

/// What can be granted on resources of a kind, in IAM's words and in Rust's.
pub(crate) struct Grants {
    /// The service whose actions these are, such as `s3`.
    pub(crate) service: &'static str,
    /// The call that grants them, such as `Bucket::allow`.
    pub(crate) call: &'static str,
    /// IAM's names of the actions, without their service.
    pub(crate) actions: &'static [&'static str],
    /// The call for a resource by its variable, and actions; such as `photos.allow([GetObject])`.
    pub(crate) rust: fn(variable: &str, actions: &[&str]) -> String,
}

/// The kind of a resource.
pub(crate) fn of(id: &ResourceId) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| id.is_of(kind.noun))
}

/// The words by which a new function is wired to events, each with the kind of the resource that
/// they come from; without one, they are of the function itself.
pub(crate) fn trigger_words() -> impl Iterator<Item = (Option<&'static Kind>, &'static TriggerWord)>
{
    let of_kind = |kind: &'static Kind| kind.triggers.iter().map(move |word| (Some(kind), word));
    let of_functions = function::TRIGGERS.iter().map(|word| (None, word));
    KINDS.iter().copied().flat_map(of_kind).chain(of_functions)
}

/// How most kinds that have actions are granted them.
fn allow(variable: &str, actions: &[&str]) -> String {
    format!("{variable}.allow([{}])", actions.join(", "))
}

/// Whether `name` is one that CloudFormation made up: stack, logical ID and something random.
fn is_made_up(id: &ResourceId, stack: &str, name: &str) -> bool {
    let rest = name.strip_prefix(&format!("{stack}-{}", id.logical_id()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A kind without settings of its own in a stage.
fn no_settings(_: &mut Check<'_>) {}

/// The permissions that a deployment of the app needs beside those for any stack.
pub(crate) fn deployer_statements(deployer: &Deployer<'_>) -> Vec<Statement> {
    let mut statements: Vec<Statement> = KINDS
        .iter()
        .flat_map(|kind| (kind.deployer)(deployer))
        .collect();
    statements.extend(function::deployer_statements(deployer));
    statements
}
