//! What a user sees: results go to standard output, progress to standard error; colour and
//! moving lines only on a terminal.
//!
//! Nothing else in this crate prints. A result that cannot be written is an error of the
//! command, because whoever reads it would take a part for the whole. Progress that cannot be
//! written is dropped, because the work matters more. The macros of the standard library and of
//! `anstream` would panic in both cases.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::error::{CliError, Result};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// A command's result, or a part of it, on standard output.
pub(crate) fn print(text: impl Display) -> Result<()> {
    let mut output = anstream::stdout();
    write!(output, "{text}")
        .and_then(|()| output.flush())
        .map_err(|error| CliError::output(&error))
}

/// A line of a command's result, on standard output.
pub(crate) fn line(text: impl Display) -> Result<()> {
    print(format_args!("{text}\n"))
}

/// A line beside the result, on standard error.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A line of progress in cargo's manner: what happens, then to what.
pub(crate) fn status(verb: &str, what: impl Display) {
    tell(format_args!("{GREEN}{verb:>12}{GREEN:#} {what}"));
}

/// Prints what the parts of the local stage tell while it runs, such as a line per request at
/// level `INFO`, and records that are lost at `WARN`.
pub(crate) fn show_parts(level: LevelFilter) {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(anstream::stderr)
        // The terminal's colours are `anstream`'s to decide, here as everywhere.
        .with_ansi(false)
        // It would print, and panic, where a line cannot be written.
        .log_internal_errors(false)
        .event_format(PartLine);
    let ours = tracing_subscriber::filter::Targets::new().with_target("local", level);
    // Fails only if there is a subscriber already.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(ours)
        .try_init();
}

/// A line of a part of the local stage, in the manner of [`status`].
struct PartLine;

impl<S, N> FormatEvent<S, N> for PartLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let level = *event.metadata().level();
        let style = match level {
            Level::ERROR => RED,
            Level::WARN => YELLOW,
            _ => DIM,
        };
        write!(writer, "{style}{:>12}{style:#} ", level.as_str())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// A warning.
pub(crate) fn warn(what: impl Display) {
    tell(format_args!(
        "{YELLOW}warning{YELLOW:#}{BOLD}:{BOLD:#} {what}"
    ));
}

/// A line that is shown while something runs and replaced when it moves on; without a
/// terminal, nothing: the events themselves are printed as lines.
pub(crate) fn spinner(message: impl Into<String>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner:>12.green} {msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(message.into());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Asks a yes-or-no question. Without a terminal nobody can answer, and that is a no.
pub(crate) fn confirm(question: &str, flag: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::misuse(format!(
            "{question} Nobody can answer: standard input is not a terminal"
        ))
        .hint(format!("pass {flag} to say yes beforehand")));
    }
    if matches!(ask(question, "[y/N]")?.as_str(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::new("stopped: nothing was changed"))
    }
}

/// Asks for a name to be typed, where a yes would be too easy.
pub(crate) fn type_name(question: &str, name: &str, flag: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::misuse(format!(
            "{question} Nobody can answer: standard input is not a terminal"
        ))
        .hint(format!("pass {flag} {name} to say yes beforehand")));
    }
    if ask(question, &format!("Type `{name}` to go on:"))? == name {
        Ok(())
    } else {
        Err(CliError::new("stopped: nothing was changed"))
    }
}

fn ask(question: &str, choices: &str) -> Result<String> {
    let mut output = anstream::stderr();
    let _ = write!(output, "{YELLOW}{question}{YELLOW:#} {choices} ").and_then(|()| output.flush());
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CliError::new(format!("could not read the answer: {error}")))?;
    Ok(answer.trim().to_owned())
}

/// Bytes as people read them.
pub(crate) fn human_bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let bytes = bytes as f64;
    match bytes {
        b if b < 1e3 => format!("{b} B"),
        b if b < 1e6 => format!("{:.0} KB", b / 1e3),
        b => format!("{:.2} MB", b / 1e6),
    }
}

/// Prints rows in aligned columns on standard output.
pub(crate) fn table(rows: &[Vec<String>]) -> Result<()> {
    columns(rows).iter().try_for_each(line)
}

/// Rows as lines with aligned columns.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            match widths.get_mut(column) {
                Some(width) => *width = (*width).max(cell.chars().count()),
                None => widths.push(cell.chars().count()),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Prints a value as JSON on standard output.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::new(format!("could not write JSON: {error}")))?;
    line(text)
}
