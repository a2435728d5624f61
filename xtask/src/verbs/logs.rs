//! `logs`: what functions log, once or as it grows.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use deploy::{Kind, LogLine, LogQuery, LogTail, Target};
use manifest::Function;
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::error::Result;
use crate::terminal::{DIM, line};

/// How often followed logs are read, for each of them. CloudWatch Logs allows an account a few
/// such calls a second.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
const FOLLOW_INTERVAL_MIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: &cli::Logs) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let functions: Vec<&Function> = if args.functions.is_empty() {
        context.app.functions().collect()
    } else {
        let named = args.functions.iter().map(|name| context.function(name));
        named.collect::<Result<_>>()?
    };
    let target = context.connect().await?;
    let count = u32::try_from(functions.len()).unwrap_or(u32::MAX);
    let mut logs = Logs::of(functions, args.filter.as_deref(), args.since);
    loop {
        for logged in logs.read(&target).await? {
            if args.json {
                line(logged.json())?;
            } else {
                line(logged.text())?;
            }
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep((FOLLOW_INTERVAL * count).max(FOLLOW_INTERVAL_MIN)).await;
    }
}

/// The logs of some functions, as one.
#[derive(Debug)]
pub(crate) struct Logs {
    tails: Vec<(String, Style, LogTail)>,
}

impl Logs {
    /// Each function has a colour of its own, as long as there are enough.
    pub(crate) fn of<'a>(
        functions: impl IntoIterator<Item = &'a Function>,
        pattern: Option<&str>,
        since: Duration,
    ) -> Self {
        const COLOURS: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Magenta,
            AnsiColor::Yellow,
            AnsiColor::Green,
            AnsiColor::Blue,
            AnsiColor::Red,
        ];
        let tails = functions.into_iter().zip(COLOURS.iter().cycle());
        let tails = tails.map(|(function, colour)| {
            let tail = LogTail::new(LogQuery {
                group: function.log_group(),
                pattern: pattern.map(str::to_owned),
                since,
            });
            (function.name().to_owned(), colour.on_default(), tail)
        });
        Self {
            tails: tails.collect(),
        }
    }

    /// What is new since the last call, in order of time. A group that is not there has no
    /// lines; if none is there, that is an error.
    pub(crate) async fn read(&mut self, target: &Target) -> deploy::Result<Vec<Line>> {
        let names_function = self.tails.len() > 1;
        let mut lines = Vec::new();
        let mut missing = Vec::new();
        for (function, style, tail) in &mut self.tails {
            match tail.read(target).await {
                Ok(read) => lines.extend(read.into_iter().map(|line| Line {
                    function: function.clone(),
                    style: *style,
                    names_function,
                    line,
                })),
                Err(error) if error.kind() == Kind::NotFound => missing.push(error),
                Err(error) => return Err(error),
            }
        }
        if missing.len() == self.tails.len()
            && let Some(error) = missing.pop()
        {
            return Err(error);
        }
        // Stable: lines of one function and one millisecond stay in their order.
        lines.sort_by_key(|line| line.line.timestamp_ms);
        Ok(lines)
    }
}

/// A line of one of several logs.
#[derive(Debug)]
pub(crate) struct Line {
    function: String,
    style: Style,
    names_function: bool,
    line: LogLine,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        let Self { style, line, .. } = self;
        let time = time_of_day(line.timestamp_ms);
        if self.names_function {
            let function = &self.function;
            format!(
                "{DIM}{time}{DIM:#} {style}{function}{style:#} {}",
                line.message
            )
        } else {
            format!("{time} {}", line.message)
        }
    }

    fn json(&self) -> serde_json::Value {
        let mut line = json!(self.line);
        line["function"] = self.function.as_str().into();
        line
    }
}

/// `HH:MM:SS.mmm`, UTC.
fn time_of_day(timestamp_ms: i64) -> String {
    let ms = timestamp_ms.rem_euclid(86_400_000);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        ms / 1000 % 60,
        ms % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_day() {
        assert_eq!(time_of_day(1_763_615_921_042), "05:18:41.042");
        assert_eq!(time_of_day(0), "00:00:00.000");
    }
}
