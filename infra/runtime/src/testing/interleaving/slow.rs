//! Services as a function meets them: slow, and failing at times.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it has had an effect: it was throttled, or did not reach the service.
    BeforeEffect,
    /// After it: the answer got lost.
    AfterEffect,
}

/// Calls that are going to fail: the next ones, whoever makes them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    before: AtomicU32,
    after: AtomicU32,
}

impl Faults {
    fn count(&self, moment: Moment) -> &AtomicU32 {
        match moment {
            Moment::BeforeEffect => &self.0.before,
            Moment::AfterEffect => &self.0.after,
        }
    }

    /// One more call fails at this moment.
    pub fn add(&self, moment: Moment) {
        self.count(moment).fetch_add(1, Ordering::Relaxed);
    }

    /// No call fails any more.
    pub fn clear(&self) {
        self.0.before.store(0, Ordering::Relaxed);
        self.0.after.store(0, Ordering::Relaxed);
    }

    /// Whether the call that asks fails at this moment. The next call does not, unless another
    /// fault was added.
    pub fn strike(&self, moment: Moment) -> bool {
        let count = self.count(moment);
        let one_less = |left: u32| left.checked_sub(1);
        let struck = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        struck.is_ok()
    }
}

/// A service whose calls take time. The world around may change before and after what a call
/// does, which itself is done at one moment.
#[derive(Debug, Clone)]
pub struct Slow<S> {
    service: S,
    faults: Faults,
}

impl<S> Slow<S> {
    /// A service whose calls fail by these faults.
    pub fn new(service: S, faults: &Faults) -> Self {
        let faults = faults.clone();
        Self { service, faults }
    }

    /// A call with this effect. If it fails, then by `fault`.
    pub async fn call<T, E>(
        &self,
        fault: impl Fn() -> E,
        effect: impl AsyncFnOnce(&S) -> Result<T, E>,
    ) -> Result<T, E> {
        pause().await;
        if self.faults.strike(Moment::BeforeEffect) {
            return Err(fault());
        }
        let result = effect(&self.service).await;
        pause().await;
        if self.faults.strike(Moment::AfterEffect) {
            return Err(fault());
        }
        result
    }
}

/// Lets everything else run.
pub async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            // For an executor that waits to be woken, which a world does not.
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}
