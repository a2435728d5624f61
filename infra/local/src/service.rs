use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};

use crate::{Error, create_private_file};

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 20;

/// A child process that serves on a port, leads a process group of its own, and
/// does not outlive this process:
///
/// - when the value is shut down or dropped, the whole group is killed;
/// - when this process is gone without that, even by SIGKILL, the pipe to the
///   child's standard input closes; the child ends itself and its group on that
///   (which is up to the child's code).
///
/// A group of its own also keeps a Ctrl-C on the terminal from the child: this
/// process alone decides when it ends.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    group: Pid,
    log: PathBuf,
    /// Taken out of `child`, which would close it before every wait.
    _standard_input: Option<ChildStdin>,
}

impl Service {
    /// Starts `command` with its output in the file `log`, and waits until the
    /// log contains `ready`.
    pub(crate) async fn start(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
        ready: &str,
    ) -> Result<Self, Error> {
        let program = PathBuf::from(command.as_std().get_program());
        let output = create_private_file(&log).map_err(Error::io("create", &log))?;
        let errors = output.try_clone().map_err(Error::io("create", &log))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("run", &program))?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::io("run", &program)(std::io::ErrorKind::Other.into()))?;
        let mut service = Self {
            name,
            group,
            log,
            _standard_input: child.stdin.take(),
            child,
        };
        service.wait_until_ready(ready).await?;
        Ok(service)
    }

    async fn wait_until_ready(&mut self, ready: &str) -> Result<(), Error> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !self.read_log().contains(ready) {
            if let Some(status) = self
                .child
                .try_wait()
                .map_err(Error::io("wait for", &self.log))?
            {
                return Err(self.ended_with(status));
            }
            if Instant::now() >= deadline {
                return Err(Error::ServiceNotReady {
                    service: self.name,
                    timeout_seconds: READY_TIMEOUT.as_secs(),
                    log_tail: self.log_tail(),
                    log: self.log.clone(),
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns when the child ends by itself, with what it left in its log.
    pub(crate) async fn ended(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => self.ended_with(status),
            Err(error) => Error::io("wait for", &self.log)(error),
        }
    }

    /// Kills the group and waits until the child is gone.
    pub(crate) async fn shutdown(mut self) {
        self.kill_group();
        // Nothing but a child that somebody else waited for makes this fail.
        let _ = self.child.wait().await;
    }

    fn ended_with(&self, status: std::process::ExitStatus) -> Error {
        // What the child had started may still run.
        self.kill_group();
        Error::ServiceEnded {
            service: self.name,
            status,
            log_tail: self.log_tail(),
            log: self.log.clone(),
        }
    }

    fn kill_group(&self) {
        // Fails only if every process of the group is gone already.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    fn read_log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.read_log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After the child was waited for, its number may be another process's.
        if self.child.id().is_some() {
            self.kill_group();
        }
    }
}
