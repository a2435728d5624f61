//! What a user sees when something is wrong: one clear line, a hint, and an exit code that a
//! script can rely on. None of these needs a stage.
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use acceptance::fake_aws::{self, Answer, Call};
use acceptance::{xtask, xtask_program};
use serde_json::Value;

static PROGRAM: LazyLock<std::path::PathBuf> = LazyLock::new(xtask_program);

struct Failure {
    exit_code: Option<i32>,
    error: String,
}

fn fail(command: &mut Command) -> Failure {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{command:?} succeeded");
    assert_eq!(stdout, b"", "results go to standard output, errors do not");
    assert!(
        !error.contains("panicked") && !error.contains("stack backtrace"),
        "{error}"
    );
    assert!(
        !error.contains('\u{1b}'),
        "no colour without a terminal: {error}"
    );
    Failure {
        exit_code: status.code(),
        error,
    }
}

fn with_credentials(arguments: &[&str], endpoint: &str) -> Command {
    let mut command = xtask(&PROGRAM, arguments);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env(
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_ENDPOINT_URL", endpoint);
    command
}

#[test]
fn a_wrong_stage_is_named_with_those_there_are() {
    let failure = fail(&mut xtask(&PROGRAM, &["synth", "--stage", "prd"]));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure
            .error
            .contains("unknown stage `prd`; did you mean `prod`?"),
        "{}",
        failure.error
    );
    assert!(
        failure.error.contains("dev, local, prod"),
        "{}",
        failure.error
    );
}

#[test]
fn an_unknown_function_is_told_the_nearest() {
    let failure = fail(&mut xtask(&PROGRAM, &["logs", "serve_shop"]));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure.error.contains("there is no function `serve_shop`"),
        "{}",
        failure.error
    );
    assert!(
        failure.error.contains("hint: did you mean `serve-shop`?"),
        "{}",
        failure.error
    );
}

#[test]
fn a_verb_that_does_not_exist_is_a_misuse() {
    assert_eq!(fail(&mut xtask(&PROGRAM, &["deploi"])).exit_code, Some(2));
}

#[test]
fn the_deployers_policies_are_printed_or_written_file_by_file() {
    let printed = acceptance::succeed(&mut xtask(&PROGRAM, &["gen-policy", "--deployer"]));
    let printed: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let directory = empty.path().join("policies of dev");
    let of_last_time = directory.join(format!("deployer-{}.json", printed.len() + 1));
    let others = directory.join("deployer.json");
    std::fs::create_dir(&directory).unwrap();
    for file in [&of_last_time, &others] {
        std::fs::write(file, "{}").unwrap();
    }
    let mut write = xtask(&PROGRAM, &["gen-policy", "--deployer", "--out"]);
    assert_eq!(acceptance::succeed(write.arg(&directory)), "");
    for (number, policy) in (1..).zip(&printed) {
        let file = directory.join(format!("deployer-{number}.json"));
        let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(&written, policy);
    }
    assert!(!of_last_time.exists());
    assert!(others.exists());
}

#[test]
fn the_deployers_policies_are_not_written_among_the_functions() {
    let policies = acceptance::example().join("policies");
    let mut write = xtask(&PROGRAM, &["gen-policy", "--deployer", "--out"]);
    let failure = fail(write.arg(policies));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure.error.contains("hint: write into another folder"),
        "{}",
        failure.error
    );
    let alone = fail(&mut xtask(&PROGRAM, &["gen-policy", "--out", "x"]));
    assert_eq!(alone.exit_code, Some(2));
    assert!(alone.error.contains("--deployer"), "{}", alone.error);
}

#[test]
fn the_local_stage_must_be_started_first() {
    let empty = tempfile::tempdir().unwrap();
    let failure =
        fail(xtask(&PROGRAM, &["info", "--stage", "local"]).env("XTASK_LOCAL_DIR", empty.path()));
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("the local stage is not running"),
        "{}",
        failure.error
    );
    assert!(
        failure.error.contains("cargo xtask local"),
        "{}",
        failure.error
    );
}

#[test]
fn without_credentials_it_says_how_to_sign_in() {
    let home = tempfile::tempdir().unwrap();
    let failure = fail(
        xtask(&PROGRAM, &["info"])
            .env("HOME", home.path())
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_EC2_METADATA_DISABLED", "true"),
    );
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("no AWS credentials were found"),
        "{}",
        failure.error
    );
    assert!(failure.error.contains("hint: sign in"), "{}", failure.error);
}

#[test]
fn without_a_region_it_says_where_to_set_one() {
    let home = tempfile::tempdir().unwrap();
    let failure = fail(
        xtask(&PROGRAM, &["info"])
            .env("HOME", home.path())
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env(
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            )
            .env("AWS_EC2_METADATA_DISABLED", "true"),
    );
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("no AWS region is set"),
        "{}",
        failure.error
    );
    assert!(
        failure.error.contains("infra/stages.yaml"),
        "{}",
        failure.error
    );
}

#[test]
fn without_a_network_it_says_so() {
    let failure = fail(&mut with_credentials(&["info"], "http://127.0.0.1:1"));
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("could not be reached"),
        "{}",
        failure.error
    );
    assert!(
        failure.error.contains("hint: check the network"),
        "{}",
        failure.error
    );
}

#[test]
fn an_expired_token_is_told_apart() {
    let endpoint = answer_with(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>\
         <Message>The security token included in the request is expired</Message></Error>\
         <RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ErrorResponse>",
    );
    let failure = fail(&mut with_credentials(&["deploy"], &endpoint));
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("is expired (ExpiredToken)"),
        "{}",
        failure.error
    );
    assert!(
        failure
            .error
            .contains("hint: the session has expired: sign in again"),
        "{}",
        failure.error
    );
}

#[test]
fn another_account_than_the_stages_is_refused() {
    // The local stage is guarded by its account; here the credentials belong to another.
    let endpoint = answer_with(
        200,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::111122223333:user/ann</Arn><UserId>AIDA</UserId><Account>111122223333</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>",
    );
    let directory = tempfile::tempdir().unwrap();
    let port = endpoint.rsplit(':').next().unwrap();
    std::fs::write(
        directory.path().join("stage.json"),
        format!(
            r#"{{"process_id": 1, "first_api_port": 1, "aws_port": {port}, "rekognition_port": 1, "access_key_id": "AKIA", "secret_access_key": "secret", "quiet_url": "", "decisions_url": "", "snapshot_url": "", "traces_url": "", "logged_url": "", "invoked_url": "", "chaos_url": ""}}"#
        ),
    )
    .unwrap();
    let failure = fail(
        xtask(&PROGRAM, &["info", "--stage", "local"]).env("XTASK_LOCAL_DIR", directory.path()),
    );
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains("belong to account 111122223333"),
        "{}",
        failure.error
    );
}

#[test]
fn a_production_stage_is_not_deleted_by_a_slip_of_the_hand() {
    for (arguments, error) in [
        (&["--yes"][..], "is not deleted without --force"),
        (
            &["--force", "--confirm", "dev"],
            "--confirm names stage dev",
        ),
    ] {
        let delete = [&["delete", "--stage", "prod"], arguments].concat();
        let failure = fail(&mut xtask(&PROGRAM, &delete));
        assert_eq!(failure.exit_code, Some(2), "{}", failure.error);
        assert!(failure.error.contains(error), "{}", failure.error);
    }
}

#[test]
fn a_production_stage_is_verified_with_force_only() {
    let verify = ["verify", "--stage", "prod"];
    let failure = fail(&mut xtask(&PROGRAM, &verify));
    assert_eq!(failure.exit_code, Some(2), "{}", failure.error);
    let refusal = "is not verified without --force";
    assert!(failure.error.contains(refusal), "{}", failure.error);
    // With it, the next thing to fail is the account.
    let mut forced = xtask(&PROGRAM, &[&verify[..], &["--force"]].concat());
    let failure = fail(forced.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(failure.exit_code, Some(1), "{}", failure.error);
    assert!(!failure.error.contains(refusal), "{}", failure.error);
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let failure =
        fail(xtask(&PROGRAM, &["local", "--port", &port]).env("XTASK_LOCAL_DIR", directory.path()));
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure
            .error
            .contains(&format!("port {port} on 127.0.0.1 (the shop API, --port)")),
        "{}",
        failure.error
    );
    assert!(failure.error.contains("hint: "), "{}", failure.error);
}

#[test]
fn an_event_that_is_not_json_is_refused_before_it_is_sent() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{Bucket: x}").unwrap();
    let path = file.path().to_str().unwrap();
    let failure = fail(&mut xtask(
        &PROGRAM,
        &["invoke", "serve-shop", "--payload", path],
    ));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure.error.contains("the event is not JSON"),
        "{}",
        failure.error
    );
}

#[test]
fn every_verb_teaches_by_an_example() {
    for verb in [
        "synth",
        "gen-policy",
        "openapi",
        "package",
        "deploy",
        "delete",
        "verify",
        "invoke",
        "logs",
        "url",
        "info",
        "env",
        "local",
        "bench",
        "ci",
    ] {
        let help = acceptance::succeed(&mut xtask(&PROGRAM, &[verb, "--help"]));
        assert!(help.contains("Usage: cargo xtask"), "{help}");
        assert!(
            help.contains("cargo xtask ") && help.contains("Example"),
            "{verb}: {help}"
        );
    }
}

/// What verbs read and write of the workspace, in a copy that a test may change.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let root = acceptance::example();
        for part in ["infra", "policies"] {
            std::fs::create_dir(copy.path(part)).unwrap();
        }
        // Makes a cargo workspace of it.
        std::fs::write(copy.path("Cargo.lock"), "").unwrap();
        let stages = "infra/stages.yaml";
        std::fs::copy(root.join(stages), copy.path(stages)).unwrap();
        for policy in std::fs::read_dir(root.join("policies")).unwrap() {
            let policy = policy.unwrap();
            let to = copy.path("policies").join(policy.file_name());
            std::fs::copy(policy.path(), to).unwrap();
        }
        copy
    }

    fn with_stages(yaml: &str) -> Self {
        let copy = Self::new();
        std::fs::write(copy.path("infra/stages.yaml"), yaml).unwrap();
        copy
    }

    fn path(&self, part: &str) -> std::path::PathBuf {
        self.0.path().join(part)
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = xtask(&PROGRAM, arguments);
        command.env("CARGO_MANIFEST_DIR", self.path("xtask"));
        command
    }
}

#[test]
fn stale_policies_are_shown_as_a_difference() {
    let copy = Copy::new();
    acceptance::succeed(&mut copy.xtask(&["gen-policy", "--check"]));
    let stale = copy.path("policies/serve-shop.json");
    let text = std::fs::read_to_string(&stale).unwrap();
    std::fs::write(&stale, text.replace("dynamodb:Scan", "dynamodb:*")).unwrap();
    let output = copy.xtask(&["gen-policy", "--check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let difference = String::from_utf8(output.stdout).unwrap();
    assert!(
        difference.contains("-        \"dynamodb:*\"")
            && difference.contains("+        \"dynamodb:Scan\""),
        "{difference}"
    );
    // The exit code tells it even if nobody reads the difference.
    let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let unread = copy
        .xtask(&["gen-policy", "--check"])
        .stdout(std::os::fd::OwnedFd::from(ours))
        .status();
    assert_eq!(unread.unwrap().code(), Some(1));
    acceptance::succeed(&mut copy.xtask(&["gen-policy"]));
    assert_eq!(std::fs::read_to_string(&stale).unwrap(), text);
}

#[test]
fn policies_are_written_into_a_folder_that_is_gone() {
    let copy = Copy::new();
    let policy = copy.path("policies/serve-shop.json");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::remove_dir_all(copy.path("policies")).unwrap();
    let check = copy.xtask(&["gen-policy", "--check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(!copy.path("policies").exists(), "--check writes nothing");
    acceptance::succeed(&mut copy.xtask(&["gen-policy"]));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), text);
}

#[test]
fn line_ends_of_git_do_not_make_policies_stale() {
    let copy = Copy::new();
    let policy = copy.path("policies/serve-shop.json");
    let text = std::fs::read_to_string(&policy).unwrap();
    let converted = text.replace('\n', "\r\n");
    std::fs::write(&policy, &converted).unwrap();
    acceptance::succeed(&mut copy.xtask(&["gen-policy", "--check"]));
    acceptance::succeed(&mut copy.xtask(&["gen-policy"]));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), converted);
}

#[test]
fn a_folder_named_like_a_policy_is_named() {
    let copy = Copy::new();
    std::fs::create_dir(copy.path("policies/old.json")).unwrap();
    for arguments in [&["gen-policy"][..], &["gen-policy", "--check"]] {
        let failure = fail(&mut copy.xtask(arguments));
        assert_eq!(failure.exit_code, Some(1));
        assert!(
            failure.error.contains("policies/old.json is a folder"),
            "{}",
            failure.error
        );
    }
}

#[test]
fn policies_and_completions_need_no_stage() {
    for yaml in ["dev:\n", "# no stage\n"] {
        let copy = Copy::with_stages(yaml);
        acceptance::succeed(&mut copy.xtask(&["gen-policy", "--check"]));
        let script = acceptance::succeed(&mut copy.xtask(&["completions", "bash"]));
        assert!(script.contains("ship-order"), "{script}");
    }
}

#[test]
fn a_file_without_the_stage_is_told_what_to_write() {
    for yaml in ["", "# no stage\n", "{}\n", "---\n"] {
        let failure = fail(&mut Copy::with_stages(yaml).xtask(&["synth"]));
        assert_eq!(failure.exit_code, Some(2));
        assert!(
            failure.error.contains("stages.yaml declares no stages")
                && failure.error.contains("a line `dev:`"),
            "{}",
            failure.error
        );
    }
    let copy = Copy::with_stages("dev:\n");
    let failure = fail(&mut copy.xtask(&["local", "--", "true"]));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure.error.contains("unknown stage `local`")
            && failure.error.contains("architecture: host"),
        "{}",
        failure.error
    );
}

#[test]
fn a_key_written_twice_is_refused_with_both_lines() {
    let copy = Copy::with_stages(
        "dev:\n  authorization:\n    shop: iam\n    orders: none\n    shop: none\n",
    );
    let failure = fail(&mut copy.xtask(&["synth"]));
    assert_eq!(failure.exit_code, Some(1));
    assert!(
        failure.error.contains(
            "infra/stages.yaml:5: `dev.authorization.shop` is written twice, on lines 3 and 5"
        ),
        "{}",
        failure.error
    );
}

#[test]
fn a_template_is_not_written_over_the_committed_policies() {
    let copy = Copy::new();
    let mut command = copy.xtask(&["synth", "--out", "."]);
    let failure = fail(command.current_dir(copy.path("")));
    assert_eq!(failure.exit_code, Some(2));
    assert!(
        failure.error.contains("policies/ would be overwritten"),
        "{}",
        failure.error
    );
    let mut command = copy.xtask(&["synth", "--out", "../out"]);
    let below = command.current_dir(copy.path("policies"));
    assert!(below.output().unwrap().status.success());
    assert!(copy.path("out/template.yaml").exists());
}

/// A command that ends where the stage's ports are taken, after it has made its folder.
fn local_that_finds_no_port(copy: &Copy) -> (Command, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    let mut command = copy.xtask(&["local", "--port", &taken, "--", "true"]);
    command.env_remove("CARGO_TARGET_DIR");
    command.current_dir(copy.path("infra"));
    (command, listener)
}

#[test]
fn folders_start_where_the_user_stands() {
    for (variables, folder) in [
        (&[("CARGO_TARGET_DIR", "built")][..], "infra/built/local"),
        (&[("CARGO_BUILD_TARGET_DIR", "built")], "infra/built/local"),
        (
            &[("CARGO_TARGET_DIR", "../t"), ("XTASK_LOCAL_DIR", "")],
            "t/local",
        ),
        (&[("XTASK_LOCAL_DIR", "stage")], "infra/stage"),
        (&[("XTASK_LOCAL_DIR", "")], "target/local"),
    ] {
        let copy = Copy::new();
        let (mut command, _listener) = local_that_finds_no_port(&copy);
        let failure = fail(command.envs(variables.iter().copied()));
        assert!(
            copy.path(folder).is_dir(),
            "{variables:?}: {}",
            failure.error
        );
    }
}

/// An endpoint that gives every request the same answer, for as long as the test runs.
fn answer_with(status: u16, body: &'static str) -> String {
    fake_aws::start(move |_: &Call| Answer::new(status, body))
}
