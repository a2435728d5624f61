//! What a person sees: each verb on a terminal; tables, progress and questions on a narrow and
//! on a wide one, too.
//!
//! How a command behaves is asserted here. What it shows is kept in `snapshots/`:
//! `INSTA_UPDATE=always cargo test -p acceptance --test framework terminal::` takes what is shown now.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use acceptance::small_stack::{Ground, REGION};
use acceptance::terminal::{CTRL_C, CTRL_D, Ended, Screen, Terminal};
use acceptance::{
    eventually, example, free_ports_of_apis, free_ports_of_aws, http_get, succeed, xtask,
    xtask_program,
};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use deploy::{Settings, ValueStore};
use manifest::Stage;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(xtask_program);

/// The widths at which tables, progress and questions are tried.
const NARROW: u16 = 40;
const USUAL: u16 = 80;
const WIDE: u16 = 200;

const VERBS: [&str; 23] = [
    "new",
    "generate-event",
    "graph",
    "synth",
    "gen-policy",
    "openapi",
    "package",
    "deploy",
    "diff",
    "rollback",
    "delete",
    "verify",
    "invoke",
    "redrive",
    "logs",
    "url",
    "info",
    "env",
    "local",
    "grants",
    "bench",
    "completions",
    "ci",
];

// Without a stage.

#[test]
fn every_verb_explains_itself() {
    for verb in VERBS {
        let shown = help(&[verb], USUAL);
        keep(&format!("help-{verb}"), &shown);
    }
    keep("help-new-function", &help(&["new", "function"], USUAL));
    keep("help", &help(&[], USUAL));
    keep("help-delete-narrow", &help(&["delete"], NARROW));
    help(&["delete"], WIDE);
}

#[track_caller]
fn help(verb: &[&str], columns: u16) -> Ended {
    let shown = run(&xtask(&PROGRAM, &[verb, &["--help"]].concat()), columns).with_code(0);
    assert_eq!(shown.screen.wrapped_lines(), [""; 0], "{shown}");
    shown
}

#[test]
fn errors_are_a_line_and_a_hint() {
    let empty = TempDir::new().unwrap();
    for (name, arguments, exit_code) in [
        ("error-stage", &["synth", "--stage", "prd"][..], 2),
        ("error-function", &["logs", "serve_shop"], 2),
        ("error-verb", &["deploi"], 2),
        ("error-not-running", &["info", "--stage", "local"], 1),
        ("error-delete-prod", &["delete", "--stage", "prod"], 2),
        ("error-verify-prod", &["verify", "--stage", "prod"], 2),
    ] {
        let mut command = xtask(&PROGRAM, arguments);
        command.env("XTASK_LOCAL_DIR", empty.path());
        let shown = run(&command, USUAL).with_code(exit_code);
        assert!(shown.screen.has_colours(), "{shown}");
        assert!(shown.screen.text().starts_with("error: "), "{shown}");
        keep(name, &shown);
    }
}

#[test]
fn generated_text_is_not_changed_for_a_terminal() {
    for arguments in [
        &["synth", "--stage", "dev"][..],
        &["gen-policy", "--deployer"],
        &["completions", "bash"],
    ] {
        let mut command = xtask(&PROGRAM, arguments);
        let piped = succeed(&mut command);
        let shown = run(&command, NARROW).with_code(0);
        assert!(!shown.screen.has_control_sequences(), "{arguments:?}");
        let lines = |text: &str| -> Vec<String> {
            text.replace('\t', "        ")
                .lines()
                .map(|line| line.trim_end().to_owned())
                .collect()
        };
        assert_eq!(lines(&shown.screen.text()), lines(&piped), "{arguments:?}");
    }
}

#[test]
fn fresh_policies_are_told_in_a_line() {
    keep(
        "gen-policy-check",
        &run(&xtask(&PROGRAM, &["gen-policy", "--check"]), USUAL).with_code(0),
    );
}

#[test]
fn colours_are_as_the_user_wants_them() {
    let wrong_stage = ["synth", "--stage", "prd"];
    for (variables, coloured) in [
        (&[][..], true),
        (&[("TERM", "xterm")], true),
        (&[("TERM", "dumb")], false),
        (&[("NO_COLOR", "1")], false),
        (&[("CLICOLOR", "0")], false),
        (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
        (&[("CI", "true")], true),
    ] {
        for arguments in [&wrong_stage[..], &["gen-policy", "--check"]] {
            let mut command = xtask(&PROGRAM, arguments);
            command.envs(variables.iter().copied());
            let shown = run(&command, USUAL);
            assert_eq!(
                shown.screen.has_colours(),
                coloured,
                "{variables:?}: {shown}"
            );
        }
    }
    // Without a terminal as well.
    for (variable, coloured) in [("CLICOLOR_FORCE", true), ("CI", false)] {
        let output = xtask(&PROGRAM, &wrong_stage)
            .env(variable, "1")
            .output()
            .unwrap();
        assert_eq!(output.stderr.contains(&0x1b), coloured, "{output:?}");
    }
}

// On the local stage.

/// A stage that a person has started on a terminal of 80 columns.
struct LocalStage {
    terminal: Terminal,
    other: Other,
}

/// Other terminals, beside that of the local stage.
struct Other {
    directory: TempDir,
    variables: BTreeMap<String, String>,
}

impl LocalStage {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_ports_of_apis().to_string();
        let aws_port = free_ports_of_aws().to_string();
        let ports = ["local", "--port", &port, "--aws-port", &aws_port];
        let mut local = xtask(&PROGRAM, &ports);
        local.env("XTASK_LOCAL_DIR", directory.path());
        let terminal = Terminal::run(&local, USUAL);
        // The functions may have to be compiled first.
        terminal.wait_long_for("Ready");
        terminal.wait_for("Ctrl-C");
        let mut other = Other {
            directory,
            variables: BTreeMap::new(),
        };
        let variables = succeed(&mut other.xtask(&["env", "--json"]));
        other.variables = serde_json::from_str(&variables).unwrap();
        Self { terminal, other }
    }
}

impl Other {
    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = xtask(&PROGRAM, arguments);
        command
            .env("XTASK_STAGE", "local")
            .env("XTASK_LOCAL_DIR", self.directory.path());
        command
    }

    /// Runs a verb to its end.
    fn run(&self, arguments: &[&str], columns: u16) -> Ended {
        run(&self.xtask(arguments), columns)
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// What clients of the stage are made from.
    fn config(&self) -> aws_types::SdkConfig {
        acceptance::sdk_config(
            self.variable("AWS_ENDPOINT_URL"),
            self.variable("AWS_REGION"),
            self.variable("AWS_ACCESS_KEY_ID"),
            self.variable("AWS_SECRET_ACCESS_KEY"),
        )
    }

    fn get(&self) -> u16 {
        http_get(self.variable("SHOP_URL")).status
    }
}

#[test]
fn the_local_stage() {
    let LocalStage {
        mut terminal,
        other,
    } = LocalStage::start();
    let ready = terminal.screen();
    assert!(!ready.has_moving_line(), "{ready}");
    let ready = ready.from("Ready").text();
    let (ready, _) = ready.split_once("follow.").unwrap();
    keep("local-ready", &ready);

    assert_eq!(other.get(), 200);
    terminal.wait_until("a log line of serve-shop", |screen| {
        let text = screen.text();
        let after = text.split_once("Ctrl-C").map_or("", |(_, after)| after);
        after.contains("serve-shop")
    });

    together(&[
        ("info", &|| info(&other)),
        ("names", &|| names(&other)),
        ("logs", &|| logs(&other)),
        ("invoke", &|| invoke(&other)),
        ("unchanged", &|| nothing_is_asked_locally(&other)),
    ]);
    redrive(&other);
    verify(&other);

    terminal.type_text(CTRL_C);
    let ended = terminal.end().with_code(0).is_tidy();
    assert!(
        ended.screen.text().trim_end().ends_with("the local stage"),
        "{ended}"
    );
}

/// Whoever closes the window ends the stage.
#[test]
fn a_closed_terminal_ends_the_local_stage() {
    let LocalStage { terminal, other } = LocalStage::start();
    let endpoint = other.variable("AWS_ENDPOINT_URL");
    drop(terminal);
    eventually("every process ended", || {
        acceptance::processes_that_know(endpoint)
            .is_empty()
            .then_some(())
    });
}

fn info(other: &Other) {
    for (name, columns) in [
        ("info-narrow", NARROW),
        ("info", USUAL),
        ("info-wide", WIDE),
    ] {
        let shown = other.run(&["info"], columns).with_code(0);
        let text = shown.screen.text();
        for value in ["shop-local-ship-order", "SHOP_URL", "CREATE_COMPLETE"] {
            assert!(text.contains(value), "{value}: {shown}");
        }
        keep(name, &shown);
    }
    // Whoever reads it in a pipe has whole lines, whatever the terminal of the errors is.
    let piped = succeed(&mut other.xtask(&["info"]));
    assert!(
        piped.lines().any(|line| line.starts_with("FUNCTION ")),
        "{piped}"
    );
}

fn names(other: &Other) {
    let shown = other.run(&["url"], USUAL).with_code(0);
    assert_eq!(shown.screen.text().trim(), other.variable("SHOP_URL"));
    let shown = other.run(&["url", "nosuch"], USUAL).with_code(2);
    keep("url-unknown", &shown);
    let shown = other.run(&["env"], NARROW).with_code(0);
    // PATH is put before that of the shell.
    let names = other.variables.iter().filter(|(name, _)| *name != "PATH");
    for (name, value) in names {
        assert!(
            shown
                .screen
                .lines()
                .any(|line| line.starts_with(&format!("export {name}=")) && line.contains(value)),
            "{name}: {shown}"
        );
    }
}

fn logs(other: &Other) {
    let mut follow = Terminal::run(
        &other.xtask(&["logs", "serve-shop", "--follow", "--since", "1h"]),
        USUAL,
    );
    let before = follow.wait_for("took").lines().count();
    assert_eq!(other.get(), 200);
    follow.wait_until("another line", |screen| screen.lines().count() > before);
    follow.type_text(CTRL_C);
    interrupted(&follow.end());
    // Two functions are told apart by name.
    let shown = other.run(&["logs", "serve-shop", "ship-order"], WIDE);
    let shown = shown.with_code(0);
    let took = |line: &&str| line.contains(" took ") && line.ends_with(" of 256 MB");
    let mut took = shown.screen.lines().filter(took);
    assert!(took.next().is_some(), "{shown}");
    assert!(took.all(|line| line.contains(" serve-shop ")), "{shown}");
    let text = shown.screen.text();
    assert!(
        !text.contains("RequestId") && !text.contains("{\""),
        "{shown}"
    );
    for columns in [NARROW, USUAL] {
        let shown = other.run(&["logs"], columns).with_code(0);
        assert_eq!(shown.screen.wrapped_lines(), [""; 0], "{shown}");
    }
    // Whoever reads a pipe has the lines of Lambda and of the function.
    let piped = succeed(&mut other.xtask(&["logs", "serve-shop"]));
    for raw in ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "] {
        assert!(piped.contains(raw), "{piped}");
    }
}

fn invoke(other: &Other) {
    let directory = TempDir::new().unwrap();
    let invoke = |name: &str, event: &str| {
        let file = directory.path().join(format!("{name}.json"));
        std::fs::write(&file, event).unwrap();
        let file = file.to_str().unwrap();
        let shown = other.run(&["invoke", "file-photo", "--payload", file], USUAL);
        keep(name, &shown);
        shown
    };
    invoke("invoke-function-error", NO_NOTIFICATION).with_code(1);
    invoke("invoke-no-json", "{").with_code(2);
    let shown = other.run(&["invoke", "file-photo"], USUAL).with_code(2);
    keep("invoke-terminal-as-input", &shown);

    let get = example().join("assets/events/serve-shop.json");
    let get = ["invoke", "serve-shop", "--payload", get.to_str().unwrap()];
    let shown = other.run(&get, USUAL).with_code(0);
    assert!(shown.screen.text().contains("statusCode"), "{shown}");
    keep("invoke-answer", &shown);
}

/// The local stage is empty after the next start.
fn nothing_is_asked_locally(other: &Other) {
    let shown = other
        .run(&["deploy", "--require-approval", "any-change"], USUAL)
        .with_code(0)
        .is_tidy();
    assert!(shown.screen.text().contains("Unchanged"), "{shown}");
    keep("deploy-local-unchanged", &shown.screen.from("Unchanged"));
}

fn redrive(other: &Other) {
    let function = "file-photo";
    let shown = other.run(&["redrive", function], USUAL).with_code(0);
    keep("redrive-empty", &shown);
    let shown = other.run(&["redrive", "serve-shop"], USUAL).with_code(2);
    keep("redrive-no-queue", &shown);

    fail_an_event(other, function);
    let shown = other.run(&["info"], USUAL).with_code(0);
    assert!(shown.screen.text().contains("warning: "), "{shown}");
    for (name, columns) in [
        ("redrive-dry-run-narrow", NARROW),
        ("redrive-dry-run", USUAL),
    ] {
        let shown = other.run(&["redrive", function, "--dry-run"], columns);
        keep(name, &shown.with_code(0));
    }
    let shown = other.run(&["redrive", function], USUAL).with_code(1);
    keep("redrive-failed-again", &shown);

    let drop = other.xtask(&["redrive", function, "--drop"]);
    let question = "Delete all events";
    let no = answer(&drop, NARROW, question, "n\r").with_code(1);
    keep("redrive-drop-no-narrow", &no);
    let eof = answer(&drop, USUAL, question, CTRL_D).with_code(1);
    assert_eq!(eof.screen.text().matches("error: ").count(), 1, "{eof}");
    interrupted(&answer(&drop, USUAL, question, CTRL_C));
    let yes = answer(&drop, USUAL, question, "y\r").with_code(0);
    keep("redrive-drop-yes", &yes);
    other.run(&["redrive", function], USUAL).with_code(0);
}

fn verify(other: &Other) {
    for (name, columns) in [("verify-narrow", NARROW), ("verify", USUAL)] {
        let shown = other.run(&["verify", "visitors"], columns);
        keep(name, &shown.with_code(0).is_tidy());
    }
    let iam = aws_sdk_iam::Client::new(&other.config());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broad = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let roles = runtime.block_on(iam.list_roles().send()).unwrap();
    let mut roles = roles.roles().iter();
    let role = roles.find(|role| role.role_name().contains("-ServeShopRole-"));
    let put = iam.put_role_policy().role_name(role.unwrap().role_name());
    let put = put.policy_name("broad");
    runtime.block_on(put.policy_document(broad).send()).unwrap();
    let shown = other
        .run(&["verify", "roles"], USUAL)
        .with_code(1)
        .is_tidy();
    assert!(shown.screen.has_colours(), "{shown}");
    keep("verify-failed", &shown);

    let mut terminal = Terminal::run(&other.xtask(&["verify", "quiet"]), USUAL);
    terminal.wait_for("no-photo-appears");
    terminal.type_text(CTRL_C);
    let ended = terminal.end().with_code(130);
    let text = ended.screen.text();
    assert!(
        text.trim_end().ends_with("Ctrl-C again leaves it"),
        "{ended}"
    );
}

/// An event that no function takes.
const NO_NOTIFICATION: &str = r#"{"this": "is no notification of S3"}"#;

/// Puts an event into a function's failure queue as Lambda does, when it has tried it often
/// enough.
fn fail_an_event(other: &Other, function: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let invoke = aws_sdk_lambda::Client::new(&other.config())
        .invoke()
        .function_name(format!("shop-local-{function}"))
        .invocation_type(aws_sdk_lambda::types::InvocationType::Event)
        .payload(aws_sdk_lambda::primitives::Blob::new(NO_NOTIFICATION));
    runtime.block_on(invoke.send()).unwrap();
    eventually("the event is in the failure queue", || {
        let info = succeed(&mut other.xtask(&["info", "--json"]));
        let info: Value = serde_json::from_str(&info).unwrap();
        let queues = info["failure_queues"].as_array().unwrap();
        queues
            .iter()
            .any(|queue| queue["function"] == function && queue["events"] == 1)
            .then_some(())
    });
}

// On an endpoint that is not the local stage's.

/// A checkout whose functions are built already, and an account to deploy it to: an emulator.
struct Checkout {
    ground: Ground,
    directory: TempDir,
    access_key_id: String,
    secret_access_key: String,
}

const STAGES: &str = "
local:
dev: {architecture: host}
qa: {architecture: host}
ci: {architecture: host}
prod: {architecture: host, production: true}
";

/// A build whose functions are there, in the folder `CODE`. It answers as cargo does.
const CARGO: &str = r#"#!/bin/sh
for argument; do
    case $argument in
    --package=*)
        name=${argument#--package=}
        echo "{\"target\": {\"name\": \"$name\"}, \"executable\": \"$CODE/$name\"}"
        ;;
    esac
done
"#;

/// A C library that Lambda has, too: nothing is needed to build for it.
const GETCONF: &str = "#!/bin/sh\necho glibc 2.34\n";

/// Enough for an upload that can be seen.
const CODE_BYTES: usize = 1_000_000;

/// What an operator stores before a deployment.
fn store_values(ground: &Ground, credentials: &Credentials) {
    let settings = Settings {
        region: Some(REGION.to_owned()),
        endpoint_url: Some(ground.endpoint().to_owned()),
        account: None,
        static_credentials: Some((
            credentials.access_key_id().to_owned(),
            credentials.secret_access_key().to_owned(),
        )),
    };
    ground.runtime.block_on(async {
        let target = deploy::connect(&settings).await.unwrap();
        for stage in ["dev", "qa", "ci", "prod"] {
            let app = shop::app().resolve(&Stage::with_defaults(stage)).unwrap();
            for value in app.operator_values() {
                let store = match value.store {
                    manifest::ValueStore::Parameters => ValueStore::Parameters,
                    manifest::ValueStore::Secrets => ValueStore::Secrets,
                };
                let name = &value.stored_as;
                let stored = deploy::store_value(&target, store, name, "a value");
                stored.await.unwrap();
            }
        }
    });
}

impl Checkout {
    fn new() -> Self {
        let ground = Ground::start();
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        for part in ["infra", "bin", "code-1", "code-2"] {
            std::fs::create_dir(path.join(part)).unwrap();
        }
        std::fs::write(path.join("infra/stages.yaml"), STAGES).unwrap();
        for (name, text) in [("cargo", CARGO), ("getconf", GETCONF)] {
            let program = path.join("bin").join(name);
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for name in shop::app().function_names() {
            for version in [1, 2] {
                let code = executable(&format!("{name} {version}"));
                std::fs::write(path.join(format!("code-{version}")).join(&name), code).unwrap();
            }
        }
        let credentials = ground.config().credentials_provider().unwrap();
        let credentials = ground.runtime.block_on(credentials.provide_credentials());
        let credentials = credentials.unwrap();
        store_values(&ground, &credentials);
        Self {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: credentials.secret_access_key().to_owned(),
            ground,
            directory,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = xtask(&PROGRAM, arguments);
        let bin = self.path().join("bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("CARGO", bin.join("cargo"))
            .env("CODE", self.path().join("code-1"))
            .env("CARGO_MANIFEST_DIR", self.path().join("xtask"))
            .env("CARGO_TARGET_DIR", self.path().join("target"))
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_ENDPOINT_URL", self.ground.endpoint())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &self.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_access_key);
        command
    }

    fn run(&self, arguments: &[&str], columns: u16) -> Ended {
        run(&self.xtask(arguments), columns)
    }

    fn answer(&self, arguments: &[&str], columns: u16, asks: &str, keys: &str) -> Ended {
        answer(&self.xtask(arguments), columns, asks, keys)
    }

    /// Deletes the packages of a function from the artifact bucket.
    fn remove_code(&self, stage: &str, function: &str) {
        let ground = &self.ground;
        let bootstrap = ground.resources("shop-bootstrap");
        let bucket = bootstrap[0].physical_resource_id().unwrap();
        let s3 = ground.s3();
        ground.runtime.block_on(async {
            let list = s3.list_object_versions().bucket(bucket);
            let prefix = format!("shop/{stage}/{function}");
            let listed = list.prefix(&prefix).send().await.unwrap();
            assert!(!listed.versions().is_empty(), "nothing at {prefix}");
            for version in listed.versions() {
                let delete = s3.delete_object().bucket(bucket);
                let delete = delete.key(version.key().unwrap());
                let delete = delete.set_version_id(version.version_id().map(str::to_owned));
                delete.send().await.unwrap();
            }
        });
    }

    /// Sets a setting of a stage.
    fn set(&self, stage: &str, setting: &str) {
        let stages = STAGES.replace(&format!("{stage}: {{"), &format!("{stage}: {{{setting}, "));
        std::fs::write(self.path().join("infra/stages.yaml"), stages).unwrap();
    }
}

/// An executable as Lambda wants it, and no more: a header, and bytes that cannot be compressed.
fn executable(seed: &str) -> Vec<u8> {
    let machine = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    elf[16] = 2;
    elf[18] = machine;
    elf[20] = 1;
    elf[52] = 64;
    for block in 0_u32.. {
        if elf.len() >= CODE_BYTES {
            break;
        }
        elf.extend(Sha256::digest(format!("{seed} {block}")));
    }
    elf
}

#[test]
fn deployments() {
    let checkout = Checkout::new();
    // It makes the bootstrap stack.
    plain_lines(&checkout);
    together(&[
        ("dev", &|| deploy_change_return_delete(&checkout)),
        ("qa", &|| a_deployment_fails(&checkout)),
        ("prod", &|| delete_by_name(&checkout)),
    ]);
}

/// What every question of a deployment begins with.
const DEPLOY: &str = "This deployment";

/// What every question of a deletion begins with.
const DELETE: &str = "Delete stack";

fn deploy_change_return_delete(checkout: &Checkout) {
    for (name, columns) in [("package", USUAL), ("package-narrow", NARROW)] {
        let shown = checkout.run(&["package", "--stage", "dev"], columns);
        keep(name, &shown.with_code(0));
    }
    let shown = checkout.run(&["diff", "--stage", "dev"], USUAL);
    keep("diff-new", &shown.with_code(0).is_tidy());

    let deploy = ["deploy", "--stage", "dev"];
    let yes = checkout.answer(&deploy, USUAL, DEPLOY, "y\r");
    let yes = yes.with_code(0).is_tidy();
    keep("deploy-new", &yes);
    let uploads = |step: &Screen| step.text().contains(" MB of ");
    let upload = yes.steps.iter().find(|step| uploads(step));
    let upload = upload.unwrap_or_else(|| panic!("no upload is shown: {yes}"));
    picture("progress", upload);
    let shown = checkout.run(&deploy, USUAL).with_code(0).is_tidy();
    keep("deploy-unchanged", &shown);

    // Only a yes is a yes, on any terminal.
    checkout.set("dev", "memory_mb: 512, tracing: true");
    let any = [
        "deploy",
        "--stage",
        "dev",
        "--require-approval",
        "any-change",
    ];
    for (name, columns, keys) in [
        ("deploy-no-narrow", NARROW, "n\r"),
        ("deploy-no", USUAL, "\r"),
        ("deploy-no-wide", WIDE, "nope\r"),
        ("deploy-end-of-input", USUAL, CTRL_D),
    ] {
        let no = checkout.answer(&any, columns, DEPLOY, keys).with_code(1);
        let no = no.is_tidy();
        keep(name, &no);
        picture(name, &no.screen);
    }
    interrupted(&checkout.answer(&any, USUAL, DEPLOY, CTRL_C));
    for (name, columns) in [
        ("diff-narrow", NARROW),
        ("diff", USUAL),
        ("diff-wide", WIDE),
    ] {
        let shown = checkout.run(&["diff", "--stage", "dev"], columns);
        keep(name, &shown.with_code(0).is_tidy());
    }
    let yes = checkout.answer(&any, NARROW, DEPLOY, "yes\r");
    keep("deploy-yes-narrow", &yes.with_code(0).is_tidy());

    let rollback = [
        "rollback",
        "--stage",
        "dev",
        "--require-approval",
        "any-change",
    ];
    let yes = checkout.answer(&rollback, USUAL, DEPLOY, "y\r");
    keep("rollback", &yes.with_code(0).is_tidy());

    let delete = ["delete", "--stage", "dev"];
    for (name, columns, keys) in [
        ("delete-no-narrow", NARROW, "n\r"),
        ("delete-no", USUAL, "\r"),
        ("delete-end-of-input", USUAL, CTRL_D),
    ] {
        let no = checkout.answer(&delete, columns, DELETE, keys);
        keep(name, &no.with_code(1));
    }
    interrupted(&checkout.answer(&delete, USUAL, DELETE, CTRL_C));
    let yes = checkout.answer(&delete, USUAL, DELETE, "y\r");
    let yes = yes.with_code(0).is_tidy().screen;
    // Resources are deleted side by side, and most have names that AWS made.
    let table = yes.from("DELETED").text();
    for resource in ["PhotosBucket ", "AWS::S3::Bucket", "shop-dev-ship-order"] {
        assert!(table.contains(resource), "{resource}: {yes}");
    }
    keep("delete-yes", &yes.from("Deleted "));
    let shown = checkout.run(&["info", "--stage", "dev"], USUAL);
    keep("info-not-deployed", &shown.with_code(1));
}

/// New code is gone before its deployment is approved.
fn a_deployment_fails(checkout: &Checkout) {
    let deploy = |more: &[&str]| checkout.xtask(&[&["deploy", "--stage", "qa"], more].concat());
    let mut first = Terminal::run(&deploy(&["--yes"]), USUAL);
    first.wait_for("Planning");
    first.resize(NARROW);
    first.end().with_code(0).is_tidy();

    let mut deploy = deploy(&["--require-approval", "any-change"]);
    deploy.env("CODE", checkout.path().join("code-2"));
    let mut deploy = Terminal::run(&deploy, USUAL);
    deploy.wait_until(DEPLOY, |screen| screen.ends_with("[y/N] "));
    checkout.remove_code("qa", "ship-order");
    deploy.type_line("y");
    let shown = deploy.end().with_code(1).is_tidy();
    keep("deploy-fails", &shown.screen.from(DEPLOY));
}

fn delete_by_name(checkout: &Checkout) {
    let delete = ["delete", "--stage", "prod", "--force"];
    for (name, columns, keys, exit_code) in [
        ("delete-prod-wrong-name", USUAL, "dev\r", 1),
        ("delete-prod-wrong-name-narrow", NARROW, "y\r", 1),
        ("delete-prod-end-of-input", USUAL, CTRL_D, 1),
        ("delete-prod-right-name", USUAL, "prod\r", 0),
    ] {
        let ended = checkout.answer(&delete, columns, DELETE, keys);
        keep(name, &ended.with_code(exit_code).is_tidy());
    }
    interrupted(&checkout.answer(&delete, USUAL, DELETE, CTRL_C));
}

/// What cannot move lines, and what keeps them in a file, gets plain ones.
fn plain_lines(checkout: &Checkout) {
    for (variable, value, verb) in [
        ("TERM", "dumb", &["deploy", "--yes"][..]),
        ("CI", "true", &["delete", "--yes"]),
    ] {
        let mut command = checkout.xtask(&[verb, &["--stage", "ci"]].concat());
        command.env(variable, value);
        let shown = run(&command, USUAL).with_code(0);
        let moved = shown.steps.iter().any(Screen::has_moving_line);
        assert!(!moved, "{variable}={value}: {shown}");
        if variable == "TERM" {
            assert!(!shown.screen.has_control_sequences(), "{shown}");
        }
        assert!(shown.screen.text().contains("_COMPLETE"), "{shown}");
    }
}

// What all of these share.

/// Runs a command to its end.
#[track_caller]
fn run(command: &Command, columns: u16) -> Ended {
    Terminal::run(command, columns).end()
}

/// Runs a command, types when it has asked, and waits for its end. No word of the question may
/// be broken.
#[track_caller]
fn answer(command: &Command, columns: u16, question: &str, keys: &str) -> Ended {
    let mut terminal = Terminal::run(command, columns);
    let asked = terminal.wait_until(question, |screen| {
        screen.text().contains(question)
            && (screen.ends_with("[y/N] ") || screen.ends_with("to go on: "))
    });
    let asked = asked.from(question);
    assert_eq!(asked.wrapped_lines(), [""; 0], "{asked}");
    terminal.type_text(keys);
    terminal.end()
}

/// Fails the test unless Ctrl-C has ended a command, at once and without another word.
#[track_caller]
fn interrupted(ended: &Ended) {
    let by_signal = ended.signal.as_deref() == Some("Interrupt");
    assert!(by_signal || ended.exit_code == Some(130), "{ended}");
    assert!(!ended.screen.text().contains("error: "), "{ended}");
}

/// Runs each part on a thread of its own. Fails if one did, when all have ended.
fn together(parts: &[(&str, &(dyn Fn() + Sync))]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let started: Vec<_> = parts
            .iter()
            .map(|(name, part)| (*name, scope.spawn(part)))
            .collect();
        started
            .into_iter()
            .filter_map(|(name, thread)| thread.join().is_err().then_some(name))
            .collect()
    });
    assert_eq!(failed, [""; 0], "these failed");
}

fn picture(name: &str, shown: &Screen) {
    if let Some(folder) = acceptance::picture_folder() {
        let file = folder.join(format!("terminal-{name}.svg"));
        std::fs::write(file, shown.svg()).unwrap();
    }
}

/// Compares what is shown with what was kept, but for what differs from run to run.
#[track_caller]
fn keep(name: &str, shown: &impl Display) {
    let filters = [
        (r"(127\.0\.0\.1|localhost):\d+", "$1:[port]"),
        (r"\?key=[0-9a-f]{40}", "?key=[key]"),
        (r" +\d+\.\d\d s\n", " [seconds] s\n"),
        (r"\b\d+\.\d\d s\b", "[seconds] s"),
        (r"\d+\.\d s\b", "[seconds] s"),
        (
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:?\d\d)?",
            "[time]",
        ),
        // What CloudFormation makes of a logical ID.
        (r"\b(shop-[a-z]+-\w+)-[0-9A-F]{13}\b", "$1-[id]"),
        (r"\b[0-9a-f]{8}\.execute-api\b", "[id].execute-api"),
        (r"\b[0-9a-z]{32}\.lambda-url\b", "[id].lambda-url"),
        (r"\blib\.rs:\d+", "lib.rs:[line]"),
        // Of the development build.
        (r"(\d+\.\d\d MB|\d+ B)\n", "[size]\n"),
        (r"artifactbucket-[0-9a-f]{13}\b", "artifactbucket-[id]"),
        (r"\b[0-9a-f]{64}\b", "[sha256]"),
        (r"\d+ code packages", "[count] code packages"),
        (r"names the folder \S+", "names the folder [folder]"),
    ];
    insta::with_settings!({
        filters => filters,
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, in_order(&shown.to_string()));
    });
}

/// Code is uploaded by several connections: what is told of it comes in any order.
fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_upload = |line: &&str| line.trim_start().starts_with("Uploading ");
    for uploads in lines.chunk_by_mut(|one, other| is_upload(one) && is_upload(other)) {
        if uploads.first().is_some_and(is_upload) {
            uploads.sort_unstable();
        }
    }
    lines.join("\n")
}
