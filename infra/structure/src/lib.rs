//! Which modules of a crate refer to each other in a circle.
//!
//! Modules that refer to each other can only be understood together. So modules with the same
//! parent should refer to each other in one direction. [`cycles`] finds those that do not:
//!
//! - It reads the crate from its first file and follows `mod`. It leaves out what is compiled for
//!   tests only (`#[cfg(test)]`).
//! - A module refers to another one by each path into it: in `use`, types, expressions, patterns,
//!   attributes, and in the arguments of macros.
//! - A path goes on where an imported or re-exported name was defined. If the crate has
//!   `pub use orders::Order`, `crate::Order` refers to `orders`.
//! - What a module below `orders` refers to counts as what `orders` refers to. References between
//!   a module and its own parent do not count, as the parent's file is where they are joined.
//!
//! It does not see what only types tell: a call of a method does not refer to the module with the
//! `impl` block. It does not expand macros.

mod cycle;
mod read;
mod resolve;
mod tree;

use std::io;
use std::path::Path;

pub use cycle::{Cycle, Reference};

/// The groups of modules that refer to each other in a circle, in a crate with this first file
/// (`src/lib.rs`). Files in the answer are relative to `workspace`.
///
/// # Errors
/// When a file cannot be read, or is not Rust.
pub fn cycles(first_file: &Path, workspace: &Path) -> io::Result<Vec<Cycle>> {
    let tree = read::crate_from(first_file)?;
    let mut cycles = cycle::all(&tree);
    for reference in cycles.iter_mut().flat_map(|cycle| &mut cycle.references) {
        if let Ok(file) = reference.file.strip_prefix(workspace) {
            reference.file = file.to_owned();
        }
    }
    Ok(cycles)
}

#[cfg(test)]
mod tests;
