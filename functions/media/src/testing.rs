//! What tests need: a catalogue in memory, and the contract of every catalogue.

#![allow(clippy::unwrap_used, reason = "test code, also outside cfg(test)")]

mod contract;
mod detector;
mod memory;

pub use contract::check_catalogue;
pub use detector::{Saw, Sees, Starts};
pub use memory::MemoryCatalogue;
