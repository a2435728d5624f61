//! Which faults there are, how often they happen, and the decision whether this one does.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::call::{Call, Effect, Fault};

/// Of the calls that functions make to AWS services: what happens to which share, together
/// 10 %. The SDK tries a call three times, so one in a thousand fails in the end, and
/// Lambda tries its event again.
const CALL_FAULTS: [(f64, FaultKind, Fault); 7] = [
    (0.04, FaultKind::CallThrottled, Fault::Throttled),
    (
        0.01,
        FaultKind::CallFailed,
        Fault::InternalError(Effect::Missing),
    ),
    (
        0.01,
        FaultKind::CallFailed,
        Fault::Unavailable(Effect::Missing),
    ),
    (
        0.01,
        FaultKind::AnswerLost,
        Fault::InternalError(Effect::Done),
    ),
    (
        0.01,
        FaultKind::AnswerLost,
        Fault::Unavailable(Effect::Done),
    ),
    (
        0.01,
        FaultKind::CallDropped,
        Fault::Disconnected(Effect::Missing),
    ),
    (
        0.01,
        FaultKind::AnswerDropped,
        Fault::Disconnected(Effect::Done),
    ),
];

/// The share of events and batches that are delivered twice.
const TWICE: f64 = 0.1;

/// The share of events and batches that are delivered late.
const LATE: f64 = 0.2;

/// How late an event or batch is at most, and how long after the first delivery the second
/// comes at most.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// The share of video jobs of whose end nobody is told. Jobs are few.
const COMPLETION_LOST: f64 = 0.5;

/// The share of invocations whose process is killed.
const KILLED: f64 = 0.02;

/// When a process is killed at the latest after it was handed the event. Short times are
/// likelier: each order of magnitude from a millisecond on is as likely as the next. An
/// invocation that ends earlier is killed when it has done its work and answers.
const MAX_LIFE: Duration = Duration::from_secs(1);

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A service refuses a call because there are too many.
    CallThrottled,
    /// A service answers 500 or 503, and has done nothing.
    CallFailed,
    /// A service answers 500 or 503, but has done what was asked.
    AnswerLost,
    /// The connection ends before a service has done anything.
    CallDropped,
    /// The connection ends after a service has done what was asked.
    AnswerDropped,
    /// An asynchronous event is delivered late.
    EventLate,
    /// An asynchronous event is delivered twice.
    EventTwice,
    /// A batch of stream records is delivered late.
    BatchLate,
    /// A batch of stream records is delivered again, when later ones may have been.
    BatchTwice,
    /// The message that a video job has ended is lost.
    CompletionLost,
    /// A function's process is killed while it handles an event.
    FunctionKilled,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::CallThrottled => "calls throttled",
            Self::CallFailed => "calls answered by 5xx",
            Self::AnswerLost => "calls done, answered by 5xx",
            Self::CallDropped => "calls cut off",
            Self::AnswerDropped => "calls done, cut off",
            Self::EventLate => "events late",
            Self::EventTwice => "events twice",
            Self::BatchLate => "stream batches late",
            Self::BatchTwice => "stream batches twice",
            Self::CompletionLost => "completions of jobs lost",
            Self::FunctionKilled => "functions killed",
        })
    }
}

/// The number that all decisions follow from. The same seed and the same number of
/// opportunities give the same faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seed(u64);

impl Seed {
    /// One that is hardly ever the same twice, and short enough to be typed.
    #[must_use]
    pub fn random() -> Self {
        Self(RandomState::new().build_hasher().finish() % 1_000_000)
    }

    /// A number in 0..1 for the n-th occurrence of something: a hash, so that the order
    /// in which different things occur has no influence.
    #[must_use]
    pub fn fraction(self, question: &str, subject: &str, number: u64) -> f64 {
        let text = format!("{}\n{question}\n{subject}\n{number}", self.0);
        let hash = Sha256::digest(text);
        let bits = hash
            .iter()
            .take(7)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        // 53 of the 56 bits, as many as a float holds exactly.
        (bits >> 3) as f64 / (1_u64 << 53) as f64
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Seed {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// How an event or a batch is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// How long to [hold it back](Faults::hold_back).
    pub late_by: Duration,
    /// Whether it is to be delivered once more, and how long after the first time.
    pub again_after: Option<Duration>,
}

/// How often something could have gone wrong, and how often it was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Figure {
    /// Calls, events, batches or invocations while faults were on.
    pub opportunities: u64,
    /// Those of them that the fault happened to.
    pub injected: u64,
}

/// What was injected so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The number to replay it with.
    pub seed: Seed,
    /// Whether faults are still injected.
    pub on: bool,
    /// Events and batches that wait for their late delivery.
    pub held_back: usize,
    /// What was injected, by kind. A kind that had no opportunity is missing.
    pub faults: BTreeMap<FaultKind, Figure>,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "seed {}", self.seed)?;
        for (
            kind,
            Figure {
                opportunities,
                injected,
            },
        ) in &self.faults
        {
            write!(formatter, "\n{kind:28} {injected:>7} of {opportunities:>7}")?;
        }
        Ok(())
    }
}

/// Decides about faults while they are on, and counts them.
#[derive(Debug)]
pub struct Faults {
    seed: Seed,
    on: watch::Sender<bool>,
    held_back: AtomicUsize,
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    /// By question and subject.
    occurrences: HashMap<(&'static str, String), u64>,
    figures: BTreeMap<FaultKind, Figure>,
}

impl Tally {
    fn count(&mut self, kind: FaultKind, injected: bool) {
        let figure = self.figures.entry(kind).or_default();
        figure.opportunities += 1;
        figure.injected += u64::from(injected);
    }
}

impl Faults {
    /// Faults that are on.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            on: watch::Sender::new(true),
            held_back: AtomicUsize::new(0),
            tally: Mutex::default(),
        }
    }

    /// Ends it: nothing goes wrong any more, and what is held back is delivered.
    pub fn stop(&self) {
        self.on.send_replace(false);
    }

    /// Makes faults again: the same seed goes on where it was.
    pub fn resume(&self) {
        self.on.send_replace(true);
    }

    /// What was injected so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            seed: self.seed,
            on: self.are_on(),
            held_back: self.held_back.load(Ordering::Relaxed),
            faults: self.tally().figures.clone(),
        }
    }

    /// What happens to a call of a service.
    #[must_use]
    pub fn call(&self, call: &Call) -> Option<Fault> {
        if !self.are_on() {
            return None;
        }
        let subject = format!("{}:{}", call.service, call.operation);
        let fraction = self.seed.fraction("call", &subject, call.number);
        let mut below = 0.0;
        let chosen = CALL_FAULTS.iter().position(|(share, ..)| {
            below += share;
            fraction < below
        });
        let mut tally = self.tally();
        let chosen = chosen.map(|index| &CALL_FAULTS[index]);
        let happens = chosen.map(|(_, kind, _)| *kind);
        for kind in [
            FaultKind::CallThrottled,
            FaultKind::CallFailed,
            FaultKind::AnswerLost,
            FaultKind::CallDropped,
            FaultKind::AnswerDropped,
        ] {
            tally.count(kind, happens == Some(kind));
        }
        chosen.map(|(_, _, fault)| *fault)
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
        let mut tally = self.tally();
        let number = occurrence(&mut tally, what, function);
        let fraction = |question: &str| {
            let question = format!("{what} {question}");
            self.seed.fraction(&question, function, number)
        };
        let is_late = fraction("late") < LATE;
        let comes_twice = fraction("twice") < TWICE;
        tally.count(late, is_late);
        tally.count(twice, comes_twice);
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
        let mut tally = self.tally();
        let number = occurrence(&mut tally, "completion", function);
        let is_lost = self.seed.fraction("completion", function, number) < COMPLETION_LOST;
        tally.count(FaultKind::CompletionLost, is_lost);
        is_lost
    }

    /// Whether an invocation of a function is killed, and how long after it was handed its event.
    #[must_use]
    pub fn kill(&self, function: &str) -> Option<Duration> {
        if !self.are_on() {
            return None;
        }
        let mut tally = self.tally();
        let number = occurrence(&mut tally, "kill", function);
        let fraction = |question| self.seed.fraction(question, function, number);
        let is_killed = fraction("kill") < KILLED;
        tally.count(FaultKind::FunctionKilled, is_killed);
        let milliseconds = (MAX_LIFE.as_secs_f64() * 1000.0).powf(fraction("kill after"));
        is_killed.then(|| Duration::from_secs_f64(milliseconds / 1000.0))
    }

    /// Waits for this long, or until faults are stopped. What waits here is counted as held back.
    pub async fn hold_back(&self, duration: Duration) {
        let mut on = self.on.subscribe();
        if duration.is_zero() {
            return;
        }
        let _held = Held::new(&self.held_back);
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            _ = on.wait_for(|on| !on) => {}
        }
    }

    fn are_on(&self) -> bool {
        *self.on.borrow()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Counting does not panic half-way.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which occurrence of `what` at this subject it is, from 1.
fn occurrence(tally: &mut Tally, what: &'static str, subject: &str) -> u64 {
    let number = tally
        .occurrences
        .entry((what, subject.to_owned()))
        .or_default();
    *number += 1;
    *number
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
mod tests {
    use std::time::Instant;

    use super::*;

    const MANY: u64 = 20_000;

    fn faults(seed: u64) -> Faults {
        Faults::new(Seed(seed))
    }

    fn call(operation: &str, number: u64) -> Call {
        Call {
            service: "dynamodb".to_owned(),
            operation: operation.to_owned(),
            number,
        }
    }

    /// Of one function: deliveries and kills.
    fn course(faults: &Faults, function: &str) -> (Delivery, Delivery, Option<Duration>) {
        (
            faults.event(function),
            faults.stream_batch(function),
            faults.kill(function),
        )
    }

    #[test]
    fn decisions_depend_on_the_seed_and_not_on_what_happens_elsewhere() {
        let (one, two, other) = (faults(7), faults(7), faults(8));
        // Everything of `a` first, or by turns with `b`.
        let a_alone: Vec<_> = (0..MANY).map(|_| course(&one, "a")).collect();
        let by_turns: Vec<_> = (0..MANY)
            .map(|_| (course(&two, "b"), course(&two, "a")))
            .collect();
        assert!(by_turns.iter().map(|(_, a)| a).eq(&a_alone));
        assert!(!by_turns.iter().map(|(b, _)| b).eq(&a_alone));
        assert!(!(0..MANY).map(|_| course(&other, "a")).eq(a_alone));

        let calls = |faults: &Faults, operation| -> Vec<_> {
            (1..=MANY)
                .map(|number| faults.call(&call(operation, number)))
                .collect()
        };
        assert_eq!(calls(&one, "PutItem"), calls(&two, "PutItem"));
        assert_ne!(calls(&one, "PutItem"), calls(&one, "GetItem"));
        assert_ne!(calls(&one, "PutItem"), calls(&other, "PutItem"));
    }

    /// A change of how decisions are made would make seeds worthless that people noted down.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let fraction = Seed(42).fraction("kill", "resize", 3);
        assert_eq!(fraction, 0.275_767_157_038_811_6);
    }

    #[test]
    fn each_kind_has_its_share() {
        let faults = faults(1);
        for number in 1..=MANY {
            let _ = course(&faults, "function");
            let _ = faults.call(&call("PutItem", number));
        }
        let figures = faults.figures();
        for (kind, share) in [
            (FaultKind::CallThrottled, 0.04),
            (FaultKind::CallFailed, 0.02),
            (FaultKind::AnswerLost, 0.02),
            (FaultKind::CallDropped, 0.01),
            (FaultKind::AnswerDropped, 0.01),
            (FaultKind::EventLate, 0.2),
            (FaultKind::EventTwice, 0.1),
            (FaultKind::BatchLate, 0.2),
            (FaultKind::BatchTwice, 0.1),
            (FaultKind::FunctionKilled, 0.02),
        ] {
            let figure = figures.faults[&kind];
            assert_eq!(figure.opportunities, MANY);
            let seen = figure.injected as f64 / MANY as f64;
            // Five standard deviations of the binomial distribution.
            let tolerance = 5.0 * (share * (1.0 - share) / MANY as f64).sqrt();
            assert!((seen - share).abs() < tolerance, "{kind}: {seen}");
        }
    }

    #[test]
    fn delays_are_spread_over_what_they_may_be() {
        let faults = faults(1);
        let course: Vec<_> = (0..MANY).map(|_| course(&faults, "function")).collect();
        let late: Vec<_> = course
            .iter()
            .map(|(event, ..)| event.late_by)
            .filter(|late_by| !late_by.is_zero())
            .collect();
        assert!(late.iter().all(|late_by| *late_by < MAX_DELAY));
        let early = late.iter().filter(|late_by| **late_by < MAX_DELAY / 2);
        assert!((late.len() * 2 / 5..late.len() * 3 / 5).contains(&early.count()));

        let lives: Vec<_> = course.iter().filter_map(|(.., life)| *life).collect();
        assert!(lives.iter().all(|life| *life <= MAX_LIFE));
        for magnitude in [1, 10, 100] {
            let range = Duration::from_millis(magnitude)..Duration::from_millis(magnitude * 10);
            let count = lives.iter().filter(|life| range.contains(*life)).count();
            assert!((lives.len() / 4..lives.len() / 2).contains(&count));
        }
    }

    #[test]
    fn nothing_goes_wrong_after_the_stop() {
        let faults = faults(1);
        let _ = course(&faults, "function");
        faults.stop();
        let before = faults.figures();
        for number in 1..=MANY {
            let nothing = (Delivery::default(), Delivery::default(), None);
            assert_eq!(course(&faults, "function"), nothing);
            assert_eq!(faults.call(&call("PutItem", number)), None);
        }
        assert!(!before.on);
        assert_eq!(faults.figures(), before);
    }

    #[tokio::test]
    async fn the_stop_releases_what_is_held_back() {
        let faults = faults(1);
        let started = Instant::now();
        let hour = Duration::from_secs(3600);
        let stop = async {
            while faults.figures().held_back < 2 {
                tokio::task::yield_now().await;
            }
            faults.stop();
        };
        tokio::join!(faults.hold_back(hour), faults.hold_back(hour), stop);
        assert!(started.elapsed() < hour);
        assert_eq!(faults.figures().held_back, 0);
        faults.hold_back(hour).await;
    }

    #[test]
    fn figures_read_well_and_travel_as_json() {
        let faults = faults(7);
        let _ = faults.kill("function");
        let figures = faults.figures();
        assert_eq!(
            figures.to_string(),
            "seed 7\nfunctions killed                   0 of       1"
        );
        assert_eq!(
            serde_json::to_value(&figures).unwrap(),
            serde_json::json!({
                "seed": 7,
                "on": true,
                "held_back": 0,
                "faults": {"function_killed": {"opportunities": 1, "injected": 0}},
            })
        );
    }
}
