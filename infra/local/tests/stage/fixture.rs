//! A stage with a function in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use local::{
    ApiId, Chaos, ChaosConfig, Emulator, EmulatorConfig, FrontDoor, Observer, Seed, StageTools,
};
use serde_json::Value;

use crate::ports::free_ports;

pub(crate) const REGION: &str = "us-east-1";

pub(crate) struct Stage {
    python: PathBuf,
    pub(crate) emulator: Emulator,
    pub(crate) emulator_port: u16,
    pub(crate) front_door: FrontDoor,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) chaos: Chaos,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(seed: Option<Seed>) -> Self {
        let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/python/stage");
        let tools = StageTools::prepare(&python, |line| println!("{line}"))
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let emulator_port = free_ports(2);
        let chaos = Chaos::start(ChaosConfig {
            seed,
            port: 0,
            emulator_port,
            rekognition_port: Some(9),
            observer: None,
        });
        let mut chaos = chaos.await.unwrap();
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: dir.path(),
            port: emulator_port,
            rekognition_port: Some(9),
            region: REGION,
            account_id: "000000000000",
            chaos: Some(&chaos),
            debugged: None,
            state: None,
        })
        .await
        .unwrap();
        let connected = chaos.connect(emulator.endpoint(), emulator.keys());
        connected.await.unwrap();
        let observer = Observer::new().unwrap();
        let front_door = FrontDoor::start(0, emulator.endpoint(), emulator.keys(), &observer);
        let front_door = front_door.await.unwrap();
        let stage = Self {
            python: tools.python(),
            emulator,
            emulator_port,
            front_door,
            dir,
            chaos,
        };
        assert_eq!(stage.get("/").0, 503, "nothing is deployed yet");
        stage.front_door.set_api(stage.deploy_probe());
        stage
    }

    pub(crate) fn deploy_probe(&self) -> ApiId {
        ApiId::HttpApi(self.output_of("deploy.py").trim().to_owned())
    }

    /// What a script of the folder `probe` prints when it is run as root.
    pub(crate) fn output_of(&self, script: &str) -> String {
        let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe");
        let output = Command::new(&self.python)
            .arg(probe.join(script))
            .env_clear()
            // Not into the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_ENDPOINT_URL", self.emulator.endpoint())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &self.emulator.keys().access_key_id)
            .env(
                "AWS_SECRET_ACCESS_KEY",
                &self.emulator.keys().secret_access_key,
            )
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn get(&self, target: &str) -> (u16, String) {
        self.send(
            &format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n"),
            b"",
        )
    }

    pub(crate) fn probe(&self, target: &str) -> Value {
        let (status, body) = self.get(target);
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn send(&self, head: &str, body: &[u8]) -> (u16, String) {
        let url = self.front_door.url();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{head}connection: close\r\n\r\n").unwrap();
        // The server may answer, and close, before it has read everything.
        let _ = stream.write_all(body);
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}
