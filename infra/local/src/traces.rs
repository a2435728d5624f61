//! What happened on the stage, as traces.
//!
//! The emulator notes what occurs in it (`observed.py`), and the servers of this process note what the emulator cannot see:
//! answers of front doors, deliveries of records, schedules, faults. Both keep the latest occurrences only. Nobody collects
//! them until somebody asks: then they are put together into a [`History`], which makes traces of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::traces::{Filter, History, Limits, Occurrence, Summary, Trace, What};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::inquiry::Inquiry;
use crate::keys::random_text;
use crate::server::BoxError;
use crate::{Emulator, Error};

/// What the servers of this process keep until somebody asks.
const MOST_OCCURRENCES: usize = 10_000;

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

/// Notes what occurs in this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Observer(Arc<Observed>);

#[derive(Debug)]
struct Observed {
    /// Of identifiers: those of another start are others.
    run: String,
    last_id: AtomicU64,
    kept: Mutex<Kept>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    occurrences: VecDeque<Occurrence>,
    dropped: u64,
}

impl Observer {
    /// One that has noted nothing.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(Arc::new(Observed {
            run: random_text(4)?,
            last_id: AtomicU64::new(0),
            kept: Mutex::default(),
            added: Notify::new(),
        })))
    }

    /// An identifier that nothing else in the history has.
    pub(crate) fn new_id(&self) -> String {
        let number = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        format!("s{}-{number}", self.0.run)
    }

    /// Notes what has just occurred.
    pub(crate) fn add(&self, what: What) {
        let at_ms = now_ms();
        let mut kept = self.kept();
        kept.occurrences.push_back(Occurrence { at_ms, what });
        if kept.occurrences.len() > MOST_OCCURRENCES {
            kept.occurrences.pop_front();
            kept.dropped += 1;
        }
        drop(kept);
        self.0.added.notify_waiters();
    }

    /// Resolves at the next occurrence from now on.
    fn added(&self) -> impl Future<Output = ()> {
        let mut added = Box::pin(self.0.added.notified());
        added.as_mut().enable();
        added
    }

    /// What was noted and not collected.
    #[cfg(test)]
    pub(crate) fn noted(&self) -> impl Iterator<Item = Occurrence> {
        self.take().0.into_iter()
    }

    fn take(&self) -> (VecDeque<Occurrence>, u64) {
        let Kept {
            occurrences,
            dropped,
        } = std::mem::take(&mut *self.kept());
        (occurrences, dropped)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> f64 {
    in_ms(SystemTime::now())
}

/// Milliseconds since the epoch.
pub(crate) fn in_ms(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_occurrences_make_way() {
        let observer = Observer::new().unwrap();
        for _ in 0..MOST_OCCURRENCES + 5 {
            observer.add(What::Fault(::traces::Fault {
                title: "fault".to_owned(),
                invocation: None,
            }));
        }
        let (kept, dropped) = observer.take();
        assert_eq!((kept.len(), dropped), (MOST_OCCURRENCES, 5));
        assert_eq!(observer.take().0.len(), 0);
        assert_ne!(observer.new_id(), observer.new_id());
    }
}
