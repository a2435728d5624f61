//! The HTTP server.

use std::{future::Future, num::NonZero, sync::Arc, thread::available_parallelism, time::Instant};

use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task,
};

use crate::{
    authorization::{Authorizer, Signed},
    detect_labels::{self, ImageSource},
    jobs::Jobs,
    label_detection::{GetRequest, StartRequest, StartResponse},
    labeller::Labeller,
    objects::{self, ObjectLocation},
    picture,
    protocol::{self, ApiError, ApiResponse, ErrorKind, MAX_BODY_BYTES, Operation},
    sns::Publisher,
};

/// What answers requests.
pub struct Endpoint {
    labeller: Arc<Labeller>,
    s3: aws_sdk_s3::Client,
    jobs: Arc<Jobs>,
    authorizer: Option<Authorizer>,
    /// One for each picture in memory. A single one keeps all processors busy only while it is classified, not while it
    /// is fetched and decoded.
    pictures: Semaphore,
}

impl Endpoint {
    /// An endpoint that reads objects through `s3`, tells the end of jobs through `publisher` and, if there is an
    /// `authorizer`, does only what that allows.
    #[must_use]
    pub fn new(
        labeller: Labeller,
        s3: aws_sdk_s3::Client,
        publisher: Publisher,
        authorizer: Option<Authorizer>,
    ) -> Self {
        let pictures = available_parallelism().map_or(1, NonZero::get) + 1;
        let labeller = Arc::new(labeller);
        Self {
            jobs: Arc::new(Jobs::new(Arc::clone(&labeller), s3.clone(), publisher)),
            labeller,
            s3,
            authorizer,
            pictures: Semaphore::new(pictures),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> ApiResponse {
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

    async fn operate(&self, request: Request<Incoming>) -> Result<Answer, ApiError> {
        let (parts, body) = request.into_parts();
        let operation = Operation::from_headers(&parts.headers)?;
        let body = read_body(body).await?;
        let signed = Signed { parts, body };
        self.authorize(&signed, operation.action(), "*", &[])
            .await?;
        match operation {
            Operation::DetectLabels => self.detect_labels(&signed).await,
            Operation::StartLabelDetection => self.start_label_detection(&signed).await,
            Operation::GetLabelDetection => self.get_label_detection(&signed),
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
        let response = task::spawn_blocking(move || {
            let picture = picture::decode(&bytes)?;
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

async fn read_body(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
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
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
