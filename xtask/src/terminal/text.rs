//! Text as a terminal may show it.
//!
//! Much of what is shown was written by others: log lines, events, what AWS and proxies answer.
//! On a terminal it must not act. So text for people passes [`tamed`], which leaves only this
//! module's own styles, and text of others passes [`inert`], which leaves none. JSON and a
//! function's answer are for programs and stay exact.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default().bold();

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
pub(crate) fn tamed(text: &str) -> Cow<'_, str> {
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

/// A text in lines of a terminal, broken between words only.
pub(crate) fn words(text: &str, columns: Option<usize>) -> Vec<String> {
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
}
