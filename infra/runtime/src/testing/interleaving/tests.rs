//! A function that lists paid orders, once right and once with each of the faults that random
//! orders are there to find.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// What the function does about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It writes what it has read, on the condition that nothing newer is listed.
    Right,
    /// It writes without a condition. Between reading and writing, the order may change, and an
    /// invocation that has seen the change may write first.
    Unconditional,
    /// It counts the event as new once it has noted it, and lists the order after that. If it dies
    /// in between, the next delivery finds nothing to do.
    NotesFirst,
    /// It takes its event for the present, which a late one is not.
    TrustsTheEvent,
    /// It adds to a count, which a repeated event, or a lost answer, does twice.
    Counts,
}

/// The tables: an order, and what is derived from it.
#[derive(Debug, Default)]
struct Tables {
    change: u32,
    listed: u32,
    noted: u32,
    count: u32,
}

struct Orders {
    rule: Rule,
    tables: Rc<RefCell<Tables>>,
    outbox: Outbox<u32>,
    faults: Faults,
}

type SlowTables = Slow<Rc<RefCell<Tables>>>;

struct Throttled;

/// One call, with its effect.
async fn call<T>(
    tables: &SlowTables,
    effect: impl FnOnce(&mut Tables) -> T,
) -> Result<T, Throttled> {
    let effect = async |tables: &Rc<RefCell<Tables>>| Ok(effect(&mut tables.borrow_mut()));
    tables.call(|| Throttled, effect).await
}

async fn handle(rule: Rule, tables: &SlowTables, event: u32) -> Result<(), Throttled> {
    let change = call(tables, |tables| tables.change).await?;
    match rule {
        Rule::Right => {
            let list = |tables: &mut Tables| tables.listed = tables.listed.max(change);
            call(tables, list).await?;
        }
        Rule::Unconditional => call(tables, |tables| tables.listed = change).await?,
        Rule::NotesFirst => {
            let note = |tables: &mut Tables| std::mem::replace(&mut tables.noted, change) < change;
            if call(tables, note).await? {
                let list = |tables: &mut Tables| tables.listed = tables.listed.max(change);
                call(tables, list).await?;
            }
        }
        Rule::TrustsTheEvent => call(tables, |tables| tables.listed = event).await?,
        Rule::Counts => {
            call(tables, |tables| tables.count += 1).await?;
            call(tables, |tables| tables.listed = tables.count).await?;
        }
    }
    Ok(())
}

impl Scenario for Orders {
    type Act = ();
    type Event = u32;

    fn act(&mut self, (): &()) {
        let mut tables = self.tables.borrow_mut();
        tables.change += 1;
        self.outbox.emit(tables.change);
    }

    fn invoke(&self, batch: Vec<u32>) -> Handling {
        let rule = self.rule;
        let tables = Slow::new(self.tables.clone(), &self.faults);
        Box::pin(async move {
            for (place, event) in batch.iter().enumerate() {
                if handle(rule, &tables, *event).await.is_err() {
                    return place;
                }
            }
            batch.len()
        })
    }
}

fn world(rule: Rule, retries: Retries) -> World<Orders> {
    World::new(retries, |outbox, faults| Orders {
        rule,
        tables: Rc::default(),
        outbox: outbox.clone(),
        faults: faults.clone(),
    })
}

/// Whether some of these histories ends with something else listed than the order.
fn is_found(rule: Rule, batch: std::ops::Range<usize>, retries: Retries) -> bool {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(500)
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let histories = (any_history(Just(()), batch, 40), any_turns());
    let result = runner.run(&histories, |(history, turns)| {
        let mut world = world(rule, retries);
        world.run(&history, &turns);
        let tables = world.scenario().tables.borrow();
        prop_assert_eq!(tables.listed, tables.change);
        Ok(())
    });
    match result {
        Ok(()) => false,
        Err(TestError::Fail(..)) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_planted_fault_is_found_and_nothing_else() {
    for retries in [Retries::UntilHandled, Retries::AfterEveryFailure] {
        for batch in [1..2, 1..4] {
            let is_found = |rule| is_found(rule, batch.clone(), retries);
            assert!(!is_found(Rule::Right));
            for rule in [
                Rule::Unconditional,
                Rule::NotesFirst,
                Rule::TrustsTheEvent,
                Rule::Counts,
            ] {
                assert!(is_found(rule), "{rule:?} {batch:?} {retries:?}");
            }
        }
    }
}

#[test]
fn an_invocation_that_fails_makes_a_handled_event_due_again_if_lambda_would() {
    for (retries, due) in [(Retries::UntilHandled, 0), (Retries::AfterEveryFailure, 1)] {
        let mut world = world(Rule::Right, retries);
        world.act(&());
        assert!(!world.deliver_at_once(0, Some(Moment::BeforeEffect)));
        assert_eq!(world.due().len(), 1);
        assert!(world.deliver_at_once(0, None));
        assert_eq!((world.due().len(), world.events()), (0, 1));
        assert!(!world.deliver_at_once(0, Some(Moment::AfterEffect)));
        assert_eq!(world.due().len(), due);
    }
}

fn sample<T: Strategy>(strategy: &T) -> T::Value {
    let mut runner = TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

/// Its function handles nothing.
struct Deaf(Outbox<()>);

impl Scenario for Deaf {
    type Act = ();
    type Event = ();

    fn act(&mut self, (): &()) {
        self.0.emit(());
    }

    fn invoke(&self, _: Vec<()>) -> Handling {
        Box::pin(std::future::ready(0))
    }
}

#[test]
#[should_panic(expected = "the function does not handle the events {0}")]
fn a_function_that_never_handles_an_event_does_not_hang_the_test() {
    let mut world = World::new(Retries::UntilHandled, |outbox, _| Deaf(outbox.clone()));
    world.act(&());
    world.settle(&sample(&any_turns()));
}

#[test]
fn work_goes_on_by_itself_and_is_not_killed() {
    let mut world = World::new(Retries::UntilHandled, |outbox, _| Deaf(outbox.clone()));
    let done = Rc::new(RefCell::new(Vec::new()));
    let outbox = world.scenario().0.clone();
    let (work, invocation) = (done.clone(), done.clone());
    outbox.work(async move {
        pause().await;
        work.borrow_mut().push("work");
    });
    outbox.invoke(async move {
        pause().await;
        invocation.borrow_mut().push("invocation");
    });
    world.collect();
    for _ in 0..3 {
        world.take(&Step::Die(sample(&any::<Index>())));
    }
    world.settle(&sample(&any_turns()));
    assert_eq!(*done.borrow(), ["work"]);
}
