//! What functions log, as a person reads it on a terminal.
//!
//! A function writes JSON, Lambda adds lines of its own, and a panic is many lines of text. Here
//! each becomes one line that begins with the time, the function and the request, and that goes
//! on below itself where the terminal is too narrow. Pure: lines in, text out.
//!
//! `docs/guide/logs.md` lists what is left out, which `cargo xtask logs --json` has: what is the same in
//! every line, and frames of a backtrace that are not of this workspace.

mod backtrace;
mod entry;
mod invocations;
mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anstyle::Style;

pub(crate) use self::invocations::invocations;

use self::backtrace::{Folded, Panic, folded};
use self::entry::{Entry, Platform, Record, Report, Status, quoted};
use self::layout::{Head, Row};
use crate::terminal::{BOLD, DIM, RED, YELLOW, inert};

/// What text has that stands out in no way.
const PLAIN: Style = Style::new();

/// A line of one of several logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoggedLine<'a> {
    /// When it was written, in milliseconds since 1970, if that is known.
    pub(crate) timestamp_ms: Option<i64>,
    /// The function.
    pub(crate) function: &'a str,
    /// The function's colour.
    pub(crate) style: Style,
    /// The log stream: one per execution environment.
    pub(crate) stream: &'a str,
    /// The line as the function or Lambda wrote it.
    pub(crate) message: &'a str,
}

/// The code whose frames a person looks for in a backtrace.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnCode {
    /// The crates of the workspace, as symbols name them.
    crates: BTreeSet<String>,
    /// What the paths of their files begin with.
    root: String,
}

impl OwnCode {
    /// The packages of the workspace that lies at `root`.
    pub(crate) fn new(packages: impl IntoIterator<Item = String>, root: &Path) -> Self {
        let crates = packages.into_iter().map(|name| name.replace('-', "_"));
        Self {
            crates: crates.collect(),
            root: format!("{}/", root.display()),
        }
    }

    /// Whether a path of modules, such as `place_order::handler`, begins in the workspace.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_start_matches(['<', '&', '*']);
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
        self.crates.contains(&path[..end.unwrap_or(path.len())])
    }

    /// The path of a file as it is below the workspace.
    fn below_root<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Shows the lines of some functions as they come.
#[derive(Debug)]
pub(crate) struct LogView {
    own: OwnCode,
    /// The length of the longest function's name; none where all lines are of one function.
    name_columns: Option<usize>,
    /// What each execution environment handles now, by function and stream.
    requests: BTreeMap<(String, String), String>,
}

impl LogView {
    /// A view of the logs of these functions.
    pub(crate) fn new<'a>(functions: impl IntoIterator<Item = &'a str>, own: OwnCode) -> Self {
        let names: Vec<usize> = functions.into_iter().map(str::len).collect();
        let longest = names.iter().copied().max();
        Self {
            own,
            name_columns: longest.filter(|_| names.len() > 1),
            requests: BTreeMap::new(),
        }
    }

    /// The text of these lines for a terminal of so many columns, with a line break at the end of
    /// each. What Lambda says of an invocation is one line if all of it is here.
    pub(crate) fn text(&mut self, lines: &[LoggedLine<'_>], columns: Option<usize>) -> String {
        let entries: Vec<Entry> = lines.iter().map(|line| Entry::of(line.message)).collect();
        let told = Told::of(lines, &entries);
        let mut blocks: Vec<Block<'_>> = Vec::new();
        // Where the panic is that a stream's next line may belong to: others may be between.
        let mut panics: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (line, entry) in lines.iter().zip(&entries) {
            let place = (line.function, line.stream);
            let request = self.request(line, entry);
            let mut panic = None;
            if let Entry::Text(text) = entry {
                panic = Panic::begins_with(text);
                let goes_on = panics.get(&place).and_then(|&at| blocks.get_mut(at));
                let goes_on = goes_on.and_then(|block| block.panic.as_mut());
                if panic.is_none() && goes_on.is_some_and(|panic| panic.takes(text)) {
                    continue;
                }
            }
            panics.remove(&place);
            if told.has(line, entry) {
                continue;
            }
            if panic.is_some() {
                panics.insert(place, blocks.len());
            }
            blocks.push(Block {
                line,
                entry,
                request,
                panic,
            });
        }
        blocks
            .iter()
            .map(|block| self.head(block).before(&self.rows(block), columns))
            .collect()
    }

    /// The request that a line is about: the one that it names, or the one that its execution
    /// environment handles.
    fn request(&mut self, line: &LoggedLine<'_>, entry: &Entry) -> Option<String> {
        let place = (line.function.to_owned(), line.stream.to_owned());
        match entry {
            Entry::Platform(id, Platform::Started) => {
                self.requests.insert(place, id.clone());
                Some(id.clone())
            }
            Entry::Platform(id, Platform::Report(_)) => {
                self.requests.remove(&place);
                Some(id.clone())
            }
            Entry::Platform(id, _) => Some(id.clone()),
            Entry::Record(Record {
                request_id: Some(id),
                ..
            }) => Some(id.clone()),
            Entry::Init(_) | Entry::Record(_) | Entry::Text(_) => {
                self.requests.get(&place).cloned()
            }
        }
    }

    fn head(&self, block: &Block<'_>) -> Head {
        let line = block.line;
        let own_time = match block.entry {
            Entry::Record(record) => record.time.clone(),
            _ => None,
        };
        let id = block.request.as_deref().unwrap_or_default();
        Head {
            time: own_time.or_else(|| line.timestamp_ms.map(time_of_day)),
            name: self.name_columns.map(|_| inert(line.function).into_owned()),
            name_style: line.style,
            name_columns: self.name_columns.unwrap_or_default(),
            // The first of the five groups of a UUID.
            request: inert(id.split('-').next().unwrap_or_default()).into_owned(),
        }
    }

    fn rows(&self, block: &Block<'_>) -> Vec<Row> {
        match (&block.panic, block.entry) {
            (Some(panic), _) => self.panic(panic),
            (None, Entry::Platform(_, platform)) => vec![platform_row(platform)],
            (None, Entry::Init(text)) => vec![Row::of(DIM, text)],
            (None, Entry::Record(record)) => self.record(record),
            (None, Entry::Text(text)) => self.lines(text, PLAIN),
        }
    }

    fn record(&self, record: &Record) -> Vec<Row> {
        let (style, message_style) = match record.level.as_str() {
            "WARN" | "WARNING" => (YELLOW, PLAIN),
            "ERROR" | "FATAL" | "CRITICAL" => (RED, RED),
            _ => (DIM, PLAIN),
        };
        let mut rows = self.lines(&record.message, message_style);
        let mut last = rows.pop().unwrap_or_default();
        let mut below = Vec::new();
        for (name, value) in record.fields(|target| self.own.has(target)) {
            // What went wrong is a sentence, and text of several lines is to be read as such.
            if value.contains('\n') || style == RED && matches!(name.as_str(), "error" | "err") {
                let mut lines = self.lines(&value, PLAIN).into_iter();
                let mut first = lines.next().unwrap_or_default();
                first.prepend(DIM, &format!("{name}: "));
                below.push(first);
                below.extend(lines);
            } else {
                last.push_word(DIM, &format!("{name}="));
                last.push(PLAIN, &quoted(&value));
            }
        }
        rows.push(last);
        rows.extend(below);
        if !matches!(record.level.as_str(), "" | "INFO")
            && let Some(first) = rows.first_mut()
        {
            first.prepend(style, &format!("{} ", record.level));
        }
        rows
    }

    /// Text of several lines. Of a backtrace, the frames of the workspace.
    fn lines(&self, text: &str, style: Style) -> Vec<Row> {
        let rows = folded(text, &self.own).into_iter().map(|line| match line {
            Folded::Line(line) => Row::of(style, line),
            Folded::Frame { function, place } => {
                let mut row = Row::of(PLAIN, function);
                if let Some(place) = place {
                    row.push_word(DIM, &format!("at {}", self.own.below_root(place)));
                }
                row
            }
            Folded::Others(1) => Row::of(DIM, "and 1 frame of other code"),
            Folded::Others(count) => Row::of(DIM, &format!("and {count} frames of other code")),
        });
        rows.collect()
    }

    fn panic(&self, panic: &Panic) -> Vec<Row> {
        let mut message = self.lines(&panic.message, RED).into_iter();
        let mut first = message.next().unwrap_or_default();
        first.prepend(RED, "PANIC ");
        let mut rows = vec![first];
        rows.extend(message);
        let mut place = Row::of(BOLD, &format!("at {}", self.own.below_root(&panic.place)));
        place.push_word(DIM, &format!("in {}", panic.thread));
        rows.push(place);
        rows.extend(self.lines(&panic.backtrace, DIM));
        rows
    }
}

/// What is shown together: a line, or all lines of a panic.
struct Block<'a> {
    line: &'a LoggedLine<'a>,
    entry: &'a Entry,
    request: Option<String>,
    panic: Option<Panic>,
}

/// What the reports among some lines make superfluous.
struct Told<'a> {
    /// The requests that have ended, and whether in time.
    requests: BTreeMap<&'a str, &'a Status>,
    /// The execution environments that have handled them.
    environments: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Told<'a> {
    fn of(lines: &[LoggedLine<'a>], entries: &'a [Entry]) -> Self {
        let mut told = Self {
            requests: BTreeMap::new(),
            environments: BTreeSet::new(),
        };
        for (line, entry) in lines.iter().zip(entries) {
            if let Entry::Platform(id, Platform::Report(report)) = entry {
                told.requests.insert(id, &report.status);
                told.environments.insert((line.function, line.stream));
            }
        }
        told
    }

    /// Whether a report tells what this line does, or nothing is to be told.
    fn has(&self, line: &LoggedLine<'_>, entry: &Entry) -> bool {
        match entry {
            Entry::Platform(id, Platform::Started | Platform::Ended) => {
                self.requests.contains_key(id.as_str())
            }
            Entry::Platform(id, Platform::TimedOut(_)) => {
                self.requests.get(id.as_str()) == Some(&&Status::Timeout)
            }
            Entry::Init(_) => self.environments.contains(&(line.function, line.stream)),
            Entry::Text(text) => text.trim().is_empty(),
            Entry::Platform(..) | Entry::Record(_) => false,
        }
    }
}

fn platform_row(platform: &Platform) -> Row {
    let report = match platform {
        Platform::Started => return Row::of(DIM, "started"),
        Platform::Ended => return Row::of(DIM, "ended"),
        Platform::TimedOut(text) | Platform::Failed(text) => return Row::of(RED, text),
        Platform::Report(report) => report,
    };
    let Report {
        status,
        duration,
        details,
        figures: _,
    } = report;
    let duration = duration.as_deref().unwrap_or("an unknown time");
    let mut row = match status {
        Status::Success => Row::of(DIM, &format!("took {duration}")),
        Status::Timeout => Row::of(RED, &format!("timed out after {duration}")),
        Status::Failure(None) => Row::of(RED, &format!("failed after {duration}")),
        Status::Failure(Some(reason)) => {
            Row::of(RED, &format!("failed after {duration}: {reason}"))
        }
    };
    for detail in details {
        row.push(DIM, &format!(", {detail}"));
    }
    row
}

/// What a function has logged, as a line: the level unless it is INFO, the message, the fields.
pub(crate) fn one_entry(message: &str) -> String {
    match Entry::of(message) {
        Entry::Record(record) => {
            let level = Some(&*record.level).filter(|level| !matches!(*level, "" | "INFO"));
            let fields = record.fields(|_| true).into_iter();
            let fields = fields.map(|(name, value)| format!("{name}={}", quoted(&value)));
            let words = level.into_iter().chain([&*record.message]);
            let words = words.map(str::to_owned).chain(fields);
            words.collect::<Vec<_>>().join(" ")
        }
        Entry::Init(_) | Entry::Platform(..) | Entry::Text(_) => message.to_owned(),
    }
}

/// `HH:MM:SS.mmm`, UTC. For one format of a clock, a crate for dates would be too much.
pub(crate) fn time_of_day(timestamp_ms: i64) -> String {
    let ms = timestamp_ms.rem_euclid(86_400_000);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        ms / 1000 % 60,
        ms % 1000
    )
}

#[cfg(test)]
mod tests;
