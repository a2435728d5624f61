//! What a function's binary can ask of AWS, compared with what the function is granted.
//!
//! ```text
//! executable ── Binary::read ──> operations ── needs ──> IAM actions ── Comparison ──> findings
//! ```
//!
//! Each operation of the AWS SDK for Rust is a type. The linker leaves out the code that
//! nothing refers to. So the operations in an executable's symbols are those that its code can
//! call: no more, because each costs a reference, and no less, because a call needs the code.
//!
//! The crate is pure: it takes an executable's bytes and the grants, and knows neither the
//! manifest nor who builds.

mod binary;
mod comparison;
mod operations;

pub use binary::{Binary, Operation, Unreadable};
pub use comparison::{Comparison, Direction, Exception, Finding, Granted};
pub use operations::TABLE_FILE;
