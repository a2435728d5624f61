//! The modules of a crate, and the paths in each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A crate's modules. The first is the crate itself.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
}

/// The place of the crate itself among its modules.
pub(crate) const CRATE: usize = 0;

/// A module, in a file of its own or in that of its parent.
#[derive(Debug)]
pub(crate) struct Module {
    /// From the crate: `orders::list`; empty for the crate itself.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names of what is defined here.
    pub(crate) items: BTreeSet<String>,
    /// The names that `use` brings here, with the path of each.
    pub(crate) imports: Vec<(String, Vec<String>)>,
    /// The paths of `use path::*`.
    pub(crate) globs: Vec<Vec<String>>,
    pub(crate) mentions: Vec<Mention>,
}

/// A path as it is written in a module.
#[derive(Debug)]
pub(crate) struct Mention {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

impl Tree {
    /// A module and the modules around it, up to the crate.
    pub(crate) fn with_ancestors(&self, module: usize) -> Vec<usize> {
        std::iter::successors(Some(module), |module| self.modules[*module].parent).collect()
    }
}
