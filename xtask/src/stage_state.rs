//! What other commands must know of the local stage that runs in another terminal.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};

use local::{create_private_file, create_private_folder};
use serde::{Deserialize, Serialize};

use crate::error::{AboutFile, CliError, Result};
use crate::workspace::Workspace;

/// The folder of the local stage's files, when not `target/local`: several stages can run
/// from one checkout, for example one of a developer and one of the tests.
pub(crate) const LOCAL_DIR_VARIABLE: &str = "XTASK_LOCAL_DIR";

/// Where a running local stage answers, and to which key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageState {
    pub(crate) process_id: u32,
    /// The port of the first HTTP API; the others follow.
    pub(crate) first_api_port: u16,
    pub(crate) aws_port: u16,
    /// If the stage has the local Rekognition.
    pub(crate) rekognition_port: Option<u16>,
    /// The key of the emulator's root user, new at each start.
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    /// Where it tells whether it is quiet. A secret, like the key.
    pub(crate) quiet_url: String,
    /// Where it tells what it allowed and denied its functions. A secret, too.
    pub(crate) decisions_url: String,
    /// Where it tells what happened on it. A secret, too.
    pub(crate) traces_url: String,
    /// Where it tells whether the logs of functions have new lines. A secret, too.
    pub(crate) logged_url: String,
    /// Where it tells which functions were invoked. A secret, too.
    pub(crate) invoked_url: String,
    /// Where it writes its data into a folder. A secret, too.
    pub(crate) snapshot_url: String,
    /// Where the console answers, with the key that opens it, if there is one. A secret, too.
    pub(crate) console_url: Option<String>,
    /// Where faults are shown, made and ended. A secret, too.
    pub(crate) chaos_url: String,
}

impl fmt::Debug for StageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageState")
            .field("process_id", &self.process_id)
            .field("aws_port", &self.aws_port)
            .finish_non_exhaustive()
    }
}

impl StageState {
    /// The folder of the local stage's files.
    pub(crate) fn directory(workspace: &Workspace) -> PathBuf {
        Self::named_directory().unwrap_or_else(|| workspace.target().join("local"))
    }

    /// The folder that the user has named. Absolute, as children of the stage run in others.
    pub(crate) fn named_directory() -> Option<PathBuf> {
        let named = std::env::var_os(LOCAL_DIR_VARIABLE).filter(|directory| !directory.is_empty());
        named.map(|directory| absolute(&directory).unwrap_or_else(|_| directory.into()))
    }

    fn file(workspace: &Workspace) -> PathBuf {
        Self::directory(workspace).join("stage.json")
    }

    /// The running stage: what the last one wrote, if it still answers.
    pub(crate) fn of_running(workspace: &Workspace) -> Result<Self> {
        Self::read(workspace)
            .filter(|state| TcpStream::connect(("127.0.0.1", state.aws_port)).is_ok())
            .ok_or_else(|| {
                let error = CliError::new("the local stage is not running")
                    .hint("start it in another terminal: cargo xtask local");
                match Self::named_directory() {
                    None => error,
                    Some(directory) => error.note(format!(
                        "{LOCAL_DIR_VARIABLE} names the folder {}",
                        directory.display()
                    )),
                }
            })
    }

    fn read(workspace: &Workspace) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::file(workspace)).ok()?).ok()
    }

    /// Tells other commands.
    pub(crate) fn write(&self, workspace: &Workspace) -> Result<()> {
        let file = Self::file(workspace);
        let text = serde_json::to_vec_pretty(self).map_err(CliError::new)?;
        create_private_file(&file)
            .and_then(|mut opened| opened.write_all(&text))
            .about("write", &file)
    }

    /// Makes the folder of the local stage's files the one of this process, until the result is
    /// dropped. Two stages would overwrite each other's files.
    pub(crate) fn lock(directory: &Path) -> Result<File> {
        create_private_folder(directory).about("create", directory)?;
        let path = directory.join("lock");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .about("create", &path)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(CliError::new(format!(
                "a local stage runs already, with its files in {}",
                directory.display()
            ))
            .hint(format!(
                "stop it, or give this one a folder and ports of its own: \
                 {LOCAL_DIR_VARIABLE}=$(mktemp -d) cargo xtask local --port 8100 --aws-port 4700"
            ))),
            Err(TryLockError::Error(error)) => Err(error).about("lock", &path),
        }
    }

    /// Tells other commands that the stage of this process has ended. One that runs in
    /// another terminal is left alone.
    pub(crate) fn remove(workspace: &Workspace) {
        if Self::read(workspace).is_some_and(|state| state.process_id == std::process::id()) {
            let _ = fs::remove_file(Self::file(workspace));
        }
    }

    /// The AWS endpoint.
    pub(crate) fn endpoint_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.aws_port)
    }

    /// The Rekognition endpoint, if the stage has one of its own.
    pub(crate) fn rekognition_url(&self) -> Option<String> {
        let port = self.rekognition_port?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    /// The port of an HTTP API, by its place among the app's.
    pub(crate) fn api_port(&self, index: usize) -> u16 {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.first_api_port.saturating_add(index)
    }

    /// The URL of an HTTP API, by its place among the app's.
    pub(crate) fn api_url(&self, index: usize) -> String {
        format!("http://127.0.0.1:{}/", self.api_port(index))
    }
}
