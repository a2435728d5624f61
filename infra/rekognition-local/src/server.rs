//! The HTTP server.

use std::{
    future::Future,
    num::NonZero,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::{Body, Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use image::RgbImage;
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    task,
    time::timeout,
};

use crate::{
    authorization::{Authorizer, Signed},
    detect_labels::{self, ImageSource},
    job::StartRequest,
    jobs::Jobs,
    label_detection::{GetRequest, StartResponse},
    labeller::Labeller,
    objects::{self, ObjectLocation},
    observation::{Answered, Observation},
    picture::Encoded,
    protocol::{self, ApiError, ApiResponse, ErrorKind, MAX_BODY_BYTES, Operation},
    quotas::{Calls, Quotas},
    recording::Recording,
    sns::Publisher,
};

/// How long a request may take to arrive.
const MAX_BODY_TIME: Duration = Duration::from_secs(60);

/// Where the stage reads all jobs.
const JOBS_PATH: &str = "/jobs";

/// What answers requests.
pub struct Endpoint {
    labeller: Arc<Labeller>,
    s3: aws_sdk_s3::Client,
    jobs: Arc<Jobs>,
    calls: Calls,
    authorizer: Option<Authorizer>,
    stage_key: Option<String>,
    recording: Option<Recording>,
    observation: Option<Observation>,
    /// One for each picture at hand. A single one keeps all processors busy only while it is classified, not while it is
    /// fetched and decoded.
    pictures: Semaphore,
    memory: Arc<Memory>,
}

impl Endpoint {
    /// An endpoint that reads objects through `s3`, tells the end of jobs through `publisher` and, if there is an
    /// `authorizer`, does only what that allows. A caller with the `stage_key` can read the jobs.
    #[must_use]
    pub fn new(
        labeller: Labeller,
        s3: aws_sdk_s3::Client,
        publisher: Publisher,
        authorizer: Option<Authorizer>,
        stage_key: Option<String>,
        quotas: Quotas,
    ) -> Self {
        let pictures = available_parallelism().map_or(1, NonZero::get) + 1;
        let labeller = Arc::new(labeller);
        Self {
            jobs: Arc::new(Jobs::new(
                Arc::clone(&labeller),
                s3.clone(),
                publisher,
                quotas.jobs,
            )),
            calls: Calls::new(quotas.calls_per_second),
            labeller,
            s3,
            authorizer,
            stage_key,
            recording: None,
            observation: None,
            pictures: Semaphore::new(pictures),
            memory: Arc::default(),
        }
    }

    /// Has requests and their answers written down.
    #[must_use]
    pub fn recorded(self, recording: Option<Recording>) -> Self {
        Self { recording, ..self }
    }

    /// Has the stage told of calls.
    #[must_use]
    pub fn observed(self, observation: Option<Observation>) -> Self {
        Self {
            observation,
            ..self
        }
    }

    /// Labels an empty picture, so that the first request finds weights and buffers in memory. Returns at once.
    pub fn warm_up(&self) {
        const SIDE: u32 = 416;
        let labeller = Arc::clone(&self.labeller);
        task::spawn_blocking(move || labeller.detect(&RgbImage::new(SIDE, SIDE)).len());
    }

    async fn answer(&self, request: Request<Incoming>) -> ApiResponse {
        if let Err(stranger) = loopback::admit(request.headers()) {
            return protocol::refuse(stranger.message());
        }
        if self.is_of_the_stage(request.headers()) {
            return self.answer_the_stage(request.uri().path());
        }
        // Who may do what is asked of the authorizer; without a signature, there is nobody to ask for.
        if self.authorizer.is_some() && !request.headers().contains_key(header::AUTHORIZATION) {
            return protocol::refuse("a request without a signature is not answered");
        }
        // What opens a connection ahead of need, or asks whether the endpoint is up, sends no operation.
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return protocol::respond(Ok(serde_json::json!({"status": "healthy"})));
        }
        let started = Instant::now();
        let result = self.operate(request).await;
        let milliseconds = started.elapsed().as_millis();
        match result {
            Ok(Answer { summary, response }) => {
                tracing::info!("{milliseconds} ms: {summary}");
                response
            }
            Err(error) => {
                tracing::warn!("{milliseconds} ms: refused, {error}");
                protocol::respond::<()>(Err(&error))
            }
        }
    }

    /// How many jobs have begun and ended, or all jobs.
    fn answer_the_stage(&self, path: &str) -> ApiResponse {
        if path != JOBS_PATH {
            let (begun, ended) = self.jobs.counts();
            return protocol::respond(Ok(serde_json::json!({"begun": begun, "ended": ended})));
        }
        match self.jobs.kept().map_err(internal) {
            Ok(jobs) => protocol::respond(Ok(jobs)),
            Err(error) => protocol::respond::<()>(Err(&error)),
        }
    }

    /// Goes on with the jobs of an earlier run, which are in what that run answered at `/jobs`.
    ///
    /// # Errors
    /// It is something else.
    pub fn take_up(&self, jobs: &[u8]) -> serde_json::Result<()> {
        self.jobs.take_up(jobs)
    }

    fn is_of_the_stage(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get("x-local-stage-key");
        shown.is_some()
            && shown.map(HeaderValue::as_bytes) == self.stage_key.as_deref().map(str::as_bytes)
    }

    async fn operate(&self, request: Request<Incoming>) -> Result<Answer, ApiError> {
        let (parts, body) = request.into_parts();
        let operation = Operation::from_headers(&parts.headers)?;
        let _body_memory = self.memory.for_body(&body).await?;
        let body = read_body(body).await?;
        let signed = Signed { parts, body };
        let (started, began) = (SystemTime::now(), Instant::now());
        let result = self.carry_out(operation, &signed).await;
        let took = began.elapsed();
        self.tell(&signed, operation, started, took, &result).await;
        result
    }

    async fn carry_out(&self, operation: Operation, signed: &Signed) -> Result<Answer, ApiError> {
        self.authorize(signed, operation.action(), "*", &[]).await?;
        self.calls.admit(operation.action(), Instant::now())?;
        match operation {
            Operation::DetectLabels => self.detect_labels(signed).await,
            Operation::StartLabelDetection => self.start_label_detection(signed).await,
            Operation::GetLabelDetection => self.get_label_detection(signed),
        }
    }

    /// Reports calls to the emulator.
    async fn tell(
        &self,
        signed: &Signed,
        operation: Operation,
        started: SystemTime,
        took: Duration,
        result: &Result<Answer, ApiError>,
    ) {
        if self.recording.is_none() && self.observation.is_none() {
            return;
        }
        let response = match result {
            Ok(answer) => answer.response.clone(),
            Err(error) => protocol::respond::<()>(Err(error)),
        };
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await;
        let body = body.to_bytes();
        if let Some(recording) = &self.recording {
            recording.add(&signed.parts.headers, &signed.body, status, &body);
        }
        if let Some(observation) = &self.observation {
            let answered = Answered {
                operation: operation.name(),
                started,
                took,
                status,
                body: &body,
            };
            observation.tell(signed, &answered);
        }
    }

    async fn detect_labels(&self, signed: &Signed) -> Result<Answer, ApiError> {
        let mut request = detect_labels::Request::parse(&signed.body)?;
        let _permit = self.pictures.acquire().await.map_err(internal)?;
        let bytes = match &mut request.image {
            ImageSource::Bytes(bytes) => std::mem::take(bytes),
            ImageSource::Object(location) => {
                self.authorize_reading(signed, location).await?;
                objects::fetch(&self.s3, location).await?
            }
        };
        let labeller = Arc::clone(&self.labeller);
        let memory = Arc::clone(&self.memory);
        let runtime = Handle::current();
        let response = task::spawn_blocking(move || {
            let encoded = Encoded::open(&bytes)?;
            let decoding = runtime.block_on(memory.for_picture(&encoded))?;
            let picture = encoded.decode()?;
            drop(decoding);
            Ok::<_, ApiError>(request.response(&labeller, &picture))
        })
        .await
        .map_err(internal)??;
        let labels = response.names().collect::<Vec<_>>().join(", ");
        Ok(Answer::new(format!("DetectLabels: {labels}"), &response))
    }

    async fn start_label_detection(&self, signed: &Signed) -> Result<Answer, ApiError> {
        let request = StartRequest::parse(&signed.body)?;
        if let Some(channel) = &request.channel {
            let context = [("iam:PassedToService", "rekognition.amazonaws.com")];
            self.authorize(signed, "iam:PassRole", &channel.role_arn, &context)
                .await?;
        }
        // A request that is sent again does not depend on the object any more.
        let job_id = if let Some(id) = self.jobs.find(&request)? {
            id
        } else {
            self.authorize_reading(signed, &request.video).await?;
            objects::check_video(&self.s3, &request.video).await?;
            self.jobs.start(request)?
        };
        Ok(Answer::new(
            format!("StartLabelDetection: job {job_id}"),
            &StartResponse { job_id },
        ))
    }

    fn get_label_detection(&self, signed: &Signed) -> Result<Answer, ApiError> {
        let request = GetRequest::parse(&signed.body)?;
        let job = self.jobs.get(&request.job)?;
        Ok(Answer::new(
            format!("GetLabelDetection: job {}", job.id),
            &request.response(&job),
        ))
    }

    /// Rekognition reads an object with its caller's permissions, and says that it cannot be had if they do not suffice.
    async fn authorize_reading(
        &self,
        signed: &Signed,
        location: &ObjectLocation,
    ) -> Result<(), ApiError> {
        let allowed = self
            .authorize(signed, location.read_action(), &location.arn(), &[])
            .await;
        allowed.map_err(|error| match error.kind {
            ErrorKind::AccessDenied => ApiError::new(ErrorKind::InvalidS3Object, error.message),
            _ => error,
        })
    }

    async fn authorize(
        &self,
        signed: &Signed,
        action: &str,
        resource: &str,
        context: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        match &self.authorizer {
            Some(authorizer) => authorizer.check(signed, action, resource, context).await,
            None => Ok(()),
        }
    }
}

/// A response, and what the log says of it.
struct Answer {
    summary: String,
    response: ApiResponse,
}

impl Answer {
    fn new(summary: String, output: &impl Serialize) -> Self {
        Self {
            summary,
            response: protocol::respond(Ok(output)),
        }
    }
}

/// What is left of the memory that requests may take, in mebibytes. Those for which there is not enough wait.
struct Memory {
    bodies: Semaphore,
    /// Pictures while they are decoded; afterwards they are small.
    pictures: Semaphore,
}

/// Two of the largest bodies and their images.
const BODIES_MEBIBYTES: u32 = 2 * BODY_COST * (MAX_BODY_BYTES >> 20) as u32;

/// How often a body is in memory: as it came, its image in base64 and its image.
const BODY_COST: u32 = 3;

/// Two photos of twelve megapixels, as telephones take them: while these are decoded, a third is classified. A picture
/// that needs more is decoded alone.
const PICTURES_MEBIBYTES: u32 = 80;

impl Default for Memory {
    fn default() -> Self {
        Self {
            bodies: Semaphore::new(BODIES_MEBIBYTES as usize),
            pictures: Semaphore::new(PICTURES_MEBIBYTES as usize),
        }
    }
}

impl Memory {
    /// Waits for the memory of a body, which is not read yet.
    async fn for_body(&self, body: &Incoming) -> Result<SemaphorePermit<'_>, ApiError> {
        let bytes = body.size_hint().upper().unwrap_or(u64::MAX);
        let mebibytes = BODY_COST * mebibytes(bytes.min(MAX_BODY_BYTES as u64));
        self.bodies.acquire_many(mebibytes).await.map_err(internal)
    }

    /// Waits for the memory of a picture.
    async fn for_picture(&self, picture: &Encoded) -> Result<SemaphorePermit<'_>, ApiError> {
        let mebibytes = mebibytes(picture.memory_bytes()).min(PICTURES_MEBIBYTES);
        self.pictures
            .acquire_many(mebibytes)
            .await
            .map_err(internal)
    }
}

fn mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}

/// Reads a body, which must come in a reasonable time: others may wait for its memory.
async fn read_body(body: Incoming) -> Result<Bytes, ApiError> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    let Ok(body) = timeout(MAX_BODY_TIME, body).await else {
        return Err(ApiError::new(
            ErrorKind::Serialization,
            format!(
                "the request did not end within {} seconds",
                MAX_BODY_TIME.as_secs()
            ),
        ));
    };
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            ErrorKind::RequestTooLarge,
            format!("the request has more than {MAX_BODY_BYTES} bytes"),
        )),
        Err(error) => Err(ApiError::new(
            ErrorKind::Serialization,
            format!("the request ended early: {error}"),
        )),
    }
}

fn internal(error: impl std::error::Error) -> ApiError {
    ApiError::new(ErrorKind::Internal, error.to_string())
}

/// Answers requests on `listener` until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    task::spawn(converse(stream, Arc::clone(&endpoint)));
                }
                Err(error) => {
                    // Too many open files, for instance: others will be closed.
                    tracing::warn!("accepting a connection failed: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, endpoint: Arc<Endpoint>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let service = service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, std::convert::Infallible>(endpoint.answer(request).await) }
    });
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!("a connection ended: {error}");
    }
}
