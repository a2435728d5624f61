//! What tests need.
//!
//! - [`Wire`]: an AWS that answers from a script, for what talks to AWS;
//! - [`DynamoDb`]: a DynamoDB in memory, which counts what requests cost;
//! - [`interleaving`]: random orders of events, for rules that must hold in whatever order events
//!   come.

#![allow(clippy::unwrap_used, reason = "test code, also outside cfg(test)")]

mod dynamodb;
pub mod interleaving;
mod wire;

pub use dynamodb::{DynamoDb, Units};
pub use wire::Wire;
