//! What one line of a log says.
//!
//! Lambda's own lines come in two shapes. A function with the log format `Text`, and every
//! function on the local stage, has `START`, `END` and `REPORT`:
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html>. One with the
//! log format `JSON` has the events of the Telemetry API:
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A line of a log.
#[derive(Debug, PartialEq)]
pub(super) enum Entry {
    /// Lambda's, about the request with this id.
    Platform(String, Platform),
    /// Lambda's, about an execution environment that starts.
    Init(String),
    /// An event that a function logs, as JSON.
    Record(Record),
    /// Anything else.
    Text(String),
}

/// What Lambda says of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Platform {
    Started,
    Ended,
    Report(Report),
    /// In Lambda's words.
    TimedOut(String),
    /// In Lambda's words.
    Failed(String),
}

/// How an invocation ended.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) status: Status,
    pub(super) duration: Option<String>,
    /// Cold start, memory, and what else is not the same in every report.
    pub(super) details: Vec<String>,
    pub(super) figures: Figures,
}

/// What Lambda has measured.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) duration_ms: Option<f64>,
    pub(super) init_ms: Option<f64>,
    pub(super) billed_ms: Option<u64>,
    pub(super) memory_mb: Option<u32>,
    pub(super) max_memory_mb: Option<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Timeout,
    /// With the type of the error.
    Failure(Option<String>),
}

/// An event that a function logs.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record {
    /// `HH:MM:SS.mmm`, UTC.
    pub(super) time: Option<String>,
    /// In capitals; empty if there is none.
    pub(super) level: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    target: Option<String>,
    fields: Vec<(String, Value)>,
}

impl Entry {
    pub(super) fn of(line: &str) -> Self {
        let line = line.trim_end_matches(['\n', '\r']);
        let known = if line.starts_with('{') {
            serde_json::from_str::<Object>(line).ok().map(Self::of_json)
        } else {
            platform_text(line)
        };
        known.unwrap_or_else(|| Self::Text(line.to_owned()))
    }

    fn of_json(Object(fields): Object) -> Self {
        let field = |name: &str| fields.iter().find(|(known, _)| known == name);
        let kind = field("type").and_then(|(_, kind)| kind.as_str());
        let event = kind.and_then(|kind| kind.strip_prefix("platform."));
        match (event, field("record")) {
            (Some(event), Some((_, record))) => platform_event(event, record),
            _ => Self::Record(Record::of(fields)),
        }
    }
}

/// Lambda's lines in the log format `Text`.
fn platform_text(line: &str) -> Option<Entry> {
    if line.starts_with("INIT_START ") {
        return Some(Entry::Init(line.replace('\t', " ")));
    }
    // In place of a report, of a process that has ended; and 2026-11-27T00:52:38.560Z ID Task …
    if let Some((id, error)) = line
        .strip_prefix("RequestId: ")
        .and_then(|rest| rest.split_once(" Error: "))
    {
        return is_id(id)
            .then(|| Entry::Platform(id.to_owned(), Platform::Failed(error.to_owned())));
    }
    if let Some((before, after)) = line.split_once(" Task timed out after ") {
        let id = before.rsplit(' ').next().filter(|id| is_id(id))?;
        let text = format!("Task timed out after {after}");
        return Some(Entry::Platform(id.to_owned(), Platform::TimedOut(text)));
    }
    let (kind, rest) = line.split_once(" RequestId: ")?;
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (id, rest) = rest.split_at(end);
    let platform = match kind {
        "START" => Platform::Started,
        "END" => Platform::Ended,
        "REPORT" => Platform::Report(Report::of_text(rest)),
        _ => return None,
    };
    is_id(id).then(|| Entry::Platform(id.to_owned(), platform))
}

/// Lambda's lines in the log format `JSON`.
fn platform_event(event: &str, record: &Value) -> Entry {
    let status = Status::of(
        record["status"].as_str().unwrap_or("success"),
        record["errorType"].as_str(),
    );
    let platform = match event {
        "start" => Some(Platform::Started),
        "runtimeDone" => Some(Platform::Ended),
        "report" => Some(Platform::Report(Report::of_json(record))),
        _ => None,
    };
    let id = record["requestId"].as_str();
    match (platform, id) {
        (Some(platform), Some(id)) => Entry::Platform(id.to_owned(), platform),
        _ if event.starts_with("init") && status == Status::Success => {
            Entry::Init(format!("platform.{event} {record}"))
        }
        _ => Entry::Record(Record {
            level: match status {
                Status::Success => String::new(),
                Status::Timeout | Status::Failure(_) => "ERROR".to_owned(),
            },
            message: format!("platform.{event}"),
            fields: match record {
                Value::Object(fields) => fields.clone().into_iter().collect(),
                other => vec![("record".to_owned(), other.clone())],
            },
            ..Record::default()
        }),
    }
}

/// Request ids are UUIDs. A function may log what looks like Lambda's lines and has none.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

impl Status {
    fn of(status: &str, error_type: Option<&str>) -> Self {
        match status {
            "success" => Self::Success,
            "timeout" => Self::Timeout,
            _ => Self::Failure(error_type.map(str::to_owned)),
        }
    }
}

impl Report {
    /// The figures behind the id: each `Name: value`, between tabs.
    fn of_text(figures: &str) -> Self {
        let figures = figures.split(['\t', '\n']).map(str::trim);
        let figures: Vec<(&str, &str)> = figures
            .filter(|figure| !figure.is_empty())
            .map(|figure| figure.split_once(": ").unwrap_or((figure, "")))
            .collect();
        let figure = |name: &str| {
            let found = figures.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        };
        let ms = |name: &str| figure(name).map(milliseconds);
        let known = [
            "Duration",
            "Init Duration",
            "Restore Duration",
            "Memory Size",
            "Max Memory Used",
            "Status",
            "Error Type",
            // They follow from the others, or are for machines.
            "Billed Duration",
            "Billed Restore Duration",
            "XRAY TraceId",
            "SegmentId",
            "Sampled",
        ];
        let mut details = details(
            ms("Init Duration"),
            ms("Restore Duration"),
            figure("Max Memory Used").and_then(|used| used.strip_suffix(" MB")),
            figure("Memory Size").and_then(|size| size.strip_suffix(" MB")),
        );
        let others = figures.iter().filter(|(name, _)| !known.contains(name));
        details.extend(others.map(|(name, value)| format!("{name}: {value}")));
        let number = |name: &str| figure(name).and_then(|text| text.split(' ').next());
        Self {
            figures: Figures {
                duration_ms: number("Duration").and_then(|text| text.parse().ok()),
                init_ms: number("Init Duration").and_then(|text| text.parse().ok()),
                billed_ms: number("Billed Duration").and_then(|text| text.parse().ok()),
                memory_mb: number("Memory Size").and_then(|text| text.parse().ok()),
                max_memory_mb: number("Max Memory Used").and_then(|text| text.parse().ok()),
            },
            status: Status::of(figure("Status").unwrap_or("success"), figure("Error Type")),
            duration: ms("Duration"),
            details,
        }
    }

    fn of_json(record: &Value) -> Self {
        let figure = |name: &str| match &record["metrics"][name] {
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let ms = |name: &str| figure(name).map(|figure| milliseconds(&figure));
        let metrics = &record["metrics"];
        let whole = |name: &str| metrics[name].as_u64();
        let megabytes = |name: &str| whole(name).and_then(|it| u32::try_from(it).ok());
        Self {
            figures: Figures {
                duration_ms: metrics["durationMs"].as_f64(),
                init_ms: metrics["initDurationMs"].as_f64(),
                billed_ms: whole("billedDurationMs"),
                memory_mb: megabytes("memorySizeMB"),
                max_memory_mb: megabytes("maxMemoryUsedMB"),
            },
            status: Status::of(
                record["status"].as_str().unwrap_or("success"),
                record["errorType"].as_str(),
            ),
            duration: ms("durationMs"),
            details: details(
                ms("initDurationMs"),
                ms("restoreDurationMs"),
                figure("maxMemoryUsedMB").as_deref(),
                figure("memorySizeMB").as_deref(),
            ),
        }
    }
}

fn details(
    init: Option<String>,
    restore: Option<String>,
    used_mb: Option<&str>,
    size_mb: Option<&str>,
) -> Vec<String> {
    let memory = match (used_mb, size_mb) {
        (Some(used), Some(size)) => Some(format!("{used} of {size} MB")),
        (Some(used), None) => Some(format!("{used} MB")),
        // What a function may use, it is given in the manifest.
        (None, _) => None,
    };
    let start = init.map(|init| format!("cold start {init}"));
    let restore = restore.map(|restore| format!("restored in {restore}"));
    [start, restore, memory].into_iter().flatten().collect()
}

/// A time in milliseconds, as a person reads it: `9.73 ms`, `208 ms`, `3.00 s`.
fn milliseconds(text: &str) -> String {
    match text.trim_end_matches(" ms").parse::<f64>() {
        Ok(ms) if ms < 10.0 => format!("{ms:.2} ms"),
        Ok(ms) if ms < 999.5 => format!("{ms:.0} ms"),
        Ok(ms) => format!("{:.2} s", ms / 1000.0),
        Err(_) => text.to_owned(),
    }
}

impl Record {
    fn of(fields: Vec<(String, Value)>) -> Self {
        let mut record = Self::default();
        for (name, value) in fields {
            record.add(name, value);
        }
        if let Some(error) = diagnostic(&record.message) {
            record.message = error;
        }
        record
    }

    fn add(&mut self, name: String, value: Value) {
        match (name.as_str(), value) {
            ("timestamp", Value::String(text)) if self.time.is_none() => match time(&text) {
                Some(time) => self.time = Some(time),
                None => self.fields.push((name, Value::String(text))),
            },
            ("level", Value::String(level)) => self.level = level.to_uppercase(),
            ("message", Value::String(message)) => self.message = message,
            ("message", message) => self.message = message.to_string(),
            ("target", Value::String(target)) => self.target = Some(target),
            ("requestId" | "AWSRequestId", Value::String(id)) => self.request_id = Some(id),
            // As `tracing` writes an event that is not flattened.
            ("fields", Value::Object(fields)) => {
                for (name, value) in fields {
                    self.add(name, value);
                }
            }
            ("span", Value::Object(span)) => {
                for (name, value) in span {
                    match (name.as_str(), &value) {
                        ("requestId", Value::String(id)) => self.request_id = Some(id.clone()),
                        // The span that the runtime opens for every request.
                        ("name", Value::String(name)) if name == "Lambda runtime invoke" => {}
                        ("xrayTraceId", _) => {}
                        ("name", _) => self.fields.push(("span".to_owned(), value)),
                        _ => self.fields.push((name, value)),
                    }
                }
            }
            (_, value) => self.fields.push((name, value)),
        }
    }

    /// The fields in their order, as text. The target is one of them where it is not in code
    /// of the workspace, or of the runtime.
    pub(super) fn fields(&self, is_own: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let target = self.target.as_deref();
        let target =
            target.filter(|target| !is_own(target) && !target.starts_with("lambda_runtime"));
        let target = target.map(|target| ("target".to_owned(), target.to_owned()));
        let fields = self.fields.iter().map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            (name.clone(), text)
        });
        fields.chain(target).collect()
    }
}

/// A value behind its key: in quotes where it could be taken for something else.
pub(super) fn quoted(value: &str) -> String {
    // JSON has quotes of its own.
    let is_json = value.starts_with(['{', '[']) && serde_json::from_str::<Value>(value).is_ok();
    let is_plain = !value.is_empty()
        && !value.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='));
    if is_plain || is_json {
        value.to_owned()
    } else {
        Value::from(value).to_string()
    }
}

/// `HH:MM:SS.mmm` of a time in RFC 3339, if that is UTC.
fn time(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let is_time = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    form => byte == form,
                })
    };
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    (is_time(date, "0000-00-00") && is_time(time, "00:00:00") && is_fraction)
        .then(|| format!("{time}.{fraction}"))
}

/// The error that a handler has returned, which the runtime logs in the notation of Rust:
/// `Diagnostic { error_type: "InvalidEvent", error_message: "…" }`.
fn diagnostic(message: &str) -> Option<String> {
    let rest = message.strip_prefix("Diagnostic { error_type: ")?;
    let (error_type, rest) = rust_string(rest)?;
    let (error_message, rest) = rust_string(rest.strip_prefix(", error_message: ")?)?;
    (rest == " }").then(|| format!("{error_type}: {error_message}"))
}

/// The string that a text in the notation of Rust begins with, and what comes behind it.
fn rust_string(text: &str) -> Option<(String, &str)> {
    let mut string = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => return Some((string, rest.as_str())),
            '\\' => string.push(match rest.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                'u' => {
                    let (code, behind) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    rest = behind.chars();
                    char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                }
                c => c,
            }),
            c => string.push(c),
        }
    }
}

/// A JSON object with its fields in their order.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
