//! Checks an app on a stage that is deployed.
//!
//! An app declares what it promises as a [`Suite`] of [`Flow`]s. A flow uses the stage as a user
//! would and proves one [`Check`] after the other; flows run side by side. This crate runs them,
//! watches the failure queues meanwhile, deletes what the flows made, and reports. It knows no
//! app.
//!
//! ```text
//! Suite + Stage ── Run::new ──> Run ── flows ──> clean_up ──> report ──> Report
//! ```
//!
//! A flow makes things on the stage, under names that begin with [`PREFIX`]. It tells the run of
//! each with [`Probe::own`] _before_ the thing can exist, and makes it with [`Probe::complete`],
//! which no interruption cuts off. So [`Run::clean_up`] deletes everything, also after a failure
//! or Ctrl-C, and names what it could not delete.

mod check;
mod ownership;
mod probe;
mod queues;
mod report;
mod run;
mod stage;
mod suite;

pub use check::{Check, Difference, Problem, Stopped};
pub use ownership::{Left, Owned, OwnedId};
pub use probe::Probe;
pub use report::{Event, Outcome, Report, Verdict};
pub use run::{Options, Run};
pub use stage::{Api, Callers, Function, Stage};
pub use suite::{Flow, Suite};

/// What the names of everything that a run makes begin with. No user's data may begin with it.
pub const PREFIX: &str = "xtask-verify";
