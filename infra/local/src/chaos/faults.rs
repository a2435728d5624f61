//! The decision whether something goes wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::call::{Call, Fault};
use super::figures::{Figure, Figures};
use super::kind::FaultKind;
use super::orders::{FailingCalls, Orders};
use super::seed::Seed;
use super::shares::{MAX_DELAY, MAX_LIFE, Shares};

/// How an event or a batch is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// How long to [hold it back](Faults::hold_back).
    pub late_by: Duration,
    /// Whether it is to be delivered once more, and how long after the first time.
    pub again_after: Option<Duration>,
}

/// What the emulator has to know before anything can go wrong there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whether seed and shares decide.
    pub(super) on: bool,
    /// Whether any decision is to be asked for.
    pub(super) asks: bool,
    /// Whether functions are to call by way of the proxies.
    pub(super) proxied: bool,
    /// See [`Orders::late_queues`].
    pub(super) late_queues: BTreeMap<String, u64>,
}

/// Decides about faults, and counts them.
#[derive(Debug)]
pub struct Faults {
    course: Mutex<Course>,
    wanted: watch::Sender<Wanted>,
    held_back: AtomicUsize,
}

#[derive(Debug)]
struct Course {
    seed: Seed,
    shares: Shares,
    on: bool,
    orders: Orders,
    /// By question and subject.
    occurrences: HashMap<(&'static str, String), u64>,
    figures: BTreeMap<FaultKind, Figure>,
}

impl Faults {
    /// Faults that are on.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        let faults = Self::off();
        faults.begin(seed, Shares::default());
        faults
    }

    /// Nothing goes wrong until somebody wants it.
    #[must_use]
    pub fn off() -> Self {
        Self {
            course: Mutex::new(Course {
                seed: Seed::random(),
                shares: Shares::default(),
                on: false,
                orders: Orders::default(),
                occurrences: HashMap::new(),
                figures: BTreeMap::new(),
            }),
            wanted: watch::Sender::default(),
            held_back: AtomicUsize::new(0),
        }
    }

    /// Makes faults, and counts from the beginning.
    pub fn begin(&self, seed: Seed, shares: Shares) {
        self.change(|course| {
            course.seed = seed;
            course.shares = shares;
            course.on = true;
            course.occurrences.clear();
            course.figures.clear();
        });
    }

    /// Ends it: nothing goes wrong any more, what is ordered is forgotten, and what is held back is delivered.
    pub fn stop(&self) {
        self.change(|course| {
            course.on = false;
            course.orders = Orders::default();
        });
    }

    /// Has the next invocation of a function killed, by Lambda's name of it, so long after it was handed its event.
    pub fn order_kill(&self, function: &str, after: Duration) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.change(|course| {
            let kills = &mut course.orders.kill_after_ms;
            kills.insert(function.to_owned(), after_ms)
        });
    }

    /// Has the next calls of an operation fail.
    pub fn order_failing_calls(&self, calls: FailingCalls) {
        if calls.left > 0 {
            self.change(|course| course.orders.failing_calls.push(calls));
        }
    }

    /// Has the messages of a queue come so many seconds late to functions; 0 ends that.
    pub fn order_late_queue(&self, url: &str, seconds: u64) {
        self.change(|course| match seconds {
            0 => course.orders.late_queues.remove(url),
            late => course.orders.late_queues.insert(url.to_owned(), late),
        });
    }

    /// What was injected so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let course = self.course();
        Figures {
            seed: course.seed,
            on: course.on,
            shares: course.shares,
            orders: course.orders.clone(),
            held_back: self.held_back.load(Ordering::Relaxed),
            faults: course.figures.clone(),
        }
    }

    /// What happens to a call of a service.
    #[must_use]
    pub fn call(&self, call: &Call) -> Option<Fault> {
        if !self.wanted.borrow().proxied {
            return None;
        }
        self.change(|course| {
            if let Some(fault) = course.orders.of_call(call) {
                course.count(FaultKind::OrderedCallFailed, true);
                return Some(fault);
            }
            course.on.then(|| course.call(call)).flatten()
        })
    }

    /// How an asynchronous event of a function is delivered.
    #[must_use]
    pub fn event(&self, function: &str) -> Delivery {
        self.delivery(
            "event",
            function,
            FaultKind::EventLate,
            FaultKind::EventTwice,
        )
    }

    /// How a batch of stream records is delivered to a function. To be asked once for each
    /// batch, not for each attempt. The records of a shard stay in order, so those behind a
    /// late batch wait. The second delivery is out of order.
    #[must_use]
    pub fn stream_batch(&self, function: &str) -> Delivery {
        self.delivery(
            "batch",
            function,
            FaultKind::BatchLate,
            FaultKind::BatchTwice,
        )
    }

    fn delivery(
        &self,
        what: &'static str,
        function: &str,
        late: FaultKind,
        twice: FaultKind,
    ) -> Delivery {
        if !self.are_on() {
            return Delivery::default();
        }
        let mut course = self.course();
        let number = course.occurrence(what, function);
        let seed = course.seed;
        let fraction = |question: &str| {
            let question = format!("{what} {question}");
            seed.fraction(&question, function, number)
        };
        let is_late = fraction("late") < course.shares.late;
        let comes_twice = fraction("twice") < course.shares.twice;
        course.count(late, is_late);
        course.count(twice, comes_twice);
        Delivery {
            late_by: if is_late {
                MAX_DELAY.mul_f64(fraction("late by"))
            } else {
                Duration::ZERO
            },
            again_after: comes_twice.then(|| MAX_DELAY.mul_f64(fraction("again after"))),
        }
    }

    /// Whether the message that a video job has ended, which is for this function, is lost.
    #[must_use]
    pub fn loses_completion(&self, function: &str) -> bool {
        if !self.are_on() {
            return false;
        }
        let mut course = self.course();
        let number = course.occurrence("completion", function);
        let fraction = course.seed.fraction("completion", function, number);
        let is_lost = fraction < course.shares.completions;
        course.count(FaultKind::CompletionLost, is_lost);
        is_lost
    }

    /// Whether an invocation of a function is killed, and how long after it was handed its event.
    #[must_use]
    pub fn kill(&self, function: &str) -> Option<Duration> {
        if !self.wanted.borrow().asks {
            return None;
        }
        self.change(|course| {
            if let Some(after) = course.orders.kill(function) {
                course.count(FaultKind::OrderedKill, true);
                return Some(after);
            }
            course.on.then(|| course.kill(function)).flatten()
        })
    }

    /// A message of a queue whose messages are to come late is held back.
    pub(super) fn message_is_late(&self) {
        self.course().count(FaultKind::OrderedMessageLate, true);
    }

    /// Processes were killed because somebody wanted it at once.
    pub(super) fn were_killed(&self, processes: usize) {
        let mut course = self.course();
        for _ in 0..processes {
            course.count(FaultKind::OrderedKill, true);
        }
    }

    /// Waits for this long, or until faults are stopped. What waits here is counted as held back.
    pub async fn hold_back(&self, duration: Duration) {
        let mut wanted = self.wanted.subscribe();
        if duration.is_zero() {
            return;
        }
        let _held = Held::new(&self.held_back);
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            _ = wanted.wait_for(|wanted| !wanted.on) => {}
        }
    }

    pub(super) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    fn are_on(&self) -> bool {
        self.wanted.borrow().on
    }

    /// Changes something, and lets those know to whom it matters.
    fn change<T>(&self, change: impl FnOnce(&mut Course) -> T) -> T {
        let mut course = self.course();
        let changed = change(&mut course);
        self.wanted.send_if_modified(|wanted| {
            let now = course.wanted();
            let differs = *wanted != now;
            *wanted = now;
            differs
        });
        changed
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        // Counting does not panic half-way.
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn wanted(&self) -> Wanted {
        let Orders {
            kill_after_ms,
            failing_calls,
            late_queues,
        } = &self.orders;
        Wanted {
            on: self.on,
            asks: self.on || !kill_after_ms.is_empty() || !late_queues.is_empty(),
            proxied: self.on || !failing_calls.is_empty(),
            late_queues: late_queues.clone(),
        }
    }

    fn call(&mut self, call: &Call) -> Option<Fault> {
        let subject = format!("{}:{}", call.service, call.operation);
        let number = self.occurrence("call", &subject);
        let fraction = self.seed.fraction("call", &subject, number);
        let chosen = self.shares.of_call(fraction);
        let happens = chosen.map(|(kind, _)| kind);
        for kind in [
            FaultKind::CallThrottled,
            FaultKind::CallFailed,
            FaultKind::AnswerLost,
            FaultKind::CallDropped,
            FaultKind::AnswerDropped,
        ] {
            self.count(kind, happens == Some(kind));
        }
        chosen.map(|(_, fault)| fault)
    }

    fn kill(&mut self, function: &str) -> Option<Duration> {
        let number = self.occurrence("kill", function);
        let fraction = |question| self.seed.fraction(question, function, number);
        let is_killed = fraction("kill") < self.shares.killed;
        let milliseconds = (MAX_LIFE.as_secs_f64() * 1000.0).powf(fraction("kill after"));
        self.count(FaultKind::FunctionKilled, is_killed);
        is_killed.then(|| Duration::from_secs_f64(milliseconds / 1000.0))
    }

    /// Which occurrence of `what` at this subject it is, from 1.
    fn occurrence(&mut self, what: &'static str, subject: &str) -> u64 {
        let number = self
            .occurrences
            .entry((what, subject.to_owned()))
            .or_default();
        *number += 1;
        *number
    }

    fn count(&mut self, kind: FaultKind, is_injected: bool) {
        self.figures.entry(kind).or_default().count(is_injected);
    }
}

/// Counts for as long as it lives, so that a wait that is abandoned is not counted for ever.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
