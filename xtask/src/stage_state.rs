//! What other commands must know of the local stage that runs in another terminal.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::context::Workspace;
use crate::error::{AboutFile, CliError, Result};

/// The folder of the local stage's files, when not `target/local`: several stages can run
/// from one checkout, for example one of a developer and one of the tests.
pub(crate) const LOCAL_DIR_VARIABLE: &str = "XTASK_LOCAL_DIR";

/// Where a running local stage answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageState {
    pub(crate) process_id: u32,
    /// The port of the first HTTP API; the others follow.
    pub(crate) first_api_port: u16,
    pub(crate) aws_port: u16,
    pub(crate) rekognition_port: u16,
    /// Where the faults are shown and ended, if any are made.
    pub(crate) chaos_url: Option<String>,
}

impl StageState {
    /// The folder of the local stage's files.
    pub(crate) fn directory(workspace: &Workspace) -> PathBuf {
        match std::env::var_os(LOCAL_DIR_VARIABLE) {
            Some(directory) => directory.into(),
            None => workspace.target().join("local"),
        }
    }

    fn file(workspace: &Workspace) -> PathBuf {
        Self::directory(workspace).join("stage.json")
    }

    /// The running stage: what the last one wrote, if it still answers.
    pub(crate) fn of_running(workspace: &Workspace) -> Result<Self> {
        Self::read(workspace)
            .filter(|state| TcpStream::connect(("127.0.0.1", state.aws_port)).is_ok())
            .ok_or_else(|| {
                CliError::new("the local stage is not running")
                    .hint("start it in another terminal: cargo xtask local")
            })
    }

    fn read(workspace: &Workspace) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::file(workspace)).ok()?).ok()
    }

    /// Tells other commands.
    pub(crate) fn write(&self, workspace: &Workspace) -> Result<()> {
        let file = Self::file(workspace);
        let text = serde_json::to_vec_pretty(self).map_err(CliError::new)?;
        fs::write(&file, text).about("write", &file)
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

    /// The Rekognition endpoint.
    pub(crate) fn rekognition_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rekognition_port)
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
