//! How long deployments take, beside those of the AWS CDK: the same stack, on the same
//! emulator, one after the other. Medians of five. Neither builds functions.
//!
//! `cargo bench -p acceptance --bench deploy --profile dev`, which compiles no dependency anew;
//! npm is needed for the CDK.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acceptance::small_stack::{ACCOUNT, Ground, REGION, template};
use acceptance::{both, target_directory};

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

/// What is measured, in order: name, our verb, the CDK's, and the version of the code.
const STEPS: [Step; 5] = [
    Step("clean deploy", &["deploy", "1"], DEPLOY, "1"),
    Step("no-op", &["deploy", "1"], DEPLOY, "1"),
    Step("code only", &["deploy", "1", "2"], DEPLOY, "2"),
    Step("hotswap", &["hotswap", "1"], HOTSWAP, "1"),
    Step("delete", &["delete"], &["destroy", "--force"], "1"),
];

struct Step(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const DEPLOY: &[&str] = &["deploy", "--require-approval", "never"];
const HOTSWAP: &[&str] = &["deploy", "--require-approval", "never", "--hotswap"];

const RUNS: usize = 5;

const APP: &str = "ours";

fn main() {
    let ground = Ground::start();
    let cdk = Cdk::new(&ground);
    // Both have their bucket for code before.
    ground.run(PROGRAM, APP, &["deploy", "1"]).succeeded();
    ground.run(PROGRAM, APP, &["delete"]).succeeded();
    let bootstrap = format!("aws://{ACCOUNT}/{REGION}");
    cdk.run(&["bootstrap", &bootstrap], "1");
    // It lets nobody in without TLS, which the emulator does not have.
    let s3 = ground.s3();
    let bucket = format!("cdk-hnb659fds-assets-{ACCOUNT}-{REGION}");
    let delete = s3.delete_bucket_policy().bucket(bucket).send();
    ground.runtime.block_on(delete).unwrap();

    let mut ours = vec![Vec::new(); STEPS.len()];
    let mut theirs = ours.clone();
    for _ in 0..RUNS {
        for (index, Step(_, verb, ..)) in STEPS.iter().enumerate() {
            let started = Instant::now();
            ground.run(PROGRAM, APP, verb).succeeded();
            ours[index].push(started.elapsed());
        }
        for (index, Step(_, _, verb, code)) in STEPS.iter().enumerate() {
            let started = Instant::now();
            cdk.run(verb, code);
            theirs[index].push(started.elapsed());
        }
    }
    println!("{:<14} {:>8} {:>8} {:>8}", "", "ours", "cdk", "ratio");
    for (index, Step(name, ..)) in STEPS.iter().enumerate() {
        let (ours, theirs) = (median(&mut ours[index]), median(&mut theirs[index]));
        println!(
            "{name:<14} {ours:>6.2} s {theirs:>6.2} s {:>8.1}",
            theirs / ours
        );
    }
}

/// In seconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// The AWS CDK, installed for this.
struct Cdk<'a> {
    ground: &'a Ground,
    directory: PathBuf,
    template: PathBuf,
}

impl<'a> Cdk<'a> {
    fn new(ground: &'a Ground) -> Self {
        let directory = target_directory().join("bench-cdk");
        std::fs::create_dir_all(&directory).unwrap();
        let installed = Command::new("npm")
            .args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"])
            .arg(&directory)
            .args(["aws-cdk@2.1148.1", "aws-cdk-lib@2", "constructs@10"])
            .status()
            .unwrap();
        assert!(installed.success(), "the CDK cannot be installed");
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cdk/app.js");
        std::fs::copy(app, directory.join("app.js")).unwrap();
        let file = directory.join("template.yaml");
        std::fs::write(&file, template("cdk", 1)).unwrap();
        Self {
            ground,
            directory,
            template: file,
        }
    }

    fn run(&self, verb: &[&str], code_version: &str) {
        let zips = self.ground.zip("reader", 1);
        let output = Command::new(self.directory.join("node_modules/.bin/cdk"))
            .current_dir(&self.directory)
            .args(["--app", "node app.js"])
            .args(verb)
            .env("AWS_ENDPOINT_URL", self.ground.endpoint())
            .env("AWS_ENDPOINT_URL_S3", self.ground.endpoint())
            .env("AWS_ACCESS_KEY_ID", &self.ground.keys().access_key_id)
            .env(
                "AWS_SECRET_ACCESS_KEY",
                &self.ground.keys().secret_access_key,
            )
            .env("AWS_REGION", REGION)
            .env("CDK_DISABLE_CLI_TELEMETRY", "true")
            .env("TEMPLATE", &self.template)
            .env("ZIPS", zips.parent().unwrap())
            .env("CODE_VERSION", code_version)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "cdk {verb:?}: {}", both(&output));
    }
}
