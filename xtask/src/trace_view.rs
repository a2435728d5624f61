//! A trace, as a person reads it on a terminal.
//!
//! Each span is a line: how long after the beginning, how long it took, and below what it is. What is too long for the
//! terminal goes on below itself. Pure: a trace in, text out.

use anstyle::Style;
use console::measure_text_width;
use traces::{Call, Details, InvocationResult, Next, Outcome, Span, Summary, Trace, TriggerKind};

use crate::log_view::{one_entry, time_of_day};
use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, inert, words};

/// `+12.34 s`, or `+1 234.5 ms` of what goes on for long, and as much for how long it took.
const TIME_COLUMNS: usize = 9;

/// The fewest columns in which the text of a span is readable.
const TEXT_COLUMNS_MIN: usize = 24;

/// The lines of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branches {
    branch: &'static str,
    last: &'static str,
    goes_on: &'static str,
}

impl Branches {
    pub(crate) const UNICODE: Self = Self {
        branch: "├─ ",
        last: "└─ ",
        goes_on: "│  ",
    };
    pub(crate) const ASCII: Self = Self {
        branch: "|- ",
        last: "`- ",
        goes_on: "|  ",
    };

    /// Those that a terminal of this locale can show.
    pub(crate) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        // The first that is set to something decides, as in POSIX.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if locale.ends_with("utf-8") || locale.ends_with("utf8") {
            Self::UNICODE
        } else {
            Self::ASCII
        }
    }
}

/// Names of a stage's resources, which are shown without what all of them have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// What names of the stack's resources begin with.
    pub(crate) prefix: String,
}

impl Names {
    /// A text with shorter names.
    pub(crate) fn shortened(&self, text: &str) -> String {
        if self.prefix.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.prefix, "")
    }
}

/// A trace's lines, with a line break at the end of each.
pub(crate) fn text(
    trace: &Trace,
    names: &Names,
    branches: Branches,
    columns: Option<usize>,
) -> String {
    let summary = &trace.summary;
    let mut text = String::new();
    let outcome = styled(outcome_style(summary.outcome), in_words(summary.outcome));
    let title = inert(&names.shortened(&summary.title)).into_owned();
    push(&mut text, &format!("{BOLD}{title}{BOLD:#}"), columns);
    push(
        &mut text,
        &format!(
            "{outcome}, {} at {} UTC, trace {}",
            duration(summary.duration_ms),
            clock(summary.started_ms),
            summary.id
        ),
        columns,
    );
    if summary.is_cut {
        let missing = "The beginning is missing: it has made way in the history, or was before the stage's start.";
        push(&mut text, &format!("{YELLOW}{missing}{YELLOW:#}"), columns);
    }
    text.push('\n');
    for (index, span) in trace.spans.iter().enumerate() {
        let (first, below) = tree(&trace.spans, index, branches);
        let offset = format!("+{}", duration(span.started_ms - summary.started_ms));
        let took = span.duration_ms.map(duration).unwrap_or_default();
        let times = format!("{DIM}{offset:>TIME_COLUMNS$}{DIM:#} {took:>TIME_COLUMNS$}");
        let blank = " ".repeat(2 * TIME_COLUMNS + 1);
        let used = 2 * TIME_COLUMNS + 2 + measure_text_width(&first);
        let room = columns.map(|columns| columns.saturating_sub(used).max(TEXT_COLUMNS_MIN));
        for (number, part) in span_lines(span, names, room).iter().enumerate() {
            if number == 0 {
                text += &format!("{times} {DIM}{first}{DIM:#}{part}\n");
            } else {
                text += &format!("{blank} {DIM}{below}{DIM:#}{part}\n");
            }
        }
    }
    text
}

fn push(text: &mut String, line: &str, columns: Option<usize>) {
    for part in words(line, columns) {
        text.push_str(&part);
        text.push('\n');
    }
}

/// What stands before a span's first line, and before its others.
fn tree(spans: &[Span], index: usize, branches: Branches) -> (String, String) {
    let span = &spans[index];
    let Some(parent) = span.parent else {
        return (String::new(), String::new());
    };
    let is_last = |index: usize, parent: usize| {
        let mut later = spans[index + 1..].iter();
        !later.any(|other| other.parent == Some(parent))
    };
    let mut before = String::new();
    let mut above = parent;
    let mut levels = Vec::new();
    while let Some(next) = spans[above].parent {
        levels.push(is_last(above, next));
        above = next;
    }
    for level_is_last in levels.into_iter().rev() {
        before += if level_is_last {
            "   "
        } else {
            branches.goes_on
        };
    }
    let (own, below) = if is_last(index, parent) {
        (branches.last, "   ")
    } else {
        (branches.branch, branches.goes_on)
    };
    (format!("{before}{own}"), format!("{before}{below}"))
}

/// A span's lines, each in its styles.
fn span_lines(span: &Span, names: &Names, columns: Option<usize>) -> Vec<String> {
    let (style, title) = match &span.details {
        Details::Log(line) => (DIM, one_entry(&line.text)),
        Details::Invocation { .. } => (CYAN, names.shortened(&span.title)),
        _ => (title_style(span), names.shortened(&span.title)),
    };
    let mut lines = styled_words(style, &title.replace('\n', " "), columns);
    let mut note = |style: Style, text: &str| {
        let text = names.shortened(text).replace('\n', " ");
        lines.extend(styled_words(style, &text, columns));
    };
    for text in notes(span) {
        note(DIM, &text);
    }
    for text in troubles(span) {
        note(outcome_style(span.outcome), &text);
    }
    if span.other_causes > 0 {
        let many = if span.other_causes == 1 { "" } else { "s" };
        note(
            DIM,
            &format!(
                "also handles {} record{many} of other traces",
                span.other_causes
            ),
        );
    }
    if let Some(why) = &span.inferred {
        note(DIM, &format!("inferred: {why}"));
    }
    lines
}

fn title_style(span: &Span) -> Style {
    if span.outcome.is_trouble() {
        outcome_style(span.outcome)
    } else {
        Style::new()
    }
}

/// Lines of one style. Each has it for itself: a terminal may show them apart.
fn styled_words(style: Style, text: &str, columns: Option<usize>) -> Vec<String> {
    let text = inert(text);
    let lines = words(&text, columns).into_iter();
    lines.map(|line| styled(style, &line)).collect()
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// What is worth knowing of a span besides its title.
fn notes(span: &Span) -> Vec<String> {
    match &span.details {
        Details::Call(call) => told_of_call(call),
        Details::Invocation { start, end } => {
            let source = match start.trigger.kind {
                TriggerKind::S3 => "S3 event",
                TriggerKind::Sns => "SNS notification",
                TriggerKind::Sqs => "queue",
                TriggerKind::Stream => "stream",
                TriggerKind::Http => "HTTP request",
                TriggerKind::EventBridge => "EventBridge event",
                TriggerKind::Schedule => "schedule",
                TriggerKind::Invoke => "invoked",
            };
            let mut facts = vec![match &start.trigger.detail {
                Some(detail) => format!("{source} {detail}"),
                None => source.to_owned(),
            }];
            if start.attempt > 1 {
                facts.push(format!("attempt {}", start.attempt));
            }
            if let Some(end) = end {
                facts.extend(
                    end.init_ms
                        .map(|init| format!("cold start {}", duration(init))),
                );
                facts.push(format!("billed {} ms", end.billed_ms));
                facts.push(match end.max_memory_mb {
                    Some(used) => format!("{used} of {} MB", end.memory_mb),
                    None => format!("{} MB", end.memory_mb),
                });
            }
            vec![facts.join(", ")]
        }
        Details::Http(http) => vec![format!("status {}", http.status)],
        Details::Delivery(delivery) => match delivery.next {
            Next::Retry { not_before_ms } => {
                vec![format!("not before {} UTC", clock(not_before_ms))]
            }
            Next::Done | Next::Split { .. } | Next::GiveUp | Next::Filtered => Vec::new(),
        },
        Details::Retry(retry) => vec![format!("not before {} UTC", clock(retry.not_before_ms))],
        Details::Log(_)
        | Details::Record(_)
        | Details::Message(_)
        | Details::GivenUp(_)
        | Details::Moved(_)
        | Details::Firing(_)
        | Details::Fault(_) => Vec::new(),
    }
}

fn told_of_call(call: &Call) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(attempt) = call.attempt.filter(|attempt| *attempt > 1) {
        facts.push(format!("attempt {attempt}"));
    }
    if call.finds_nothing() {
        facts.push("not found".to_owned());
    }
    match call.items {
        Some(1) => facts.push("1 item".to_owned()),
        Some(items) => facts.push(format!("{items} items")),
        None => {}
    }
    if call.service == "s3"
        && let Some(body) = call.request.as_ref().or(call.response.as_ref())
        && call.status < 400
    {
        facts.push(size(body.bytes));
    }
    if facts.is_empty() {
        Vec::new()
    } else {
        vec![facts.join(", ")]
    }
}

/// What went wrong with a span.
fn troubles(span: &Span) -> Vec<String> {
    match &span.details {
        Details::Call(call) => match &call.denied {
            Some(denied) => vec![format!("denied: {} on {}", denied.action, denied.resource)],
            None if call.has_failed() => {
                let code = call.error.clone().unwrap_or_default();
                let message = call.message.clone().unwrap_or_default();
                let parts = [call.status.to_string(), code, message];
                let parts: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
                vec![parts.join(" ")]
            }
            None => Vec::new(),
        },
        Details::Invocation { end: Some(end), .. } => match &end.result {
            InvocationResult::Ok => Vec::new(),
            InvocationResult::Error {
                error_type,
                message,
            } => vec![format!("{error_type}: {message}")],
        },
        Details::Invocation { end: None, .. } => vec!["has not ended".to_owned()],
        Details::GivenUp(given_up) => given_up.error.iter().cloned().collect(),
        Details::Firing(firing) => firing.error.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn outcome_style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Ok => GREEN,
        Outcome::Running => CYAN,
        Outcome::Retrying => YELLOW,
        Outcome::Denied | Outcome::Failed | Outcome::FailureQueue => RED,
    }
}

pub(crate) fn in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Running => "running",
        Outcome::Denied => "denied",
        Outcome::Retrying => "retrying",
        Outcome::Failed => "failed",
        Outcome::FailureQueue => "in a failure queue",
    }
}

/// The rows of a list, of which the first names the columns.
pub(crate) fn rows(summaries: &[Summary], names: &Names) -> Vec<Vec<String>> {
    let first = ["TIME", "TRACE", "OUTCOME", "TOOK", "WHAT", "FUNCTIONS"];
    let mut rows = vec![first.map(str::to_owned).to_vec()];
    rows.extend(summaries.iter().map(|summary| {
        let mut outcome = styled(outcome_style(summary.outcome), in_words(summary.outcome));
        if summary.denied > 0 && summary.outcome != Outcome::Denied {
            outcome += ", denied";
        }
        vec![
            clock(summary.started_ms),
            summary.id.clone(),
            outcome,
            duration(summary.duration_ms),
            inert(&names.shortened(&summary.title)).replace('\n', " "),
            inert(&names.shortened(&summary.functions.join(", "))).into_owned(),
        ]
    }));
    rows
}

/// `HH:MM:SS.mmm`
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of this millennium"
)]
fn clock(ms: f64) -> String {
    time_of_day(ms as i64)
}

/// A time as a person reads it: `9.7 ms`, `208 ms`, `3.00 s`.
fn duration(ms: f64) -> String {
    let ms = ms.max(0.0);
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use traces::{Filter, History, Limits};

    use super::*;
    use crate::terminal::tamed;

    /// An upload whose function is not allowed to write, and succeeds at its second attempt.
    fn history() -> History {
        let call = |id: &str, at: u32, service: &str, operation: &str, resource: &str| {
            json!({
                "what": "call", "at_ms": at, "id": id, "service": service, "operation": operation,
                "resource": resource, "principal": "arn:aws:iam::000000000000:root",
                "started_ms": at, "duration_ms": 4.2, "status": 200,
            })
        };
        let mut upload = call(
            "e1",
            0,
            "s3",
            "PutObject",
            "arn:aws:s3:::shop-dev-photos/a\u{1b}[2Jb.jpg",
        );
        upload["request"] = json!({"text": "", "bytes": 35_000});
        let invocation = |id: &str, at: u32, attempt: u32| {
            json!({
                "what": "invocation", "at_ms": at, "id": id, "request_id": "r1",
                "function": "shop-dev-file-photo", "attempt": attempt,
                "trigger": {"kind": "s3", "detail": "ObjectCreated:Put a.jpg"},
                "causes": [{"call": "e1"}], "started_ms": at, "event": {"text": "{}", "bytes": 2},
            })
        };
        let ended = |id: &str, at: u32, init_ms: Option<f64>, result: serde_json::Value| {
            json!({
                "what": "ended", "at_ms": at, "id": id, "init_ms": init_ms, "duration_ms": 20,
                "billed_ms": 60, "memory_mb": 128, "max_memory_mb": 25, "lines_left_out": 0,
                "log": [{"at_ms": at - 1, "text": r#"{"level":"ERROR","message":"no luck","name":"a.jpg"}"#}],
                "result": result, "answer": {"text": "null", "bytes": 4},
            })
        };
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/shop-dev-Photos";
        let mut denied = call("e2", 30, "dynamodb", "PutItem", table);
        denied["causes"] = json!([{"invocation": "a1"}]);
        denied["status"] = 400.into();
        denied["denied"] = json!({"action": "dynamodb:PutItem", "resource": table});
        let mut put = call("e3", 1130, "dynamodb", "PutItem", table);
        put["causes"] = json!([{"invocation": "a2"}]);
        put["attempt"] = 2.into();
        let failed = json!({"result": "error", "error_type": "NotListed", "message": "could not list the photo"});
        let occurrences = [
            upload,
            invocation("a1", 10, 1),
            denied,
            ended("a1", 50, Some(40.0), failed),
            json!({
                "what": "retry", "at_ms": 51, "request_id": "r1", "function": "shop-dev-file-photo",
                "is_throttled": false, "not_before_ms": 1051,
            }),
            invocation("a2", 1100, 2),
            put,
            ended("a2", 1150, None, json!({"result": "ok"})),
        ];
        let mut history = History::new(Limits::default());
        for occurrence in occurrences {
            history.add(serde_json::from_value(occurrence).unwrap());
        }
        history
    }

    fn names() -> Names {
        Names {
            prefix: "shop-dev-".to_owned(),
        }
    }

    fn plain(text: &str) -> String {
        console::strip_ansi_codes(text).into_owned()
    }

    #[test]
    fn a_trace_is_a_tree_as_wide_as_the_terminal() {
        let trace = history().trace("e1").unwrap();
        let text = text(&trace, &names(), Branches::ASCII, Some(72));
        assert_eq!(
            plain(&text),
            r"PutObject photos/a\u001b[2Jb.jpg
ok, 1.15 s at 00:00:00.000 UTC, trace e1

  +0.0 ms    4.2 ms PutObject photos/a\u001b[2Jb.jpg
                    35.0 kB
   +10 ms     40 ms |- file-photo
                    |  S3 event ObjectCreated:Put a.jpg, cold start 40
                    |  ms, billed 60 ms, 25 of 128 MB
                    |  NotListed: could not list the photo
   +30 ms    4.2 ms |  |- PutItem Photos
                    |  |  denied: dynamodb:PutItem on
                    |  |  arn:aws:dynamodb:us-east-1:000000000000:table/Photos
   +49 ms           |  |- ERROR no luck name=a.jpg
   +51 ms           |  `- failed: tried again
                    |     not before 00:00:01.051 UTC
  +1.10 s     50 ms `- file-photo
                       S3 event ObjectCreated:Put a.jpg, attempt 2,
                       billed 60 ms, 25 of 128 MB
  +1.13 s    4.2 ms    |- PutItem Photos
                       |  attempt 2
  +1.15 s              `- ERROR no luck name=a.jpg
"
        );
    }

    #[test]
    fn what_others_wrote_does_not_act_on_the_terminal() {
        let trace = history().trace("e1").unwrap();
        let text = text(&trace, &names(), Branches::UNICODE, None);
        assert_eq!(tamed(&text), text);
        assert!(text.contains("└─ "), "{text}");
    }

    #[test]
    fn a_list_has_a_line_for_each_trace() {
        let rows = rows(&history().summaries(&Filter::default()), &names());
        let cells: Vec<String> = rows[1].iter().map(|cell| plain(cell)).collect();
        assert_eq!(
            cells,
            [
                "00:00:00.000",
                "e1",
                "ok, denied",
                "1.15 s",
                r"PutObject photos/a\u001b[2Jb.jpg",
                "file-photo"
            ]
        );
    }

    #[test]
    fn the_locale_decides_on_the_branches() {
        let of = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Branches::of_locale(variable).last
        };
        assert_eq!(of(&[("LANG", "C.UTF-8")]), "└─ ");
        assert_eq!(of(&[("LANG", "de_CH.utf8"), ("LC_ALL", "")]), "└─ ");
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")]), "`- ");
        assert_eq!(of(&[]), "`- ");
    }
}
