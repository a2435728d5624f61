//! What Ctrl-C does.
//!
//! As long as nobody asks for more, it ends the program as it ends every program, and the shell
//! knows of the signal. At a question it must leave the terminal with a fresh line, and a
//! command that holds something must give it back first. A process that listens for a signal
//! cannot return to the default by itself, so one listener decides.

use std::process::exit;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Result};
use crate::terminal;

/// The exit code of a command that Ctrl-C has ended, as shells count it.
const INTERRUPTED: i32 = 130;

const DEFAULT: u8 = 0;
const EXITS: u8 = 1;
const CAUGHT: u8 = 2;

static MEANING: AtomicU8 = AtomicU8::new(DEFAULT);

/// As long as this lives, Ctrl-C ends the line on the terminal, and the program with exit code
/// 130, whatever it waits for.
pub(crate) struct Exits {
    before: u8,
}

impl Exits {
    pub(crate) fn new() -> Self {
        static LISTENER: Once = Once::new();
        LISTENER.call_once(|| {
            // Without the listener, Ctrl-C does what it does to every program.
            if let Ok(interrupts) = signal(SignalKind::interrupt()) {
                tokio::spawn(listen(interrupts));
            }
        });
        Self {
            before: MEANING.swap(EXITS, Ordering::SeqCst),
        }
    }
}

impl Drop for Exits {
    fn drop(&mut self) {
        MEANING.store(self.before, Ordering::SeqCst);
    }
}

async fn listen(mut interrupts: Signal) {
    while interrupts.recv().await.is_some() {
        match MEANING.load(Ordering::SeqCst) {
            EXITS => {
                terminal::end_line();
                exit(INTERRUPTED);
            }
            CAUGHT => {}
            _ => {
                let _ = emulate_default_handler(SIGINT);
            }
        }
    }
}

/// The signals by which people, terminals and supervisors end a command.
pub(crate) struct Endings {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Endings {
    /// From now on, they no longer end the command by themselves.
    pub(crate) fn catch() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CliError::new(format!("could not listen for signals: {error}")))
        };
        let endings = Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        };
        MEANING.store(CAUGHT, Ordering::SeqCst);
        Ok(endings)
    }

    /// Waits for the next of them; returns the exit code that tells of it, as shells count.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
            _ = self.hangup.recv() => 129,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};
    use std::time::Duration;

    use rustix::process::{Signal as Kind, getpid, kill_process};

    use super::*;

    /// What the tests below look at from outside: how Ctrl-C ends a program.
    async fn interrupted() {
        kill_process(getpid(), Kind::INT).unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    }

    #[tokio::test]
    #[ignore = "ends the process; is run by a_question_ends_with_an_exit_code"]
    async fn interrupted_at_a_question() {
        let _exits = Exits::new();
        interrupted().await;
    }

    #[tokio::test]
    #[ignore = "ends the process; is run by the_default_is_back_after_a_question"]
    async fn interrupted_after_a_question() {
        drop(Exits::new());
        interrupted().await;
    }

    #[tokio::test]
    #[ignore = "ends the process; is run by what_is_caught_goes_on"]
    async fn interrupted_while_caught() {
        drop(Exits::new());
        let mut endings = Endings::catch().unwrap();
        kill_process(getpid(), Kind::INT).unwrap();
        assert_eq!(endings.next().await, 130);
        exit(7);
    }

    fn end_of(test: &str) -> ExitStatus {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", &format!("interrupt::tests::{test}")])
            .output()
            .unwrap()
            .status
    }

    #[test]
    fn a_question_ends_with_an_exit_code() {
        assert_eq!(end_of("interrupted_at_a_question").code(), Some(130));
    }

    #[test]
    fn the_default_is_back_after_a_question() {
        assert_eq!(end_of("interrupted_after_a_question").signal(), Some(2));
    }

    #[test]
    fn what_is_caught_goes_on() {
        assert_eq!(end_of("interrupted_while_caught").code(), Some(7));
    }
}
