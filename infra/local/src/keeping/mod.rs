//! Keeps a stage's data: writes it down while the stage runs, for a later start to begin with.
//!
//! A state is what all parts of the stage know at one moment: the emulator has most of it (`keeping.py`), the stream
//! poller its positions, the scheduler what it has fired, the local Rekognition its jobs. They are asked one after the
//! other, in an order in which nothing falls between two of them:
//!
//! 1. The poller, the scheduler and the local Rekognition say what is done. The effects of that are in the emulator.
//! 2. The emulator is cut.
//! 3. The local Rekognition says which jobs there are. A job that the emulator's data names is among them.
//!
//! So what ends between the first step and the second is done again after a start. That is the promise of AWS's event
//! sources, too: at least once.

mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

pub use self::state::KeptState;
use self::state::{KeptFile, Taken};
use crate::inquiry::Inquiry;
use crate::scheduler::{FiredUntil, Firings};
use crate::server::BoxError;
use crate::stream_poller::{Position, Positions};
use crate::{Emulator, Error, Scheduler, StreamPoller, create_private_folder};

/// How often the state is written, if something has changed. After SIGKILL, what was written last is at most so old, and
/// as old as it takes to write it.
const INTERVAL: Duration = Duration::from_secs(2);

/// What a stage begins with, and where its data is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keeping<'a> {
    /// The app's stack, without which data is of no use.
    pub stack: &'a str,
    /// A folder with the [`KeptState`] to begin with.
    pub from: Option<&'a Path>,
    /// The folder to keep the data in.
    pub into: Option<&'a Path>,
}

/// A state that a stage begins with.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) state: KeptState,
    folder: PathBuf,
}

impl Keeping<'_> {
    /// Reads and checks the state to begin with.
    pub(crate) fn begin(&self, region: &str) -> Result<Option<Begin>, Error> {
        let Some(folder) = self.from else {
            return Ok(None);
        };
        let Some(state) = KeptState::read(folder)? else {
            return Ok(None);
        };
        state.check(folder, self.stack, region)?;
        let folder = folder.to_owned();
        Ok(Some(Begin { state, folder }))
    }
}

impl Begin {
    /// What the emulator wrote.
    pub(crate) fn file_of_emulator(&self) -> PathBuf {
        self.state.file_of_emulator(&self.folder)
    }

    /// What the local Rekognition said, if there was one.
    pub(crate) fn file_of_jobs(&self) -> Option<PathBuf> {
        self.state.file_of_jobs(&self.folder)
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.state.positions.clone()
    }

    pub(crate) fn fired_until(&self) -> FiredUntil {
        self.state.fired_until.clone()
    }
}

/// Writes states of a stage.
#[derive(Debug)]
pub(crate) struct Keeper {
    inquiry: Inquiry,
    emulator: String,
    rekognition: Option<String>,
    positions: Arc<Positions>,
    firings: Arc<Firings>,
    stack: String,
    region: String,
}

/// The states that are written into a folder, one after the other.
#[derive(Debug)]
pub(crate) struct Series {
    folder: PathBuf,
    number: u64,
    files: BTreeMap<String, KeptFile>,
    /// What the last one was written of.
    last: Option<Seen>,
    /// Whether the folder is written into once only.
    is_single: bool,
}

/// What tells whether something has changed.
#[derive(Debug)]
struct Seen {
    revision: Value,
    positions: Vec<Position>,
    fired_until: FiredUntil,
    counts: Option<Counts>,
}

/// How many video jobs have begun, and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Counts {
    begun: u64,
    ended: u64,
}

/// What `keeping.py` is asked for.
#[derive(Debug, Serialize)]
struct Wish<'a> {
    folder: &'a Path,
    number: u64,
    /// Nothing is written if this is the present one.
    revision: Option<&'a Value>,
    is_single: bool,
    is_last: bool,
}

/// What `keeping.py` answers.
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Answer {
    Failed { error: String },
    Written(Written),
    Unchanged,
}

#[derive(Debug, Deserialize)]
struct Written {
    revision: Value,
    state: String,
    /// All files that the state consists of. Those of earlier states have no value.
    files: BTreeMap<String, Option<KeptFile>>,
    stacks: BTreeMap<String, String>,
    left_out: Vec<String>,
}

impl Series {
    /// Goes on with what the folder holds.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        create_private_folder(folder).map_err(Error::io("create", folder))?;
        // What cannot be read was refused before, if anybody wanted to begin with it.
        let before = KeptState::read(folder).ok().flatten();
        Ok(Self {
            folder: folder.to_owned(),
            number: before.as_ref().map_or(0, |state| state.number),
            files: before.map(|state| state.files).unwrap_or_default(),
            last: None,
            is_single: false,
        })
    }
}

impl Keeper {
    pub(crate) fn new(
        stack: &str,
        region: &str,
        emulator: &Emulator,
        rekognition_port: Option<u16>,
        poller: &StreamPoller,
        scheduler: &Scheduler,
    ) -> Self {
        Self {
            inquiry: Inquiry::new(emulator.keys()),
            emulator: emulator.endpoint().to_owned(),
            rekognition: rekognition_port.map(|port| format!("http://127.0.0.1:{port}/")),
            positions: poller.positions(),
            firings: scheduler.firings(),
            stack: stack.to_owned(),
            region: region.to_owned(),
        }
    }

    /// Has the emulator handle the events that it began with.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        let url = format!("{}/_stage/resume", self.emulator);
        let resumed: Result<Value, BoxError> = self.inquiry.post(&url, &json!({})).await;
        resumed.map(drop).map_err(Error::NotResumed)
    }

    /// Writes the state into a folder of its own.
    pub(crate) async fn snapshot(&self, folder: &Path) -> Result<KeptState, Error> {
        let mut series = Series {
            is_single: true,
            ..Series::new(folder)?
        };
        let state = self.save(&mut series, false).await?;
        state.ok_or_else(|| not_kept(folder, "the emulator wrote no data"))
    }

    /// Never returns: writes the state again and again, and tells when that fails or works again.
    pub(crate) async fn keep(&self, series: &mut Series, tell: impl Fn(Result<(), &Error>)) -> ! {
        let mut has_failed = false;
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.save(series, false).await {
                Ok(_) if has_failed => {
                    has_failed = false;
                    tell(Ok(()));
                }
                Err(error) if !has_failed => {
                    has_failed = true;
                    tell(Err(&error));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Writes the state if something has changed. After the last write, the emulator refuses requests.
    pub(crate) async fn save(
        &self,
        series: &mut Series,
        is_last: bool,
    ) -> Result<Option<KeptState>, Error> {
        let folder = series.folder.clone();
        let failed = |error: BoxError| not_kept(&folder, error);
        let taken_at = Timestamp::now();
        // In this order: see above.
        let positions = self.positions.all();
        let fired_until = self.firings.fired_until();
        let counts = self.counts().await.map_err(failed)?;
        let told = self.jobs().await.map_err(failed)?;
        let last = series.last.as_ref().filter(|last| {
            last.positions == positions && last.fired_until == fired_until && last.counts == counts
        });
        series.number += 1;
        let wish = Wish {
            folder: &folder,
            number: series.number,
            revision: last.map(|last| &last.revision),
            is_single: series.is_single,
            is_last,
        };
        let url = format!("{}/_stage/keep", self.emulator);
        let answer = self
            .inquiry
            .post(&url, &json!(wish))
            .await
            .map_err(failed)?;
        let written = match answer {
            Answer::Failed { error } => return Err(not_kept(&folder, error)),
            Answer::Unchanged => return Ok(None),
            Answer::Written(written) => written,
        };
        for left_out in &written.left_out {
            warn!("the state does not hold {left_out}");
        }
        let jobs = self.jobs().await.map_err(failed)?;
        let jobs = jobs.map(|jobs| as_told(jobs, told.as_ref()));
        let number = series.number;
        let mut files = BTreeMap::new();
        for (name, file) in written.files {
            let file = file.or_else(|| series.files.get(&name).cloned());
            let file = file.ok_or_else(|| not_kept(&folder, format!("{name} is not known")))?;
            files.insert(name, file);
        }
        let taken = || {
            let jobs = match jobs {
                None => None,
                Some(jobs) => {
                    let name = format!("jobs-{number}");
                    let file = KeptFile::write(&folder.join(&name), jobs.to_string().as_bytes())?;
                    files.insert(name.clone(), file);
                    Some(name)
                }
            };
            let taken = Taken {
                taken_at,
                number,
                state: written.state,
                jobs,
                files,
                positions: positions.clone(),
                fired_until: fired_until.clone(),
                templates: written.stacks,
            };
            let state = KeptState::new(&self.stack, &self.region, taken);
            state.commit(&folder)?;
            Ok(state)
        };
        let state = taken().map_err(|error: std::io::Error| not_kept(&folder, error))?;
        series.files.clone_from(&state.files);
        series.last = Some(Seen {
            revision: written.revision,
            positions,
            fired_until,
            counts,
        });
        Ok(Some(state))
    }

    async fn counts(&self) -> Result<Option<Counts>, BoxError> {
        match &self.rekognition {
            None => Ok(None),
            Some(url) => self.inquiry.get(url).await.map(Some),
        }
    }

    async fn jobs(&self) -> Result<Option<Value>, BoxError> {
        match &self.rekognition {
            None => Ok(None),
            Some(url) => self.inquiry.get(&format!("{url}jobs")).await.map(Some),
        }
    }
}

/// The jobs, with the end of those told only that were told before.
fn as_told(mut jobs: Value, before: Option<&Value>) -> Value {
    let before = before.and_then(Value::as_array).map(Vec::as_slice);
    let told: Vec<_> = before
        .unwrap_or_default()
        .iter()
        .filter(|job| job["is_told"] == true)
        .map(|job| &job["id"])
        .collect();
    for job in jobs.as_array_mut().into_iter().flatten() {
        if !told.contains(&&job["id"]) {
            job["is_told"] = false.into();
        }
    }
    jobs
}

fn not_kept(folder: &Path, why: impl std::fmt::Display) -> Error {
    Error::NotKept {
        folder: folder.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_job_that_was_told_after_the_first_look_is_told_again() {
        let jobs = json!([
            {"id": "a", "is_told": true},
            {"id": "b", "is_told": true},
            {"id": "c", "is_told": false},
        ]);
        let before = json!([{"id": "a", "is_told": true}, {"id": "b", "is_told": false}]);
        let told = |jobs: Value| {
            let jobs = jobs.as_array().unwrap().clone();
            jobs.iter()
                .map(|job| job["is_told"] == true)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(as_told(jobs.clone(), Some(&before))),
            [true, false, false]
        );
        assert_eq!(told(as_told(jobs, None)), [false; 3]);
    }
}
