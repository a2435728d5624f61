//! The app as data: what it consists of, and what AWS must be told to make it so.
//!
//! ```text
//! Manifest --resolve(&Stage)--> App --synth--> Assembly { template, policies }
//! ```
//!
//! [`declare`] has the vocabulary of a [`Manifest`], [`stage::Stages`] holds what differs between its
//! deployments, [`Manifest::resolve`] checks the two together and [`App::synth`]
//! writes the CloudFormation template and one IAM policy document per function.
//!
//! The crate is pure: it reads no file, environment variable or clock and opens no
//! connection, so the same declaration and stage give the same bytes everywhere. Its
//! `clippy.toml` and `tests/purity.rs` keep it that way. All that it knows of its
//! surroundings is [`Architecture::HOST`], the processor it was compiled for.

mod bootstrap;
mod cloudformation;
pub mod declare;
mod deployer;
mod grants;
mod name;
mod origin;
mod policy;
mod render;
mod resolve;
mod scanner;
pub mod stage;
mod synth;
mod validate;

pub use bootstrap::bootstrap_template;
pub use declare::{Direction, Manifest};
pub use deployer::DeployerPolicies;
pub use grants::{DeclaredException, GrantLine, GrantedAction, NoGrant};
pub use name::nearest;
pub use resolve::{App, Function, HttpApi};
pub use stage::{Alarms, Architecture, Authorization, Removal, Stage, Stages};
pub use synth::Assembly;
pub use validate::Violation;
