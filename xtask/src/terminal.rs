//! What a user sees: results go to standard output, progress to standard error; colour and
//! moving lines only on a terminal.
//!
//! Nothing else in this crate prints. A result that cannot be written is an error of the
//! command, because whoever reads it would take a part for the whole. Progress that cannot be
//! written is dropped, because the work matters more. The macros of the standard library and of
//! `anstream` would panic in both cases.
//!
//! Much of what is shown was written by others: log lines, events, what AWS and proxies answer.
//! On a terminal it must not act. So text for people passes [`tamed`], which leaves only this
//! module's own styles, and text of others passes [`inert`], which leaves none. JSON and a
//! function's answer are for programs and stay exact.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use console::{Alignment, Term, measure_text_width, pad_str};
use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::error::{CliError, Result};
use crate::interrupt;

/// What stands before a cell that is below the others of its row.
const BELOW_INDENT: usize = 2;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default().bold();

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

/// Resolves when nobody can read the results any more: the other end of the pipe is closed.
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

/// A line beside the result, on standard error.
pub(crate) fn tell(text: impl Display) {
    let line = format!("{}\n", tamed(&text.to_string()));
    let _ = anstream::stderr().write_all(line.as_bytes());
}

/// Ends a line that somebody else began on the terminal, such as the `^C` of Ctrl-C.
pub(crate) fn end_line() {
    if std::io::stderr().is_terminal() {
        tell("");
    }
}

/// Clears what a moving line has left.
pub(crate) fn clear_line() {
    if lines_move() {
        let _ = std::io::stderr().write_all(b"\r\x1b[K");
    }
}

/// Text of others as it can be shown: control characters, and what turns the direction of
/// writing, as JSON escapes them. Line breaks and tabs stay.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    escaped(text, |_| 0)
}

/// Text of others as [`inert`], in one line.
pub(crate) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    inert(&lines.collect::<Vec<_>>().join(" ")).into_owned()
}

/// Text with the styles of this module and of clap, and nothing else that acts on a terminal.
fn tamed(text: &str) -> Cow<'_, str> {
    escaped(text, style_length)
}

/// Escapes what acts on a terminal, except where `allowed` tells that so many bytes may.
fn escaped(text: &str, allowed: impl Fn(&str) -> usize) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(acts) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        let harmless = if from.starts_with("\r\n") {
            1
        } else {
            allowed(from)
        };
        let length = if harmless > 0 {
            shown.push_str(&from[..harmless]);
            harmless
        } else {
            let acting = from.chars().next().unwrap_or_default();
            // Cannot fail: the text is in memory.
            let _ = write!(shown, "\\u{:04x}", u32::from(acting));
            acting.len_utf8()
        };
        rest = &from[length..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Whether a terminal does something at a character, other than to show it.
fn acts(c: char) -> bool {
    let directs = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && !matches!(c, '\n' | '\t') || directs
}

/// The length of the style that a text begins with: bold, dimmed, underlined, a colour, or the
/// end of these.
fn style_length(text: &str) -> usize {
    let Some((codes, _)) = text
        .strip_prefix("\x1b[")
        .and_then(|style| style.split_once('m'))
    else {
        return 0;
    };
    let known = |code: &str| {
        matches!(
            code,
            "0" | "1" | "2" | "4" | "31" | "32" | "33" | "34" | "35" | "36"
        )
    };
    if codes.split(';').all(known) {
        codes.len() + 3
    } else {
        0
    }
}

/// A line of progress that may come at any time, also while a line moves.
pub(crate) fn status_aside(verb: &str, what: impl Display) {
    let line = format!("{GREEN}{verb:>12}{GREEN:#} {what}\n");
    let _ = AboveMovingLine.write_all(tamed(&line).as_bytes());
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
        .with_writer(|| AboveMovingLine)
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

/// The line that moves now, if there is one.
fn moving_line() -> MutexGuard<'static, Option<WeakProgressBar>> {
    static MOVING_LINE: Mutex<Option<WeakProgressBar>> = Mutex::new(None);
    MOVING_LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, for what is written at any time: the moving line stands aside, because a
/// line that is written behind it would stay there with it.
struct AboveMovingLine;

impl Write for AboveMovingLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let write = || anstream::stderr().write(bytes);
        let moving = moving_line().as_ref().and_then(WeakProgressBar::upgrade);
        match moving {
            Some(moving) => moving.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        anstream::stderr().flush()
    }
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
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        let fields = inert(&fields);
        writeln!(writer, "{style}{:>12}{style:#} {fields}", level.as_str())
    }
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

/// A line that is shown while something runs and replaced when it moves on. Where lines do not
/// move, nothing: the events themselves are printed as lines.
pub(crate) fn spinner(message: impl Into<String>) -> ProgressBar {
    if !lines_move() {
        return ProgressBar::hidden();
    }
    // One rule for colours: that of `anstream`.
    let coloured = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    console::set_colors_enabled_stderr(coloured);
    let style = ProgressStyle::with_template("{spinner:>12.green} {msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(message.into());
    *moving_line() = Some(bar.downgrade());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Whether a line may be shown for a while only. As with cargo's progress bar, that takes a
/// terminal that can move its cursor, and a reader who sees it move.
fn lines_move() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let watched = std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false");
    std::io::stderr().is_terminal() && !dumb && watched
}

/// Asks a yes-or-no question. Where nobody can answer, that is a no.
pub(crate) fn confirm(question: &str, flag: &str) -> Result<()> {
    let answer = ask(question, "[y/N]", flag)?;
    if matches!(answer.as_deref(), Some("y" | "Y" | "yes")) {
        Ok(())
    } else {
        Err(stopped(answer.as_deref()))
    }
}

/// Asks for a name to be typed, where a yes would be too easy.
pub(crate) fn type_name(question: &str, name: &str, flag: &str) -> Result<()> {
    let flag = format!("{flag} {name}");
    let answer = ask(question, &format!("Type `{name}` to go on:"), &flag)?;
    if answer.as_deref() == Some(name) {
        Ok(())
    } else {
        Err(stopped(answer.as_deref()))
    }
}

fn stopped(answer: Option<&str>) -> CliError {
    CliError::new(match answer {
        Some(_) => "stopped: nothing was changed",
        None => "stopped without an answer: nothing was changed",
    })
}

/// The answer to a question; none at the end of input, as by Ctrl-D.
fn ask(question: &str, choices: &str, flag: &str) -> Result<Option<String>> {
    let (input, output) = (std::io::stdin(), std::io::stderr());
    let missing = match (input.is_terminal(), output.is_terminal()) {
        (true, true) => None,
        (false, _) => Some("standard input"),
        (true, false) => Some("standard error"),
    };
    if let Some(missing) = missing {
        return Err(CliError::misuse(format!(
            "{question} Nobody can answer: {missing} is not a terminal"
        ))
        .hint(format!("pass {flag} to say yes beforehand")));
    }
    let _exits = interrupt::Exits::new();
    let question = wrap(&inert(question), choices, stderr_columns());
    let _ = write!(anstream::stderr(), "{YELLOW}{question}{YELLOW:#} ");
    let mut answer = Vec::new();
    input
        .lock()
        .read_until(b'\n', &mut answer)
        .map_err(|error| CliError::new(format!("could not read the answer: {error}")))?;
    if !answer.ends_with(b"\n") {
        end_line();
    }
    if answer.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&answer).trim().to_owned()))
}

/// A question in lines of a terminal; its choices stay together.
fn wrap(question: &str, choices: &str, columns: Option<usize>) -> String {
    let mut lines = words(question, columns);
    // With room for an answer.
    let fits = |last: &str| {
        columns.is_none_or(|columns| measure_text_width(last) + choices.len() + 4 <= columns)
    };
    match lines.last_mut() {
        Some(last) if fits(last) => {
            last.push(' ');
            last.push_str(choices);
        }
        _ => lines.push(choices.to_owned()),
    }
    lines.join("\n")
}

/// A text in lines of a terminal, broken between words only.
fn words(text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else {
        return vec![text.to_owned()];
    };
    // Names have hyphens, and are not to be broken at them.
    let options = textwrap::Options::new(columns)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(Cow::into_owned).collect()
}

/// The width of the terminal that standard output is, if it is one.
pub(crate) fn stdout_columns() -> Option<usize> {
    columns_of(&Term::stdout())
}

/// The width of the terminal that standard error is, if it is one.
pub(crate) fn stderr_columns() -> Option<usize> {
    columns_of(&Term::stderr())
}

fn columns_of(terminal: &Term) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    terminal.is_term().then_some(usize::from(columns))
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

/// Prints rows, of which the first names the columns, on standard output.
pub(crate) fn table(rows: &[Vec<String>]) -> Result<()> {
    let lines = table_lines(rows, stdout_columns());
    lines.iter().flatten().try_for_each(line)
}

/// Prints names and their values on standard output.
pub(crate) fn pairs(rows: &[Vec<String>]) -> Result<()> {
    let lines = aligned(rows, stdout_columns());
    lines.iter().flatten().try_for_each(line)
}

/// The lines of each row of a table, of which the first names the columns. They are aligned,
/// if that fits into the columns of a terminal, but for last cells. If not, a row is a block
/// with a line for each cell. Nothing is cut, because someone will want to copy it.
pub(crate) fn table_lines(rows: &[Vec<String>], columns: Option<usize>) -> Vec<Vec<String>> {
    let lines = aligned(rows, columns);
    let fits = |line: &String| columns.is_none_or(|columns| measure_text_width(line) <= columns);
    if lines.iter().all(|lines| lines.first().is_none_or(fits)) {
        return lines;
    }
    let Some((names, rows)) = rows.split_first() else {
        return Vec::new();
    };
    let widths = names.iter().skip(1).map(|name| measure_text_width(name));
    let width = widths.max().unwrap_or_default();
    let room = columns.map(|columns| columns.saturating_sub(2 * BELOW_INDENT + width));
    let block = |row: &Vec<String>| {
        let cells = names.iter().zip(row).skip(1);
        let cells = cells.filter(|(_, cell)| !cell.is_empty());
        let below = cells.flat_map(|(name, cell)| {
            let names = std::iter::once(name.as_str()).chain(std::iter::repeat(""));
            let lines = names.zip(words(cell, room));
            lines.map(|(name, line)| format!("{:BELOW_INDENT$}{name:width$}  {line}", ""))
        });
        row.first().cloned().into_iter().chain(below).collect()
    };
    let heading = names.first().filter(|name| !name.is_empty());
    std::iter::once(heading.cloned().into_iter().collect())
        .chain(rows.iter().map(block))
        .collect()
}

/// The lines of each row: one with aligned cells, and one for a last cell that would not fit
/// into the columns of a terminal.
fn aligned(rows: &[Vec<String>], columns: Option<usize>) -> Vec<Vec<String>> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let cell = measure_text_width(cell);
            match widths.get_mut(column) {
                Some(width) => *width = (*width).max(cell),
                None => widths.push(cell),
            }
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad_str(cell, *width, Alignment::Left, None))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let lines = |row: &Vec<String>| {
        let whole = line(row);
        match row.split_last() {
            Some((last, others))
                if !others.is_empty()
                    && columns.is_some_and(|columns| measure_text_width(&whole) > columns) =>
            {
                vec![line(others), format!("{:BELOW_INDENT$}{last}", "")]
            }
            _ => vec![whole],
        }
    };
    rows.iter().map(lines).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_does_not_act() {
        assert_eq!(inert("plain\ttext\nin lines"), "plain\ttext\nin lines");
        assert_eq!(inert("ends as on Windows\r\n"), "ends as on Windows\r\n");
        for (hostile, shown) in [
            ("\u{1b}[31mred", "\\u001b[31mred"),
            ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
            ("over\rwritten", "over\\u000dwritten"),
            ("back\u{8}space, \u{7f}", "back\\u0008space, \\u007f"),
            (
                "\u{9b}2J in one byte of Latin-1",
                "\\u009b2J in one byte of Latin-1",
            ),
            ("a\u{202e}b\u{2066}c", "a\\u202eb\\u2066c"),
            ("nul \0, é, 🐈", "nul \\u0000, é, 🐈"),
        ] {
            assert_eq!(inert(hostile), shown);
        }
    }

    #[test]
    fn only_styles_of_our_own_act() {
        let own = format!("{RED}error{RED:#}{BOLD}:{BOLD:#} {DIM}dimmed{DIM:#}\n");
        assert_eq!(tamed(&own), own);
        for style in [GREEN, YELLOW, CYAN, AnsiColor::Magenta.on_default()] {
            let styled = format!("{style}x{style:#}");
            assert_eq!(tamed(&styled), styled);
        }
        for hostile in [
            "\u{1b}[8m",
            "\u{1b}[1;8m",
            "\u{1b}[2J",
            "\u{1b}[1A",
            "\u{1b}[38;5;0m",
            "\u{1b}]8;;https://example.com\u{1b}\\m",
            "\u{1b}",
            "\u{1b}[",
            "\u{1b}[31",
        ] {
            assert!(!tamed(hostile).contains('\u{1b}'), "{hostile:?}");
        }
    }

    #[test]
    fn an_error_of_others_is_one_line() {
        assert_eq!(
            one_line("  panicked:\r\n\n   at \u{1b}[1Ax \n"),
            "panicked: at \\u001b[1Ax"
        );
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn escapes_in_json_are_the_same_json() {
        let value = serde_json::json!({"log": "\u{1b}[31m\u{9b}2J\u{7f}\u{202e} é\t\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = inert(&text);
        assert!(!shown.contains(acts), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        let row = |row: &&[&str]| row.iter().map(|&cell| cell.to_owned()).collect();
        cells.iter().map(row).collect()
    }

    #[test]
    fn a_last_cell_that_does_not_fit_is_below_its_row() {
        let table = rows(&[
            &["FUNCTION", "STATE", "URL"],
            &["count-stock", "Active", "https://one.example/"],
            &["日本", "Failed", ""],
        ]);
        let wide = [
            "FUNCTION     STATE   URL",
            "count-stock  Active  https://one.example/",
            "日本         Failed",
        ];
        let lines = |columns| table_lines(&table, columns).concat();
        assert_eq!(lines(None), wide);
        assert_eq!(lines(Some(41)), wide);
        assert_eq!(
            lines(Some(40)),
            [
                "FUNCTION     STATE   URL",
                "count-stock  Active",
                "  https://one.example/",
                "日本         Failed",
            ]
        );
        let pairs = rows(&[&["A", "1"], &["URL", "https://one.example/"]]);
        assert_eq!(
            aligned(&pairs, Some(24)).concat(),
            ["A    1", "URL", "  https://one.example/"]
        );
    }

    #[test]
    fn a_table_that_does_not_fit_is_a_block_for_each_row() {
        let table = rows(&[
            &["FUNCTION", "STATE", "URL"],
            &["count-stock", "Active", "https://one.example/"],
            &["日本", "Failed", ""],
        ]);
        assert_eq!(
            table_lines(&table, Some(18)).concat(),
            [
                "FUNCTION",
                "count-stock",
                "  STATE  Active",
                "  URL    https://one.example/",
                "日本",
                "  STATE  Failed",
            ]
        );
        let actions = rows(&[&["", "ROLE", "ACTION"], &["+", "one", "s3:Get, s3:Put"]]);
        assert_eq!(
            table_lines(&actions, Some(5)).concat(),
            [
                "+",
                "  ROLE    one",
                "  ACTION  s3:Get,",
                "          s3:Put"
            ]
        );
    }

    #[test]
    fn questions_are_broken_between_words_only() {
        let wrap = |columns| wrap("Delete stack stock-takes-dev?", "[y/N]", columns);
        let whole = "Delete stack stock-takes-dev? [y/N]";
        assert_eq!(wrap(None), whole);
        assert_eq!(wrap(Some(38)), whole);
        assert_eq!(wrap(Some(37)), "Delete stack stock-takes-dev?\n[y/N]");
        assert_eq!(wrap(Some(20)), "Delete stack\nstock-takes-dev?\n[y/N]");
        assert_eq!(wrap(Some(10)), "Delete\nstack\nstock-takes-dev?\n[y/N]");
    }
}
