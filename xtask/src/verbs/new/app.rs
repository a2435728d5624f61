//! `new app`: a workspace with the framework and one function behind an HTTP API; and the framework
//! of such a workspace, replaced by this one.

use std::path::{Path, PathBuf, absolute};
use std::process::Stdio;

use manifest::{Manifest, Wiring};

use super::package::{cargo, cargo_toml, formatted, succeed};
use super::written::Written;
use crate::cli;
use crate::error::{AboutFile, CliError, Result};
use crate::framework::{Framework, RECORD, Record};
use crate::interrupt::Endings;
use crate::terminal::{status, tell};
use crate::workspace::{LOCAL, Workspace};

/// The app's first function, and what invokes it.
const FUNCTION: &str = "hello";
const TRIGGER: &str = "GET:/";

/// Files that are copied once, and the app's own from then on.
const COPIED: [&str; 4] = [
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "infra/app/tests/goldens.rs",
];

pub(super) async fn run(workspace: &Workspace, args: &cli::NewApp) -> Result<()> {
    let framework = Framework::of(workspace.cargo_root())?;
    let folder = absolute(&args.folder).about("find", &args.folder)?;
    match &args.name {
        Some(name) => {
            New {
                workspace,
                framework,
                folder,
                name,
            }
            .run()
            .await
        }
        None => update(&framework, &folder),
    }
}

/// An app that is about to be.
struct New<'a> {
    workspace: &'a Workspace,
    framework: Framework,
    folder: PathBuf,
    name: &'a str,
}

impl New<'_> {
    async fn run(self) -> Result<()> {
        let folder = &self.folder;
        let is_empty = std::fs::read_dir(folder)
            .map_or(!folder.exists(), |mut entries| entries.next().is_none());
        if !is_empty {
            return Err(CliError::misuse(format!(
                "could not make app {}: {} is there already and not empty",
                self.name,
                folder.display()
            ))
            .hint("name a folder that is not there yet"));
        }
        let mut endings = Endings::catch()?;
        let mut written = Written::default();
        tokio::select! {
            done = self.write(&mut written) => done?,
            _ = endings.next() => {
                drop(written);
                return Err(CliError::new("stopped before the app was complete: nothing of it was kept"));
            }
        }
        written.keep();
        status("Created", folder.display());
        tell("");
        tell("  Next:");
        tell(format_args!("    cd {}", folder.display()));
        tell("    git init");
        tell("    cargo xtask local -- sh -c 'curl $API_URL'");
        tell("    cargo xtask ci");
        tell("");
        Ok(())
    }

    async fn write(&self, written: &mut Written) -> Result<()> {
        let (wiring, policy) = self.wire()?;
        let folder = &self.folder;
        written.own(folder)?;
        status("Copying", "the framework");
        copy(&self.framework, folder, written)?;
        for file in COPIED {
            written.copy(&self.framework.path(file), &folder.join(file))?;
        }
        let filled_in = |text: &str| {
            text.replace("NAME", self.name)
                .replace("FUNCTION", &wiring.function)
        };
        let declaration = formatted(&filled_in(include_str!("app/lib.rs")), folder).await?;
        let function = format!("functions/{FUNCTION}");
        for (file, text) in [
            (
                "README.md".to_owned(),
                filled_in(include_str!("app/README.md")),
            ),
            (
                "infra/app/Cargo.toml".to_owned(),
                filled_in(include_str!("app/app.toml")),
            ),
            ("infra/app/src/lib.rs".to_owned(), declaration),
            (
                "infra/app-checks/Cargo.toml".to_owned(),
                filled_in(include_str!("app/checks.toml")),
            ),
            (
                "infra/app-checks/src/lib.rs".to_owned(),
                include_str!("app/checks.rs").to_owned(),
            ),
            ("infra/stages.yaml".to_owned(), self.stages()?),
            (
                format!("{function}/Cargo.toml"),
                cargo_toml(FUNCTION, &wiring),
            ),
            (
                format!("{function}/src/main.rs"),
                formatted(&wiring.main, folder).await?,
            ),
            (
                format!("assets/events/{FUNCTION}.json"),
                format!("{:#}\n", wiring.event),
            ),
            (format!("policies/{FUNCTION}.json"), policy),
        ] {
            written.create(&folder.join(file), &text)?;
        }
        status("Generating", "the golden files");
        let mut goldens = cargo(self.workspace, folder);
        goldens
            .args(["test", "--quiet", "--package", "app", "--test", "goldens"])
            .env("UPDATE_GOLDENS", "1")
            .stdout(Stdio::null());
        succeed(goldens, "could not write the golden files").await
    }

    /// What the function begins as, and its policy.
    fn wire(&self) -> Result<(Wiring, String)> {
        let app = || {
            let app = Manifest::new(self.name);
            let api = app.http_api(self.name).variable("API_URL");
            (app, api)
        };
        let trigger = [TRIGGER.to_owned()];
        let (before, _) = app();
        // An app has a function, and the new one must not be there yet.
        before.function("another");
        let wiring =
            resolve(&before)?.wire(FUNCTION, &trigger, "app", |_, _| Some("api".to_owned()));
        let wiring = wiring.map_err(|errors| CliError::new(errors.join("; ")))?;
        let (with_function, api) = app();
        with_function.function(FUNCTION).trigger(api.get("/"));
        let mut policies = resolve(&with_function)?.synth().policies;
        Ok((wiring, policies.remove(FUNCTION).unwrap_or_default()))
    }

    /// The explanation of all settings, as the framework's workspace has it, and three stages.
    fn stages(&self) -> Result<String> {
        let file = self.framework.path("infra/stages.yaml");
        let text = std::fs::read_to_string(&file).about("read", &file)?;
        let settings = text.find("\nlocal:\n").and_then(|at| text.get(..at));
        let explained = settings.and_then(|text| text.rfind("\n\n").and_then(|at| text.get(..at)));
        let explained = explained.map_or_else(String::new, |text| format!("{text}\n\n"));
        Ok(explained + include_str!("app/stages.yaml"))
    }
}

fn resolve(app: &Manifest) -> Result<manifest::App> {
    app.resolve(&manifest::Stage::with_defaults(LOCAL))
        .map_err(|violations| {
            let list: Vec<String> = violations
                .iter()
                .map(|violation| format!("\n  - {violation}"))
                .collect();
            CliError::misuse(format!("could not make the app:{}", list.concat()))
        })
}

/// Copies the framework into a folder, with its record.
fn copy(framework: &Framework, folder: &Path, written: &mut Written) -> Result<()> {
    for file in framework.files() {
        let (from, to) = (framework.path(file), folder.join(file));
        written.copy(&from, &to)?;
        let content = framework.content(file)?;
        if std::fs::read(&to).about("read", &to)? != content {
            std::fs::write(&to, content).about("write", &to)?;
        }
    }
    written.create(&folder.join(RECORD), &framework.record()?.text()?)
}

/// Replaces the framework of an app by this one, unless somebody has edited it there.
fn update(framework: &Framework, folder: &Path) -> Result<()> {
    let Some(record) = Record::of(folder)? else {
        return Err(CliError::misuse(format!(
            "could not update {}: it has no {RECORD}",
            folder.display()
        ))
        .hint("name the folder of an app that `cargo xtask new app` has made"));
    };
    let edited = record.edited(folder);
    let new = framework.record()?;
    let in_the_way = new
        .files()
        .filter(|file| !record.has(file) && folder.join(file).exists());
    let in_the_way: Vec<&str> = edited.into_iter().chain(in_the_way).collect();
    if !in_the_way.is_empty() {
        let list: Vec<String> = in_the_way
            .iter()
            .map(|file| format!("\n  - {file}"))
            .collect();
        return Err(CliError::new(format!(
            "could not update {}: these files are not as the framework has written them:{}",
            folder.display(),
            list.concat()
        ))
        .hint("undo the edits with git, or move them into files of your own"));
    }
    if record.is_same(&new) {
        status("Fresh", format!("the framework in {}", folder.display()));
        return Ok(());
    }
    let mut written = Written::default();
    for file in record.files().chain([RECORD]) {
        written.remove(&folder.join(file))?;
    }
    copy(framework, folder, &mut written)?;
    written.keep();
    status("Updated", format!("the framework in {}", folder.display()));
    tell("");
    tell("  Next, there:");
    tell("    cargo xtask gen-policy");
    tell("    UPDATE_GOLDENS=1 cargo test --package app --test goldens");
    tell("    git diff");
    tell("    cargo xtask ci");
    tell("");
    Ok(())
}
