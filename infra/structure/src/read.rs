//! Reads a crate's files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

use crate::tree::{CRATE, Mention, Module, Tree};

/// Reads all files of a crate, beginning with its first.
pub(crate) fn crate_from(first_file: &Path) -> io::Result<Tree> {
    let mut reader = Reader {
        tree: Tree {
            modules: Vec::new(),
        },
    };
    let folder = first_file.parent().unwrap_or(Path::new(""));
    reader.read_file(None, "", first_file, folder)?;
    Ok(reader.tree)
}

struct Reader {
    tree: Tree,
}

impl Reader {
    /// Reads a module with a file of its own. The files of its children are in `folder`.
    fn read_file(
        &mut self,
        parent: Option<usize>,
        name: &str,
        file: &Path,
        folder: &Path,
    ) -> io::Result<()> {
        let said = |why: String| io::Error::other(format!("{}: {why}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| said(error.to_string()))?;
        let parsed = syn::parse_file(&text).map_err(|error| {
            let line = line_of(error.span());
            said(format!("line {line}: {error}"))
        })?;
        self.read_items(parent, name, file, folder, &parsed.items)
    }

    fn read_items(
        &mut self,
        parent: Option<usize>,
        name: &str,
        file: &Path,
        folder: &Path,
        items: &[Item],
    ) -> io::Result<()> {
        let this = self.tree.modules.len();
        let mut full_name = name.to_owned();
        if let Some(parent) = parent {
            let parent = &mut self.tree.modules[parent];
            parent.children.insert(name.to_owned(), this);
            if !parent.name.is_empty() {
                full_name = format!("{}::{name}", parent.name);
            }
        }
        self.tree.modules.push(Module {
            name: full_name,
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            globs: Vec::new(),
            mentions: Vec::new(),
        });
        for item in items {
            if attributes_of(item).iter().any(is_for_tests) {
                continue;
            }
            self.declare(this, item);
            let Item::Mod(child) = item else {
                let mut mentions = Mentions::default();
                mentions.visit_item(item);
                self.tree.modules[this].mentions.extend(mentions.found);
                continue;
            };
            let child_name = child.ident.to_string();
            let child_folder = folder.join(&child_name);
            if let Some((_, items)) = &child.content {
                self.read_items(Some(this), &child_name, file, &child_folder, items)?;
            } else {
                let beside = folder.join(format!("{child_name}.rs"));
                let below = child_folder.join("mod.rs");
                let child_file = if beside.exists() { beside } else { below };
                self.read_file(Some(this), &child_name, &child_file, &child_folder)?;
            }
        }
        Ok(())
    }

    /// Notes the names that an item brings into its module.
    fn declare(&mut self, this: usize, item: &Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Use(item) => {
                let module = &mut self.tree.modules[this];
                for leaf in leaves_of(&item.tree) {
                    match leaf.name {
                        Some(name) => module.imports.push((name, leaf.path)),
                        None => module.globs.push(leaf.path),
                    }
                }
                return;
            }
            Item::Macro(item) => {
                let Some(name) = &item.ident else { return };
                if item
                    .attrs
                    .iter()
                    .any(|each| each.path().is_ident("macro_export"))
                {
                    let mut path = vec!["crate".to_owned()];
                    let module = &self.tree.modules[this].name;
                    path.extend(module.split("::").map(str::to_owned));
                    path.push(name.to_string());
                    let exported = (name.to_string(), path);
                    self.tree.modules[CRATE].imports.push(exported);
                }
                name
            }
            _ => return,
        };
        self.tree.modules[this].items.insert(name.to_string());
    }
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an attribute leaves its item out of everything but tests: `#[cfg(test)]`, also as
/// one of the conditions of `all`.
fn is_for_tests(attribute: &Attribute) -> bool {
    fn asks_for_tests(condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => {
                let conditions = list.parse_args_with(
                    syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated,
                );
                conditions.is_ok_and(|conditions| conditions.iter().any(asks_for_tests))
            }
            _ => false,
        }
    }
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args()
            .is_ok_and(|condition| asks_for_tests(&condition))
}

fn line_of(span: Span) -> usize {
    span.start().line
}

/// A name that a `use` item brings, or all names of a path.
struct Leaf {
    /// `None` is `*`.
    name: Option<String>,
    path: Vec<String>,
    line: usize,
}

fn leaves_of(tree: &UseTree) -> Vec<Leaf> {
    fn collect(tree: &UseTree, before: &[String], leaves: &mut Vec<Leaf>) {
        let joined = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `use orders::{self}` is `use orders`.
            if name != "self" || before.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => collect(&path.tree, &joined(&path.ident), leaves),
            UseTree::Name(name) => {
                let path = joined(&name.ident);
                leaves.push(Leaf {
                    name: path.last().cloned(),
                    path,
                    line: line_of(name.ident.span()),
                });
            }
            UseTree::Rename(rename) => leaves.push(Leaf {
                name: Some(rename.rename.to_string()),
                path: joined(&rename.ident),
                line: line_of(rename.ident.span()),
            }),
            UseTree::Glob(glob) => leaves.push(Leaf {
                name: None,
                path: before.to_vec(),
                line: line_of(glob.star_token.span),
            }),
            UseTree::Group(group) => {
                for tree in &group.items {
                    collect(tree, before, leaves);
                }
            }
        }
    }
    let mut leaves = Vec::new();
    collect(tree, &[], &mut leaves);
    leaves
}

/// The paths in a piece of code.
#[derive(Default)]
struct Mentions {
    found: Vec<Mention>,
}

impl Mentions {
    /// The paths in what has not been parsed: the arguments of macros and attributes. With
    /// `texts`, also those in string literals, as in `#[serde(with = "rfc3339")]`.
    fn scan(&mut self, tokens: TokenStream, texts: bool) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        // What stands between the last name and here.
        let mut between = String::new();
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if between != "::" || path.is_empty() {
                        self.keep(&mut path, line);
                        line = line_of(name.span());
                    }
                    // A field or a method is not a path.
                    if between != "." {
                        path.push(name.to_string());
                    }
                    between.clear();
                }
                TokenTree::Punct(sign) => between.push(sign.as_char()),
                TokenTree::Group(group) => {
                    self.keep(&mut path, line);
                    between.clear();
                    self.scan(group.stream(), texts);
                }
                TokenTree::Literal(literal) => {
                    self.keep(&mut path, line);
                    between.clear();
                    let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                    if let Some(named) = text.ok().and_then(|text| text.parse().ok())
                        && texts
                    {
                        self.note(&named, line_of(literal.span()));
                    }
                }
            }
        }
        self.keep(&mut path, line);
    }

    fn keep(&mut self, path: &mut Vec<String>, line: usize) {
        if !path.is_empty() {
            let path = std::mem::take(path);
            self.found.push(Mention { path, line });
        }
    }

    fn note(&mut self, path: &syn::Path, line: usize) {
        let names = path.segments.iter();
        let path = names.map(|segment| segment.ident.to_string()).collect();
        self.found.push(Mention { path, line });
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes_of(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes: &[Attribute] = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !field.attrs.iter().any(is_for_tests) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for Leaf { path, line, .. } in leaves_of(&item.tree) {
            self.found.push(Mention { path, line });
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            self.note(path, line_of(first.ident.span()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.scan(call.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.visit_path(&list.path);
            self.scan(list.tokens.clone(), true);
        }
    }
}
