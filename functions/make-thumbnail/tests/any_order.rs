//! Whatever the order in which events and records come, however often, and whatever runs at the
//! same time, in the end each picture in the catalogue has the thumbnail of what is in the bucket,
//! and nothing else has one.
//!
//! Pictures are stored, replaced, also by the same content, and deleted; somebody labels them by
//! hand. A labeller in this test keeps the catalogue by its rule, and its writes make the records.
//! What becomes of events, records and invocations is `runtime::testing::interleaving`'s.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use make_thumbnail::MakeThumbnail;
use make_thumbnail::picture::Unreadable;
use make_thumbnail::ports::{Picture, Pictures, ThumbnailError, Thumbnails};
use media::catalogue::CatalogueError;
use media::thumbnail::{Standing, Standings, ThumbnailKey};
use proptest::prelude::*;
use runtime::s3::{ObjectKey, Sequencer};
use runtime::testing::interleaving::{
    Faults, Handling, Outbox, Retries, Scenario, Slow, World, any_history, any_turns,
};
use serde_json::json;

const NAMES: [&str; 2] = ["a.jpg", "holiday/é.png"];

#[derive(Debug, Clone)]
enum Act {
    /// Stores this content.
    Store {
        name: usize,
        content: u8,
    },
    Delete {
        name: usize,
    },
    /// Labels what is there, without an event.
    LabelByHand {
        name: usize,
    },
}

fn any_act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), 0..2_u8).prop_map(|(name, content)| Act::Store { name, content }),
        2 => name.clone().prop_map(|name| Act::Delete { name }),
        1 => name.prop_map(|name| Act::LabelByHand { name }),
    ]
}

#[derive(Debug, Clone)]
enum Event {
    /// S3's, of a change of an object.
    Changed {
        name: usize,
        sequencer: u32,
        is_stored: bool,
    },
    /// DynamoDB's, of a write of the catalogue.
    Written { name: usize },
}

/// Buckets and tables at this moment.
#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<usize, u8>,
    sequencers: BTreeMap<usize, u32>,
    items: BTreeSet<usize>,
    /// By their keys, with the version that they are of.
    thumbnails: BTreeMap<ThumbnailKey, String>,
}

/// Buckets and tables, as functions see them.
#[derive(Debug, Clone)]
struct Services(Slow<Rc<RefCell<State>>>);

impl Services {
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, CatalogueError> {
        let fault = || CatalogueError {
            action: "reach",
            name: String::new(),
            reason: "throttled".into(),
        };
        let effect = async |state: &Rc<RefCell<State>>| Ok(effect(&mut state.borrow_mut()));
        self.0.call(fault, effect).await
    }
}

impl Standings for Services {
    async fn standing(&self, name: &ObjectKey) -> Result<Standing, CatalogueError> {
        let name = index(name);
        let sequencer = self
            .call(|state| state.sequencers.get(&name).copied())
            .await?;
        let has_item = self.call(|state| state.items.contains(&name)).await?;
        let sequencer = sequencer.map(|number| Sequencer::parse(&format!("{number:08X}")).unwrap());
        Ok(Standing {
            sequencer,
            has_item,
        })
    }

    async fn names(
        &self,
        _: Option<&ObjectKey>,
        _: usize,
    ) -> Result<(Vec<ObjectKey>, bool), CatalogueError> {
        unreachable!("no backfill here")
    }
}

impl Pictures for Services {
    async fn read(&self, name: &ObjectKey, known: Option<&str>) -> Result<Picture, ThumbnailError> {
        let name = index(name);
        let content = self.call(|state| state.objects.get(&name).copied()).await?;
        Ok(match content.map(|content| content.to_string()) {
            None => Picture::Gone,
            Some(version) if known == Some(&version) => Picture::AsBefore,
            Some(version) => Picture::New {
                version,
                file: Err(Unreadable::Format),
            },
        })
    }
}

impl Thumbnails for Services {
    async fn version(&self, key: &ThumbnailKey) -> Result<Option<String>, ThumbnailError> {
        Ok(self
            .call(|state| state.thumbnails.get(key).cloned())
            .await?)
    }

    async fn put(
        &self,
        key: &ThumbnailKey,
        version: &str,
        _: &Result<Vec<u8>, Unreadable>,
    ) -> Result<(), ThumbnailError> {
        let put = |state: &mut State| state.thumbnails.insert(key.clone(), version.to_owned());
        self.call(put).await?;
        Ok(())
    }

    async fn delete(&self, key: &ThumbnailKey) -> Result<(), ThumbnailError> {
        self.call(|state| state.thumbnails.remove(key)).await?;
        Ok(())
    }
}

fn key(name: usize) -> ObjectKey {
    ObjectKey::new(NAMES[name]).unwrap()
}

fn index(name: &ObjectKey) -> usize {
    NAMES
        .iter()
        .position(|known| *known == name.as_str())
        .unwrap()
}

/// The function, and what it works on.
struct Library {
    state: Rc<RefCell<State>>,
    outbox: Outbox<Event>,
    changes: u32,
    services: Services,
    function: Rc<MakeThumbnail<Services, Services, Services>>,
}

impl Library {
    fn new(outbox: &Outbox<Event>, faults: &Faults) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let services = Services(Slow::new(state.clone(), faults));
        Self {
            function: Rc::new(MakeThumbnail {
                catalogue: services.clone(),
                pictures: services.clone(),
                thumbnails: services.clone(),
            }),
            state,
            services,
            outbox: outbox.clone(),
            changes: 0,
        }
    }

    fn changed(&mut self, name: usize, is_stored: bool) {
        self.changes += 1;
        self.outbox.emit(Event::Changed {
            name,
            sequencer: self.changes,
            is_stored,
        });
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let state = self.state.borrow();
        let expected: BTreeMap<_, _> = state
            .items
            .iter()
            .map(|name| {
                (
                    ThumbnailKey::of(&key(*name)),
                    state.objects[name].to_string(),
                )
            })
            .collect();
        prop_assert_eq!(&state.thumbnails, &expected);
        Ok(())
    }
}

/// The labeller: looks at the object, then moves item and sequencer together, if the change is new.
async fn record(
    services: &Services,
    outbox: &Outbox<Event>,
    (name, sequencer, is_stored): (usize, u32, bool),
) -> Result<(), CatalogueError> {
    let is_there = services
        .call(|state| state.objects.contains_key(&name))
        .await?;
    services
        .call(|state| {
            if state
                .sequencers
                .get(&name)
                .is_some_and(|known| *known >= sequencer)
            {
                return;
            }
            state.sequencers.insert(name, sequencer);
            if is_stored && is_there {
                state.items.insert(name);
            } else {
                state.items.remove(&name);
            }
            outbox.emit(Event::Written { name });
        })
        .await
}

impl Scenario for Library {
    type Act = Act;
    type Event = Event;

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Store { name, content } => {
                self.state.borrow_mut().objects.insert(name, content);
                self.changed(name, true);
            }
            Act::Delete { name } => {
                let existed = self.state.borrow_mut().objects.remove(&name);
                if existed.is_some() {
                    self.changed(name, false);
                }
            }
            Act::LabelByHand { name } => {
                let mut state = self.state.borrow_mut();
                if state.objects.contains_key(&name) && state.items.insert(name) {
                    self.outbox.emit(Event::Written { name });
                }
            }
        }
    }

    fn invoke(&self, batch: Vec<Event>) -> Handling {
        let (function, services) = (self.function.clone(), self.services.clone());
        let outbox = self.outbox.clone();
        Box::pin(async move {
            for (handled, event) in batch.iter().enumerate() {
                let is_handled = match *event {
                    Event::Changed {
                        name,
                        sequencer,
                        is_stored,
                    } => {
                        let change = (name, sequencer, is_stored);
                        record(&services, &outbox, change).await.is_ok()
                    }
                    Event::Written { name } => {
                        let event = json!({"Records": [{
                            "eventID": "1",
                            "eventName": "MODIFY",
                            "awsRegion": "us-east-1",
                            "dynamodb": {
                                "Keys": {"name": {"S": NAMES[name]}},
                                "SequenceNumber": "1",
                                "SizeBytes": 1,
                            },
                        }]});
                        let event = serde_json::from_value(event).unwrap();
                        let response = function.handle(event).await.unwrap();
                        response.batch_item_failures.is_empty()
                    }
                };
                if !is_handled {
                    return handled;
                }
            }
            batch.len()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_picture_ends_with_its_thumbnail(
        history in any_history(any_act(), 1..4, 150),
        turns in any_turns(),
    ) {
        let mut world = World::new(Retries::AfterEveryFailure, Library::new);
        world.run(&history, &turns);
        world.scenario().check()?;
    }
}
