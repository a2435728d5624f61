//! Generated files, and generated parts of documents, that are committed, so that a change shows in review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::{AboutFile, CliError, Result};
use crate::output::print;
use crate::terminal::status;
use crate::workspace::Workspace;

/// The JSON files of a folder as they are and as they should be, by their names.
pub(crate) struct GeneratedFolder {
    name: &'static str,
    directory: PathBuf,
    wanted: BTreeMap<String, String>,
    present: BTreeMap<String, String>,
}

impl GeneratedFolder {
    /// The folder of this name in that of the app. `wanted` is the text of each file, by its name
    /// without `.json`.
    pub(crate) fn new(
        workspace: &Workspace,
        name: &'static str,
        wanted: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let directory = workspace.root().join(name);
        let wanted = wanted.into_iter();
        Ok(Self {
            name,
            wanted: wanted
                .map(|(name, text)| (format!("{name}.json"), text))
                .collect(),
            present: present(name, &directory)?,
            directory,
        })
    }

    /// Writes what is not as it should be, and removes what should not be there.
    pub(crate) fn write(&self) -> Result<()> {
        if !self.wanted.is_empty() {
            fs::create_dir_all(&self.directory).about("create", &self.directory)?;
        }
        for name in self.changed() {
            let file = self.directory.join(name);
            match self.wanted.get(name) {
                Some(text) => fs::write(&file, text).about("write", &file)?,
                None => fs::remove_file(&file).about("remove", &file)?,
            }
            status("Wrote", format!("{}/{name}", self.name));
        }
        Ok(())
    }

    /// Fails when a file is not as it would be written, and shows how it differs. `command` writes
    /// the folder.
    pub(crate) fn check(&self, command: &str) -> Result<()> {
        let changed = self.changed();
        let folder = self.name;
        if changed.is_empty() {
            if !self.wanted.is_empty() {
                status("Fresh", format!("{folder}/"));
            }
            return Ok(());
        }
        for name in &changed {
            CliError::unless_not_read(print(self.difference(name)))?;
        }
        Err(CliError::new(format!(
            "{} of the files in {folder}/ are stale",
            changed.len()
        ))
        .hint(format!(
            "run `{command}`, review the difference, and commit it"
        )))
    }

    fn changed(&self) -> BTreeSet<&String> {
        let names = self.wanted.keys().chain(self.present.keys());
        names
            .filter(|name| self.wanted.get(*name) != self.present.get(*name))
            .collect()
    }

    fn difference(&self, name: &str) -> String {
        let text = |files: &BTreeMap<String, String>| files.get(name).cloned().unwrap_or_default();
        let (present, wanted) = (text(&self.present), text(&self.wanted));
        let file = format!("{}/{name}", self.name);
        similar::TextDiff::from_lines(&present, &wanted)
            .unified_diff()
            .header(&file, &format!("{file} (as generated)"))
            .to_string()
    }
}

/// A document with generated parts, as it is and as it should be.
pub(crate) struct GeneratedDocument {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) present: String,
    pub(crate) wanted: String,
}

impl GeneratedDocument {
    /// Writes the document if it is not as it should be.
    pub(crate) fn write(&self) -> Result<()> {
        if self.present != self.wanted {
            fs::write(&self.file, &self.wanted).about("write", &self.file)?;
            status("Wrote", &self.name);
        }
        Ok(())
    }

    /// Fails if the document is not as it should be. `part` is what is generated in it, as in "a table", `parts` all of it,
    /// and `command` writes it.
    pub(crate) fn check(&self, part: &str, parts: &str, command: &str) -> Result<()> {
        let name = &self.name;
        if self.present != self.wanted {
            return Err(CliError::new(format!("{part} in {name} is stale"))
                .hint(format!("run `{command}`, and commit it")));
        }
        status("Fresh", format!("{parts} in {name}"));
        Ok(())
    }
}

/// The files that there are, with the line ends that are written here: git may have others in
/// the checkout.
fn present(folder: &str, directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries.about("read", directory)?,
    };
    for entry in entries {
        let path = entry.about("read", directory)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            if path.is_dir() {
                return Err(CliError::new(format!(
                    "{folder}/{name} is a folder where only generated files are expected"
                ))
                .hint("remove it, or give it a name that does not end with .json"));
            }
            let text = fs::read(&path).about("read", &path)?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}
