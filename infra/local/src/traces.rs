//! What happened on the stage, as traces.
//!
//! The emulator notes what occurs in it (`observed.py`), and the servers of this process note what the emulator cannot see:
//! answers of front doors, deliveries of records, schedules, faults. Both keep the latest occurrences only. Nobody collects
//! them until somebody asks: then they are put together into a [`History`], which makes traces of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::traces::{Filter, History, Limits, Occurrence, Summary, Trace};
use serde::{Deserialize, Serialize};

use crate::inquiry::Inquiry;
use crate::server::BoxError;
use crate::{Emulator, Observer};

/// How long the emulator is asked to wait in one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happened on the stage. Clones are the same.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inquiry: Inquiry,
    url: String,
    observer: Observer,
    collected: tokio::sync::Mutex<Collected>,
}

#[derive(Debug)]
struct Collected {
    history: History,
    /// The number of the emulator's next occurrence.
    next: u64,
}

/// The traces that pass a filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Another number whenever something has occurred.
    pub revision: u64,
    /// How many occurrences have made way for newer ones. Traces that had them have lost their beginning, or are gone.
    pub dropped: u64,
    /// The traces, the newest first.
    pub summaries: Vec<Summary>,
}

/// What the emulator answers.
#[derive(Debug, Deserialize)]
struct Told {
    next: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    occurrences: Vec<Occurrence>,
}

impl Traces {
    pub(crate) fn new(emulator: &Emulator, observer: Observer) -> Self {
        Self(Arc::new(Inner {
            inquiry: Inquiry::new(emulator.keys()),
            url: format!("{}/_stage/occurrences", emulator.endpoint()),
            observer,
            collected: tokio::sync::Mutex::new(Collected {
                history: History::new(Limits::default()),
                next: 0,
            }),
        }))
    }

    /// What came in and passes the filter.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, BoxError> {
        let collected = self.collect().await?;
        let history = &collected.history;
        Ok(Listing {
            revision: history.revision(),
            dropped: history.dropped(),
            summaries: history.summaries(filter),
        })
    }

    /// A trace by its identifier, or by that of anything in it: a request's of Lambda, for example.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn trace(&self, id: &str) -> Result<Option<Trace>, BoxError> {
        Ok(self.collect().await?.history.trace(id))
    }

    /// What is read out of the history as it is now.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn read<T>(&self, read: impl FnOnce(&History) -> T) -> Result<T, BoxError> {
        Ok(read(&self.collect().await?.history))
    }

    /// Returns the revision when it is another than this one, or when the patience is at its end.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn changed(&self, since: u64, patience: Duration) -> Result<u64, BoxError> {
        let give_up_at = Instant::now() + patience;
        loop {
            let own = self.0.observer.added();
            let (revision, next) = {
                let collected = self.collect().await?;
                (collected.history.revision(), collected.next)
            };
            let left = give_up_at.saturating_duration_since(Instant::now());
            if revision != since || left.is_zero() {
                return Ok(revision);
            }
            let seconds = left.min(PATIENCE).as_secs_f64();
            let url = format!("{}?after={next}&patience={seconds:.2}&wait=1", self.0.url);
            tokio::select! {
                told = self.0.inquiry.get::<Told>(&url) => drop(told?),
                () = own => {}
            }
        }
    }

    async fn collect(&self) -> Result<tokio::sync::MutexGuard<'_, Collected>, BoxError> {
        let mut collected = self.0.collected.lock().await;
        let url = format!("{}?after={}", self.0.url, collected.next);
        let told: Told = self.0.inquiry.get(&url).await?;
        collected.next = told.next;
        let (own, own_dropped) = self.0.observer.take();
        collected.history.add_dropped(told.dropped + own_dropped);
        for occurrence in told.occurrences.into_iter().chain(own) {
            collected.history.add(occurrence);
        }
        Ok(collected)
    }
}
