//! A command's result, on standard output.
//!
//! A result that cannot be written is an error of the command, because whoever reads it would
//! take a part for the whole.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anstream::AutoStream;
use console::Term;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::error::{CliError, Result};
use crate::terminal::{columns_of, inert, tamed};

/// A command's result for people, or a part of it, on standard output.
pub(crate) fn print(text: impl Display) -> Result<()> {
    let choice = AutoStream::choice(&std::io::stdout());
    let mut output = AutoStream::new(Vec::new(), choice);
    output
        .write_all(tamed(&text.to_string()).as_bytes())
        .map_err(|error| CliError::output(&error))?;
    write_result(&output.into_inner())
}

/// A line of a command's result, on standard output.
pub(crate) fn line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// A command's result for programs, on standard output: every byte as it is.
pub(crate) fn exact(text: &str) -> Result<()> {
    write_result(text.as_bytes())
}

/// Prints a value as JSON on standard output.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    exact_json(serde_json::to_string_pretty(value))
}

/// Prints a value as JSON in one line on standard output.
pub(crate) fn json_line(value: &impl serde::Serialize) -> Result<()> {
    exact_json(serde_json::to_string(value))
}

fn exact_json(text: serde_json::Result<String>) -> Result<()> {
    let text = text.map_err(|error| CliError::new(format!("could not write JSON: {error}")))?;
    // JSON leaves it open whether a string holds such a character or its escape.
    exact(&format!("{}\n", inert(&text)))
}

/// Without a buffer of its own: what is written has left this process.
fn write_result(mut bytes: &[u8]) -> Result<()> {
    let output = std::io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(&output, bytes) {
            Ok(0) => return Err(CliError::output(&ErrorKind::WriteZero.into())),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Whoever shares the pipe has made it non-blocking, as Node.js does.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&output, PollFlags::OUT)], None);
            }
            Err(error) => return Err(CliError::output(&error.into())),
        }
    }
    Ok(())
}

/// Resolves when the other end of the pipe is closed, so that nothing reads the results.
pub(crate) async fn reader_is_gone() {
    let gone = tokio::task::spawn_blocking(|| {
        let output = std::io::stdout();
        loop {
            let mut polled = [PollFd::new(&output, PollFlags::empty())];
            match poll(&mut polled, None) {
                Ok(_)
                    if polled[0]
                        .revents()
                        .intersects(PollFlags::ERR | PollFlags::HUP) =>
                {
                    return true;
                }
                Err(Errno::INTR) => {}
                // What cannot be polled has no other end.
                Ok(_) | Err(_) => return false,
            }
        }
    });
    if !gone.await.unwrap_or(false) {
        std::future::pending::<()>().await;
    }
}

/// The width of the terminal that standard output is, if it is one.
pub(crate) fn stdout_columns() -> Option<usize> {
    columns_of(&Term::stdout())
}
