//! The cargo workspace, and the app in it that a program is of.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

use manifest::{App, Function, Manifest, Stage, Stages};
use verify::Suite;

use crate::error::{AboutFile, CliError, Result};

/// The stage that runs on this machine.
pub(crate) const LOCAL: &str = "local";

/// Where an app is declared that has no function yet.
const USUAL_DECLARATION: &str = "infra/app/src/lib.rs";

/// How `infra/stages.yaml` declares it, on one line.
const LOCAL_STAGE: &str = r#"`local: {endpoint_url: "http://127.0.0.1:4566", region: us-east-1, account: "000000000000", architecture: host}`"#;

/// An app, and the cargo workspace that builds it.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    manifest: fn() -> Manifest,
    checks: Option<fn() -> Suite>,
    root: PathBuf,
    cargo_root: PathBuf,
    program: String,
    /// The packages that development builds have all debug information of.
    debugged: Vec<String>,
}

impl Workspace {
    /// The workspace that the app's folder lies in, or else the one that this program was built
    /// from. Without a folder of its own, the app's files are in the workspace's.
    pub(crate) fn new(
        manifest: fn() -> Manifest,
        checks: Option<fn() -> Suite>,
        root: Option<PathBuf>,
    ) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (root, cargo_root) = match root {
            Some(root) => {
                let mut folders = root.ancestors();
                let workspace = folders.find(|folder| folder.join("Cargo.lock").exists());
                let workspace = workspace.map_or_else(|| folder_above(package), Path::to_owned);
                (root, workspace)
            }
            // Cargo sets the variable for `cargo run`; a binary started by hand knows where it
            // was built.
            None => {
                let package = std::env::var_os("CARGO_MANIFEST_DIR")
                    .map_or_else(|| package.to_owned(), PathBuf::from);
                (folder_above(&package), folder_above(&package))
            }
        };
        Self {
            manifest,
            checks,
            root,
            cargo_root,
            program: program(),
            debugged: Vec::new(),
        }
    }

    /// The folder of the app's files: `infra/stages.yaml`, `policies`, `assets`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the cargo workspace, of whose packages the functions are.
    pub(crate) fn cargo_root(&self) -> &Path {
        &self.cargo_root
    }

    /// The same workspace, of which these packages are built for a debugger: with variables and
    /// types.
    pub(crate) fn debugging(&self, packages: Vec<String>) -> Self {
        Self {
            debugged: packages,
            ..self.clone()
        }
    }

    /// The packages that are built for a debugger.
    pub(crate) fn debugged(&self) -> &[String] {
        &self.debugged
    }

    /// The package that this program is of.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// The app's checks of a deployed stage, if it has any.
    pub(crate) fn checks(&self) -> Option<Suite> {
        self.checks.map(|suite| suite())
    }

    /// Where everything that is built or downloaded goes.
    pub(crate) fn target(&self) -> PathBuf {
        Self::named_target().unwrap_or_else(|| self.cargo_root.join("target"))
    }

    /// The target directory that the environment names, as an absolute path. A cargo that is
    /// started in another folder needs it in this form, or takes a relative one for another.
    pub(crate) fn named_target() -> Option<PathBuf> {
        target_named_by(|name| std::env::var_os(name)).and_then(|path| absolute(path).ok())
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> String {
        std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
    }

    /// Where cargo keeps the sources of dependencies.
    pub(crate) fn cargo_home(&self) -> PathBuf {
        std::env::var_os("CARGO_HOME").map_or_else(
            || std::env::home_dir().unwrap_or_default().join(".cargo"),
            PathBuf::from,
        )
    }

    /// The stages of `infra/stages.yaml`.
    pub(crate) fn stages(&self) -> Result<Stages> {
        let path = self.root.join("infra/stages.yaml");
        let text = std::fs::read_to_string(&path).about("read", &path)?;
        Stages::parse(&text).map_err(|error| CliError::new(format!("infra/{error}")))
    }

    /// A stage of `infra/stages.yaml`.
    pub(crate) fn stage(&self, name: &str) -> Result<Stage> {
        self.stages()?.get(name).map_err(|error| {
            let is_misspelt = error.meant().is_some();
            let error = CliError::misuse(error);
            match name {
                _ if is_misspelt => error,
                LOCAL => error.hint(format_args!("add to infra/stages.yaml: {LOCAL_STAGE}")),
                _ => error.hint(format_args!(
                    "add to infra/stages.yaml a line `{name}:`, or `{name}:` with settings below it"
                )),
            }
        })
    }

    /// The app, resolved for a stage.
    pub(crate) fn app(&self, stage: &str) -> Result<App> {
        self.resolve(&self.stage(stage)?)
    }

    /// The app as it is declared, for what no stage decides.
    pub(crate) fn declared_app(&self) -> Result<App> {
        self.resolve(&Stage::with_defaults(LOCAL))
    }

    /// The file that declares the app: the one with its functions.
    pub(crate) fn declaring_file(&self, app: &App) -> PathBuf {
        let declared_at = app.functions().next().map(Function::declared_at);
        let file = declared_at.as_deref().and_then(|at| at.rsplit_once(':'));
        let file = file.map_or(USUAL_DECLARATION, |(file, _)| file);
        self.cargo_root.join(file)
    }

    /// The folder of the package that declares the app.
    pub(crate) fn declaring_package(&self, app: &App) -> PathBuf {
        let file = self.declaring_file(app);
        let mut folders = file.ancestors().skip(1);
        let package = folders.find(|folder| folder.join("Cargo.toml").exists());
        package.unwrap_or(&self.cargo_root).to_owned()
    }

    /// The app, resolved for a stage with these settings.
    pub(crate) fn resolve(&self, stage: &Stage) -> Result<App> {
        (self.manifest)().resolve(stage).map_err(|violations| {
            let list: Vec<String> = violations
                .iter()
                .map(|violation| format!("\n  - {violation}"))
                .collect();
            CliError::new(format!(
                "the manifest cannot be deployed to stage {}:{}",
                stage.name,
                list.concat()
            ))
            .hint("the app is declared in infra/app/src/lib.rs, its stages in infra/stages.yaml")
        })
    }
}

/// The name of this program's file, which is that of its package.
fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_name);
    name.map_or_else(
        || env!("CARGO_PKG_NAME").to_owned(),
        |name| package_of(&name.to_string_lossy()),
    )
}

/// Linux marks the name of a file that was replaced after the process had started, as cargo does when it builds the program.
fn package_of(file_name: &str) -> String {
    let name = file_name.strip_suffix(" (deleted)").unwrap_or(file_name);
    name.to_owned()
}

fn folder_above(package: &Path) -> PathBuf {
    package.parent().unwrap_or(Path::new(".")).to_owned()
}

/// The target directory by the first variable that cargo heeds. Cargo takes no empty one.
fn target_named_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
        .into_iter()
        .filter_map(variable)
        .find(|directory| !directory.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_program_that_was_built_again_keeps_its_name() {
        for file_name in ["shop-xtask", "shop-xtask (deleted)"] {
            assert_eq!(package_of(file_name), "shop-xtask");
        }
    }

    #[test]
    fn the_target_directory_is_the_one_that_cargo_takes() {
        let named = |cargo: Option<&str>, config: Option<&str>| {
            target_named_by(|name| match name {
                "CARGO_TARGET_DIR" => cargo.map(OsString::from),
                _ => config.map(OsString::from),
            })
        };
        assert_eq!(named(None, None), None);
        assert_eq!(named(Some("a"), Some("b")), Some("a".into()));
        assert_eq!(named(None, Some("b")), Some("b".into()));
        assert_eq!(named(Some(""), None), None);
    }

    #[test]
    fn the_hint_for_the_local_stage_declares_it() {
        let yaml = LOCAL_STAGE.trim_matches('`');
        let local = Stages::parse(yaml).unwrap().get(LOCAL).unwrap();
        testing::workspace().resolve(&local).unwrap();
        assert!(local.endpoint_url.is_some());
    }

    #[test]
    fn an_app_may_have_its_files_elsewhere() {
        let root = PathBuf::from("/somewhere/else");
        let elsewhere = Workspace::new(testing::app, None, Some(root.clone()));
        assert_eq!(elsewhere.root(), root);
        assert!(elsewhere.cargo_root().join("Cargo.lock").exists());
        assert!(!elsewhere.target().starts_with(root));
    }

    #[test]
    fn the_workspace_is_the_one_around_the_apps_folder() {
        let copy = std::env::temp_dir().join(format!("xtask-workspace-{}", std::process::id()));
        let root = copy.join("tests/example");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(copy.join("Cargo.lock"), "").unwrap();
        let within = Workspace::new(testing::app, None, Some(root));
        std::fs::remove_dir_all(&copy).unwrap();
        assert_eq!(within.cargo_root(), copy);
    }
}
