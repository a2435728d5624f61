//! What a user sees beside a command's result: progress, warnings and errors on standard error,
//! with colour and moving lines only on a terminal.
//!
//! Nothing but this module and `output` prints. Progress that cannot be written
//! is dropped, because the work matters more. The macros of the standard library and of
//! `anstream` would panic.

mod messages;
mod moving;
mod parts;
mod text;
mod whole;

pub(crate) use messages::{
    columns_of, end_line, hint, status, status_aside, stderr_columns, tell, warn,
};
pub(crate) use moving::{clear_line, spinner};
pub(crate) use parts::show_parts;
pub(crate) use text::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, inert, one_line, tamed, words};
pub(crate) use whole::write_whole;
