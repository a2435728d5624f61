//! A copy of the workspace, for tests that edit it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{workspace, xtask, xtask_program};

/// A new folder on the file system of the target directory, as hard links need it.
pub fn folder_beside_target() -> TempDir {
    TempDir::new_in(built().parent().unwrap()).unwrap()
}

/// Where the programs of the workspace are built.
fn built() -> PathBuf {
    let program = xtask_program();
    program.parent().unwrap().to_owned()
}

/// With their times, by which cargo knows what has changed.
fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg("-pR").arg(from).arg(to);
    assert!(command.status().unwrap().success());
}

/// Makes a target directory with the dependencies as they are built, for a workspace with the same
/// packages at the same places. `edited` are those that are not the same there.
pub fn link_target(target: &Path, edited: &[impl AsRef<str>]) {
    let built = built();
    let debug = target.join("debug");
    std::fs::create_dir_all(debug.join("deps")).unwrap();
    for folder in ["build", ".fingerprint"] {
        copy(&built.join(folder), &debug);
    }
    let edited: Vec<String> = edited
        .iter()
        .map(|name| name.as_ref().replace('-', "_"))
        .collect();
    for entry in std::fs::read_dir(built.join("deps")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let of = name
            .strip_prefix("lib")
            .unwrap_or(&name)
            .split('-')
            .next()
            .unwrap();
        // A compiler that writes into a file would write into the other copy as well.
        let is_output = entry.file_type().unwrap().is_file() && !name.ends_with(".d");
        if is_output && !edited.iter().any(|edited| edited == of) {
            std::fs::hard_link(entry.path(), debug.join("deps").join(name)).unwrap();
        }
    }
    // The Python environments know no workspace.
    std::os::unix::fs::symlink(
        built.parent().unwrap().join("python"),
        target.join("python"),
    )
    .unwrap();
}

/// A copy of the workspace with the dependencies as they are built. Only what is edited in it is
/// built again.
pub struct Copy {
    root: TempDir,
    target: PathBuf,
}

impl Copy {
    /// `edited` are the packages that will not be the same.
    pub fn new(edited: &[impl AsRef<str>]) -> Self {
        let root = folder_beside_target();
        for entry in std::fs::read_dir(workspace()).unwrap() {
            let entry = entry.unwrap().path();
            if !["target", ".git"]
                .map(OsStr::new)
                .map(Some)
                .contains(&entry.file_name())
            {
                copy(&entry, root.path());
            }
        }
        let target = root.path().join("target");
        link_target(&target, edited);
        Self { root, target }
    }

    /// Replaces a part of a file that is there once.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let file = self.root.path().join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    }

    /// A verb of the program of the example, which works in the copy.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = xtask(&xtask_program(), arguments);
        command
            .env(
                "CARGO_MANIFEST_DIR",
                self.root.path().join("tests/example/xtask"),
            )
            .env("CARGO_TARGET_DIR", &self.target)
            .env("XTASK_LOCAL_DIR", self.root.path());
        command
    }

    /// Where the copy is built.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The copy's folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The program of the example, as a cargo in the copy has built it last.
    pub fn program(&self) -> PathBuf {
        self.target.join("debug/shop-xtask")
    }
}
