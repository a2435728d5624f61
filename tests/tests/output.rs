//! What verbs write, and where they cannot: pipes that nobody reads, full disks, closed
//! descriptors, and text of others that must not act on a terminal. None needs a stage.
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use acceptance::fake_aws::{self, Answer, Call, xtask_at};
use acceptance::{both, xtask, xtask_program};
use serde_json::{Value, json};

static PROGRAM: LazyLock<std::path::PathBuf> = LazyLock::new(xtask_program);

/// Verbs that print much or little, and clap's own output.
const PRINTING: [&[&str]; 8] = [
    &["synth"],
    &["gen-policy", "--deployer"],
    &["completions", "bash"],
    &["completions", "zsh"],
    &["--help"],
    &["--version"],
    &["logs", "--help"],
    &["help", "redrive"],
];

/// A text that would clear the screen, colour what follows and write over it.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[31mgone\u{9b}8m\u{7}\rover";
const SHOWN: &str = "\\u001b[2J\\u001b[31mgone\\u009b8m\\u0007\\u000dover";

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

/// What was told, without the line that says which endpoint is not AWS's.
fn told(output: &Output) -> String {
    without_endpoint(&both(output))
}

fn without_endpoint(told: &str) -> String {
    let lines = told.split_inclusive('\n');
    lines.filter(|line| !line.contains("Endpoint")).collect()
}

fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Waits for a process that must end by itself.
fn ends(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > acceptance::EVENT_PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_is_a_failure_in_one_line() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    for arguments in PRINTING {
        let output = run(xtask(&PROGRAM, arguments).stdout(full_disk()));
        let error = both(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.starts_with("error: could not write to standard output: No space left"),
            "{error}"
        );
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_no_failure() {
    for arguments in PRINTING {
        let (theirs, ours) = UnixStream::pair().unwrap();
        drop(theirs);
        let output = run(xtask(&PROGRAM, arguments).stdout(OwnedFd::from(ours)));
        assert!(output.status.success(), "{arguments:?}: {}", both(&output));
        assert_eq!(both(&output), "", "{arguments:?}");
    }
}

#[test]
fn closed_descriptors_do_no_harm() {
    for (closed, exit_code) in [("synth >&-", 0), ("synth 2>&-", 0), ("deploi 2>&-", 2)] {
        let script = format!("exec \"$XTASK\" {closed}");
        let output = run(xtask(std::path::Path::new("sh"), &["-c", &script])
            .env("XTASK", &*PROGRAM)
            .stdout(Stdio::piped()));
        assert_eq!(
            output.status.code(),
            Some(exit_code),
            "{closed}: {}",
            both(&output)
        );
    }
    let output = run(xtask(
        std::path::Path::new("sh"),
        &["-c", "exec \"$XTASK\" invoke serve-shop <&-"],
    )
    .env("XTASK", &*PROGRAM));
    assert_eq!(output.status.code(), Some(2), "{}", both(&output));
    assert!(both(&output).contains("the event is empty"));
}

#[test]
fn a_pipe_that_does_not_block_gets_everything() {
    let whole = acceptance::succeed(&mut xtask(&PROGRAM, &["synth"]));
    let (mut reader, mut pipe) = UnixStream::pair().unwrap();
    pipe.set_nonblocking(true).unwrap();
    // There is no room for anything at first.
    let mut filler = 0;
    loop {
        match pipe.write(&[b'x'; 4096]) {
            Ok(written) => filler += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    let mut child = xtask(&PROGRAM, &["synth"])
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(pipe))
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut written = Vec::new();
    reader.read_to_end(&mut written).unwrap();
    assert!(ends(&mut child).success());
    assert_eq!(String::from_utf8_lossy(&written[filler..]), whole);
}

/// An AWS whose function logs one line, and no other.
fn aws_that_logs(message: &'static str) -> String {
    let reads = AtomicUsize::new(0);
    fake_aws::start(move |call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        "FilterLogEvents" => {
            let first = reads.fetch_add(1, Ordering::SeqCst) == 0;
            let event = json!({"eventId": "1", "timestamp": 1_763_615_921_042_i64, "logStreamName": "s", "message": message});
            let events = if first { vec![event] } else { Vec::new() };
            Answer::new(200, json!({"events": events}).to_string())
        }
        other => panic!("nobody expects {other}"),
    })
}

#[test]
fn following_logs_ends_when_nobody_reads_them() {
    let aws = aws_that_logs("the only line");
    let mut child = xtask_at(&PROGRAM, &aws, &["logs", "serve-shop", "--follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 10];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    drop(child.stdout.take());
    assert!(ends(&mut child).success());
    let mut told = String::new();
    child.stderr.unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(without_endpoint(&told), "");
}

#[test]
fn ctrl_c_ends_following_logs() {
    let aws = aws_that_logs("the only line");
    let mut child = xtask_at(&PROGRAM, &aws, &["logs", "serve-shop", "--follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 10];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    acceptance::signal("INT", child.id());
    assert_eq!(ends(&mut child).code(), Some(130));
}

#[test]
fn logs_do_not_act_on_a_terminal_and_are_exact_in_json() {
    let logs = |arguments: &[&str]| {
        let aws = aws_that_logs(HOSTILE);
        let arguments = [&["logs", "serve-shop"], arguments].concat();
        acceptance::succeed(xtask_at(&PROGRAM, &aws, &arguments).env("CLICOLOR_FORCE", "1"))
    };
    assert_eq!(logs(&[]), format!("05:18:41.042 {SHOWN}\n"));
    // Whoever names a function twice sees its lines once.
    assert_eq!(logs(&["serve-shop"]), format!("05:18:41.042 {SHOWN}\n"));
    let line = logs(&["--json"]);
    assert!(
        !line.contains('\u{1b}') && !line.contains('\u{9b}'),
        "{line:?}"
    );
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], HOSTILE);
}

#[test]
fn what_aws_says_does_not_act_on_a_terminal() {
    let aws = fake_aws::start(|_: &Call| {
        // XML 1.0 allows few control characters: a proxy's page is not bound by that.
        Answer::new(
            403,
            format!(
                "<ErrorResponse><Error><Code>Forbidden</Code><Message>{HOSTILE}</Message></Error></ErrorResponse>"
            ),
        )
    });
    let output = run(xtask_at(&PROGRAM, &aws, &["info"]).env("CLICOLOR_FORCE", "1"));
    let told = both(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for acting in ["\u{1b}[2J", "\u{1b}[31mgone", "\u{9b}", "\u{7}", "\r"] {
        assert!(!told.contains(acting), "{told:?}");
    }
}

fn aws_that_invokes(answer: impl Fn() -> Answer + Send + Sync + 'static) -> String {
    fake_aws::start(move |call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        operation if operation.contains("/invocations") => answer(),
        other => panic!("nobody expects {other}"),
    })
}

fn invoke(aws: &str) -> Output {
    let arguments = ["invoke", "serve-shop", "--payload", "{}"];
    run(xtask_at(&PROGRAM, aws, &arguments)
        .env("CLICOLOR_FORCE", "1")
        .stdout(Stdio::piped()))
}

#[test]
fn an_answer_is_exact() {
    let answer = r#"{"text": "tab	 and é"}"#;
    let aws = aws_that_invokes(move || Answer::new(200, answer));
    let output = invoke(&aws);
    assert_eq!(told(&output), format!("{answer}\n"));
}

#[test]
fn an_error_of_a_function_is_one_line_that_does_not_act() {
    let error = json!({"errorType": "&a::Type\nof two lines", "errorMessage": format!("first\n{HOSTILE}\n")});
    let aws = aws_that_invokes(move || {
        Answer::new(200, error.to_string()).header("X-Amz-Function-Error", "Unhandled")
    });
    let output = invoke(&aws);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told:?}");
    assert!(told.contains("&a::Type of two lines"), "{told:?}");
    assert!(told.ends_with(&format!(": first {SHOWN}\n")), "{told:?}");
}

#[test]
fn what_is_not_deployed_is_told_with_the_way_to_deploy_it() {
    let missing = "Stack with id shop-dev does not exist";
    let aws = fake_aws::start(move |call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        "DescribeStacks" => Answer::new(
            400,
            format!(
                "<ErrorResponse><Error><Code>ValidationError</Code><Message>{missing}</Message></Error></ErrorResponse>"
            ),
        ),
        _ => Answer::new(404, r#"{"message": "no such thing"}"#)
            .header("X-Amzn-ErrorType", "ResourceNotFoundException"),
    });
    for arguments in [
        &["info"][..],
        &["url"],
        &["env"],
        &["logs"],
        &["logs", "serve-shop", "--follow"],
        &["redrive", "ship-order"],
        &["invoke", "serve-shop", "--payload", "{}"],
        &["rollback"],
    ] {
        let output = run(&mut xtask_at(&PROGRAM, &aws, arguments));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(
            told(&output),
            format!(
                "error: stage dev is not deployed at {aws}: there is no stack shop-dev\n\
                 hint: AWS_ENDPOINT_URL leads there instead of to AWS; \
                 to deploy there: cargo xtask deploy --stage dev\n"
            ),
            "{arguments:?}"
        );
    }
}

#[test]
fn an_event_is_looked_at_before_aws_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = directory.path().join("missing.json");
    for (payload, named) in [
        (file("empty", b""), "the event is empty"),
        (
            file("latin1", b"\"caf\xe9\""),
            "byte 0xe9 at line 1, column 5",
        ),
        (file("utf16", b"\xff\xfe{\0}\0"), "the event is UTF-16"),
        (
            file("two", b"{}\n{}\n"),
            "something else begins at line 2, column 1",
        ),
        (
            file("large", &vec![b' '; 7_000_000]),
            "at most 6 MB (6291456 bytes)",
        ),
        ("{Bucket: x}".to_owned(), "the event is not JSON"),
        (
            directory.path().to_str().unwrap().to_owned(),
            "Is a directory",
        ),
        (
            missing.to_str().unwrap().to_owned(),
            "missing.json: No such file",
        ),
    ] {
        let invoke = ["invoke", "serve-shop", "--payload", &payload];
        let output = run(&mut xtask(&PROGRAM, &invoke));
        assert_eq!(output.status.code(), Some(2), "{named}");
        assert!(both(&output).contains(named), "{named}: {}", both(&output));
    }
}

#[test]
fn an_event_comes_from_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("e.json"), b"\xef\xbb\xbf{\"n\": 1}").unwrap();
    let aws = fake_aws::start(|call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        _ => Answer::new(200, call.body.clone()),
    });
    for (payload, input) in [
        ("--payload e.json", ""),
        ("--payload file://e.json", ""),
        ("--payload \"fileb://$PWD/e.json\"", ""),
        ("--payload '{\"n\": 1}'", ""),
        ("--payload <(cat e.json)", ""),
        ("--payload -", "{\"n\": 1}"),
        ("", "{\"n\": 1}"),
    ] {
        let script = format!("printf '%s' '{input}' | \"$XTASK\" invoke serve-shop {payload}");
        let output = run(
            xtask_at(std::path::Path::new("bash"), &aws, &["-c", &script])
                .current_dir(directory.path())
                .env("XTASK", &*PROGRAM)
                .stdout(Stdio::piped()),
        );
        assert_eq!(told(&output), "{\"n\": 1}\n", "{payload}");
    }
}

/// Runs a command in a terminal and types something at the end of a text; returns the exit code
/// and all that the terminal got.
fn on_a_terminal(command: &Command, wait_for: &str, typed: &[u8]) -> (u32, String) {
    let pair = portable_pty::native_pty_system()
        .openpty(portable_pty::PtySize::default())
        .unwrap();
    let mut builder = portable_pty::CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.env_clear();
    for (name, value) in command.get_envs() {
        builder.env(name, value.unwrap());
    }
    let mut child = pair.slave.spawn_command(builder).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut writer = pair.master.take_writer().unwrap();
    let mut screen = String::new();
    let mut typed = Some(typed);
    let mut buffer = [0; 4096];
    // The end of the terminal is an error on Linux.
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        screen += &String::from_utf8_lossy(&buffer[..count]);
        if screen.contains(wait_for)
            && let Some(typed) = typed.take()
        {
            writer.write_all(typed).unwrap();
        }
    }
    (child.wait().unwrap().exit_code(), screen)
}

fn aws_with_an_empty_queue() -> String {
    fake_aws::start(|call: &Call| match call.operation.as_str() {
        "GetCallerIdentity" => fake_aws::identity(),
        "DescribeStacks" => fake_aws::stack(
            "shop-dev",
            &[("ShipOrderFailureQueueUrl", "https://sqs.example/1/failures")],
        ),
        _ => Answer::new(200, "{}"),
    })
}

#[test]
fn a_question_takes_yes_no_ctrl_c_and_the_end_of_input() {
    let aws = aws_with_an_empty_queue();
    let mut command = xtask_at(&PROGRAM, &aws, &["redrive", "ship-order", "--drop"]);
    command.env("TERM", "dumb");
    for (typed, exit_code, last) in [
        (
            &b"y\r"[..],
            0,
            "Empty the failure queue of ship-order is empty\r\n",
        ),
        (b"n\r", 1, "error: stopped: nothing was changed\r\n"),
        (b"\r", 1, "error: stopped: nothing was changed\r\n"),
        (b"\xff\r", 1, "error: stopped: nothing was changed\r\n"),
        (
            b"\x04",
            1,
            "[y/N] \r\nerror: stopped without an answer: nothing was changed\r\n",
        ),
        (b"\x03", 130, "^C\r\n"),
    ] {
        let (code, screen) = on_a_terminal(&command, "[y/N] ", typed);
        assert!(screen.ends_with(last), "{typed:?}: {screen:?}");
        assert_eq!(code, exit_code, "{typed:?}: {screen:?}");
    }
}

#[test]
fn nobody_is_asked_where_nobody_can_answer() {
    let aws = aws_with_an_empty_queue();
    let mut command = xtask_at(&PROGRAM, &aws, &["redrive", "ship-order", "--drop"]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(2));
    let told = both(&output);
    assert!(told.contains("standard input is not a terminal"), "{told}");
    assert!(told.contains("hint: pass --yes"), "{told}");
}

#[test]
fn no_event_is_waited_for_on_a_terminal() {
    for arguments in [
        &["invoke", "serve-shop"][..],
        &["invoke", "serve-shop", "--payload", "-"],
    ] {
        let (code, screen) = on_a_terminal(&xtask(&PROGRAM, arguments), "never", b"");
        assert_eq!(code, 2, "{screen}");
        assert!(screen.contains("name a file with --payload"), "{screen}");
    }
}

#[test]
fn colours_are_as_the_environment_asks() {
    for (variables, terminal, coloured) in [
        (&[][..], true, true),
        (&[("NO_COLOR", "1")], true, false),
        (&[("TERM", "dumb")], true, false),
        (&[("CLICOLOR_FORCE", "1")], false, true),
        (&[("CI", "true")], false, false),
        (&[], false, false),
    ] {
        for arguments in [&["synth", "--stage", "prd"][..], &["deploi"], &["--help"]] {
            let mut command = xtask(&PROGRAM, arguments);
            command.env("TERM", "xterm").envs(variables.iter().copied());
            let told = if terminal {
                on_a_terminal(&command, "never", b"").1
            } else {
                both(&run(command.stdout(Stdio::piped())))
            };
            assert_eq!(
                told.contains('\u{1b}'),
                coloured,
                "{arguments:?} {variables:?}: {told:?}"
            );
        }
    }
}

#[test]
fn the_name_that_aws_shows_is_told_from_the_manifests() {
    for name in ["shop-dev-serve-shop", "/aws/lambda/shop-prod-serve-shop"] {
        let output = run(&mut xtask(&PROGRAM, &["invoke", name]));
        assert_eq!(output.status.code(), Some(2));
        assert!(
            both(&output).contains("hint: did you mean `serve-shop`?"),
            "{}",
            both(&output)
        );
    }
}
