//! Reading functions' logs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::target::Target;

/// CloudWatch Logs may make an event visible some seconds after a later one: so much is
/// read again on every call, and what was seen already is left out.
const OVERLAP_MS: i64 = 15_000;

/// Which lines to read.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// The log group.
    pub group: String,
    /// A CloudWatch Logs filter pattern.
    pub pattern: Option<String>,
    /// How far back the first read goes.
    pub since: Duration,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LogLine {
    /// When it was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The log stream: one per execution environment.
    pub stream: String,
    /// The line, without its line break.
    pub message: String,
}

/// Reads a log group from one moment on, each line once.
#[derive(Debug)]
pub struct LogTail {
    query: LogQuery,
    from_ms: i64,
    seen: BTreeSet<(i64, String)>,
}

impl LogTail {
    /// A reader that starts `query.since` ago.
    pub fn new(query: LogQuery) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let from = now.saturating_sub(query.since);
        Self {
            from_ms: i64::try_from(from.as_millis()).unwrap_or(i64::MAX),
            query,
            seen: BTreeSet::new(),
        }
    }

    /// The lines that appeared since the last call, in order of time.
    ///
    /// # Errors
    /// When the log group does not exist or cannot be read.
    pub async fn read(&mut self, target: &Target) -> Result<Vec<LogLine>> {
        let mut pages = target
            .logs
            .filter_log_events()
            .log_group_name(&self.query.group)
            .set_filter_pattern(self.query.pattern.clone())
            .start_time(self.from_ms)
            .into_paginator()
            .send();
        let mut events = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let error = Error::aws(&format!("read log group {}", self.query.group), &error);
                match error.kind() {
                    ErrorKind::NotFound => error.hint("deploy the stage first"),
                    _ => error,
                }
            })?;
            events.extend(page.events.unwrap_or_default());
        }
        let mut lines = self.fresh(events);
        lines.sort_by_key(|line| line.timestamp_ms);
        Ok(lines)
    }

    /// Drops events that were returned before and moves the start of the next read.
    fn fresh(&mut self, events: Vec<FilteredLogEvent>) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut twins: BTreeMap<LogLine, usize> = BTreeMap::new();
        for event in events {
            let line = LogLine {
                timestamp_ms: event.timestamp.unwrap_or_default(),
                stream: event.log_stream_name.unwrap_or_default(),
                message: event
                    .message
                    .unwrap_or_default()
                    .trim_end_matches(['\n', '\r'])
                    .to_owned(),
            };
            let id = event.event_id.unwrap_or_else(|| {
                // Emulators may give no ids: then a line is known by what it says, and the
                // same line in the same millisecond by how many came before it.
                let twin = twins.entry(line.clone()).or_default();
                *twin += 1;
                format!("{} {twin} {}", line.stream, line.message)
            });
            self.from_ms = self.from_ms.max(line.timestamp_ms - OVERLAP_MS);
            if self.seen.insert((line.timestamp_ms, id)) {
                lines.push(line);
            }
        }
        self.seen = self.seen.split_off(&(self.from_ms, String::new()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, timestamp_ms: i64) -> FilteredLogEvent {
        FilteredLogEvent::builder()
            .event_id(id)
            .timestamp(timestamp_ms)
            .message(format!("line {id}\n"))
            .build()
    }

    fn tail() -> LogTail {
        LogTail {
            query: LogQuery {
                group: "/aws/lambda/x".to_owned(),
                pattern: None,
                since: Duration::ZERO,
            },
            from_ms: 0,
            seen: BTreeSet::new(),
        }
    }

    #[test]
    fn an_overlapping_read_returns_each_line_once_and_late_lines_too() {
        let mut tail = tail();
        let first = tail.fresh(vec![event("a", 1_000_000), event("b", 1_001_000)]);
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].message, "line a");
        let late = tail.fresh(vec![
            event("a", 1_000_000),
            event("late", 1_000_500),
            event("b", 1_001_000),
        ]);
        assert_eq!(
            late.iter()
                .map(|line| line.message.as_str())
                .collect::<Vec<_>>(),
            ["line late"]
        );
    }

    #[test]
    fn what_was_seen_is_forgotten_once_it_cannot_come_again() {
        let mut tail = tail();
        tail.fresh(vec![event("old", 1_000_000)]);
        tail.fresh(vec![event("new", 1_000_000 + OVERLAP_MS + 1)]);
        assert_eq!(tail.from_ms, 1_000_001);
        assert_eq!(tail.seen.len(), 1);
    }

    #[test]
    fn lines_without_ids_are_told_apart_and_known_again() {
        let mut tail = tail();
        let line = || {
            FilteredLogEvent::builder()
                .timestamp(1_000_000)
                .message("the same words")
                .build()
        };
        assert_eq!(tail.fresh(vec![line(), line()]).len(), 2);
        assert_eq!(tail.fresh(vec![line(), line(), line()]).len(), 1);
    }
}
