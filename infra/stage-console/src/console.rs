//! The running console.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use deploy::Target;
use local::Server;
use tokio::sync::watch;

use crate::access::Secrets;
use crate::host::Host;
use crate::server::{self, Serving};
use crate::stage::Stage;

/// What a [`Console`] is started with.
pub struct ConsoleConfig {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Who may see it.
    pub secrets: Secrets,
    /// The stage's AWS endpoint, by the keys of its root user.
    pub target: Target,
    /// The stage's process.
    pub host: Arc<dyn Host>,
    /// A folder of the stage's own, for uploads on their way.
    pub scratch: PathBuf,
}

/// A running console. Dropping it stops it.
#[derive(Debug)]
pub struct Console {
    server: Server,
    end: watch::Sender<bool>,
}

impl Console {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(config: ConsoleConfig) -> Result<Self, local::Error> {
        let ConsoleConfig {
            port,
            secrets,
            target,
            host,
            scratch,
        } = config;
        let (end, ended) = watch::channel(false);
        let serving = Arc::new(Serving {
            port,
            stage: Arc::new(Stage::new(host, target, secrets, scratch)),
            ended,
        });
        let answer = move |request| {
            let serving = Arc::clone(&serving);
            async move { Ok::<_, Infallible>(server::answer(&serving, request).await) }
        };
        let server = Server::start("the console, --console-port", port, answer).await?;
        Ok(Self { server, end })
    }

    /// Stops it. Pages that follow the stage are let go.
    pub async fn shutdown(self) {
        self.end.send_replace(true);
        self.server.shutdown().await;
    }
}
