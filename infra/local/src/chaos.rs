//! Fault injection: what goes wrong on AWS, on purpose and reproducibly.
//!
//! # What is injected
//!
//! - **Calls of functions to services**, DynamoDB, S3 and Rekognition among them: throttling,
//!   500 and 503, connections that end without an answer. Half of the failures come after the
//!   call took effect. A [`FaultProxy`] in front of the emulator and one in front
//!   of the local Rekognition do it; functions find them by `AWS_ENDPOINT_URL` and
//!   `AWS_ENDPOINT_URL_REKOGNITION`.
//! - **Asynchronous events**, those of S3 and SNS: delivered late, twice, and so in another
//!   order. `chaos.py` does it, in the emulator.
//! - **Batches of a queue's messages**: delivered late, and twice. `chaos.py` does it.
//! - **Messages of video jobs that have ended**: lost, as if Rekognition had not published
//!   them. `chaos.py` does it.
//! - **Batches of stream records**: delivered late, and again when later ones may have
//!   been. The stream poller does it.
//! - **Functions**: killed while they handle an event, also a request of the HTTP API. It is
//!   the Runtime API in the emulator (`chaos.py`) that does it.
//!
//! The shares are constants of `faults.rs`, with their reasons.
//!
//! # What is not
//!
//! The user's own tools, `xtask` and the local Rekognition talk to the emulator directly.
//! Functions get their events, and answer, without faults but being killed. What Lambda and
//! the poller write into failure queues arrives. So nothing else may get lost: each event is
//! handled, or is in the failure queue of its function.
//!
//! # How to replay
//!
//! Whether the n-th occurrence of something goes wrong is a hash of the seed, the question
//! (is this event late?), the subject (a function, an operation of a service) and n. The
//! same seed makes the same decisions, whatever runs at the same time. Which event is the
//! n-th is up to the order in which functions happen to run; a seed does not fix that.
//!
//! # How to stop
//!
//! [`Chaos::stop`], or `curl -X DELETE` of [`Chaos::url`]. Nothing goes wrong after it, what
//! was held back is delivered, and the stage becomes quiet.

mod call;
mod control;
mod faults;
mod proxy;

use std::convert::Infallible;
use std::sync::Arc;

pub use call::{Call, Effect, Fault};
pub use faults::{Delivery, FaultKind, Faults, Figure, Figures, Seed};
pub use proxy::FaultProxy;

use crate::keys::random_text;
use crate::server::Server;
use crate::{Error, Observer};

/// What [`Chaos`] is started with.
#[derive(Debug, Clone, Copy)]
pub struct ChaosConfig<'a> {
    /// What all decisions follow from.
    pub seed: Seed,
    /// Where the control server listens on 127.0.0.1; 0 for any port that is free.
    pub port: u16,
    /// Where the emulator listens, or will.
    pub emulator_port: u16,
    /// Where the local Rekognition listens, or will, if there is one.
    pub rekognition_port: Option<u16>,
    /// Who notes faults of calls, if anybody does.
    pub observer: Option<&'a Observer>,
}

/// Faults for a local stage, and the servers that inject them. Dropping it stops the
/// servers, and with them the functions' way to the emulator.
#[derive(Debug)]
pub struct Chaos {
    faults: Arc<Faults>,
    control: Server,
    secret: Arc<str>,
    emulator: FaultProxy,
    rekognition: Option<FaultProxy>,
}

impl Chaos {
    /// Starts the servers. The emulator is to be started after it, and
    /// [told](crate::EmulatorConfig::chaos) of it.
    pub async fn start(config: ChaosConfig<'_>) -> Result<Self, Error> {
        let faults = Arc::new(Faults::new(config.seed));
        let proxy = async |port| {
            let faults = Arc::clone(&faults);
            let endpoint = format!("http://127.0.0.1:{port}");
            let decide = move |call: &Call| faults.call(call);
            FaultProxy::observed(0, &endpoint, decide, config.observer.cloned()).await
        };
        let emulator = proxy(config.emulator_port).await?;
        let rekognition = match config.rekognition_port {
            None => None,
            Some(port) => Some(proxy(port).await?),
        };
        let secret: Arc<str> = random_text(40)?.into();
        let answering = (Arc::clone(&faults), Arc::clone(&secret));
        let answer = move |request| {
            let (faults, secret) = answering.clone();
            async move { Ok::<_, Infallible>(control::answer(faults, secret, request).await) }
        };
        Ok(Self {
            control: Server::start("the control of faults", config.port, answer).await?,
            secret,
            faults,
            emulator,
            rekognition,
        })
    }

    /// Where the control server answers: `GET` the [figures](Figures) as JSON, `DELETE`
    /// to [stop](Self::stop). The URL is a secret: its path is what the server answers to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.control.port(), self.secret)
    }

    /// The decisions, for who else delivers events.
    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults)
    }

    /// What was injected so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.faults.figures()
    }

    /// Ends the faults, but not the servers.
    pub fn stop(&self) {
        self.faults.stop();
    }

    /// Ends the servers. The emulator should have ended before.
    pub async fn shutdown(self) {
        self.emulator.shutdown().await;
        if let Some(rekognition) = self.rekognition {
            rekognition.shutdown().await;
        }
        self.control.shutdown().await;
    }

    /// What functions take for the emulator.
    pub(crate) fn emulator_url(&self) -> String {
        self.emulator.url()
    }

    /// What functions take for the local Rekognition.
    pub(crate) fn rekognition_url(&self) -> Option<String> {
        self.rekognition.as_ref().map(FaultProxy::url)
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};
    use http_body_util::{BodyExt, Full};
    use serde_json::{Value, json};

    use super::*;
    use crate::server::client;

    async fn chaos() -> Chaos {
        Chaos::start(ChaosConfig {
            seed: "7".parse().unwrap(),
            port: 0,
            emulator_port: 9,
            rekognition_port: None,
            observer: None,
        })
        .await
        .unwrap()
    }

    async fn ask(chaos: &Chaos, method: &str, path: &str, host: &str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", chaos.url()))
            .header("host", host)
            .body(Full::default())
            .unwrap();
        let (head, body) = client().request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn the_control_server_shows_figures_and_stops_faults() {
        let chaos = chaos().await;
        let _ = chaos.faults().kill("function");
        for (method, path, on) in [
            ("GET", "", true),
            ("POST", "stop", false),
            ("GET", "", false),
            ("DELETE", "", false),
        ] {
            let expected = json!({
                "seed": 7,
                "on": on,
                "held_back": 0,
                "faults": {"function_killed": {"opportunities": 1, "injected": 0}},
            });
            let answer = ask(&chaos, method, path, "localhost").await;
            assert_eq!(answer, (StatusCode::OK, expected), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn the_control_server_decides_as_the_faults_do() {
        let (chaos, twin) = (chaos().await, chaos().await);
        for _ in 0..50 {
            let delivery = twin.faults().event("function");
            let mut times = vec![delivery.late_by.as_millis()];
            times.extend(
                delivery
                    .again_after
                    .map(|after| (delivery.late_by + after).as_millis()),
            );
            let answer = ask(&chaos, "POST", "events/function", "localhost").await;
            assert_eq!(answer.1, json!(times));

            let lost = twin.faults().loses_completion("function");
            let answer = ask(&chaos, "POST", "completions/function", "localhost").await;
            assert_eq!(answer.1, json!(lost));

            let life = twin.faults().kill("function").map(|life| life.as_millis());
            let answer = ask(&chaos, "POST", "invocations/function", "localhost").await;
            assert_eq!(answer.1, json!(life));
        }
    }

    #[tokio::test]
    async fn the_control_server_answers_this_host_and_what_it_knows() {
        let chaos = chaos().await;
        let (status, _) = ask(&chaos, "DELETE", "", "evil.example").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(chaos.figures().on);
        for (method, path) in [("GET", "stop"), ("PUT", ""), ("POST", "held-back/soon")] {
            let (status, _) = ask(&chaos, method, path, "localhost").await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}
