//! What the parts of the stage ask each other, by the key that they share.

use std::fmt;

use http::Request;
use http::request::Builder;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::server::{BoxError, client};
use crate::{Keys, STAGE_KEY_HEADER};

/// Asks the servers of the stage.
#[derive(Clone)]
pub(crate) struct Inquiry {
    client: Client<HttpConnector, Full<Bytes>>,
    key: String,
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiry").finish_non_exhaustive()
    }
}

impl Inquiry {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self {
            client: client(),
            key: keys.stage_key.clone(),
        }
    }

    /// What is answered to `GET`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, BoxError> {
        self.ask(Request::get(url), String::new()).await
    }

    /// What is answered to `POST`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        body: &Value,
    ) -> Result<T, BoxError> {
        self.ask(Request::post(url), body.to_string()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Builder,
        body: String,
    ) -> Result<T, BoxError> {
        let request = request.header(STAGE_KEY_HEADER, &self.key);
        let answer = self.client.request(request.body(Full::from(body))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(String::from_utf8_lossy(&body).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
