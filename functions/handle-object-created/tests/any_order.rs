//! Whatever the order in which events come, however often, and whatever runs beside
//! them, the catalogue ends as the bucket does.
//!
//! A history is a list of steps: objects are stored and deleted, events are delivered
//! or delivered again, someone labels an object by hand, a job looks at its video or
//! ends, an invocation goes on by one step, dies, or meets a throttled detector.
//! Invocations run the functions' own handlers and stop before and after every call to
//! a port, so they interleave there as they do on Lambda. After the history every job
//! ends, and every event that is still due is delivered until it is handled.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use add_video_file::AddVideoFile;
use detect_labels::DetectLabels;
use handle_object_created::HandleObjectCreated;
use handle_object_removed::HandleObjectRemoved;
use media::catalogue::{Catalogue, CatalogueError, ObjectChange, Outcome, State};
use media::completion::Completion;
use media::detector::{DetectError, Failure, JobId, LabelDetector, VideoJobs, VideoResults};
use media::testing::MemoryCatalogue;
use media::{MediaItem, MediaType};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::Index;
use runtime::s3::{BucketName, Notification, ObjectKey, Sequencer};
use serde_json::{Value, json};

const BUCKET: &str = "bucket";
const KEYS: [&str; 5] = [
    "plain.jpg",
    "a b+c%.jpeg",
    "holiday/é 🐕.PNG",
    "clip.mp4",
    "é 🐕+%2F.MOV",
];

#[derive(Debug, Clone)]
enum Step {
    Put { key: usize, is_readable: bool },
    Delete { key: usize },
    Deliver(Index),
    LabelByHand { key: usize },
    Work(Index),
    Continue(Index),
    Die(Index),
    Throttle,
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), prop::bool::weighted(0.8))
            .prop_map(|(key, is_readable)| Step::Put { key, is_readable }),
        2 => key.clone().prop_map(|key| Step::Delete { key }),
        6 => any::<Index>().prop_map(Step::Deliver),
        3 => key.prop_map(|key| Step::LabelByHand { key }),
        4 => any::<Index>().prop_map(Step::Work),
        24 => any::<Index>().prop_map(Step::Continue),
        1 => any::<Index>().prop_map(Step::Die),
        1 => Just(Step::Throttle),
    ]
}

/// The bucket, as S3 has it at this moment, and the jobs that look into it.
#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<ObjectKey, Object>,
    jobs: Vec<Job>,
    changes: u32,
    throttled: u32,
}

#[derive(Debug, Clone, Copy)]
enum Object {
    /// An image or video on which one label is seen, of this number.
    Readable(u32),
    /// Neither, whatever its name says.
    Garbage,
}

/// A job of Rekognition's. Its id is its number.
#[derive(Debug)]
struct Job {
    key: ObjectKey,
    /// The change that it was started for, unless by hand.
    sequencer: Option<Sequencer>,
    seen: Option<Result<Vec<String>, DetectError>>,
    ended: bool,
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

impl VideoJobs for SlowDetector {
    async fn start(
        &self,
        _: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> Result<JobId, DetectError> {
        pause().await;
        let job = self.0.borrow_mut().start_job(key, sequencer);
        pause().await;
        job
    }
}

impl VideoResults for SlowDetector {
    async fn labels(&self, job: &JobId) -> Result<Vec<String>, DetectError> {
        pause().await;
        let seen = self.0.borrow_mut().result_of(job);
        pause().await;
        seen
    }
}

fn permanent<T>(code: &str) -> Result<T, DetectError> {
    Err(DetectError::Permanent(Failure {
        code: code.into(),
        message: "no".into(),
    }))
}

impl Bucket {
    fn throttle(&mut self) -> Result<(), DetectError> {
        if self.throttled > 0 {
            self.throttled -= 1;
            return Err(DetectError::Retryable("throttled".into()));
        }
        Ok(())
    }

    fn look_at(&mut self, key: &ObjectKey) -> Result<Vec<String>, DetectError> {
        self.throttle()?;
        match self.objects.get(key) {
            Some(Object::Readable(number)) => Ok(label(*number)),
            Some(Object::Garbage) => permanent("InvalidImageFormatException"),
            None => permanent("InvalidS3ObjectException"),
        }
    }

    fn start_job(&mut self, key: &ObjectKey, sequencer: &Sequencer) -> Result<JobId, DetectError> {
        self.throttle()?;
        let of_change = |job: &Job| job.key == *key && job.sequencer.as_ref() == Some(sequencer);
        let number = match self.jobs.iter().position(of_change) {
            Some(number) => number,
            None if self.objects.contains_key(key) => {
                self.add_job(key, Some(sequencer.clone()));
                self.jobs.len() - 1
            }
            None => return permanent("InvalidS3ObjectException"),
        };
        Ok(JobId::new(number.to_string()))
    }

    fn add_job(&mut self, key: &ObjectKey, sequencer: Option<Sequencer>) {
        self.jobs.push(Job {
            key: key.clone(),
            sequencer,
            seen: None,
            ended: false,
        });
    }

    fn result_of(&mut self, job: &JobId) -> Result<Vec<String>, DetectError> {
        self.throttle()?;
        let job = &self.jobs[job.as_str().parse::<usize>().unwrap()];
        assert!(job.ended);
        job.seen.clone().unwrap()
    }

    fn running(&self) -> Vec<usize> {
        (0..self.jobs.len())
            .filter(|&number| !self.jobs[number].ended)
            .collect()
    }
}

/// An event, and whether a function has handled it.
struct Event {
    of: Source,
    payload: Value,
    handled: bool,
}

/// Where an event comes from, and so where it goes.
#[derive(Clone, Copy)]
enum Source {
    Creation,
    Removal,
    JobEnd,
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
    created: Rc<HandleObjectCreated<SlowCatalogue, SlowDetector, SlowDetector>>,
    removed: Rc<HandleObjectRemoved<SlowCatalogue>>,
    ended: Rc<AddVideoFile<SlowCatalogue, SlowDetector>>,
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

/// The message at the end of a job, as SNS delivers it.
fn completion(number: usize, job: &Job) -> Value {
    let mut message = json!({
        "JobId": number.to_string(),
        "Status": if matches!(job.seen, Some(Ok(_))) { "SUCCEEDED" } else { "FAILED" },
        "API": "LABEL_DETECTION",
        "Timestamp": 1_767_605_580_926_u64,
        "Video": {"S3ObjectName": job.key.as_str(), "S3Bucket": BUCKET},
    });
    if let Some(sequencer) = &job.sequencer {
        message["JobTag"] = format!("sequencer:{sequencer}").into();
    }
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:video:1",
        "Sns": {
            "Type": "Notification",
            "MessageId": number.to_string(),
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:video",
            "Message": message.to_string(),
            "Timestamp": "2026-01-05T09:33:00.945Z",
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertUrl": "",
            "UnsubscribeUrl": "",
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
                jobs: Slow(bucket.clone()),
            }),
            removed: Rc::new(HandleObjectRemoved {
                bucket: name.clone(),
                catalogue: Slow(catalogue.clone()),
            }),
            ended: Rc::new(AddVideoFile {
                bucket: name.clone(),
                catalogue: Slow(catalogue.clone()),
                results: Slow(bucket.clone()),
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
                is_readable,
            } => self.put(&key(*index), *is_readable),
            Step::Delete { key: index } => self.delete(&key(*index)),
            Step::Deliver(index) if !self.events.is_empty() => {
                self.deliver(index.index(self.events.len()));
            }
            Step::LabelByHand { key: index } => self.label_by_hand(&key(*index)),
            Step::Work(index) => {
                let running = self.bucket.borrow().running();
                if !running.is_empty() {
                    self.work(running[index.index(running.len())]);
                }
            }
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

    fn put(&mut self, key: &ObjectKey, is_readable: bool) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        let number = bucket.changes;
        let object = if is_readable {
            Object::Readable(number)
        } else {
            Object::Garbage
        };
        bucket.objects.insert(key.clone(), object);
        self.events.push(Event {
            of: Source::Creation,
            payload: notification("ObjectCreated:Put", key, number),
            handled: false,
        });
    }

    fn delete(&mut self, key: &ObjectKey) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        bucket.objects.remove(key);
        self.events.push(Event {
            of: Source::Removal,
            payload: notification("ObjectRemoved:Delete", key, bucket.changes),
            handled: false,
        });
    }

    fn deliver(&mut self, index: usize) {
        let Event { of, payload, .. } = &self.events[index];
        let handled: Pin<Box<dyn Future<Output = bool>>> = match of {
            Source::Creation => {
                let function = self.created.clone();
                let event: Notification = serde_json::from_value(payload.clone()).unwrap();
                Box::pin(async move { function.handle(event).await.is_ok() })
            }
            Source::Removal => {
                let function = self.removed.clone();
                let event: Notification = serde_json::from_value(payload.clone()).unwrap();
                Box::pin(async move { function.handle(event).await.is_ok() })
            }
            Source::JobEnd => {
                let function = self.ended.clone();
                let event: Completion = serde_json::from_value(payload.clone()).unwrap();
                Box::pin(async move { function.handle(event).await.is_ok() })
            }
        };
        let event = Some(index);
        self.invocations.push(Invocation { event, handled });
    }

    fn label_by_hand(&mut self, key: &ObjectKey) {
        if MediaType::of(key) == Some(MediaType::Video) {
            self.bucket.borrow_mut().add_job(key, None);
            return;
        }
        let function = self.by_hand.clone();
        let payload = json!({"Bucket": BUCKET, "Key": key.as_str()});
        self.invocations.push(Invocation {
            event: None,
            handled: Box::pin(async move { function.handle(payload).await.is_ok() }),
        });
    }

    /// A job looks at its video, and the next time it ends.
    fn work(&mut self, number: usize) {
        let mut bucket = self.bucket.borrow_mut();
        if bucket.jobs[number].seen.is_none() {
            let throttled = std::mem::take(&mut bucket.throttled);
            let key = bucket.jobs[number].key.clone();
            bucket.jobs[number].seen = Some(bucket.look_at(&key));
            bucket.throttled = throttled;
            return;
        }
        let job = &mut bucket.jobs[number];
        job.ended = true;
        self.events.push(Event {
            of: Source::JobEnd,
            payload: completion(number, job),
            handled: false,
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
            let running = self.bucket.borrow().running();
            let possible = due.len() + running.len() + self.invocations.len();
            if possible == 0 {
                return;
            }
            let chosen = choice.index(possible);
            if let Some(&event) = due.get(chosen) {
                self.deliver(event);
            } else if let Some(&job) = running.get(chosen - due.len()) {
                self.work(job);
            } else {
                self.go_on(chosen - due.len() - running.len());
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let bucket = self.bucket.borrow();
        for index in 0..KEYS.len() {
            let key = key(index);
            let (labels, fails) = match bucket.objects.get(&key) {
                Some(Object::Readable(number)) => (Some(label(*number)), false),
                Some(Object::Garbage) => (None, true),
                None => (None, false),
            };
            let found = self.catalogue.item(&key).map(|item| item.labels);
            prop_assert_eq!(found, labels, "{}", key);
            let state = self.catalogue.state(&key);
            let state = pin!(state).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(state)) = state else {
                panic!("memory answers at once");
            };
            let failure = state.and_then(|state| state.failure);
            prop_assert_eq!(failure.is_some(), fails, "{}", key);
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
