//! What of a workspace is the framework's, and the record of it in an app that is made from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use xshell::{Shell, cmd};

use crate::error::{AboutFile, CliError, Result};

/// The file that lists the framework's files in an app, in the app's folder.
pub(crate) const RECORD: &str = "infra/framework.json";

/// The framework's folders and files in the root of its workspace.
const PARTS: [&str; 10] = [
    ".cargo",
    ".gitignore",
    ".rustfmt.toml",
    CARGO_TOML,
    "clippy.toml",
    "deny.toml",
    "docs",
    "infra",
    "rustfmt.toml",
    "xtask",
];

/// What is below those and not the framework's, or of no use without its tests.
const NOT_PARTS: [&str; 6] = [
    RECORD,
    "infra/app",
    "infra/app-checks",
    "infra/stages.yaml",
    "infra/stream-rules",
    "infra/structure",
];

/// What tools and people leave behind, which git ignores.
const LEFT_BEHIND: [&str; 3] = ["__pycache__", "local-values.yaml", "target"];

const CARGO_TOML: &str = "Cargo.toml";

/// The framework in a workspace.
pub(crate) struct Framework {
    root: PathBuf,
    files: Vec<String>,
}

impl Framework {
    /// The framework in the workspace with this root.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for part in PARTS {
            add(root, part, &mut files).about("read", &root.join(part))?;
        }
        files.sort();
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }

    /// Its files, by their paths in the workspace.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// What an app has of a file.
    pub(crate) fn content(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.path(file);
        let content = fs::read(&path).about("read", &path)?;
        Ok(match file {
            CARGO_TOML => without_this_app(&String::from_utf8_lossy(&content)).into_bytes(),
            _ => content,
        })
    }

    /// The record of it.
    pub(crate) fn record(&self) -> Result<Record> {
        let digest = |file: &String| Ok((file.clone(), sha256(&self.content(file)?)));
        Ok(Record {
            origin: Origin::of(&self.root),
            files: self.files.iter().map(digest).collect::<Result<_>>()?,
        })
    }
}

fn add(root: &Path, part: &str, files: &mut Vec<String>) -> io::Result<()> {
    let path = root.join(part);
    let name = part.rsplit('/').next().unwrap_or(part);
    if NOT_PARTS.contains(&part) || LEFT_BEHIND.contains(&name) || !path.exists() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(&path)? {
            let name = entry?.file_name();
            add(root, &format!("{part}/{}", name.to_string_lossy()), files)?;
        }
    } else {
        files.push(part.to_owned());
    }
    Ok(())
}

/// The root's `Cargo.toml` without the tests of the framework, and without libraries of this app.
fn without_this_app(cargo_toml: &str) -> String {
    let is_kept = |line: &&str| {
        let line = line.trim_start();
        let is_member = line.starts_with("\"tests");
        let is_library = line.contains("path = \"functions/");
        let is_left_out = NOT_PARTS
            .iter()
            .any(|part| !part.contains("app") && line.contains(&format!("path = \"{part}\"")));
        !is_member && !is_library && !is_left_out
    };
    let lines: Vec<&str> = cargo_toml.lines().filter(is_kept).collect();
    lines.join("\n") + "\n"
}

pub(crate) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Which framework an app has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) origin: Origin,
    /// Each file, with the hash of what it held when it was written.
    files: BTreeMap<String, String>,
}

/// Where a framework comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    version: String,
    /// Of the repository that it was copied from, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
}

impl Origin {
    fn of(root: &Path) -> Self {
        let git = |arguments: &[&str]| {
            let shell = Shell::new().ok()?;
            let _directory = shell.push_dir(root);
            let told = cmd!(shell, "git {arguments...}");
            told.quiet().ignore_stderr().read().ok()
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            repository: git(&["remote", "get-url", "origin"]),
            commit: git(&["rev-parse", "HEAD"]),
        }
    }
}

impl Record {
    /// The record of an app; `None` for the workspace that the framework is developed in.
    pub(crate) fn of(root: &Path) -> Result<Option<Self>> {
        let file = root.join(RECORD);
        match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => serde_json::from_slice(&text.about("read", &file)?)
                .map(Some)
                .map_err(|error| {
                    CliError::new(format!("could not read {}: {error}", file.display()))
                }),
        }
    }

    /// Its files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Whether the same files hold the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// The files in `root` that are not as they were written.
    pub(crate) fn edited(&self, root: &Path) -> Vec<&str> {
        let files = self.files.iter();
        let edited = files.filter(|(file, written)| {
            let now = fs::read(root.join(file));
            now.map_or(true, |now| sha256(&now) != **written)
        });
        edited.map(|(file, _)| file.as_str()).collect()
    }

    /// The packages in it. A package is in a folder of its name.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.files().filter_map(|file| {
            let folder = file.strip_suffix("/Cargo.toml")?;
            folder.rsplit('/').next()
        })
    }

    pub(crate) fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| CliError::new(format!("could not write JSON: {error}")))?;
        Ok(text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framework_is_whole_and_holds_nothing_of_the_app() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let framework = Framework::of(root).unwrap();
        let files: Vec<&str> = framework.files().collect();
        for part in [
            ".cargo/config.toml",
            "Cargo.toml",
            "infra/manifest/src/lib.rs",
            "xtask/src/main.rs",
        ] {
            assert!(files.contains(&part), "{part}");
        }
        for file in files {
            let of_app = [
                "functions/",
                "infra/app",
                "infra/stages.yaml",
                "policies/",
                "tests/",
            ];
            assert!(
                !of_app.iter().any(|of_app| file.starts_with(of_app)),
                "{file}"
            );
        }
        let cargo_toml = String::from_utf8(framework.content("Cargo.toml").unwrap()).unwrap();
        assert!(
            cargo_toml.contains("    \"functions/*\",\n"),
            "{cargo_toml}"
        );
        for of_app in ["\"tests", "path = \"functions/", "infra/structure"] {
            assert!(!cargo_toml.contains(of_app), "{of_app}");
        }
        let record = framework.record().unwrap();
        let packages: Vec<&str> = record.packages().collect();
        assert!(packages.contains(&"manifest") && packages.contains(&"xtask"));
        assert!(!packages.contains(&"app"));
    }

    #[test]
    fn edits_are_noticed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("xtask")).unwrap();
        for file in ["Cargo.toml", "xtask/a.rs", "xtask/b.rs", "xtask/c.rs"] {
            fs::write(root.join(file), "before").unwrap();
        }
        fs::write(root.join("Cargo.toml"), "before\n").unwrap();
        let record = Framework::of(root).unwrap().record().unwrap();
        assert_eq!(record.edited(root), [""; 0]);
        fs::write(root.join("xtask/b.rs"), "after").unwrap();
        fs::remove_file(root.join("xtask/c.rs")).unwrap();
        assert_eq!(record.edited(root), ["xtask/b.rs", "xtask/c.rs"]);

        assert_eq!(Record::of(root).unwrap(), None);
        fs::create_dir(root.join("infra")).unwrap();
        fs::write(root.join(RECORD), record.text().unwrap()).unwrap();
        assert_eq!(Record::of(root).unwrap(), Some(record));
    }
}
