//! What tests need.
//!
//! - [`Wire`]: an AWS that answers from a script, for what talks to AWS.

#![allow(clippy::unwrap_used, reason = "test code, also outside cfg(test)")]

mod wire;

pub use wire::Wire;
