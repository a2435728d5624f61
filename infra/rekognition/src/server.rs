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
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task,
};

use crate::{
    detect_labels::{self, ImageSource},
    labeller::Labeller,
    objects, picture,
    protocol::{self, ApiError, ApiResponse, ErrorKind, MAX_BODY_BYTES, Operation},
};

/// What answers requests.
pub struct Endpoint {
    labeller: Arc<Labeller>,
    s3: aws_sdk_s3::Client,
    /// One for each picture in memory. A single one keeps all processors busy only while it is classified, not while it
    /// is fetched and decoded.
    pictures: Semaphore,
}

impl Endpoint {
    /// An endpoint that reads objects through `s3`.
    #[must_use]
    pub fn new(labeller: Labeller, s3: aws_sdk_s3::Client) -> Self {
        let pictures = available_parallelism().map_or(1, NonZero::get) + 1;
        Self {
            labeller: Arc::new(labeller),
            s3,
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
        match &result {
            Ok(response) => {
                let labels = response.names().collect::<Vec<_>>().join(", ");
                tracing::info!("DetectLabels in {milliseconds} ms: {labels}");
            }
            Err(error) => tracing::warn!("refused in {milliseconds} ms: {error}"),
        }
        protocol::respond(result.as_ref())
    }

    async fn operate(
        &self,
        request: Request<Incoming>,
    ) -> Result<detect_labels::Response, ApiError> {
        let operation = Operation::from_headers(request.headers())?;
        let body = read_body(request.into_body()).await?;
        match operation {
            Operation::DetectLabels => self.detect_labels(&body).await,
        }
    }

    async fn detect_labels(&self, body: &[u8]) -> Result<detect_labels::Response, ApiError> {
        let mut request = detect_labels::Request::parse(body)?;
        let _permit = self.pictures.acquire().await.map_err(internal)?;
        let bytes = match &mut request.image {
            ImageSource::Bytes(bytes) => std::mem::take(bytes),
            ImageSource::Object(location) => objects::fetch(&self.s3, location).await?,
        };
        let labeller = Arc::clone(&self.labeller);
        task::spawn_blocking(move || {
            let picture = picture::decode(&bytes)?;
            Ok(request.response(&labeller.detect(&picture)))
        })
        .await
        .map_err(internal)?
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
