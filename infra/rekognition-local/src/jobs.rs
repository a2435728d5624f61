//! Jobs: videos that are being labelled, and what was found in those that have been.
//!
//! A job has a thread of its own. It is not one of the runtime's: those would be waited for when the program ends.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    general_labels::Label,
    job::{Job, JobId, KeptJob, KeptOutcome, LabelledFrame, StartRequest, State, Timeline},
    labeller::Labeller,
    objects,
    protocol::{ApiError, ErrorKind},
    sns::{Completion, Publisher},
    video,
};

/// Jobs that run at the same time; the others wait. Labelling one frame keeps all processors busy.
const MAX_RUNNING_JOBS: usize = 2;

/// Finished jobs that are remembered. AWS remembers them for seven days.
const MAX_FINISHED_JOBS: usize = 1000;

/// Labels that all finished jobs together may hold before the oldest are forgotten: some 200 MB.
const MAX_REMEMBERED_LABELS: usize = 1_000_000;

/// Labels of one frame that are kept, the most confident ones. With a `MinConfidence` of 0 there would be a thousand.
const MAX_LABELS_PER_FRAME: usize = 100;

/// Starts, runs and remembers jobs.
pub struct Jobs {
    labeller: Arc<Labeller>,
    s3: aws_sdk_s3::Client,
    publisher: Publisher,
    running: Semaphore,
    store: Mutex<Store>,
    begun: AtomicU64,
    ended: AtomicU64,
}

struct Store {
    /// Jobs that may be waiting or running.
    max_unfinished: usize,
    jobs: HashMap<JobId, Job>,
    by_token: HashMap<String, JobId>,
    /// The oldest first.
    finished: VecDeque<JobId>,
    /// Finished jobs whose end was published, or need not be.
    told: HashSet<JobId>,
    remembered_labels: usize,
}

impl Jobs {
    /// No jobs yet, and no more than `max_unfinished` at a time. Videos are read through `s3`, and their end is told
    /// through `publisher`.
    #[must_use]
    pub fn new(
        labeller: Arc<Labeller>,
        s3: aws_sdk_s3::Client,
        publisher: Publisher,
        max_unfinished: usize,
    ) -> Self {
        Self {
            labeller,
            s3,
            publisher,
            running: Semaphore::new(MAX_RUNNING_JOBS),
            store: Mutex::new(Store::new(max_unfinished)),
            begun: AtomicU64::default(),
            ended: AtomicU64::default(),
        }
    }

    /// The job that an equal request with the same token started, if there was one.
    ///
    /// # Errors
    /// Another request with this token started one.
    pub fn find(&self, request: &StartRequest) -> Result<Option<JobId>, ApiError> {
        self.store().find(request)
    }

    /// Starts a job, unless an equal request with the same token has done so.
    ///
    /// # Errors
    /// Another request with the same token started a job, or too many are unfinished.
    pub fn start(self: &Arc<Self>, request: StartRequest) -> Result<JobId, ApiError> {
        let job = match self.store().add(request)? {
            Added::Before(id) => return Ok(id),
            Added::Now(job) => job,
        };
        let id = job.id.clone();
        self.spawn(Self::run, job);
        Ok(id)
    }

    fn spawn<W: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>, Job) -> W,
        job: Job,
    ) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (jobs, work) = (Arc::clone(self), work(Arc::clone(self), job));
        tokio::spawn(async move {
            work.await;
            jobs.ended.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// All jobs as JSON, for [`Self::take_up`].
    ///
    /// # Errors
    /// There is not JSON of them.
    pub fn kept(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self.store().kept())
    }

    /// Goes on with the jobs of an earlier run: starts those anew that had not ended, and tells the end of those whose
    /// end was not told.
    ///
    /// # Errors
    /// The JSON is not that of [`Self::kept`].
    pub fn take_up(self: &Arc<Self>, kept: &[u8]) -> serde_json::Result<()> {
        let kept: Vec<KeptJob<StartRequest, Timeline>> = serde_json::from_slice(kept)?;
        for KeptJob {
            id,
            request,
            outcome,
            is_told,
        } in kept
        {
            let job = Job {
                id,
                request: Arc::new(request),
                state: outcome.map_or(State::InProgress, State::from),
            };
            self.store().take_up(job.clone(), is_told);
            match job.state {
                State::InProgress => self.spawn(Self::run, job),
                State::Succeeded(_) | State::Failed(_) if !is_told => self.spawn(Self::tell, job),
                State::Succeeded(_) | State::Failed(_) => {}
            }
        }
        Ok(())
    }

    /// How many jobs have begun, and how many have ended and told it.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        // In this order, no job has ended that is not counted as begun.
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst), ended)
    }

    /// A job as it is now.
    ///
    /// # Errors
    /// There is no such job, or it has been forgotten.
    pub fn get(&self, id: &JobId) -> Result<Job, ApiError> {
        self.store().jobs.get(id).cloned().ok_or_else(|| {
            ApiError::new(ErrorKind::ResourceNotFound, format!("there is no job {id}"))
        })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing is left half done in there by a panic.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, job: Job) {
        let result = match self.running.acquire().await {
            Ok(_running) => self.label(&job).await,
            Err(closed) => Err(closed.to_string()),
        };
        let state = match result {
            Ok(timeline) => State::Succeeded(Arc::new(timeline)),
            Err(reason) => {
                tracing::warn!("job {} failed: {reason}", job.id);
                State::Failed(reason.into())
            }
        };
        let job = Job { state, ..job };
        self.store().finish(job.clone());
        self.tell(job).await;
    }

    async fn tell(self: Arc<Self>, job: Job) {
        if let Some(channel) = &job.request.channel {
            self.publisher.publish(channel, &Completion::of(&job)).await;
        }
        self.store().told.insert(job.id);
    }

    /// What a job finds, or why it fails.
    async fn label(&self, job: &Job) -> Result<Timeline, String> {
        let (request, started) = (Arc::clone(&job.request), Instant::now());
        let mut file = objects::copy_video(&self.s3, &request.video)
            .await
            .map_err(|error| error.message)?;
        let labeller = Arc::clone(&self.labeller);
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name("video".to_owned())
            .spawn(move || {
                // Nobody is there to be told any more when the program ends.
                let _ = sender.send(timeline(&labeller, &request, &mut file));
            })
            .map_err(|error| format!("no thread for the job: {error}"))?;
        let timeline = receiver
            .await
            .map_err(|_| "labelling the video failed unexpectedly; the log says why".to_owned())?
            .map_err(|error| error.to_string())?;
        tracing::info!(
            "job {}: {} frames in {} ms",
            job.id,
            timeline.frames.len(),
            started.elapsed().as_millis()
        );
        Ok(timeline)
    }
}

fn timeline(
    labeller: &Labeller,
    request: &StartRequest,
    file: &mut std::fs::File,
) -> Result<Timeline, video::VideoError> {
    let mut frames = Vec::new();
    let metadata = video::open(file)?.sample(file, |millis, picture| {
        let labels = labeller.detect(picture);
        let labels = labels
            .iter()
            .take_while(|found| found.confidence >= request.min_confidence)
            .filter(|found| request.settings.admit(found.label))
            .take(MAX_LABELS_PER_FRAME)
            .map(|found| Label::new(found, request.min_confidence));
        frames.push(LabelledFrame {
            millis,
            labels: labels.collect(),
        });
    })?;
    frames.sort_by_key(|frame| frame.millis);
    Ok(Timeline { metadata, frames })
}

/// The outcome of [`Store::add`].
#[derive(Debug)]
enum Added {
    Before(JobId),
    Now(Job),
}

impl Store {
    fn new(max_unfinished: usize) -> Self {
        Self {
            max_unfinished,
            jobs: HashMap::new(),
            by_token: HashMap::new(),
            finished: VecDeque::new(),
            told: HashSet::new(),
            remembered_labels: 0,
        }
    }

    fn find(&self, request: &StartRequest) -> Result<Option<JobId>, ApiError> {
        let id = request
            .token
            .as_ref()
            .and_then(|token| self.by_token.get(token));
        match id.and_then(|id| self.jobs.get(id)) {
            None => Ok(None),
            Some(job) if *job.request == *request => Ok(Some(job.id.clone())),
            Some(job) => Err(ApiError::new(
                ErrorKind::IdempotentParameterMismatch,
                format!(
                    "the ClientRequestToken started job {} with other parameters",
                    job.id
                ),
            )),
        }
    }

    fn add(&mut self, request: StartRequest) -> Result<Added, ApiError> {
        if let Some(id) = self.find(&request)? {
            return Ok(Added::Before(id));
        }
        if self.jobs.len() - self.finished.len() >= self.max_unfinished {
            return Err(ApiError::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{} jobs are waiting or running; try again when one has ended",
                    self.max_unfinished
                ),
            ));
        }
        let job = Job {
            id: JobId::random(),
            request: Arc::new(request),
            state: State::InProgress,
        };
        if let Some(token) = &job.request.token {
            self.by_token.insert(token.clone(), job.id.clone());
        }
        self.jobs.insert(job.id.clone(), job.clone());
        Ok(Added::Now(job))
    }

    /// Finished ones first, the oldest before the others.
    fn kept(&self) -> Vec<KeptJob<&StartRequest, &Timeline>> {
        let is_unfinished = |id: &&JobId| matches!(self.jobs[*id].state, State::InProgress);
        let unfinished = self.jobs.keys().filter(is_unfinished);
        let jobs = self.finished.iter().chain(unfinished);
        jobs.map(|id| &self.jobs[id])
            .map(|job| KeptJob {
                id: job.id.clone(),
                request: &*job.request,
                outcome: job.outcome(),
                is_told: self.told.contains(&job.id),
            })
            .collect()
    }

    fn take_up(&mut self, job: Job, is_told: bool) {
        if let Some(token) = &job.request.token {
            self.by_token.insert(token.clone(), job.id.clone());
        }
        if is_told {
            self.told.insert(job.id.clone());
        }
        match job.state {
            State::InProgress => {
                self.jobs.insert(job.id.clone(), job);
            }
            State::Succeeded(_) | State::Failed(_) => self.finish(job),
        }
    }

    fn finish(&mut self, job: Job) {
        self.remembered_labels += job.label_count();
        self.finished.push_back(job.id.clone());
        self.jobs.insert(job.id.clone(), job);
        // The job that has just finished stays, however many labels it has.
        while self.finished.len() > MAX_FINISHED_JOBS
            || self.remembered_labels > MAX_REMEMBERED_LABELS && self.finished.len() > 1
        {
            let Some(job) = self
                .finished
                .pop_front()
                .and_then(|id| self.jobs.remove(&id))
            else {
                return;
            };
            self.remembered_labels -= job.label_count();
            self.told.remove(&job.id);
            if let Some(token) = &job.request.token {
                self.by_token.remove(token);
            }
        }
    }
}

impl From<KeptOutcome<Timeline>> for State {
    fn from(outcome: KeptOutcome<Timeline>) -> Self {
        match outcome {
            KeptOutcome::Succeeded(timeline) => Self::Succeeded(Arc::new(timeline)),
            KeptOutcome::Failed(reason) => Self::Failed(reason.into()),
        }
    }
}

impl Job {
    fn outcome(&self) -> Option<KeptOutcome<&Timeline>> {
        match &self.state {
            State::InProgress => None,
            State::Succeeded(timeline) => Some(KeptOutcome::Succeeded(timeline)),
            State::Failed(reason) => Some(KeptOutcome::Failed(reason.to_string())),
        }
    }

    fn label_count(&self) -> usize {
        match &self.state {
            State::Succeeded(timeline) => {
                timeline.frames.iter().map(|frame| frame.labels.len()).sum()
            }
            State::InProgress | State::Failed(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(token: Option<&str>, tag: &str) -> StartRequest {
        let body = json!({
            "Video": {"S3Object": {"Bucket": "videos", "Name": "a.mp4"}},
            "ClientRequestToken": token,
            "JobTag": tag,
        });
        StartRequest::parse(body.to_string().as_bytes()).unwrap()
    }

    fn add(store: &mut Store, token: Option<&str>, tag: &str) -> Job {
        match store.add(request(token, tag)).unwrap() {
            Added::Now(job) => job,
            Added::Before(id) => panic!("{id} was there before"),
        }
    }

    fn fail(store: &mut Store, job: Job) {
        store.finish(Job {
            state: State::Failed("no reason".into()),
            ..job
        });
    }

    #[test]
    fn a_token_starts_one_job() {
        let mut store = Store::new(20);
        let job = add(&mut store, Some("once"), "a");
        assert!(
            matches!(store.add(request(Some("once"), "a")), Ok(Added::Before(id)) if id == job.id)
        );
        let mismatch = store.add(request(Some("once"), "b")).unwrap_err();
        assert_eq!(mismatch.kind, ErrorKind::IdempotentParameterMismatch);
        assert_ne!(add(&mut store, Some("twice"), "a").id, job.id);
        assert_ne!(add(&mut store, None, "a").id, add(&mut store, None, "a").id);
        // Also when it has ended.
        fail(&mut store, job.clone());
        assert_eq!(
            store.find(&request(Some("once"), "a")).unwrap(),
            Some(job.id)
        );
    }

    #[test]
    fn unfinished_jobs_are_limited() {
        let mut store = Store::new(20);
        let jobs: Vec<_> = (0..20).map(|_| add(&mut store, None, "a")).collect();
        assert_eq!(
            store.add(request(None, "a")).unwrap_err().kind,
            ErrorKind::LimitExceeded
        );
        fail(&mut store, jobs[0].clone());
        add(&mut store, None, "a");
    }

    #[test]
    fn the_oldest_finished_jobs_are_forgotten_with_their_tokens() {
        let mut store = Store::new(20);
        let unfinished = add(&mut store, None, "a");
        for index in 0..=MAX_FINISHED_JOBS {
            let job = add(&mut store, Some(&index.to_string()), "a");
            fail(&mut store, job);
        }
        assert_eq!(store.jobs.len(), MAX_FINISHED_JOBS + 1);
        assert!(store.jobs.contains_key(&unfinished.id));
        assert_eq!(store.find(&request(Some("0"), "a")).unwrap(), None);
        assert!(store.find(&request(Some("1"), "a")).unwrap().is_some());
    }

    #[test]
    fn jobs_that_are_taken_up_are_as_far_as_they_were() {
        let mut store = Store::new(20);
        let (told, untold) = (add(&mut store, Some("1"), "a"), add(&mut store, None, "b"));
        let unfinished = add(&mut store, Some("3"), "c");
        fail(&mut store, told.clone());
        fail(&mut store, untold.clone());
        store.told.insert(told.id.clone());
        let text = serde_json::to_vec(&store.kept()).unwrap();
        let kept: Vec<KeptJob<StartRequest, Timeline>> = serde_json::from_slice(&text).unwrap();
        let seen = kept
            .iter()
            .map(|job| (&job.id, job.outcome.is_some(), job.is_told));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [
                (&told.id, true, true),
                (&untold.id, true, false),
                (&unfinished.id, false, false)
            ]
        );
        let mut later = Store::new(20);
        for job in kept {
            let state = job.outcome.map_or(State::InProgress, State::from);
            let request = Arc::new(job.request);
            let id = job.id;
            later.take_up(Job { id, request, state }, job.is_told);
        }
        assert_eq!(serde_json::to_vec(&later.kept()).unwrap(), text);
        let again = later.add(request(Some("3"), "c")).unwrap();
        assert!(matches!(again, Added::Before(id) if id == unfinished.id));
    }
}
