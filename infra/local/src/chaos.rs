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
//! [`Shares`] tells how much of each. Besides, somebody may [order](Orders) single faults.
//!
//! # What it costs
//!
//! A stage that makes no faults runs as one that cannot make any. The emulator asks nobody, and functions call the
//! services directly: their processes get the addresses of the proxies when faults are switched on, and are started
//! anew for that.
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
//! [`FaultSwitch::stop`], or `curl -X DELETE` of [`Chaos::url`]. Nothing goes wrong after it, what
//! was held back is delivered, and the stage becomes quiet.

mod call;
mod control;
mod faults;
mod figures;
mod kind;
mod orders;
mod proxy;
mod seed;
mod shares;
mod switch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

pub use call::{Call, Effect, Fault};
pub use faults::{Delivery, Faults};
pub use figures::{Figure, Figures};
pub use kind::FaultKind;
pub use orders::{FailingCalls, Orders};
pub use proxy::FaultProxy;
pub use seed::Seed;
pub use shares::Shares;
pub use switch::FaultSwitch;
use tokio::task::JoinSet;

use crate::keys::random_text;
use crate::server::Server;
use crate::{Error, Keys, Observer};

/// What [`Chaos`] is started with.
#[derive(Debug, Clone, Copy)]
pub struct ChaosConfig<'a> {
    /// What all decisions follow from. None makes no faults until they are switched on.
    pub seed: Option<Seed>,
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
/// servers, and with them the functions' way to the emulator if they call by way of a proxy.
#[derive(Debug)]
pub struct Chaos {
    faults: Arc<Faults>,
    switch: FaultSwitch,
    following: JoinSet<()>,
    control: Server,
    secret: Arc<str>,
    emulator: FaultProxy,
    rekognition: Option<FaultProxy>,
}

impl Chaos {
    /// Starts the servers. The emulator is to be started after it,
    /// [told](crate::EmulatorConfig::chaos) of it, and [connected](Self::connect).
    pub async fn start(config: ChaosConfig<'_>) -> Result<Self, Error> {
        let faults = Arc::new(config.seed.map_or_else(Faults::off, Faults::new));
        let switch = FaultSwitch::new(Arc::clone(&faults));
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
        let answering = (Arc::clone(&faults), switch.clone(), Arc::clone(&secret));
        let answer = move |request| {
            let (faults, switch, secret) = answering.clone();
            async move { Ok::<_, Infallible>(control::answer(faults, switch, secret, request).await) }
        };
        Ok(Self {
            control: Server::start("the control of faults", config.port, answer).await?,
            secret,
            faults,
            switch,
            following: JoinSet::new(),
            emulator,
            rekognition,
        })
    }

    /// Has the emulator at this endpoint make its part of the faults from now on. No function is to run before.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(&mut self, endpoint: &str, keys: &Keys) -> Result<(), Error> {
        let mut proxies = BTreeMap::from([("AWS_ENDPOINT_URL", self.emulator.url())]);
        let rekognition = self.rekognition.as_ref().map(FaultProxy::url);
        proxies.extend(rekognition.map(|url| ("AWS_ENDPOINT_URL_REKOGNITION", url)));
        self.switch.connect(endpoint, keys, proxies).await?;
        self.following.spawn(self.switch.clone().follow());
        Ok(())
    }

    /// Where the control server answers: `GET` the [figures](Figures) as JSON, `PUT` to make
    /// faults, `DELETE` to end them. The URL is a secret: its path is what the server answers to.
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

    /// Switches them on and off.
    #[must_use]
    pub fn switch(&self) -> FaultSwitch {
        self.switch.clone()
    }

    /// Ends the servers. The emulator should have ended before.
    pub async fn shutdown(self) {
        self.emulator.shutdown().await;
        if let Some(rekognition) = self.rekognition {
            rekognition.shutdown().await;
        }
        self.control.shutdown().await;
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
            seed: Some("7".parse().unwrap()),
            port: 0,
            emulator_port: 9,
            rekognition_port: None,
            observer: None,
        })
        .await
        .unwrap()
    }

    async fn ask(chaos: &Chaos, method: &str, path: &str, host: &str) -> (StatusCode, Value) {
        send(chaos, method, path, host, "").await
    }

    async fn send(
        chaos: &Chaos,
        method: &str,
        path: &str,
        host: &str,
        body: &'static str,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", chaos.url()))
            .header("host", host)
            .body(Full::from(body))
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
                "shares": {"calls": 0.1, "late": 0.2, "twice": 0.1, "killed": 0.02, "completions": 0.5},
                "orders": {"kill_after_ms": {}, "failing_calls": [], "late_queues": {}},
                "held_back": 0,
                "faults": {"function_killed": {"opportunities": 1, "injected": 0}},
            });
            let answer = ask(&chaos, method, path, "localhost").await;
            assert_eq!(answer, (StatusCode::OK, expected), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn the_control_server_makes_faults_by_seed_and_shares() {
        let chaos = chaos().await;
        let _ = chaos.faults().kill("function");
        let put = async |body| send(&chaos, "PUT", "", "localhost", body).await;
        let (status, figures) = put(r#"{"seed": 8, "shares": {"calls": 0.5}}"#).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&figures["seed"], &figures["on"]),
            (&json!(8), &json!(true))
        );
        assert_eq!(figures["shares"]["calls"], 0.5);
        assert_eq!(figures["shares"]["late"], 0.2);
        assert_eq!(figures["faults"], json!({}), "counted from the beginning");
        for wrong in [
            r#"{"shares": {"calls": 2}}"#,
            r#"{"shares": {"call": 0.1}}"#,
            r#"{"seeds": 1}"#,
            "8",
        ] {
            let (status, _) = put(wrong).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        }
        assert_eq!(chaos.figures().seed.to_string(), "8");
        assert_eq!(put("").await.0, StatusCode::OK);
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
        for (method, path) in [
            ("GET", "stop"),
            ("PUT", "events"),
            ("POST", "held-back/soon"),
        ] {
            let (status, _) = ask(&chaos, method, path, "localhost").await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}
