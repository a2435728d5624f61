//! `redrive`: what a function has failed on, shown and handled again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use crate::workspace::Workspace;
use deploy::{
    FailedEvent, FailureQueueReader, FunctionError, HIDDEN_AT_MOST, Redriven, StreamBatch, Subject,
    Target,
};
use manifest::{App, Function};
use serde::Serialize;
use serde_json::Value;
use streams::Filters;

use crate::cli;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::interrupt::Endings;
use crate::output::{json_line, print};
use crate::question::confirm;
use crate::terminal::{BOLD, DIM, GREEN, RED, YELLOW, end_line, inert, one_line, status, warn};
use crate::verbs::info::hidden_events;

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
    sent_at: Option<&'a str>,
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
    /// Of a queue.
    Message(Value),
    /// Where the records were.
    ExpiredRecords(StreamBatch),
    Unknown(String),
}

pub(crate) async fn run(workspace: &Workspace, args: &cli::Redrive) -> Result<ExitCode> {
    let context = Context::load(workspace, &args.stage.stage)?;
    let function = context.function(&args.function)?;
    let Some(output) = function.failure_queue_output() else {
        return Err(CliError::misuse(format!(
            "{} has no failure queue: its caller gets its errors",
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
            "Delete all events in the failure queue of {}?",
            function.physical_name()
        );
        confirm(&question, "--yes")?;
    }

    let queue = FailureQueueReader::new(&target, queue_url);
    let hidden = queue.depth().await?.hidden;
    let mut endings = Endings::catch()?;
    let mut redrive = Redrive {
        args,
        app: &context.app,
        function,
        target: &target,
        queue: &queue,
        done: BTreeSet::new(),
        failed_groups: BTreeSet::new(),
        seen: BTreeSet::new(),
        counts: Counts::default(),
    };
    let ended = tokio::select! {
        walked = redrive.walk() => Ended::Walked(walked),
        never = queue.keep_hidden() => match never {},
        exit_code = endings.next() => Ended::Interrupted(exit_code),
    };
    let counts = redrive.counts;
    let is_behind_groups = !redrive.failed_groups.is_empty();
    // However it ended, what was not handled is there for the next attempt. Whoever cannot wait
    // for that interrupts once more.
    let put_back = tokio::select! {
        put_back = queue.put_back() => put_back,
        exit_code = endings.next() => {
            warn(format!("the events are hidden for up to {} more seconds", HIDDEN_AT_MOST.as_secs()));
            return Ok(ExitCode::from(exit_code));
        }
    };
    match ended {
        Ended::Walked(walked) => {
            if let (Err(_), Err(error)) = (&walked, &put_back) {
                warn(error);
            }
            walked?;
            put_back?;
            // Those of a reader that has ended meanwhile have come back, and were met.
            let hidden = match hidden {
                0 => 0,
                hidden => hidden.min(queue.depth().await?.hidden),
            };
            counts.report(function.name(), hidden);
            if is_behind_groups {
                warn(
                    "a FIFO queue shows at most ten messages of a group that others follow: there may be more behind those that stay",
                );
            }
            let stay = counts.failed > 0 || hidden > 0 && !args.dry_run;
            Ok(if stay {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Ended::Interrupted(exit_code) => {
            end_line();
            let Counts {
                handled, dropped, ..
            } = counts;
            let others = match put_back {
                Ok(()) => "the others are back in the queue",
                Err(error) => {
                    warn(error);
                    "the others come back soon"
                }
            };
            status(
                "Stopped",
                format!("{handled} handled, {dropped} dropped; {others}"),
            );
            Ok(ExitCode::from(exit_code))
        }
    }
}

enum Ended {
    /// At the end of the queue, or at an error.
    Walked(Result<()>),
    /// By a signal, of which this exit code tells.
    Interrupted(u8),
}

struct Redrive<'a> {
    args: &'a cli::Redrive,
    app: &'a App,
    function: &'a Function,
    target: &'a Target,
    queue: &'a FailureQueueReader,
    /// Events that were read.
    seen: BTreeSet<String>,
    /// Events among them that were handled or dropped.
    done: BTreeSet<String>,
    /// Groups of FIFO queues of which a message stays in the queue.
    failed_groups: BTreeSet<String>,
    counts: Counts,
}

/// The group of a message of a FIFO queue.
fn fifo_group(content: &Content) -> Option<&str> {
    let Content::Message(record) = content else {
        return None;
    };
    let is_fifo = record["eventSourceARN"].as_str()?.ends_with(".fifo");
    record["attributes"]["MessageGroupId"]
        .as_str()
        .filter(|_| is_fifo)
}

impl Redrive<'_> {
    /// Goes through the queue once. Events that stay are hidden until the end, so that none
    /// is met twice, but for those that SQS shows again nevertheless.
    async fn walk(&mut self) -> Result<()> {
        // In a queue where nothing is new, there is no end to be met.
        const PAGES_WITHOUT_NEWS_MAX: usize = 3;

        let mut pages_without_news = 0;
        while pages_without_news < PAGES_WITHOUT_NEWS_MAX {
            let page = self.queue.next_page().await?;
            if page.is_empty() {
                return Ok(());
            }
            pages_without_news += 1;
            for event in page {
                if self.done.contains(&event.message_id) {
                    self.queue.remove(&event).await?;
                } else if self.seen.insert(event.message_id.clone()) {
                    pages_without_news = 0;
                    if self.is_wanted(&event) {
                        self.take(&event).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn is_wanted(&self, event: &FailedEvent) -> bool {
        let wanted = self.args.message.as_ref();
        wanted.is_none_or(|wanted| *wanted == event.message_id)
    }

    /// Whatever happens on the way, and wherever it ends: no event leaves the queue unless it
    /// was handled, or was written where the user can see it.
    async fn take(&mut self, event: &FailedEvent) -> Result<()> {
        let content = self.content(event).await?;
        if self.args.drop {
            self.show(event, &content, &Outcome::Dropped).await?;
            self.remove(event).await?;
            self.counts.dropped += 1;
            return Ok(());
        }
        let outcome = if self.args.dry_run {
            Outcome::Shown
        } else {
            self.handle(&content, &event.message_id).await?
        };
        let removed = match outcome {
            // At once: an event that is handled but not removed would be handled again. That
            // does no harm, but it is no use either.
            Outcome::Handled => self.remove(event).await,
            _ => {
                let group = fifo_group(&content).map(str::to_owned);
                self.failed_groups.extend(group);
                Ok(())
            }
        };
        self.counts.add(&outcome);
        self.show(event, &content, &outcome).await?;
        removed
    }

    async fn handle(&self, content: &Content, message_id: &str) -> Result<Outcome> {
        let name = self.function.invocation_name();
        let redriven = match content {
            Content::Event(event) => {
                deploy::redrive_event(self.target, &name, event, message_id).await?
            }
            Content::Records(records) => {
                deploy::redrive_records(self.target, &name, records, message_id).await?
            }
            Content::Message(_)
                if fifo_group(content).is_some_and(|group| self.failed_groups.contains(group)) =>
            {
                let reason =
                    "a message of its group failed before it, and a FIFO queue keeps their order";
                return Ok(Outcome::Lost { reason });
            }
            Content::Message(record) => {
                let records = std::slice::from_ref(record);
                deploy::redrive_records(self.target, &name, records, message_id).await?
            }
            Content::ExpiredRecords(_) => {
                let reason = "the records are no longer in the stream, which keeps them for 24 hours: repair by hand what depends on them, then use --drop";
                return Ok(Outcome::Lost { reason });
            }
            Content::Unknown(_) => {
                let reason = "neither Lambda nor SQS put the message there";
                return Ok(Outcome::Lost { reason });
            }
        };
        Ok(match redriven {
            Redriven::Handled => Outcome::Handled,
            Redriven::FailedAgain(error) => Outcome::FailedAgain { error },
        })
    }

    async fn remove(&mut self, event: &FailedEvent) -> Result<()> {
        self.done.insert(event.message_id.clone());
        Ok(self.queue.remove(event).await?)
    }

    async fn content(&self, event: &FailedEvent) -> Result<Content> {
        Ok(match &event.subject {
            Subject::Event(event) => Content::Event(event.clone()),
            Subject::Message(record) => Content::Message(record.clone()),
            Subject::Unknown(body) => Content::Unknown(body.clone()),
            Subject::Records(batch) => match deploy::records_of(self.target, batch).await? {
                Some(records) => {
                    let records = meant_for(self.function, self.app, batch, records)?;
                    Content::Records(records)
                }
                None => Content::ExpiredRecords(batch.clone()),
            },
        })
    }

    /// Returns when the event is written. A reader that is slow, such as a pager, must not keep
    /// this command from hearing a signal.
    async fn show(&self, event: &FailedEvent, content: &Content, outcome: &Outcome) -> Result<()> {
        let written = if self.args.json {
            let shown = Shown {
                message_id: &event.message_id,
                condition: event.condition.as_deref(),
                attempts: event.attempts,
                failed_at: event.failed_at.as_deref(),
                sent_at: event.sent_at.as_deref(),
                error: event.error.as_ref(),
                content,
                outcome,
            };
            let shown = serde_json::to_value(&shown).map_err(CliError::new)?;
            tokio::task::spawn_blocking(move || json_line(&shown))
        } else {
            let text = text(self.seen.len(), event, content, outcome);
            tokio::task::spawn_blocking(move || print(text))
        };
        written.await.map_err(CliError::new)?
    }
}

/// The records of a batch that the function was to see. The filters of its mapping keep the others
/// from it, and so must this. If the function does not read that stream any more, it gets all.
fn meant_for(
    function: &Function,
    app: &App,
    batch: &StreamBatch,
    records: Vec<Value>,
) -> Result<Vec<Value>> {
    let table = app.resource_at(&batch.stream_arn).unwrap_or_default();
    let patterns = function.stream_patterns(&table);
    let filters = Filters::parse(patterns.iter().map(String::as_str)).map_err(CliError::new)?;
    let records = records.into_iter();
    Ok(records.filter(|record| filters.pass(record)).collect())
}

/// An event as people read it.
fn text(number: usize, event: &FailedEvent, content: &Content, outcome: &Outcome) -> String {
    let why = one_line(event.condition.as_deref().unwrap_or("unknown reason"));
    let when = match (&event.failed_at, &event.sent_at) {
        (Some(failed_at), _) => one_line(failed_at),
        (None, Some(sent_at)) => format!("sent {}", one_line(sent_at)),
        (None, None) => "unknown time".to_owned(),
    };
    let attempts = event.attempts.map_or_else(String::new, |attempts| {
        format!(", after {attempts} invocations")
    });
    let mut text = format!("{BOLD}{number}{BOLD:#}  {when}  {why}{attempts}\n");
    let mut add = |line: String| text.push_str(&format!("   {line}\n"));
    if let Some(error) = &event.error {
        add(describe(error));
    }
    for content in lines(content) {
        add(format!("{DIM}{}{DIM:#}", inert(&content)));
    }
    match outcome {
        Outcome::Shown => {}
        Outcome::Handled => add(format!("{GREEN}handled{GREEN:#}")),
        Outcome::Dropped => add(format!("{YELLOW}dropped{YELLOW:#}")),
        Outcome::FailedAgain { error } => {
            add(format!("{RED}failed again{RED:#}: {}", describe(error)));
        }
        Outcome::Lost { reason } => add(format!("{RED}not handled{RED:#}: {reason}")),
    }
    text
}

fn describe(error: &FunctionError) -> String {
    format!(
        "{}: {}",
        one_line(&error.error_type),
        one_line(&error.error_message)
    )
}

/// What the function failed on, a line for each event or record.
fn lines(content: &Content) -> Vec<String> {
    match content {
        Content::Event(event) => vec![event.to_string()],
        Content::Message(record) => {
            vec![record["body"].as_str().unwrap_or_default().to_owned()]
        }
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

#[derive(Debug, Clone, Copy, Default)]
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

    /// What became of the events, when all were met.
    fn report(&self, function: &str, hidden: u64) {
        if self.shown > 0 {
            let shown = self.shown;
            status(
                "Waiting",
                format!("{shown} in the failure queue of {function}"),
            );
        } else if self.handled + self.dropped + self.failed > 0 {
            status("Redriven", self.so_far());
        } else if hidden == 0 {
            status("Empty", format!("the failure queue of {function} is empty"));
        }
        if hidden > 0 {
            warn(hidden_events(hidden, function));
        }
    }

    fn so_far(&self) -> String {
        let Self {
            handled,
            dropped,
            failed,
            ..
        } = self;
        format!("{handled} handled, {dropped} dropped, {failed} still in the queue")
    }
}

#[cfg(test)]
mod tests {
    use manifest::kinds::ItemChange::{Insert, Modify};
    use manifest::{Manifest, Stages};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_function_gets_the_records_that_its_filters_let_pass() {
        let app = Manifest::new("shop");
        let (orders, carts) = (app.table("orders", "id"), app.table("carts", "id"));
        app.function("ship")
            .trigger(orders.item_changes([Insert]).where_new("status", "paid"))
            .trigger(carts.item_changes([Modify]));
        let stage = Stages::parse("dev:").unwrap().get("dev").unwrap();
        let app = app.resolve(&stage).unwrap();
        let record = |event: &str, status: &str| json!({"eventName": event, "dynamodb": {"NewImage": {"status": {"S": status}}}});
        let records = || {
            let both = |status| [record("INSERT", status), record("MODIFY", status)];
            ["paid", "open"].into_iter().flat_map(both).collect()
        };
        let of = |table: &str| {
            let batch = StreamBatch {
                stream_arn: format!(
                    "arn:aws:dynamodb:us-east-1:123456789012:table/{table}/stream/2026"
                ),
                shard_id: "shard".into(),
                start_sequence_number: "1".into(),
                end_sequence_number: "4".into(),
                batch_size: 1,
            };
            let ship = app.functions().next().unwrap();
            meant_for(ship, &app, &batch, records()).unwrap()
        };
        assert_eq!(of("shop-dev-OrdersTable-1ABC"), [record("INSERT", "paid")]);
        assert_eq!(
            of("shop-dev-CartsTable-1ABC"),
            [record("MODIFY", "paid"), record("MODIFY", "open")]
        );
        assert_eq!(of("another").len(), 4);
    }
}
