//! What every function of an app has beside its declaration: a package, and a sample event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use manifest::Function;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::environment::without_cargo_variables;
use crate::error::{CliError, Result};
use crate::framework::Record;
use crate::workspace::Workspace;

/// The packages of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Packages {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    path: Option<PathBuf>,
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }
}

impl Packages {
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let shell = Shell::new()?;
        let _directory = shell.push_dir(workspace.cargo_root());
        let cargo = workspace.cargo();
        let metadata = cmd!(shell, "{cargo} metadata --no-deps --format-version 1");
        let text = without_cargo_variables(metadata).quiet().read()?;
        serde_json::from_str(&text)
            .map_err(|error| CliError::new(format!("could not read cargo's messages: {error}")))
    }

    /// A package and those below `folder` that it depends on, by name.
    pub(crate) fn with_dependencies(&self, name: &str, folder: &Path) -> BTreeSet<&str> {
        let by_folder: BTreeMap<&Path, &Package> = self
            .packages
            .iter()
            .map(|package| (package.folder(), package))
            .collect();
        let mut found = BTreeSet::new();
        let mut open: Vec<&Package> = self.named(name).into_iter().collect();
        while let Some(package) = open.pop() {
            if found.insert(package.name.as_str()) {
                let paths = package.dependencies.iter();
                let paths = paths.filter_map(|dependency| dependency.path.as_deref());
                let within = paths.filter(|path| path.starts_with(folder));
                open.extend(within.filter_map(|path| by_folder.get(path)));
            }
        }
        found
    }

    /// Which of the functions the fewest crates are compiled for, as far as the packages below `folder` tell.
    pub(super) fn smallest<'a>(
        &self,
        functions: impl Iterator<Item = &'a str>,
        folder: &Path,
    ) -> Option<&'a str> {
        functions.min_by_key(|name| {
            let packages = self.with_dependencies(name, folder);
            let packages = packages.iter().filter_map(|name| self.named(name));
            let dependencies = packages.flat_map(|package| &package.dependencies);
            let crates: BTreeSet<&str> = dependencies.map(|it| it.name.as_str()).collect();
            crates.len()
        })
    }

    /// Cargo's options for the packages that do not belong to the framework.
    pub(super) fn outside(&self, framework: &Record) -> Vec<String> {
        let framework: BTreeSet<&str> = framework.packages().collect();
        let names = self.packages.iter().map(|package| package.name.as_str());
        names
            .filter(|name| !framework.contains(name))
            .map(|name| format!("--package={name}"))
            .collect()
    }

    fn named(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

/// Fails if a part of one of the functions is missing; names all that are.
pub(super) fn check(workspace: &Workspace, functions: &[&Function]) -> Result<Packages> {
    let packages = Packages::of(workspace)?;
    let mut missing = Vec::new();
    for function in functions {
        let (name, at) = (function.name(), function.declared_at());
        if packages.named(name).is_none() {
            missing.push(format!(
                "{at} declares function {name}, and the workspace has no package {name}: add functions/{name}, or let `cargo xtask new function` write both"
            ));
        }
        let event = format!("assets/events/{name}.json");
        if !workspace.root().join(&event).exists() {
            missing.push(format!(
                "function {name} has no sample event: add {event}, which `cargo xtask generate-event` can write"
            ));
        }
    }
    if missing.is_empty() {
        return Ok(packages);
    }
    let list: Vec<String> = missing.iter().map(|part| format!("\n  - {part}")).collect();
    Err(CliError::new(format!(
        "parts of functions are missing:{}",
        list.concat()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn all_missing_parts_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = testing::workspace_in(folder.path());
        let app = workspace.declared_app().unwrap();
        let functions: Vec<&Function> = app.functions().take(1).collect();
        let error = format!("{:?}", check(&workspace, &functions).unwrap_err());
        for part in [
            "declares function count-stock, and the workspace has no package count-stock",
            "add assets/events/count-stock.json, which `cargo xtask generate-event` can write",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn libraries_of_the_app_go_with_a_function() {
        let package = |name: &str, dependencies: &[&str]| Package {
            name: name.to_owned(),
            manifest_path: format!("/app/functions/{name}/Cargo.toml").into(),
            dependencies: dependencies
                .iter()
                .map(|path| Dependency {
                    name: path.rsplit('/').next().unwrap().to_owned(),
                    path: Some(path.into()),
                })
                .chain([Dependency {
                    name: "serde".to_owned(),
                    path: None,
                }])
                .collect(),
        };
        let packages = Packages {
            packages: vec![
                package("sell", &["/app/functions/orders", "/app/infra/runtime"]),
                package("orders", &["/app/functions/money"]),
                package("money", &[]),
                package("pack", &["/app/functions/orders"]),
            ],
        };
        let functions = Path::new("/app/functions");
        assert_eq!(
            packages.with_dependencies("sell", functions),
            ["money", "orders", "sell"].into()
        );
        assert_eq!(
            packages.with_dependencies("money", functions),
            ["money"].into()
        );
        assert_eq!(
            packages.smallest(["sell", "money", "orders"].into_iter(), functions),
            Some("money")
        );
        let framework = r#"{"origin": {"version": "1"}, "files": {"infra/pack/Cargo.toml": ""}}"#;
        let framework = serde_json::from_str(framework).unwrap();
        assert_eq!(
            packages.outside(&framework),
            ["--package=sell", "--package=orders", "--package=money"]
        );
    }
}
