//! How a verb reaches AWS from a stranger's machine: profiles, regions, endpoints, proxies, and
//! what answers in AWS's place. None of these needs a stage or an account.
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use acceptance::fake_aws::{self, Answer, Call};
use acceptance::{xtask, xtask_program};
use tempfile::TempDir;

static PROGRAM: LazyLock<std::path::PathBuf> = LazyLock::new(xtask_program);

/// Longer texts are not read.
const READABLE_CHARACTERS: usize = 700;

/// A command that failed: its exit code, and what it said.
fn fail(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{command:?} succeeded");
    assert_eq!(stdout, b"", "results go to standard output, errors do not");
    for unwanted in [
        "panicked",
        "SdkBody",
        "ServiceError",
        "DispatchFailure",
        "cargo feature",
        "\u{1b}",
    ] {
        assert!(!error.contains(unwanted), "{error}");
    }
    assert!(error.chars().count() < READABLE_CHARACTERS, "{error}");
    (status.code(), error)
}

/// A verb without any AWS configuration but what is added.
fn verb(arguments: &[&str], home: &TempDir) -> Command {
    let mut command = xtask(&PROGRAM, arguments);
    command
        .env("HOME", home.path())
        .env("XTASK_LOCAL_DIR", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// As [`verb`], with credentials and a region.
fn verb_with_keys(arguments: &[&str], home: &TempDir) -> Command {
    let mut command = verb(arguments, home);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
        .env("AWS_REGION", "eu-west-1");
    command
}

/// An AWS with one account and nothing in it, on a port of this machine.
struct Empty {
    url: String,
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Empty {
    fn start() -> Self {
        Self::answering(empty)
    }

    fn answering(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let url = fake_aws::start(move |call| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(call)
        });
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        Self {
            url,
            port,
            requests,
        }
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn empty(call: &Call) -> Answer {
    if call.operation == "GetCallerIdentity" {
        Answer::new(200, IDENTITY)
    } else {
        Answer::new(400, NO_STACK)
    }
}

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::000000000000:user/ann</Arn><UserId>AIDA</UserId><Account>000000000000</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";
const NO_STACK: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
    <Message>Stack with id shop-dev does not exist</Message></Error></ErrorResponse>";

fn configured(home: &TempDir, config: &str) {
    std::fs::create_dir_all(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
}

/// Tells other commands of a local stage.
fn stage_file(folder: &Path, port: u16) {
    let state = format!(
        r#"{{"process_id": 1, "first_api_port": 1, "aws_port": {port}, "rekognition_port": 1, "access_key_id": "AKIA", "secret_access_key": "secret", "quiet_url": "", "decisions_url": "", "snapshot_url": "", "traces_url": "", "logged_url": "", "invoked_url": "", "chaos_url": ""}}"#
    );
    std::fs::write(folder.join("stage.json"), state).unwrap();
}

#[test]
fn an_endpoint_of_the_users_is_shown_with_its_account() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    let url = empty.url();
    let (code, error) = fail(verb_with_keys(&["info"], &home).env("AWS_ENDPOINT_URL", &url));
    assert_eq!(code, Some(1));
    let line = format!("Endpoint {url} of account 000000000000 (AWS_ENDPOINT_URL)\n");
    assert!(error.trim_start().starts_with(&line), "{error}");
    assert!(
        error.contains(&format!("stage dev is not deployed at {url}")),
        "{error}"
    );
    assert!(
        error.contains("hint: AWS_ENDPOINT_URL leads there"),
        "{error}"
    );
}

#[test]
fn empty_variables_count_as_not_set() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    let mut command = verb_with_keys(&["info"], &home);
    for variable in [
        "AWS_ENDPOINT_URL_STS",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_CA_BUNDLE",
        "AWS_MAX_ATTEMPTS",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_SESSION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "HTTP_PROXY",
        "http_proxy",
        "SSL_CERT_FILE",
    ] {
        command.env(variable, "");
    }
    let (_, error) = fail(command.env("AWS_ENDPOINT_URL", empty.url()));
    assert!(error.contains("is not deployed"), "{error}");
    let (_, error) = fail(verb_with_keys(&["info"], &home).env("AWS_REGION", ""));
    assert!(error.contains("no AWS region is set"), "{error}");
    // Nobody has this region, so that AWS itself is not asked.
    let mut command = verb_with_keys(&["info"], &home);
    command
        .env("AWS_ENDPOINT_URL", "")
        .env("AWS_REGION", "xx-nowhere-1");
    let (_, error) = fail(command.env("AWS_MAX_ATTEMPTS", "1"));
    assert!(error.contains("sts.xx-nowhere-1.amazonaws.com"), "{error}");
}

#[test]
fn in_a_shell_of_the_local_stage_no_other_stage_is_taken_for_it() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    stage_file(home.path(), empty.port);
    let localhost = format!("http://localhost:{}/", empty.port);
    for url in [empty.url(), localhost] {
        for arguments in [
            &["info"][..],
            &["env"],
            &["deploy", "--yes"],
            &["delete", "--yes"],
            &["logs", "serve-shop"],
            &["redrive", "ship-order"],
        ] {
            let arguments = [arguments, &["--stage", "dev"]].concat();
            let (code, error) =
                fail(verb_with_keys(&arguments, &home).env("AWS_ENDPOINT_URL", &url));
            assert_eq!(code, Some(2), "{error}");
            assert!(
                error.starts_with("error: this shell points at the local stage, not at AWS"),
                "{error}"
            );
            assert!(
                error.contains(&url) && error.contains("AWS_ENDPOINT_URL"),
                "{error}"
            );
            assert!(
                error.contains("hint: open another shell") && !error.contains("deploy it"),
                "{error}"
            );
        }
    }
    assert_eq!(empty.requests(), 0);
}

#[test]
fn the_variables_of_a_local_stage_that_has_ended_are_not_taken_for_aws() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    let mut command = verb_with_keys(&["info", "--stage", "dev"], &home);
    command.env("XTASK_STAGE", "local");
    let (code, error) = fail(command.env("AWS_ENDPOINT_URL", empty.url()));
    assert_eq!(code, Some(2));
    assert!(
        error.contains("this shell points at the local stage"),
        "{error}"
    );
    assert_eq!(empty.requests(), 0);
}

#[test]
fn nothing_of_the_users_matters_to_the_local_stage() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    stage_file(home.path(), empty.port);
    configured(&home, "[default\n");
    let mut command = verb(&["info", "--stage", "local"], &home);
    for (name, value) in [
        ("AWS_PROFILE", "nosuch"),
        ("AWS_SESSION_TOKEN", "left/over"),
        ("AWS_REGION", "Stockholm"),
        ("AWS_ENDPOINT_URL", "nonsense"),
        ("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:9"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("AWS_MAX_ATTEMPTS", "none"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
    ] {
        command.env(name, value);
    }
    let (_, error) = fail(&mut command);
    assert!(
        error.starts_with("error: stage local is not deployed"),
        "{error}"
    );
    assert_eq!(empty.requests(), 2);
}

#[test]
fn what_answers_in_place_of_the_local_stage_is_told_as_that() {
    let home = TempDir::new().unwrap();
    let other = Empty::answering(|_| Answer::of_another(200, "<title>Something else</title>"));
    stage_file(home.path(), other.port);
    let (code, error) = fail(&mut verb(&["info", "--stage", "local"], &home));
    assert_eq!(code, Some(1));
    assert!(error.contains("Something else"), "{error}");
    assert!(
        error.contains("hint: the local stage is not running there"),
        "{error}"
    );
}

#[test]
fn a_page_in_place_of_aws_is_told_by_its_title() {
    let home = TempDir::new().unwrap();
    for (status, words) in [(200, "200 OK"), (403, "403 Forbidden"), (407, "407")] {
        let portal = Empty::answering(move |_| {
            Answer::of_another(status, "<html><title>Guest Wi-Fi</title></html>")
        });
        let (code, error) =
            fail(verb_with_keys(&["info"], &home).env("AWS_ENDPOINT_URL", portal.url()));
        assert_eq!(code, Some(1));
        assert!(
            error.contains("not from AWS") && error.contains("Guest Wi-Fi"),
            "{error}"
        );
        assert!(
            error.contains(words) && error.contains(&portal.url()),
            "{error}"
        );
        assert!(!error.contains("role"), "{error}");
    }
}

#[test]
fn as_many_attempts_are_made_as_were_asked_for() {
    let home = TempDir::new().unwrap();
    let fault = "<ErrorResponse><Error><Code>InternalFailure</Code><Message>oops</Message></Error></ErrorResponse>";
    let broken = Empty::answering(move |_| Answer::new(500, fault));
    let mut command = verb_with_keys(&["info"], &home);
    command.env("AWS_ENDPOINT_URL", broken.url());
    fail(command.env("AWS_MAX_ATTEMPTS", "1"));
    assert_eq!(broken.requests(), 1);
    configured(&home, "[default]\nmax_attempts = 2\n");
    fail(command.env_remove("AWS_MAX_ATTEMPTS"));
    assert_eq!(broken.requests(), 3);
}

#[test]
fn an_answer_that_takes_seconds_is_told_of() {
    let home = TempDir::new().unwrap();
    let slow = Empty::answering(|call| {
        if call.operation == "GetCallerIdentity" {
            std::thread::sleep(Duration::from_secs(7));
        }
        empty(call)
    });
    let (_, error) = fail(verb_with_keys(&["info"], &home).env("AWS_ENDPOINT_URL", slow.url()));
    assert!(
        error.contains(&format!("Waiting for {} to answer\n", slow.url())),
        "{error}"
    );
    assert!(error.contains("is not deployed"), "{error}");
}

#[test]
fn profiles_are_told_in_the_users_words() {
    let home = TempDir::new().unwrap();
    configured(
        &home,
        "[profile bare]\nregion = eu-north-1\n\
         [profile desk]\nlogin_session = arn:aws:iam::111122223333:user/pat\nregion = eu-north-1\n\
         [profile office]\nsso_session = office\nsso_account_id = 111122223333\nsso_role_name = Deployer\nregion = eu-north-1\n\
         [sso-session office]\nsso_start_url = https://office.example.invalid/start\nsso_region = eu-north-1\n\
         [profile vault]\ncredential_process = /bin/sh -c \"echo the vault is sealed >&2; exit 3\"\nregion = eu-north-1\n",
    );
    for (profile, words) in [
        ("nosuch", "there is no AWS profile `nosuch`"),
        ("bare", "profile `bare` in "),
        ("desk", "hint: sign in: aws login --profile desk"),
        ("office", "hint: sign in: aws sso login --profile office"),
        ("vault", "the vault is sealed"),
    ] {
        let (code, error) = fail(verb(&["info"], &home).env("AWS_PROFILE", profile));
        assert_eq!(code, Some(1));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_profiles_own_endpoint_and_credentials_are_used() {
    let (home, empty) = (TempDir::new().unwrap(), Empty::start());
    configured(
        &home,
        &format!(
            "[profile p]\nregion = eu-north-1\nendpoint_url = {}\naws_access_key_id = a\naws_secret_access_key = b\n",
            empty.url()
        ),
    );
    for variable in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        let (_, error) = fail(verb(&["info"], &home).env(variable, "p"));
        assert!(error.contains("(`endpoint_url` of profile p"), "{error}");
        assert!(error.contains("is not deployed at"), "{error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_blamed_by_their_names() {
    let home = TempDir::new().unwrap();
    for (variable, value) in [
        ("AWS_REGION", " eu-north-1"),
        ("AWS_REGION", "Stockholm"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL_S3", "4566"),
        ("AWS_CONFIG_FILE", "/"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_RETRY_MODE", "never"),
        ("AWS_USE_FIPS_ENDPOINT", "1"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
    ] {
        let (code, error) = fail(verb_with_keys(&["info"], &home).env(variable, value));
        assert_eq!(code, Some(1));
        assert!(error.contains(variable), "{error}");
    }
}

#[test]
fn aws_is_asked_for_through_the_proxy() {
    let home = TempDir::new().unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut stream = proxy.accept().unwrap().0;
        let mut request = [0; 64];
        let length = stream.read(&mut request).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let mut command = verb_with_keys(&["info"], &home);
    command
        .env("HTTPS_PROXY", &url)
        .env("AWS_MAX_ATTEMPTS", "1");
    let (_, error) = fail(&mut command);
    let asked = asked.join().unwrap();
    assert!(
        asked.starts_with("CONNECT sts.eu-west-1.amazonaws.com:443"),
        "{asked}"
    );
    assert!(
        error.contains(&format!("through the proxy {url} (HTTPS_PROXY)")),
        "{error}"
    );
}
