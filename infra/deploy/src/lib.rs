//! Deploys an assembly to AWS, or to anything that speaks AWS's API.
//!
//! The pipeline is a straight line, with a new type at each step:
//!
//! ```text
//! connect -> Target -> ensure_bootstrap -> publish -> deploy
//!
//! deploy: plan -> Plan::NoChanges -> code compared with what was deployed
//!              -> Plan::Changes(ChangeSet) -> approve -> record -> execute -> Outcome
//! ```
//!
//! CloudFormation is the planner: the change set is the plan, and this crate adds no
//! second one. Nothing here prints or asks; progress is told through [`Progress`] events,
//! and what only the user may decide is put as a [`Question`].
//!
//! Nothing is kept on this machine. Every step first looks at what is there, so that it may
//! be stopped at any point, and beside others who do the same.
//!
//! # Modules
//!
//! - deploying: `deploy` (plan, approve, execute, and again if someone else was faster) puts together `bootstrap`,
//!   `artifact` (uploads), `recovery` (the way out of every state), `plan` and `execute` with `change_set`, `record` (what a
//!   rollback goes back to), `code` (hotswap and drift), `events` (following an operation) and `explain` (why it failed).
//! - a plan: `change` (what a change set does with a resource), `replacement` (whether it replaces the resource), `effects`
//!   (whether it changes anything).
//! - before: `drift` (what was changed by hand), `values` (what an operator stores, by `json_api`), `preflight` (the
//!   deployer's policy in IAM's simulation; services that the region lacks).
//! - after: `status`, `logs`, `functions` (invoke), `redrive` (failure queues), `http_api` (requests to HTTP APIs, by the same
//!   way as calls of AWS).
//! - deleting: `delete`, then `leftovers`. `removal` deletes one stack, also for `recovery`; `buckets` empties buckets,
//!   `resources` lists what a stack has.
//! - reaching AWS, in `network`: `configuration` with `environment` reads and checks the user's variables and AWS files
//!   before anything is asked; `http_client` (with `proxy` and `certificates`) sets the clock back by each byte that goes
//!   either way, and ends a call within a minute after two silent attempts; invocations wait as long as a function may run.
//!   `answer` tells answers that are not AWS's: they have neither an error code nor a request ID. A stage with fixed
//!   credentials, as the local one, reads nothing of the caller's environment.
//! - `connection` finds the endpoints and the account. `aws_error` explains a failed call, with `denial` for what a policy
//!   forbids.
//! - data: `settings`, `error` (what, why, hint), `finding` (of CloudFormation's validation), `resource_event`, `progress`
//!   (what is told and asked).
//! - for all: `target` (who and where), `stack` (what one shall be, what it is), `poll`, `parallel`. `testing` is an AWS for
//!   the tests, which answers from a script.

mod artifact;
mod aws_error;
mod bootstrap;
mod buckets;
mod change;
mod change_set;
mod code;
mod connection;
mod delete;
mod denial;
mod deploy;
mod drift;
mod effects;
mod error;
mod events;
mod execute;
mod explain;
mod finding;
mod functions;
mod http_api;
mod json_api;
mod leftovers;
mod logs;
mod network;
mod parallel;
mod plan;
mod poll;
mod preflight;
mod progress;
mod record;
mod recovery;
mod redrive;
mod removal;
mod replacement;
mod resource_event;
mod resources;
mod settings;
mod stack;
mod status;
mod target;
#[cfg(test)]
mod testing;
mod values;

pub use artifact::{Artifact, Published, publish};
pub use bootstrap::ensure_bootstrap;
pub use change::{Action, Change};
pub use change_set::{ChangeSet, discard};
pub use code::{Hotswap, code_drift, hotswap};
pub use connection::{Connection, connect};
pub use delete::{DeleteSpec, Deleted, delete};
pub use deploy::{Deployment, deploy};
pub use drift::{Drift, Drifted, RolesByHand, detect_drift, roles_changed_by_hand};
pub use effects::Effects;
pub use error::{Error, ErrorKind, Result};
pub use execute::Outcome;
pub use explain::Diagnosis;
pub use finding::Finding;
pub use functions::{FunctionError, Invocation, invoke};
pub use http_api::{HttpAnswer, ask};
pub use leftovers::Leftover;
pub use logs::{LogLine, LogQuery, LogTail};
pub use network::Endpoint;
pub use plan::{Plan, plan};
pub use preflight::{Denied, absent_services, denied};
pub use progress::{Decide, Phase, Progress, Question, Report, Timeline, Timing};
pub use record::{Record, deployed, previous_deployment};
pub use redrive::{
    FailedEvent, FailureQueueReader, HIDDEN_AT_MOST, MAX_RECEIVE_COUNT, Redriven, StreamBatch,
    Subject, records_of, redrive_event, redrive_records,
};
pub use replacement::Replacement;
pub use resource_event::ResourceEvent;
pub use resources::resource_names;
pub use settings::Settings;
pub use stack::{Mode, Outputs, RollbackAlarm, StackSpec, Store, outputs};
pub use status::{DeployedFunction, FailureQueue, QueueDepth, Status, queue_depth, status};
pub use target::Target;
pub use values::{NeededValue, ValueProblem, ValueStore, store_value, value_problems};
