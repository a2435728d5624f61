//! Whatever the order in which records come, however often, and whatever runs at the same
//! time, in the end exactly the users that exist have an object.
//!
//! Users are created, deleted and expire. What becomes of records and invocations is
//! `runtime::testing::interleaving`'s.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use handle_user_stream::HandleUserStream;
use proptest::prelude::*;
use runtime::testing::interleaving::{
    Faults, Handling, Outbox, Retries, Scenario, Slow, World, any_history, any_turns,
};
use serde_json::{Value, json};
use users::user_data::{ReconcileError, UserData, UserDataKey, Users};
use users::{Schema, UserId};

const USERS: [&str; 3] = ["john", "../é", "john/userdata"];

#[derive(Debug, Clone)]
enum Act {
    Create { user: usize },
    Delete { user: usize },
    Expire { user: usize },
}

fn any_act() -> impl Strategy<Value = Act> {
    let user = 0..USERS.len();
    prop_oneof![
        3 => user.clone().prop_map(|user| Act::Create { user }),
        2 => user.clone().prop_map(|user| Act::Delete { user }),
        1 => user.prop_map(|user| Act::Expire { user }),
    ]
}

/// Table and bucket at this moment.
#[derive(Debug, Default)]
struct State {
    items: BTreeSet<UserId>,
    objects: BTreeSet<UserDataKey>,
}

/// Table and bucket, as the function sees them.
#[derive(Debug, Clone)]
struct Services(Slow<Rc<RefCell<State>>>);

impl Services {
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, ReconcileError> {
        let fault = || ReconcileError::Users("throttled".into());
        let effect = async |state: &Rc<RefCell<State>>| Ok(effect(&mut state.borrow_mut()));
        self.0.call(fault, effect).await
    }
}

impl Users for Services {
    async fn exists(&self, user: &UserId) -> Result<bool, ReconcileError> {
        self.call(|state| state.items.contains(user)).await
    }
}

impl UserData for Services {
    async fn put(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let put = |state: &mut State| state.objects.insert(key.clone());
        self.call(put).await.map(drop)
    }

    async fn delete(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let delete = |state: &mut State| state.objects.remove(key);
        self.call(delete).await.map(drop)
    }
}

/// The function, and what it works on.
struct Directory {
    state: Rc<RefCell<State>>,
    outbox: Outbox<Value>,
    records: usize,
    function: Rc<HandleUserStream<Services, Services>>,
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

impl Directory {
    fn new(outbox: &Outbox<Value>, faults: &Faults) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let services = Services(Slow::new(state.clone(), faults));
        let schema = Schema {
            key: "name".into(),
            email: "email".into(),
            timestamp: "timestamp".into(),
            is_personal_email: "IsPersonalEmail".into(),
        };
        Self {
            function: Rc::new(HandleUserStream {
                schema,
                users: services.clone(),
                user_data: services,
            }),
            state,
            outbox: outbox.clone(),
            records: 0,
        }
    }

    fn delete(&mut self, user: &UserId, is_expiry: bool) {
        let existed = self.state.borrow_mut().items.remove(user);
        if existed {
            self.record("REMOVE", user, is_expiry);
        }
    }

    fn record(&mut self, event_name: &str, user: &UserId, is_expiry: bool) {
        let record = record(self.records, event_name, user, is_expiry);
        self.records += 1;
        self.outbox.emit(record);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let state = self.state.borrow();
        let expected: BTreeSet<_> = state.items.iter().map(UserDataKey::of).collect();
        prop_assert_eq!(&state.objects, &expected);
        Ok(())
    }
}

impl Scenario for Directory {
    type Act = Act;
    type Event = Value;

    fn act(&mut self, act: &Act) {
        match act {
            Act::Create { user: index } => {
                let created = self.state.borrow_mut().items.insert(user(*index));
                if created {
                    self.record("INSERT", &user(*index), false);
                }
            }
            Act::Delete { user: index } => self.delete(&user(*index), false),
            Act::Expire { user: index } => self.delete(&user(*index), true),
        }
    }

    fn invoke(&self, batch: Vec<Value>) -> Handling {
        let function = self.function.clone();
        Box::pin(async move {
            let event = serde_json::from_value(json!({"Records": batch})).unwrap();
            let response = function.handle(event).await.unwrap();
            match &response.batch_item_failures[..] {
                [] => batch.len(),
                [failure] => {
                    let failed = json!(failure.item_identifier);
                    let is_failed = |record: &Value| record["dynamodb"]["SequenceNumber"] == failed;
                    batch.iter().position(is_failed).unwrap()
                }
                _ => panic!("a batch stops at its first failure"),
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_bucket_ends_as_the_table_does(
        history in any_history(any_act(), 1..4, 150),
        turns in any_turns(),
    ) {
        let mut world = World::new(Retries::AfterEveryFailure, Directory::new);
        world.run(&history, &turns);
        world.scenario().check()?;
    }
}
