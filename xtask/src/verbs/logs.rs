//! `logs`: a function's log, once or as it grows.

use std::time::Duration;

use deploy::{LogLine, LogQuery, LogTail};

use crate::cli;
use crate::context::Context;
use crate::error::Result;

/// How often a followed log is read. CloudWatch Logs allows five such calls a second.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: &cli::Logs) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let function = context.function(&args.function)?;
    let target = context.connect().await?;
    let mut tail = LogTail::new(LogQuery {
        group: function.log_group(),
        pattern: args.filter.clone(),
        since: args.since,
    });
    loop {
        for line in tail.read(&target).await? {
            print(&line, args.json);
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

fn print(line: &LogLine, as_json: bool) {
    if as_json {
        println!("{}", serde_json::json!(line));
    } else {
        println!("{} {}", time_of_day(line.timestamp_ms), line.message);
    }
}

/// `HH:MM:SS.mmm`, UTC.
pub(crate) fn time_of_day(timestamp_ms: i64) -> String {
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
