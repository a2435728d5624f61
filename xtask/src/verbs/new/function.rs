//! `new function`: a crate, a sample event, and the declaration.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use manifest::{App, Wiring};

use super::declaration::Declaration;
use super::package::{cargo, cargo_toml, formatted, succeed};
use super::written::Written;
use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::interrupt::Endings;
use crate::terminal::{status, tell};
use crate::verbs::env::quote;
use crate::verbs::graph;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, args: &cli::NewFunction) -> Result<()> {
    let app = workspace.declared_app()?;
    let declaration = Declaration::of(workspace, &app)?;
    let new = New::of(workspace, &app, &declaration, args)?;
    let mut endings = Endings::catch()?;
    // Whatever ends this before it is done takes everything back.
    let mut written = Written::default();
    tokio::select! {
        done = new.write(workspace, &mut written) => done?,
        _ = endings.next() => {
            drop(written);
            return Err(CliError::new(format!(
                "stopped before function {} was complete: nothing of it was kept",
                new.name
            )));
        }
    }
    written.keep();
    new.announce(workspace, &args.on);
    Ok(())
}

/// A function that is about to be part of the app.
struct New<'a> {
    name: &'a str,
    app: &'a App,
    declaration: &'a Declaration,
    /// The declaration with the function.
    declared: String,
    wiring: Wiring,
    /// The function's crate.
    folder: PathBuf,
    event: PathBuf,
}

impl<'a> New<'a> {
    /// Checks everything that can be checked before the first file is written.
    fn of(
        workspace: &Workspace,
        app: &'a App,
        declaration: &'a Declaration,
        args: &'a cli::NewFunction,
    ) -> Result<Self> {
        let name = &args.name;
        let folder = workspace.root().join("functions").join(name);
        let event = workspace.root().join(format!("assets/events/{name}.json"));
        let mut errors = Vec::new();
        let is_empty = std::fs::read_dir(&folder)
            .map_or(!folder.exists(), |mut entries| entries.next().is_none());
        if !is_empty {
            errors.push(format!(
                "{} is there already and not empty",
                folder.display()
            ));
        }
        if event.exists() {
            errors.push(format!("{} is there already", event.display()));
        }
        if is_taken(workspace, name)? {
            errors.push(format!(
                "the workspace has a package `{name}`: choose another name"
            ));
        }
        let manifest = declaration.manifest();
        let variable_at = |file: &str, line: u32| {
            let same = workspace.cargo_root().join(file) == declaration.file();
            same.then(|| declaration.variable_at(line)).flatten()
        };
        let wired = app.wire(
            name,
            &args.on,
            manifest.as_deref().unwrap_or("app"),
            variable_at,
        );
        match wired {
            Ok(wiring) if errors.is_empty() => {
                let declared = declaration.with(&wiring);
                let declared = declared.ok_or_else(|| cannot_edit(declaration, &wiring))?;
                Ok(Self {
                    name,
                    app,
                    declaration,
                    declared,
                    wiring,
                    folder,
                    event,
                })
            }
            wired => {
                errors.extend(wired.err().unwrap_or_default());
                let list: Vec<String> = errors
                    .iter()
                    .map(|error| format!("\n  - {error}"))
                    .collect();
                Err(CliError::misuse(format!(
                    "could not make function {name}:{}",
                    list.concat()
                )))
            }
        }
    }

    async fn write(&self, workspace: &Workspace, written: &mut Written) -> Result<()> {
        let wiring = &self.wiring;
        written.create(
            &self.folder.join("Cargo.toml"),
            &cargo_toml(self.name, wiring),
        )?;
        written.create(
            &self.folder.join("src/main.rs"),
            &formatted(&wiring.main, &self.folder).await?,
        )?;
        written.create(&self.event, &format!("{:#}\n", wiring.event))?;
        let file = self.declaration.file();
        let folder = file.parent().unwrap_or(Path::new("."));
        written.change(file, &formatted(&self.declared, folder).await?)?;
        self.generate(workspace, written).await
    }

    /// Generates what is generated from the declaration: by this program as it is when it is built
    /// anew, for this one knows the app as it was.
    async fn generate(&self, workspace: &Workspace, written: &mut Written) -> Result<()> {
        written.remember(&workspace.cargo_root().join("Cargo.lock"))?;
        written.remember(
            &workspace
                .root()
                .join(format!("policies/{}.json", self.name)),
        )?;
        let program = workspace.program();
        let mut generate = cargo(workspace, workspace.cargo_root());
        generate.args(["run", "--quiet", "--package", program, "--", "gen-policy"]);
        succeed(generate, "could not write the policies").await?;
        let pictures = graph::files(workspace)?;
        if !pictures.is_empty() {
            for picture in &pictures {
                written.remember(picture)?;
            }
            let mut draw = cargo(workspace, workspace.cargo_root());
            draw.args([
                "run",
                "--quiet",
                "--package",
                program,
                "--",
                "graph",
                "--update",
            ]);
            succeed(draw, "could not draw the app").await?;
        }
        let package = workspace.declaring_package(self.app);
        if package.join("tests/goldens.rs").exists() {
            for golden in files_below(&package.join("tests/golden"))? {
                written.remember(&golden)?;
            }
            let manifest = package.join("Cargo.toml");
            let mut test = cargo(workspace, workspace.cargo_root());
            test.args(["test", "--quiet", "--test", "goldens", "--manifest-path"])
                .arg(manifest)
                .env("UPDATE_GOLDENS", "1")
                .stdout(Stdio::null());
            succeed(test, "could not write the golden files").await?;
        }
        Ok(())
    }

    fn announce(&self, workspace: &Workspace, triggers: &[String]) {
        let name = self.name;
        let relative = |path: &Path| {
            let path = path.strip_prefix(workspace.cargo_root()).unwrap_or(path);
            path.display().to_string()
        };
        status(
            "Created",
            format!("{}: the handler and its tests", relative(&self.folder)),
        );
        status(
            "Created",
            format!("{}: a sample event", relative(&self.event)),
        );
        status(
            "Changed",
            format!("{}: the declaration", relative(self.declaration.file())),
        );
        tell("");
        tell("  Next:");
        tell(format_args!("    cargo xtask ci {name}"));
        tell("    cargo xtask local");
        let trigger = triggers.first().map_or("invoke", String::as_str);
        tell(format_args!(
            "    cargo xtask generate-event {} --stage local | cargo xtask invoke {name} --stage local",
            quote(trigger)
        ));
        tell("");
    }
}

fn cannot_edit(declaration: &Declaration, wiring: &Wiring) -> CliError {
    let lines = wiring.declarations.iter().chain([&wiring.function]);
    let lines: Vec<String> = lines.map(|line| format!("\n    {line}")).collect();
    CliError::new(format!(
        "could not add to {}, which has no function that begins with `let app = Manifest::new(…);` and ends in a line `app`:{}",
        declaration.file().display(),
        lines.concat()
    ))
    .hint("give the function that declares the app this form, and try again")
}

/// Whether cargo would have to choose between packages of the name. The standard library's names
/// are taken as well.
fn is_taken(workspace: &Workspace, name: &str) -> Result<bool> {
    const OF_RUST: [&str; 5] = ["alloc", "core", "proc-macro", "std", "test"];
    let lock = workspace.cargo_root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).about("read", &lock)?;
    let line = format!("name = \"{name}\"");
    let is_keyword = syn::parse_str::<syn::Ident>(&name.replace('-', "_")).is_err();
    Ok(OF_RUST.contains(&name) || is_keyword || lock.lines().any(|known| known == line))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        entries => entries.about("read", folder)?,
    };
    for entry in entries {
        files.push(entry.about("read", folder)?.path());
    }
    Ok(files)
}
