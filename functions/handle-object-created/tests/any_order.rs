//! Whatever the order in which events come, however often, and whatever runs beside
//! them, the catalogue ends as the bucket does.
//!
//! Objects are stored and deleted, someone labels an object by hand, a job looks at its video
//! or ends, the message of a job that has ended is lost, and what Rekognition does not take waits
//! for its turn. What becomes of events and invocations is `runtime::testing::interleaving`'s.

#![allow(clippy::unwrap_used, reason = "a test, although without cfg(test)")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use add_video_file::AddVideoFile;
use detect_labels::DetectLabels;
use find_lost_jobs::FindLostJobs;
use handle_object_created::HandleObjectCreated;
use handle_object_removed::HandleObjectRemoved;
use label_waiting::LabelWaiting;
use media::catalogue::{Catalogue, CatalogueError, ObjectChange, Outcome, State};
use media::detector::{DetectError, Failure, JobId, LabelDetector, VideoJobs, VideoResults};
use media::labelling::Labelling;
use media::running::{NotedJobs, RunningJob, RunningJobs};
use media::testing::{MemoryCatalogue, MemoryJobs};
use media::waiting::{WaitError, WaitingLine, WaitingObject};
use media::{MediaItem, MediaType};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use runtime::s3::{BucketName, ObjectEvent, ObjectKey, Sequencer};
use runtime::schedule::ScheduleEvent;
use runtime::testing::interleaving::{
    Faults, Handling, Outbox, Retries, Scenario, Slow, World, any_history, any_turns, pause,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const BUCKET: &str = "bucket";
const KEYS: [&str; 5] = [
    "plain.jpg",
    "a b+c%.jpeg",
    "holiday/é 🐕.PNG",
    "clip.mp4",
    "é 🐕+%2F.MOV",
];

/// How long a job looks for its video, and how long it looks at it, as invocations go.
const JOB_STEPS: usize = 5;

/// Of so many jobs, one's message is lost.
const LOST: usize = 3;

#[derive(Debug, Clone)]
enum Act {
    Put { key: usize, is_readable: bool },
    Delete { key: usize },
    LabelByHand { key: usize },
}

fn any_act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS.len();
    prop_oneof![
        4 => (key.clone(), prop::bool::weighted(0.8))
            .prop_map(|(key, is_readable)| Act::Put { key, is_readable }),
        2 => key.clone().prop_map(|key| Act::Delete { key }),
        3 => key.prop_map(|key| Act::LabelByHand { key }),
    ]
}

/// An event, by the function that gets it.
#[derive(Debug, Clone)]
enum Event {
    Created(Value),
    Removed(Value),
    JobEnded(Value),
    Waiting(Value),
    /// A job's message was lost. The schedule fires until the job is recorded.
    Overdue(usize),
}

/// The bucket, as S3 has it at this moment, and the jobs that look into it.
struct Bucket {
    objects: BTreeMap<ObjectKey, Object>,
    jobs: Vec<Job>,
    changes: u32,
    outbox: Outbox<Event>,
}

type SharedBucket = Rc<RefCell<Bucket>>;

#[derive(Debug, Clone, Copy)]
enum Object {
    /// An image or video on which one label is seen, of this number.
    Readable(u32),
    /// Neither, whatever its name says.
    Garbage,
}

/// A job of Rekognition's. Its id is its number.
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

/// The catalogue and the bucket, as functions reach them.
type SlowCatalogue = Slow<MemoryCatalogue>;
type SlowBucket = Slow<SharedBucket>;
type SlowJobs = Slow<MemoryJobs>;

/// A service as functions reach it. The ports and `Slow` are other crates'.
#[derive(Debug, Clone)]
struct Reached<S>(S);

impl Catalogue for Reached<SlowCatalogue> {
    async fn state(&self, name: &ObjectKey) -> Result<Option<State>, CatalogueError> {
        let state = async |catalogue: &MemoryCatalogue| catalogue.state(name).await;
        self.0.call(unreachable_catalogue, state).await
    }

    async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
        let record = async |catalogue: &MemoryCatalogue| catalogue.record(change).await;
        self.0.call(unreachable_catalogue, record).await
    }

    async fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> Result<Outcome, CatalogueError> {
        let save = async |catalogue: &MemoryCatalogue| catalogue.save(item, seen).await;
        self.0.call(unreachable_catalogue, save).await
    }
}

impl RunningJobs for Reached<SlowJobs> {
    async fn note(&self, job: &RunningJob) -> Result<(), CatalogueError> {
        let note = async |jobs: &MemoryJobs| jobs.note(job).await;
        self.0.call(unreachable_catalogue, note).await
    }

    async fn list(&self) -> Result<Vec<RunningJob>, CatalogueError> {
        let list = async |jobs: &MemoryJobs| jobs.list().await;
        self.0.call(unreachable_catalogue, list).await
    }

    async fn forget(&self, job: &JobId) -> Result<(), CatalogueError> {
        let forget = async |jobs: &MemoryJobs| jobs.forget(job).await;
        self.0.call(unreachable_catalogue, forget).await
    }
}

impl LabelDetector for Reached<SlowBucket> {
    async fn detect(&self, _: &BucketName, key: &ObjectKey) -> Result<Vec<String>, DetectError> {
        let look = async |bucket: &SharedBucket| bucket.borrow().look_at(key);
        self.0.call(throttled, look).await
    }
}

impl VideoJobs for Reached<SlowBucket> {
    async fn start(
        &self,
        _: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> Result<JobId, DetectError> {
        let start = async |bucket: &SharedBucket| start_job(bucket, key, sequencer);
        self.0.call(throttled, start).await
    }
}

impl VideoResults for Reached<SlowBucket> {
    async fn labels(&self, job: &JobId) -> Result<Vec<String>, DetectError> {
        let result = async |bucket: &SharedBucket| bucket.borrow().result_of(job);
        self.0.call(unreachable_results, result).await
    }
}

/// The queues. What is sent to them comes from them.
type SlowLine = Slow<Outbox<Event>>;

impl WaitingLine for Reached<SlowLine> {
    async fn wait(&self, _: MediaType, event: &ObjectEvent) -> Result<(), WaitError> {
        let no_answer = || WaitError::of(event, "no answer");
        let send = async |outbox: &Outbox<Event>| {
            outbox.emit(Event::Waiting(message(event)));
            Ok(())
        };
        self.0.call(no_answer, send).await
    }
}

fn unreachable_catalogue() -> CatalogueError {
    CatalogueError {
        action: "reach",
        name: "an item".into(),
        reason: "no answer".into(),
    }
}

fn throttled() -> DetectError {
    DetectError::Throttled(Failure {
        code: "ThrottlingException".into(),
        message: "slow down".into(),
    })
}

fn unreachable_results() -> DetectError {
    DetectError::Retryable("no answer".into())
}

fn permanent<T>(code: &str) -> Result<T, DetectError> {
    Err(DetectError::Permanent(Failure {
        code: code.into(),
        message: "no".into(),
    }))
}

impl Bucket {
    fn look_at(&self, key: &ObjectKey) -> Result<Vec<String>, DetectError> {
        match self.objects.get(key) {
            Some(Object::Readable(number)) => Ok(label(*number)),
            Some(Object::Garbage) => permanent("InvalidImageFormatException"),
            None => permanent("InvalidS3ObjectException"),
        }
    }

    fn result_of(&self, job: &JobId) -> Result<Vec<String>, DetectError> {
        let job = &self.jobs[job.as_str().parse::<usize>().unwrap()];
        if !job.ended {
            return Err(DetectError::Running);
        }
        job.seen.clone().unwrap()
    }
}

fn start_job(
    bucket: &SharedBucket,
    key: &ObjectKey,
    sequencer: &Sequencer,
) -> Result<JobId, DetectError> {
    let of_change = |job: &Job| job.key == *key && job.sequencer.as_ref() == Some(sequencer);
    let started = bucket.borrow().jobs.iter().position(of_change);
    let number = match started {
        Some(number) => number,
        None if bucket.borrow().objects.contains_key(key) => {
            add_job(bucket, key, Some(sequencer.clone()))
        }
        None => return permanent("InvalidS3ObjectException"),
    };
    Ok(JobId::new(number.to_string()))
}

fn add_job(bucket: &SharedBucket, key: &ObjectKey, sequencer: Option<Sequencer>) -> usize {
    let mut contents = bucket.borrow_mut();
    let number = contents.jobs.len();
    contents.jobs.push(Job {
        key: key.clone(),
        sequencer,
        seen: None,
        ended: false,
    });
    contents.outbox.work(work(bucket.clone(), number));
    number
}

/// A job looks at its video once, and ends later.
async fn work(bucket: SharedBucket, number: usize) {
    for _ in 0..JOB_STEPS {
        pause().await;
    }
    {
        let mut bucket = bucket.borrow_mut();
        let seen = bucket.look_at(&bucket.jobs[number].key);
        bucket.jobs[number].seen = Some(seen);
    }
    for _ in 0..JOB_STEPS {
        pause().await;
    }
    let mut bucket = bucket.borrow_mut();
    bucket.jobs[number].ended = true;
    let job = &bucket.jobs[number];
    let event = if job.sequencer.is_some() && number.is_multiple_of(LOST) {
        Event::Overdue(number)
    } else {
        Event::JobEnded(completion(number, job))
    };
    bucket.outbox.emit(event);
}

type Jobs = NotedJobs<Reached<SlowBucket>, Reached<SlowJobs>>;

type Created =
    HandleObjectCreated<Reached<SlowCatalogue>, Reached<SlowBucket>, Jobs, Reached<SlowLine>>;

type Waiting = LabelWaiting<Reached<SlowCatalogue>, Reached<SlowBucket>, Jobs, Reached<SlowLine>>;

/// The functions, and what they work on.
struct Library {
    bucket: SharedBucket,
    catalogue: MemoryCatalogue,
    outbox: Outbox<Event>,
    created: Rc<Created>,
    waiting: Rc<Waiting>,
    removed: Rc<HandleObjectRemoved<Reached<SlowCatalogue>>>,
    ended: Rc<AddVideoFile<Reached<SlowCatalogue>, Reached<SlowJobs>, Reached<SlowBucket>>>,
    overdue: Rc<FindLostJobs<Reached<SlowCatalogue>, Reached<SlowJobs>, Reached<SlowBucket>>>,
    by_hand: Rc<DetectLabels<Reached<SlowCatalogue>, Reached<SlowBucket>>>,
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

/// A batch of one message with the change of an object that waits.
fn message(event: &ObjectEvent) -> Value {
    let body = serde_json::to_string(&WaitingObject::from(event)).unwrap();
    json!({"Records": [{"messageId": "1", "body": body}]})
}

fn read<T: DeserializeOwned>(payload: Value) -> T {
    serde_json::from_value(payload).unwrap()
}

impl Library {
    fn new(outbox: &Outbox<Event>, faults: &Faults) -> Self {
        let bucket = Rc::new(RefCell::new(Bucket {
            objects: BTreeMap::new(),
            jobs: Vec::new(),
            changes: 0,
            outbox: outbox.clone(),
        }));
        let catalogue = MemoryCatalogue::default();
        let slow_catalogue = Reached(Slow::new(catalogue.clone(), faults));
        let slow_bucket = Reached(Slow::new(bucket.clone(), faults));
        let slow_line = Reached(Slow::new(outbox.clone(), faults));
        let running = Reached(Slow::new(MemoryJobs::default(), faults));
        let name = BucketName::new(BUCKET);
        let labelling = || Labelling {
            bucket: name.clone(),
            catalogue: slow_catalogue.clone(),
            detector: slow_bucket.clone(),
            jobs: NotedJobs {
                jobs: slow_bucket.clone(),
                running: running.clone(),
            },
        };
        Self {
            created: Rc::new(HandleObjectCreated {
                labelling: labelling(),
                waiting: slow_line.clone(),
            }),
            waiting: Rc::new(LabelWaiting {
                labelling: labelling(),
                waiting: slow_line,
            }),
            removed: Rc::new(HandleObjectRemoved {
                bucket: name.clone(),
                catalogue: slow_catalogue.clone(),
            }),
            ended: Rc::new(AddVideoFile {
                bucket: name.clone(),
                catalogue: slow_catalogue.clone(),
                running: running.clone(),
                results: slow_bucket.clone(),
            }),
            overdue: Rc::new(FindLostJobs {
                catalogue: slow_catalogue.clone(),
                running,
                results: slow_bucket.clone(),
            }),
            by_hand: Rc::new(DetectLabels {
                bucket: name,
                catalogue: slow_catalogue,
                detector: slow_bucket,
            }),
            bucket,
            catalogue,
            outbox: outbox.clone(),
        }
    }

    fn put(&self, key: &ObjectKey, is_readable: bool) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        let number = bucket.changes;
        let object = if is_readable {
            Object::Readable(number)
        } else {
            Object::Garbage
        };
        bucket.objects.insert(key.clone(), object);
        let event = notification("ObjectCreated:Put", key, number);
        self.outbox.emit(Event::Created(event));
    }

    fn delete(&self, key: &ObjectKey) {
        let mut bucket = self.bucket.borrow_mut();
        bucket.changes += 1;
        bucket.objects.remove(key);
        let event = notification("ObjectRemoved:Delete", key, bucket.changes);
        self.outbox.emit(Event::Removed(event));
    }

    fn label_by_hand(&self, key: &ObjectKey) {
        if MediaType::of(key) == Some(MediaType::Video) {
            add_job(&self.bucket, key, None);
            return;
        }
        let function = self.by_hand.clone();
        let payload = json!({"Bucket": BUCKET, "Key": key.as_str()});
        self.outbox
            .invoke(async move { _ = function.handle(payload).await });
    }

    /// Whether the change that a job was started for is recorded, or a later one.
    fn is_recorded(bucket: &SharedBucket, catalogue: &MemoryCatalogue, number: usize) -> bool {
        let job = &bucket.borrow().jobs[number];
        let state = state_of(catalogue, &job.key);
        let sequencer = job.sequencer.as_ref().unwrap();
        state.is_some_and(|state| state.supersedes(sequencer))
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
            let failure = state_of(&self.catalogue, &key).and_then(|state| state.failure);
            prop_assert_eq!(failure.is_some(), fails, "{}", key);
        }
        Ok(())
    }
}

fn state_of(catalogue: &MemoryCatalogue, key: &ObjectKey) -> Option<State> {
    let state = pin!(catalogue.state(key)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(state)) = state else {
        panic!("memory answers at once");
    };
    state
}

/// The schedule fires, an hour from now.
fn in_an_hour() -> ScheduleEvent {
    ScheduleEvent {
        schedule: "find-lost-jobs".into(),
        scheduled_time: SystemTime::now() + Duration::from_secs(60 * 60),
        execution_id: "1".into(),
    }
}

impl Scenario for Library {
    type Act = Act;
    type Event = Event;

    fn act(&mut self, act: &Act) {
        match act {
            Act::Put {
                key: index,
                is_readable,
            } => self.put(&key(*index), *is_readable),
            Act::Delete { key: index } => self.delete(&key(*index)),
            Act::LabelByHand { key: index } => self.label_by_hand(&key(*index)),
        }
    }

    fn invoke(&self, batch: Vec<Event>) -> Handling {
        let (created, removed) = (self.created.clone(), self.removed.clone());
        let (ended, waiting) = (self.ended.clone(), self.waiting.clone());
        let overdue = self.overdue.clone();
        let (bucket, catalogue) = (self.bucket.clone(), self.catalogue.clone());
        Box::pin(async move {
            let mut handled = 0;
            for event in batch {
                let is_handled = match event {
                    Event::Created(payload) => created.handle(read(payload)).await.is_ok(),
                    Event::Removed(payload) => removed.handle(read(payload)).await.is_ok(),
                    Event::JobEnded(payload) => ended.handle(read(payload)).await.is_ok(),
                    Event::Waiting(payload) => {
                        let response = waiting.handle(read(payload)).await;
                        response.is_ok_and(|response| response.failed().is_empty())
                    }
                    Event::Overdue(number) => {
                        overdue.handle(in_an_hour()).await.is_ok()
                            && Self::is_recorded(&bucket, &catalogue, number)
                    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_catalogue_ends_as_the_bucket_does(
        history in any_history(any_act(), 1..2, 100),
        turns in any_turns(),
    ) {
        let mut world = World::new(Retries::UntilHandled, Library::new);
        world.run(&history, &turns);
        world.scenario().check()?;
    }
}
