//! `redrive`: what a function has failed on, shown and handled again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use deploy::{FailedEvent, FunctionError, Redriven, Subject, Target};
use manifest::Function;
use serde::Serialize;
use serde_json::Value;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, confirm, line, status};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Outcome {
    /// Only shown; it stays in the queue.
    Shown,
    /// The function handled it; it has left the queue.
    Handled,
    /// It has left the queue unhandled.
    Dropped,
    /// The function failed on it again; it stays in the queue.
    FailedAgain { error: FunctionError },
    /// It cannot be handled again; it stays in the queue.
    Lost { reason: &'static str },
}

/// An event as it is shown: everything that the queue and the stream still tell of it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    message_id: &'a str,
    condition: Option<&'a str>,
    attempts: Option<u64>,
    failed_at: Option<&'a str>,
    error: Option<&'a FunctionError>,
    content: &'a Content,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// What the function failed on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Content {
    Event(Value),
    Records(Vec<Value>),
    /// Where the records were.
    ExpiredRecords(deploy::StreamBatch),
    Unknown(String),
}

pub(crate) async fn run(args: &cli::Redrive) -> Result<ExitCode> {
    let context = Context::load(&args.stage)?;
    let function = context.function(&args.function)?;
    let Some(output) = function.failure_queue_output() else {
        return Err(CliError::misuse(format!(
            "{} has no failure queue: whoever invokes it gets its errors",
            function.name()
        )));
    };
    let target = context.connect().await?;
    let outputs = context.outputs(&target).await?;
    let queue_url = outputs.get(&output).ok_or_else(|| {
        CliError::new(format!("the deployed stack has no output {output}"))
            .hint("deploy the stage again: its stack is older than the function's failure queue")
    })?;
    if args.drop && !args.yes {
        let question = format!(
            "Throw away everything in the failure queue of {}?",
            function.physical_name()
        );
        confirm(&question, "--yes")?;
    }

    let redrive = Redrive {
        args,
        function,
        target: &target,
        queue_url,
    };
    let mut stay = Vec::new();
    let mut counts = Counts::default();
    let walked = redrive.walk(&mut stay, &mut counts).await;
    // Whatever went wrong on the way, what was not handled is there for the next attempt.
    for event in &stay {
        target.put_back_failed_event(queue_url, event).await?;
    }
    walked?;
    counts.report(function.name());
    Ok(if counts.failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

struct Redrive<'a> {
    args: &'a cli::Redrive,
    function: &'a Function,
    target: &'a Target,
    queue_url: &'a str,
}

impl Redrive<'_> {
    /// Goes through the queue once. Events that stay are hidden until the end, so that none
    /// is met twice.
    async fn walk(&self, stay: &mut Vec<FailedEvent>, counts: &mut Counts) -> Result<()> {
        let mut seen = BTreeSet::new();
        loop {
            let page = self.target.failed_events(self.queue_url).await?;
            if page.is_empty() {
                return Ok(());
            }
            // A walk that outlasts the time for which messages are hidden meets them again.
            let again = page.iter().all(|event| seen.contains(&event.message_id));
            let mut page = page.into_iter();
            while let Some(event) = page.next() {
                if !seen.insert(event.message_id.clone()) {
                    stay.push(event);
                    continue;
                }
                let taken = self.take(&event).await;
                match taken {
                    Ok((content, outcome)) => {
                        self.show(&event, &content, &outcome, seen.len())?;
                        counts.add(&outcome);
                        if !matches!(outcome, Outcome::Handled | Outcome::Dropped) {
                            stay.push(event);
                        }
                    }
                    Err(error) => {
                        stay.push(event);
                        stay.extend(page);
                        return Err(error);
                    }
                }
            }
            if again {
                return Ok(());
            }
        }
    }

    async fn take(&self, event: &FailedEvent) -> Result<(Content, Outcome)> {
        let content = self.content(event).await?;
        if self.args.dry_run {
            return Ok((content, Outcome::Shown));
        }
        if self.args.drop {
            self.remove(event).await?;
            return Ok((content, Outcome::Dropped));
        }
        let name = self.function.invocation_name();
        let redriven = match &content {
            Content::Event(event) => self.target.redrive_event(&name, event).await?,
            Content::Records(records) => self.target.redrive_records(&name, records).await?,
            Content::ExpiredRecords(_) => {
                let reason = "the records are no longer in the stream, which keeps them for 24 hours: repair by hand what depends on them, then use --drop";
                return Ok((content, Outcome::Lost { reason }));
            }
            Content::Unknown(_) => {
                let reason = "the message was not written by Lambda";
                return Ok((content, Outcome::Lost { reason }));
            }
        };
        let outcome = match redriven {
            Redriven::Handled => {
                self.remove(event).await?;
                Outcome::Handled
            }
            Redriven::FailedAgain(error) => Outcome::FailedAgain { error },
        };
        Ok((content, outcome))
    }

    async fn remove(&self, event: &FailedEvent) -> Result<()> {
        let removed = self.target.remove_failed_event(self.queue_url, event);
        Ok(removed.await?)
    }

    async fn content(&self, event: &FailedEvent) -> Result<Content> {
        Ok(match &event.subject {
            Subject::Event(event) => Content::Event(event.clone()),
            Subject::Unknown(body) => Content::Unknown(body.clone()),
            Subject::Records(batch) => match self.target.records_of(batch).await? {
                Some(records) => Content::Records(self.meant_for_the_function(records)),
                None => Content::ExpiredRecords(batch.clone()),
            },
        })
    }

    /// The mapping's filter keeps other records from the function, and so must this.
    fn meant_for_the_function(&self, records: Vec<Value>) -> Vec<Value> {
        let events = self.function.stream_event_names();
        let meant = |record: &Value| {
            let name = record["eventName"].as_str().unwrap_or_default();
            events.contains(&name)
        };
        records.into_iter().filter(meant).collect()
    }

    fn show(
        &self,
        event: &FailedEvent,
        content: &Content,
        outcome: &Outcome,
        number: usize,
    ) -> Result<()> {
        if self.args.json {
            let shown = Shown {
                message_id: &event.message_id,
                condition: event.condition.as_deref(),
                attempts: event.attempts,
                failed_at: event.failed_at.as_deref(),
                error: event.error.as_ref(),
                content,
                outcome,
            };
            return line(serde_json::to_string(&shown).map_err(CliError::new)?);
        }
        let why = event.condition.as_deref().unwrap_or("unknown reason");
        let when = event.failed_at.as_deref().unwrap_or("unknown time");
        let attempts = event.attempts.map_or_else(String::new, |attempts| {
            format!(", after {attempts} invocations")
        });
        line(format_args!(
            "{BOLD}{number}{BOLD:#}  {when}  {why}{attempts}"
        ))?;
        if let Some(error) = &event.error {
            line(format_args!("   {}", describe(error)))?;
        }
        for content in lines(content) {
            line(format_args!("   {DIM}{content}{DIM:#}"))?;
        }
        match outcome {
            Outcome::Shown => Ok(()),
            Outcome::Handled => line(format_args!("   {GREEN}handled{GREEN:#}")),
            Outcome::Dropped => line(format_args!("   {YELLOW}dropped{YELLOW:#}")),
            Outcome::FailedAgain { error } => line(format_args!(
                "   {RED}failed again{RED:#}: {}",
                describe(error)
            )),
            Outcome::Lost { reason } => line(format_args!("   {RED}not handled{RED:#}: {reason}")),
        }
    }
}

fn describe(error: &FunctionError) -> String {
    format!("{}: {}", error.error_type, error.error_message.trim())
}

/// What the function failed on, a line for each event or record.
fn lines(content: &Content) -> Vec<String> {
    match content {
        Content::Event(event) => vec![event.to_string()],
        Content::Records(records) => records.iter().map(Value::to_string).collect(),
        Content::ExpiredRecords(batch) => vec![format!(
            "{} records of {}, shard {}, from {} to {}",
            batch.batch_size,
            batch.stream_arn,
            batch.shard_id,
            batch.start_sequence_number,
            batch.end_sequence_number
        )],
        Content::Unknown(body) => vec![body.clone()],
    }
}

#[derive(Debug, Default)]
struct Counts {
    shown: usize,
    handled: usize,
    dropped: usize,
    failed: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Shown => &mut self.shown,
            Outcome::Handled => &mut self.handled,
            Outcome::Dropped => &mut self.dropped,
            Outcome::FailedAgain { .. } | Outcome::Lost { .. } => &mut self.failed,
        };
        *count += 1;
    }

    fn report(&self, function: &str) {
        let Self {
            shown,
            handled,
            dropped,
            failed,
        } = *self;
        if shown > 0 {
            status(
                "Waiting",
                format!("{shown} in the failure queue of {function}"),
            );
        } else if handled + dropped + failed == 0 {
            status("Empty", format!("{function} has failed on nothing"));
        } else {
            status(
                "Redriven",
                format!("{handled} handled, {dropped} dropped, {failed} still in the queue"),
            );
        }
    }
}
