//! Deploys an assembly to AWS, or to anything that speaks AWS's API.
//!
//! The pipeline is a straight line, with a new type at each step:
//!
//! ```text
//! Target::connect -> Target::ensure_bootstrap -> Target::publish -> Target::plan
//!   -> Plan::NoChanges | Plan::Changes(ChangeSet) -> Target::execute -> Outcome
//! ```
//!
//! CloudFormation is the planner: the change set is the plan, and this crate adds no
//! second one. Nothing here prints; progress is told through [`Progress`] events.

mod artifact;
mod delete;
mod error;
mod functions;
mod logs;
mod preflight;
mod progress;
mod redrive;
mod review;
mod stack;
mod status;
mod target;

pub use artifact::{Artifact, Published};
pub use delete::Deleted;
pub use error::{Error, Kind, Result};
pub use functions::{FunctionError, Invocation};
pub use logs::{LogLine, LogQuery, LogTail};
pub use progress::{Progress, Report, ResourceEvent};
pub use redrive::{FailedEvent, Redriven, StreamBatch, Subject};
pub use review::{
    Access, AccessChange, Condition, Declared, Difference, Effect, PropertyChange, Review, review,
};
pub use stack::{
    Action, Change, ChangeSet, Diagnosis, Outcome, Outputs, Plan, Replacement, StackSpec,
};
pub use status::{DeployedFunction, FailureQueue, Status};
pub use target::{Settings, Target};
