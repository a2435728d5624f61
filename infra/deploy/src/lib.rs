//! Deploys an assembly to AWS, or to anything that speaks AWS's API.
//!
//! The pipeline is a straight line, with a new type at each step:
//!
//! ```text
//! Target::connect -> Target::ensure_bootstrap -> Target::publish -> Target::deploy
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

mod answer;
mod artifact;
mod bootstrap;
mod certificates;
mod change_set;
mod code;
mod configuration;
mod connection;
mod delete;
mod deploy;
mod drift;
mod error;
mod events;
mod explain;
mod functions;
mod http_api;
mod http_client;
mod leftovers;
mod logs;
mod parallel;
mod preflight;
mod progress;
mod proxy;
mod record;
mod recovery;
mod redrive;
mod review;
mod stack;
mod status;
mod target;
#[cfg(test)]
mod testing;

pub use artifact::{Artifact, Published};
pub use change_set::{Action, Change, ChangeSet, Outcome, Plan, Replacement};
pub use code::Hotswap;
pub use configuration::Endpoint;
pub use connection::Connection;
pub use delete::{DeleteSpec, Deleted};
pub use deploy::Deployment;
pub use drift::{Drift, Drifted, RolesByHand};
pub use error::{Error, Kind, Result};
pub use explain::{Diagnosis, Finding};
pub use functions::{FunctionError, Invocation};
pub use http_api::HttpAnswer;
pub use leftovers::Leftover;
pub use logs::{LogLine, LogQuery, LogTail};
pub use preflight::Denied;
pub use progress::{Decide, Phase, Progress, Question, Report, ResourceEvent, Timeline, Timing};
pub use record::Record;
pub use redrive::{
    FailedEvent, FailureQueueReader, HIDDEN_AT_MOST, Redriven, StreamBatch, Subject,
};
pub use review::{
    Access, AccessChange, Condition, Declared, Difference, Effect, PropertyChange, Review, review,
};
pub use stack::{Mode, Outputs, RollbackAlarm, StackSpec, Store};
pub use status::{DeployedFunction, FailureQueue, QueueDepth, Status};
pub use target::{Settings, Target};
