//! Whether the local stage has done everything that was asked of it.
//!
//! Events are handled some time after the request that set them off, and set off others: an
//! upload invokes a function, a job for a video ends with a message, a write to a table becomes a
//! record of its stream. A test that wants to see the effect would have to guess how long to wait.
//! Here every part tells what it has begun and what it has ended:
//!
//! - the emulator, of events (`under_way.py`);
//! - the local Rekognition, if there is one, of video jobs;
//! - the stream poller, of records ([`Activity`]);
//! - the scheduler, of events that it hands to Lambda.
//!
//! Each counts what it takes over before the part that hands it over counts it as ended, so
//! nothing is ever between two parts. The stage is quiet if, after a moment at which nothing was
//! under way, every stream was read to its end, and since that moment nothing has begun.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::traces::Filter;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde::{Deserialize, Serialize};

use crate::inquiry::Inquiry;
use crate::keeping::Keeper;
use crate::keys::random_text;
use crate::news::News;
use crate::scheduler::Firings;
use crate::server::{BoxError, Server, json_response, refusal};
use crate::stream_poller::Activity;
use crate::{Emulator, Error, Scheduler, StreamPoller, Traces};

/// How long one request waits for quiet before it is answered.
const PATIENCE: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(20);

/// What the parts of the stage have still to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Events that a function handles, or will handle again.
    pub events: u64,
    /// Videos that the local Rekognition labels, or will label.
    pub video_jobs: u64,
    /// Shards of streams with records that are not handled, or not read.
    pub shards: u64,
    /// Whether nothing is left to do.
    pub is_quiet: bool,
}

/// Below the URL, what the emulator allowed and denied.
const DECISIONS: &str = "/decisions";

/// Below the URL, where the stage's data is written into a folder.
const SNAPSHOT: &str = "/snapshot";

/// Below the URL, what happened.
const TRACES: &str = "/traces";

/// Below the URL, whether the logs of functions have new lines.
const LOGGED: &str = "/logged";

/// Below the URL, which functions were invoked.
const INVOKED: &str = "/invoked";

/// A server that tells whether the stage is quiet, and what the emulator allowed and denied, and writes down its data.
/// Dropping it stops it.
#[derive(Debug)]
pub struct QuietServer {
    server: Server,
    secret: Arc<str>,
    traces: Traces,
    news: News,
}

impl QuietServer {
    /// Listens on any free port of 127.0.0.1. `rekognition_port` is where the local Rekognition
    /// listens, if there is one.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start(
        emulator: &Emulator,
        rekognition_port: Option<u16>,
        poller: &StreamPoller,
        scheduler: &Scheduler,
        keeper: Arc<Keeper>,
        traces: Traces,
    ) -> Result<Self, Error> {
        let secret: Arc<str> = random_text(40)?.into();
        let news = poller.news();
        let parts = Arc::new(Parts {
            inquiry: Inquiry::new(emulator.keys()),
            emulator: format!("{}/_stage/under-way", emulator.endpoint()),
            decisions: format!("{}/_stage/decisions", emulator.endpoint()),
            rekognition: rekognition_port.map(|port| format!("http://127.0.0.1:{port}/")),
            activity: poller.activity(),
            news: news.clone(),
            firings: scheduler.firings(),
            keeper,
            traces: traces.clone(),
        });
        let path = format!("/{secret}");
        let answer = move |request: Request<Incoming>| {
            let (parts, path) = (Arc::clone(&parts), path.clone());
            async move { Ok::<_, Infallible>(answer(&parts, &path, request).await) }
        };
        Ok(Self {
            server: Server::start("who tells whether the stage is quiet", 0, answer).await?,
            secret,
            traces,
            news,
        })
    }

    /// Where `GET` is answered with [`UnderWay`] as JSON, at once if the stage is quiet, or else
    /// after a moment. The URL is a secret: its path is what the server answers to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.server.port(), self.secret)
    }

    /// Where `GET` is answered with a list of [`Decision`](crate::Decision)s as JSON. A secret,
    /// too.
    #[must_use]
    pub fn decisions_url(&self) -> String {
        self.url() + DECISIONS
    }

    /// Where `POST` with a path as JSON writes the stage's data into that folder, and is answered with the
    /// [`KeptState`](crate::KeptState) as JSON. A secret, too.
    #[must_use]
    pub fn snapshot_url(&self) -> String {
        self.url() + SNAPSHOT
    }

    /// Where `POST` with a [`Filter`] as JSON is answered with a [`Listing`](crate::Listing) as JSON, and below which `GET` of
    /// an identifier is answered with a [`Trace`](::traces::Trace) as JSON, `null` if there is none. A secret, too.
    #[must_use]
    pub fn traces_url(&self) -> String {
        self.url() + TRACES
    }

    /// Where `GET` is answered with Lambda's names of the functions that were invoked, the latest first, as JSON. A secret, too.
    #[must_use]
    pub fn invoked_url(&self) -> String {
        self.url() + INVOKED
    }

    /// Where `GET` is answered with a number as JSON, which changes when the logs of functions get lines, or a call is
    /// denied. With the query `after=NUMBER`, the answer comes when that is no longer the number, or after half a minute. A
    /// secret, too.
    #[must_use]
    pub fn logged_url(&self) -> String {
        self.url() + LOGGED
    }

    /// What happened.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Stops the server.
    pub async fn shutdown(self) {
        self.news.end();
        self.server.shutdown().await;
    }
}

async fn answer(parts: &Parts, path: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Err(stranger) = loopback::admit(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, stranger.message());
    }
    let answer = match request.uri().path().strip_prefix(path) {
        Some("") if request.method() == Method::GET => parts
            .quiet(PATIENCE)
            .await
            .map(|under_way| serde_json::json!(under_way)),
        Some(DECISIONS) if request.method() == Method::GET => {
            parts.inquiry.get(&parts.decisions).await
        }
        Some(LOGGED) if request.method() == Method::GET => {
            let query = request.uri().query().unwrap_or_default();
            let known = query.strip_prefix("after=").and_then(|it| it.parse().ok());
            Ok(serde_json::json!(parts.news.logs(known).await))
        }
        Some(INVOKED) if request.method() == Method::GET => parts.invoked().await,
        Some(TRACES) if request.method() == Method::POST => parts.list(request).await,
        Some(below) if request.method() == Method::GET && below.starts_with(TRACES) => {
            parts.trace(&below[TRACES.len()..]).await
        }
        Some(SNAPSHOT) if request.method() == Method::POST => parts.snapshot(request).await,
        _ => {
            return refusal(
                StatusCode::FORBIDDEN,
                "`cargo xtask wait` has the whole URL",
            );
        }
    };
    match answer {
        Ok(answer) => json_response(StatusCode::OK, &answer),
        Err(error) => refusal(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

struct Parts {
    inquiry: Inquiry,
    emulator: String,
    decisions: String,
    rekognition: Option<String>,
    activity: Arc<Activity>,
    news: News,
    firings: Arc<Firings>,
    keeper: Arc<Keeper>,
    traces: Traces,
}

/// What a part has begun and ended since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Counts {
    begun: u64,
    ended: u64,
}

impl Counts {
    fn under_way(self) -> u64 {
        self.begun.saturating_sub(self.ended)
    }
}

/// All parts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    firings: Counts,
    events: Counts,
    video_jobs: Counts,
    pages: u64,
}

impl Parts {
    async fn snapshot(&self, request: Request<Incoming>) -> Result<serde_json::Value, BoxError> {
        let folder = request.into_body().collect().await?.to_bytes();
        let folder: PathBuf = serde_json::from_slice(&folder)?;
        let state = self.keeper.snapshot(&folder).await?;
        Ok(serde_json::to_value(state)?)
    }

    async fn list(&self, request: Request<Incoming>) -> Result<serde_json::Value, BoxError> {
        let filter = request.into_body().collect().await?.to_bytes();
        let filter: Filter = serde_json::from_slice(&filter)?;
        Ok(serde_json::to_value(self.traces.list(&filter).await?)?)
    }

    async fn invoked(&self) -> Result<serde_json::Value, BoxError> {
        self.traces
            .read(|history| serde_json::json!(history.invoked()))
            .await
    }

    async fn trace(&self, path: &str) -> Result<serde_json::Value, BoxError> {
        let trace = self.traces.trace(path.trim_start_matches('/')).await?;
        Ok(serde_json::to_value(trace)?)
    }

    /// Waits until the stage is quiet, for so long at most.
    async fn quiet(&self, patience: Duration) -> Result<UnderWay, BoxError> {
        let give_up_at = Instant::now() + patience;
        loop {
            let began = Instant::now();
            let first = self.moment().await?;
            let events = first.firings.under_way() + first.events.under_way();
            let is_idle = events == 0 && first.video_jobs.under_way() == 0;
            if is_idle {
                self.activity.want_listing();
                self.activity.want_reads(began);
            }
            let mut shards = self.activity.behind(began);
            while is_idle && shards > 0 && Instant::now() < give_up_at {
                tokio::time::sleep(INTERVAL).await;
                shards = self.activity.behind(began);
            }
            let is_quiet = is_idle && shards == 0 && self.moment().await? == first;
            if is_quiet || Instant::now() >= give_up_at {
                return Ok(UnderWay {
                    events,
                    video_jobs: first.video_jobs.under_way(),
                    shards,
                    is_quiet,
                });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn moment(&self) -> Result<Moment, BoxError> {
        let (begun, ended) = self.firings.counts();
        Ok(Moment {
            // Before the events that they become.
            firings: Counts { begun, ended },
            // The jobs first: the end of one is an event before the job has ended.
            video_jobs: match &self.rekognition {
                None => Counts::default(),
                Some(url) => self.inquiry.get(url).await?,
            },
            events: self.inquiry.get(&self.emulator).await?,
            pages: self.activity.pages(),
        })
    }
}
