//! The life of the local stage: what it starts, it ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpStream;
use std::process::{Command, Stdio};

use acceptance::strangers::{arguments, process_tree};
use acceptance::{Stage, eventually, signal};

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
fn a_debugger_stops_a_function_at_its_handler() {
    if Command::new("gdb").arg("--version").output().is_err() {
        let must_run = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!must_run, "gdb is not installed");
        eprintln!("skipped: a_debugger_stops_a_function_at_its_handler: gdb is not installed");
        return;
    }
    let stage = Stage::start_with(&["--debug", "serve-shop"]);
    let get = || stage.get("SHOP_URL", "/").status;
    std::thread::scope(|scope| {
        let request = scope.spawn(get);
        let attach = eventually("the command that attaches a debugger", || {
            let log = stage.log();
            let command = log.lines().find(|line| line.contains("gdb -p "));
            command.map(str::to_owned)
        });
        // Another function does not wait.
        assert_eq!(stage.get("ORDERS_URL", "/orders").status, 200);
        assert!(!request.is_finished());

        let then = "-batch -ex backtrace -ex 'info locals' -ex detach";
        let debugged = Command::new("sh")
            .args(["-c", &format!("{attach} {then}")])
            .current_dir(acceptance::workspace())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let shown = acceptance::both(&debugged);
        for wanted in [
            "Breakpoint 1, serve_shop::",
            "in serve_shop::start::{async_fn#0}",
            "tests/example/functions/serve-shop/src/main.rs:",
            // A variable, of which the dev profile has none.
            "request = ",
            "detached",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        assert_eq!(request.join().unwrap(), 200);
    });
    // The process that was debugged goes on.
    assert_eq!(get(), 200);
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
