//! Whatever the order in which events come, however often, and whatever runs beside
//! them, the catalogue ends as the bucket does.
//!
//! A history is a list of steps: objects are stored and deleted, events are delivered
//! or delivered again, someone labels an object by hand, an invocation goes on by one
//! step, dies, or meets a throttled detector. Invocations run the functions' own
//! handlers and stop before and after every call to a port, so they interleave there
//! as they do on Lambda. After the history every event that is still due is delivered
//! until it is handled.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use detect_labels::DetectLabels;
use handle_object_created::HandleObjectCreated;
use handle_object_removed::HandleObjectRemoved;
use media::catalogue::{Catalogue, CatalogueError, ObjectChange, Outcome, State};
use media::detector::{DetectError, Failure, LabelDetector};
use media::notification::Notification;
use media::testing::MemoryCatalogue;
use media::{BucketName, MediaItem, ObjectKey};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const BUCKET: &str = "bucket";
const KEYS: [&str; 3] = ["plain.jpg", "a b+c%.jpeg", "holiday/é 🐕.PNG"];

#[derive(Debug, Clone)]
enum Step {
    Put { key: usize, is_image: bool },
    Delete { key: usize },
    Deliver(Index),
    LabelByHand { key: usize },
    Continue(Index),
    Die(Index),
    Throttle,
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), prop::bool::weighted(0.8))
            .prop_map(|(key, is_image)| Step::Put { key, is_image }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        6 => any::<Index>().prop_map(Step::Deliver),
        3 => key.prop_map(|key| Step::LabelByHand { key }),
        24 => any::<Index>().prop_map(Step::Continue),
        1 => any::<Index>().prop_map(Step::Die),
        1 => Just(Step::Throttle),
    ]
}

/// The bucket, as S3 has it at this moment.
#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<ObjectKey, Object>,
    changes: u32,
    throttled: u32,
}

#[derive(Debug, Clone, Copy)]
enum Object {
    /// An image on which one label is seen, of this number.
    Image(u32),
    /// Not an image, whatever its name says.
    Garbage,
}

fn label(number: u32) -> Vec<String> {
    vec![format!("label {number}")]
}

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

/// A port whose calls take time. The world around may change before and after
/// what they do, which itself is done at one moment.
#[derive(Debug, Clone)]
struct Slow<P>(P);

impl<C: Catalogue> Catalogue for Slow<C> {
    async fn state(&self, name: &ObjectKey) -> Result<Option<State>, CatalogueError> {
        pause().await;
        let state = self.0.state(name).await;
        pause().await;
        state
    }

    async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
        pause().await;
        let outcome = self.0.record(change).await;
        pause().await;
        outcome
    }

    async fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> Result<Outcome, CatalogueError> {
        pause().await;
        let outcome = self.0.save(item, seen).await;
        pause().await;
        outcome
    }
}

impl LabelDetector for SlowDetector {
    async fn detect(&self, _: &BucketName, key: &ObjectKey) -> Result<Vec<String>, DetectError> {
        pause().await;
        let seen = self.0.borrow_mut().look_at(key);
        pause().await;
        seen
    }
}

impl Bucket {
    fn look_at(&mut self, key: &ObjectKey) -> Result<Vec<String>, DetectError> {
        if self.throttled > 0 {
            self.throttled -= 1;
            return Err(DetectError::Retryable("throttled".into()));
        }
        let permanent = |code: &str| {
            Err(DetectError::Permanent(Failure {
                code: code.into(),
                message: "no".into(),
            }))
        };
        match self.objects.get(key) {
            Some(Object::Image(number)) => Ok(label(*number)),
            Some(Object::Garbage) => permanent("InvalidImageFormatException"),
            None => permanent("InvalidS3ObjectException"),
        }
    }
}

/// An event of S3's, and whether a function has handled it.
struct Event {
    is_removal: bool,
    notification: Value,
    handled: bool,
}

/// A function at work, on an event or by hand.
struct Invocation {
    event: Option<usize>,
    handled: Pin<Box<dyn Future<Output = bool>>>,
}

type SlowCatalogue = Slow<MemoryCatalogue>;
type SlowDetector = Slow<Rc<RefCell<Bucket>>>;

struct World {
    bucket: Rc<RefCell<Bucket>>,
    catalogue: MemoryCatalogue,
    events: Vec<Event>,
    invocations: Vec<Invocation>,
    created: Rc<HandleObjectCreated<SlowCatalogue, SlowDetector>>,
    removed: Rc<HandleObjectRemoved<SlowCatalogue>>,
    by_hand: Rc<DetectLabels<SlowCatalogue, SlowDetector>>,
}

fn key(index: usize) -> ObjectKey {
    ObjectKey::new(KEYS[index]).unwrap()
}

/// An event as S3 writes it.
fn notification(name: &str, key: &ObjectKey, change: u32) -> Value {
    let encoded = utf8_percent_encode(key.as_str(), NON_ALPHANUMERIC).to_string();
    json!({"Records": [{
        "eventTime": "2026-01-05T09:30:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "s3": {
            "bucket": {"name": BUCKET},
            "object": {
                "key": encoded.replace("%20", "+"),
                "sequencer": format!("0055{change:06X}"),
            },
        },
    }]})
}

impl World {
    fn new() -> Self {
        let bucket = Rc::new(RefCell::new(Bucket::default()));
        let catalogue = MemoryCatalogue::default();
        let name = BucketName::new(BUCKET);
        Self {
            created: Rc::new(HandleObjectCreated {
                bucket: name.clone(),
                catalogue: Slow(catalogue.clone()),
                detector: Slow(bucket.clone()),
            }),
            removed: Rc::new(HandleObjectRemoved {
                bucket: name.clone(),
                catalogue: Slow(catalogue.clone()),
            }),
            by_hand: Rc::new(DetectLabels {
                bucket: name,
                catalogue: Slow(catalogue.clone()),
                detector: Slow(bucket.clone()),
            }),
            bucket,
            catalogue,
            events: Vec::new(),
            invocations: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Put {
                key: index,
                is_image,
            } => self.put(&key(*index), *is_image),
            Step::Delete { key: index } => self.delete(&key(*index)),
            Step::Deliver(index) if !self.events.is_empty() => {
                self.deliver(index.index(self.events.len()));
            }
            Step::LabelByHand { key: index } => self.label_by_hand(&key(*index)),
            Step::Continue(index) if !self.invocations.is_empty() => {
                self.go_on(index.index(self.invocations.len()));
            }
            Step::Die(index) if !self.invocations.is_empty() => {
                self.invocations.remove(index.index(self.invocations.len()));
            }
            Step::Throttle => self.bucket.borrow_mut().throttled += 1,
            Step::Deliver(_) | Step::Continue(_) | Step::Die(_) => {}
        }
    }

    fn put(&mut self, key: &ObjectKey, is_image: bool) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        let number = bucket.changes;
        let object = if is_image {
            Object::Image(number)
        } else {
            Object::Garbage
        };
        bucket.objects.insert(key.clone(), object);
        self.events.push(Event {
            is_removal: false,
            notification: notification("ObjectCreated:Put", key, number),
            handled: false,
        });
    }

    fn delete(&mut self, key: &ObjectKey) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        bucket.objects.remove(key);
        self.events.push(Event {
            is_removal: true,
            notification: notification("ObjectRemoved:Delete", key, bucket.changes),
            handled: false,
        });
    }

    fn deliver(&mut self, index: usize) {
        let event = &self.events[index];
        let notification: Notification =
            serde_json::from_value(event.notification.clone()).unwrap();
        let handled: Pin<Box<dyn Future<Output = bool>>> = if event.is_removal {
            let function = self.removed.clone();
            Box::pin(async move { function.handle(notification).await.is_ok() })
        } else {
            let function = self.created.clone();
            Box::pin(async move { function.handle(notification).await.is_ok() })
        };
        let event = Some(index);
        self.invocations.push(Invocation { event, handled });
    }

    fn label_by_hand(&mut self, key: &ObjectKey) {
        let function = self.by_hand.clone();
        let payload = json!({"Bucket": BUCKET, "Key": key.as_str()});
        self.invocations.push(Invocation {
            event: None,
            handled: Box::pin(async move { function.handle(payload).await.is_ok() }),
        });
    }

    fn go_on(&mut self, index: usize) {
        let invocation = &mut self.invocations[index];
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(handled) = invocation.handled.as_mut().poll(&mut context) {
            if let Some(event) = invocation.event {
                self.events[event].handled |= handled;
            }
            self.invocations.remove(index);
        }
    }

    /// Delivers what is due and ends what runs, in an order that `choices` decide.
    fn settle(&mut self, choices: &[Index]) {
        self.bucket.borrow_mut().throttled = 0;
        for choice in choices.iter().cycle() {
            let in_flight = |event| self.invocations.iter().any(|i| i.event == Some(event));
            let due: Vec<_> = (0..self.events.len())
                .filter(|&event| !self.events[event].handled && !in_flight(event))
                .collect();
            let possible = due.len() + self.invocations.len();
            if possible == 0 {
                return;
            }
            let chosen = choice.index(possible);
            match due.get(chosen) {
                Some(&event) => self.deliver(event),
                None => self.go_on(chosen - due.len()),
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let bucket = self.bucket.borrow();
        for index in 0..KEYS.len() {
            let key = key(index);
            let expected = match bucket.objects.get(&key) {
                Some(Object::Image(number)) => Some(label(*number)),
                Some(Object::Garbage) | None => None,
            };
            let found = self.catalogue.item(&key).map(|item| item.labels);
            prop_assert_eq!(found, expected, "{}", key);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_catalogue_ends_as_the_bucket_does(
        history in prop::collection::vec(any_step(), 1..100),
        choices in prop::collection::vec(any::<Index>(), 64),
    ) {
        let mut world = World::new();
        for step in &history {
            world.take(step);
        }
        world.settle(&choices);
        world.check()?;
    }
}
