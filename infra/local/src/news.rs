//! What the emulator tells when there is something new to read.
//!
//! Whoever reads streams or logs could ask again and again. On a stage that does nothing, these requests would be the only
//! work, and a good part of a processor. So the emulator counts what it adds (`news.py`), and one request waits until it has
//! added something.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::Keys;
use crate::inquiry::Inquiry;

/// How long the emulator may wait before it answers that there is nothing new.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a shard is left alone without news. It is read then in case it has a record that nobody told of.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// How often a shard is read where no news can be had.
const INTERVAL: Duration = Duration::from_millis(100);

/// What has been added since the emulator's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Counts {
    records: u64,
    logs: u64,
}

/// The news of one emulator. Clones are the same; the last one ends the request that waits.
#[derive(Debug, Clone)]
pub(crate) struct News {
    counts: watch::Receiver<Option<Counts>>,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl News {
    /// Asks the emulator at this endpoint. Must be called in a Tokio runtime.
    pub(crate) fn of(endpoint: &str, keys: &Keys) -> Self {
        let inquiry = Inquiry::new(keys);
        let url = format!("{endpoint}/_stage/news?patience={}", PATIENCE.as_secs());
        let (sender, counts) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut known: Option<Counts> = None;
            loop {
                let url = match known {
                    None => url.clone(),
                    Some(Counts { records, logs }) => {
                        format!("{url}&records={records}&logs={logs}")
                    }
                };
                known = inquiry.get(&url).await.ok();
                sender.send_replace(known);
                if known.is_none() {
                    sleep(INTERVAL).await;
                }
            }
        });
        Self {
            counts,
            task: Arc::new(Task(task)),
        }
    }

    /// How many records were added to streams. None while the emulator does not answer.
    pub(crate) fn records(&self) -> Option<u64> {
        self.counts.borrow().map(|counts| counts.records)
    }

    /// Returns when that is no longer the number of records, or when it is time to read all the same.
    pub(crate) async fn more_records(&self, known: Option<u64>) {
        let rest = if known.is_some() {
            LONGEST_REST
        } else {
            INTERVAL
        };
        let mut counts = self.counts.clone();
        let more = async {
            let told = counts.wait_for(|counts| counts.map(|it| it.records) != known);
            if told.await.is_err() {
                // No news come any more.
                std::future::pending::<()>().await;
            }
        };
        // The end of the rest is one as well.
        let _ = timeout(rest, more).await;
    }

    /// A number that grows with the logs of functions: as soon as it is not `known`, or after a while.
    pub(crate) async fn logs(&self, known: Option<u64>) -> Option<u64> {
        let mut counts = self.counts.clone();
        let other = counts.wait_for(|counts| counts.map(|it| it.logs) != known);
        // The end of the patience, and that of the news, are answers as well.
        let _ = timeout(PATIENCE, other).await;
        self.counts.borrow().map(|counts| counts.logs)
    }

    /// Ends the news, and with them every wait for [`Self::logs`].
    pub(crate) fn end(&self) {
        self.task.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Instant;

    use http::{Request, StatusCode};
    use hyper::body::Incoming;
    use serde_json::json;

    use super::*;
    use crate::server::{Server, json_response};

    const SHORT: Duration = Duration::from_millis(300);

    fn soon<F: Future>(future: F) -> impl Future<Output = Result<F::Output, impl Sized>> {
        timeout(Duration::from_secs(20), future)
    }

    /// An emulator that has so much, and keeps those waiting who know it.
    async fn emulator(counts: watch::Receiver<Counts>) -> Server {
        let answer = move |request: Request<Incoming>| {
            let mut counts = counts.clone();
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let known = |Counts { records, logs }: &Counts| {
                    query.ends_with(&format!("&records={records}&logs={logs}"))
                };
                let found = counts.wait_for(|counts| !known(counts)).await;
                let Counts { records, logs } = found.map(|counts| *counts).unwrap_or_default();
                let found = json!({"records": records, "logs": logs});
                Ok::<_, Infallible>(json_response(StatusCode::OK, &found))
            }
        };
        Server::start("the emulator", 0, answer).await.unwrap()
    }

    #[tokio::test]
    async fn a_shard_rests_until_there_are_more_records() {
        let (add, counts) = watch::channel(Counts::default());
        let emulator = emulator(counts).await;
        let endpoint = format!("http://127.0.0.1:{}", emulator.port());
        let news = News::of(&endpoint, &Keys::random().unwrap());
        let known = soon(news.logs(None)).await.ok().unwrap();
        assert_eq!((known, news.records()), (Some(0), Some(0)));

        add.send_modify(|counts| counts.logs += 1);
        assert_eq!(soon(news.logs(known)).await.ok(), Some(Some(1)));
        let rested = timeout(SHORT, news.more_records(Some(0))).await;
        assert!(rested.is_err(), "lines of logs are no records");

        add.send_modify(|counts| counts.records += 1);
        let began = Instant::now();
        news.more_records(Some(0)).await;
        assert!(began.elapsed() < LONGEST_REST, "it was told");
        assert_eq!(news.records(), Some(1));
    }

    #[tokio::test]
    async fn who_waits_for_logs_waits_no_longer_than_the_news() {
        let (_add, counts) = watch::channel(Counts::default());
        let emulator = emulator(counts).await;
        let endpoint = format!("http://127.0.0.1:{}", emulator.port());
        let news = News::of(&endpoint, &Keys::random().unwrap());
        let known = soon(news.logs(None)).await.ok().unwrap();
        let waiting = tokio::spawn({
            let news = news.clone();
            async move { news.logs(known).await }
        });
        tokio::task::yield_now().await;
        news.end();
        assert!(soon(waiting).await.is_ok());
        let rested = timeout(SHORT, news.more_records(Some(0))).await;
        assert!(rested.is_err(), "a shard is not read all the time");
    }

    #[tokio::test]
    async fn without_news_shards_are_read_again_and_again() {
        let news = News::of("http://127.0.0.1:1", &Keys::random().unwrap());
        assert_eq!(news.records(), None);
        let began = Instant::now();
        news.more_records(None).await;
        assert!(began.elapsed() < LONGEST_REST);
    }
}
