//! What a random history consists of.

use std::fmt;
use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::slow::Moment;

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Step<A> {
    /// Somebody does something.
    Act(A),
    /// Some of the events so far are delivered in one batch, be it for the first time or again.
    Deliver(Vec<Index>),
    /// Something that runs goes on.
    Continue(Turn),
    /// An invocation is killed.
    Die(Index),
    /// A call is going to fail.
    Fail(Moment),
}

/// Who goes on, and for how many steps. An invocation that stands still while others begin and
/// end is what finds errors; with single steps, all would walk abreast.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub(super) chosen: Index,
    pub(super) steps: usize,
}

fn any_turn() -> impl Strategy<Value = Turn> {
    (any::<Index>(), 1..10_usize).prop_map(|(chosen, steps)| Turn { chosen, steps })
}

/// The order in which a world settles: see [`World::settle`](super::World::settle).
pub fn any_turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec(any_turn(), 64)
}

/// A history of up to `length` steps, in which people do what `acts` says, and as many events as
/// `batch` says are delivered at a time.
pub fn any_history<A: Clone + fmt::Debug>(
    acts: impl Strategy<Value = A>,
    batch: Range<usize>,
    length: usize,
) -> impl Strategy<Value = Vec<Step<A>>> {
    let moment = prop_oneof![Just(Moment::BeforeEffect), Just(Moment::AfterEffect)];
    let step = prop_oneof![
        9 => acts.prop_map(Step::Act),
        6 => prop::collection::vec(any::<Index>(), batch).prop_map(Step::Deliver),
        10 => any_turn().prop_map(Step::Continue),
        1 => any::<Index>().prop_map(Step::Die),
        2 => moment.prop_map(Step::Fail),
    ];
    prop::collection::vec(step, 1..length)
}
