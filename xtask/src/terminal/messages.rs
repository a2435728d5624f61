//! Lines beside a command's result, on standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use console::Term;

use super::moving::AboveMovingLine;
use super::text::{BOLD, CYAN, GREEN, YELLOW, tamed};
use super::whole::write_whole;

/// A line beside the result, on standard error.
pub(crate) fn tell(text: impl Display) {
    let _ = write_whole(&format!("{}\n", tamed(&text.to_string())));
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
