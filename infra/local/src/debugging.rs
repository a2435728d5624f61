//! A function whose processes wait for a debugger (`debugging.py`).

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::server::{BoxError, client};
use crate::{Emulator, STAGE_KEY_HEADER};

/// Knows which process of the debugged function waits for a debugger.
#[derive(Debug, Clone)]
pub struct Debugging {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    key: String,
}

impl Debugging {
    pub(crate) fn of(emulator: &Emulator) -> Self {
        Self {
            client: client(),
            url: format!("{}/_stage/debugging", emulator.endpoint()),
            key: emulator.keys().stage_key.clone(),
        }
    }

    /// The id of the process that waits now, if one does. An emulator that does not answer has
    /// none.
    pub async fn waiting_process(&self) -> Option<u32> {
        let waiting = self.waiting().await.unwrap_or_default();
        waiting.first().copied()
    }

    async fn waiting(&self) -> Result<Vec<u32>, BoxError> {
        let request = Request::get(&self.url)
            .header(STAGE_KEY_HEADER, &self.key)
            .body(Full::default())?;
        let response = self.client.request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}
