//! What occurs in the servers of this process: answers of front doors, deliveries of records, schedules, faults.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use traces::{Occurrence, What};

use crate::Error;
use crate::keys::random_text;

/// What is kept until somebody asks.
const MOST_OCCURRENCES: usize = 10_000;

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
    pub(crate) fn added(&self) -> impl Future<Output = ()> {
        let mut added = Box::pin(self.0.added.notified());
        added.as_mut().enable();
        added
    }

    /// What was noted and not collected.
    #[cfg(test)]
    pub(crate) fn noted(&self) -> impl Iterator<Item = Occurrence> {
        self.take().0.into_iter()
    }

    /// What was noted since the last call, and how much of it has made way.
    pub(crate) fn take(&self) -> (VecDeque<Occurrence>, u64) {
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
            observer.add(What::Fault(traces::Fault {
                title: "fault".to_owned(),
                causes: Vec::new(),
            }));
        }
        let (kept, dropped) = observer.take();
        assert_eq!((kept.len(), dropped), (MOST_OCCURRENCES, 5));
        assert_eq!(observer.take().0.len(), 0);
        assert_ne!(observer.new_id(), observer.new_id());
    }
}
