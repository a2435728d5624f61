use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a part of the local stage could not be prepared or started.
///
/// The message says what failed and why; [`Error::hint`] what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter on `PATH` can run the packages.
    #[error("could not find Python {}.{} or newer ({tried})", .minimum.0, .minimum.1)]
    PythonNotFound {
        /// Major and minor version of the oldest Python that will do.
        minimum: (u32, u32),
        /// What was tried, and what each interpreter answered.
        tried: String,
    },

    /// Python itself is recent enough, but cannot make virtual environments.
    #[error("{interpreter} (Python {}.{}) lacks the module `{module}` and cannot create a virtual environment", .version.0, .version.1)]
    PythonWithoutVenv {
        /// The interpreter that was asked.
        interpreter: String,
        /// Its major and minor version.
        version: (u32, u32),
        /// The module it lacks.
        module: String,
    },

    /// A step of making the virtual environment failed.
    #[error("{step} failed ({status}); its last output was:\n{output}")]
    PythonSetup {
        /// What was being done.
        step: String,
        /// How the command ended.
        status: std::process::ExitStatus,
        /// The last lines that the command printed.
        output: String,
    },

    /// Something else listens where the local stage has to.
    #[error("{}", ports_taken(.0))]
    PortsTaken(Vec<PortTaken>),

    /// The disk would be full before the local stage runs.
    #[error(
        "not enough disk space: {} MB are free on the disk of {}, and the stage needs {} MB",
        .available_bytes / 1_000_000, .path.display(), .needed_bytes / 1_000_000
    )]
    DiskFull {
        /// The folder that was asked for.
        path: PathBuf,
        /// Space that this user may still fill.
        available_bytes: u64,
        /// Space that was asked for.
        needed_bytes: u64,
    },

    /// A child process ended by itself, before it was ready or later.
    #[error("{service} ended ({status}); the end of its log:\n{log_tail}")]
    ServiceEnded {
        /// The child process.
        service: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines of its log.
        log_tail: String,
        /// Its whole log.
        log: PathBuf,
    },

    /// A child process did not become ready in time.
    #[error("{service} was not ready after {timeout_seconds} s; the end of its log:\n{log_tail}")]
    ServiceNotReady {
        /// The child process.
        service: &'static str,
        /// How long it was given.
        timeout_seconds: u64,
        /// The last lines of its log.
        log_tail: String,
        /// Its whole log.
        log: PathBuf,
    },

    /// There is nothing to make keys of.
    #[error("could not get random numbers from the operating system: {0}")]
    NoRandomness(getrandom::Error),

    /// A kept state is not as it was written.
    #[error("could not read the data in {}: {why}", .folder.display())]
    StateDamaged {
        /// The state's folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// A kept state is of something else.
    #[error("could not start with the data in {}: {why}", .folder.display())]
    StateRefused {
        /// The state's folder.
        folder: PathBuf,
        /// What it is of.
        why: String,
    },

    /// The stage's data could not be written down.
    #[error("could not keep the stage's data in {}: {why}", .folder.display())]
    NotKept {
        /// The state's folder.
        folder: PathBuf,
        /// What failed.
        why: String,
    },

    /// The emulator does not go on with what it began with.
    #[error("could not resume the events of the kept data: {0}")]
    NotResumed(Box<dyn std::error::Error + Send + Sync>),

    /// The emulator does not tell what it was asked.
    #[error("the emulator did not answer: {0}")]
    NotTold(Box<dyn std::error::Error + Send + Sync>),

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done, as an infinitive.
        action: &'static str,
        /// The file, folder or program it was done to.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// A port that is needed and not free.
#[derive(Debug)]
pub struct PortTaken {
    /// What wanted to listen on it.
    pub purpose: String,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// What the system answered: in use, or not permitted.
    pub reason: io::Error,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// What the user can do about it, as one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::PythonNotFound { minimum, .. } => format!(
                "install Python {}.{} or newer (Debian, Ubuntu: `sudo apt install python3 python3-venv`; \
                 Fedora: `sudo dnf install python3`; macOS: `brew install python`)",
                minimum.0, minimum.1
            ),
            Self::PythonWithoutVenv { version, .. } => format!(
                "install it (Debian, Ubuntu: `sudo apt install python3-venv`, \
                 or `python{}.{}-venv` for a Python that is not the system's)",
                version.0, version.1
            ),
            Self::PythonSetup { .. } => {
                "the packages come from the index that pip is configured for: check the network \
                 and pip's settings (`pip config list`), then run the command again"
                    .to_owned()
            }
            Self::PortsTaken(taken) => {
                let ports: Vec<_> = taken
                    .iter()
                    .map(|port| format!("-iTCP:{}", port.port))
                    .collect();
                format!(
                    "is the local stage already running? `lsof -nP -sTCP:LISTEN {}` shows who listens; \
                     stop it, or choose other ports",
                    ports.join(" ")
                )
            }
            Self::DiskFull { .. } => {
                "free some space (`cargo clean` removes earlier builds), then run the command again"
                    .to_owned()
            }
            Self::ServiceEnded { log, .. } | Self::ServiceNotReady { log, .. } => {
                format!("read the whole log: {}", log.display())
            }
            Self::StateDamaged { folder, .. } | Self::StateRefused { folder, .. } => {
                let name = folder.file_name().unwrap_or_default();
                format!(
                    "start without it: cargo xtask local; to delete it: cargo xtask snapshot delete {}",
                    name.display()
                )
            }
            Self::NotKept { .. } => {
                "the last copy of the data stays; the stage tries again every two seconds"
                    .to_owned()
            }
            Self::NotResumed(_) | Self::NotTold(_) => "start the stage again".to_owned(),
            Self::NoRandomness(_) => "run the command again when the system has started".to_owned(),
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("check who owns {} and its permissions", path.display())
                }
                io::ErrorKind::NotFound => format!("check that {} exists", path.display()),
                _ => "run the command again once the cause is gone".to_owned(),
            },
        }
    }
}

fn ports_taken(taken: &[PortTaken]) -> impl fmt::Display {
    let lines: Vec<_> = taken
        .iter()
        .map(
            |PortTaken {
                 purpose,
                 port,
                 reason,
             }| { format!("port {port} on 127.0.0.1 ({purpose}): {reason}") },
        )
        .collect();
    format!("cannot listen on {}", lines.join("; "))
}
