//! Circles among the modules of each parent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::resolve::modules_on;
use crate::tree::{Mention, Tree};

/// Modules with the same parent that refer to each other in a circle: from each of them, references
/// lead to every other one and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Their names from the crate on, in order.
    pub modules: Vec<String>,
    /// The first reference from one of them to another one, for every two.
    pub references: Vec<Reference>,
}

/// A reference from one module, or from one below it, to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The module that refers to the other.
    pub from: String,
    /// The module that is referred to.
    pub to: String,
    /// The path as it is written, less its arguments.
    pub path: String,
    /// The file that the path stands in.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self
            .modules
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let (last, others) = quoted.split_last().ok_or(fmt::Error)?;
        let others = others.join(", ");
        write!(
            f,
            "modules {others} and {last} refer to each other in a circle:"
        )?;
        for reference in &self.references {
            write!(f, "\n  {reference}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            path,
            file,
            line,
        } = self;
        let file = file.display();
        write!(f, "`{from}` refers to `{to}` by `{path}` in {file}:{line}")
    }
}

/// The first reference between each two modules.
type References<'a> = BTreeMap<(usize, usize), (&'a PathBuf, &'a Mention)>;

/// All circles in a crate.
pub(crate) fn all(tree: &Tree) -> Vec<Cycle> {
    let references = references(tree);
    let mut next = BTreeMap::<usize, BTreeSet<usize>>::new();
    for (from, to) in references.keys() {
        next.entry(*from).or_default().insert(*to);
    }
    let reached: BTreeMap<usize, BTreeSet<usize>> = next
        .keys()
        .map(|from| (*from, reached_from(*from, &next)))
        .collect();
    let reaches = |from: &usize, to: &usize| reached.get(from).is_some_and(|all| all.contains(to));
    let mut told = BTreeSet::<usize>::new();
    let mut cycles = Vec::new();
    for module in next.keys().filter(|module| reaches(module, module)) {
        if told.contains(module) {
            continue;
        }
        let circle: BTreeSet<usize> = reached[module]
            .iter()
            .copied()
            .filter(|other| reaches(other, module))
            .collect();
        told.extend(&circle);
        cycles.push(Cycle {
            modules: circle
                .iter()
                .map(|each| tree.modules[*each].name.clone())
                .collect(),
            references: references
                .iter()
                .filter(|((from, to), _)| circle.contains(from) && circle.contains(to))
                .map(|((from, to), (file, mention))| Reference {
                    from: tree.modules[*from].name.clone(),
                    to: tree.modules[*to].name.clone(),
                    path: mention.path.join("::"),
                    file: file.to_path_buf(),
                    line: mention.line,
                })
                .collect(),
        });
    }
    cycles
}

fn reached_from(start: usize, next: &BTreeMap<usize, BTreeSet<usize>>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for following in next.get(&module).into_iter().flatten() {
            if reached.insert(*following) {
                open.push(*following);
            }
        }
    }
    reached
}

/// What modules with the same parent refer to among each other, they and all modules below them.
fn references(tree: &Tree) -> References<'_> {
    let mut references = References::new();
    for (from, module) in tree.modules.iter().enumerate() {
        for mention in &module.mentions {
            for to in modules_on(tree, from, &mention.path) {
                if let Some(pair) = beside_each_other(tree, from, to) {
                    references.entry(pair).or_insert((&module.file, mention));
                }
            }
        }
    }
    references
}

/// The two modules with the same parent that `from` and `to` are, or lie below. None if one of
/// the two lies below the other.
fn beside_each_other(tree: &Tree, from: usize, to: usize) -> Option<(usize, usize)> {
    let (from, to) = (tree.with_ancestors(from), tree.with_ancestors(to));
    let mut both = from.iter().rev().zip(to.iter().rev());
    both.find(|(one, other)| one != other)
        .map(|(one, other)| (*one, *other))
}
