//! Doing the same to several things at once.

use std::future::Future;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::progress::{Progress, Report};

/// How a task tells its progress.
pub(crate) type Tell = UnboundedSender<Progress>;

/// Runs a task for every item, all at once, and returns their results in the items' order.
/// The first failure ends the others.
pub(crate) async fn at_once<T, R, F>(
    items: impl IntoIterator<Item = T>,
    report: Report<'_>,
    task: impl Fn(T, Tell) -> F,
) -> Result<Vec<R>>
where
    F: Future<Output = Result<R>> + Send + 'static,
    R: Send + 'static,
{
    let (tell, mut told) = unbounded_channel();
    let mut running = JoinSet::new();
    for (index, item) in items.into_iter().enumerate() {
        let work = task(item, tell.clone());
        running.spawn(async move { (index, work.await) });
    }
    // The channel ends when the last task does.
    drop(tell);
    let mut results = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(progress) = told.recv() => report(progress),
            Some(ended) = running.join_next() => {
                let (index, result) = ended.map_err(|error| {
                    Error::new("a task was interrupted").because(error.to_string())
                })?;
                results.push((index, result?));
            }
            else => break,
        }
    }
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
