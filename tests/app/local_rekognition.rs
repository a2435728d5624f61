//! The local Rekognition is a part of the stage: the stage's shell reaches it, its calls are
//! written down, strangers are refused, and it ends with the stage.
use std::net::TcpStream;
use std::process::Stdio;

use acceptance::strangers::Request;
use acceptance::{both, eventually, one_command_of};
use tempfile::TempDir;

use crate::library::{Stage, xtask_program};

/// A call that Rekognition refuses in its own words.
const CALL: &str = "aws rekognition get-label-detection --job-id 0123 2>&1 \
                    | grep -q ResourceNotFoundException";

#[test]
fn the_stages_shell_calls_it_and_the_call_is_recorded() {
    let folder = TempDir::new().unwrap();
    let (mut local, _directory) = one_command_of(&xtask_program(), &["sh", "-c", CALL]);
    local
        .env("XTASK_RECORD_CALLS", folder.path())
        .env("AWS_ENDPOINT_URL_REKOGNITION", "http://127.0.0.1:9");
    let output = local.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let recorded: String = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(
        recorded.contains("RekognitionService.GetLabelDetection"),
        "{recorded}"
    );
    for hidden in ["Credential", "ignature", "ecurity-"] {
        assert!(!recorded.contains(hidden), "{hidden}");
    }
}

#[test]
fn it_refuses_strangers_and_ends_with_the_stage() {
    let mut stage = Stage::start();
    let url = stage.variable("AWS_ENDPOINT_URL_REKOGNITION");
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    for host in ["attacker.test", "localhost.attacker.test", "127.0.0.2"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = Request::new(method, "/").host(host).send(port);
            assert!(answer.is_refusal(), "{method} of {host}: {answer}");
        }
    }
    for headers in [
        &[][..],
        &[("Origin", "http://attacker.test")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = Request::new(method, "/").headers(headers).send(port);
            assert!(answer.is_refusal(), "{method} {headers:?}: {answer}");
        }
    }

    let ours = stage.variable("AWS_ACCESS_KEY_ID");
    for (id, secret) in [("test", "test"), (ours, "guessed")] {
        let image = "S3Object={Bucket=any,Name=any}";
        let mut call = stage.aws(&["rekognition", "detect-labels", "--image", image]);
        call.env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_MAX_ATTEMPTS", "1");
        let said = both(&call.output().unwrap());
        let refused = ["UnrecognizedClientException", "InvalidSignatureException"];
        assert!(refused.iter().any(|code| said.contains(code)), "{said}");
    }

    stage.stop();
    eventually("the port closed", || {
        TcpStream::connect(("127.0.0.1", port))
            .is_err()
            .then_some(())
    });
}
