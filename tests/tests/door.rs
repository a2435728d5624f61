//! The door of the local stage: who gets in, and who does not.
//!
//! A stranger is a web page of another origin in the user's browser, a page whose name was made to
//! lead to this machine (DNS rebinding), or another user of the machine. None of them may call a
//! part of the stage or read its files; only the HTTP APIs are public, as on AWS. Whoever has the
//! keys that `xtask env` hands out may do everything.
//!
//! What a test needs and this machine lacks is told in a line that begins with "skipped:". Under
//! `CI=true` the test fails instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};

use acceptance::browser::{Browser, COLLECTOR_URL, Exchange, Network, chromium, runs_as_root};
use acceptance::strangers::{Answer, Request, arguments, listeners, open_files, process_tree};
use acceptance::{Stage, eventually, http_get, python, succeed};
use base64::Engine;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What hostile pages and programs are made of.
const PAGE: &str = include_str!("attack/page.html");
const SCRIPT: &str = include_str!("attack/attack.js");
const PATHS: &str = include_str!("attack/paths.py");
const OTHER_USER: &str = include_str!("attack/other_user.py");

/// The user `nobody`, who owns nothing.
const NOBODY: u32 = 65534;

/// The object that strangers want.
const KEY: &str = "secret.txt";
const CONTENT: &str = "for the owner only";

/// What strangers must not change.
const ORDER: &str = r#"{"id": "of-the-owner", "photo": "secret.txt"}"#;

/// A page of another site.
const ATTACKER_URL: &str = "http://attacker.test/";

/// Internal paths of the emulator, for the pages; all others are in the list of paths.
const INTERNAL_PATHS: [&str; 12] = [
    "/",
    "/_ministack/config",
    "/_ministack/health",
    "/_ministack/ready",
    "/_ministack/ses/messages",
    "/_ministack/sqs/messages",
    "/_localstack/health",
    "/health",
    "/iceberg/v1/config",
    "/latest/meta-data/iam/security-credentials/",
    "/oauth2/userInfo",
    "/v2/_catalog",
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests share stages, and the later ones attack what the earlier ones look at.
    arguments.test_threads = Some(1);
    let stages = Arc::new(Stages {
        verbose: arguments.nocapture,
        ..Stages::default()
    });
    let test = |name: &'static str, lacking: Option<String>, run: fn(&Stages)| {
        let stages = Arc::clone(&stages);
        let Some(lacking) = lacking else {
            return Trial::test(name, move || {
                run(&stages);
                Ok(())
            });
        };
        if std::env::var_os("CI").is_some_and(|value| value == "true") {
            return Trial::test(name, move || Err(Failed::from(lacking)));
        }
        eprintln!("skipped: {name}: {lacking}");
        Trial::test(name, || Ok(())).with_ignored_flag(true)
    };
    let no_browser = || {
        let reason = "no chromium was found on PATH (Debian: `apt install chromium`)";
        chromium().is_none().then(|| reason.to_owned())
    };
    let no_proc = || {
        let reason = "processes are looked up in /proc, which only Linux has";
        (!Path::new("/proc/self/fd").exists()).then(|| reason.to_owned())
    };
    let no_user = || {
        let reason = "becoming another user takes root, or `sudo` without a password";
        no_proc().or_else(|| as_nobody().is_none().then(|| reason.to_owned()))
    };
    let tests = vec![
        test("the_owner_is_served", None, the_owner_is_served),
        test(
            "pages_are_served_where_cors_allows_it",
            no_browser(),
            pages_are_served_where_cors_allows_it,
        ),
        test(
            "keys_are_random_and_in_a_file_of_the_owner",
            None,
            keys_are_random_and_in_a_file_of_the_owner,
        ),
        test(
            "known_and_guessed_keys_are_refused",
            None,
            known_and_guessed_keys_are_refused,
        ),
        test(
            "no_secret_is_among_arguments",
            no_proc(),
            no_secret_is_among_arguments,
        ),
        test(
            "public_apis_heed_hosts_and_cors",
            None,
            public_apis_heed_hosts_and_cors,
        ),
        test(
            "foreign_hosts_and_origins_are_refused_everywhere",
            no_proc(),
            foreign_hosts_and_origins_are_refused_everywhere,
        ),
        test(
            "another_user_gets_no_further_than_the_public_apis",
            no_user(),
            another_user_gets_no_further_than_the_public_apis,
        ),
        test(
            "no_path_of_the_emulator_serves_a_stranger",
            None,
            no_path_of_the_emulator_serves_a_stranger,
        ),
        test(
            "a_page_of_another_origin_gets_nothing",
            no_browser().or_else(no_proc),
            a_page_of_another_origin_gets_nothing,
        ),
        test(
            "a_page_with_a_rebound_name_gets_nothing",
            no_browser().or_else(no_proc),
            a_page_with_a_rebound_name_gets_nothing,
        ),
    ];
    let conclusion = libtest_mimic::run(&arguments, tests);
    if conclusion.has_failed() {
        for stage in [&stages.plain, &stages.chaos] {
            if let Some(target) = stage.get() {
                eprintln!("what the stage printed:\n{}", target.stage.log());
            }
        }
    }
    conclusion.exit_code()
}

/// One stage as users start it, and one that makes faults. Each is started when it is needed.
#[derive(Default)]
struct Stages {
    /// Whether to print what was found.
    verbose: bool,
    plain: OnceLock<Target>,
    chaos: OnceLock<Target>,
}

impl Stages {
    fn plain(&self) -> &Target {
        self.plain.get_or_init(|| Target::prepare(Stage::start()))
    }

    /// What a page found and its console shows, if it is asked for.
    fn tell(&self, browser: &Browser, report: &Value) {
        if self.verbose {
            println!("{}\n{report:#}", browser.log());
        }
    }

    /// It has every part that a stage can have. Its faults have ended: the tests are about those
    /// who might end them.
    fn chaos(&self) -> &Target {
        self.chaos.get_or_init(|| {
            let stage = Stage::start_with(&["--chaos", "1"]);
            let ended = acceptance::send(
                ureq::http::Request::delete(stage.variable("CHAOS_URL"))
                    .body(String::new())
                    .unwrap(),
            );
            assert_eq!(ended.status, 200, "{ended:?}");
            Target::prepare(stage)
        })
    }
}

/// A stage with something to steal.
struct Target {
    stage: Stage,
    /// Function name and execution role's ARN.
    functions: BTreeMap<String, String>,
    /// The identifiers of the HTTP APIs, by name.
    apis: BTreeMap<String, String>,
}

impl Target {
    fn prepare(stage: Stage) -> Self {
        let file = stage.directory().join("content");
        std::fs::write(&file, CONTENT).unwrap();
        stage.upload("PHOTOS_BUCKET_NAME", KEY, &file);
        std::fs::remove_file(&file).unwrap();
        let placed = stage.post("ORDERS_URL", "/orders", ORDER);
        assert_eq!(placed.status, 200, "{placed:?}");
        // Each function has a process, which polls for invocations.
        assert_eq!(stage.get("SHOP_URL", "/").status, 200);
        let functions = stage.aws_json(&["lambda", "list-functions"]);
        let functions = functions["Functions"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let functions = functions
            .iter()
            .map(|function| (text(&function["FunctionName"]), text(&function["Role"])))
            .collect();
        let apis = stage.aws_json(&["apigatewayv2", "get-apis"]);
        let apis = apis["Items"].as_array().unwrap();
        let apis = apis
            .iter()
            .map(|api| (text(&api["Name"]), text(&api["ApiId"])))
            .collect();
        Self {
            stage,
            functions,
            apis,
        }
    }

    fn port(&self, variable: &str) -> u16 {
        port(self.stage.variable(variable))
    }

    fn emulator(&self) -> u16 {
        self.port("AWS_ENDPOINT_URL")
    }

    /// The public HTTP APIs.
    fn public_ports(&self) -> BTreeSet<u16> {
        ["SHOP_URL", "ORDERS_URL"]
            .map(|name| self.port(name))
            .into()
    }

    fn processes(&self) -> BTreeSet<u32> {
        let mut processes = process_tree(self.stage.process_id());
        let known = acceptance::processes_that_know(self.stage.variable("AWS_ENDPOINT_URL"));
        let numbers = known
            .iter()
            .filter_map(|process| process.file_name()?.to_str()?.parse::<u32>().ok());
        processes.extend(numbers);
        processes
    }

    /// The ports of the Runtime API that functions poll.
    fn runtime_ports(&self) -> BTreeSet<u16> {
        let environments = self.processes().into_iter();
        let addresses = environments.filter_map(|process| {
            let environment = environment(process);
            let variable = environment
                .iter()
                .find(|(name, _)| name == "AWS_LAMBDA_RUNTIME_API");
            Some(port(&variable?.1))
        });
        addresses.collect()
    }

    /// Every port that the stage listens on, and what listens there.
    fn listeners(&self) -> BTreeMap<u16, String> {
        let listening = listeners(&self.processes());
        let found: BTreeMap<u16, String> = listening
            .into_iter()
            .map(|(port, process)| (port, arguments(process)))
            .collect();
        let port = self.emulator();
        assert!(found.contains_key(&port), "{port} is not among {found:?}");
        found
    }

    /// All of them but the public HTTP APIs.
    fn private_ports(&self) -> BTreeSet<u16> {
        let public = self.public_ports();
        let ports = self.listeners().into_keys();
        ports.filter(|port| !public.contains(port)).collect()
    }

    /// Keys that somebody might try who has none.
    fn known_keys(&self) -> Vec<KeyPair> {
        let mut keys: Vec<KeyPair> = [
            ("test", "test", "000000000000"),
            ("123456789012", "test", "123456789012"),
            ("000000000000", "000000000000", "000000000000"),
            (
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "000000000000",
            ),
        ]
        .into_iter()
        .map(|(id, secret, account)| KeyPair {
            name: id.to_owned(),
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: None,
            account,
        })
        .collect();
        keys.push(KeyPair {
            name: "owner-id".to_owned(),
            id: self.stage.variable("AWS_ACCESS_KEY_ID").to_owned(),
            secret: "guessed".to_owned(),
            token: None,
            account: "000000000000",
        });
        keys
    }

    /// Session keys of execution roles as MiniStack makes them from names that everybody knows.
    fn guessed_keys(&self) -> Vec<KeyPair> {
        let region = self.stage.variable("AWS_REGION");
        let guess = |(name, role): (&String, &String)| {
            let function = format!("arn:aws:lambda:{region}:000000000000:function:{name}");
            let hash = |text: &str| hex::encode(Sha256::digest(text));
            let digest = hash(&format!("{function}:{role}"));
            KeyPair {
                name: name.clone(),
                id: format!("ASIA{}", digest[..16].to_uppercase()),
                secret: hash(&format!("secret:{digest}")),
                token: Some(hash(&format!("token:{digest}"))),
                account: "000000000000",
            }
        };
        self.functions.iter().map(guess).collect()
    }

    /// Whatever strangers did, nothing has come of it.
    fn assert_untouched(&self) {
        let object = self.stage.aws_ok(&[
            "s3",
            "cp",
            &format!("s3://{}/{KEY}", self.stage.variable("PHOTOS_BUCKET_NAME")),
            "-",
        ]);
        assert_eq!(object, CONTENT);
        let everything = [
            self.stage.aws_ok(&["iam", "list-roles"]),
            self.stage.aws_ok(&["lambda", "list-functions"]),
            self.stage.aws_ok(&["s3api", "list-buckets"]),
            self.stage.keys("PHOTOS_BUCKET_NAME").into_iter().collect(),
        ];
        for list in everything {
            assert!(!list.contains("attack"), "{list}");
        }
        let orders = self.stage.get("ORDERS_URL", "/orders");
        assert!(orders.body.contains("of-the-owner"), "{orders:?}");
        assert_eq!(self.stage.get("SHOP_URL", "/").status, 200);
    }
}

/// An access key, with its secret.
#[derive(Debug, Clone)]
struct KeyPair {
    name: String,
    id: String,
    secret: String,
    token: Option<String>,
    account: &'static str,
}

impl KeyPair {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "id": self.id,
            "secret": self.secret,
            "token": self.token,
            "account": self.account,
        })
    }
}

fn port(url: &str) -> u16 {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap();
    authority.rsplit(':').next().unwrap().parse().unwrap()
}

fn the_owner_is_served(stages: &Stages) {
    let target = stages.plain();
    let stage = &target.stage;
    stage.aws_ok(&["sts", "get-caller-identity"]);
    target.assert_untouched();

    // By whatever name a tool calls this machine.
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let endpoint = format!("http://localhost:{}", target.emulator());
    let list = ["s3api", "list-objects-v2", "--bucket", bucket];
    let listed = stage.aws_ok(&[&list[..], &["--endpoint-url", &endpoint]].concat());
    assert!(listed.contains(KEY), "{listed}");
    let url = stage.aws_ok(&["s3", "presign", &format!("s3://{bucket}/{KEY}")]);
    let presigned = http_get(url.trim());
    assert_eq!(presigned.body, CONTENT, "{presigned:?}");

    for variable in ["SHOP_URL", "ORDERS_URL"] {
        let port = target.port(variable);
        let path = if variable == "SHOP_URL" {
            "/"
        } else {
            "/orders"
        };
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "LOCALHOST",
            "shop.localhost",
        ] {
            let host = format!("{host}:{port}");
            let answer = Request::new("GET", path).host(&host).send(port);
            assert_eq!(answer.status(), Some(200), "{host}: {answer}");
        }
    }
}

fn keys_are_random_and_in_a_file_of_the_owner(stages: &Stages) {
    let secrets = [stages.plain(), stages.chaos()].map(|target| {
        let stage = &target.stage;
        let id = stage.variable("AWS_ACCESS_KEY_ID");
        let secret = stage.variable("AWS_SECRET_ACCESS_KEY");
        assert!(
            id.len() >= 16 && secret.len() >= 32,
            "{id}: {} bytes",
            secret.len()
        );
        let state = stage.directory().join("stage.json");
        let mode = std::fs::metadata(&state).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "stage.json has mode {mode:o}");
        let state: Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
        assert_eq!(state["access_key_id"], id);
        assert_eq!(state["secret_access_key"], secret);
        (id.to_owned(), secret.to_owned())
    });
    assert_ne!(secrets[0].0, secrets[1].0);
    assert_ne!(secrets[0].1, secrets[1].1);
}

fn known_and_guessed_keys_are_refused(stages: &Stages) {
    let target = stages.plain();
    let calls: [&[&str]; 3] = [
        &["sts", "get-caller-identity"],
        &["s3api", "list-buckets"],
        &["dynamodb", "list-tables"],
    ];
    let mut served = Vec::new();
    for key in [target.known_keys(), target.guessed_keys()].concat() {
        for call in calls {
            let mut command = target.stage.aws(call);
            command
                .env("AWS_ACCESS_KEY_ID", &key.id)
                .env("AWS_SECRET_ACCESS_KEY", &key.secret)
                .env("AWS_MAX_ATTEMPTS", "1");
            if let Some(token) = &key.token {
                command.env("AWS_SESSION_TOKEN", token);
            }
            let output = command.output().unwrap();
            let message = acceptance::both(&output);
            let refused = [
                "InvalidClientTokenId",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
            ]
            .iter()
            .chain(&["UnrecognizedClientException", "InvalidSignatureException"])
            .any(|code| message.contains(code));
            if output.status.success() || !refused {
                served.push(format!("{} {}: {message}", key.name, call[1]));
            }
        }
    }
    assert_none("calls are not refused for their key", &served);
}

fn no_secret_is_among_arguments(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let stage = &target.stage;
        let secret = stage.variable("AWS_SECRET_ACCESS_KEY");
        assert!(secret.len() >= 32, "{secret} is no secret");
        let mut secrets = vec![secret.to_owned()];
        let chaos = stage.variables.get("CHAOS_URL");
        secrets.extend(chaos.and_then(|url| secret_path(url)));
        for process in target.processes() {
            for (name, value) in environment(process) {
                match name.as_str() {
                    "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => secrets.push(value),
                    "AWS_LAMBDA_RUNTIME_API" => secrets.extend(secret_path(&value)),
                    _ => {}
                }
            }
        }
        for process in target.processes() {
            let arguments = arguments(process);
            for secret in &secrets {
                assert!(
                    !arguments.contains(secret),
                    "a secret is among: {arguments}"
                );
            }
        }
    }
}

/// The environment that a process was started with.
fn environment(process: u32) -> Vec<(String, String)> {
    let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let variables = String::from_utf8_lossy(&variables);
    variables
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What comes behind the host and port of an address.
fn secret_path(address: &str) -> Option<String> {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    Some(address.split_once('/')?.1.to_owned())
}

/// Hosts that are none of this machine's, as a rebound name is.
const FOREIGN_HOSTS: [&str; 6] = [
    "attacker.test",
    "localhost.attacker.test",
    "127.0.0.1.attacker.test",
    "127.0.0.2",
    "0.0.0.0",
    "s3.amazonaws.com",
];

/// What browsers say of requests that a page of another origin causes.
const FOREIGN_ORIGINS: [&[(&str, &str)]; 4] = [
    &[("Origin", "http://attacker.test")],
    &[("Origin", "null")],
    &[("Origin", "http://127.0.0.1:1")],
    &[
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", "image"),
    ],
];

fn foreign_hosts_and_origins_are_refused_everywhere(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let public = target.public_ports();
        let listeners = target.listeners();
        let runtime_ports = target.runtime_ports();
        assert!(
            !runtime_ports.is_empty(),
            "no function is there to be polled for"
        );
        assert!(
            runtime_ports
                .iter()
                .all(|port| listeners.contains_key(port))
        );
        let served: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = listeners
                .iter()
                .map(|(port, process)| {
                    let is_public = public.contains(port);
                    scope.spawn(move || served_to_strangers(*port, process, is_public))
                })
                .collect();
            let found = threads.into_iter().map(|thread| thread.join().unwrap());
            found.flatten().collect()
        });
        assert_none("requests of strangers are served", &served);
    }
}

/// The requests that a port serves although they come from where they must not.
fn served_to_strangers(port: u16, process: &str, is_public: bool) -> Vec<String> {
    let mut served = Vec::new();
    let mut expect_refusal = |request: Request<'_>| {
        let answer = request.send(port);
        if !answer.is_refusal() {
            served.push(format!("{port} ({process}): {request:?} -> {answer}"));
        }
    };
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/"),
        ("OPTIONS", "/"),
        ("GET", "/_ministack/health"),
        ("POST", "/_ministack/config"),
        ("POST", "/stop"),
        ("GET", "/2018-06-01/runtime/invocation/next"),
    ] {
        for host in FOREIGN_HOSTS {
            expect_refusal(Request::new(method, path).host(host));
        }
        if !is_public {
            for headers in FOREIGN_ORIGINS {
                expect_refusal(Request::new(method, path).headers(headers));
            }
            expect_refusal(Request::new(method, path));
        }
    }
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Origin", "http://attacker.test"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    expect_refusal(
        Request::new("GET", "/")
            .host("attacker.test")
            .headers(&upgrade),
    );
    if !is_public {
        expect_refusal(Request::new("GET", "/").headers(&upgrade));
    }
    served
}

fn public_apis_heed_hosts_and_cors(stages: &Stages) {
    let target = stages.plain();
    let (shop, orders) = (target.port("SHOP_URL"), target.port("ORDERS_URL"));
    let cross_site = |mode: &'static str, dest: &'static str| {
        [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", dest),
        ]
    };
    let refused = |request: Request<'_>| {
        let answer = request.send(shop);
        assert_eq!(answer.status(), Some(403), "{request:?} -> {answer}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    };
    refused(Request::new("GET", "/").headers(&cross_site("no-cors", "image")));
    refused(Request::new("GET", "/").headers(&cross_site("navigate", "iframe")));
    refused(Request::new("POST", "/").headers(&cross_site("navigate", "document")));
    let fetched = [
        &cross_site("cors", "empty")[..],
        &[("Origin", "http://attacker.test")],
    ]
    .concat();
    refused(Request::new("GET", "/").headers(&fetched));
    for headers in FOREIGN_ORIGINS {
        let answer = Request::new("GET", "/").headers(headers).send(shop);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{answer}"
        );
    }

    let served = |request: Request<'_>, port: u16| {
        let answer = request.send(port);
        assert_eq!(answer.status(), Some(200), "{request:?} -> {answer}");
        answer
    };
    served(
        Request::new("GET", "/").headers(&cross_site("navigate", "document")),
        shop,
    );
    served(
        Request::new("GET", "/").headers(&[("Sec-Fetch-Site", "none")]),
        shop,
    );
    served(
        Request::new("GET", "/").headers(&[("Sec-Fetch-Site", "same-origin")]),
        shop,
    );
    // Its own CORS configuration allows every origin.
    let answer = served(Request::new("GET", "/orders").headers(&fetched), orders);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let preflight = [&fetched[..], &[("Access-Control-Request-Method", "POST")]].concat();
    // As on AWS, where there is neither a CORS configuration nor a route.
    let answer = Request::new("OPTIONS", "/").headers(&preflight).send(shop);
    assert_eq!(answer.status(), Some(404), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let answer = Request::new("OPTIONS", "/orders")
        .headers(&preflight)
        .send(orders);
    assert!(matches!(answer.status(), Some(200 | 204)), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

/// The beginning of a command that another user runs.
fn as_nobody() -> Option<Vec<String>> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    if runs_as_root() {
        let user = format!("--reuid={NOBODY} --regid={NOBODY}");
        return Some(words(format!("setpriv {user} --clear-groups python3")));
    }
    let sudo = words("sudo -n -u nobody python3".to_owned());
    let mut probe = Command::new(&sudo[0]);
    probe.args(&sudo[1..]).args(["-c", ""]);
    let ran = probe.stdin(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success()).then_some(sudo)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

fn another_user_gets_no_further_than_the_public_apis(stages: &Stages) {
    for target in [stages.plain(), stages.chaos()] {
        let stage = &target.stage;
        let processes = target.processes();
        let temporary = std::env::temp_dir();
        // What the stage keeps in its folder, and what it writes elsewhere.
        let mut files: BTreeSet<PathBuf> = files_below(stage.directory()).into_iter().collect();
        for process in &processes {
            let open = open_files(*process).into_iter();
            files.extend(open.filter(|file| file.starts_with(&temporary)));
        }
        let of_the_test = stage.directory().join("xtask-local.log");

        let mut private = Vec::new();
        for port in target.private_ports() {
            for (method, path) in [
                ("GET", "/"),
                ("POST", "/"),
                ("DELETE", "/"),
                ("POST", "/stop"),
                ("GET", "/health"),
                ("POST", "/_ministack/config"),
                ("GET", "/2018-06-01/runtime/invocation/next"),
                ("POST", "/2018-06-01/runtime/init/error"),
            ] {
                private.push(json!([port, method, path, {}, "{}"]));
            }
        }
        let public = [
            json!([target.port("SHOP_URL"), "GET", "/", {}, null]),
            json!([target.port("ORDERS_URL"), "GET", "/orders", {}, null]),
        ];
        let requests = [&private[..], &public[..]].concat();
        let given = json!({
            "folder": stage.directory(),
            "files": files,
            "processes": processes,
            "requests": requests,
        });

        let command = as_nobody().unwrap();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(["-c", OTHER_USER])
            .current_dir("/")
            // Not a Python in the home of whoever runs the test.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(given.to_string().as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();

        assert_eq!(result["user"], NOBODY);
        let files = result["files"].as_array().unwrap();
        let files: Vec<&str> = files
            .iter()
            .map(|file| file.as_str().unwrap())
            .filter(|file| Path::new(file) != of_the_test)
            .collect();
        assert!(files.is_empty(), "another user reads {files:#?}");
        assert_eq!(result["environments"], json!([]));
        let answers = result["answers"].as_array().unwrap();
        let (private, public) = answers.split_at(private.len());
        let refused = [json!(401), json!(403), json!(404), json!("closed")];
        let served: Vec<_> = private
            .iter()
            .filter(|answer| !refused.contains(&answer[1]))
            .collect();
        assert!(served.is_empty(), "another user is served: {served:#?}");
        assert!(public.iter().all(|answer| answer[1] == 200), "{public:?}");
        target.assert_untouched();
    }
}

fn no_path_of_the_emulator_serves_a_stranger(stages: &Stages) {
    let target = stages.plain();
    let rows = paths(target);
    let port = target.emulator();
    let workers = 8;
    let chunk = rows.len().div_ceil(workers);
    let answered: Vec<(String, BTreeMap<String, BTreeSet<String>>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(chunk)
            .map(|rows| {
                scope.spawn(move || {
                    let ask = |row: &Row| (row.title.clone(), answers_to_strangers(row, port));
                    rows.iter().map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });

    let width = rows.iter().map(|row| row.title.len()).max().unwrap();
    let mut table = String::new();
    let mut served = Vec::new();
    for (title, answers) in answered {
        // By what was answered: mostly the same to all.
        let cell = answers
            .iter()
            .map(|(answer, requests)| {
                let requests: Vec<_> = requests.iter().map(String::as_str).collect();
                if answers.len() == 1 {
                    answer.clone()
                } else {
                    format!("{answer} ({})", requests.join(", "))
                }
            })
            .collect::<Vec<_>>()
            .join("; ");
        let refused = ["401", "403", "404"];
        if !answers
            .keys()
            .all(|answer| refused.contains(&answer.as_str()))
        {
            served.push(format!("{title:<width$}  {cell}"));
        }
        table += &format!("{title:<width$}  {cell}\n");
    }
    if stages.verbose {
        println!("{table}");
    }
    assert_none(
        &format!("of {} paths serve a stranger", rows.len()),
        &served,
    );
    // A new version of MiniStack that has other paths shows here.
    insta::assert_snapshot!("paths_of_the_emulator", table);
}

/// Fails with the first of what was found, if anything was.
fn assert_none(what: &str, found: &[String]) {
    let first: Vec<&str> = found.iter().take(40).map(String::as_str).collect();
    assert!(
        found.is_empty(),
        "{} {what}, such as:\n{}",
        found.len(),
        first.join("\n")
    );
}

/// Something that the emulator serves.
struct Row {
    title: String,
    path: String,
    host: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl Row {
    fn path(title: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            path: path.into(),
            host: None,
            headers: Vec::new(),
            body: "",
        }
    }
}

/// All that the emulator serves, as far as its source and the stage tell.
fn paths(target: &Target) -> Vec<Row> {
    let stage = &target.stage;
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let port = target.emulator();
    let function = target.functions.keys().next().unwrap();
    let api = target.apis.values().next().unwrap();
    let mut rows = Vec::new();

    // What is there, under its own name.
    for (title, path) in [
        ("/", "/".to_owned()),
        ("/?list-type=2", "/?list-type=2".to_owned()),
        ("/BUCKET", format!("/{bucket}")),
        ("/BUCKET/KEY", format!("/{bucket}/{KEY}")),
        ("/ACCOUNT/QUEUE", "/000000000000/queue".to_owned()),
        (
            "/2015-03-31/functions/FUNCTION",
            format!("/2015-03-31/functions/{function}"),
        ),
        (
            "/2015-03-31/functions/FUNCTION/invocations",
            format!("/2015-03-31/functions/{function}/invocations"),
        ),
        (
            "/_aws/execute-api/API/$default/",
            format!("/_aws/execute-api/{api}/$default/"),
        ),
        (
            "/_aws/execute-api/API/",
            format!("/_aws/execute-api/{api}/"),
        ),
        (
            "/_ministack/lambda-code/ACCOUNT/REGION/FUNCTION",
            format!("/_ministack/lambda-code/000000000000/us-east-1/{function}"),
        ),
        ("//_ministack/health", "//_ministack/health".to_owned()),
        ("/%5Fministack/health", "/%5Fministack/health".to_owned()),
        ("/./_ministack/health", "/./_ministack/health".to_owned()),
        (
            "/x/../_ministack/health",
            "/x/../_ministack/health".to_owned(),
        ),
    ] {
        rows.push(Row::path(title, path));
    }
    // Names below localhost lead to this machine, and are addresses of services.
    for (title, host, path) in [
        (
            "BUCKET.localhost/KEY",
            format!("{bucket}.localhost:{port}"),
            format!("/{KEY}"),
        ),
        (
            "BUCKET.s3.localhost/KEY",
            format!("{bucket}.s3.localhost:{port}"),
            format!("/{KEY}"),
        ),
        (
            "API.execute-api.localhost/",
            format!("{api}.execute-api.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.lambda-url.us-east-1.localhost/",
            format!("{}.lambda-url.us-east-1.localhost:{port}", "x".repeat(32)),
            "/".into(),
        ),
        (
            "x.cloudfront.localhost/",
            format!("x.cloudfront.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.alb.localhost/",
            format!("x.alb.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.appsync-api.localhost/graphql",
            format!("x.appsync-api.localhost:{port}"),
            "/graphql".into(),
        ),
    ] {
        let host = Some(host);
        rows.push(Row {
            host,
            ..Row::path(title, path)
        });
    }
    // Actions of services that have no paths.
    for action in [
        "DynamoDB_20120810.ListTables",
        "DynamoDBStreams_20120810.ListStreams",
        "Logs_20140328.DescribeLogGroups",
        "AmazonSQS.ListQueues",
        "RekognitionService.DetectLabels",
        "AWSCognitoIdentityProviderService.InitiateAuth",
        "AWSCognitoIdentityProviderService.ListUserPools",
        "AWSCognitoIdentityService.GetCredentialsForIdentity",
        "AmazonSSM.DescribeParameters",
        "secretsmanager.ListSecrets",
    ] {
        rows.push(Row {
            headers: vec![
                ("X-Amz-Target", action),
                ("Content-Type", "application/x-amz-json-1.1"),
            ],
            body: "{}",
            ..Row::path(format!("{action} in a header"), "/")
        });
    }
    for body in [
        "Action=ListRoles&Version=2010-05-08",
        "Action=GetCallerIdentity&Version=2011-06-15",
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x&RoleSessionName=x&WebIdentityToken=x",
        "Action=AssumeRoleWithSAML&Version=2011-06-15&RoleArn=x&PrincipalArn=x&SAMLAssertion=x",
        "Action=ListStacks&Version=2010-05-15",
        "Action=ListTopics&Version=2010-03-31",
        "Action=ConfirmSubscription&Version=2010-03-31&TopicArn=x&Token=x",
        "Action=ListQueues&Version=2012-11-05",
    ] {
        let action = body.split(['=', '&']).nth(1).unwrap();
        rows.push(Row {
            headers: vec![("Content-Type", "application/x-www-form-urlencoded")],
            body,
            ..Row::path(format!("{action} in a form"), "/")
        });
        rows.push(Row::path(
            format!("{action} in a query"),
            format!("/?{body}"),
        ));
    }
    let paths = succeed(Command::new(python()).args(["-c", PATHS]).arg(ministack()));
    let paths: Vec<String> = serde_json::from_str(&paths).unwrap();
    assert!(
        paths.len() > 500,
        "{} paths: has MiniStack's source moved?",
        paths.len()
    );
    // What wipes the stage comes last.
    let (reset, others): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.contains("reset"));
    for path in others.into_iter().chain(reset) {
        rows.push(Row::path(path.clone(), path));
    }
    rows
}

/// The folder of MiniStack's source.
fn ministack() -> PathBuf {
    let find = "import importlib.util; print(importlib.util.find_spec('ministack').submodule_search_locations[0])";
    PathBuf::from(succeed(Command::new(python()).args(["-c", find])).trim())
}

/// What a row answers, and the requests that it answers so.
fn answers_to_strangers(row: &Row, port: u16) -> BTreeMap<String, BTreeSet<String>> {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ask = |method: &str, how: &str, host: Option<&str>, more: &[(&str, &str)]| {
        let headers = [row.headers.as_slice(), more].concat();
        let mut request = Request::new(method, &row.path)
            .headers(&headers)
            .body(row.body);
        request.host = host.or(row.host.as_deref());
        let answer = request.send(port);
        let requests = answers.entry(answer.to_string()).or_default();
        requests.insert(format!("{method}{how}"));
    };
    let origin = ("Origin", "http://attacker.test");
    let preflight = [
        origin,
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        ask(method, "", None, &[]);
    }
    for method in ["GET", "POST"] {
        ask(method, " from another origin", None, &[origin]);
        ask(method, " of another host", Some("attacker.test"), &[]);
    }
    ask("OPTIONS", " from another origin", None, &preflight);
    answers
}

/// A page that attacks or visits.
fn page(config: &Value) -> String {
    // The text `</script>` would end the script that it is in.
    let config = config.to_string().replace("</", "<\\/");
    PAGE.replace("CONFIG", &config).replace("SCRIPT", SCRIPT)
}

/// What a hostile page knows of the stage, which is more than a real one would.
fn attack(target: &Target, marker: &Path) -> Value {
    let stage = &target.stage;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let known = BTreeSet::from([target.emulator()]);
    let others = target.private_ports();
    let others: Vec<String> = others.difference(&known).map(|port| url(*port)).collect();
    let mut keys = target.known_keys();
    let of_function = target.guessed_keys();
    let of_function = of_function
        .iter()
        .find(|key| key.name.contains("serve-shop"));
    keys.push(of_function.unwrap().clone());
    json!({
        "plan": "foreign",
        "collector": COLLECTOR_URL,
        "emulator": url(target.emulator()),
        "others": others,
        "shop": url(target.port("SHOP_URL")),
        "orders": url(target.port("ORDERS_URL")),
        "paths": INTERNAL_PATHS,
        "keys": keys.iter().map(KeyPair::to_json).collect::<Vec<_>>(),
        "account": "000000000000",
        "region": stage.variable("AWS_REGION"),
        "bucket": stage.variable("PHOTOS_BUCKET_NAME"),
        "key": KEY,
        "table": stage.variable("ORDERS_TABLE_NAME"),
        "trustPolicy": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }],
        },
        "zip": base64::engine::general_purpose::STANDARD.encode(code(marker)),
    })
}

/// The zip of a function that leaves a mark on the machine it runs on.
fn code(marker: &Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    let script = format!("#!/bin/sh\necho ran >> '{}'\nsleep 5\n", marker.display());
    zip.write_all(script.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A request as the list of failures names it, if it was not refused as it should have been.
fn wrongly_served(target: &Target, exchange: &Exchange) -> Option<String> {
    let port = exchange.port();
    let allowed = if port == target.port("ORDERS_URL") {
        // As on AWS: its CORS configuration allows every origin.
        !exchange.authority.starts_with("rebind.test")
    } else if port == target.port("SHOP_URL") {
        let of_this_site = exchange.header("sec-fetch-site") == Some("same-site");
        let unreadable = exchange
            .answer
            .header("access-control-allow-origin")
            .is_none();
        exchange.is_top_level_navigation() || (of_this_site && unreadable)
    } else {
        false
    };
    let refused = exchange.answer.is_refusal();
    (!allowed && !refused).then(|| exchange.to_string())
}

fn a_page_of_another_origin_gets_nothing(stages: &Stages) {
    let target = stages.chaos();
    let program = chromium().unwrap();
    let network = Network::start();
    let marks = TempDir::new().unwrap();
    let marker = marks.path().join("ran");
    assert!(!target.runtime_ports().is_empty());
    let listeners = target.listeners();
    let mut config = attack(target, &marker);
    config["next"] = json!(target.stage.variable("SHOP_URL"));
    let mut served = Vec::new();
    let mut navigations = Vec::new();

    // Another site; another port of this machine, which is another origin of the same site; and a
    // page without any origin.
    let sandboxed = format!("{}sandboxed", network.loopback_url());
    let sandbox = "Content-Security-Policy: sandbox allow-scripts allow-forms\r\n";
    for (url, headers) in [
        (ATTACKER_URL, ""),
        (&network.loopback_url(), ""),
        (&sandboxed, sandbox),
    ] {
        network.publish(url, &page(&config), headers);
        let browser = Browser::open(&program, &network, url, &[ATTACKER_URL.to_owned()]);
        let report = network.report(&browser);
        let findings = report["findings"].as_array().unwrap();
        if headers.is_empty() {
            let unsent = findings.iter().find(|finding| finding["type"] == "unsent");
            assert_eq!(unsent, None, "{url}");
        }
        for finding in findings {
            // The API of orders alone lets pages read its answers.
            let of_an_api = finding["name"].as_str().unwrap().starts_with("API");
            if (finding["status"] != 0 && !of_an_api) || finding["type"] == "opened" {
                served.push(format!("{url} could read: {finding}"));
            }
        }
        // At its end, the page goes to the API of the shop, which is public.
        navigations.push(eventually("a top-level navigation", || {
            let mut exchanges = network.exchanges().into_iter();
            exchanges.find(|exchange| {
                exchange.port() == target.port("SHOP_URL") && exchange.is_top_level_navigation()
            })
        }));
        stages.tell(&browser, &report);
        drop(browser);

        let exchanges = network.take_exchanges();
        for port in listeners.keys() {
            let asked = exchanges.iter().filter(|exchange| exchange.port() == *port);
            assert!(asked.count() >= 5, "{url} has not attacked {port}");
        }
        println!("{url} sent {} requests", exchanges.len());
        served.extend(
            exchanges
                .iter()
                .filter_map(|exchange| wrongly_served(target, exchange)),
        );
    }
    let url = format!("{ATTACKER_URL}wipe");
    config["plan"] = json!("wipe");
    network.publish(&url, &page(&config), "");
    let browser = Browser::open(&program, &network, &url, &[]);
    network.report(&browser);
    drop(browser);
    served.extend(
        network
            .take_exchanges()
            .iter()
            .filter_map(|exchange| wrongly_served(target, exchange)),
    );

    if marker.exists() {
        served.insert(0, "code of a page, which ran on this machine".to_owned());
    }
    assert_none("requests of a page are served", &served);
    for navigation in navigations {
        assert_eq!(navigation.answer.status(), Some(200), "{navigation}");
    }
    target.assert_untouched();
}

fn a_page_with_a_rebound_name_gets_nothing(stages: &Stages) {
    let target = stages.chaos();
    let program = chromium().unwrap();
    let network = Network::start();
    let marks = TempDir::new().unwrap();
    let marker = marks.path().join("ran");
    let mut served = Vec::new();
    for (port, process) in target.listeners() {
        let url = format!("http://rebind.test:{port}/");
        let mut config = attack(target, &marker);
        config["plan"] = json!("rebound");
        network.publish_and_rebind(&url, &page(&config));
        let browser = Browser::open(&program, &network, &url, std::slice::from_ref(&url));
        let report = network.report(&browser);
        assert_eq!(report["origin"], url.trim_end_matches('/'));
        stages.tell(&browser, &report);
        drop(browser);
        let exchanges = network.take_exchanges();
        assert!(exchanges.len() >= 20, "{url} has not attacked");
        println!("{url} sent {} requests", exchanges.len());
        for exchange in exchanges {
            if exchange.answer.status() != Some(403) && exchange.answer != Answer::Closed {
                served.push(format!("{process}: {exchange}"));
            }
        }
    }
    if marker.exists() {
        served.insert(0, "code of a page, which ran on this machine".to_owned());
    }
    assert_none("requests of a page are served", &served);
    target.assert_untouched();
}

fn pages_are_served_where_cors_allows_it(stages: &Stages) {
    let target = stages.plain();
    let stage = &target.stage;
    let program = chromium().unwrap();
    let network = Network::start();
    let bucket = "bucket-for-pages";
    stage.aws_ok(&["s3api", "create-bucket", "--bucket", bucket]);
    let cors = json!({"CORSRules": [{
        "AllowedOrigins": ["http://allowed.test"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
    }]});
    stage.aws_ok(&[
        "s3api",
        "put-bucket-cors",
        "--bucket",
        bucket,
        "--cors-configuration",
        &cors.to_string(),
    ]);
    let file = stage.directory().join("content");
    std::fs::write(&file, CONTENT).unwrap();
    let file = file.to_str().unwrap();
    stage.aws_ok(&[
        "s3api",
        "put-object",
        "--bucket",
        bucket,
        "--key",
        KEY,
        "--body",
        file,
    ]);
    std::fs::remove_file(file).unwrap();

    let presigned = stage.aws_ok(&["s3", "presign", &format!("s3://{bucket}/{KEY}")]);
    let of_another_bucket = format!("s3://{}/{KEY}", stage.variable("PHOTOS_BUCKET_NAME"));
    let of_another_bucket = stage.aws_ok(&["s3", "presign", &of_another_bucket]);
    let orders = format!("{}orders", stage.variable("ORDERS_URL"));
    let requests = json!([
        ["object", presigned.trim(), {}],
        ["object by a request with a preflight", presigned.trim(), {"headers": {"x-mine": "1"}}],
        ["object of a bucket without CORS", of_another_bucket.trim(), {}],
        ["orders", orders, {"method": "POST", "body": ORDER, "headers": {"content-type": "application/json"}}],
    ]);
    let config = json!({"plan": "guest", "collector": COLLECTOR_URL, "requests": requests});
    for (url, allowed) in [
        ("http://allowed.test/", true),
        ("http://other.test/", false),
    ] {
        network.publish(url, &page(&config), "");
        let browser = Browser::open(&program, &network, url, &[]);
        let report = network.report(&browser);
        let finding = |name: &str| {
            let findings = report["findings"].as_array().unwrap();
            let finding = findings.iter().find(|finding| finding["name"] == name);
            finding
                .unwrap_or_else(|| panic!("{name} is not in {report}"))
                .clone()
        };
        for name in ["object", "object by a request with a preflight"] {
            let finding = finding(name);
            let read = finding["status"] == 200 && finding["body"] == CONTENT;
            assert_eq!(read, allowed, "{url}: {finding}");
        }
        let other = finding("object of a bucket without CORS");
        assert_eq!(other["status"], 0, "{url}: {other}");
        let orders = finding("orders");
        assert!(
            orders["body"].as_str().unwrap().contains("of-the-owner"),
            "{orders}"
        );
        for exchange in network.take_exchanges() {
            let origin = exchange.answer.header("access-control-allow-origin");
            let of_the_emulator = exchange.port() == target.emulator();
            assert!(
                !of_the_emulator || allowed || origin.is_none(),
                "{exchange}"
            );
        }
    }
    stage.aws_ok(&["s3", "rb", "--force", &format!("s3://{bucket}")]);
}
