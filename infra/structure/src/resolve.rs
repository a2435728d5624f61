//! Which modules a path leads through.

use std::collections::BTreeSet;

use crate::tree::{CRATE, Tree};

/// The modules that a path in `module` leads through, up to the one that defines what it names.
/// For a path into another crate, only `module` itself.
pub(crate) fn modules_on(tree: &Tree, module: usize, path: &[String]) -> BTreeSet<usize> {
    let mut walk = Walk {
        tree,
        seen: BTreeSet::new(),
    };
    let mut passed = BTreeSet::new();
    walk.follow(module, path, &mut passed);
    passed
}

struct Walk<'a> {
    tree: &'a Tree,
    /// Names that are being looked up, each with the module. An import can lead back to itself.
    seen: BTreeSet<(usize, String)>,
}

impl Walk<'_> {
    /// Follows a path as it is written in a module, and tells whether it was found.
    fn follow(&mut self, module: usize, path: &[String], passed: &mut BTreeSet<usize>) -> bool {
        let (mut start, mut rest) = (module, path);
        while let Some((first, others)) = rest.split_first() {
            start = match first.as_str() {
                "crate" => CRATE,
                "self" => start,
                "super" => match self.tree.modules[start].parent {
                    Some(parent) => parent,
                    None => return false,
                },
                _ => break,
            };
            rest = others;
        }
        self.descend(start, rest, passed)
    }

    /// Follows names from a module on.
    fn descend(&mut self, module: usize, names: &[String], passed: &mut BTreeSet<usize>) -> bool {
        passed.insert(module);
        let this = &self.tree.modules[module];
        let Some((name, rest)) = names.split_first() else {
            return true;
        };
        if let Some(child) = this.children.get(name) {
            // What is not found in the child comes from a macro, or is an error of the compiler's.
            self.descend(*child, rest, passed);
            return true;
        }
        if this.items.contains(name) {
            return true;
        }
        if !self.seen.insert((module, name.clone())) {
            return false;
        }
        let imports = this.imports.iter().filter(|(imported, _)| imported == name);
        let imported = imports.map(|(_, path)| [path.as_slice(), rest].concat());
        let globs = this.globs.iter();
        let by_glob = globs.map(|path| [path.as_slice(), names].concat());
        let found = imported.chain(by_glob).any(|path| {
            let mut further = BTreeSet::new();
            let found = self.follow(module, &path, &mut further);
            if found {
                passed.append(&mut further);
            }
            found
        });
        self.seen.remove(&(module, name.clone()));
        found
    }
}
