//! The line that moves while something runs.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};

use super::whole::write_whole;

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

/// Clears what a moving line has left.
pub(crate) fn clear_line() {
    if lines_move() {
        let _ = std::io::stderr().write_all(b"\r\x1b[K");
    }
}

/// The line that moves now, if there is one.
fn moving_line() -> MutexGuard<'static, Option<WeakProgressBar>> {
    static MOVING_LINE: Mutex<Option<WeakProgressBar>> = Mutex::new(None);
    MOVING_LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, for what is written at any time: the moving line stands aside, because a
/// line that is written behind it would stay there with it.
pub(super) struct AboveMovingLine;

impl Write for AboveMovingLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let write = || write_whole(&String::from_utf8_lossy(bytes)).map(|()| bytes.len());
        let moving = moving_line().as_ref().and_then(WeakProgressBar::upgrade);
        match moving {
            Some(moving) => moving.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
