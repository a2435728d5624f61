//! Panics and backtraces, as Rust's standard library prints them.

use super::OwnCode;

/// The most frames of a backtrace that are shown.
const FRAMES_MAX: usize = 5;

/// What a thread says that panics, in lines that come one by one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Panic {
    pub(super) thread: String,
    /// File, line and column.
    pub(super) place: String,
    /// In lines.
    pub(super) message: String,
    /// In lines, with its heading; empty if there is none.
    pub(super) backtrace: String,
    is_over: bool,
}

impl Panic {
    /// A panic, if a line begins one: `thread 'main' (7) panicked at src/main.rs:3:5:`.
    pub(super) fn begins_with(line: &str) -> Option<Self> {
        let (thread, place) = line.strip_prefix("thread ")?.split_once(" panicked at ")?;
        Some(Self {
            thread: format!("thread {thread}"),
            place: place.strip_suffix(':').unwrap_or(place).to_owned(),
            ..Self::default()
        })
    }

    /// Takes the next line, if it is of this panic.
    pub(super) fn takes(&mut self, line: &str) -> bool {
        // How to see more of a backtrace, which says nothing of this panic.
        let is_note = line.starts_with("note: ") && line.contains("RUST_BACKTRACE=");
        if self.is_over {
            return is_note;
        }
        if is_note {
            self.is_over = true;
            return true;
        }
        let lines = if is_heading(line) || !self.backtrace.is_empty() {
            if !is_heading(line) && Frame::begins_with(line).is_none() && place(line).is_none() {
                self.is_over = true;
                return false;
            }
            &mut self.backtrace
        } else {
            &mut self.message
        };
        lines.push_str(line);
        lines.push('\n');
        true
    }
}

/// A line of a text, or what is shown for some of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Folded<'a> {
    Line(&'a str),
    Frame {
        function: &'a str,
        place: Option<&'a str>,
    },
    /// So many frames that are not shown.
    Others(usize),
}

/// The lines of a text that are not blank. A backtrace in it becomes its first frames in the
/// workspace and the number of all others.
pub(super) fn folded<'a>(text: &'a str, own: &OwnCode) -> Vec<Folded<'a>> {
    let mut shown = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let begins = lines.peek().and_then(|next| Frame::begins_with(next));
        if !is_heading(line) || begins.is_none() {
            if !line.trim().is_empty() {
                shown.push(Folded::Line(line));
            }
            continue;
        }
        let mut frames: Vec<Frame<'a>> = Vec::new();
        while let Some(line) = lines.peek() {
            match (Frame::begins_with(line), place(line), frames.last_mut()) {
                (Some(frame), ..) => frames.push(frame),
                (None, Some(place), Some(last)) => last.place = Some(place),
                _ => break,
            }
            lines.next();
        }
        let ours = frames.iter().filter(|frame| own.has(frame.function));
        let ours: Vec<&Frame<'a>> = ours.take(FRAMES_MAX).collect();
        let others = frames.len() - ours.len();
        shown.extend(ours.into_iter().map(|frame| Folded::Frame {
            function: frame.function,
            place: frame.place,
        }));
        if others > 0 {
            shown.push(Folded::Others(others));
        }
    }
    shown
}

/// A function that was called.
#[derive(Debug)]
struct Frame<'a> {
    function: &'a str,
    place: Option<&'a str>,
}

impl<'a> Frame<'a> {
    /// A frame, if a line begins one: `   2: place_order::handler`.
    fn begins_with(line: &'a str) -> Option<Self> {
        let (number, function) = line.trim_start().split_once(": ")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(Self {
            function: function.trim(),
            place: None,
        })
    }
}

/// The place in the source that a frame's second line has: `             at ./src/lib.rs:12:5`.
fn place(line: &str) -> Option<&str> {
    let place = line.strip_prefix([' ', '\t'])?.trim_start();
    Some(place.strip_prefix("at ")?.trim())
}

/// Only below such a line are frames: the causes of an error are numbered as well.
fn is_heading(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case("stack backtrace:")
}
