//! What pages are told while they are open.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer::{self, Answer, Chunks};

/// A page looks anew this often at most, however much happens.
const INTERVAL: Duration = Duration::from_millis(300);

/// Without a sign of life for so long, proxies and browsers take a connection for dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Tells a page of each change, until it is closed or the console ends.
pub(crate) fn follow(
    mut changes: watch::Receiver<u64>,
    mut ended: watch::Receiver<bool>,
) -> Answer {
    let (sender, body) = Chunks::new();
    changes.mark_unchanged();
    tokio::spawn(async move {
        let told = async {
            if sender
                .send(Bytes::from_static(b"retry: 1000\n\n"))
                .await
                .is_err()
            {
                return;
            }
            loop {
                let told = Instant::now();
                let event: &'static [u8] = match timeout(SIGN_OF_LIFE, changes.changed()).await {
                    Ok(Ok(())) => b"event: change\ndata:\n\n",
                    Ok(Err(_)) => return,
                    Err(_) => b": alive\n\n",
                };
                if sender.send(Bytes::from_static(event)).await.is_err() {
                    return;
                }
                sleep_until(told + INTERVAL).await;
            }
        };
        tokio::select! {
            () = told => {}
            () = sender.closed() => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    });
    answer::events(body)
}
