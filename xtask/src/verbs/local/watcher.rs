//! The child of the local stage that reloads: `deploy --watch`.
//!
//! A child, because it becomes a newer program when the manifest changes, and the stage with its
//! data does not.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::error::CliError;
use crate::terminal::warn;
use crate::verbs::watch::{Told, now_ms};
use crate::workspace::LOCAL;

/// Who ends sooner than this after a start would do so again.
const SHORT_LIFE: Duration = Duration::from_secs(5);

/// How to start it.
#[derive(Debug)]
pub(super) struct Watcher {
    program: PathBuf,
    follows_logs: bool,
    /// The packages that it builds for a debugger.
    debugged: Vec<String>,
}

impl Watcher {
    pub(super) fn new(program: &Path, follows_logs: bool, debugged: &[String]) -> Self {
        Self {
            program: program.to_owned(),
            follows_logs,
            debugged: debugged.to_owned(),
        }
    }

    /// Runs it, and hands on what it tells. If it ends by itself, it is started again; if that
    /// does not help, the stage goes on without.
    pub(super) async fn run(&self, learn: impl Fn(Told)) -> Infallible {
        loop {
            let started = Instant::now();
            let ended = match self.live(&learn).await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            let told = format!(
                "the process that reloads the functions and shows their logs has ended ({ended})"
            );
            if started.elapsed() < SHORT_LIFE {
                warn(told);
                CliError::new("saved changes are no longer reloaded; the stage goes on")
                    .hint("start it again in another terminal: cargo xtask deploy --watch --stage local")
                    .report();
                return std::future::pending().await;
            }
            warn(format!("{told}; it is started again"));
        }
    }

    /// The child holds the other end of its standard input: it ends when this process does, or when
    /// the future is dropped.
    async fn live(&self, learn: &impl Fn(Told)) -> std::io::Result<ExitStatus> {
        let mut command = Command::new(&self.program);
        command.args(["deploy", "--watch", "--beside-stage", "--stage", LOCAL]);
        for package in &self.debugged {
            command.args(["--debug-info", package]);
        }
        if self.follows_logs {
            command.args(["--logs-from", &now_ms().to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // Taken out of `child`, which would close it before it waits.
        let _standard_input = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            let mut lines = BufReader::new(output).lines();
            while let Some(line) = lines.next_line().await? {
                if let Ok(told) = serde_json::from_str(&line) {
                    learn(told);
                }
            }
        }
        child.wait().await
    }
}
