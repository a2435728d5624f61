//! Where the local stage's data is kept: one state that a stage goes on with, and snapshots by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use local::KeptState;

use crate::error::{AboutFile, CliError, Result};
use crate::stage_state::StageState;
use crate::workspace::Workspace;

/// The name of the state that `local --keep` goes on with.
const KEPT: &str = "kept";

/// Names a snapshot: it is a folder's name, and is typed in a shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotName(String);

impl FromStr for SnapshotName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_allowed = |character: char| {
            character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || "-_.".contains(character)
        };
        let is_name = text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.len() <= 64
            && text.chars().all(is_allowed);
        is_name.then(|| Self(text.to_owned())).ok_or_else(|| {
            "a name is up to 64 lower-case letters, digits, hyphens, underscores and dots, \
             and begins with a letter or a digit"
                .to_owned()
        })
    }
}

impl std::fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl SnapshotName {
    /// Whether it names what `local --keep` goes on with.
    pub(crate) fn is_kept(&self) -> bool {
        self.0 == KEPT
    }
}

/// The folders of the states of a workspace's local stage.
#[derive(Debug, Clone)]
pub(crate) struct States(PathBuf);

impl States {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self(StageState::directory(workspace))
    }

    /// What `local --keep` goes on with.
    pub(crate) fn kept(&self) -> PathBuf {
        self.0.join(KEPT)
    }

    fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    pub(crate) fn folder(&self, name: &SnapshotName) -> PathBuf {
        if name.is_kept() {
            self.kept()
        } else {
            self.snapshots().join(&name.0)
        }
    }

    /// Where a state is written before it gets its name.
    pub(crate) fn unnamed(&self) -> PathBuf {
        self.snapshots().join(".new")
    }

    /// A state by its name.
    pub(crate) fn read(&self, name: &SnapshotName) -> Result<KeptState> {
        KeptState::read(&self.folder(name))?.ok_or_else(|| {
            let error = CliError::new(format!("there is no snapshot `{name}`"));
            let names: Vec<_> = self.names().iter().map(SnapshotName::to_string).collect();
            match names.as_slice() {
                [] => error
                    .hint("save one while the local stage runs: cargo xtask snapshot save NAME"),
                names => error.hint(format!("name one of: {}", names.join(", "))),
            }
        })
    }

    /// The names of all states, that of the kept one first.
    pub(crate) fn names(&self) -> Vec<SnapshotName> {
        let entries = fs::read_dir(self.snapshots()).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut names: Vec<SnapshotName> = names.collect();
        names.sort();
        if self.kept().exists() {
            names.insert(0, SnapshotName(KEPT.to_owned()));
        }
        names
    }

    /// Gives a folder the name, in the place of what has it.
    pub(crate) fn put(&self, from: &Path, name: &SnapshotName) -> Result<()> {
        let folder = self.folder(name);
        remove(&folder)?;
        fs::rename(from, &folder).about("create", &folder)
    }

    /// Copies a state, in the place of what has the name.
    pub(crate) fn copy(&self, from: &SnapshotName, to: &SnapshotName) -> Result<()> {
        let new = self.unnamed();
        remove(&new)?;
        local::create_private_folder(&new).about("create", &new)?;
        let folder = self.folder(from);
        for entry in fs::read_dir(&folder).about("read", &folder)? {
            let path = entry.about("read", &folder)?.path();
            // Files are written once, and never changed.
            if let Some(name) = path.file_name() {
                fs::hard_link(&path, new.join(name)).about("copy", &path)?;
            }
        }
        self.put(&new, to)
    }

    /// Forgets a state.
    pub(crate) fn delete(&self, name: &SnapshotName) -> Result<()> {
        let folder = self.folder(name);
        if !folder.exists() {
            self.read(name)?;
        }
        remove(&folder)
    }
}

pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).about("remove", folder)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_folder_s_name_and_no_path() {
        for name in ["demo", "kept", "a-b_c.1", "7"] {
            assert_eq!(name.parse::<SnapshotName>().unwrap().to_string(), name);
        }
        for wrong in ["", ".new", "..", "a/b", "Demo", "-x", &"x".repeat(65)] {
            assert!(wrong.parse::<SnapshotName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_put_takes_the_place_of_what_had_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let states = States(folder.path().to_owned());
        let name = |name: &str| name.parse::<SnapshotName>().unwrap();
        for content in ["one", "two"] {
            fs::create_dir_all(states.unnamed()).unwrap();
            fs::write(states.unnamed().join("state-1"), content).unwrap();
            states.put(&states.unnamed(), &name("demo")).unwrap();
        }
        states.copy(&name("demo"), &name("kept")).unwrap();
        assert_eq!(states.names(), [name("kept"), name("demo")]);
        assert_eq!(fs::read(states.kept().join("state-1")).unwrap(), b"two");
        states.delete(&name("demo")).unwrap();
        assert_eq!(states.names(), [name("kept")]);
        let error = states.delete(&name("demo")).unwrap_err();
        assert_eq!(error.message(), "there is no snapshot `demo`");
    }
}
