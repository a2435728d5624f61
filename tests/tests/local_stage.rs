//! The life of the local stage: what it starts, it ends.
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use acceptance::strangers::{arguments, process_tree};
use acceptance::{Stage, eventually, signal};
use tempfile::TempDir;

#[test]
fn a_command_runs_with_the_stages_variables_and_gives_its_exit_status() {
    let (mut command, _directory) = acceptance::one_command(&[
        "sh",
        "-c",
        "aws s3 ls \"$PHOTOS_BUCKET_NAME\" && curl -s \"$SHOP_URL\" && exit 7",
    ]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        acceptance::both(&output)
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "[]");
}

#[test]
fn nothing_is_left_when_it_is_stopped_or_killed() {
    for signal_name in ["INT", "TERM", "KILL"] {
        let stage = Stage::start();
        // A function process, too.
        assert_eq!(stage.get("SHOP_URL", "/").status, 200);
        let ports: Vec<u16> = ["SHOP_URL", "AWS_ENDPOINT_URL"]
            .iter()
            .map(|name| {
                let url = stage.variable(name).trim_end_matches('/');
                url.rsplit(':').next().unwrap().parse().unwrap()
            })
            .collect();
        assert!(
            ports
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        );
        let endpoint = stage.variable("AWS_ENDPOINT_URL").to_owned();
        signal(signal_name, stage.process_id());
        eventually(&format!("every port closed after SIG{signal_name}"), || {
            ports
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
                .then_some(())
        });
        eventually(
            &format!("every process ended after SIG{signal_name}"),
            || {
                acceptance::processes_that_know(&endpoint)
                    .is_empty()
                    .then_some(())
            },
        );
    }
}

#[test]
fn a_stage_that_does_nothing_asks_its_emulator_for_little() {
    let folder = TempDir::new().unwrap();
    let recorded = folder.path().join("calls");
    let calls = recorded.to_str().unwrap();
    let variables = [("XTASK_RECORD_CALLS", calls)];
    // The schedule of the example is not due.
    let stage = Stage::with_variables(acceptance::xtask_program(), &[], &variables);
    assert_eq!(stage.get("SHOP_URL", "/").status, 200);
    stage.xtask_ok(&["wait"]);
    let requests = || {
        let files = std::fs::read_dir(&recorded).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts.map(|text| text.lines().count()).sum::<usize>()
    };
    let before = requests();
    assert!(before > 0, "requests are recorded");
    std::thread::sleep(Duration::from_secs(5));
    // Ten of them look for event source mappings. Shards and logs that were read again and again would take hundreds.
    let asked = requests() - before;
    assert!(asked < 50, "{asked} requests within 5 s");
}

#[test]
fn an_app_that_does_not_use_rekognition_has_a_stage_without_it() {
    let stage = Stage::start();
    let variable = "AWS_ENDPOINT_URL_REKOGNITION";
    assert!(!stage.variables.contains_key(variable));
    let processes = process_tree(stage.process_id());
    assert!(processes.len() > 1, "{processes:?}");
    assert!(
        !processes
            .iter()
            .any(|process| arguments(*process).contains("rekognition"))
    );
}
