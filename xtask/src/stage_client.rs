//! Asks the local stage that runs in another terminal.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{CliError, Result};

/// A client of the stage's own server.
pub(crate) struct StageClient(Client<HttpConnector, Full<Bytes>>);

impl StageClient {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// What the stage answers at one of the URLs of [`StageState`](crate::stage_state::StageState).
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        self.answer(Request::get(url).body(Full::default())).await
    }

    /// What the stage answers when it is sent something as JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        value: &impl Serialize,
    ) -> Result<T> {
        let body = serde_json::to_vec(value).map_err(CliError::new)?;
        self.answer(Request::post(url).body(Full::from(body))).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<T> {
        let failed = |error: &dyn std::fmt::Display| {
            CliError::new(format!("the local stage did not answer: {error}"))
                .hint("is it still running, in the other terminal?")
        };
        let request = request.map_err(CliError::new)?;
        let answer = self.0.request(request).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| failed(&error))?.to_bytes();
        if !status.is_success() {
            return Err(failed(&String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| failed(&error))
    }
}
