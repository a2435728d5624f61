//! `invoke`: runs a function once.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anstyle::Style;
use deploy::ErrorKind;
use manifest::Function;
use schedules::{Firing, Input, Timestamp};
use uuid::Uuid;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::log_view::{LogView, LoggedLine};
use crate::output::{exact, line};
use crate::terminal::{DIM, RED, inert, one_line, stderr_columns, tell};
use crate::verbs::logs::own_code;
use crate::workspace::Workspace;

/// The most that Lambda takes as the event of an invocation that waits for the answer:
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// What editors on Windows put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(crate) async fn run(workspace: &Workspace, args: &cli::Invoke) -> Result<ExitCode> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let (function, event) = match (&args.schedule, &args.function) {
        (Some(schedule), _) => {
            let schedule = context.schedule(schedule)?;
            (schedule.function, fired(&schedule.input).into_bytes())
        }
        (None, function) => {
            let event = Source::of(args.payload.as_deref()).read()?;
            (function.clone().unwrap_or_default(), event)
        }
    };
    let function = context.function(&function)?;
    check(&event)?;
    let target = context.connect().await?;
    let invocation = match deploy::invoke(&target, &function.invocation_name(), event).await {
        Ok(invocation) => invocation,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Mostly, the whole stack is missing.
            context.outputs(&target).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    if args.logs {
        show_log(&invocation.log_tail, function, &context);
    }
    match invocation.result {
        Ok(answer) => {
            if std::io::stdout().is_terminal() {
                line(inert(&answer))?;
            } else {
                exact(&format!("{answer}\n"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tell(format_args!(
                "{RED}{}{RED:#}: {}",
                one_line(&error.error_type),
                one_line(&error.error_message)
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Shows the end of an invocation's log.
fn show_log(log: &str, function: &Function, context: &Context) {
    if !std::io::stderr().is_terminal() {
        for logged in log.lines() {
            tell(format_args!("{DIM}{}{DIM:#}", inert(logged)));
        }
        return;
    }
    let lines = log.lines().map(|message| LoggedLine {
        timestamp_ms: None,
        function: function.name(),
        style: Style::new(),
        stream: "",
        message,
    });
    let mut view = LogView::new([function.name()], own_code(context));
    let text = view.text(&lines.collect::<Vec<_>>(), stderr_columns());
    text.lines().for_each(tell);
}

/// What EventBridge Scheduler would send now, but for the ARN of a schedule, which `input` does not
/// ask for.
fn fired(input: &Input) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since_epoch.map_or(0, |since_epoch| since_epoch.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or_default();
    input.event(&Firing {
        schedule_arn: String::new(),
        scheduled_time: Timestamp::from_second(seconds).unwrap_or_default(),
        execution_id: Uuid::new_v4().to_string(),
        attempt_number: 1,
    })
}

/// Where the event is.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    StandardInput,
    File(PathBuf),
    /// On the command line.
    Inline(&'a str),
}

impl<'a> Source<'a> {
    /// As `--payload` of the AWS CLI, which takes the event itself, or a file behind `file://`
    /// or `fileb://`; and as other tools, which take a file's name, or `-`.
    fn of(payload: Option<&'a Path>) -> Self {
        let Some(payload) = payload else {
            return Self::StandardInput;
        };
        let Some(text) = payload.to_str() else {
            return Self::File(payload.to_owned());
        };
        let file = text
            .strip_prefix("file://")
            .or_else(|| text.strip_prefix("fileb://"));
        match (text, file) {
            ("-", _) => Self::StandardInput,
            (_, Some(file)) => Self::File(below_home(file)),
            _ if text.trim_start().starts_with(['{', '[']) && !payload.exists() => {
                Self::Inline(text)
            }
            _ => Self::File(payload.to_owned()),
        }
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut event = match self {
            Self::Inline(text) => text.as_bytes().to_vec(),
            Self::StandardInput => {
                let input = std::io::stdin();
                if input.is_terminal() {
                    return Err(
                        CliError::misuse("there is no event to invoke the function with").hint(
                            "name a file with --payload, or write the event to standard input",
                        ),
                    );
                }
                read(input).map_err(|error| {
                    CliError::new(format!("could not read standard input: {error}"))
                })?
            }
            Self::File(path) => File::open(path).and_then(read).map_err(|error| {
                CliError::misuse(format!("could not read {}: {error}", path.display())).hint(
                    "--payload takes a file with the event, `-` for standard input, or a JSON object or array",
                )
            })?,
        };
        if event.starts_with(BYTE_ORDER_MARK) {
            event.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(event)
    }
}

/// A file as the AWS CLI finds it; a shell leaves the `~` behind `file://` alone.
fn below_home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(file), Some(home)) => home.join(file),
        _ => file.into(),
    }
}

/// Reads a little more than Lambda takes, of what may have no end.
fn read(from: impl Read) -> std::io::Result<Vec<u8>> {
    let most = EVENT_BYTES_MAX + BYTE_ORDER_MARK.len() + 1;
    let mut event = Vec::new();
    from.take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut event)?;
    Ok(event)
}

/// Refuses what Lambda would refuse, or what a function would fail on for a reason that is hard
/// to find.
fn check(event: &[u8]) -> Result<()> {
    if event.len() > EVENT_BYTES_MAX {
        return Err(CliError::misuse(format!(
            "the event is too large: Lambda takes at most 6 MB ({EVENT_BYTES_MAX} bytes)"
        ))
        .hint("put the data into S3, and its key into the event"));
    }
    if let Some(encoding) = other_encoding(event) {
        return Err(
            CliError::misuse(format!("the event is {encoding}, but JSON is UTF-8"))
                .hint(format!("convert it: iconv -f {encoding} -t UTF-8")),
        );
    }
    let text = std::str::from_utf8(event).map_err(|error| {
        let (valid, invalid) = event.split_at(error.valid_up_to());
        let byte = invalid.first().copied().unwrap_or_default();
        CliError::misuse(format!(
            "the event is not UTF-8: byte 0x{byte:02x} at {}",
            place(&String::from_utf8_lossy(valid))
        ))
        .hint("convert it; from Latin-1, for example: iconv -f LATIN1 -t UTF-8")
    })?;
    if text.trim().is_empty() {
        return Err(CliError::misuse("the event is empty")
            .hint("an event without content is an empty object: {}"));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    if let Some(Err(error)) = values.next() {
        return Err(CliError::misuse(format!("the event is not JSON: {error}")));
    }
    let (event, rest) = text.split_at(values.byte_offset());
    let more = rest.trim_start();
    if more.is_empty() {
        return Ok(());
    }
    let blanks = &rest[..rest.len() - more.len()];
    Err(CliError::misuse(format!(
        "the event is more than one JSON value: something else begins at {}",
        place(&format!("{event}{blanks}"))
    ))
    .hint("invoke the function once for each event"))
}

/// The encoding of a text that is not UTF-8, by its mark or by the zeros of its first character.
/// The names are those of `iconv`.
fn other_encoding(text: &[u8]) -> Option<&'static str> {
    match text {
        [0xff, 0xfe, 0, 0, ..] => Some("UTF-32"),
        [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [_, 0, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0, _, ..] => Some("UTF-32BE"),
        [_, 0, ..] => Some("UTF-16LE"),
        [0, _, ..] => Some("UTF-16BE"),
        _ => None,
    }
}

/// The place behind a text.
fn place(before: &str) -> String {
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(event: &[u8]) -> String {
        format!("{:?}", check(event).unwrap_err())
    }

    #[test]
    fn json_is_an_event() {
        for event in ["{}", "null", " [1]\n", "\"é 🐈\"", r#""\ud800""#, "0"] {
            assert!(check(event.as_bytes()).is_ok(), "{event}");
        }
    }

    #[test]
    fn what_is_no_event_is_named() {
        for (event, named) in [
            (&b""[..], "the event is empty"),
            (b" \n\t", "the event is empty"),
            (b"\xff\xfe{\0}\0", "the event is UTF-16,"),
            (b"\xfe\xff\0{\0}", "the event is UTF-16,"),
            (b"{\0}\0", "the event is UTF-16LE,"),
            (b"\0{\0}", "the event is UTF-16BE,"),
            (b"\xff\xfe\0\0{\0\0\0", "the event is UTF-32,"),
            (b"{\0\0\0}\0\0\0", "the event is UTF-32LE,"),
            (
                "{\n \"é\": \"caf".as_bytes(),
                "the event is not JSON: EOF while parsing a string at line 2 column",
            ),
            (b"{\n \"caf\xe9\": 1}", "byte 0xe9 at line 2, column 6"),
            (b"{}\n{}", "something else begins at line 2, column 1"),
            (b"{} x", "something else begins at line 1, column 4"),
            (b"{a: 1}", "the event is not JSON: key must be a string"),
            (b"NaN", "the event is not JSON: expected value"),
            (b"{} // a comment", "something else begins at"),
        ] {
            let refusal = refusal(event);
            assert!(refusal.contains(named), "{event:?}: {refusal}");
            assert!(refusal.contains("Misused"), "{refusal}");
        }
    }

    #[test]
    fn lambdas_limit_is_to_the_byte() {
        let event = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
        assert!(check(&event(6_291_456)).is_ok());
        assert!(refusal(&event(6_291_457)).contains("at most 6 MB (6291456 bytes)"));
        assert_eq!(read(std::io::repeat(b'x')).unwrap().len(), 6_291_460);
    }

    #[test]
    fn an_event_is_where_the_aws_cli_would_look_for_it() {
        let source = |payload| Source::of(Some(Path::new(payload)));
        assert_eq!(Source::of(None), Source::StandardInput);
        assert_eq!(source("-"), Source::StandardInput);
        assert_eq!(source("event.json"), Source::File("event.json".into()));
        assert_eq!(source("file://a/b.json"), Source::File("a/b.json".into()));
        assert_eq!(source("fileb:///b.json"), Source::File("/b.json".into()));
        assert_eq!(source(" {\"a\": 1}"), Source::Inline(" {\"a\": 1}"));
        assert_eq!(source("[1]"), Source::Inline("[1]"));
        let home = std::env::home_dir().unwrap();
        assert_eq!(source("file://~/e.json"), Source::File(home.join("e.json")));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_event() {
        let directory = std::env::temp_dir().join(format!("xtask-invoke-{}", std::process::id()));
        std::fs::write(&directory, b"\xef\xbb\xbf{}").unwrap();
        let event = Source::File(directory.clone()).read();
        std::fs::remove_file(directory).unwrap();
        assert_eq!(event.unwrap(), b"{}");
    }
}
