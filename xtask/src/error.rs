//! How a command fails: one line that says what and why, one that says what next.

use std::fmt::Display;
use std::process::ExitCode;

use anstyle::Style;

use crate::terminal::{BOLD, CYAN, RED, inert, tell};

/// The result of a command's step.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// A failed command.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    notes: Vec<String>,
    hint: Option<String>,
    end: End,
}

/// What a failed command tells the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It could not do its work: exit code 1.
    Failed,
    /// It was asked for something that makes no sense: exit code 2.
    Misused,
    /// The reader of its result has closed the pipe: no message, exit code 0.
    NotRead,
}

impl CliError {
    /// The command could not do its work: exit code 1.
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            notes: Vec::new(),
            hint: None,
            end: End::Failed,
        }
    }

    /// A result could not be written. `| head` reads no further when it has what it wants,
    /// which is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self {
            end: if closed { End::NotRead } else { End::Failed },
            ..Self::new(format!("could not write to standard output: {error}"))
        }
    }

    /// Lets a command whose exit code matters go on after the reader of its output is gone.
    pub(crate) fn unless_not_read(written: Result<()>) -> Result<()> {
        match written {
            Err(error) if error.end == End::NotRead => Ok(()),
            written => written,
        }
    }

    /// The command was asked for something that makes no sense: exit code 2.
    pub(crate) fn misuse(message: impl Display) -> Self {
        Self {
            end: End::Misused,
            ..Self::new(message)
        }
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds a fact that helps to find the cause.
    pub(crate) fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// What failed, and why.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says what the error is about.
    pub(crate) fn about(mut self, context: impl Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Prints the error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let code = match self.end {
            End::Failed => 1,
            End::Misused => 2,
            End::NotRead => return ExitCode::SUCCESS,
        };
        // Much of it is what others have answered.
        let part = |style: Style, name: &str, text: &str| {
            let text = inert(text);
            tell(format_args!("{style}{name}{style:#}{BOLD}:{BOLD:#} {text}"));
        };
        part(RED, "error", &self.message);
        for note in &self.notes {
            part(CYAN, "note", note);
        }
        if let Some(hint) = &self.hint {
            part(CYAN, "hint", hint);
        }
        ExitCode::from(code)
    }
}

impl From<deploy::Error> for CliError {
    fn from(error: deploy::Error) -> Self {
        let refused = error.kind() == deploy::ErrorKind::NotApproved;
        let cli_error = if refused {
            Self::misuse(&error)
        } else {
            Self::new(&error)
        };
        match error.next_step() {
            Some(hint) => cli_error.hint(hint),
            None => cli_error,
        }
    }
}

impl From<local::Error> for CliError {
    fn from(error: local::Error) -> Self {
        Self::new(&error).hint(error.hint())
    }
}

impl From<xshell::Error> for CliError {
    fn from(error: xshell::Error) -> Self {
        Self::new(error)
    }
}

/// Says which file an input or output error is about.
pub(crate) trait AboutFile<T> {
    /// `doing` completes "could not …".
    fn about(self, doing: &str, path: &std::path::Path) -> Result<T>;
}

impl<T> AboutFile<T> for std::io::Result<T> {
    fn about(self, doing: &str, path: &std::path::Path) -> Result<T> {
        self.map_err(|error| {
            CliError::new(format!("could not {doing} {}: {error}", path.display()))
        })
    }
}
