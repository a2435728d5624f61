//! The life of a child process, with scripts in the place of `rekognition-local`.

#![expect(clippy::unwrap_used, reason = "also in what the tests share")]

use std::path::{Path, PathBuf};

use local::{Error, Keys, RekognitionConfig, RekognitionServer};

#[path = "../../../tests/src/ports.rs"]
mod ports;

struct Fixture {
    dir: tempfile::TempDir,
    port: u16,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            port: ports::free_ports(2),
        }
    }

    async fn start(&self, script: &str) -> Result<RekognitionServer, Error> {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
        RekognitionServer::start(RekognitionConfig {
            program: &scripts.join(script),
            model: Path::new("model.tflite"),
            detector: Path::new("yolov4_tiny"),
            dir: self.dir.path(),
            port: self.port,
            emulator_endpoint: "http://127.0.0.1:1",
            keys: &Keys::random().unwrap(),
            region: "eu-central-1",
            jobs: None,
        })
        .await
    }

    fn log(&self) -> PathBuf {
        self.dir
            .path()
            .join(format!("rekognition-{}.log", self.port))
    }
}

#[tokio::test]
async fn the_server_is_told_what_to_serve() {
    let fixture = Fixture::new();
    let server = fixture.start("serves").await.unwrap();
    let arguments = format!(
        "--port {} --model model.tflite --detector yolov4_tiny --s3-endpoint http://127.0.0.1:1 --sns-endpoint http://127.0.0.1:1 --authorizer http://127.0.0.1:1 --region eu-central-1 --exit-with-stdin",
        fixture.port
    );
    let log = std::fs::read_to_string(fixture.log()).unwrap();
    assert_eq!(log.lines().next(), Some(arguments.as_str()));
    server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let fixture = Fixture::new();
    let error = fixture.start("cannot-start").await.unwrap_err();
    assert!(error.to_string().contains("exit status: 3"), "{error}");
    assert!(
        error.to_string().ends_with("the model is broken"),
        "{error}"
    );
    assert!(
        error.hint().contains(fixture.log().to_str().unwrap()),
        "{}",
        error.hint()
    );
}

#[tokio::test]
async fn a_server_that_dies_later_is_noticed() {
    let fixture = Fixture::new();
    let mut server = fixture.start("dies").await.unwrap();
    let error = server.ended().await;
    assert!(error.to_string().contains("exit status: 4"), "{error}");
    assert!(error.to_string().ends_with("out of memory"), "{error}");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = Fixture::new().start("missing").await.unwrap_err();
    assert!(
        error.to_string().contains("tests/servers/missing"),
        "{error}"
    );
}
