//! `cargo xtask bench --check`: functions that exceed their budgets.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use acceptance::{example, xtask, xtask_program};
use manifest::Stage;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A build as cargo tells of it, whose executables are all the same.
const CARGO: &str = r#"#!/bin/sh
for argument; do
    case $argument in
    --package=*) echo "{\"target\": {\"name\": \"${argument#--package=}\"}, \"executable\": \"$CODE\"}" ;;
    esac
done
"#;

/// A C library as old as Lambda's: this machine's cargo builds.
const GETCONF: &str = "#!/bin/sh\necho glibc 2.34\n";

/// The function with the Lambda runtime and nothing else, without debug information and with `more` bytes that cannot be
/// compressed.
fn function(folder: &TempDir, more: u64) {
    let code = folder.path().join("code");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&code).arg(env!("CARGO_BIN_EXE_echo"));
    assert!(strip.status().unwrap().success());
    let mut bytes = std::fs::read(&code).unwrap();
    bytes.extend((0..more / 32).flat_map(|block| Sha256::digest(block.to_le_bytes())));
    std::fs::write(&code, bytes).unwrap();
}

#[test]
fn a_function_that_exceeds_its_budget_is_told_with_how_much_it_is() {
    let app = shop::app().resolve(&Stage::with_defaults("dev")).unwrap();
    let declared = app.functions().next().unwrap();
    let (name, budget) = (declared.name(), declared.budget());

    let folder = TempDir::new().unwrap();
    let path = folder.path();
    for part in ["infra", "assets/events", "bin"] {
        std::fs::create_dir_all(path.join(part)).unwrap();
    }
    let stages = "infra/stages.yaml";
    std::fs::copy(example().join(stages), path.join(stages)).unwrap();
    std::fs::write(path.join(format!("assets/events/{name}.json")), "{}").unwrap();
    for (name, text) in [("cargo", CARGO), ("getconf", GETCONF)] {
        let program = path.join("bin").join(name);
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    }
    function(&folder, budget.zip_bytes);

    let others = std::env::var_os("PATH").unwrap_or_default();
    let programs = [path.join("bin")]
        .into_iter()
        .chain(std::env::split_paths(&others));
    let arguments = [
        "bench", name, "--check", "--json", "--starts", "3", "--events", "5",
    ];
    let output = xtask(&xtask_program(), &arguments)
        .env("PATH", std::env::join_paths(programs).unwrap())
        .env("CARGO", path.join("bin/cargo"))
        .env("CODE", path.join("code"))
        .env("CARGO_MANIFEST_DIR", path.join("xtask"))
        .env("CARGO_TARGET_DIR", path.join("target"))
        .output()
        .unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["function"], name);
    assert_eq!(rows[0]["starts"], 3);
    assert_eq!(rows[0]["budget"]["zip_bytes"], budget.zip_bytes);
    assert_eq!(rows[1]["function"], "lambda-floor");
    assert!(rows[1]["budget"].is_null());

    let zip_bytes = rows[0]["zip_bytes"].as_u64().unwrap();
    assert!(zip_bytes > budget.zip_bytes, "{zip_bytes}");
    let megabytes = |bytes: u64| format!("{}.{:02} MB", bytes / 1_000_000, bytes / 10_000 % 100);
    let expected = format!(
        "more than the {} of its budget, tests/example/src/lib.rs:",
        megabytes(budget.zip_bytes)
    );
    let told = said
        .lines()
        .find(|line| line.starts_with(&format!("  - {name} has a zip of ")));
    assert!(told.unwrap_or_default().contains(&expected), "{said}");
    assert!(said.contains("hint: make them cheaper"), "{said}");
}
