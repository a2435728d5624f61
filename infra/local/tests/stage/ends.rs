//! Whatever ends, nothing is left of it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::Stage;

fn pid(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

/// Whether the process has ended; it may still wait for its parent to notice.
fn has_ended(pid: Pid) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.as_raw_nonzero().to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    state.trim().is_empty() || state.starts_with('Z')
}

fn assert_nothing_is_left(processes: &[Pid], port: u16, dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    // Another test's connection may have the port by now, so it need not be free: nobody may answer.
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    while !processes.iter().copied().all(has_ended) || answers() {
        assert!(
            Instant::now() < deadline,
            "{processes:?} still run, or port {port} still answers"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!dir.join(format!("emulator-{port}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_and_drop_leave_nothing() {
    for drop_only in [false, true] {
        let stage = Stage::start().await;
        let seen = stage.probe("/");
        let processes = [pid(&seen["function_pid"]), pid(&seen["emulator_pid"])];
        let Stage {
            emulator,
            emulator_port,
            dir,
            ..
        } = stage;
        if drop_only {
            drop(emulator);
        } else {
            emulator.shutdown().await;
        }
        assert_nothing_is_left(&processes, emulator_port, dir.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_end_with_the_emulator() {
    let mut stage = Stage::start().await;
    let seen = stage.probe("/");
    let (function, emulator) = (pid(&seen["function_pid"]), pid(&seen["emulator_pid"]));

    kill_process(emulator, Signal::KILL).unwrap();
    let error = stage.emulator.ended().await;
    assert!(error.to_string().contains("signal: 9"), "{error}");
    assert!(
        error
            .hint()
            .contains(&format!("emulator-{}.log", stage.emulator_port)),
        "{}",
        error.hint()
    );
    let Stage {
        emulator,
        emulator_port,
        dir,
        ..
    } = stage;
    drop(emulator);
    assert_nothing_is_left(&[function], emulator_port, dir.path());
}

#[test]
fn everything_ends_with_its_parent() {
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ends::parent", "--ignored", "--nocapture"])
            .env("AWS_PROFILE", "the-users-own")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(parent.stdout.take().unwrap());
        let line = output
            .lines()
            .map(Result::unwrap)
            .find(|line| line.starts_with('{'))
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();

        let environment = ready["seen"]["environment"].as_object().unwrap();
        assert!(!environment.contains_key("AWS_PROFILE"));
        assert!(!environment.contains_key("HTTP_PROXY"));
        assert_eq!(
            environment["AWS_ENDPOINT_URL_REKOGNITION"],
            "http://127.0.0.1:9"
        );

        let processes = [
            pid(&ready["seen"]["function_pid"]),
            pid(&ready["seen"]["emulator_pid"]),
        ];
        assert!(!processes.iter().copied().any(has_ended));
        kill_process(Pid::from_child(&parent), signal).unwrap();
        parent.wait().unwrap();
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        let dir = PathBuf::from(ready["dir"].as_str().unwrap());
        assert_nothing_is_left(&processes, port, &dir);
        // The parent had no chance to remove its own temporary folder.
        std::fs::remove_dir_all(dir).unwrap();
    }
}

/// What `everything_ends_with_its_parent` starts and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs until it is killed"]
async fn parent() {
    let stage = Stage::start().await;
    let ready = serde_json::json!({
        "seen": stage.probe("/"),
        "port": stage.emulator_port,
        "dir": stage.dir.path(),
    });
    println!("\n{ready}");
    std::future::pending::<()>().await;
}
