//! Random orders of events.
//!
//! AWS delivers events late, twice, out of order and to several invocations at once, and kills
//! invocations between any two calls. What a function derives from events must come out the same
//! nevertheless. A test of that needs no AWS: it drives the function's own handler through random
//! histories, on services in memory.
//!
//! A [`World`] holds the services and the function (the test's [`Scenario`]), the events so far,
//! and all invocations at work. A history is a list of [`Step`]s: somebody does something, from
//! which events follow; any of the events so far are delivered; an invocation goes on for a while
//! or is killed; a call fails, before its effect or after it. Invocations stop before and after
//! every call to a [`Slow`] service, so they interleave there as they do on Lambda. After the
//! history, [`World::settle`] delivers every event that is due until it is handled. Then the test
//! compares what was derived with what it was derived from.
//!
//! [Proptest](https://docs.rs/proptest) makes the histories, and shrinks one that fails.
//!
//! # Does it find anything?
//! Take a part of the rule away that keeps the function right: the test should fail soon. If it
//! does not, it is the test that needs work.
//!
//! # Example
//! An order is paid, or its payment is taken back. A function keeps a list of the paid orders. It
//! looks at the order and not at the event, and looks again after it has written.
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//!
//! use proptest::prelude::*;
//! use runtime::testing::interleaving::{
//!     Faults, Handling, Outbox, Retries, Scenario, Slow, World, any_history, any_turns,
//! };
//!
//! #[derive(Default)]
//! struct Tables {
//!     is_paid: bool,
//!     is_listed: bool,
//! }
//!
//! /// The handler, in a crate of its own if it is a real one.
//! async fn list(tables: &Slow<Rc<RefCell<Tables>>>) -> Result<(), &'static str> {
//!     let throttled = || "throttled";
//!     let look = async || {
//!         tables.call(throttled, async |tables| Ok(tables.borrow().is_paid)).await
//!     };
//!     let mut is_paid = look().await?;
//!     loop {
//!         let list = async |tables: &Rc<RefCell<Tables>>| {
//!             tables.borrow_mut().is_listed = is_paid;
//!             Ok(())
//!         };
//!         tables.call(throttled, list).await?;
//!         let was_paid = is_paid;
//!         is_paid = look().await?;
//!         if is_paid == was_paid {
//!             return Ok(());
//!         }
//!     }
//! }
//!
//! struct Orders {
//!     tables: Rc<RefCell<Tables>>,
//!     outbox: Outbox<()>,
//!     faults: Faults,
//! }
//!
//! impl Scenario for Orders {
//!     /// Whether the order is paid from now on.
//!     type Act = bool;
//!     type Event = ();
//!
//!     fn act(&mut self, is_paid: &bool) {
//!         self.tables.borrow_mut().is_paid = *is_paid;
//!         self.outbox.emit(());
//!     }
//!
//!     fn invoke(&self, _: Vec<()>) -> Handling {
//!         let tables = Slow::new(self.tables.clone(), &self.faults);
//!         Box::pin(async move { usize::from(list(&tables).await.is_ok()) })
//!     }
//! }
//!
//! proptest! {
//!     #![proptest_config(ProptestConfig::with_cases(100))]
//!     # /*
//!     #[test]
//!     # */
//!     fn paid_orders_are_listed(
//!         history in any_history(any::<bool>(), 1..2, 100),
//!         turns in any_turns(),
//!     ) {
//!         let mut world = World::new(Retries::AfterEveryFailure, |outbox, faults| Orders {
//!             tables: Rc::default(),
//!             outbox: outbox.clone(),
//!             faults: faults.clone(),
//!         });
//!         world.run(&history, &turns);
//!         let tables = world.scenario().tables.borrow();
//!         prop_assert_eq!(tables.is_listed, tables.is_paid);
//!     }
//! }
//! # fn main() { paid_orders_are_listed() }
//! ```

mod slow;
mod step;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub use slow::{Faults, Moment, Slow, pause};
pub use step::{Step, Turn, any_history, any_turns};

/// More turns than a world takes to settle whose events can be handled.
const MAX_TURNS: usize = 1_000_000;

/// What is put under random orders: a function, and the services around it.
pub trait Scenario {
    /// What people and other programs do, such as to change an item.
    type Act: Clone + fmt::Debug;
    /// What a function gets of it, such as a record of a stream.
    type Event: Clone;

    /// Does it. The events that follow go into the [`Outbox`].
    fn act(&mut self, act: &Self::Act);

    /// Invokes the function of these events with a batch of them.
    fn invoke(&self, batch: Vec<Self::Event>) -> Handling;
}

/// An invocation at work: in the end, how many events of its batch were handled, from the first
/// on.
pub type Handling = Pin<Box<dyn Future<Output = usize>>>;

/// Which events are delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// Those that no invocation has handled. An invocation that fails at an event which another
    /// has handled may leave its work half done for ever.
    UntilHandled,
    /// Also those at which an invocation has failed since they were handled, as Lambda does.
    AfterEveryFailure,
}

/// What follows from what a scenario does. Clones are the same outbox, so the services of a
/// scenario can have it as well.
#[derive(Debug)]
pub struct Outbox<E>(Rc<RefCell<Contents<E>>>);

struct Contents<E> {
    events: Vec<E>,
    begun: Vec<Running>,
}

impl<E> fmt::Debug for Contents<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

impl<E> Clone for Outbox<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Outbox<E> {
    /// An event that is due from now on.
    pub fn emit(&self, event: E) {
        self.0.borrow_mut().events.push(event);
    }

    /// An invocation without an event, such as one by hand. It is not repeated.
    pub fn invoke(&self, invocation: impl Future<Output = ()> + 'static) {
        self.begin(true, invocation);
    }

    /// What a service does by itself, such as a job. It takes as long as an invocation does, and
    /// is never killed.
    pub fn work(&self, work: impl Future<Output = ()> + 'static) {
        self.begin(false, work);
    }

    fn begin(&self, is_mortal: bool, future: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().begun.push(Running {
            events: Vec::new(),
            is_mortal,
            future: Box::pin(async {
                future.await;
                0
            }),
        });
    }
}

struct Event<E> {
    payload: E,
    handled: bool,
    /// Invocations that have it in their batch.
    in_flight: usize,
}

struct Running {
    events: Vec<usize>,
    is_mortal: bool,
    future: Handling,
}

/// A scenario, with all that is under way.
pub struct World<S: Scenario> {
    scenario: S,
    outbox: Outbox<S::Event>,
    faults: Faults,
    retries: Retries,
    events: Vec<Event<S::Event>>,
    due: BTreeSet<usize>,
    running: Vec<Running>,
}

impl<S: Scenario> World<S> {
    /// A world in which nothing has happened.
    pub fn new(retries: Retries, scenario: impl FnOnce(&Outbox<S::Event>, &Faults) -> S) -> Self {
        let outbox = Outbox(Rc::new(RefCell::new(Contents {
            events: Vec::new(),
            begun: Vec::new(),
        })));
        let faults = Faults::default();
        Self {
            scenario: scenario(&outbox, &faults),
            outbox,
            faults,
            retries,
            events: Vec::new(),
            due: BTreeSet::new(),
            running: Vec::new(),
        }
    }

    /// The scenario as it is now.
    pub fn scenario(&self) -> &S {
        &self.scenario
    }

    /// Takes every step of a history, and settles.
    pub fn run(&mut self, history: &[Step<S::Act>], turns: &[Turn]) {
        for step in history {
            self.take(step);
        }
        self.settle(turns);
    }

    /// Takes one step.
    pub fn take(&mut self, step: &Step<S::Act>) {
        match step {
            Step::Act(act) => self.act(act),
            Step::Deliver(chosen) if !self.events.is_empty() => {
                let total = self.events.len();
                self.deliver(chosen.iter().map(|index| index.index(total)).collect());
            }
            Step::Continue(turn) if !self.running.is_empty() => {
                self.go_on(turn.chosen.index(self.running.len()), turn.steps);
            }
            Step::Die(index) => {
                let running = 0..self.running.len();
                let mortal: Vec<_> = running.filter(|&at| self.running[at].is_mortal).collect();
                if !mortal.is_empty() {
                    self.end(mortal[index.index(mortal.len())], 0);
                }
            }
            Step::Fail(moment) => self.faults.add(*moment),
            Step::Deliver(_) | Step::Continue(_) => {}
        }
    }

    /// Does something.
    pub fn act(&mut self, act: &S::Act) {
        self.scenario.act(act);
        self.collect();
    }

    /// How many events there were so far. They are numbered from 0.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// The events that are due: neither handled nor at work.
    pub fn due(&self) -> &BTreeSet<usize> {
        &self.due
    }

    /// Delivers one event, and lets its invocation run to its end. Whether it was handled. A
    /// `fault` strikes the first call that it makes.
    pub fn deliver_at_once(&mut self, event: usize, fault: Option<Moment>) -> bool {
        self.faults.clear();
        if let Some(moment) = fault {
            self.faults.add(moment);
        }
        let at = self.deliver(vec![event]);
        let handled = self.go_on(at, usize::MAX);
        self.faults.clear();
        handled == Some(1)
    }

    /// Ends all faults, delivers what is due, and ends what runs, in an order that `turns` decide.
    ///
    /// # Panics
    /// If there is an event that the function never handles.
    pub fn settle(&mut self, turns: &[Turn]) {
        self.faults.clear();
        for turn in turns.iter().cycle().take(MAX_TURNS) {
            let possible = self.due.len() + self.running.len();
            if possible == 0 {
                return;
            }
            let chosen = turn.chosen.index(possible);
            match self.due.iter().nth(chosen).copied() {
                Some(event) => _ = self.deliver(vec![event]),
                None => _ = self.go_on(chosen - self.due.len(), turn.steps),
            }
        }
        assert!(
            self.due.is_empty() && self.running.is_empty(),
            "the function does not handle the events {:?}, although no call fails",
            self.due
        );
    }

    /// Where in `running` the invocation is.
    fn deliver(&mut self, events: Vec<usize>) -> usize {
        for &event in &events {
            self.events[event].in_flight += 1;
            self.due.remove(&event);
        }
        let batch = events
            .iter()
            .map(|&event| self.events[event].payload.clone());
        let future = self.scenario.invoke(batch.collect());
        let at = self.running.len();
        self.running.push(Running {
            events,
            is_mortal: true,
            future,
        });
        self.collect();
        at
    }

    /// How many events were handled, if it came to its end.
    fn go_on(&mut self, at: usize, steps: usize) -> Option<usize> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..steps {
            let polled = self.running[at].future.as_mut().poll(&mut context);
            self.collect();
            if let Poll::Ready(handled) = polled {
                self.end(at, handled);
                return Some(handled);
            }
        }
        None
    }

    fn end(&mut self, at: usize, handled: usize) {
        let ended = self.running.remove(at);
        for (place, number) in ended.events.into_iter().enumerate() {
            let event = &mut self.events[number];
            event.in_flight -= 1;
            event.handled = match self.retries {
                Retries::UntilHandled => event.handled || place < handled,
                Retries::AfterEveryFailure => place < handled,
            };
            if event.handled {
                self.due.remove(&number);
            } else if event.in_flight == 0 {
                self.due.insert(number);
            }
        }
    }

    /// Takes over what is in the outbox.
    fn collect(&mut self) {
        let mut contents = self.outbox.0.borrow_mut();
        for payload in contents.events.drain(..) {
            self.due.insert(self.events.len());
            self.events.push(Event {
                payload,
                handled: false,
                in_flight: 0,
            });
        }
        self.running.append(&mut contents.begun);
    }
}
