//! The progress of the poller, for `wait`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;

/// How far the stream poller is in each shard.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// When the last listing of the mappings began that has ended.
    listed_at: Mutex<Option<Instant>>,
    wanted: Notify,
    shards: Mutex<Vec<Weak<ShardActivity>>>,
    pages: Mutex<u64>,
}

/// How far the poller is in one shard.
#[derive(Debug, Default)]
pub(super) struct ShardActivity {
    progress: Mutex<Progress>,
    read_wanted: Notify,
}

#[derive(Debug, Default)]
struct Progress {
    read_pages: u64,
    handled_pages: u64,
    /// When a read began that found nothing.
    nothing_at: Option<Instant>,
    is_disabled: bool,
}

impl Progress {
    fn is_read_since(&self, since: Instant) -> bool {
        self.nothing_at.is_some_and(|at| at > since)
    }
}

impl Activity {
    /// Asks for another listing of the mappings: one may have been created since the last.
    pub(crate) fn want_listing(&self) {
        self.wanted.notify_one();
    }

    /// Returns when another listing is asked for.
    pub(super) async fn listing_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Asks for another read of each shard of which none has begun since then, or which was not at its end.
    pub(crate) fn want_reads(&self, since: Instant) {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let shards = shards.iter().filter_map(Weak::upgrade);
        shards
            .filter(|shard| !shard.is_read_since(since))
            .for_each(|shard| shard.read_wanted.notify_one());
    }

    /// All mappings that were there when the listing began are followed.
    pub(super) fn listed(&self, began: Instant) {
        let mut listed_at = self
            .listed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *listed_at = Some(began);
    }

    /// Counts a shard, for as long as the result lives.
    pub(super) fn follow(&self) -> Arc<ShardActivity> {
        let shard = Arc::new(ShardActivity::default());
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.retain(|shard| shard.strong_count() > 0);
        shards.push(Arc::downgrade(&shard));
        shard
    }

    /// A page with records was read.
    pub(super) fn read_page(&self, shard: &ShardActivity) {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        shard.change(|progress| progress.read_pages += 1);
    }

    /// How many pages with records were read.
    pub(crate) fn pages(&self) -> u64 {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many shards were not read to their end since this moment, or are not done with what
    /// was read. If the mappings were not listed since then, there may be one more.
    pub(crate) fn behind(&self, since: Instant) -> u64 {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = shards
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|shard| !shard.is_done_since(since));
        let listed_at = *self
            .listed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_listed = listed_at.is_some_and(|at| at > since);
        u64::try_from(behind.count()).unwrap_or(u64::MAX - 1) + u64::from(!is_listed)
    }
}

impl ShardActivity {
    /// A read that began then found nothing.
    pub(super) fn found_nothing(&self, began: Instant) {
        self.change(|progress| progress.nothing_at = Some(began));
    }

    /// Returns when another read is asked for. What was asked for during a read counts.
    pub(super) async fn read_wanted(&self) {
        self.read_wanted.notified().await;
    }

    /// All records of the first so many pages are handled or given up.
    pub(super) fn handled(&self, pages: u64) {
        self.change(|progress| progress.handled_pages = pages);
    }

    /// A disabled mapping's records are not read.
    pub(super) fn disabled(&self, is_disabled: bool) {
        self.change(|progress| progress.is_disabled = is_disabled);
    }

    fn is_done_since(&self, since: Instant) -> bool {
        let progress = self.progress();
        progress.is_disabled
            || progress.handled_pages == progress.read_pages && progress.is_read_since(since)
    }

    fn is_read_since(&self, since: Instant) -> bool {
        self.progress().is_read_since(since)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_read_is_asked_for_where_none_has_begun_since() {
        let activity = Activity::default();
        let (read, unread) = (activity.follow(), activity.follow());
        let asked = Instant::now();
        read.found_nothing(asked + Duration::from_millis(1));
        unread.found_nothing(asked);
        activity.want_reads(asked);
        let soon = Duration::from_millis(50);
        // It was asked for while nobody waited.
        assert!(timeout(soon, unread.read_wanted()).await.is_ok());
        assert!(timeout(soon, unread.read_wanted()).await.is_err(), "once");
        assert!(timeout(soon, read.read_wanted()).await.is_err());
    }

    #[test]
    fn a_shard_is_behind_until_it_was_read_to_its_end_and_handled() {
        let activity = Activity::default();
        let asked = Instant::now();
        assert_eq!(activity.behind(asked), 1, "no mapping was listed");
        activity.listed(asked);
        assert_eq!(activity.behind(asked), 1, "none was listed since");
        activity.listed(asked + Duration::from_mins(1));
        assert_eq!(activity.behind(asked), 0, "there is no shard");
        let shard = activity.follow();
        assert_eq!(activity.behind(asked), 1, "it was never read");
        let later = asked + Duration::from_millis(1);
        shard.found_nothing(later);
        assert_eq!(activity.behind(asked), 0);
        assert_eq!(activity.behind(later), 1, "not read since");
        activity.read_page(&shard);
        shard.found_nothing(later + Duration::from_millis(1));
        assert_eq!(activity.behind(later), 1, "not handled");
        shard.handled(1);
        assert_eq!(activity.behind(later), 0);
        assert_eq!(activity.pages(), 1);
        shard.disabled(true);
        assert_eq!(activity.behind(later + Duration::from_secs(1)), 0);
        drop(shard);
        assert_eq!(activity.behind(later + Duration::from_secs(1)), 0);
    }
}
