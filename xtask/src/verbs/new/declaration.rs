//! The file that declares the app, and how a function is added to it.

use std::path::{Path, PathBuf};

use manifest::{App, Wiring};
use syn::{Expr, Item, ItemFn, Local, Pat, Stmt, UseTree};

use crate::error::{AboutFile, CliError, Result};
use crate::workspace::Workspace;

/// The source that declares the app.
pub(super) struct Declaration {
    file: PathBuf,
    text: String,
    parsed: syn::File,
}

impl Declaration {
    /// Reads the file in which the app's functions are declared.
    pub(super) fn of(workspace: &Workspace, app: &App) -> Result<Self> {
        let path = workspace.declaring_file(app);
        let text = std::fs::read_to_string(&path).about("read", &path)?;
        Self::parse(path, text)
    }

    fn parse(file: PathBuf, text: String) -> Result<Self> {
        let parsed = syn::parse_file(&text).map_err(|error| {
            CliError::new(format!("could not read {}: {error}", file.display()))
        })?;
        Ok(Self { file, text, parsed })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What the declaration calls the manifest.
    pub(super) fn manifest(&self) -> Option<String> {
        Some(self.function()?.manifest)
    }

    /// What the statement at a line of this file calls that which it declares.
    pub(super) fn variable_at(&self, line: u32) -> Option<String> {
        let line = usize::try_from(line).ok()?;
        let functions = self.parsed.items.iter().filter_map(|item| match item {
            Item::Fn(function) => Some(function),
            _ => None,
        });
        let mut locals = functions.flat_map(locals);
        let local = locals.find(|local| lines(local).contains(&line))?;
        variable_of(local)
    }

    /// The source with a function more; `None` if it is not of a form that can be edited.
    pub(super) fn with(&self, wiring: &Wiring) -> Option<String> {
        let Declaring {
            last_declaration,
            end,
            ..
        } = self.function()?;
        let mut lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        // From the end, so that the lines before stay where they are.
        let function = format!("    {}\n", wiring.function);
        lines.insert(end - 1, function);
        let declarations = wiring.declarations.iter();
        let declarations: Vec<String> = declarations.map(|line| format!("    {line}")).collect();
        lines.splice(last_declaration..last_declaration, declarations);
        let missing: Vec<&str> = wiring
            .imports
            .iter()
            .copied()
            .filter(|import| !self.imports(import))
            .collect();
        if !missing.is_empty() {
            let uses = self.parsed.items.iter().filter_map(|item| match item {
                Item::Use(item) => Some(item.semi_token.span.end().line),
                _ => None,
            });
            let at = uses.max()?;
            let imports = missing.iter();
            let imports: Vec<String> = imports
                .map(|import| format!("use manifest::kinds::{import};"))
                .collect();
            lines.splice(at..at, imports);
        }
        Some(lines.join("\n") + "\n")
    }

    /// The function that declares the app: it keeps a new manifest in a variable, and returns it.
    fn function(&self) -> Option<Declaring> {
        let items = self.parsed.items.iter();
        let mut functions = items.filter_map(|item| match item {
            Item::Fn(function) => Declaring::of(function),
            _ => None,
        });
        let function = functions.next()?;
        let line = self.text.lines().nth(function.end - 1)?;
        // Something else on the last line would be torn apart.
        (line.trim() == function.manifest).then_some(function)
    }

    /// Whether something of `manifest::kinds` is imported.
    fn imports(&self, import: &str) -> bool {
        let uses = self.parsed.items.iter().filter_map(|item| match item {
            Item::Use(item) => Some(&item.tree),
            _ => None,
        });
        let mut paths = Vec::new();
        for tree in uses {
            flatten(tree, "", &mut paths);
        }
        let path = format!("manifest::kinds::{import}");
        let above = path
            .rsplit_once("::")
            .map(|(above, _)| format!("{above}::*"));
        paths
            .iter()
            .any(|known| *known == path || Some(known) == above.as_ref())
    }
}

/// What is to be known of the function that declares the app.
struct Declaring {
    /// The variable that holds the manifest.
    manifest: String,
    /// The last line of its last declaration that is kept in a variable.
    last_declaration: usize,
    /// The line of its last expression.
    end: usize,
}

impl Declaring {
    fn of(function: &ItemFn) -> Option<Self> {
        let Some(Stmt::Expr(Expr::Path(returned), None)) = function.block.stmts.last() else {
            return None;
        };
        let returned = returned.path.get_ident()?;
        let (manifest, line) = (returned.to_string(), returned.span().start().line);
        let mut holds_manifest = false;
        let mut last_declaration = 0;
        for local in locals(function) {
            holds_manifest |=
                variable_of(local).as_ref() == Some(&manifest) && is_new_manifest(local);
            last_declaration = last_line(local);
        }
        holds_manifest.then_some(Self {
            manifest,
            last_declaration,
            end: line,
        })
    }
}

/// The statements of a function that keep something in a variable.
fn locals(function: &ItemFn) -> impl Iterator<Item = &Local> {
    function
        .block
        .stmts
        .iter()
        .filter_map(|statement| match statement {
            Stmt::Local(local) => Some(local),
            _ => None,
        })
}

fn lines(local: &Local) -> std::ops::RangeInclusive<usize> {
    local.let_token.span.start().line..=last_line(local)
}

fn last_line(local: &Local) -> usize {
    local.semi_token.span.end().line
}

fn variable_of(local: &Local) -> Option<String> {
    match &local.pat {
        Pat::Ident(variable) => Some(variable.ident.to_string()),
        Pat::Type(typed) => match &*typed.pat {
            Pat::Ident(variable) => Some(variable.ident.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it is `… = Manifest::new(…)`.
fn is_new_manifest(local: &Local) -> bool {
    let value = local.init.as_ref().map(|init| &*init.expr);
    let Some(Expr::Call(call)) = value else {
        return false;
    };
    let Expr::Path(called) = &*call.func else {
        return false;
    };
    let mut segments = called
        .path
        .segments
        .iter()
        .rev()
        .map(|segment| segment.ident.to_string());
    segments.next().as_deref() == Some("new") && segments.next().as_deref() == Some("Manifest")
}

/// The paths that a `use` names.
fn flatten(tree: &UseTree, before: &str, paths: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &format!("{before}{}::", path.ident), paths),
        UseTree::Name(name) => paths.push(format!("{before}{}", name.ident)),
        UseTree::Glob(_) => paths.push(format!("{before}*")),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, paths);
            }
        }
        // Under another name, it is not there by its own.
        UseTree::Rename(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use manifest::Manifest;

    use super::*;

    const SOURCE: &str = r#"//! A shop.

use manifest::kinds::{BucketAction::*, TableAction::*};
use manifest::Manifest;

/// Declares the app.
pub fn app() -> Manifest {
    let app = Manifest::new("shop");
    let photos = app.bucket("photos");
    let orders: Table = app
        .table("orders", "id")
        .variable("ORDERS_TABLE_NAME");

    app.function("sell").grant(orders.allow([GetItem]));

    // The end.
    app
}

fn other() -> u32 {
    let app = 1;
    app
}
"#;

    fn declaration(source: &str) -> Declaration {
        Declaration::parse("app.rs".into(), source.to_owned()).unwrap()
    }

    /// What wires a function of a shop to these triggers.
    fn wiring(triggers: &[&str]) -> Wiring {
        let app = Manifest::new("shop");
        app.bucket("photos").variable("PHOTOS_BUCKET_NAME");
        app.table("orders", "id");
        app.function("sell");
        let app = app.resolve(&manifest::Stage::with_defaults("dev")).unwrap();
        let triggers: Vec<String> = triggers.iter().map(|&trigger| trigger.into()).collect();
        let orders = |_: &str, _: u32| Some("orders".to_owned());
        app.wire("pack", &triggers, "app", orders).unwrap()
    }

    #[test]
    fn a_function_is_added_at_the_end_and_a_resource_to_the_others() {
        let edited = declaration(SOURCE).with(&wiring(&["topic:bills"])).unwrap();
        let expected = SOURCE
            .replace(
                "    // The end.\n",
                "    // The end.\n    app.function(\"pack\").trigger(bills_topic.published());\n\n",
            )
            .replace(
                "        .variable(\"ORDERS_TABLE_NAME\");\n",
                "        .variable(\"ORDERS_TABLE_NAME\");\n    let bills_topic = app.topic(\"bills\").variable(\"BILLS_TOPIC_ARN\");\n",
            );
        assert_eq!(edited, expected);
    }

    #[test]
    fn what_a_call_needs_is_imported_once() {
        let wiring = wiring(&["stream:orders"]);
        let import = "use manifest::kinds::ItemChange::*;\n";
        let edited = declaration(SOURCE).with(&wiring).unwrap();
        assert_eq!(edited.matches(import).count(), 1, "{edited}");
        for there in [
            "{BucketAction::*, ItemChange::*, TableAction::*}",
            "*",
            "ItemChange::*",
        ] {
            let source = SOURCE.replace("{BucketAction::*, TableAction::*}", there);
            let edited = declaration(&source).with(&wiring).unwrap();
            let imports = |text: &str| text.matches("use ").count();
            // `*` is not enough: the variants are one level below.
            let more = usize::from(there == "*");
            assert_eq!(imports(&edited), imports(&source) + more, "{edited}");
        }
    }

    #[test]
    fn variables_are_found_by_every_line_of_their_statement() {
        let declaration = declaration(SOURCE);
        assert_eq!(declaration.manifest().as_deref(), Some("app"));
        for (line, variable) in [
            (8, Some("app")),
            (9, Some("photos")),
            (10, Some("orders")),
            (12, Some("orders")),
            (14, None),
            (7, None),
        ] {
            assert_eq!(declaration.variable_at(line).as_deref(), variable, "{line}");
        }
    }

    #[test]
    fn a_source_of_another_form_is_left_alone() {
        for (from, to) in [
            ("    app\n}\n\nfn other", "    return app;\n}\n\nfn other"),
            ("let app = Manifest::new(\"shop\");", "let app = begin();"),
            ("    // The end.\n    app\n", "    /* The end. */ app\n"),
        ] {
            let source = SOURCE.replacen(from, to, 1);
            assert_ne!(source, SOURCE);
            let edited = declaration(&source).with(&wiring(&["invoke"]));
            assert_eq!(edited, None, "{source}");
        }
    }
}
