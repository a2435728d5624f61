//! What tests need: a catalogue in memory, and the contract of every catalogue.

#![allow(clippy::unwrap_used, reason = "test code, also outside cfg(test)")]

mod contract;
mod detector;
mod jobs;
mod line;
mod memory;

pub use contract::check_catalogue;
pub use detector::{Saw, Sees, Starts};
pub use jobs::MemoryJobs;
pub use line::MemoryLine;
pub use memory::MemoryCatalogue;
