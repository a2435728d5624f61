//! Files that a command writes: all of them, or none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{AboutFile, CliError, Result};

/// What was written so far. Unless it is kept, dropping it puts everything back.
#[derive(Default)]
pub(super) struct Written {
    /// Files and folders that were not there, in the order in which they were made.
    created: Vec<PathBuf>,
    /// Files that were there, with what they held.
    changed: Vec<(PathBuf, Vec<u8>)>,
    /// Folders that hold nothing but what comes of this.
    own: Vec<PathBuf>,
    is_kept: bool,
}

impl Written {
    /// Takes a folder, empty or not there yet, for all that is to come: also for what others write
    /// into it.
    pub(super) fn own(&mut self, folder: &Path) -> Result<()> {
        self.own.push(folder.to_owned());
        self.create_folder(folder)
    }

    /// Writes a file that is not there yet, and the folders that it lacks.
    pub(super) fn create(&mut self, file: &Path, text: &str) -> Result<()> {
        self.create_folder(file.parent().unwrap_or(Path::new("")))?;
        if fs::symlink_metadata(file).is_ok() {
            return Err(CliError::new(format!(
                "{} is there already",
                file.display()
            )));
        }
        self.created.push(file.to_owned());
        fs::write(file, text).about("write", file)
    }

    /// Copies a file to where there is none yet, with its permissions and times. By the times, a cargo
    /// with the same target directory sees that it has compiled the file already.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.create(to, "")?;
        fs::copy(from, to).about("copy", from)?;
        let modified = fs::metadata(from).and_then(|metadata| metadata.modified());
        let copied = fs::File::options().write(true).open(to);
        if let (Ok(modified), Ok(copied)) = (modified, copied) {
            // Without them, cargo compiles the file once more.
            let _ = copied.set_modified(modified);
        }
        Ok(())
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, file: &Path) -> Result<()> {
        self.remember(file)?;
        fs::remove_file(file).about("remove", file)
    }

    /// Writes a file anew.
    pub(super) fn change(&mut self, file: &Path, text: &str) -> Result<()> {
        self.remember(file)?;
        fs::write(file, text).about("write", file)
    }

    /// Restores a file as it is now.
    pub(super) fn remember(&mut self, file: &Path) -> Result<()> {
        if file.exists() {
            let before = fs::read(file).about("read", file)?;
            self.changed.push((file.to_owned(), before));
        } else {
            self.created.push(file.to_owned());
        }
        Ok(())
    }

    /// Leaves everything as it is now.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }

    fn create_folder(&mut self, folder: &Path) -> Result<()> {
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(folder).about("create", folder)?;
            self.created.push(folder.to_owned());
        }
        Ok(())
    }
}

impl Drop for Written {
    /// As far as it goes: there is nobody left to tell.
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        for folder in &self.own {
            let _ = fs::remove_dir_all(folder);
        }
        for created in self.created.iter().rev() {
            let _ = match created.is_dir() {
                true => fs::remove_dir(created),
                false => fs::remove_file(created),
            };
        }
        for (file, before) in self.changed.iter().rev() {
            if fs::read(file).ok().as_ref() != Some(before) {
                let _ = fs::write(file, before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) -> Written {
        let mut written = Written::default();
        let new = folder.join("functions/sell/src/lib.rs");
        written.create(&new, "new").unwrap();
        written.remember(&folder.join("Cargo.lock")).unwrap();
        written.remember(&folder.join("policies.json")).unwrap();
        written.change(&folder.join("app.rs"), "edited").unwrap();
        fs::write(folder.join("Cargo.lock"), "longer").unwrap();
        fs::write(folder.join("policies.json"), "{}").unwrap();
        written
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_kept_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (file, text) in [("app.rs", "before"), ("Cargo.lock", "lock")] {
            fs::write(folder.join(file), text).unwrap();
        }
        drop(write(folder));
        assert_eq!(files(folder), ["Cargo.lock", "app.rs"]);
        for (file, text) in [("app.rs", "before"), ("Cargo.lock", "lock")] {
            assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), text);
        }

        write(folder).keep();
        assert_eq!(
            files(folder),
            ["Cargo.lock", "app.rs", "functions", "policies.json"]
        );
        assert_eq!(fs::read_to_string(folder.join("app.rs")).unwrap(), "edited");

        let mut replaced = Written::default();
        let (lock, copied) = (folder.join("Cargo.lock"), folder.join("copied"));
        replaced.own(&folder.join("app")).unwrap();
        fs::write(folder.join("app/by others"), "").unwrap();
        replaced.copy(&lock, &copied).unwrap();
        assert_eq!(fs::read_to_string(&copied).unwrap(), "longer");
        let modified = |file| fs::metadata(file).unwrap().modified().unwrap();
        assert_eq!(modified(&copied), modified(&lock));
        replaced.remove(&lock).unwrap();
        replaced.create(&lock, "another").unwrap();
        drop(replaced);
        assert_eq!(fs::read_to_string(&lock).unwrap(), "longer");
        assert!(!copied.exists() && !folder.join("app").exists());
        let again = Written::default().create(&folder.join("app.rs"), "");
        assert!(format!("{:?}", again.unwrap_err()).contains("is there already"));
    }
}
