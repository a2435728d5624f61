//! What a user meets where this program has a bug: one line that says what to report.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use crate::terminal::{BOLD, RED, clear_line, one_line, tell};

/// Prints a line for each panic, in place of Rust's message. The exit code stays 101, which is
/// that of every Rust program: a script can tell a bug from a failure.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // Is captured only if RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        clear_line();
        tell(format_args!(
            "{RED}error{RED:#}{BOLD}:{BOLD:#} {}",
            report(panic)
        ));
        if backtrace.status() == BacktraceStatus::Captured {
            tell(backtrace);
        }
    }));
}

fn report(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic
        .location()
        .map_or_else(String::new, |place| format!(" at {place}"));
    format!(
        "cargo xtask {version} has a bug: panic{place}: {message}; please report this line, the command and the output of `cargo xtask --version` to the maintainers of this repository (RUST_BACKTRACE=1 shows a backtrace)",
        version = env!("CARGO_PKG_VERSION"),
        message = one_line(message),
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// What the test below looks at from outside.
    #[test]
    #[ignore = "panics; is run by a_panic_is_one_line"]
    fn panics_as_the_program_would() {
        super::report_panics();
        assert_eq!("\u{1b}[2Jone\ntwo", "", "told in\nlines");
    }

    fn stderr_of_a_panic(backtrace: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--nocapture", "--exact"])
            .arg("panic::tests::panics_as_the_program_would")
            .env("RUST_BACKTRACE", backtrace)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(101));
        String::from_utf8(output.stderr).unwrap()
    }

    #[test]
    fn a_panic_is_one_line() {
        let told = stderr_of_a_panic("0");
        let told = told.trim_end();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.starts_with(concat!(
                "error: cargo xtask ",
                env!("CARGO_PKG_VERSION"),
                " has a bug: panic at xtask/src/panic.rs:"
            )),
            "{told}"
        );
        assert!(
            told.contains("assertion `left == right` failed: told in lines"),
            "{told}"
        );
        assert!(told.contains("please report this line"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }

    #[test]
    fn a_backtrace_is_shown_when_asked_for() {
        let told = stderr_of_a_panic("1");
        assert!(told.contains("panics_as_the_program_would"), "{told}");
    }
}
