//! A state that was written down: a folder of files, and `state.json`, which says which of them belong to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::python::emulator_version;
use crate::stream_poller::Position;
use crate::{Error, create_private_file};

/// What this version writes and reads.
const FORMAT: u32 = 1;

/// Names the files of a state. It is renamed into its place when these are whole, and so makes them the state.
const INDEX: &str = "state.json";

/// The data of a stage at one moment, in a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptState {
    format: u32,
    /// The stack of the app's stage.
    pub stack: String,
    /// The region that it is in.
    pub region: String,
    /// The version of the emulator, which wrote most of it.
    emulator: String,
    /// The moment of which it is, or a little before.
    pub taken_at: Timestamp,
    /// How many states were written into the folder. Files are named by it.
    pub(super) number: u64,
    /// The emulator's file.
    pub(super) state: String,
    /// The local Rekognition's, if there is one.
    pub(super) jobs: Option<String>,
    pub(super) files: BTreeMap<String, KeptFile>,
    pub(super) positions: Vec<Position>,
    pub(super) fired_until: BTreeMap<String, Timestamp>,
    /// SHA-256 of each stack's template.
    templates: BTreeMap<String, String>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptFile {
    bytes: u64,
    sha256: String,
}

/// What is known of a state when its files are written.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) taken_at: Timestamp,
    pub(super) number: u64,
    pub(super) state: String,
    pub(super) jobs: Option<String>,
    pub(super) files: BTreeMap<String, KeptFile>,
    pub(super) positions: Vec<Position>,
    pub(super) fired_until: BTreeMap<String, Timestamp>,
    pub(super) templates: BTreeMap<String, String>,
}

impl KeptState {
    pub(super) fn new(stack: &str, region: &str, taken: Taken) -> Self {
        Self {
            format: FORMAT,
            stack: stack.to_owned(),
            region: region.to_owned(),
            emulator: emulator_version().to_owned(),
            taken_at: taken.taken_at,
            number: taken.number,
            state: taken.state,
            jobs: taken.jobs,
            files: taken.files,
            positions: taken.positions,
            fired_until: taken.fired_until,
            templates: taken.templates,
        }
    }

    /// The state in this folder, if there is one. Its files are not read: see [`Self::check`].
    ///
    /// # Errors
    /// It cannot be read, or is of another version of this program.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = folder.join(INDEX);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let damaged = |error: serde_json::Error| damaged(folder, format!("{INDEX}: {error}"));
        let Format { format } = serde_json::from_slice(&text).map_err(damaged)?;
        if format != FORMAT {
            return Err(refused(
                folder,
                format!("the data has format {format}, and this program reads format {FORMAT}"),
            ));
        }
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Whether a stage of this stack can begin with it: reads every file.
    ///
    /// # Errors
    /// It is of another stack, region or version of the emulator, or a file has changed since it was written.
    pub fn check(&self, folder: &Path, stack: &str, region: &str) -> Result<(), Error> {
        for (what, of_state, of_stage) in [
            ("the stack", self.stack.as_str(), stack),
            ("the region", &self.region, region),
            ("version", &self.emulator, emulator_version()),
        ] {
            if of_state != of_stage {
                let emulator = if what == "version" {
                    " of the emulator"
                } else {
                    ""
                };
                let why =
                    format!("it is of {what} {of_state}{emulator}, and the stage of {of_stage}");
                return Err(refused(folder, why));
            }
        }
        for (name, file) in &self.files {
            let found = KeptFile::of(&folder.join(name));
            let found = found.map_err(|error| damaged(folder, format!("{name}: {error}")))?;
            if found != *file {
                let why = format!("{name} has changed since it was written");
                return Err(damaged(folder, why));
            }
        }
        Ok(())
    }

    /// The files' size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// SHA-256 of the template of the app's stack, in hexadecimal digits.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.templates.get(&self.stack).map(String::as_str)
    }

    pub(super) fn file_of_emulator(&self, folder: &Path) -> PathBuf {
        folder.join(&self.state)
    }

    pub(super) fn file_of_jobs(&self, folder: &Path) -> Option<PathBuf> {
        Some(folder.join(self.jobs.as_ref()?))
    }

    /// Makes it the state of the folder, in the place of the one before, whose files go.
    pub(super) fn commit(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{INDEX}.new"));
        let mut file = create_private_file(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&new, folder.join(INDEX))?;
        File::open(folder)?.sync_all()?;
        for entry in folder.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = name == INDEX
                || name
                    .to_str()
                    .is_some_and(|name| self.files.contains_key(name));
            if !is_ours {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl KeptFile {
    /// What a file is now.
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        let mut part = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut part)?;
            if read == 0 {
                break;
            }
            let part = part.get(..read).unwrap_or_default();
            digest.update(part);
            bytes += part.len() as u64;
        }
        Ok(Self {
            bytes,
            sha256: hex(&digest.finalize()),
        })
    }

    /// Writes a file to disk.
    pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<Self> {
        let mut file = create_private_file(path)?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(Self {
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn damaged(folder: &Path, why: String) -> Error {
    Error::StateDamaged {
        folder: folder.to_owned(),
        why,
    }
}

fn refused(folder: &Path, why: String) -> Error {
    Error::StateRefused {
        folder: folder.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(folder: &Path, number: u64) -> KeptState {
        let name = format!("state-{number}");
        let file = KeptFile::write(&folder.join(&name), b"content").unwrap();
        let taken = Taken {
            taken_at: Timestamp::now(),
            number,
            state: name.clone(),
            jobs: None,
            files: [(name, file)].into(),
            positions: Vec::new(),
            fired_until: BTreeMap::new(),
            templates: [("shop-local".to_owned(), "abc".to_owned())].into(),
        };
        KeptState::new("shop-local", "us-east-1", taken)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_state_takes_the_place_of_the_one_before_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(KeptState::read(folder).unwrap().is_none());
        state(folder, 1).commit(folder).unwrap();
        let next = state(folder, 2);
        let read = KeptState::read(folder).unwrap().unwrap();
        assert_eq!(read.number, 1);
        read.check(folder, "shop-local", "us-east-1").unwrap();
        next.commit(folder).unwrap();
        let read = KeptState::read(folder).unwrap().unwrap();
        assert_eq!(
            (read.number, read.bytes(), read.template()),
            (2, 7, Some("abc"))
        );
        assert_eq!(names(folder), ["state-2", "state.json"]);
    }

    #[test]
    fn what_is_damaged_or_of_something_else_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let kept = state(folder, 1);
        kept.commit(folder).unwrap();
        let why = |stack: &str, region: &str| {
            let error = kept.check(folder, stack, region).unwrap_err();
            error.to_string()
        };
        assert!(why("other-local", "us-east-1").contains("the stack shop-local"));
        assert!(why("shop-local", "eu-west-1").contains("the region us-east-1"));
        std::fs::write(folder.join("state-1"), "changed").unwrap();
        assert!(
            why("shop-local", "us-east-1").ends_with("state-1 has changed since it was written")
        );
        std::fs::remove_file(folder.join("state-1")).unwrap();
        assert!(why("shop-local", "us-east-1").contains("state-1: No such file"));
        std::fs::write(folder.join(INDEX), r#"{"format": 2}"#).unwrap();
        let error = KeptState::read(folder).unwrap_err().to_string();
        assert!(error.contains("the data has format 2"), "{error}");
        std::fs::write(folder.join(INDEX), r#"{"format": 1"#).unwrap();
        assert!(matches!(
            KeptState::read(folder),
            Err(Error::StateDamaged { .. })
        ));
    }
}
