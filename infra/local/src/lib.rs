//! The parts of the local stage, which `cargo xtask local` puts together.

mod error;
mod python;

pub use error::{Error, PortTaken};
pub use python::{CheckTools, StageTools};
