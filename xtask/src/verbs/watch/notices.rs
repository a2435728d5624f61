//! That something in folders was changed, told by the kernel where it can.
//!
//! A notice says only that it is time to look: what was changed, the files say. So it does no harm that there are none on
//! macOS, for folders that a virtual machine or a network shares, or where all notices are taken.

use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Watches folders until it is dropped.
pub(super) struct Notices(Option<kernel::Watch>);

impl Notices {
    pub(super) fn of<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(kernel::Watch::of(folders))
    }

    /// Whether the kernel tells.
    pub(super) fn are_given(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for a notice; whether one came in this time.
    pub(super) async fn within(&mut self, time: Duration) -> bool {
        let Some(watch) = &mut self.0 else {
            sleep(time).await;
            return false;
        };
        let Ok(told) = timeout(time, watch.told()).await else {
            return false;
        };
        if told.is_err() {
            self.0 = None;
        }
        true
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::path::Path;

    use futures_util::{FutureExt, StreamExt};
    use inotify::{EventStream, Inotify, WatchMask};

    pub(super) struct Watch(EventStream<[u8; 4096]>);

    impl Watch {
        /// None if the kernel cannot watch all of what there is.
        pub(super) fn of<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Option<Self> {
            let inotify = Inotify::init().ok()?;
            let changes = WatchMask::MODIFY
                | WatchMask::ATTRIB
                | WatchMask::CREATE
                | WatchMask::DELETE
                | WatchMask::MOVE
                | WatchMask::DELETE_SELF
                | WatchMask::MOVE_SELF;
            for folder in folders {
                if inotify.watches().add(folder, changes).is_err() && folder.exists() {
                    return None;
                }
            }
            inotify.into_event_stream([0; 4096]).ok().map(Self)
        }

        /// Returns when there are notices, and takes all of them.
        pub(super) async fn told(&mut self) -> io::Result<()> {
            let mut told = self.0.next().await;
            while let Some(notice) = told {
                notice?;
                told = self.0.next().now_or_never().flatten();
            }
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;
    use std::path::Path;

    pub(super) enum Watch {}

    impl Watch {
        pub(super) fn of<'a>(_: impl IntoIterator<Item = &'a Path>) -> Option<Self> {
            None
        }

        pub(super) async fn told(&mut self) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_change_is_told_once_and_reading_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("lib.rs");
        fs::write(&file, "1").unwrap();
        let gone = folder.path().join("gone");
        let mut notices = Notices::of([folder.path(), &gone]);
        fs::read(&file).unwrap();
        assert!(!notices.within(SHORT).await);
        fs::write(&file, "2").unwrap();
        fs::rename(&file, folder.path().join("new.rs")).unwrap();
        assert!(notices.within(LONG).await);
        assert!(!notices.within(SHORT).await);
    }
}
