//! What a run has made, and its deletion.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deploy::Error;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a call that was under way at the end may take. The client of AWS gives up before.
const COMPLETION_PATIENCE: Duration = Duration::from_secs(90);

type Deleting = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Something that a run has made, or is about to make.
pub struct Owned {
    /// What it is, like `object xtask-verify/…/cat.jpg`.
    pub what: String,
    /// The command that deletes it, should the run not be able to.
    pub command: String,
    delete: Box<dyn Fn() -> Deleting + Send + Sync>,
}

impl Owned {
    /// `delete` deletes it, and succeeds if there is no such thing.
    pub fn new<F>(
        what: impl Into<String>,
        command: impl Into<String>,
        delete: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self {
            what: what.into(),
            command: command.into(),
            delete: Box::new(move || Box::pin(delete())),
        }
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

/// Names an [`Owned`] to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnedId(u64);

/// Something that the run could not delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What it is.
    pub what: String,
    /// Why it is there still.
    pub why: String,
    /// The command that deletes it.
    pub command: String,
}

/// Everything that a run has made.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    next: AtomicU64,
    owned: Mutex<Vec<(OwnedId, Owned)>>,
    under_way: Mutex<JoinSet<()>>,
}

impl Ownership {
    pub(crate) fn own(&self, owned: Owned) -> OwnedId {
        let id = OwnedId(self.next.fetch_add(1, Ordering::Relaxed));
        lock(&self.owned).push((id, owned));
        id
    }

    pub(crate) fn gone(&self, gone: OwnedId) {
        lock(&self.owned).retain(|(id, _)| *id != gone);
    }

    /// Runs a future to its end, even if nothing waits for its output any more.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.under_way).spawn(async move {
            // Who waited may have been interrupted.
            let _ = sender.send(future.await);
        });
        receiver.await.ok()
    }

    /// Deletes everything side by side; gives what could not be deleted.
    pub(crate) async fn delete_all(&self) -> Vec<Left> {
        let mut under_way = std::mem::take(&mut *lock(&self.under_way));
        // Whatever is still under way then has no answer, and is deleted as if it had one.
        let _ = timeout(COMPLETION_PATIENCE, async {
            while under_way.join_next().await.is_some() {}
        })
        .await;
        let mut deleting = JoinSet::new();
        for (id, owned) in lock(&self.owned).iter() {
            let (id, deletion) = (*id, (owned.delete)());
            deleting.spawn(async move { (id, deletion.await) });
        }
        let mut reasons = HashMap::new();
        while let Some(ended) = deleting.join_next().await {
            match ended {
                Ok((id, Ok(()))) => self.gone(id),
                Ok((id, Err(error))) => {
                    reasons.insert(id, error.to_string());
                }
                // The deletion has panicked, and is among those without a reason.
                Err(_) => {}
            }
        }
        self.left_because(|id| {
            reasons
                .get(&id)
                .map_or("its deletion did not end", String::as_str)
        })
    }

    /// What has not been deleted, for one reason.
    pub(crate) fn left(&self, why: &str) -> Vec<Left> {
        self.left_because(|_| why)
    }

    fn left_because<'a>(&self, why: impl Fn(OwnedId) -> &'a str) -> Vec<Left> {
        let owned = lock(&self.owned);
        let owned = owned.iter();
        owned
            .map(|(id, owned)| Left {
                what: owned.what.clone(),
                why: why(*id).to_owned(),
                command: owned.command.clone(),
            })
            .collect()
    }
}

/// What a mutex holds, also after a panic of who held it: everything kept here is whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn deletable(deleted: &Arc<AtomicBool>) -> Owned {
        let deleted = Arc::clone(deleted);
        Owned::new("a thing", "rm thing", move || {
            deleted.store(true, Ordering::SeqCst);
            async { Ok(()) }
        })
    }

    #[tokio::test]
    async fn what_is_owned_is_deleted_and_what_is_gone_is_not() {
        let ownership = Ownership::default();
        let (one, other) = (Arc::default(), Arc::default());
        ownership.own(deletable(&one));
        let id = ownership.own(deletable(&other));
        ownership.gone(id);
        assert_eq!(ownership.delete_all().await, []);
        assert!(one.load(Ordering::SeqCst));
        assert!(!other.load(Ordering::SeqCst));
        assert_eq!(ownership.left("because"), []);
    }

    #[tokio::test]
    async fn what_cannot_be_deleted_is_named_with_its_command() {
        let ownership = Ownership::default();
        ownership.own(Owned::new("a thing", "rm thing", || async {
            Err(Error::new("could not delete it").because("it is stuck"))
        }));
        let left = Left {
            what: "a thing".to_owned(),
            why: "could not delete it: it is stuck".to_owned(),
            command: "rm thing".to_owned(),
        };
        assert_eq!(ownership.delete_all().await, std::slice::from_ref(&left));
        let left = Left {
            why: "interrupted".to_owned(),
            ..left
        };
        assert_eq!(ownership.left("interrupted"), [left]);
    }

    #[tokio::test]
    async fn what_was_under_way_at_an_interruption_is_completed_and_deleted() {
        let ownership = Arc::new(Ownership::default());
        let deleted: Arc<AtomicBool> = Arc::default();
        let making = {
            let (ownership, deleted) = (Arc::clone(&ownership), Arc::clone(&deleted));
            let inner = Arc::clone(&ownership);
            async move {
                let made = async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    inner.own(deletable(&deleted));
                };
                ownership.complete(made).await
            }
        };
        assert!(timeout(Duration::from_millis(20), making).await.is_err());
        assert_eq!(ownership.delete_all().await, []);
        assert!(deleted.load(Ordering::SeqCst));
    }
}
