//! Asks the local stage that runs in another terminal.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use crate::error::{CliError, Result};

/// A client of the stage's own server.
pub(crate) struct StageClient(Client<HttpConnector, Empty<Bytes>>);

impl StageClient {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// What the stage answers at one of the URLs of [`StageState`](crate::stage_state::StageState).
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let failed = |error: &dyn std::fmt::Display| {
            CliError::new(format!("the local stage did not answer: {error}"))
                .hint("is it still running, in the other terminal?")
        };
        let url: hyper::Uri = url.parse().map_err(CliError::new)?;
        let answer = self.0.get(url).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| failed(&error))?.to_bytes();
        if !status.is_success() {
            return Err(failed(&String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| failed(&error))
    }
}
