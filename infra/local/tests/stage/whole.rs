//! A whole stage, of an app that deploys nothing.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use local::{
    Error, Keeping, LocalStage, LocalStageConfig, Port, Ports, Seed, StageProgress, StagedApp,
    UnderWay,
};

use crate::ports;

/// What the stage has asked of it, in order.
#[derive(Default)]
struct Asked(RefCell<Vec<&'static str>>);

impl Asked {
    fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }
}

impl StagedApp for Asked {
    type Built = ();
    type Deployed = ();
    type Error = Error;

    fn tell(&self, progress: StageProgress<'_>) {
        if matches!(progress, StageProgress::FirstRun) {
            self.note("told of the first run");
        }
    }

    async fn build(&self) -> Result<(), Error> {
        self.note("built");
        Ok(())
    }

    fn rekognition_program(&self, (): &()) -> Result<PathBuf, Error> {
        self.note("asked for the local Rekognition");
        Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/serves"))
    }

    async fn deploy(&self, (): (), stage: &LocalStage) -> Result<(), Error> {
        let answers = |port: &Port| TcpStream::connect(("127.0.0.1", port.number)).is_ok();
        let ports = stage.ports();
        assert!(answers(&ports.aws) && ports.apis.iter().all(answers));
        self.note("deployed");
        Ok(())
    }

    async fn apis(&self, (): &()) -> Result<Vec<local::Api>, Error> {
        self.note("asked for APIs");
        Ok(Vec::new())
    }
}

fn free_ports(with_rekognition: bool) -> Ports {
    let [aws, rekognition, api] = [(); 3].map(|()| Port {
        purpose: "a test".to_owned(),
        number: ports::free_ports(2),
    });
    Ports {
        aws,
        rekognition: with_rekognition.then_some(rekognition),
        apis: vec![api],
        console: None,
    }
}

async fn start(ports: Ports, dir: &Path, asked: &Asked, seed: Option<Seed>) -> LocalStage {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let config = LocalStageConfig {
        ports,
        dir,
        tools_dir: &target.join("python/stage"),
        region: "us-east-1",
        is_first_run: true,
        seed,
        debugged: None,
        keeping: Keeping {
            stack: "a-local",
            from: None,
            into: None,
        },
    };
    LocalStage::start(config, asked).await.unwrap().0
}

/// The status and the body.
fn get(url: &str) -> (u16, String) {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn logs(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.is_file())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_without_rekognition_neither_starts_it_nor_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Asked::default();
    let seed = Some("7".parse().unwrap());
    let stage = start(free_ports(false), dir.path(), &asked, seed).await;
    assert_eq!(
        *asked.0.borrow(),
        [
            "told of the first run",
            "built",
            "deployed",
            "asked for APIs"
        ]
    );
    let ports = stage.ports().clone();
    assert_eq!(
        logs(dir.path()),
        [format!("emulator-{}.log", ports.aws.number)]
    );
    let (status, under_way) = get(&stage.quiet_url());
    assert_eq!(status, 200, "{under_way}");
    let under_way: UnderWay = serde_json::from_str(&under_way).unwrap();
    assert!(under_way.is_quiet, "{under_way:?}");
    assert_eq!(get(&stage.chaos_url()).0, 200);
    let api = format!("http://127.0.0.1:{}/", ports.apis[0].number);
    assert_eq!(get(&api).0, 503, "there is no API behind the door");

    let figures = stage.shutdown().await;
    assert!(figures.unwrap().on);
    for port in ports.iter() {
        assert!(TcpStream::connect(("127.0.0.1", port.number)).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_with_rekognition_starts_what_the_app_has_built() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Asked::default();
    let stage = start(free_ports(true), dir.path(), &asked, None).await;
    let asked = asked.0.borrow().clone();
    assert!(asked.contains(&"asked for the local Rekognition"));
    let ports = stage.ports();
    let port = ports.rekognition.as_ref().unwrap().number;
    let log = std::fs::read_to_string(dir.path().join(format!("rekognition-{port}.log"))).unwrap();
    let emulator = format!("--authorizer http://127.0.0.1:{}", ports.aws.number);
    assert!(log.contains(&emulator), "{log}");
    let models = ["efficientnet_lite0.tflite", "yolov4-tiny.weights"];
    assert!(models.iter().all(|model| log.contains(model)), "{log}");
    // Nobody answers at the script's port.
    assert_eq!(get(&stage.quiet_url()).0, 503);
    assert!(!stage.faults().figures().on);
    assert_eq!(stage.shutdown().await, None);
}
