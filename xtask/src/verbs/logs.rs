//! `logs`: what functions log, once or as it grows.

use std::io::IsTerminal;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use deploy::{ErrorKind, LogLine, LogQuery, LogTail, Target};
use manifest::Function;
use serde_json::json;

use crate::cli;
use crate::context::Context;
use crate::denials::Denials;
use crate::error::{CliError, Result};
use crate::interrupt;
use crate::log_view::{LogView, LoggedLine, OwnCode, time_of_day};
use crate::output::{json_line, line, print, reader_is_gone, stdout_columns};
use crate::stage_client::StageClient;
use crate::stage_state::StageState;
use crate::terminal::{DIM, inert, stderr_columns, tell};
use crate::workspace::Workspace;

/// How often followed logs are read, for each of them. CloudWatch Logs allows an account a few
/// such calls a second.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
const FOLLOW_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How often the logs of the local stage are read at most. The stage tells when they have new lines.
const LOCAL_INTERVAL: Duration = Duration::from_millis(250);

pub(crate) async fn run(workspace: &Workspace, args: &cli::Logs) -> Result<()> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let functions = functions(&context, &args.functions)?;
    let pattern = args
        .filter
        .as_deref()
        .filter(|text| !text.trim().is_empty());
    let target = context.connect().await?;
    let mut logs = Logs::of(functions.iter().copied(), pattern, args.since);
    let local = context.local.as_ref();
    let mut denials = local.map(|stage| Denials::of(stage, args.since));
    let mut pause = Pause::between_reads(local, functions.len());
    let _exits = args.follow.then(interrupt::Exits::new);
    // What reads a pipe has the lines as they are.
    let is_for_people = std::io::stdout().is_terminal() && !args.json;
    let mut view = is_for_people.then(|| logs.view(&context));
    let follow = async {
        loop {
            let lines = match logs.read(&target).await {
                Ok(lines) => lines,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Mostly, the whole stack is missing.
                    context.outputs(&target).await?;
                    return Err(CliError::from(error));
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(view) = &mut view {
                let logged: Vec<LoggedLine<'_>> = lines.iter().map(Line::logged).collect();
                print(view.text(&logged, stdout_columns()))?;
            } else if args.json {
                lines
                    .iter()
                    .try_for_each(|logged| json_line(&logged.json()))?;
            } else {
                lines.iter().try_for_each(|logged| line(logged.text()))?;
            }
            if let Some(denials) = &mut denials {
                let functions = functions.iter().copied();
                denials.tell(&context, functions).await?;
            }
            if !args.follow {
                return Ok(());
            }
            pause.wait().await?;
        }
    };
    tokio::select! {
        followed = follow => followed,
        // Even if no line comes any more.
        () = reader_is_gone() => Ok(()),
    }
}

/// Prints what the functions log, from so long ago on; returns only when that fails. Deleted from another terminal,
/// there is nothing to follow until the stage is deployed again.
pub(crate) async fn follow_logs(
    context: &Context,
    target: &Target,
    denials: &mut Denials,
    since: Duration,
) -> CliError {
    let mut logs = Logs::of(context.app.functions(), None, since);
    let mut view = logs.view(context);
    let is_for_people = std::io::stderr().is_terminal();
    let mut pause = Pause::between_reads(context.local.as_ref(), logs.tails.len());
    loop {
        match logs.read(target).await {
            Ok(lines) if is_for_people => {
                let logged: Vec<LoggedLine<'_>> = lines.iter().map(Line::logged).collect();
                let text = view.text(&logged, stderr_columns());
                text.lines().for_each(tell);
            }
            Ok(lines) => lines.iter().for_each(|line| tell(line.text())),
            Err(error) if error.kind() == deploy::ErrorKind::NotFound => {}
            Err(error) => return error.into(),
        }
        // What one look misses, the next one sees.
        let _ = denials.tell(context, context.app.functions()).await;
        if let Err(error) = pause.wait().await {
            return error;
        }
    }
}

/// What is waited for between two reads of logs.
struct Pause {
    interval: Duration,
    client: StageClient,
    /// Where the local stage tells that there is something to read. CloudWatch Logs tells nobody.
    news: Option<String>,
    /// What the stage told last.
    known: Option<u64>,
}

impl Pause {
    fn between_reads(stage: Option<&StageState>, logs: usize) -> Self {
        let interval = FOLLOW_INTERVAL * u32::try_from(logs).unwrap_or(u32::MAX);
        Self {
            interval: match stage {
                None => interval.max(FOLLOW_INTERVAL_MIN),
                Some(_) => LOCAL_INTERVAL,
            },
            client: StageClient::new(),
            news: stage.map(|stage| stage.logged_url.clone()),
            known: None,
        }
    }

    async fn wait(&mut self) -> Result<()> {
        tokio::time::sleep(self.interval).await;
        if let Some(url) = &self.news {
            let after = self.known.map(|known| format!("?after={known}"));
            let url = format!("{url}{}", after.unwrap_or_default());
            self.known = self.client.get(&url).await?;
        }
        Ok(())
    }
}

/// The functions with these names, each once; without names, all.
fn functions<'a>(context: &'a Context, names: &[String]) -> Result<Vec<&'a Function>> {
    if names.is_empty() {
        return Ok(context.app.functions().collect());
    }
    let mut functions: Vec<&Function> = Vec::new();
    for name in names {
        let function = context.function(name)?;
        if functions
            .iter()
            .all(|known| known.name() != function.name())
        {
            functions.push(function);
        }
    }
    Ok(functions)
}

/// The functions, and the packages that lie beside them and the framework's. Their folders have
/// their names.
pub(crate) fn own_code(context: &Context) -> OwnCode {
    let workspace = &context.workspace;
    let functions = context.app.functions();
    let functions = functions.map(|function| function.name().to_owned());
    let folders = [
        workspace.root().join("functions"),
        workspace.cargo_root().join("infra"),
    ];
    let folders = folders.iter().filter_map(|folder| folder.read_dir().ok());
    let packages = folders.flatten().flatten();
    let packages = packages.map(|folder| folder.file_name().to_string_lossy().into_owned());
    OwnCode::new(functions.chain(packages), workspace.cargo_root())
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

    /// How a person reads these logs.
    pub(crate) fn view(&self, context: &Context) -> LogView {
        let names = self.tails.iter().map(|(name, ..)| name.as_str());
        LogView::new(names, own_code(context))
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
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push(error),
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
    pub(crate) fn logged(&self) -> LoggedLine<'_> {
        LoggedLine {
            timestamp_ms: Some(self.line.timestamp_ms),
            function: &self.function,
            style: self.style,
            stream: &self.line.stream,
            message: &self.line.message,
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { style, line, .. } = self;
        let time = time_of_day(line.timestamp_ms);
        let message = inert(&line.message);
        if self.names_function {
            let function = &self.function;
            format!("{DIM}{time}{DIM:#} {style}{function}{style:#} {message}")
        } else {
            format!("{time} {message}")
        }
    }

    fn json(&self) -> serde_json::Value {
        let mut line = json!(self.line);
        line["function"] = self.function.as_str().into();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_does_not_act_on_the_terminal_and_is_exact_in_json() {
        let line = Line {
            function: "take-order".to_owned(),
            style: AnsiColor::Cyan.on_default(),
            names_function: true,
            line: LogLine {
                timestamp_ms: 0,
                stream: "s".to_owned(),
                message: "\u{1b}[2J\u{1b}[31mgone\rover".to_owned(),
            },
        };
        let text = line.text();
        assert!(
            text.ends_with(" \\u001b[2J\\u001b[31mgone\\u000dover"),
            "{text}"
        );
        assert_eq!(line.json()["message"], "\u{1b}[2J\u{1b}[31mgone\rover");
    }
}
