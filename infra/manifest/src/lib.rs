//! The app as data: what it consists of, and what AWS must be told to make it so.
//!
//! ```text
//! Manifest --resolve(&Stage)--> App --synth--> Assembly { template, policies }
//! ```
//!
//! [`Manifest`] has the vocabulary of a declaration, [`stage::Stages`] holds what differs between
//! its deployments, [`Manifest::resolve`] checks the two together and [`App::synth`]
//! writes the CloudFormation template and one IAM policy document per function.
//!
//! The crate is pure: it reads no file, environment variable or clock and opens no
//! connection, so the same declaration and stage give the same bytes everywhere. Its
//! `clippy.toml` and `tests/purity.rs` keep it that way. All that it knows of its
//! surroundings is [`Architecture::HOST`], the processor it was compiled for.

mod app;
mod bootstrap;
mod budget;
mod check;
mod cloudformation;
mod deployer;
mod deployer_policies;
mod exception;
mod function;
mod grant;
mod grants;
mod graph;
mod in_template;

mod kind;
mod manifest;
mod name;
mod operator_value;
mod origin;
mod overrides;
mod policy;
mod render;
mod resource_id;
mod scanner;
mod settings;
pub mod stage;
mod synthesis;
#[cfg(test)]
mod testing;
mod trigger;
mod trigger_word;
mod wiring;

pub use app::{App, Assembly, Endpoint};
pub use bootstrap::bootstrap_template;
pub use budget::Budget;
pub use check::Violation;
pub use deployer_policies::DeployerPolicies;
pub use exception::{Direction, Exception};
pub use function::Function;
pub use grant::Grant;
pub use grants::{DeclaredException, GrantLine, GrantedAction, NoGrant};
pub use graph::{Arrow, Node, Picture};
pub use in_template::InTemplate;
pub use kind::DeployedSchedule;
pub use manifest::Manifest;
pub use name::nearest;
pub use operator_value::{OperatorValue, ValueStore};
pub use stage::{Alarms, Architecture, Authorization, LogLevel, Removal, Stage, Stages};
pub use trigger::Trigger;
pub use wiring::{TriggerUsage, Wiring, trigger_usages};

/// JSON, for the properties of resources.
pub use serde_json::json;

/// The kinds of resources, as a declaration speaks of them.
pub mod kinds {
    pub use crate::kind::{
        Bucket, BucketAction, BucketEvents, Cors, DeclaredFunction, EventBus, EventBusAction,
        EventRule, FunctionUrl, HttpApi, Index, IndexAction, ItemChange, ItemChanges, Key, Match,
        Messages, OverriddenProperty, Parameter, Publisher, Queue, QueueAction, RawResource,
        Schedule, Secret, SharedBucketEvents, Table, TableAction, Topic,
    };
}
