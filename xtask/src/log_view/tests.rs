use super::*;

const ID: &str = "5ebbfff6-7b6a-4c15-8b84-7126cc5e1770";
const OTHER_ID: &str = "43a89982-a011-4b40-8d9c-18356349e2eb";

/// 00:52:39.424
const TIME_MS: i64 = 1_795_740_759_424;

fn view(functions: &[&str]) -> LogView {
    let own = OwnCode::new(
        ["place-order", "stock"].map(str::to_owned),
        Path::new("/home/me/shop"),
    );
    LogView::new(functions.iter().copied(), own)
}

fn line<'a>(function: &'a str, message: &'a str) -> LoggedLine<'a> {
    LoggedLine {
        timestamp_ms: Some(TIME_MS),
        function,
        style: PLAIN,
        stream: "2026/11/27/[$LATEST]f59d1cb7",
        message,
    }
}

/// The lines of one function, without styles.
fn shown_in(messages: &[&str], columns: usize) -> String {
    let lines: Vec<_> = messages
        .iter()
        .map(|text| line("place-order", text))
        .collect();
    let text = view(&["place-order"]).text(&lines, Some(columns));
    console::strip_ansi_codes(&text).into_owned()
}

fn shown(messages: &[&str]) -> String {
    shown_in(messages, 100)
}

fn start(id: &str) -> String {
    format!("START RequestId: {id} Version: $LATEST")
}

fn end(id: &str) -> String {
    format!("END RequestId: {id}")
}

fn report(id: &str, more: &str) -> String {
    format!(
        "REPORT RequestId: {id}\tDuration: 147.21 ms\tBilled Duration: 209 ms\tMemory Size: 256 MB\tMax Memory Used: 19 MB\t{more}"
    )
}

fn record(level: &str, message: &str, fields: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-27T00:52:39.420005Z","level":"{level}","message":"{message}",{fields}"target":"stock::count","span":{{"requestId":"{ID}","name":"Lambda runtime invoke"}}}}"#
    )
}

#[test]
fn an_invocation_is_its_lines_and_one_of_lambda() {
    let record = record(
        "INFO",
        "detection handled",
        r#""name":"a b.jpg","outcome":"Recorded","#,
    );
    let report = report(ID, "Init Duration: 61.23 ms\t\n");
    let lines = [&*start(ID), &record, &end(ID), &report];
    assert_eq!(
        shown(&lines),
        "\
00:52:39.420 5ebbfff6 detection handled name=\"a b.jpg\" outcome=Recorded
00:52:39.424 5ebbfff6 took 147 ms, cold start 61 ms, 19 of 256 MB
"
    );
}

#[test]
fn in_the_log_format_json_it_is_the_same() {
    let event = |kind: &str, record: &str| {
        format!(
            r#"{{"time":"2026-11-27T00:52:39.424Z","type":"platform.{kind}","record":{record}}}"#
        )
    };
    let lines = [
        event(
            "initStart",
            r#"{"initializationType":"on-demand","phase":"init","runtimeVersion":"provided:al2023.v100"}"#,
        ),
        event(
            "start",
            &format!(r#"{{"requestId":"{ID}","version":"$LATEST"}}"#),
        ),
        record("INFO", "detection handled", ""),
        event(
            "runtimeDone",
            &format!(
                r#"{{"requestId":"{ID}","status":"success","metrics":{{"durationMs":147.2,"producedBytes":4}}}}"#
            ),
        ),
        event(
            "report",
            &format!(
                r#"{{"requestId":"{ID}","metrics":{{"durationMs":147.21,"billedDurationMs":209,"memorySizeMB":256,"maxMemoryUsedMB":19,"initDurationMs":61.23}},"status":"success"}}"#
            ),
        ),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        shown(&lines),
        "\
00:52:39.420 5ebbfff6 detection handled
00:52:39.424 5ebbfff6 took 147 ms, cold start 61 ms, 19 of 256 MB
"
    );
    let failed = event(
        "report",
        &format!(
            r#"{{"requestId":"{ID}","metrics":{{"durationMs":3000.0,"memorySizeMB":256}},"status":"error","errorType":"Runtime.ExitError"}}"#
        ),
    );
    assert_eq!(
        shown(&[&failed]),
        "00:52:39.424 5ebbfff6 failed after 3.00 s: Runtime.ExitError\n"
    );
    let init = event(
        "initReport",
        r#"{"phase":"init","status":"error","errorType":"Runtime.ExitError"}"#,
    );
    assert_eq!(
        shown(&[&init]),
        "00:52:39.424          ERROR platform.initReport errorType=Runtime.ExitError phase=init status=error\n"
    );
}

#[test]
fn an_invocation_that_is_not_complete_is_not_lost() {
    assert_eq!(shown(&[&start(ID)]), "00:52:39.424 5ebbfff6 started\n");
    assert_eq!(shown(&[&end(ID)]), "00:52:39.424 5ebbfff6 ended\n");
    assert_eq!(
        shown(&[&report(ID, "")]),
        "00:52:39.424 5ebbfff6 took 147 ms, 19 of 256 MB\n"
    );
    let init = "INIT_START Runtime Version: provided:al2023.v100\tARN: arn:aws:x";
    assert_eq!(
        shown(&[init]),
        "00:52:39.424          INIT_START Runtime Version: provided:al2023.v100 ARN: arn:aws:x\n"
    );
    assert_eq!(
        shown(&[init, &start(ID), &report(ID, "")]).lines().count(),
        1
    );
}

#[test]
fn interleaved_invocations_keep_their_requests() {
    let mut view = view(&["place-order", "audit"]);
    let (one, other) = (start(ID), start(OTHER_ID));
    let (ended, report) = (end(ID), report(ID, ""));
    let of = |stream, function, message| LoggedLine {
        stream,
        ..line(function, message)
    };
    let first = [
        of("a", "place-order", &*one),
        of("b", "audit", &*other),
        of("a", "place-order", "text of one"),
    ];
    let second = [
        of("b", "audit", "text of the other"),
        of("a", "place-order", &*ended),
        of("a", "place-order", &*report),
        of("a", "place-order", "between two requests"),
    ];
    let mut text = view.text(&first, Some(100));
    text.push_str(&view.text(&second, Some(100)));
    assert_eq!(
        console::strip_ansi_codes(&text),
        "\
00:52:39.424 place-order 5ebbfff6 started
00:52:39.424 audit       43a89982 started
00:52:39.424 place-order 5ebbfff6 text of one
00:52:39.424 audit       43a89982 text of the other
00:52:39.424 place-order 5ebbfff6 took 147 ms, 19 of 256 MB
00:52:39.424 place-order          between two requests
"
    );
}

#[test]
fn a_timeout_and_a_crash_say_so() {
    let timed_out = format!("2026-11-27T00:52:39.424Z {ID} Task timed out after 3.00 seconds\n");
    let at_timeout = report(ID, "Status: timeout");
    assert_eq!(
        shown(&[&start(ID), "", &timed_out, "", &end(ID), &at_timeout]),
        "00:52:39.424 5ebbfff6 timed out after 147 ms, 19 of 256 MB\n"
    );
    // Lambda does not always say the status.
    assert_eq!(
        shown(&[&start(ID), &timed_out]),
        "00:52:39.424 5ebbfff6 started\n00:52:39.424 5ebbfff6 Task timed out after 3.00 seconds\n"
    );
    let killed = format!("RequestId: {ID} Error: Runtime exited with error: signal: killed");
    let report = report(ID, "Status: error\tError Type: Runtime.ExitError");
    assert_eq!(
        shown(&[&start(ID), &killed, "Runtime.ExitError", &end(ID), &report]),
        "\
00:52:39.424 5ebbfff6 Runtime exited with error: signal: killed
00:52:39.424 5ebbfff6 Runtime.ExitError
00:52:39.424 5ebbfff6 failed after 147 ms: Runtime.ExitError, 19 of 256 MB
"
    );
}

#[test]
fn a_figure_that_is_not_known_is_not_shown() {
    let text =
        format!("REPORT RequestId: {ID}\tDuration: 8.5 ms\tMemory Size: 256 MB\tNew Figure: 7\t");
    assert_eq!(
        shown(&[&text]),
        "00:52:39.424 5ebbfff6 took 8.50 ms, New Figure: 7\n"
    );
}

#[test]
fn an_error_stands_out_and_its_chain_is_a_line() {
    let error = record(
        "ERROR",
        "could not store the order",
        r#""key":7,"error":"dispatch failure: connection refused","parts":{"a":[1,"b"]},"empty":"","#,
    );
    assert_eq!(
        shown(&[&error]),
        "\
00:52:39.420 5ebbfff6 ERROR could not store the order key=7 parts={\"a\":[1,\"b\"]} empty=\"\"
                      error: dispatch failure: connection refused
"
    );
    let text = view(&["place-order"]).text(&[line("place-order", &error)], Some(100));
    assert!(
        text.contains(&format!("{RED}ERROR could not store the order{RED:#}")),
        "{text:?}"
    );
}

#[test]
fn a_failed_handlers_error_is_in_plain_words() {
    let error = record(
        "ERROR",
        r#"Diagnostic { error_type: \"InvalidEvent\", error_message: \"no \\\"Records\\\": \\u{1b}[2J\" }"#,
        "",
    );
    assert_eq!(
        shown(&[&error]),
        "00:52:39.420 5ebbfff6 ERROR InvalidEvent: no \"Records\": \\u001b[2J\n"
    );
}

#[test]
fn levels_are_shown_but_for_info_and_foreign_targets_are_named() {
    let foreign = r#"{"level":"WARN","message":"slow","target":"hyper::client","threadId":"7"}"#;
    assert_eq!(
        shown(&[&record("DEBUG", "asked", ""), foreign]),
        "\
00:52:39.420 5ebbfff6 DEBUG asked
00:52:39.424          WARN slow threadId=7 target=hyper::client
"
    );
}

#[test]
fn a_panic_has_its_place_and_the_first_frames_of_ours() {
    let text = "
thread 'main' (4711) panicked at functions/place-order/src/lib.rs:12:5:
no order
of 7 lines
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:698:5
   1: place_order::handle
             at /home/me/shop/functions/place-order/src/lib.rs:12:5
   2: <place_order::Shop as core::ops::Fn>::call::{{closure}}
   3: lambda_runtime::runtime::Runtime<place_order::S>::run
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
behind it";
    let start = start(ID);
    let lines: Vec<&str> = [&*start].into_iter().chain(text.lines()).collect();
    assert_eq!(
        shown(&lines),
        "\
00:52:39.424 5ebbfff6 started
00:52:39.424 5ebbfff6 PANIC no order
                      of 7 lines
                      at functions/place-order/src/lib.rs:12:5 in thread 'main' (4711)
                      place_order::handle at functions/place-order/src/lib.rs:12:5
                      <place_order::Shop as core::ops::Fn>::call::{{closure}}
                      and 2 frames of other code
00:52:39.424 5ebbfff6 behind it
"
    );
}

#[test]
fn the_causes_of_an_error_are_no_frames() {
    let error = record(
        "ERROR",
        r"no order\n\nCaused by:\n    0: first\n    1: place_order::second\n\nStack backtrace:\n   0: core::x\n   1: stock::y",
        "",
    );
    assert_eq!(
        shown(&[&error]),
        "\
00:52:39.420 5ebbfff6 ERROR no order
                      Caused by:
                          0: first
                          1: place_order::second
                      stock::y
                      and 1 frame of other code
"
    );
}

#[test]
fn what_is_not_json_is_text() {
    let text = "plain\ttext = 1\n  {\"not\": \"first\"}";
    let half = r#"{"level":"INFO","message":"cut o"#;
    assert_eq!(
        shown(&[text, half, "START RequestId: mine", "[1]"]),
        "\
00:52:39.424          plain    text = 1
                        {\"not\": \"first\"}
00:52:39.424          {\"level\":\"INFO\",\"message\":\"cut o
00:52:39.424          START RequestId: mine
00:52:39.424          [1]
"
    );
    assert_eq!(shown(&["{}"]), "00:52:39.424          \n");
}

#[test]
fn hostile_lines_do_not_act() {
    let hostile = "\u{1b}[2J\u{202e}over\rwritten\u{9b}";
    let json = serde_json::json!({
        "message": hostile, hostile: hostile, "level": hostile,
        "error": hostile, "span": {"requestId": hostile},
    });
    for message in [
        hostile,
        &json.to_string(),
        &format!("thread '{hostile}' panicked at {hostile}"),
    ] {
        let text = shown(&[message]);
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
        assert!(text.contains("\\u001b[2J"), "{text}");
    }
}

#[test]
fn long_lines_go_on_below_and_nothing_is_cut() {
    let message = format!("{} {}", "word ".repeat(12).trim(), "x".repeat(70));
    assert_eq!(
        shown_in(&[&message], 60),
        format!(
            "\
00:52:39.424          {words}
                      word word word word word
                      {x38}
                      {x32}
",
            words = "word ".repeat(7).trim(),
            x38 = "x".repeat(38),
            x32 = "x".repeat(32),
        )
    );
    // Beside the head would be no room.
    assert_eq!(
        shown_in(&["a message of eight words on a phone"], 30),
        "\
00:52:39.424
  a message of eight words on
  a phone
"
    );
    for columns in 1..60 {
        let text = shown_in(
            &[&record("WARN", "é 猫 a\\tb", r#""猫猫猫":"🐈🐈🐈","#)],
            columns,
        );
        let widths = text.lines().map(textwrap::core::display_width);
        assert!(widths.max().unwrap() <= columns.max(4), "{columns}: {text}");
        assert_eq!(text.matches('猫').count(), 4, "{text}");
    }
}

#[test]
fn times_are_of_the_day() {
    assert_eq!(time_of_day(1_763_615_921_042), "05:18:41.042");
    assert_eq!(time_of_day(0), "00:00:00.000");
}
