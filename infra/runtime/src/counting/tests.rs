//! Whatever the order in which records come, however often, in whichever batches, and whatever runs
//! and dies at the same time, in the end each counter is what the items add to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::{Value, json};

use super::rule::recount;
use super::*;
use crate::dynamodb::{Attributes, Outcome, PageKey, client};
use crate::testing::Wire;
use crate::testing::interleaving::{
    Faults, Handling, Outbox, Retries, Scenario, Slow, World, any_history, any_turns,
};

const ITEMS: [&str; 2] = ["order-1", "order-2"];
/// What an item may add. Few, so that an item often adds again what it added before.
const ADDS: [&[(&str, i64)]; 3] = [&[], &[("cat", 1)], &[("dog", 1), ("total", -2)]];

#[derive(Debug, Clone)]
enum Act {
    /// The item adds this of [`ADDS`] from now on. It is gone if that is nothing.
    Change { item: usize, adds: usize },
    /// Somebody recounts by hand, and may not come to the end of it.
    Recount { item: usize },
}

fn any_act() -> impl Strategy<Value = Act> {
    let item = 0..ITEMS.len();
    prop_oneof![
        4 => (item.clone(), 0..ADDS.len())
            .prop_map(|(item, adds)| Act::Change { item, adds }),
        1 => item.prop_map(|item| Act::Recount { item }),
    ]
}

/// All tables at this moment.
#[derive(Debug, Default)]
struct State {
    items: BTreeMap<&'static str, Contribution>,
    ledger: BTreeMap<String, Entry>,
    counters: Contribution,
}

/// All tables, as the function sees them.
#[derive(Debug, Clone)]
struct Tables {
    state: Slow<Rc<RefCell<State>>>,
    checks_version: bool,
}

impl Tables {
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, CountError> {
        let fault = || CountError::Unsettled;
        let effect = async |state: &Rc<RefCell<State>>| Ok(effect(&mut state.borrow_mut()));
        self.state.call(fault, effect).await
    }
}

impl Ledger for Tables {
    async fn entry(&self, item: &str) -> Result<Entry, CountError> {
        let read = |state: &mut State| state.ledger.get(item).cloned().unwrap_or_default();
        self.call(read).await
    }

    async fn due(&self, item: &str) -> Result<Contribution, CountError> {
        let read = |state: &mut State| state.items.get(item).cloned().unwrap_or_default();
        self.call(read).await
    }

    async fn book(
        &self,
        item: &str,
        entry: &Entry,
        due: &Contribution,
    ) -> Result<Outcome, CountError> {
        let write = |state: &mut State| {
            let present = state.ledger.entry(item.to_owned()).or_default();
            if self.checks_version && present.version != entry.version {
                return Outcome::ConditionFailed;
            }
            present.version += 1;
            present.contribution.clone_from(due);
            for (counter, adds) in rule::difference(&entry.contribution, due) {
                *state.counters.entry(counter).or_default() += adds;
            }
            Outcome::Written
        };
        self.call(write).await
    }
}

/// How a record is handled: by the rule, or with a part of it taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Rule,
    /// Each record adds what changed by it.
    Obvious,
    /// The item is read before the entry.
    ItemFirst,
    /// Nothing is written where nothing is to be added.
    SkipsEqual,
    /// The entry is written whatever its version.
    AnyVersion,
}

async fn handle(way: Way, tables: &Tables, record: &Record) -> Result<(), CountError> {
    let item = ITEMS[record.item];
    match way {
        Way::Rule | Way::AnyVersion => settle(tables, item).await.map(drop),
        Way::SkipsEqual => recount(tables, item).await,
        Way::ItemFirst => loop {
            let due = tables.due(item).await?;
            let entry = tables.entry(item).await?;
            if tables.book(item, &entry, &due).await? == Outcome::Written {
                return Ok(());
            }
        },
        Way::Obvious => {
            let add = |state: &mut State| {
                for (counter, adds) in rule::difference(&record.old, &record.new) {
                    *state.counters.entry(counter).or_default() += adds;
                }
            };
            tables.call(add).await
        }
    }
}

#[derive(Debug, Clone)]
struct Record {
    item: usize,
    old: Contribution,
    new: Contribution,
}

/// The function, and what it works on.
struct Shop {
    state: Rc<RefCell<State>>,
    tables: Tables,
    way: Way,
    outbox: Outbox<Record>,
}

impl Shop {
    fn new(way: Way, outbox: &Outbox<Record>, faults: &Faults) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        Self {
            tables: Tables {
                state: Slow::new(state.clone(), faults),
                checks_version: way != Way::AnyVersion,
            },
            state,
            way,
            outbox: outbox.clone(),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let state = self.state.borrow();
        let mut expected = Contribution::new();
        for (counter, adds) in state.items.values().flatten() {
            *expected.entry(counter.clone()).or_default() += adds;
        }
        expected.retain(|_, count| *count != 0);
        let mut counted = state.counters.clone();
        counted.retain(|_, count| *count != 0);
        prop_assert_eq!(counted, expected);
        Ok(())
    }
}

impl Scenario for Shop {
    type Act = Act;
    type Event = Record;

    fn act(&mut self, act: &Act) {
        match act {
            Act::Change { item, adds } => {
                let adds = ADDS[*adds].iter();
                let adds = adds.map(|(counter, adds)| ((*counter).to_owned(), *adds));
                let new: Contribution = adds.collect();
                let items = &mut self.state.borrow_mut().items;
                let old = items.insert(ITEMS[*item], new.clone()).unwrap_or_default();
                let item = *item;
                self.outbox.emit(Record { item, old, new });
            }
            Act::Recount { item } => {
                let (tables, item) = (self.tables.clone(), ITEMS[*item]);
                self.outbox.invoke(async move {
                    let _ = recount(&tables, item).await;
                });
            }
        }
    }

    fn invoke(&self, batch: Vec<Record>) -> Handling {
        let (tables, way) = (self.tables.clone(), self.way);
        Box::pin(async move {
            for (place, record) in batch.iter().enumerate() {
                if handle(way, &tables, record).await.is_err() {
                    return place;
                }
            }
            batch.len()
        })
    }
}

/// Whether counts come out right in any history.
fn counts_come_out_right(way: Way, cases: u32) -> Result<(), String> {
    let mut runner = TestRunner::new_with_rng(
        Config {
            failure_persistence: None,
            ..Config::with_cases(cases)
        },
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let histories = (any_history(any_act(), 1..4, 100), any_turns());
    let run = runner.run(&histories, |(history, turns)| {
        let mut world = World::new(Retries::UntilHandled, |outbox, faults| {
            Shop::new(way, outbox, faults)
        });
        world.run(&history, &turns);
        world.scenario().check()
    });
    run.map_err(|error| match error {
        TestError::Fail(reason, (history, _)) => format!("{reason}: {history:#?}"),
        error @ TestError::Abort(_) => panic!("{error}"),
    })
}

#[test]
fn counters_end_as_the_items_do() {
    counts_come_out_right(Way::Rule, 2000).unwrap();
}

#[test]
fn each_part_of_the_rule_is_needed() {
    for way in [
        Way::Obvious,
        Way::ItemFirst,
        Way::SkipsEqual,
        Way::AnyVersion,
    ] {
        assert!(counts_come_out_right(way, 2000).is_err(), "{way:?}");
    }
}

fn counts(wire: &Wire) -> Counts {
    Counts {
        client: client(&wire.aws()),
        items: "orders".into(),
        key: PageKey(&["id"]),
        contribution: |order: &Attributes| {
            let photo = order.get("photo").ok_or("the order has no photo")?;
            let photo = photo.as_s().map_err(|_| "the photo is not a string")?;
            Ok(Contribution::from([(photo.clone(), 1)]))
        },
        ledger: "ledger".into(),
        counters: "counts".into(),
    }
}

fn order(photo: &str) -> (u16, Value) {
    let item = json!({"id": {"S": "1"}, "photo": {"S": photo}});
    (200, json!({"Item": item}))
}

fn entry(version: &str, contribution: &Value) -> (u16, Value) {
    let item = json!({
        "item": {"S": r#"{"id":{"S":"1"}}"#},
        "version": {"N": version},
        "contribution": {"M": contribution},
    });
    (200, json!({"Item": item}))
}

fn nothing() -> (u16, Value) {
    (200, json!({}))
}

async fn answer(counts: &Counts, event: Value) -> Value {
    let event = serde_json::from_value(event).unwrap();
    let response = counts.handle(event).await.unwrap();
    serde_json::to_value(response).unwrap()
}

fn records() -> Value {
    json!({"Records": [{
        "eventName": "INSERT",
        "dynamodb": {"SequenceNumber": "1", "Keys": {"id": {"S": "1"}}},
    }]})
}

#[tokio::test]
async fn entry_and_counters_are_written_in_one_transaction() {
    let cat = json!({"cat": {"N": "1"}});
    let wire = Wire::new([entry("7", &cat), order("dog"), nothing()]);
    let answer = answer(&counts(&wire), records()).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let requests = wire.requests();
    let (operation, written) = &requests[2];
    assert_eq!(operation, "DynamoDB_20120810.TransactWriteItems");
    let count = |counter: &str, adds: &str| {
        json!({"Update": {
            "TableName": "counts",
            "Key": {"counter": {"S": counter}},
            "UpdateExpression": "ADD #count :adds",
            "ExpressionAttributeNames": {"#count": "count"},
            "ExpressionAttributeValues": {":adds": {"N": adds}},
        }})
    };
    let put = json!({"Put": {
        "TableName": "ledger",
        "Item": entry("8", &json!({"dog": {"N": "1"}})).1["Item"],
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": "7"}},
    }});
    let expected = json!([put, count("cat", "-1"), count("dog", "1")]);
    assert_eq!(written["TransactItems"], expected);
    for (_, read) in &requests[..2] {
        assert_eq!(read["ConsistentRead"], true);
    }
}

#[tokio::test]
async fn a_record_that_changes_no_counter_writes_the_entry_alone() {
    let cat = json!({"cat": {"N": "1"}});
    let wire = Wire::new([entry("1", &cat), order("cat"), nothing()]);
    answer(&counts(&wire), records()).await;
    let (operation, put) = wire.requests()[2].clone();
    assert_eq!(operation, "DynamoDB_20120810.PutItem");
    assert_eq!(put["Item"]["version"], json!({"N": "2"}));
    assert!(put["Item"]["expires_at"].is_null());
}

#[tokio::test]
async fn an_item_that_is_gone_leaves_its_version_for_a_while() {
    let cat = json!({"cat": {"N": "1"}});
    let wire = Wire::new([entry("1", &cat), nothing(), nothing()]);
    answer(&counts(&wire), records()).await;
    let written = &wire.requests()[2].1["TransactItems"];
    let put = &written[0]["Put"]["Item"];
    assert_eq!(put["contribution"], json!({"M": {}}));
    let expires_at: u64 = put["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    assert!(expires_at > 1_767_605_400);
}

#[tokio::test]
async fn who_was_overtaken_looks_again() {
    let failed = json!({"__type": "ConditionalCheckFailedException", "message": "because"});
    let cat = json!({"cat": {"N": "1"}});
    let wire = Wire::new([
        entry("1", &cat),
        order("cat"),
        (400, failed),
        entry("2", &json!({})),
        order("cat"),
        nothing(),
    ]);
    answer(&counts(&wire), records()).await;
    let (operation, _) = wire.requests().pop().unwrap();
    assert_eq!(operation, "DynamoDB_20120810.TransactWriteItems");
}

#[tokio::test]
async fn what_cannot_be_counted_is_a_failed_record() {
    let failed = json!({"batchItemFailures": [{"itemIdentifier": "1"}]});
    let unreadable = (200, json!({"Item": {"id": {"S": "1"}}}));
    for answers in [
        vec![nothing(), unreadable],
        vec![(200, json!({"Item": {"item": {"S": "1"}}}))],
        vec![(400, json!({"__type": "AccessDeniedException"}))],
    ] {
        let wire = Wire::new(answers);
        assert_eq!(answer(&counts(&wire), records()).await, failed);
    }
    let mut of_another_table = records();
    of_another_table["Records"][0]["dynamodb"]["Keys"] = json!({"name": {"S": "1"}});
    let wire = Wire::new([]);
    assert_eq!(answer(&counts(&wire), of_another_table).await, failed);
}

#[tokio::test]
async fn an_item_changes_no_more_counters_than_a_transaction_takes() {
    let due: Contribution = (0..100).map(|counter| (counter.to_string(), 1)).collect();
    let wire = Wire::new([]);
    let booked = counts(&wire).book("1", &Entry::default(), &due).await;
    assert_eq!(booked, Err(CountError::TooManyCounters(100)));
}

#[tokio::test]
async fn a_recount_looks_at_items_and_then_at_the_ledger() {
    let cat = json!({"cat": {"N": "1"}});
    let items = json!({"Items": [order("cat").1["Item"]]});
    let ledger = json!({"Items": [entry("1", &cat).1["Item"]]});
    let wire = Wire::new([
        (200, items),
        entry("1", &cat),
        order("cat"),
        (200, ledger),
        entry("1", &cat),
        order("cat"),
    ]);
    let answer = answer(&counts(&wire), json!({"recount": {}})).await;
    assert_eq!(answer, json!({"looked_at": 2, "recount": null}));
    let requests = wire.requests();
    let tables = [&requests[0], &requests[3]].map(|(_, scan)| scan["TableName"].clone());
    assert_eq!(tables, ["orders", "ledger"]);
}

#[tokio::test]
async fn a_recount_goes_on_where_it_was() {
    let place = Place {
        in_ledger: true,
        after: Some(r#"{"item":{"S":"1"}}"#.into()),
    };
    let answered = CountResponse::Recount {
        looked_at: 7,
        recount: Some(place),
    };
    let wire = Wire::new([(200, json!({"Items": []}))]);
    let goes_on = answer(&counts(&wire), serde_json::to_value(answered).unwrap()).await;
    assert_eq!(goes_on, json!({"looked_at": 0, "recount": null}));
    let (_, scan) = &wire.requests()[0];
    assert_eq!(scan["ExclusiveStartKey"], json!({"item": {"S": "1"}}));
    assert_eq!(scan["TableName"], "ledger");
    let wire = Wire::new([]);
    let strange = json!({"recount": {"after": "strange"}});
    let strange = serde_json::from_value(strange).unwrap();
    assert!(counts(&wire).handle(strange).await.is_err());
}
