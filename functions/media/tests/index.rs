//! Whatever the order in which changes come, and wherever their functions are killed, a reader of the
//! index sees the catalogue as it is, and in the end the index has an entry for each list of each item
//! and no other.
//!
//! Files get labels or are deleted, the events of that come late, twice and mixed up, someone labels by
//! hand, and the schedule fires that ends what was killed and gives old items their entries. All of it
//! runs on the adapter of DynamoDB and a DynamoDB in memory. Invocations stop before and after every call.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use media::catalogue::{Catalogue, ChangeKind, ObjectChange};
use media::detector::Failure;
use media::dynamodb::{DynamoCatalogue, Filter, Phase, Tables};
use media::{MediaItem, MediaType, lists};
use proptest::prelude::*;
use runtime::s3::{ObjectKey, Sequencer};
use runtime::testing::DynamoDb;
use runtime::testing::interleaving::{
    Faults, Handling, Outbox, Retries, Scenario, Step, Turn, World, any_history, any_turns,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const KEYS: [&str; 3] = ["plain.jpg", "a b+c%.jpeg", "clip.mp4"];
/// So many labels that one transaction takes them just so, or that it does not.
const LABELS: [std::ops::Range<usize>; 6] = [0..0, 0..2, 1..4, 0..97, 0..98, 50..170];

fn labels(kind: usize) -> Vec<String> {
    LABELS[kind]
        .clone()
        .map(|number| format!("Label {number}"))
        .collect()
}

fn key(index: usize) -> ObjectKey {
    ObjectKey::new(KEYS[index]).unwrap()
}

#[derive(Debug, Clone)]
enum Act {
    /// The file is stored, and these labels are seen on it.
    Store {
        key: usize,
        labels: usize,
    },
    /// It is stored, and cannot be labelled.
    StoreGarbage {
        key: usize,
    },
    Delete {
        key: usize,
    },
    LabelByHand {
        key: usize,
    },
    Fire,
}

fn any_act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS.len();
    prop_oneof![
        5 => (key.clone(), 0..LABELS.len()).prop_map(|(key, labels)| Act::Store { key, labels }),
        1 => key.clone().prop_map(|key| Act::StoreGarbage { key }),
        3 => key.clone().prop_map(|key| Act::Delete { key }),
        2 => key.prop_map(|key| Act::LabelByHand { key }),
        2 => Just(Act::Fire),
    ]
}

#[derive(Debug, Clone)]
enum Event {
    Changed(ObjectChange),
    Fired,
}

/// The files that there are, with their labels unless they are garbage.
type Files = Rc<RefCell<BTreeMap<ObjectKey, Option<Vec<String>>>>>;

struct Library {
    dynamodb: DynamoDb,
    catalogue: DynamoCatalogue,
    files: Files,
    changes: Cell<u32>,
    hours: Rc<Cell<u32>>,
    outbox: Outbox<Event>,
}

fn tables() -> Tables {
    Tables {
        media: "media".into(),
        state: "state".into(),
        index: "index".into(),
    }
}

fn item(name: &ObjectKey, labels: Vec<String>) -> MediaItem {
    MediaItem {
        name: name.clone(),
        media_type: MediaType::of(name).unwrap(),
        labels,
    }
}

impl Library {
    fn new(outbox: &Outbox<Event>, faults: &Faults) -> Self {
        let dynamodb = DynamoDb::default()
            .table("media", &["name"])
            .table("state", &["name"])
            .table("index", &["list", "name"])
            .index("index", "by-type", &["typed_list", "name"]);
        Self {
            catalogue: DynamoCatalogue::new(&dynamodb.with_faults(faults).aws(), tables()),
            dynamodb,
            files: Files::default(),
            changes: Cell::new(0),
            hours: Rc::default(),
            outbox: outbox.clone(),
        }
    }

    /// With an item of a stage that had no index.
    fn with_old_item(self, index: usize, labels: Vec<String>) -> Self {
        let name = key(index);
        let texts: Vec<_> = labels.iter().map(|label| json!({"S": label})).collect();
        let media_type = MediaType::of(&name).unwrap().as_str();
        let item = json!({
            "name": {"S": name.as_str()},
            "type": {"S": media_type},
            "labels": {"L": texts},
        });
        self.dynamodb.put("media", &item);
        let state = json!({"name": {"S": name.as_str()}, "sequencer": {"S": "00"}});
        self.dynamodb.put("state", &state);
        self.files.borrow_mut().insert(name, Some(labels));
        self
    }

    /// The same tables, reached without faults.
    fn faultless(&self) -> DynamoCatalogue {
        DynamoCatalogue::new(&self.dynamodb.aws(), tables())
    }

    fn change(&self, index: usize, kind: ChangeKind) {
        self.changes.set(self.changes.get() + 1);
        let sequencer = format!("0055{:06X}", self.changes.get());
        self.outbox.emit(Event::Changed(ObjectChange {
            name: key(index),
            sequencer: Sequencer::parse(&sequencer).unwrap(),
            kind,
        }));
    }

    fn label_by_hand(&self, index: usize) {
        let (catalogue, files, name) = (self.catalogue.clone(), self.files.clone(), key(index));
        self.outbox.invoke(async move {
            let Ok(seen) = catalogue.state(&name).await else {
                return;
            };
            let labels = files.borrow().get(&name).cloned().flatten();
            if let Some(labels) = labels {
                _ = catalogue.save(&item(&name, labels), seen.as_ref()).await;
            }
        });
    }

    /// The lists of each item of the media table.
    fn items(&self) -> BTreeMap<String, (Vec<String>, BTreeSet<String>)> {
        let items = self.dynamodb.items("media").into_iter();
        let items = items.map(|item| {
            let labels = texts(&item["labels"]);
            let lists = lists::of_labels(&labels).into_keys().collect();
            (text(&item["name"]), (labels, lists))
        });
        items.collect()
    }

    /// What readers see: the names in each list.
    fn check_readers(&self) -> Result<(), TestCaseError> {
        let items = self.items();
        let mut seen = BTreeSet::new();
        for entry in self.dynamodb.items("index") {
            let (list, name) = (text(&entry["list"]), text(&entry["name"]));
            if list != lists::ALL && lists::label_of(&list).is_none() {
                continue;
            }
            let item = items.get(&name);
            if !entry["labels"].is_null() {
                let labels = item.map(|(labels, _)| labels);
                prop_assert_eq!(
                    labels,
                    Some(&texts(&entry["labels"])),
                    "{} in {}",
                    name,
                    list
                );
                seen.insert((list, name));
            } else if item.is_some_and(|(_, lists)| lists.contains(&list)) {
                seen.insert((list, name));
            }
        }
        let expected: BTreeSet<_> = items
            .iter()
            .flat_map(|(name, (_, lists))| lists.iter().map(|list| (list.clone(), name.clone())))
            .collect();
        prop_assert_eq!(seen, expected);
        Ok(())
    }

    /// The items are those of the files, and each has its entries and no other.
    fn check_end(&self) -> Result<(), TestCaseError> {
        let files = self.files.borrow();
        let labelled = files.iter().filter_map(|(name, labels)| {
            let labels = labels.clone()?;
            Some((name.to_string(), labels))
        });
        let items = self.items();
        let found = items
            .iter()
            .map(|(name, (labels, _))| (name.clone(), labels.clone()));
        prop_assert_eq!(
            found.collect::<BTreeMap<_, _>>(),
            labelled.collect::<BTreeMap<_, _>>()
        );

        let entries = self.dynamodb.items("index").into_iter();
        let entries = entries.map(|entry| (text(&entry["list"]), text(&entry["name"])));
        let entries: BTreeSet<_> = entries.filter(|(list, _)| list != "backfill").collect();
        let expected: BTreeSet<_> = items
            .iter()
            .flat_map(|(name, (_, lists))| lists.iter().map(|list| (list.clone(), name.clone())))
            .collect();
        prop_assert_eq!(entries, expected);
        self.check_readers()
    }

    /// What the API lists of one label and of all is what the items say.
    fn check_listings(&self, runtime: &Runtime) -> Result<(), TestCaseError> {
        let catalogue = self.faultless();
        for label in [None, Some("label 1"), Some("LABEL 96"), Some("Label 97")] {
            for media_type in [None, Some(MediaType::Image), Some(MediaType::Video)] {
                let filter = Filter {
                    name_prefix: None,
                    media_type,
                    label: label.map(String::from),
                };
                let page = runtime.block_on(catalogue.list(&filter, 10, None)).unwrap();
                let list = label
                    .map_or(Some(lists::ALL.to_owned()), lists::of_label)
                    .unwrap();
                let expected: Vec<_> = self
                    .items()
                    .into_iter()
                    .filter(|(_, (_, lists))| lists.contains(&list))
                    .map(|(name, (labels, _))| item(&ObjectKey::new(name).unwrap(), labels))
                    .filter(|item| {
                        media_type.is_none_or(|media_type| item.media_type == media_type)
                    })
                    .collect();
                prop_assert_eq!(page.items, expected, "{:?}", filter);
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value["S"].as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value["L"].as_array().unwrap().iter().map(text).collect()
}

/// The schedule fires, hours after it did before.
async fn fire(catalogue: &DynamoCatalogue, hours: &Cell<u32>) -> bool {
    hours.set(hours.get() + 1);
    let now = SystemTime::now() + hours.get() * Duration::from_secs(60 * 60);
    let finished = catalogue.finish_entries(now).await.is_ok();
    finished && catalogue.backfill(now, Duration::ZERO).await.is_ok()
}

impl Scenario for Library {
    type Act = Act;
    type Event = Event;

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Store {
                key: index,
                labels: kind,
            } => {
                self.files
                    .borrow_mut()
                    .insert(key(index), Some(labels(kind)));
                let media_type = MediaType::of(&key(index)).unwrap();
                let labels = labels(kind);
                self.change(index, ChangeKind::Labelled { media_type, labels });
            }
            Act::StoreGarbage { key: index } => {
                self.files.borrow_mut().insert(key(index), None);
                let (code, message) = ("InvalidImageFormatException".into(), "no".into());
                self.change(index, ChangeKind::Failed(Failure { code, message }));
            }
            Act::Delete { key: index } => {
                self.files.borrow_mut().remove(&key(index));
                self.change(index, ChangeKind::Removed);
            }
            Act::LabelByHand { key: index } => self.label_by_hand(index),
            Act::Fire => self.outbox.emit(Event::Fired),
        }
    }

    fn invoke(&self, batch: Vec<Event>) -> Handling {
        let (catalogue, hours) = (self.catalogue.clone(), self.hours.clone());
        Box::pin(async move {
            let mut handled = 0;
            for event in batch {
                let is_handled = match event {
                    Event::Fired => fire(&catalogue, &hours).await,
                    Event::Changed(change) => match catalogue.state(&change.name).await {
                        Ok(Some(state)) if state.supersedes(&change.sequencer) => true,
                        Ok(_) => catalogue.record(&change).await.is_ok(),
                        Err(_) => false,
                    },
                };
                if !is_handled {
                    break;
                }
                handled += 1;
            }
            handled
        })
    }
}

/// The SDK's timeouts need a clock, although none passes.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// The schedule fires until nothing is left to do.
fn settle(world: &mut World<Library>, runtime: &Runtime, turns: &[Turn]) {
    {
        let _clock = runtime.enter();
        world.settle(turns);
    }
    let library = world.scenario();
    let catalogue = library.faultless();
    for _ in 0..5 {
        assert!(runtime.block_on(fire(&catalogue, &library.hours)));
    }
    let progress = catalogue.backfill(SystemTime::now(), Duration::ZERO);
    assert_eq!(runtime.block_on(progress).unwrap().phase, Phase::Complete);
}

fn take(world: &mut World<Library>, runtime: &Runtime, step: &Step<Act>) {
    let _clock = runtime.enter();
    world.take(step);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn readers_never_see_half_of_a_change_and_the_index_ends_as_the_catalogue_does(
        history in any_history(any_act(), 1..2, 60),
        turns in any_turns(),
    ) {
        let runtime = runtime();
        let mut world = World::new(Retries::UntilHandled, Library::new);
        let catalogue = world.scenario().faultless();
        let begun = runtime.block_on(catalogue.backfill(SystemTime::now(), Duration::ZERO));
        prop_assert_eq!(begun.unwrap().phase, Phase::Complete, "a new stage has nothing to do");
        for step in &history {
            take(&mut world, &runtime, step);
            world.scenario().check_readers()?;
        }
        settle(&mut world, &runtime, &turns);
        world.scenario().check_end()?;
        world.scenario().check_listings(&runtime)?;
    }

    #[test]
    fn old_items_get_their_entries_while_events_come(
        old in proptest::collection::vec(0..LABELS.len(), KEYS.len()),
        history in any_history(any_act(), 1..2, 60),
        turns in any_turns(),
    ) {
        let runtime = runtime();
        let mut world = World::new(Retries::UntilHandled, |outbox, faults| {
            let library = Library::new(outbox, faults);
            old.iter().enumerate().fold(library, |library, (index, kind)| {
                library.with_old_item(index, labels(*kind))
            })
        });
        for step in &history {
            take(&mut world, &runtime, step);
        }
        world.scenario().check_listings(&runtime)?;
        settle(&mut world, &runtime, &turns);
        world.scenario().check_end()?;
        world.scenario().check_listings(&runtime)?;
    }
}
