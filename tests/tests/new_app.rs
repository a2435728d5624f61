//! `cargo xtask new app`: an app of one's own, with the framework as it is here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use acceptance::copy::{folder_beside_target, link_target};
use acceptance::{Stage, workspace, xtask, xtask_program};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// An app, in a folder and with a target directory of its own.
struct App {
    folder: TempDir,
}

impl App {
    fn new() -> Self {
        let app = Self {
            folder: folder_beside_target(),
        };
        // What is the app's is another in the workspace.
        link_target(&app.target(), &["app", "app-checks", "xtask"]);
        app.succeed(
            &xtask_program(),
            &[
                "new",
                "app",
                app.root().to_str().unwrap(),
                "--name",
                "kiosk",
            ],
        );
        app
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("kiosk")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.root().join(file)).unwrap()
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = xtask(program, arguments);
        command.env("CARGO_TARGET_DIR", self.target());
        command.output().unwrap()
    }

    fn succeed(&self, program: &Path, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// The program of the app, built anew.
    fn program(&self) -> PathBuf {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .current_dir(self.root())
            .args(["build", "--quiet", "--package", "xtask"])
            .env("CARGO_TARGET_DIR", self.target());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        assert!(build.status().unwrap().success());
        self.target().join("debug/xtask")
    }

    fn update(&self) -> (i32, String) {
        let root = self.root();
        let output = self.run(
            &xtask_program(),
            &["new", "app", root.to_str().unwrap(), "--update"],
        );
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    }
}

/// Triggers that declare what they are of, as far as there are such kinds.
fn triggers(words: &[&str]) -> Vec<String> {
    let usages = manifest::trigger_usages();
    let chosen = usages.filter(|trigger| words.iter().any(|word| trigger.usage.starts_with(word)));
    chosen.map(|trigger| trigger.example).collect()
}

#[test]
fn an_app_of_ones_own_runs_and_takes_functions_and_a_newer_framework() {
    let app = App::new();
    assert!(app.read("README.md").starts_with("# kiosk\n"));
    for yours in [
        "infra/app/src/lib.rs",
        "infra/app/tests/golden/prod.yaml",
        "policies/hello.json",
    ] {
        assert!(!app.read(yours).is_empty(), "{yours}");
    }
    let mut foreign = vec!["\"tests".to_owned()];
    for package in std::fs::read_dir(workspace().join("functions")).unwrap() {
        let package = package.unwrap().file_name().into_string().unwrap();
        foreign.push(format!("functions/{package}"));
    }
    for file in ["Cargo.toml", "infra/stages.yaml", "infra/app/src/lib.rs"] {
        let text = app.read(file);
        for foreign in &foreign {
            assert!(!text.contains(foreign), "{file}: {foreign}");
        }
    }

    a_newer_framework_replaces_the_one_that_nobody_has_edited(&app);

    let mut program = app.program();
    for (index, trigger) in triggers(&["queue:", "schedule:"]).iter().enumerate() {
        let name = format!("more-{index}");
        let said = app.succeed(&program, &["new", "function", &name, "--on", trigger]);
        assert!(
            said.contains("infra/app/src/lib.rs: the declaration"),
            "{said}"
        );
        program = app.program();
        app.succeed(&program, &["gen-policy", "--check"]);
        assert!(app.read("infra/app/tests/golden/prod.yaml").contains(&name));
    }

    let target = app.target();
    let target = [("CARGO_TARGET_DIR", target.to_str().unwrap())];
    let stage = Stage::with_variables(program, &[], &target);
    assert_eq!(
        stage.get("API_URL", "/").body,
        r#"{"message":"Hello from hello"}"#
    );
}

/// Of an app as it was made.
fn a_newer_framework_replaces_the_one_that_nobody_has_edited(app: &App) {
    let (code, said) = app.update();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Fresh"), "{said}");

    let record = app.read("infra/framework.json");
    let file = app.root().join("docs/style.md");
    let style = std::fs::read_to_string(&file).unwrap();
    let known = record
        .lines()
        .find(|line| line.contains("docs/style.md"))
        .unwrap();
    let hash = known.split('"').nth(3).unwrap();
    std::fs::write(&file, "old\n").unwrap();
    let (code, said) = app.update();
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("as the framework has written them:\n  - docs/style.md\n"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old\n");

    // As an older framework would have written it.
    let older = record.replace(hash, &hex::encode(Sha256::digest("old\n")));
    std::fs::write(app.root().join("infra/framework.json"), older).unwrap();
    let (code, said) = app.update();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Updated"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), style);
    assert_eq!(app.read("infra/framework.json"), record);

    let elsewhere = workspace();
    let output = app.run(
        &xtask_program(),
        &["new", "app", elsewhere.to_str().unwrap(), "--update"],
    );
    assert_eq!(output.status.code(), Some(2));
    let output = app.run(
        &xtask_program(),
        &["new", "app", elsewhere.to_str().unwrap(), "--name", "kiosk"],
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is there already and not empty"), "{said}");
}
