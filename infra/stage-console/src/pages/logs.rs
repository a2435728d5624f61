//! The logs of all functions as one.

use std::time::Duration;

use deploy::{ErrorKind, LogLine, LogQuery, LogTail};
use maud::{Markup, html};
use serde_json::Value;

use super::Visit;
use crate::fields::link;
use crate::layout::{Page, Section, shown, time};
use crate::problem::{Problem, Result};

/// Lines on the page: the latest.
const LINES: usize = 500;
/// How far back they go.
const SINCE: Duration = Duration::from_secs(60 * 60);
/// Colours of functions in the style.
const COLOURS: usize = 8;

/// A line, and the place of its function among the app's.
struct Line {
    function: String,
    colour: usize,
    line: LogLine,
}

/// The latest lines.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let (wanted, filter) = (visit.query.text("function"), visit.query.text("filter"));
    let mut lines = Vec::new();
    for (index, function) in app.functions.iter().enumerate() {
        if !wanted.is_empty() && function.name != wanted {
            continue;
        }
        let mut tail = LogTail::new(LogQuery {
            group: function.log_group.clone(),
            pattern: (!filter.trim().is_empty()).then(|| filter.to_owned()),
            since: SINCE,
        });
        let read = match tail.read(&visit.stage.target).await {
            Ok(read) => read,
            // A function that has not run has no log.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Problem::from(error)),
        };
        lines.extend(read.into_iter().map(|line| Line {
            function: function.name.clone(),
            colour: index % COLOURS,
            line,
        }));
    }
    lines.sort_by_key(|line| line.line.timestamp_ms);
    let left_out = lines.len().saturating_sub(LINES);
    let lines = &lines[left_out..];
    let body = html! {
        form.search method="get" action="/logs" data-at-once {
            label {
                "Function"
                select name="function" {
                    option value="" { "all" }
                    @for function in &app.functions {
                        option value=(function.name) selected[function.name == wanted] { (function.name) }
                    }
                }
            }
            label.grow { "Filter" input type="search" name="filter" value=(filter) placeholder="words, or a CloudWatch Logs filter pattern"; }
            button type="submit" { "Show" }
            @if !wanted.is_empty() || !filter.is_empty() { a href="/logs" { "Show all" } }
        }
        @if lines.is_empty() {
            p.empty #log data-live { "No lines." }
        } @else {
            div.log-lines #log data-live="end" tabindex="0" role="log" aria-label="Lines" {
                @if left_out > 0 { p.dim { "The latest " (LINES) " lines of the last hour." } }
                @for line in lines { (row(line)) }
            }
        }
    };
    Ok(Page::new(Section::Logs, "Logs", body).wide())
}

fn row(
    Line {
        function,
        colour,
        line,
    }: &Line,
) -> Markup {
    let at = u64::try_from(line.timestamp_ms).unwrap_or_default();
    html! {
        div.line.(Entry::of(&line.message).level) {
            (time(at))
            a.of.(format!("colour-{colour}")) href=(link("/logs", &[("function", function)])) { (function) }
            (text(&line.message))
        }
    }
}

/// A class of the style for a line: `error`, `warn` or nothing.
pub(super) fn level(line: &str) -> &'static str {
    Entry::of(line).level
}

/// What a line says, and with which values.
pub(super) fn text(line: &str) -> Markup {
    let entry = Entry::of(line);
    html! {
        span.text {
            (shown(&entry.message))
            @for (name, value) in entry.fields { " " span.dim { (shown(&name)) "=" } (shown(&value)) }
        }
    }
}

/// A line of a log, taken apart if it is JSON of Lambda's format.
struct Entry {
    /// A class of the style: `error`, `warn` or nothing.
    level: &'static str,
    message: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    fn of(text: &str) -> Self {
        let plain = || Self {
            level: "",
            message: text.trim_end().to_owned(),
            fields: Vec::new(),
        };
        let Ok(Value::Object(mut object)) = serde_json::from_str(text) else {
            return plain();
        };
        let level = match object.remove("level").as_ref().and_then(Value::as_str) {
            Some("ERROR") => "error",
            Some("WARN") => "warn",
            _ => "",
        };
        // Who wrote the line, and in which invocation, its place tells.
        for name in ["timestamp", "target", "span", "spans"] {
            object.remove(name);
        }
        if let Some(Value::Object(fields)) = object.remove("fields") {
            object.extend(fields);
        }
        let message = object.remove("message");
        let Some(message) = message.as_ref().and_then(Value::as_str) else {
            return plain();
        };
        let text_of = |value: Value| match value {
            Value::String(text) => text,
            value => value.to_string(),
        };
        Self {
            level,
            message: message.to_owned(),
            fields: object
                .into_iter()
                .map(|(name, value)| (name, text_of(value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_taken_apart() {
        let entry = Entry::of(
            r#"{"level":"ERROR","timestamp":"t","fields":{"message":"no","key":"a<b","n":1}}"#,
        );
        assert_eq!((entry.level, entry.message.as_str()), ("error", "no"));
        assert_eq!(
            entry.fields,
            [
                ("key".to_owned(), "a<b".to_owned()),
                ("n".to_owned(), "1".to_owned())
            ]
        );
        for other in ["START RequestId: 1\n", "{", r#"{"a":1}"#] {
            assert_eq!(Entry::of(other).message, other.trim_end());
        }
    }
}
