//! How people switch faults, order single ones, and see what was injected.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::faults::{Faults, Wanted};
use super::figures::Figures;
use super::orders::FailingCalls;
use super::seed::Seed;
use super::shares::Shares;
use crate::inquiry::Inquiry;
use crate::{Error, Keys};

/// The switch of a stage's faults. When one of its methods returns, what was wanted is in force: the next event meets it.
#[derive(Debug, Clone)]
pub struct FaultSwitch {
    faults: Arc<Faults>,
    /// None before the emulator runs.
    emulator: Arc<OnceLock<Link>>,
}

/// The way to the emulator, which makes some of the faults.
struct Link {
    inquiry: Inquiry,
    endpoint: String,
    /// The variables by which functions find the proxies.
    proxies: BTreeMap<&'static str, String>,
    /// What the emulator was told last.
    told: Mutex<Wanted>,
}

impl FaultSwitch {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self {
            faults,
            emulator: Arc::default(),
        }
    }

    /// Makes faults by this seed, and counts from the beginning.
    ///
    /// # Errors
    /// When the emulator does not answer. So it is with the other methods.
    pub async fn begin(&self, seed: Seed, shares: Shares) -> Result<(), Error> {
        self.faults.begin(seed, shares);
        self.tell().await
    }

    /// Ends all faults, see [`Faults::stop`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.faults.stop();
        self.tell().await
    }

    /// See [`Faults::order_failing_calls`]. Processes of functions are started anew, so that they call by way of a proxy.
    pub async fn order_failing_calls(&self, calls: FailingCalls) -> Result<(), Error> {
        self.faults.order_failing_calls(calls);
        self.tell().await
    }

    /// See [`Faults::order_kill`].
    pub async fn order_kill(&self, function: &str, after: Duration) -> Result<(), Error> {
        self.faults.order_kill(function, after);
        self.tell().await
    }

    /// See [`Faults::order_late_queue`].
    pub async fn order_late_queue(&self, url: &str, seconds: u64) -> Result<(), Error> {
        self.faults.order_late_queue(url, seconds);
        self.tell().await
    }

    /// Kills the processes of a function, by Lambda's name of it, whatever they are at, and returns how many.
    pub async fn kill_now(&self, function: &str) -> Result<usize, Error> {
        let killed = match self.emulator.get() {
            None => 0,
            Some(link) => link.ask("kill", &function.into()).await?,
        };
        self.faults.were_killed(killed);
        Ok(killed)
    }

    /// What was injected so far, and what is to be.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.faults.figures()
    }

    pub(super) async fn connect(
        &self,
        endpoint: &str,
        keys: &Keys,
        proxies: BTreeMap<&'static str, String>,
    ) -> Result<(), Error> {
        let link = Link {
            inquiry: Inquiry::new(keys),
            endpoint: endpoint.to_owned(),
            proxies,
            told: Mutex::default(),
        };
        self.emulator.get_or_init(|| link);
        self.tell().await
    }

    /// Tells the emulator of what changes by itself: an order that is done.
    pub(super) async fn follow(self) {
        let mut wanted = self.faults.wanted();
        while wanted.changed().await.is_ok() {
            if let Err(error) = self.tell().await {
                // The stage is ending, or `tell` will fail for whoever asks for something.
                tracing::debug!(%error, "the emulator was not told of faults");
            }
        }
    }

    /// Tells the emulator what is wanted now, if it does not know.
    async fn tell(&self) -> Result<(), Error> {
        let Some(link) = self.emulator.get() else {
            return Ok(());
        };
        let mut told = link.told.lock().await;
        let wanted = self.faults.wanted().borrow().clone();
        if *told != wanted {
            link.want(&wanted).await?;
            *told = wanted;
        }
        Ok(())
    }
}

impl Link {
    async fn want(&self, wanted: &Wanted) -> Result<(), Error> {
        let none = BTreeMap::new();
        let endpoints = if wanted.proxied { &self.proxies } else { &none };
        let body = serde_json::json!({
            "on": wanted.on,
            "asks": wanted.asks,
            "endpoints": endpoints,
            "late_queues": wanted.late_queues,
        });
        self.ask("faults", &body).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        body: &serde_json::Value,
    ) -> Result<T, Error> {
        let url = format!("{}/_stage/{what}", self.endpoint);
        self.inquiry.post(&url, body).await.map_err(Error::NotTold)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}
