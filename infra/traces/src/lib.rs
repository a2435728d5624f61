//! What happened on a local stage, as traces.
//!
//! The parts of the stage tell what they observe as [`Occurrence`]s. A [`History`] keeps the latest of them, and makes
//! [`Trace`]s of them: what came in (an upload, a request, a message, …) with everything that it caused.

pub use history::{History, Limits};
pub use occurrence::*;
pub use trace::{Details, Filter, Kind, Outcome, Span, Summary, Trace};

mod graph;
mod history;
mod occurrence;
#[cfg(test)]
mod tests;
mod trace;
