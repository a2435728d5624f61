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
//!
//! # Modules
//!
//! | module                            | what                                                                                 |
//! | --------------------------------- | ------------------------------------------------------------------------------------ |
//! | `manifest`                        | what is declared, and what every resource can do                                     |
//! | `kind`                            | a module for each kind of resource: vocabulary, rules, template, grants, deployer    |
//! | `resource_id`, `trigger`, `grant` | what a declaration refers to, what invokes a function, what a function may do        |
//! | `function`, `budget`              | a function as declared, and as a stage settles it; what it may cost at most          |
//! | `stage`, `settings`               | `stages.yaml`: parse, keys written twice, defaults, lines; the rules of its settings |
//! | `check`                           | what rules look at, what they report                                                 |
//! | `app`, `synthesis`, `bootstrap`   | `Manifest` and `Stage` → `App` → template and policies; the bootstrap stack          |
//! | `operator_value`                  | values that must be there before the stack                                           |
//! | `in_template`, `overrides`        | references of raw resources; properties with another value, and which may have one   |
//! | `deployer`, `deployer_policies`   | the policies of who deploys: statements by kind, and as few policies as hold them    |
//! | `grants`, `exception`             | from a grant to IAM's actions, and from a denied action to the line of Rust          |
//! | `trigger_word`, `wiring`          | the words of `new function --on`: Rust, sample events, handlers to begin with        |
//! | `graph`                           | the app as a flowchart                                                               |
//! | `origin`                          | where something was written, for errors                                              |
//! | `cloudformation`, `scanner`       | the parts of the template language used here; rules of checkov that do not fit       |
//! | `render`, `policy`, `name`        | text, statements, names                                                              |

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

pub use app::{App, Assembly, DescribedApi, Endpoint};
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
        Requests, Schedule, Secret, SharedBucketEvents, Table, TableAction, Topic, VariableOf,
    };
}
