//! Text in the columns of a terminal.

use anstyle::Style;
use textwrap::core::display_width;

use super::PLAIN;
use crate::terminal::{DIM, inert};

/// `HH:MM:SS.mmm`
const TIME_COLUMNS: usize = 12;

/// The first group of a request's id.
const REQUEST_COLUMNS: usize = 8;

/// The fewest columns beside the head in which text is readable. With fewer, it stands below.
const BODY_COLUMNS_MIN: usize = 30;

/// How far text below the head is indented.
const INDENT: usize = 2;

/// A line of text in several styles, which may be longer than the terminal is wide.
#[derive(Debug, Clone, Default)]
pub(super) struct Row(Vec<(Style, char)>);

impl Row {
    /// Text of others, in one line.
    pub(super) fn of(style: Style, text: &str) -> Self {
        let mut row = Self::default();
        row.push(style, text);
        row
    }

    pub(super) fn push(&mut self, style: Style, text: &str) {
        self.0.extend(characters(style, text));
    }

    /// Appends text behind a space, unless it is the first.
    pub(super) fn push_word(&mut self, style: Style, text: &str) {
        if !self.0.is_empty() {
            self.push(PLAIN, " ");
        }
        self.push(style, text);
    }

    pub(super) fn prepend(&mut self, style: Style, text: &str) {
        self.0.splice(..0, characters(style, text));
    }

    /// Parts of at most so many columns, broken at spaces if there are any.
    fn wrapped(&self, columns: Option<usize>) -> Vec<&[(Style, char)]> {
        let Some(columns) = columns else {
            return vec![&self.0];
        };
        let mut parts = Vec::new();
        let mut rest = self.0.as_slice();
        loop {
            let mut used = 0;
            let overflow = rest.iter().position(|&(_, c)| {
                used += width(c);
                used > columns
            });
            let Some(overflow) = overflow else {
                parts.push(rest);
                return parts;
            };
            let indent = rest.iter().take_while(|(_, c)| *c == ' ').count();
            let space = rest[..=overflow].iter().rposition(|(_, c)| *c == ' ');
            let (part, next) = match space.filter(|&space| space > indent) {
                Some(space) => (&rest[..space], &rest[space + 1..]),
                // A character may be wider than the terminal.
                None => rest.split_at(overflow.max(1)),
            };
            parts.push(part);
            rest = next;
        }
    }
}

/// What a line begins with.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) time: Option<String>,
    /// None where all lines are of one function.
    pub(super) name: Option<String>,
    pub(super) name_style: Style,
    pub(super) name_columns: usize,
    /// The request's short id; empty if it is not known.
    pub(super) request: String,
}

impl Head {
    /// This head and the rows behind it, or below it on a narrow terminal.
    pub(super) fn before(&self, rows: &[Row], columns: Option<usize>) -> String {
        let name_columns = self.name.as_ref().map_or(0, |_| self.name_columns + 1);
        let aligned = TIME_COLUMNS + 1 + name_columns + REQUEST_COLUMNS + 1;
        let is_beside = columns.is_none_or(|columns| columns >= aligned + BODY_COLUMNS_MIN);
        let mut text = String::new();
        let indent = if is_beside { aligned } else { INDENT };
        let body_columns = columns.map(|columns| columns.saturating_sub(indent).max(1));
        let mut is_first = true;
        if is_beside {
            styled(&self.row(true).0, &mut text);
        } else {
            for part in self.row(false).wrapped(columns) {
                styled(part, &mut text);
                text.push('\n');
            }
            is_first = false;
        }
        for part in rows.iter().flat_map(|row| row.wrapped(body_columns)) {
            if !is_first {
                text.push_str(&" ".repeat(indent));
            }
            is_first = false;
            styled(part, &mut text);
            text.push('\n');
        }
        text
    }

    fn row(&self, is_aligned: bool) -> Row {
        let mut row = Row::default();
        let mut column = |style, text: &str, columns: usize| {
            if is_aligned || !text.is_empty() {
                row.push(style, text);
                let padding = columns.saturating_sub(display_width(text));
                row.push(PLAIN, &" ".repeat(if is_aligned { padding } else { 0 }));
                row.push(PLAIN, " ");
            }
        };
        column(DIM, self.time.as_deref().unwrap_or_default(), TIME_COLUMNS);
        if let Some(name) = &self.name {
            column(self.name_style, name, self.name_columns);
        }
        let request: String = self.request.chars().take(REQUEST_COLUMNS).collect();
        column(DIM, &request, REQUEST_COLUMNS);
        if !is_aligned {
            row.0.pop();
        }
        row
    }
}

fn characters(style: Style, text: &str) -> impl Iterator<Item = (Style, char)> {
    // Here every line break has been seen to.
    let text = inert(text).replace('\n', "\\n").replace('\t', "    ");
    text.chars()
        .map(move |c| (style, c))
        .collect::<Vec<_>>()
        .into_iter()
}

fn width(c: char) -> usize {
    display_width(c.encode_utf8(&mut [0; 4]))
}

/// Appends characters with their styles.
fn styled(characters: &[(Style, char)], text: &mut String) {
    use std::fmt::Write as _;
    for run in characters.chunk_by(|(one, _), (next, _)| one == next) {
        let style = run.first().map_or(PLAIN, |(style, _)| *style);
        let run: String = run.iter().map(|(_, c)| *c).collect();
        // Cannot fail: the text is in memory.
        let _ = write!(text, "{style}{run}{style:#}");
    }
}
