//! How long an edit takes from the write of the file to an answer of the new code, beside cargo-lambda: five edits
//!
//! - of a function's own crate,
//! - of `functions/media`, which seven functions depend on,
//! - of the manifest: for `cargo lambda watch`, nothing follows from it.
//!
//! And how long `cargo xtask local` takes to be ready if nothing has changed.
//!
//! `cargo bench -p acceptance --bench reload --profile dev`, which compiles no dependency anew. The edits are made in a
//! copy of the workspace. Each writes a number into a message of `media-api` for a bad request, and the benchmark invokes
//! the function with such a request until the answer has the number. The local stage says when it has reloaded a function,
//! and is asked from then on, because an invocation before that would take a processor from the build. cargo-lambda lets
//! requests wait for the build. It is installed by pip; without it, its column is empty.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use acceptance::copy::Copy;
use acceptance::{Stage, program, signal, target_directory, workspace, xtask};
use aws_sdk_lambda::primitives::Blob;
use serde_json::{Value, json};
use ureq::http::Request;

const FUNCTION: &str = "media-api";

/// Whose timeout the edits of the manifest change.
const CONFIGURED: &str = "handle-object-removed";

/// As pip is asked for it.
const CARGO_LAMBDA: &str = "cargo-lambda==1.9.2";

const RUNS: usize = 5;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(30);

/// Between two edits: by then, the stage has built whatever else the last one has changed.
const REST: Duration = Duration::from_secs(12);

/// `cargo lambda watch` never answers a request that reaches a function which it is about to end.
const LOST_AFTER: Duration = Duration::from_millis(300);

/// The first invocation may have to wait for a compilation of the AWS SDK.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A place in the source, behind which something is inserted.
struct Edit {
    name: &'static str,
    file: &'static str,
    after: &'static str,
    /// A query that is refused with the text of the place.
    query: &'static str,
}

const OWN: Edit = Edit {
    name: "function's own crate",
    file: "functions/media-api/src/query.rs",
    after: "LIMIT.of_text(\"query parameter limit",
    query: "limit=0",
};

const MEDIA: Edit = Edit {
    name: "functions/media",
    file: "functions/media/src/media_type.rs",
    after: "#[error(\"unknown media type",
    query: "media-type=nothing",
};

const MANIFEST: Edit = Edit {
    name: "manifest",
    file: "infra/app/src/lib.rs",
    after: "app.function(\"handle-object-removed\")\n",
    query: "",
};

/// What reloads.
trait Watch {
    /// Whether the function may have new code by now.
    fn is_worth_asking(&self) -> bool;

    /// What the function answers now to a request with this query.
    fn answer(&self, query: &str) -> Option<String>;
}

fn main() {
    // What cargo-lambda builds, so that the copy has it: by itself, the function may have other features.
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--package", FUNCTION])
        .current_dir(workspace())
        .status();
    assert!(built.unwrap().success());
    let copy = Copy::new(&edited_packages());
    let target = copy.target().to_str().unwrap().to_owned();
    let package = copy.root().join("xtask");
    let variables = [
        ("CARGO_TARGET_DIR", target.as_str()),
        ("CARGO_MANIFEST_DIR", package.to_str().unwrap()),
    ];

    let ours = Ours::start(&variables);
    let mut ours_times = [OWN, MEDIA].map(|edit| times(&copy, &edit, &ours));
    let mut manifest_times = ours.manifest_times(&copy);
    let environment = ours.environment();
    drop(ours);
    let mut starts: Vec<_> = (0..RUNS).map(|_| start(&variables)).collect();

    let mut theirs_times = CargoLambda::start(&copy, &environment)
        .map(|theirs| [OWN, MEDIA].map(|edit| times(&copy, &edit, &theirs)));

    println!(
        "{:<22} {:>8} {:>13}   all",
        "seconds", "median", "cargo-lambda"
    );
    for (index, edit) in [OWN, MEDIA].iter().enumerate() {
        let theirs = theirs_times.as_mut().map(|times| &mut times[index]);
        row(edit.name, &mut ours_times[index], theirs);
    }
    row(MANIFEST.name, &mut manifest_times, None);
    row("start", &mut starts, None);
}

fn row(name: &str, ours: &mut [Duration], theirs: Option<&mut Vec<Duration>>) {
    let all = |times: &[Duration]| -> String {
        let times = times
            .iter()
            .map(|time| format!("{:.2} ", time.as_secs_f64()));
        times.collect()
    };
    let ours_all = all(ours);
    let (theirs_median, theirs_all) = match theirs {
        Some(times) => (format!("{:.2}", median(times)), all(times)),
        None => ("-".to_owned(), String::new()),
    };
    println!(
        "{name:<22} {:>8.2} {theirs_median:>13}   {ours_all}| {theirs_all}",
        median(ours)
    );
}

/// In seconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// The functions with their libraries, and what contains the manifest.
fn edited_packages() -> Vec<String> {
    let functions = std::fs::read_dir(workspace().join("functions")).unwrap();
    let functions = functions.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    functions
        .chain(["app", "app-checks", "xtask"].map(String::from))
        .collect()
}

/// Each edit from the write to the answer. The first one is not counted: it finds nothing compiled.
fn times(copy: &Copy, edit: &Edit, watch: &impl Watch) -> Vec<Duration> {
    let original = std::fs::read_to_string(copy.root().join(edit.file)).unwrap();
    // The stage builds first what was asked last.
    watch.answer(edit.query);
    let shows = |number: usize| {
        let expected = format!(" {number} ");
        move || {
            let answer = watch
                .is_worth_asking()
                .then(|| watch.answer(edit.query))
                .flatten();
            answer.is_some_and(|answer| answer.contains(&expected))
        }
    };
    let runs = (0..=RUNS).map(|run| {
        // A number that stands nowhere else in the message.
        let number = 70_000 + run;
        let took = save(copy, edit, &original, &format!(" {number}"), shows(number));
        sleep(REST);
        took
    });
    let times: Vec<_> = runs.skip(1).collect();
    let shows_last = shows(70_000 + RUNS);
    save(copy, edit, &original, "", || !shows_last());
    times
}

/// Saves an edit, and waits for its effect.
fn save(
    copy: &Copy,
    edit: &Edit,
    original: &str,
    line: &str,
    mut is_there: impl FnMut() -> bool,
) -> Duration {
    let (before, after) = original.split_once(edit.after).unwrap();
    let text = format!("{before}{}{line}{after}", edit.after);
    let started = Instant::now();
    std::fs::write(copy.root().join(edit.file), text).unwrap();
    while !is_there() {
        assert!(started.elapsed() < PATIENCE, "{} has no effect", edit.name);
        sleep(PAUSE);
    }
    started.elapsed()
}

/// A request with this query.
fn event(query: &str) -> String {
    let file = workspace().join("assets/events/media-api.json");
    let mut event: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    event["rawQueryString"] = query.into();
    if let Some((name, value)) = query.split_once('=') {
        event["queryStringParameters"] = json!({ name: value });
    }
    event.to_string()
}

/// `cargo xtask local --watch`.
struct Ours {
    stage: Stage,
    runtime: tokio::runtime::Runtime,
    client: aws_sdk_lambda::Client,
    function: String,
    configured: String,
    /// What it has told of.
    reloads: Cell<usize>,
}

impl Ours {
    fn start(variables: &[(&str, &str)]) -> Self {
        let stage = Stage::with_variables(program("xtask"), &["--watch"], variables);
        let client = aws_sdk_lambda::Client::new(&stage.config());
        Self {
            runtime: tokio::runtime::Runtime::new().unwrap(),
            client,
            function: stage.physical_name(FUNCTION),
            configured: stage.physical_name(CONFIGURED),
            reloads: Cell::new(0),
            stage,
        }
    }

    fn manifest_times(&self, copy: &Copy) -> Vec<Duration> {
        let file = copy.root().join(MANIFEST.file);
        let original = std::fs::read_to_string(file).unwrap();
        // Instead of the one that follows.
        let original = original.replacen(
            &format!("{}        .timeout_seconds(60)\n", MANIFEST.after),
            MANIFEST.after,
            1,
        );
        let runs = (0..=RUNS).map(|run| {
            let seconds = 61 + i32::try_from(run).unwrap();
            let line = format!("        .timeout_seconds({seconds})\n");
            save(copy, &MANIFEST, &original, &line, || {
                self.timeout() == Some(seconds)
            })
        });
        runs.skip(1).collect()
    }

    /// The variables of the function.
    fn environment(&self) -> HashMap<String, String> {
        let request = self.client.get_function_configuration();
        let request = request.function_name(&self.function).send();
        let function = self.runtime.block_on(request).unwrap();
        function.environment.unwrap().variables.unwrap()
    }

    fn timeout(&self) -> Option<i32> {
        let request = self.client.get_function_configuration();
        let request = request.function_name(&self.configured).send();
        self.runtime.block_on(request).ok()?.timeout
    }
}

impl Watch for Ours {
    fn is_worth_asking(&self) -> bool {
        let log = self.stage.log();
        // The first edit of all may be deployed.
        let reloads = ["Reloaded", "Deployed"].map(|told| log.matches(told).count());
        let reloads = reloads.into_iter().sum();
        self.reloads.replace(reloads) < reloads
    }

    fn answer(&self, query: &str) -> Option<String> {
        let request = self.client.invoke().function_name(&self.function);
        let request = request.payload(Blob::new(event(query))).send();
        let payload = self.runtime.block_on(request).ok()?.payload?;
        String::from_utf8(payload.into_inner()).ok()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stage.stop();
    }
}

/// From the command to the end of one that does nothing, less the time that the stage needs to end.
fn start(variables: &[(&str, &str)]) -> Duration {
    let folder = tempfile::TempDir::new().unwrap();
    let moment = folder.path().join("ready");
    let command = ["local", "--", "touch", moment.to_str().unwrap()];
    let mut command = xtask(&program("xtask"), &command);
    let started = std::time::SystemTime::now();
    let status = command
        .envs(variables.iter().copied())
        .env("XTASK_LOCAL_DIR", folder.path().join("stage"))
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let ready = std::fs::metadata(moment).unwrap().modified().unwrap();
    ready.duration_since(started).unwrap()
}

/// `cargo lambda watch`.
struct CargoLambda {
    process: Child,
    url: String,
}

impl CargoLambda {
    /// None if it cannot be installed.
    fn start(copy: &Copy, environment: &HashMap<String, String>) -> Option<Self> {
        let program = install()?;
        let port = acceptance::free_ports_of_aws().to_string();
        let log = File::create(target_directory().join("bench-cargo-lambda.log")).unwrap();
        let process = Command::new(program)
            .args(["lambda", "watch"])
            .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port])
            .args(["--package", FUNCTION])
            .current_dir(copy.root())
            .env("CARGO_TARGET_DIR", copy.target())
            .envs(environment)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            // Nobody is there: the function starts and calls no one.
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Self {
            process,
            url: format!("http://127.0.0.1:{port}/2015-03-31/functions/{FUNCTION}/invocations"),
        })
    }
}

impl Watch for CargoLambda {
    fn is_worth_asking(&self) -> bool {
        true
    }

    fn answer(&self, query: &str) -> Option<String> {
        let request = Request::post(&self.url).body(event(query)).unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(LOST_AFTER));
        let answer = ureq::Agent::from(agent.build()).run(request);
        answer.ok()?.body_mut().read_to_string().ok()
    }
}

impl Drop for CargoLambda {
    fn drop(&mut self) {
        signal("INT", self.process.id());
        let _ = self.process.wait();
    }
}

/// Installs cargo-lambda; returns its program.
fn install() -> Option<PathBuf> {
    let environment = target_directory().join("bench-cargo-lambda");
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let is_installed = run(Path::new("python3"), &["-m", "venv", environment.to_str()?])
        // Without zig, which watching does not need.
        && run(&environment.join("bin/pip"), &["install", "--quiet", "--no-deps", CARGO_LAMBDA]);
    if !is_installed {
        println!("cargo-lambda is not compared: pip could not install {CARGO_LAMBDA}");
        return None;
    }
    Some(environment.join("bin/cargo-lambda"))
}
