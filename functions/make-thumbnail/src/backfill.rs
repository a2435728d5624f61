//! Thumbnails of items that are older than the function.

use std::time::{Duration, Instant};

use media::thumbnail::Standings;
use runtime::s3::ObjectKey;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::MakeThumbnail;
use crate::ports::{Pictures, ThumbnailError, Thumbnails};

/// How long one invocation goes on: who invokes it by hand waits for no longer than a minute.
const TIME: Duration = Duration::from_secs(30);
/// How many names are read at once.
const PAGE: usize = 100;

/// Asks for the thumbnails of the items after `after`, or of all.
///
/// It may come while events do, and again: what is there stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backfill {
    /// The name after which to begin: where an earlier invocation ended.
    pub after: Option<String>,
}

/// How far an invocation got.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// How many names it has handled.
    pub handled: usize,
    /// Those that failed. They are in the log, with the reason.
    pub failed: Vec<String>,
    /// Where to go on, in `after`; `null` if nothing is left.
    pub next: Option<String>,
}

impl<C: Standings, P: Pictures, T: Thumbnails> MakeThumbnail<C, P, T> {
    /// Brings the thumbnails of items in step that are after a name in the table's order, for as
    /// long as an invocation may take.
    ///
    /// # Errors
    /// The names could not be read.
    pub async fn backfill(&self, backfill: Backfill) -> Result<Progress, ThumbnailError> {
        let begun = Instant::now();
        let mut progress = Progress::default();
        let after = backfill.after.as_deref().map(ObjectKey::new);
        // A name that no object has is one that nothing comes after.
        let Ok(mut after) = after.transpose() else {
            return Ok(progress);
        };
        loop {
            let (names, has_more) = self.catalogue.names(after.as_ref(), PAGE).await?;
            for name in &names {
                if begun.elapsed() > TIME {
                    progress.next = after.map(|name| name.to_string());
                    return Ok(progress);
                }
                if let Err(reason) = self.bring_in_step(name).await {
                    error!(%reason, "thumbnail failed: ask for it again");
                    progress.failed.push(name.to_string());
                }
                progress.handled += 1;
                after = Some(name.clone());
            }
            if !has_more {
                return Ok(progress);
            }
        }
    }
}
