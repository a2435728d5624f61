//! What tests need: a catalogue in memory, the contract of every catalogue, and
//! an AWS that answers from a script.

#![allow(clippy::unwrap_used, reason = "test code, also outside cfg(test)")]

mod contract;
mod detector;
mod memory;
mod wire;

pub use contract::check_catalogue;
pub use detector::{Saw, Sees, Starts};
pub use memory::MemoryCatalogue;
pub use wire::Wire;
