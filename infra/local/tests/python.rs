//! The environments that `cargo xtask` uses too: made here if they are missing.

use std::path::PathBuf;
use std::process::Command;

use local::{CheckTools, StageTools};

fn python_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/python")
}

#[tokio::test]
async fn the_stage_has_its_programs_and_models() {
    let tools = StageTools::prepare(&python_dir().join("stage"), |line| println!("{line}"))
        .await
        .unwrap();

    let version = |program: PathBuf, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(version(tools.aws(), &["--version"]).starts_with("aws-cli/1."));
    let ministack = "import importlib.metadata as m; print(m.version('ministack'))";
    assert_eq!(version(tools.python(), &["-c", ministack]), "1.5.33\n");
    let models = tools.models(|line| println!("{line}")).await.unwrap();
    let classifier = std::fs::read(models.classifier).unwrap();
    assert_eq!(
        &classifier[4..8],
        b"TFL3",
        "a TFLite file says so at byte 4"
    );
    for extension in ["weights", "cfg"] {
        let file = models.detector.with_extension(extension);
        assert!(file.is_file(), "{extension}");
    }

    let mut lines = 0;
    let tools = StageTools::prepare(&python_dir().join("stage"), |_| lines += 1)
        .await
        .unwrap();
    tools.models(|_| lines += 1).await.unwrap();
    assert_eq!(lines, 0, "a second start has nothing to do");
}

#[tokio::test]
async fn the_checks_have_their_linter_and_data() {
    let tools = CheckTools::prepare(&python_dir().join("checks"), |line| println!("{line}"))
        .await
        .unwrap();
    let output = Command::new(tools.cfn_lint())
        .arg("--version")
        .output()
        .unwrap();
    assert!(output.status.success());
    let data = "import botocore, cfnlint, policy_sentry";
    let output = Command::new(tools.python())
        .args(["-c", data])
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[tokio::test]
async fn the_history_of_the_emulator_is_bounded() {
    let tools = StageTools::prepare(&python_dir().join("stage"), |line| println!("{line}"))
        .await
        .unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ring.py");
    let output = Command::new(tools.python())
        // Without bytecode among the sources.
        .args(["-B".as_ref(), script.as_os_str()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}
