//! Questions to the user.

use std::io::{BufRead, IsTerminal, Write};

use console::measure_text_width;

use crate::error::{CliError, Result};
use crate::interrupt;
use crate::terminal::{YELLOW, end_line, inert, stderr_columns, words};

/// Asks a yes-or-no question. Without a terminal, the answer is no.
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
            "could not ask \"{question}\": {missing} is not a terminal"
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

#[cfg(test)]
mod tests {
    use super::*;

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
