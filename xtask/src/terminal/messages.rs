//! Lines beside a command's result, on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use console::Term;

use super::moving::AboveMovingLine;
use super::text::{BOLD, CYAN, GREEN, YELLOW, tamed};

/// A line beside the result, on standard error.
pub(crate) fn tell(text: impl Display) {
    let _ = write_whole(&format!("{}\n", tamed(&text.to_string())));
}

/// Writes to standard error at once: another process of the local stage may write there, too. With
/// colours if there are to be any.
pub(crate) fn write_whole(text: &str) -> std::io::Result<()> {
    let mut stderr = std::io::stderr();
    if AutoStream::choice(&stderr) == ColorChoice::Never {
        stderr.write_all(strip_str(text).to_string().as_bytes())
    } else {
        stderr.write_all(text.as_bytes())
    }
}

/// A line of progress in cargo's manner: what happens, then to what.
pub(crate) fn status(verb: &str, what: impl Display) {
    tell(format_args!("{GREEN}{verb:>12}{GREEN:#} {what}"));
}

/// A line of progress that may come at any time, also while a line moves.
pub(crate) fn status_aside(verb: &str, what: impl Display) {
    let line = format!("{GREEN}{verb:>12}{GREEN:#} {what}\n");
    let _ = AboveMovingLine.write_all(tamed(&line).as_bytes());
}

/// A warning.
pub(crate) fn warn(what: impl Display) {
    tell(format_args!(
        "{YELLOW}warning{YELLOW:#}{BOLD}:{BOLD:#} {what}"
    ));
}

/// What to do about a warning.
pub(crate) fn hint(what: impl Display) {
    tell(format_args!("{CYAN}hint{CYAN:#}{BOLD}:{BOLD:#} {what}"));
}

/// Ends a line that somebody else began on the terminal, such as the `^C` of Ctrl-C.
pub(crate) fn end_line() {
    if std::io::stderr().is_terminal() {
        tell("");
    }
}

/// The width of the terminal that standard error is, if it is one.
pub(crate) fn stderr_columns() -> Option<usize> {
    columns_of(&Term::stderr())
}

pub(crate) fn columns_of(terminal: &Term) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    terminal.is_term().then_some(usize::from(columns))
}
