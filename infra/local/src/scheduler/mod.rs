//! Schedules of EventBridge Scheduler, fired when they are due.
//!
//! MiniStack has the schedules in its API and its CloudFormation, and fires them in its own way,
//! so `schedules.py` keeps it from that, and lists them here.
//!
//! - `schedule` reads what is listed, and decides when something is due. No clock, no AWS.
//! - `delivery` hands the event to Lambda by the schedule's role, and to the schedule's
//!   dead-letter queue if Lambda does not take it.
//!
//! What differs from AWS: a schedule fires within two seconds of its time instead of within a
//! minute, and pauses between attempts are seconds.

mod delivery;
mod schedule;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schedules::Timestamp;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

use self::delivery::Delivery;
use self::schedule::{Listed, Schedule};
use crate::inquiry::Inquiry;
use crate::{Emulator, Observer};

/// How often schedules are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Fires schedules. Dropping it stops it.
///
/// What it has to tell (an event that Lambda does not take) goes to `tracing`.
#[derive(Debug)]
pub struct Scheduler {
    firings: Arc<Firings>,
    begin: Arc<Notify>,
    task: JoinHandle<()>,
}

/// How many events are on their way from the scheduler to Lambda, and which have arrived.
#[derive(Debug, Default)]
pub(crate) struct Firings {
    begun: AtomicU64,
    ended: AtomicU64,
    fired_until: Mutex<FiredUntil>,
}

/// By the schedule's ARN, the moment up to which Lambda, or the dead-letter queue, has its events.
pub(crate) type FiredUntil = BTreeMap<String, Timestamp>;

impl Firings {
    /// Begun, and ended, since the scheduler was started. What has been begun before `begun` is
    /// read has been ended at the most.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst), ended)
    }

    /// What has been fired, to be kept.
    pub(crate) fn fired_until(&self) -> FiredUntil {
        self.lock().clone()
    }

    /// A slow event may arrive after the next one.
    fn fired(&self, arn: &str, at: Timestamp) {
        let mut fired_until = self.lock();
        let until = fired_until.entry(arn.to_owned()).or_insert(at);
        *until = at.max(*until);
    }

    fn lock(&self) -> MutexGuard<'_, FiredUntil> {
        self.fired_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scheduler {
    /// Waits for [`Self::begin`], then looks at the emulator's schedules. `fired_until` is what an earlier start has
    /// fired. Must be called in a Tokio runtime.
    #[must_use]
    pub(crate) fn held(
        emulator: &Emulator,
        region: &str,
        fired_until: FiredUntil,
        observer: &Observer,
    ) -> Self {
        let inquiry = Inquiry::new(emulator.keys());
        let list = format!("{}/_stage/schedules", emulator.endpoint());
        let http = aws_smithy_http_client::Builder::new().build_http();
        let delivery = Delivery::new(emulator, region, http, observer.clone());
        let firings = Arc::new(Firings {
            fired_until: Mutex::new(fired_until),
            ..Firings::default()
        });
        let begin = Arc::new(Notify::new());
        let begun = Arc::clone(&begin);
        Self {
            firings: Arc::clone(&firings),
            begin,
            task: tokio::spawn(async move {
                begun.notified().await;
                run(inquiry, list, Arc::new(delivery), firings).await;
            }),
        }
    }

    /// Starts to look at the emulator's schedules.
    pub(crate) fn begin(&self) {
        self.begin.notify_one();
    }

    /// What is on its way.
    pub(crate) fn firings(&self) -> Arc<Firings> {
        Arc::clone(&self.firings)
    }

    /// Stops. Deliveries under way are broken off.
    pub async fn shutdown(mut self) {
        self.task.abort();
        // An error says that it was stopped.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never returns.
async fn run(inquiry: Inquiry, list: String, delivery: Arc<Delivery>, firings: Arc<Firings>) {
    let mut known: HashMap<String, Schedule> = HashMap::new();
    let mut deliveries = JoinSet::new();
    let mut is_answered = true;
    loop {
        match inquiry.get::<Vec<Listed>>(&list).await {
            Ok(listed) => {
                is_answered = true;
                let now = Timestamp::now();
                let is_listed = |arn: &String| listed.iter().any(|listed| listed.arn == *arn);
                known.retain(|arn, _| is_listed(arn));
                firings.lock().retain(|arn, _| is_listed(arn));
                for listed in listed {
                    let arn = listed.arn.clone();
                    match known.get_mut(&arn) {
                        Some(schedule) if schedule.is(&listed) => {}
                        _ => {
                            let fired_until = firings.lock().get(&arn).copied();
                            let schedule = Schedule::new(listed, fired_until);
                            if let Some(fault) = schedule.fault() {
                                warn!(schedule = arn, "the schedule never fires: {fault}");
                            }
                            known.insert(arn, schedule);
                        }
                    }
                }
                for schedule in known.values_mut() {
                    if let Some(scheduled_time) = schedule.due(now) {
                        firings.begun.fetch_add(1, Ordering::SeqCst);
                        let (delivery, firings) = (Arc::clone(&delivery), Arc::clone(&firings));
                        let listed = Arc::clone(schedule.listed());
                        deliveries.spawn(async move {
                            delivery.deliver(&listed, scheduled_time).await;
                            firings.fired(&listed.arn, now);
                            firings.ended.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                }
            }
            Err(error) if is_answered => {
                is_answered = false;
                warn!(%error, "could not list the schedules");
            }
            Err(_) => {}
        }
        while deliveries.try_join_next().is_some() {}
        tokio::time::sleep(INTERVAL).await;
    }
}
