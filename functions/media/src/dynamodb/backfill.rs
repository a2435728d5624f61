//! Entries for items that have none: those of a stage that is older than the index.
//!
//! The backfill reads the media table item by item and makes each name's entries those of its item, by
//! the same transactions as everyone else, so events may come meanwhile. Then it goes through the list
//! of all items, for entries whose item is gone. What it has done it remembers in the index table, so
//! that it can stop and go on at any point. Only when it has ended are listings read from the index.
//!
//! It waits for [`PATIENCE`] before it begins, because an invocation of the stage's earlier code may
//! still be at work, which writes items without entries. A stage that never had a file need not wait.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{self, Attributes, outcome, text};
use runtime::s3::ObjectKey;
use runtime::service_error::ServiceError;

use super::DynamoCatalogue;
use super::entry::{self, BACKFILL_LIST, LIST, UNFINISHED_LIST};
use super::item::{failed, malformed, text_of, to_name};
use crate::catalogue::CatalogueError;
use crate::lists::ALL;

/// How long the backfill waits after it was first invoked, and how old a writing in steps is when it is
/// taken for one whose function was killed. No function runs longer.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Names between two notes of the progress.
const NAMES: i32 = 500;

/// The name of what the backfill remembers.
const PROGRESS: &str = "progress";

/// How far the backfill is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// What it is at.
    pub phase: Phase,
    /// Names looked at so far in this phase.
    pub names: u64,
    /// When it was first invoked, in seconds since 1970.
    since: u64,
    /// The name after which to go on.
    after: Option<String>,
    /// How often this was written.
    step: u64,
}

/// What the backfill is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It lets earlier code come to its end.
    Waiting,
    /// It gives items their entries.
    Items,
    /// It takes entries away whose item is gone.
    Entries,
    /// It has ended: the index has all items and no other.
    Complete,
}

impl Phase {
    /// The name of the phase in the table and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Items => "items",
            Self::Entries => "entries",
            Self::Complete => "complete",
        }
    }
}

impl DynamoCatalogue {
    /// Goes on with the backfill for about `budget`, as of the time `now`. How far it is then.
    pub async fn backfill(
        &self,
        now: SystemTime,
        budget: Duration,
    ) -> Result<Backfill, CatalogueError> {
        let began = Instant::now();
        let mut progress = self.progress(now).await?;
        loop {
            let (names, next) = match progress.phase {
                Phase::Complete => return Ok(progress),
                Phase::Waiting if self.is_unused().await? => {
                    progress.phase = Phase::Complete;
                    return self.note(progress).await;
                }
                Phase::Waiting => {
                    let waited = seconds(now).saturating_sub(progress.since);
                    if waited < PATIENCE.as_secs() {
                        return Ok(progress);
                    }
                    progress.phase = Phase::Items;
                    progress = self.note(progress).await?;
                    continue;
                }
                Phase::Items => self.items_after(progress.after.as_deref()).await?,
                Phase::Entries => self.heads_after(progress.after.as_deref()).await?,
            };
            self.reconcile_all(&names).await?;
            progress.names += names.len() as u64;
            progress.after = next;
            if progress.after.is_none() {
                progress.names = 0;
                progress.phase = match progress.phase {
                    Phase::Items => Phase::Entries,
                    _ => Phase::Complete,
                };
            }
            let step = progress.step + 1;
            progress = self.note(progress).await?;
            // Another invocation is at work: it goes on.
            if progress.step != step || began.elapsed() >= budget {
                return Ok(progress);
            }
        }
    }

    /// Ends writings in steps that began before `now` less [`PATIENCE`] and have not ended: their
    /// function was killed. How many.
    pub async fn finish_entries(&self, now: SystemTime) -> Result<usize, CatalogueError> {
        let query = self.client.query().table_name(&self.tables.index);
        let query = query
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", LIST)
            .expression_attribute_values(":list", text(UNFINISHED_LIST));
        let mut notes = query.into_paginator().items().send();
        let mut finished = 0;
        while let Some(note) = notes.next().await {
            let note =
                note.map_err(|error| failed("list", "the unfinished", ServiceError::of(&error)))?;
            let age = seconds(now).saturating_sub(number_of(&note, "since")?);
            if age >= PATIENCE.as_secs() {
                self.reconcile(&to_name(&note)?).await?;
                finished += 1;
            }
        }
        Ok(finished)
    }

    /// A few at a time.
    async fn reconcile_all(&self, names: &[ObjectKey]) -> Result<(), CatalogueError> {
        let rest = Mutex::new(names.iter());
        let next = || rest.lock().ok().and_then(|mut rest| rest.next());
        let work = async || {
            while let Some(name) = next() {
                self.reconcile(name).await?;
            }
            Ok::<_, CatalogueError>(())
        };
        let (a, b, c, d) = (work(), work(), work(), work());
        tokio::try_join!(a, b, c, d, work(), work(), work(), work())?;
        Ok(())
    }

    /// Whether the stage has no file and never had one: then no earlier code is at work on it. The state outlives its item.
    async fn is_unused(&self) -> Result<bool, CatalogueError> {
        for table in [&self.tables.media, &self.tables.state] {
            let scan = self.client.scan().table_name(table).limit(1);
            let output = scan.consistent_read(true).send().await;
            let output =
                output.map_err(|error| failed("list", "the items", ServiceError::of(&error)))?;
            if !output.items().is_empty() || output.last_evaluated_key.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Names of items in the table's order, and the name after which to go on.
    async fn items_after(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<ObjectKey>, Option<String>), CatalogueError> {
        let start = after.map(|after| Attributes::from([("name".into(), text(after))]));
        let scan = self.client.scan().table_name(&self.tables.media);
        let scan = scan.limit(NAMES).consistent_read(true);
        let output = scan.set_exclusive_start_key(start).send().await;
        let output =
            output.map_err(|error| failed("list", "the items", ServiceError::of(&error)))?;
        names_of(output.items(), output.last_evaluated_key())
    }

    /// Names in the list of all items, and the name after which to go on.
    async fn heads_after(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<ObjectKey>, Option<String>), CatalogueError> {
        let query = self.client.query().table_name(&self.tables.index);
        let query = query
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", LIST)
            .expression_attribute_values(":list", text(ALL))
            .limit(NAMES)
            .consistent_read(true);
        let start = after.map(|after| entry::key(ALL, after));
        let output = query.set_exclusive_start_key(start).send().await;
        let output =
            output.map_err(|error| failed("list", "the entries", ServiceError::of(&error)))?;
        names_of(output.items(), output.last_evaluated_key())
    }

    /// What is remembered. The first time, that it is the first time.
    async fn progress(&self, now: SystemTime) -> Result<Backfill, CatalogueError> {
        let found = read_progress(&self.client, &self.tables.index).await?;
        match found.as_ref().map(to_progress).transpose()? {
            Some(progress) => Ok(progress),
            None => {
                let first = Backfill {
                    phase: Phase::Waiting,
                    names: 0,
                    since: seconds(now),
                    after: None,
                    step: 0,
                };
                self.note(first).await
            }
        }
    }

    /// Remembers how far it is, unless another invocation has done so since this was read. Then it is
    /// as far as that one is.
    async fn note(&self, progress: Backfill) -> Result<Backfill, CatalogueError> {
        let noted = Backfill {
            step: progress.step + 1,
            ..progress
        };
        let mut item = entry::key(BACKFILL_LIST, PROGRESS);
        let number = |number: u64| AttributeValue::N(number.to_string());
        item.insert("phase".into(), text(noted.phase.as_str()));
        item.insert("names".into(), number(noted.names));
        item.insert("since".into(), number(noted.since));
        item.insert("step".into(), number(noted.step));
        item.extend(
            noted
                .after
                .iter()
                .map(|after| ("after".into(), text(after))),
        );
        let put = self.client.put_item().table_name(&self.tables.index);
        let put = put
            .set_item(Some(item))
            .expression_attribute_names("#step", "step");
        let put = match progress.step {
            0 => put.condition_expression("attribute_not_exists(#step)"),
            step => put
                .condition_expression("#step = :step")
                .expression_attribute_values(":step", number(step)),
        };
        match outcome(put.send().await) {
            Ok(dynamodb::Outcome::Written) => Ok(noted),
            Ok(dynamodb::Outcome::ConditionFailed) => {
                let found = read_progress(&self.client, &self.tables.index).await?;
                found.as_ref().map_or(Ok(noted), to_progress)
            }
            Err(error) => Err(failed("note the progress of", "the backfill", error)),
        }
    }
}

/// Whether the index has all items.
pub(super) async fn is_complete(client: &Client, table: &str) -> Result<bool, CatalogueError> {
    let found = read_progress(client, table).await?;
    let progress = found.as_ref().map(to_progress).transpose()?;
    Ok(progress.is_some_and(|progress| progress.phase == Phase::Complete))
}

async fn read_progress(client: &Client, table: &str) -> Result<Option<Attributes>, CatalogueError> {
    let get = client.get_item().table_name(table).consistent_read(true);
    let get = get.set_key(Some(entry::key(BACKFILL_LIST, PROGRESS)));
    let output = get.send().await;
    let output = output.map_err(|error| {
        failed(
            "read the progress of",
            "the backfill",
            ServiceError::of(&error),
        )
    })?;
    Ok(output.item)
}

fn to_progress(item: &Attributes) -> Result<Backfill, CatalogueError> {
    let phases = [
        Phase::Waiting,
        Phase::Items,
        Phase::Entries,
        Phase::Complete,
    ];
    let name = text_of(item, "phase")?;
    let phase = phases.into_iter().find(|phase| phase.as_str() == name);
    let after = item.contains_key("after");
    let after = after.then(|| text_of(item, "after")).transpose()?;
    Ok(Backfill {
        phase: phase.ok_or_else(|| malformed(item, "its attribute \"phase\" is not a phase"))?,
        names: number_of(item, "names")?,
        since: number_of(item, "since")?,
        after: after.map(String::from),
        step: number_of(item, "step")?,
    })
}

fn names_of(
    items: &[Attributes],
    last: Option<&Attributes>,
) -> Result<(Vec<ObjectKey>, Option<String>), CatalogueError> {
    let names = items.iter().map(to_name).collect::<Result<_, _>>()?;
    let last = last.map(|last| text_of(last, "name")).transpose()?;
    Ok((names, last.map(String::from)))
}

fn number_of(item: &Attributes, attribute: &str) -> Result<u64, CatalogueError> {
    let number = item.get(attribute).and_then(|number| number.as_n().ok());
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        malformed(
            item,
            format_args!("its attribute {attribute:?} is not a number"),
        )
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
