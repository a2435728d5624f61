//! Whatever is done to users, and however late, often and out of order the records of it
//! come, in the end every flag is right, and no write was superfluous.
//!
//! A table in memory emits records as DynamoDB does, also for the function's own writes. Users
//! are created, change address or something else, lose their address, are deleted, and
//! created again. The function's handler makes one call for a record at most, and that takes
//! effect at one moment, so handling a record at that moment shows all that can happen.
//!
//! The rule of the source, which compares with the flag before the change and writes without a
//! condition, is run on the same history. The addresses are such that both judge them alike.
//!
//! `cargo test -p check-email --test write_counts -- --nocapture` shows the figures.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use check_email::CheckEmail;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use runtime::testing::interleaving::{
    Faults, Handling, Moment, Outbox, Retries, Scenario, Slow, World,
};
use serde_json::{Value, json};
use users::personal_email::{Corrected, Correction, FlagError, Flags, PersonalDomains};
use users::{Schema, UserId};

const PERSONAL_DOMAINS: &str = "gmail.com,outlook.com,hotmail.com";

const DOMAINS: [&str; 5] = [
    "gmail.com",
    "outlook.com",
    "example.com",
    "example.net",
    "example.org",
];

fn domains() -> PersonalDomains {
    PERSONAL_DOMAINS.parse().unwrap()
}

/// What someone does to a user.
#[derive(Debug, Clone)]
enum Edit {
    /// Sets the address. Creates the user if there is none.
    SetAddress {
        domain: usize,
    },
    /// Replaces the user, if there is one, by one with another address and without a flag.
    Replace {
        domain: usize,
    },
    /// Creates the user together with a flag, if there is none.
    CreateFlagged {
        domain: usize,
        flag: bool,
    },
    RemoveAddress,
    SetOther,
    Delete,
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let domain = || 0..DOMAINS.len();
    prop_oneof![
        10 => domain().prop_map(|domain| Edit::SetAddress { domain }),
        2 => domain().prop_map(|domain| Edit::Replace { domain }),
        1 => (domain(), any::<bool>())
            .prop_map(|(domain, flag)| Edit::CreateFlagged { domain, flag }),
        1 => Just(Edit::RemoveAddress),
        4 => Just(Edit::SetOther),
        2 => Just(Edit::Delete),
    ]
}

/// What happens to a record that is due.
#[derive(Debug, Clone)]
struct Delivery {
    /// Which record it is.
    chosen: Index,
    /// Whether it is one that may have been handled before.
    again: bool,
    /// Whether its call fails, and whether before its effect or after it.
    failure: Option<Moment>,
}

fn any_delivery() -> impl Strategy<Value = Delivery> {
    let failure = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Moment::BeforeEffect)),
        1 => Just(Some(Moment::AfterEffect)),
    ];
    (any::<Index>(), prop::bool::weighted(0.2), failure).prop_map(|(chosen, again, failure)| {
        Delivery {
            chosen,
            again,
            failure,
        }
    })
}

/// Edits of users, and the deliveries after each.
type History = Vec<(usize, Edit, Vec<Delivery>)>;

/// A history in which records wait for this many edits, more or less.
fn any_history(users: usize, edits: Range<usize>, delay: u32) -> impl Strategy<Value = History> {
    let batch = 0..=4 * delay as usize;
    let deliveries = prop_oneof![
        delay - 1 => Just(vec![]),
        1 => prop::collection::vec(any_delivery(), batch),
    ];
    prop::collection::vec((0..users, any_edit(), deliveries), edits)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    address: Option<String>,
    flag: Option<bool>,
    other: u32,
}

impl Item {
    fn is_right(&self) -> bool {
        match &self.address {
            Some(address) => self.flag == Some(domains().have(address)),
            None => self.flag != Some(true),
        }
    }

    fn image(&self, user: &UserId) -> Value {
        let mut image = json!({"Id": {"S": user.as_str()}, "other": {"N": self.other.to_string()}});
        if let Some(address) = &self.address {
            image["Email"] = json!({"S": address});
        }
        if let Some(flag) = self.flag {
            image["IsPersonalEmail"] = json!({"BOOL": flag});
        }
        image
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// How often an edit made a flag wrong.
    made_wrong: usize,
    /// How often an edit made a wrong flag right, or deleted it.
    made_right: usize,
    /// Writes of the rule.
    writes: usize,
    /// Those that left the flag wrong, or found it right already, or found no item.
    bad_writes: usize,
    /// Those that created an item.
    resurrected: usize,
}

#[derive(Debug, Default)]
struct Table {
    items: BTreeMap<UserId, Item>,
    /// How many records the stream has had.
    records: usize,
    /// Where records go, if they are read.
    outbox: Option<Outbox<Value>>,
    counts: Counts,
}

impl Table {
    /// Replaces an item and emits a record, if there is a difference.
    fn replace(&mut self, user: &UserId, new: Option<Item>) {
        let old = self.items.get(user).cloned();
        if old == new {
            return;
        }
        let event_name = match (&old, &new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let number = self.records.to_string();
        self.records += 1;
        let mut change = json!({
            "Keys": {"Id": {"S": user.as_str()}},
            "SequenceNumber": number,
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for (name, item) in [("OldImage", &old), ("NewImage", &new)] {
            if let Some(item) = item {
                change[name] = item.image(user);
            }
        }
        if let Some(outbox) = &self.outbox {
            outbox.emit(json!({
                "eventID": number,
                "eventName": event_name,
                "awsRegion": "us-east-1",
                "dynamodb": change,
            }));
        }
        match new {
            Some(item) => self.items.insert(user.clone(), item),
            None => self.items.remove(user),
        };
    }

    fn is_right(&self, user: &UserId) -> bool {
        self.items.get(user).is_none_or(Item::is_right)
    }

    fn edit(&mut self, user: &UserId, edit: &Edit) {
        let was_right = self.is_right(user);
        let old = self.items.get(user).cloned();
        let address = |domain: &usize| Some(format!("{user}@{}", DOMAINS[*domain]));
        let new = match (edit, old) {
            (Edit::SetAddress { domain }, old) => {
                let (flag, other) = old.map_or((None, 0), |old| (old.flag, old.other));
                let address = address(domain);
                Some(Item {
                    address,
                    flag,
                    other,
                })
            }
            (Edit::Replace { domain }, Some(old)) if old.address != address(domain) => Some(Item {
                address: address(domain),
                flag: None,
                other: 0,
            }),
            (Edit::CreateFlagged { domain, flag }, None) => Some(Item {
                address: address(domain),
                flag: Some(*flag),
                other: 0,
            }),
            (Edit::RemoveAddress, Some(old)) => Some(Item {
                address: None,
                ..old
            }),
            (Edit::SetOther, Some(old)) => Some(Item {
                other: old.other + 1,
                ..old
            }),
            (Edit::Delete, _) => None,
            (_, old) => old,
        };
        self.replace(user, new);
        match (was_right, self.is_right(user)) {
            (true, false) => self.counts.made_wrong += 1,
            (false, true) => self.counts.made_right += 1,
            _ => {}
        }
    }

    /// A write of the rule's.
    fn write(&mut self, user: &UserId, flag: bool) {
        let was_right = self.is_right(user);
        let old = self.items.get(user).cloned();
        self.counts.resurrected += usize::from(old.is_none());
        let old = old.unwrap_or(Item {
            address: None,
            flag: None,
            other: 0,
        });
        let flag = Some(flag);
        self.replace(user, Some(Item { flag, ..old }));
        self.counts.writes += 1;
        self.counts.bad_writes += usize::from(was_right || !self.is_right(user));
    }
}

/// The flags in the table.
#[derive(Debug, Clone)]
struct TableFlags(Slow<Rc<RefCell<Table>>>);

impl Flags for TableFlags {
    async fn correct(
        &self,
        user: &UserId,
        correction: &Correction,
    ) -> Result<Corrected, FlagError> {
        let (address, flag) = match correction {
            Correction::OfAddress { email, is_personal } => (Some(email), *is_personal),
            Correction::OfNone => (None, false),
        };
        let holds = |item: &Item| {
            let is_wrong = item
                .flag
                .map_or(address.is_some(), |present| present != flag);
            item.address.as_ref() == address && is_wrong
        };
        let fault = || FlagError {
            reason: "throttled".into(),
        };
        let write = async |table: &Rc<RefCell<Table>>| {
            let mut table = table.borrow_mut();
            if table.items.get(user).is_some_and(holds) {
                table.write(user, flag);
                return Ok(Corrected::Written);
            }
            Ok(Corrected::Superseded)
        };
        self.0.call(fault, write).await
    }
}

/// What handles a record.
trait Rule {
    fn handle(&self, table: Rc<RefCell<Table>>, faults: &Faults, record: Value) -> Handling;
}

struct Ours;

impl Rule for Ours {
    fn handle(&self, table: Rc<RefCell<Table>>, faults: &Faults, record: Value) -> Handling {
        let function = CheckEmail {
            schema: Schema {
                key: "Id".into(),
                email: "Email".into(),
                timestamp: "timestamp".into(),
                is_personal_email: "IsPersonalEmail".into(),
            },
            domains: domains(),
            flags: TableFlags(Slow::new(table, faults)),
        };
        Box::pin(async move {
            let event = serde_json::from_value(json!({"Records": [record]})).unwrap();
            let response = function.handle(event).await.unwrap();
            1 - response.batch_item_failures.len()
        })
    }
}

/// What the source does, statement by statement.
struct Sources;

impl Rule for Sources {
    fn handle(&self, table: Rc<RefCell<Table>>, faults: &Faults, record: Value) -> Handling {
        let is_handled = sources_rule(&mut table.borrow_mut(), faults, &record);
        Box::pin(std::future::ready(usize::from(is_handled)))
    }
}

fn sources_rule(table: &mut Table, faults: &Faults, record: &Value) -> bool {
    let change = &record["dynamodb"];
    let (old, new) = (&change["OldImage"], &change["NewImage"]);
    if record["eventName"] == "REMOVE" {
        return true;
    }
    let (old_email, new_email) = (old["Email"]["S"].as_str(), new["Email"]["S"].as_str());
    let old_is_personal = old["IsPersonalEmail"]["BOOL"].as_bool();
    let is_personal = |email: &str| {
        let mut domains = PERSONAL_DOMAINS.split(',');
        domains.any(|domain| email.ends_with(domain))
    };
    let new_is_personal = new_email.map(is_personal);
    if old_email != new_email && old_is_personal != new_is_personal {
        if faults.strike(Moment::BeforeEffect) {
            return false;
        }
        let user = UserId::new(change["Keys"]["Id"]["S"].as_str().unwrap()).unwrap();
        table.write(&user, new_is_personal.unwrap_or(false));
        return !faults.strike(Moment::AfterEffect);
    }
    true
}

/// A rule at work on the table.
struct Directory<R> {
    rule: R,
    table: Rc<RefCell<Table>>,
    faults: Faults,
}

impl<R: Rule> Scenario for Directory<R> {
    type Act = (usize, Edit);
    type Event = Value;

    fn act(&mut self, (index, edit): &(usize, Edit)) {
        self.table.borrow_mut().edit(&user(*index), edit);
    }

    fn invoke(&self, batch: Vec<Value>) -> Handling {
        let [record] = <[Value; 1]>::try_from(batch).unwrap();
        self.rule.handle(self.table.clone(), &self.faults, record)
    }
}

/// How records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Each before the next edit.
    AtOnce,
    /// In order, but behind the edits.
    Late,
    /// In any order, with repetitions and failures.
    Any,
}

struct Run<R: Rule> {
    world: World<Directory<R>>,
    deliveries: usize,
}

fn user(index: usize) -> UserId {
    UserId::new(format!("user{index}")).unwrap()
}

impl<R: Rule> Run<R> {
    fn new(rule: R) -> Self {
        let directory = |outbox: &Outbox<_>, faults: &Faults| Directory {
            rule,
            table: Rc::new(RefCell::new(Table {
                outbox: Some(outbox.clone()),
                ..Table::default()
            })),
            faults: faults.clone(),
        };
        Self {
            world: World::new(Retries::UntilHandled, directory),
            deliveries: 0,
        }
    }

    /// Runs a history to its end, after which every record is handled.
    fn through(rule: R, order: Order, history: &History) -> Self {
        let mut run = Self::new(rule);
        for (index, edit, deliveries) in history {
            run.edit(*index, edit);
            run.deliver_some(order, deliveries);
        }
        run.deliver_in_order(usize::MAX);
        run
    }

    fn edit(&mut self, index: usize, edit: &Edit) {
        self.world.act(&(index, edit.clone()));
    }

    fn deliver_some(&mut self, order: Order, deliveries: &[Delivery]) {
        match order {
            Order::AtOnce => self.deliver_in_order(usize::MAX),
            Order::Late => self.deliver_in_order(deliveries.len()),
            Order::Any => {
                for delivery in deliveries {
                    let (seen, due) = (self.world.events(), self.world.due());
                    let record = if delivery.again && seen > 0 {
                        Some(delivery.chosen.index(seen))
                    } else if due.is_empty() {
                        None
                    } else {
                        due.iter().nth(delivery.chosen.index(due.len())).copied()
                    };
                    if let Some(record) = record {
                        self.deliver(record, delivery.failure);
                    }
                }
            }
        }
    }

    fn deliver_in_order(&mut self, count: usize) {
        for _ in 0..count {
            let Some(&record) = self.world.due().first() else {
                return;
            };
            self.deliver(record, None);
        }
    }

    fn deliver(&mut self, record: usize, failure: Option<Moment>) {
        self.deliveries += 1;
        self.world.deliver_at_once(record, failure);
    }

    fn table(&self) -> Ref<'_, Table> {
        self.world.scenario().table.borrow()
    }

    fn counts(&self) -> Counts {
        self.table().counts
    }

    fn wrong(&self) -> usize {
        let table = self.table();
        table.items.values().filter(|item| !item.is_right()).count()
    }

    /// A line of figures, under [`FIGURES`].
    fn figures(&self, rule: &str) -> String {
        let table = self.table();
        let Counts {
            made_wrong,
            made_right,
            writes,
            bad_writes,
            resurrected,
        } = table.counts;
        format!(
            "{rule:>12} {:>8} {:>11} {made_wrong:>11} {made_right:>12} {writes:>7} {bad_writes:>5} {resurrected:>13} {:>13}",
            table.records,
            self.deliveries,
            self.wrong(),
        )
    }
}

const FIGURES: &str = "        rule  records  deliveries  made wrong  right again  writes   bad  brought back  wrong at end";

fn check(run: &Run<Ours>) -> Result<(), TestCaseError> {
    let counts = run.counts();
    prop_assert_eq!(run.wrong(), 0);
    prop_assert_eq!(counts.writes, counts.made_wrong - counts.made_right);
    prop_assert_eq!((counts.bad_writes, counts.resurrected), (0, 0));
    Ok(())
}

/// How many writes a history needs if each is made at once: counted without records.
fn needed(history: &History) -> usize {
    let mut table = Table::default();
    let mut needed = 0;
    for (index, edit, _) in history {
        let user = user(*index);
        table.edit(&user, edit);
        if let Some(item) = table.items.get_mut(&user).filter(|item| !item.is_right()) {
            item.flag = Some(
                item.address
                    .as_ref()
                    .is_some_and(|address| domains().have(address)),
            );
            needed += 1;
        }
    }
    needed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_write_is_needed_and_every_needed_write_is_made(history in any_history(3, 1..80, 3)) {
        for order in [Order::AtOnce, Order::Late, Order::Any] {
            check(&Run::through(Ours, order, &history))?;
        }
    }
}

#[test]
fn of_two_quick_changes_the_sources_rule_loses_one() {
    fn writes_and_wrong_flags(rule: impl Rule) -> (usize, usize) {
        let mut run = Run::new(rule);
        let [personal, also_personal, other] = [0, 1, 2];
        run.edit(0, &Edit::SetAddress { domain: personal });
        run.deliver_in_order(usize::MAX);
        run.edit(0, &Edit::SetAddress { domain: other });
        let domain = also_personal;
        run.edit(0, &Edit::SetAddress { domain });
        run.deliver_in_order(usize::MAX);
        (run.counts().writes, run.wrong())
    }
    assert_eq!(writes_and_wrong_flags(Ours), (1, 0));
    // It writes what the first change demanded, and finds nothing to do for the second.
    assert_eq!(writes_and_wrong_flags(Sources), (2, 1));
}

#[test]
fn ten_thousand_edits_beside_the_rule_of_the_source() {
    let mut runner = TestRunner::deterministic();
    let history = any_history(200, 10_000..10_001, 40)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    for order in [Order::AtOnce, Order::Late, Order::Any] {
        let ours = Run::through(Ours, order, &history);
        let sources = Run::through(Sources, order, &history);
        let (first, second) = (ours.figures("ours"), sources.figures("the source's"));
        println!("records delivered: {order:?}\n{FIGURES}\n{first}\n{second}");
        check(&ours).unwrap();

        let (ours, theirs) = (ours.counts(), sources.counts());
        if order == Order::AtOnce {
            let needed = needed(&history);
            println!("writes needed: {needed}");
            assert_eq!(ours.writes, needed);
            assert_eq!(theirs.resurrected, 0);
        } else {
            assert!(theirs.resurrected > 0);
        }
        assert!(theirs.bad_writes > 0);
        assert!(sources.wrong() > 0);
    }
}
