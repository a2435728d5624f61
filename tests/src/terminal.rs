//! A terminal, to see what a person sees: the command's standard streams are a pseudo-terminal,
//! whose output a screen in memory interprets.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{
    Child, CommandBuilder, ExitStatus, MasterPty, PtyPair, PtySize, native_pty_system,
};
use vt100::Parser;

use crate::{START_PATIENCE, signal, workspace};

/// How long a text or the end of a command is waited for. Generous: it passes only when
/// something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ctrl-C, as a terminal sends it.
pub const CTRL_C: &str = "\u{3}";

/// Ctrl-D on an empty line: the end of input.
pub const CTRL_D: &str = "\u{4}";

/// The height of every terminal here. Lines that scroll off are kept.
const ROWS: u16 = 24;

/// The lines that are kept when they scroll off.
const SCROLLBACK_ROWS: usize = 100_000;

/// What `indicatif` draws for a spinner.
const SPINNER: &str = "⠁⠂⠄⡀⢀⠠⠐⠈";

/// A command on a terminal of its own. Dropping it closes the terminal, which ends the command
/// as it would when a person closes the window.
pub struct Terminal {
    what: String,
    child: Box<dyn Child + Send + Sync>,
    /// None when the terminal is closed.
    keyboard: Option<Box<dyn Write + Send>>,
    master: Option<Box<dyn MasterPty + Send>>,
    output: Arc<Output>,
    reader: Option<JoinHandle<()>>,
    columns: u16,
}

/// What the command has written, and a signal that there is more of it.
#[derive(Default)]
struct Output {
    state: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    /// In the pieces in which it came: whoever looks at the screen sees it after each of them.
    pieces: Vec<Piece>,
    ended: bool,
}

#[derive(Clone)]
enum Piece {
    Bytes(Vec<u8>),
    Columns(u16),
}

impl Terminal {
    /// Runs a command on a terminal of this width. It sees only the variables that are set on
    /// `command`, and `TERM`, unless that is one of them.
    pub fn run(command: &Command, columns: u16) -> Self {
        let size = PtySize {
            rows: ROWS,
            cols: columns,
            ..PtySize::default()
        };
        let PtyPair { slave, master } = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        builder.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        let directory = command.get_current_dir();
        builder.cwd(directory.map_or_else(workspace, Path::to_owned));
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let child = slave.spawn_command(builder).unwrap();
        // The command has the only other end of the terminal, so that its end can be seen.
        drop(slave);
        let output = Arc::new(Output::default());
        output.push(Piece::Columns(columns));
        let mut bytes = master.try_clone_reader().unwrap();
        let written = Arc::clone(&output);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = bytes.read(&mut buffer) {
                written.push(Piece::Bytes(buffer[..count].to_vec()));
            }
            written.lock().ended = true;
            written.changed.notify_all();
        });
        Self {
            what: format!("{} on {columns} columns", arguments.join(" ")),
            child,
            keyboard: Some(master.take_writer().unwrap()),
            master: Some(master),
            output,
            reader: Some(reader),
            columns,
        }
    }

    /// Types a text, or the characters of keys.
    pub fn type_text(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("the terminal is open");
        keyboard.write_all(text.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.type_text(&format!("{line}\r"));
    }

    /// Makes the terminal wider or narrower while the command runs.
    pub fn resize(&mut self, columns: u16) {
        let size = PtySize {
            rows: ROWS,
            cols: columns,
            ..PtySize::default()
        };
        let master = self.master.as_ref().expect("the terminal is open");
        master.resize(size).unwrap();
        self.columns = columns;
        self.output.push(Piece::Columns(columns));
    }

    /// What is shown now.
    pub fn screen(&self) -> Screen {
        let written = self.output.lock();
        Screen::of(&written.pieces)
    }

    /// Waits until a text is shown, or has been and scrolled off.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Screen {
        self.wait_until(text, |screen| screen.text().contains(text))
    }

    /// As [`wait_for`](Self::wait_for), where something may have to be compiled first.
    #[track_caller]
    pub fn wait_long_for(&self, text: &str) -> Screen {
        self.wait(START_PATIENCE, text, |screen| screen.text().contains(text))
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn wait_until(&self, wanted: &str, is: impl Fn(&Screen) -> bool) -> Screen {
        self.wait(PATIENCE, wanted, is)
    }

    #[track_caller]
    fn wait(&self, patience: Duration, wanted: &str, is: impl Fn(&Screen) -> bool) -> Screen {
        let deadline = Instant::now() + patience;
        let mut written = self.output.lock();
        loop {
            let screen = Screen::of(&written.pieces);
            if is(&screen) {
                drop(written);
                screen.check(&self.what);
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if written.ended || left.is_zero() {
                drop(written);
                panic!("{}: `{wanted}` is not shown", self.what);
            }
            written = self.output.changed.wait_timeout(written, left).unwrap().0;
        }
    }

    /// The command's process.
    pub fn process_id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits for the end of the command.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "{} does not end:\n{}",
                self.what,
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        // What it wrote before it ended may still be on its way. What it started may outlive it
        // and keep the terminal open, which is a fault.
        let mut written = self.output.lock();
        while !written.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} has ended, but something that it started has not",
                self.what
            );
            written = self.output.changed.wait_timeout(written, left).unwrap().0;
        }
        let ended = Ended {
            exit_code: exit_code(&status),
            signal: status.signal().map(str::to_owned),
            steps: steps(&written.pieces),
            screen: Screen::of(&written.pieces),
        };
        drop(written);
        ended.screen.check(&self.what);
        assert_ne!(ended.exit_code, Some(101), "{}: {ended}", self.what);
        ended
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.what, self.screen());
        }
        let has_ended = |child: &mut Box<dyn Child + Send + Sync>| {
            child.try_wait().is_ok_and(|status| status.is_some())
        };
        if !has_ended(&mut self.child) {
            signal("HUP", self.process_id());
            let asked = Instant::now();
            while !has_ended(&mut self.child) && asked.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if !has_ended(&mut self.child) {
                signal("KILL", self.process_id());
                let _ = self.child.wait();
            }
        }
        self.keyboard = None;
        self.master = None;
        // Whoever outlives the command may hold the terminal open: nobody waits for the reader
        // then.
        if self.output.lock().ended
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
    }
}

impl Output {
    /// Whoever fails while it looks at the output has not harmed it.
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Piece) {
        self.lock().pieces.push(piece);
        self.changed.notify_all();
    }
}

/// None when a signal ended the command.
fn exit_code(status: &ExitStatus) -> Option<u32> {
    status.signal().is_none().then(|| status.exit_code())
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// None when a signal ended it.
    pub exit_code: Option<u32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// What was shown at last.
    pub screen: Screen,
    /// What was shown on the way, as far as it differed.
    pub steps: Vec<Screen>,
}

impl Ended {
    /// Fails the test unless the command has ended in this way.
    #[track_caller]
    pub fn with_code(self, exit_code: u32) -> Self {
        assert_eq!(self.exit_code, Some(exit_code), "{self}");
        self
    }

    /// Fails the test if a moving line left something behind, or was drawn twice.
    #[track_caller]
    pub fn is_tidy(self) -> Self {
        for step in &self.steps {
            assert!(step.moving_lines() <= 1, "two moving lines:\n{step}");
        }
        assert_eq!(self.screen.moving_lines(), 0, "{self}");
        self
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.screen)?;
        match (&self.exit_code, &self.signal) {
            (Some(code), _) => write!(f, "[exit code {code}]"),
            (None, signal) => write!(f, "[ended by {}]", signal.as_deref().unwrap_or("a signal")),
        }
    }
}

/// What a terminal shows, with what has scrolled off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    lines: Vec<Line>,
    written: Vec<u8>,
}

/// A line as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Line {
    text: String,
    /// With the sequences that colour it.
    coloured: String,
    /// Whether it is longer than the terminal is wide.
    wraps: bool,
}

impl Screen {
    fn of(pieces: &[Piece]) -> Self {
        let mut parser = Parser::new(ROWS, 80, SCROLLBACK_ROWS);
        let mut written = Vec::new();
        for piece in pieces {
            apply(piece, &mut parser);
            if let Piece::Bytes(bytes) = piece {
                written.extend_from_slice(bytes);
            }
        }
        Self {
            lines: lines(&mut parser),
            written,
        }
    }

    /// What is shown, without the breaks that the terminal made in lines longer than its width.
    pub fn text(&self) -> String {
        self.lines
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect()
    }

    /// A picture of what is shown, in its colours.
    pub fn svg(&self) -> String {
        let lines = self.lines.iter().map(|line| line.coloured.as_str());
        anstyle_svg::Term::new().render_svg(&lines.collect::<Vec<_>>().join("\u{1b}[m\n"))
    }

    /// The lines, as [`text`](Self::text).
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.text.as_str())
    }

    /// The lines that are longer than the terminal is wide.
    pub fn wrapped_lines(&self) -> Vec<&str> {
        let wrapped = self.lines.iter().filter(|line| line.wraps);
        wrapped.map(|line| line.text.as_str()).collect()
    }

    /// Whether this is the last that was written, but for colours. It may end with a space, which
    /// cannot be seen.
    pub fn ends_with(&self, text: &str) -> bool {
        let mut pieces = self.written.split(|byte| *byte == 0x1b);
        let first = pieces.next().unwrap_or_default().to_vec();
        let plain = pieces.fold(first, |mut plain, piece| {
            let end = piece.iter().position(u8::is_ascii_alphabetic);
            plain.extend(piece.iter().skip(end.map_or(piece.len(), |end| end + 1)));
            plain
        });
        plain.ends_with(text.as_bytes())
    }

    /// Whether anything was coloured, or set in bold or the like.
    pub fn has_colours(&self) -> bool {
        let sequences = self.written.split(|byte| *byte == 0x1b).skip(1);
        sequences
            .filter_map(|sequence| sequence.strip_prefix(b"["))
            .any(|sequence| {
                let end = sequence.iter().find(|byte| byte.is_ascii_alphabetic());
                end == Some(&b'm')
            })
    }

    /// Whether a control sequence of any kind was written: a moving line, a colour.
    pub fn has_control_sequences(&self) -> bool {
        self.written.contains(&0x1b)
    }

    /// Whether a spinner or a progress bar is shown.
    pub fn has_moving_line(&self) -> bool {
        self.moving_lines() > 0
    }

    /// What is shown from the last line on that has a text in it.
    pub fn from(&self, text: &str) -> Self {
        let first = self.lines.iter().rposition(|line| line.text.contains(text));
        Self {
            lines: self.lines[first.unwrap_or(self.lines.len())..].to_vec(),
            written: self.written.clone(),
        }
    }

    /// How many spinners and progress bars are shown. More than one is debris.
    pub fn moving_lines(&self) -> usize {
        let moves = |line: &&Line| line.text.contains(|c| SPINNER.contains(c));
        self.lines.iter().filter(moves).count()
    }

    #[track_caller]
    fn check(&self, what: &str) {
        let text = self.text();
        for panic in ["panicked at", "stack backtrace", "RUST_BACKTRACE"] {
            assert!(!text.contains(panic), "{what}:\n{self}");
        }
    }
}

/// The rows below each other, those that the terminal broke marked.
impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let mark = if line.wraps { " ↩" } else { "" };
            writeln!(f, "{}{mark}", line.text)?;
        }
        Ok(())
    }
}

fn apply(piece: &Piece, parser: &mut Parser) {
    match piece {
        Piece::Bytes(bytes) => parser.process(bytes),
        Piece::Columns(columns) => parser.screen_mut().set_size(ROWS, *columns),
    }
}

/// What is in the window after each piece, as far as it differs from what was there before.
fn steps(pieces: &[Piece]) -> Vec<Screen> {
    let mut parser = Parser::new(ROWS, 80, 0);
    let mut steps: Vec<Screen> = Vec::new();
    for piece in pieces {
        apply(piece, &mut parser);
        let step = Screen {
            lines: lines(&mut parser),
            written: Vec::new(),
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    steps
}

/// A row in which the cursor is not moved over what is empty.
fn with_spaces(row: &str) -> String {
    let moves = regex::Regex::new("\u{1b}\\[(\\d*)C").unwrap();
    let spaces = |moved: &regex::Captures<'_>| " ".repeat(moved[1].parse().unwrap_or(1));
    moves.replace_all(row, spaces).into_owned()
}

/// The lines that have scrolled off, and those in the window.
fn lines(parser: &mut Parser) -> Vec<Line> {
    let (_, columns) = parser.screen().size();
    let mut rows: Vec<(String, String, bool)> = Vec::new();
    let mut row = |parser: &Parser, index: u16| {
        let screen = parser.screen();
        let text = screen.rows(0, columns).nth(usize::from(index));
        let coloured = screen.rows_formatted(0, columns).nth(usize::from(index));
        let coloured = with_spaces(&String::from_utf8(coloured.unwrap_or_default()).unwrap());
        rows.push((
            text.unwrap_or_default(),
            coloured,
            screen.row_wrapped(index),
        ));
    };
    parser.screen_mut().set_scrollback(usize::MAX);
    for offset in (1..=parser.screen().scrollback()).rev() {
        parser.screen_mut().set_scrollback(offset);
        row(parser, 0);
    }
    parser.screen_mut().set_scrollback(0);
    (0..ROWS).for_each(|index| row(parser, index));

    let mut lines = Vec::new();
    let mut line = Line::default();
    for (text, coloured, wraps) in rows {
        line.text.push_str(&text);
        line.coloured.push_str(&coloured);
        if wraps {
            line.wraps = true;
        } else {
            line.text.truncate(line.text.trim_end().len());
            lines.push(std::mem::take(&mut line));
        }
    }
    while lines.last().is_some_and(|line: &Line| line.text.is_empty()) {
        lines.pop();
    }
    lines
}
