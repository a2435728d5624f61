//! What the acceptance tests share: a local stage of their own, and the tools that a user has.
//!
//! Nothing here knows how the stage works: it is started by the `xtask` binary, found by its
//! `env` verb, and reached by the AWS CLI and HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

pub mod browser;
pub mod copy;
pub mod documents;
pub mod fake_aws;
pub mod names;
mod ports;
pub mod probe;
pub mod small_stack;
pub mod strangers;
pub mod terminal;
pub mod webdriver;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::region::Region;
use local::{Call, Fault, FaultProxy};
use serde_json::Value;
use tempfile::TempDir;
use ureq::http::{HeaderMap, Request};

/// A start may have to compile the AWS SDK first.
const START_PATIENCE: Duration = Duration::from_secs(20 * 60);

/// How long the effect of an event may take: a cold start and retries included.
pub const EVENT_PATIENCE: Duration = Duration::from_secs(30);

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The folder of the example, the app that the framework's tests run on.
pub fn example() -> PathBuf {
    workspace().join("tests/example")
}

/// The built program of the example.
pub fn xtask_program() -> PathBuf {
    program("shop-xtask")
}

/// The `xtask` of an app: the binary of this package, built now if it is not.
pub fn program(package: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Variables of this test's own package would make cargo run build scripts again.
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    let mut build = Command::new(cargo);
    for name in ours {
        build.env_remove(name);
    }
    let output = build
        .current_dir(workspace())
        .args([
            "build",
            "--quiet",
            "--package",
            package,
            "--message-format",
            "json",
        ])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{package} cannot be built");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == package && message["executable"].is_string())
        .map(|message| PathBuf::from(message["executable"].as_str().unwrap()))
        .expect("cargo names the executable")
}

/// A command of a built `xtask` that sees nothing of the AWS configuration of this machine.
pub fn xtask(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for kept in [
        "PATH",
        "HOME",
        "CARGO",
        "CARGO_HOME",
        "CARGO_TARGET_DIR",
        "TMPDIR",
        "XTASK_RECORD_CALLS",
    ] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    // How the tools that it runs are to be had on this machine.
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PIP_") || text.starts_with("RUSTUP_") {
            command.env(&name, value);
        }
    }
    command.env("XTASK_LOCAL_VALUES", local_values());
    command
}

/// The example's values for the local stage, in a copy that only its owner may read: git does not
/// keep that.
fn local_values() -> &'static Path {
    static COPY: LazyLock<PathBuf> = LazyLock::new(|| {
        let text = std::fs::read(example().join("infra/local-values.example.yaml")).unwrap();
        let target = workspace().join("target");
        std::fs::create_dir_all(&target).unwrap();
        let copy = target.join("local-values-of-tests.yaml");
        // Tests that run beside this one write the same, at once.
        let file = tempfile::NamedTempFile::new_in(&target).unwrap();
        std::fs::write(file.path(), text).unwrap();
        file.persist(&copy).unwrap();
        copy
    });
    &COPY
}

/// `xtask local -- COMMAND` on free ports, and the folder that its stage lives in.
pub fn one_command(command: &[&str]) -> (Command, TempDir) {
    one_command_of(&xtask_program(), command)
}

/// As [`one_command`], for the app of a program.
pub fn one_command_of(program: &Path, command: &[&str]) -> (Command, TempDir) {
    let directory = TempDir::new().unwrap();
    let port = free_ports_of_apis().to_string();
    let aws_port = free_ports_of_aws().to_string();
    let arguments = ["local", "--port", &port, "--aws-port", &aws_port, "--"];
    let mut local = xtask(program, &[&arguments, command].concat());
    local.env("XTASK_LOCAL_DIR", directory.path());
    (local, directory)
}

/// The processes whose environment names this AWS endpoint: the functions and their emulator.
/// Known on Linux only; elsewhere none is found.
pub fn processes_that_know(endpoint_url: &str) -> Vec<PathBuf> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let variable = format!("AWS_ENDPOINT_URL={endpoint_url}\0");
    processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            environment
                .windows(variable.len())
                .any(|window| window == variable.as_bytes())
        })
        .collect()
}

/// A running local stage. Dropping it stops it.
pub struct Stage {
    program: PathBuf,
    process: Child,
    directory: TempDir,
    log: PathBuf,
    aws: PathBuf,
    /// What `xtask env` gave.
    pub variables: BTreeMap<String, String>,
}

/// Held while a stage builds its functions and takes them up. A stage that debugs a function has it built otherwise, to the
/// place from which the other stages of this process take it.
static BUILDING: RwLock<()> = RwLock::new(());

impl Stage {
    /// Starts a stage of the example on free ports and waits until it is ready. It does not reload,
    /// unless it is told to `--watch`.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Stage::start`], with more arguments for `xtask local`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::of(xtask_program(), arguments)
    }

    /// As [`Stage::start_with`], for the app of a program.
    pub fn of(program: PathBuf, arguments: &[&str]) -> Self {
        Self::with_variables(program, arguments, &[])
    }

    /// As [`Stage::of`], with more variables in the environment of `xtask local`.
    pub fn with_variables(
        program: PathBuf,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let directory = TempDir::new().unwrap();
        // As a folder below `target` is: what is in it, the stage has to protect.
        let open_to_all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open_to_all).unwrap();
        Self::in_directory(directory, program, arguments, variables)
    }

    /// Another start in the folder of a stage that has ended, on other ports.
    pub fn again(mut self, arguments: &[&str]) -> Self {
        self.process.wait().unwrap();
        // One that was killed has left it.
        let _ = std::fs::remove_file(self.directory().join("stage.json"));
        let directory = std::mem::replace(&mut self.directory, TempDir::new().unwrap());
        Self::in_directory(directory, self.program.clone(), arguments, &[])
    }

    fn in_directory(
        directory: TempDir,
        program: PathBuf,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = directory.path().join("xtask-local.log");
        let port = free_ports_of_apis().to_string();
        let aws_port = free_ports_of_aws().to_string();
        let output = File::create(&log).unwrap();
        let is_debugged = arguments.contains(&"--debug");
        let _alone = is_debugged.then(|| BUILDING.write().unwrap_or_else(PoisonError::into_inner));
        let _together =
            (!is_debugged).then(|| BUILDING.read().unwrap_or_else(PoisonError::into_inner));
        let mut all = vec!["local", "--port", &port, "--aws-port", &aws_port];
        if !arguments.contains(&"--watch") {
            all.push("--no-watch");
        }
        let process = xtask(&program, &[&all, arguments].concat())
            .env("XTASK_LOCAL_DIR", directory.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut stage = Self {
            program,
            process,
            log,
            directory,
            aws: PathBuf::new(),
            variables: BTreeMap::new(),
        };
        let started = Instant::now();
        while !stage.directory.path().join("stage.json").exists() {
            if let Some(status) = stage.process.try_wait().unwrap() {
                panic!("the stage ended ({status}):\n{}", stage.log());
            }
            assert!(
                started.elapsed() < START_PATIENCE,
                "the stage is not ready:\n{}",
                stage.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        stage.variables = serde_json::from_str(&stage.xtask_ok(&["env", "--json"])).unwrap();
        stage.aws = aws_cli();
        stage
    }

    /// What the stage printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The stage's folder, `XTASK_LOCAL_DIR`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process that runs the stage.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The value of one of `xtask env`'s variables.
    pub fn variable(&self, name: &str) -> &str {
        self.variables
            .get(name)
            .unwrap_or_else(|| panic!("`xtask env` does not set {name}"))
    }

    /// A verb of the built `xtask`, for this stage.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = xtask(&self.program, arguments);
        command
            .env("XTASK_STAGE", "local")
            .env("XTASK_LOCAL_DIR", self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// As [`Stage::xtask`], but with the AWS endpoint at another URL of this machine.
    pub fn xtask_behind(&self, endpoint_url: &str, arguments: &[&str]) -> Command {
        let port: u16 = endpoint_url.rsplit(':').next().unwrap().parse().unwrap();
        let state = std::fs::read(self.directory.path().join("stage.json")).unwrap();
        let mut state: Value = serde_json::from_slice(&state).unwrap();
        state["aws_port"] = port.into();
        let directory = self.directory.path().join(format!("behind-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("stage.json"), state.to_string()).unwrap();
        let mut command = self.xtask(arguments);
        command.env("XTASK_LOCAL_DIR", directory);
        command
    }

    /// As [`Stage::xtask`], but with another key than that of the root user.
    pub fn xtask_as(&self, key: &(String, String), arguments: &[&str]) -> Command {
        let (access_key_id, secret_access_key) = key;
        let state = std::fs::read(self.directory.path().join("stage.json")).unwrap();
        let mut state: Value = serde_json::from_slice(&state).unwrap();
        state["access_key_id"] = access_key_id.as_str().into();
        state["secret_access_key"] = secret_access_key.as_str().into();
        let directory = self.directory.path().join(format!("as-{access_key_id}"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("stage.json"), state.to_string()).unwrap();
        let mut command = self.xtask(arguments);
        command.env("XTASK_LOCAL_DIR", directory);
        command
    }

    /// The standard output of a verb that must succeed.
    pub fn xtask_ok(&self, arguments: &[&str]) -> String {
        succeed(&mut self.xtask(arguments))
    }

    /// An AWS CLI command, for this stage.
    pub fn aws(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.aws);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_PAGER", "")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("LC_ALL", "C.UTF-8")
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    /// The standard output of an AWS CLI command that must succeed.
    pub fn aws_ok(&self, arguments: &[&str]) -> String {
        succeed(&mut self.aws(arguments))
    }

    /// The JSON that an AWS CLI command prints.
    pub fn aws_json(&self, arguments: &[&str]) -> Value {
        let output = self.aws_ok(arguments);
        if output.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&output).unwrap()
    }

    /// The message of an AWS CLI command that must fail.
    pub fn aws_error(&self, arguments: &[&str]) -> String {
        let output = self.aws(arguments).output().unwrap();
        assert!(!output.status.success(), "aws {arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A client for thousands of items, for each of which the AWS CLI would take half a second.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config())
    }

    /// A client for uploads, for each of which the AWS CLI would take half a second.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config());
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }

    /// What other clients are made from.
    pub fn config(&self) -> aws_types::SdkConfig {
        sdk_config(
            self.variable("AWS_ENDPOINT_URL"),
            self.variable("AWS_REGION"),
            self.variable("AWS_ACCESS_KEY_ID"),
            self.variable("AWS_SECRET_ACCESS_KEY"),
        )
    }

    /// `GET` on one of the HTTP APIs, named by its variable; the path and query are sent as they
    /// are.
    pub fn get(&self, api: &str, path_and_query: &str) -> Reply {
        http_get(&format!(
            "{}{path_and_query}",
            self.variable(api).trim_end_matches('/')
        ))
    }

    /// `POST` of a JSON body to one of the HTTP APIs, named by its variable.
    pub fn post(&self, api: &str, path: &str, body: &str) -> Reply {
        let url = format!("{}{path}", self.variable(api).trim_end_matches('/'));
        let request = Request::post(url).header("content-type", "application/json");
        send(request.body(body.to_owned()).unwrap())
    }

    /// Uploads a file under a key of a bucket, which a variable names.
    pub fn upload(&self, bucket: &str, key: &str, body: &Path) {
        let client = self.s3();
        let put = client.put_object().bucket(self.variable(bucket)).key(key);
        finish(put.body(std::fs::read(body).unwrap().into()).send()).unwrap();
    }

    /// The keys of the objects in a bucket, which a variable names.
    pub fn keys(&self, bucket: &str) -> BTreeSet<String> {
        let client = self.s3();
        let list = client.list_objects_v2().bucket(self.variable(bucket));
        let pages = list.into_paginator().send();
        let pages = finish(pages.collect::<Result<Vec<_>, _>>()).unwrap();
        let objects = pages.iter().flat_map(ListObjectsV2Output::contents);
        objects
            .map(|object| object.key().unwrap().to_owned())
            .collect()
    }

    /// The name that Lambda knows a function by.
    pub fn physical_name(&self, function: &str) -> String {
        let info: Value = serde_json::from_str(&self.xtask_ok(&["info", "--json"])).unwrap();
        format!("{}-{function}", info["stack"].as_str().unwrap())
    }

    /// How many events wait in a function's failure queue.
    pub fn failed_events(&self, function: &str) -> u64 {
        let info: Value = serde_json::from_str(&self.xtask_ok(&["info", "--json"])).unwrap();
        let queues = info["failure_queues"].as_array().unwrap();
        let queue = queues.iter().find(|queue| queue["function"] == function);
        queue.unwrap_or_else(|| panic!("no failure queue of {function}: {info}"))["events"]
            .as_u64()
            .unwrap()
    }

    /// Asks the stage to stop as a supervisor would, and waits for its end.
    pub fn stop(&mut self) {
        signal("TERM", self.process.id());
        let asked = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(
                asked.elapsed() < Duration::from_secs(10),
                "the stage does not stop:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the stage printed:\n{}", self.log());
        }
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal("TERM", self.process.id());
        }
        let _ = self.process.wait();
    }
}

/// Runs a command that is given another endpoint in place of one: every call goes by `decide`,
/// which is told the command's process id as well.
pub fn run_behind(
    runtime: &tokio::runtime::Runtime,
    endpoint_url: &str,
    command: impl FnOnce(&str) -> Command,
    decide: impl Fn(&Call, u32) -> Option<Fault> + Send + Sync + 'static,
) -> Output {
    // Zero until the program runs; whoever asks meanwhile waits.
    let process_id = Arc::new(Mutex::new(0));
    let mut starting = process_id.lock().unwrap();
    let known = Arc::clone(&process_id);
    let proxy = runtime.block_on(FaultProxy::start(0, endpoint_url, move |call: &Call| {
        let process_id = *known.lock().unwrap();
        decide(call, process_id)
    }));
    let proxy = proxy.unwrap();
    let mut command = command(&proxy.url());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    *starting = child.id();
    drop(starting);
    let output = child.wait_with_output().unwrap();
    runtime.block_on(proxy.shutdown());
    output
}

/// What clients of a local endpoint are made from.
pub fn sdk_config(
    endpoint_url: &str,
    region: &str,
    access_key_id: &str,
    secret_access_key: &str,
) -> aws_types::SdkConfig {
    aws_types::SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint_url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "test",
        )))
        .build()
}

/// Sends a signal, by its name, to a process.
pub fn signal(name: &str, process_id: u32) {
    let _ = Command::new("kill")
        .args([&format!("-{name}"), &process_id.to_string()])
        .status();
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// `GET` on any URL.
pub fn http_get(url: &str) -> Reply {
    send(Request::get(url).body(String::new()).unwrap())
}

/// Sends any request.
pub fn send(request: Request<String>) -> Reply {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let what = format!("{} {}", request.method(), request.uri());
    let response = agent
        .run(request)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let (head, mut body) = response.into_parts();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.read_to_string().unwrap(),
    }
}

/// What a future gives, even where a runtime runs already.
fn finish<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let finished = scope.spawn(move || runtime.block_on(future));
        finished.join().unwrap()
    })
}

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            started.elapsed() < EVENT_PATIENCE,
            "{what}: not within {} s",
            EVENT_PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command that must succeed; returns its standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        both(&output)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What a command printed on both streams.
pub fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The AWS CLI of the local stage's virtual environment.
fn aws_cli() -> PathBuf {
    stage_tools().aws()
}

/// The Python of the local stage's virtual environment; it has botocore.
pub fn python() -> PathBuf {
    stage_tools().python()
}

/// Where the variable `PICTURES` wants pictures of what tests see: a folder, below the workspace's root unless it is
/// absolute. None if nobody wants them.
pub fn picture_folder() -> Option<PathBuf> {
    let folder = workspace().join(std::env::var_os("PICTURES")?);
    std::fs::create_dir_all(&folder).unwrap();
    Some(folder)
}

/// Where everything that is built or downloaded goes.
pub fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => workspace().join(directory),
        None => workspace().join("target"),
    }
}

fn stage_tools() -> local::StageTools {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(local::StageTools::prepare(
            &target_directory().join("python/stage"),
            |_| {},
        ))
        .unwrap()
}

/// The first of the free ports that a stage takes from `--aws-port` on: AWS, Rekognition and the console.
pub fn free_ports_of_aws() -> u16 {
    ports::free_ports(3)
}

/// The first of as many free ports as the example has HTTP APIs and function URLs, and more.
pub fn free_ports_of_apis() -> u16 {
    ports::free_ports(6)
}
