//! `rekognition-local` as a child process.

use std::ffi::OsString;
use std::path::Path;

use tokio::process::Command;

use crate::preflight::check_ports;
use crate::recording::recording;
use crate::service::Service;
use crate::{Error, Keys, create_private_folder};

/// The user's own quotas of the local Rekognition, for an environment that is empty otherwise.
fn quotas() -> impl Iterator<Item = (&'static str, OsString)> {
    ["REKOGNITION_CALLS_PER_SECOND", "REKOGNITION_JOBS"]
        .into_iter()
        .filter_map(|variable| Some((variable, std::env::var_os(variable)?)))
}

/// What a [`RekognitionServer`] is started with.
#[derive(Debug, Clone, Copy)]
pub struct RekognitionConfig<'a> {
    /// The built `rekognition-local`.
    pub program: &'a Path,
    /// The weights of the classifier, a file of [`StageTools`](crate::StageTools).
    pub model: &'a Path,
    /// The weights of the detector, a folder of [`StageTools`](crate::StageTools).
    pub detector: &'a Path,
    /// Holds the log.
    pub dir: &'a Path,
    /// Where to listen on 127.0.0.1.
    pub port: u16,
    /// Where to read images and videos, tell the end of jobs and ask for callers' permissions:
    /// [`Emulator::endpoint`](crate::Emulator::endpoint).
    pub emulator_endpoint: &'a str,
    /// As whom to do that: [`Emulator::keys`](crate::Emulator::keys).
    pub keys: &'a Keys,
    /// The region that the images' buckets are in.
    pub region: &'a str,
    /// Jobs of an earlier run to go on with.
    pub jobs: Option<&'a Path>,
}

/// A running local Rekognition. Dropping it ends it.
#[derive(Debug)]
pub struct RekognitionServer(Service);

impl RekognitionServer {
    /// Starts the server and waits until it answers.
    pub async fn start(config: RekognitionConfig<'_>) -> Result<Self, Error> {
        check_ports(&[("the local Rekognition", config.port)])?;
        let port = config.port.to_string();
        create_private_folder(config.dir).map_err(Error::io("create", config.dir))?;
        let log = config.dir.join(format!("rekognition-{port}.log"));
        let mut command = Command::new(config.program);
        command
            .args(["--port", &port])
            .arg("--model")
            .arg(config.model)
            .arg("--detector")
            .arg(config.detector)
            .args(["--s3-endpoint", config.emulator_endpoint])
            .args(["--sns-endpoint", config.emulator_endpoint])
            .args(["--authorizer", config.emulator_endpoint])
            .args(["--region", config.region])
            .arg("--exit-with-stdin")
            // The user's own AWS settings do not concern the local stage.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LOCAL_STAGE_KEY", &config.keys.stage_key)
            .env("AWS_ACCESS_KEY_ID", &config.keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &config.keys.secret_access_key)
            .envs(recording())
            .envs(quotas());
        if let Some(jobs) = config.jobs {
            command.arg("--take-up").arg(jobs);
        }
        let ready = format!("listening on http://127.0.0.1:{port}");
        let service = Service::start("the local Rekognition", command, log, &ready);
        service.await.map(Self)
    }

    /// Returns when the server ends by itself, and says why.
    pub async fn ended(&mut self) -> Error {
        self.0.ended().await
    }

    /// Ends the server.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}
