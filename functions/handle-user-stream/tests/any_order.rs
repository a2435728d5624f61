//! Whatever the order in which records come, however often, and whatever runs at the same
//! time, in the end exactly the users that exist have an object.
//!
//! A history is a list of steps: users are created, deleted and expire; any of the records so
//! far are delivered in one batch, be it for the first time or again; an invocation goes on for
//! a while or dies; a call fails, before its effect or after it. Invocations run the
//! function's own handler and stop before and after every call to a port, so they interleave
//! there as they do on Lambda. After the history, every record that is still due is delivered
//! until it is handled.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use handle_user_stream::HandleUserStream;
use proptest::prelude::*;
use proptest::sample::Index;
use runtime::stream::StreamEvent;
use serde_json::{Value, json};
use users::user_data::{ReconcileError, UserData, UserDataKey, Users};
use users::{Schema, UserId};

const USERS: [&str; 3] = ["john", "../é", "john/userdata"];

#[derive(Debug, Clone)]
enum Step {
    Create { user: usize },
    Delete { user: usize },
    Expire { user: usize },
    Deliver(Vec<Index>),
    Continue(Turn),
    Die(Index),
    FailBefore,
    FailAfter,
}

/// Who goes on, and for how long. An invocation that stands still while others begin and end
/// is what finds errors; with single steps, all would walk abreast.
#[derive(Debug, Clone, Copy)]
struct Turn {
    chosen: Index,
    steps: usize,
}

fn any_turn() -> impl Strategy<Value = Turn> {
    (any::<Index>(), 1..10_usize).prop_map(|(chosen, steps)| Turn { chosen, steps })
}

fn any_step() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    prop_oneof![
        3 => user.clone().prop_map(|user| Step::Create { user }),
        2 => user.clone().prop_map(|user| Step::Delete { user }),
        1 => user.prop_map(|user| Step::Expire { user }),
        6 => prop::collection::vec(any::<Index>(), 1..4).prop_map(Step::Deliver),
        10 => any_turn().prop_map(Step::Continue),
        1 => any::<Index>().prop_map(Step::Die),
        1 => Just(Step::FailBefore),
        1 => Just(Step::FailAfter),
    ]
}

/// Table and bucket at this moment, and calls that are going to fail.
#[derive(Debug, Default)]
struct State {
    items: BTreeSet<UserId>,
    objects: BTreeSet<UserDataKey>,
    fail_before: u32,
    fail_after: u32,
}

/// Table and bucket, as the function sees them: a call takes time, in which the world may
/// change, but its effect comes at one moment.
#[derive(Debug, Clone)]
struct Slow(Rc<RefCell<State>>);

/// Lets the other invocations run.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn take_one(failures: &mut u32) -> Result<(), ReconcileError> {
    if *failures == 0 {
        return Ok(());
    }
    *failures -= 1;
    Err(ReconcileError::Users("throttled".into()))
}

impl Slow {
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, ReconcileError> {
        pause().await;
        take_one(&mut self.0.borrow_mut().fail_before)?;
        let result = effect(&mut self.0.borrow_mut());
        pause().await;
        take_one(&mut self.0.borrow_mut().fail_after)?;
        Ok(result)
    }
}

impl Users for Slow {
    async fn exists(&self, user: &UserId) -> Result<bool, ReconcileError> {
        self.call(|state| state.items.contains(user)).await
    }
}

impl UserData for Slow {
    async fn put(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let put = |state: &mut State| state.objects.insert(key.clone());
        self.call(put).await.map(drop)
    }

    async fn delete(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let delete = |state: &mut State| state.objects.remove(key);
        self.call(delete).await.map(drop)
    }
}

/// A record of the stream, and whether the function has handled it.
struct Record {
    payload: Value,
    handled: bool,
}

/// The function at work on a batch.
struct Invocation {
    records: Vec<usize>,
    /// How many records of the batch were handled.
    handled: Pin<Box<dyn Future<Output = usize>>>,
}

struct World {
    state: Rc<RefCell<State>>,
    records: Vec<Record>,
    invocations: Vec<Invocation>,
    function: Rc<HandleUserStream<Slow, Slow>>,
}

fn user(index: usize) -> UserId {
    UserId::new(USERS[index]).unwrap()
}

/// A record as DynamoDB writes it.
fn record(number: usize, event_name: &str, user: &UserId, is_expiry: bool) -> Value {
    let item = json!({"name": {"S": user.as_str()}});
    let image = match event_name {
        "INSERT" => "NewImage",
        _ => "OldImage",
    };
    let mut record = json!({
        "eventID": number.to_string(),
        "eventName": event_name,
        "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": item,
            "SequenceNumber": number.to_string(),
            "SizeBytes": 1,
        },
    });
    record["dynamodb"][image] = item;
    if is_expiry {
        record["userIdentity"] =
            json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    }
    record
}

impl World {
    fn new() -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let schema = Schema {
            key: "name".into(),
            email: "email".into(),
            timestamp: "timestamp".into(),
            is_personal_email: "IsPersonalEmail".into(),
        };
        Self {
            function: Rc::new(HandleUserStream {
                schema,
                users: Slow(state.clone()),
                user_data: Slow(state.clone()),
            }),
            state,
            records: Vec::new(),
            invocations: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Create { user: index } => {
                if self.state.borrow_mut().items.insert(user(*index)) {
                    self.record("INSERT", &user(*index), false);
                }
            }
            Step::Delete { user: index } => self.delete(&user(*index), false),
            Step::Expire { user: index } => self.delete(&user(*index), true),
            Step::Deliver(chosen) if !self.records.is_empty() => {
                let total = self.records.len();
                self.deliver(chosen.iter().map(|index| index.index(total)).collect());
            }
            Step::Continue(turn) if !self.invocations.is_empty() => {
                let index = turn.chosen.index(self.invocations.len());
                self.go_on(index, turn.steps);
            }
            Step::Die(index) if !self.invocations.is_empty() => {
                self.end(index.index(self.invocations.len()), 0);
            }
            Step::FailBefore => self.state.borrow_mut().fail_before += 1,
            Step::FailAfter => self.state.borrow_mut().fail_after += 1,
            Step::Deliver(_) | Step::Continue(_) | Step::Die(_) => {}
        }
    }

    fn delete(&mut self, user: &UserId, is_expiry: bool) {
        if self.state.borrow_mut().items.remove(user) {
            self.record("REMOVE", user, is_expiry);
        }
    }

    fn record(&mut self, event_name: &str, user: &UserId, is_expiry: bool) {
        let payload = record(self.records.len(), event_name, user, is_expiry);
        let handled = false;
        self.records.push(Record { payload, handled });
    }

    fn deliver(&mut self, records: Vec<usize>) {
        let payloads: Vec<_> = records
            .iter()
            .map(|&record| &self.records[record].payload)
            .collect();
        let event: StreamEvent = serde_json::from_value(json!({"Records": payloads})).unwrap();
        let function = self.function.clone();
        let batch = records.clone();
        let handled = Box::pin(async move {
            let response = function.handle(event).await.unwrap();
            match &response.batch_item_failures[..] {
                [] => batch.len(),
                [failure] => {
                    let failed = failure.item_identifier.clone().unwrap();
                    let failed = |record: &usize| record.to_string() == failed;
                    batch.iter().position(failed).unwrap()
                }
                _ => panic!("a batch stops at its first failure"),
            }
        });
        self.invocations.push(Invocation { records, handled });
    }

    fn go_on(&mut self, index: usize, steps: usize) {
        let invocation = &mut self.invocations[index];
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..steps {
            if let Poll::Ready(handled) = invocation.handled.as_mut().poll(&mut context) {
                return self.end(index, handled);
            }
        }
    }

    /// Ends an invocation that has handled so many of its records. The others are due again,
    /// also if an earlier invocation has handled them: Lambda knows of this one that it failed.
    fn end(&mut self, index: usize, handled: usize) {
        let invocation = self.invocations.remove(index);
        for (place, record) in invocation.records.into_iter().enumerate() {
            self.records[record].handled = place < handled;
        }
    }

    /// Delivers what is due and ends what runs, in an order that `turns` decide.
    fn settle(&mut self, turns: &[Turn]) {
        let mut state = self.state.borrow_mut();
        (state.fail_before, state.fail_after) = (0, 0);
        drop(state);
        for turn in turns.iter().cycle() {
            let in_flight = |record: &usize| {
                let mut invocations = self.invocations.iter();
                invocations.any(|invocation| invocation.records.contains(record))
            };
            let due: Vec<_> = (0..self.records.len())
                .filter(|record| !self.records[*record].handled && !in_flight(record))
                .collect();
            let possible = due.len() + self.invocations.len();
            if possible == 0 {
                return;
            }
            let chosen = turn.chosen.index(possible);
            match due.get(chosen) {
                Some(&record) => self.deliver(vec![record]),
                None => self.go_on(chosen - due.len(), turn.steps),
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let state = self.state.borrow();
        let expected: BTreeSet<_> = state.items.iter().map(UserDataKey::of).collect();
        prop_assert_eq!(&state.objects, &expected);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_bucket_ends_as_the_table_does(
        history in prop::collection::vec(any_step(), 1..150),
        turns in prop::collection::vec(any_turn(), 64),
    ) {
        let mut world = World::new();
        for step in &history {
            world.take(step);
        }
        world.settle(&turns);
        world.check()?;
    }
}
