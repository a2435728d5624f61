//! Functions: how they are configured, what they may do and did, and invoking them.

use std::collections::BTreeMap;

use local::Decision;
use maud::{Markup, html};
use traces::{Invocation, InvocationEnd, InvocationResult, TriggerKind, What};

use super::{Reply, Visit};
use crate::fields::Fields;
use crate::layout::{
    Page, Section, bytes, declared_at, form, milliseconds, problem, shown, shown_json, time,
};
use crate::model::{AppModel, FunctionModel};
use crate::problem::{Problem, Result};
use crate::stage::Names;
use http::StatusCode;

/// Invocations that are listed.
const LISTED: usize = 25;
/// The most that Lambda takes as the event of an invocation that waits for the answer:
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// An invocation as its function's page shows it.
struct Run {
    id: String,
    started_ms: f64,
    trigger: TriggerKind,
    attempt: u32,
    end: Option<RunEnd>,
}

struct RunEnd {
    duration_ms: f64,
    init_ms: Option<f64>,
    billed_ms: u64,
    max_memory_mb: Option<u32>,
    error: Option<String>,
}

impl Run {
    fn of(start: &Invocation, end: Option<&InvocationEnd>) -> Self {
        Self {
            id: start.id.clone(),
            started_ms: start.started_ms,
            trigger: start.trigger.kind,
            attempt: start.attempt,
            end: end.map(|end| RunEnd {
                duration_ms: end.duration_ms,
                init_ms: end.init_ms,
                billed_ms: end.billed_ms,
                max_memory_mb: end.max_memory_mb,
                error: match &end.result {
                    InvocationResult::Ok => None,
                    InvocationResult::Error {
                        error_type,
                        message,
                    } => Some(format!("{error_type}: {message}")),
                },
            }),
        }
    }

    fn has_failed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.error.is_some())
    }
}

/// The invocations in the history, by Lambda's names of the functions, oldest first.
async fn runs(visit: &Visit) -> Result<BTreeMap<String, Vec<Run>>> {
    let traces = visit.stage.host.traces();
    let runs = traces.read(|history| {
        let ends: BTreeMap<&str, &InvocationEnd> = history
            .occurrences()
            .filter_map(|occurrence| match &occurrence.what {
                What::Ended(end) => Some((end.id.as_str(), &**end)),
                _ => None,
            })
            .collect();
        let mut runs: BTreeMap<String, Vec<Run>> = BTreeMap::new();
        for occurrence in history.occurrences() {
            if let What::Invocation(start) = &occurrence.what {
                let run = Run::of(start, ends.get(start.id.as_str()).copied());
                runs.entry(start.function.clone()).or_default().push(run);
            }
        }
        runs
    });
    runs.await
        .map_err(|error| Problem::failed(format!("could not read the history: {error}")))
}

/// The duration that so many hundredths of the invocations did not exceed.
fn percentile(sorted: &[f64], hundredths: usize) -> Option<f64> {
    let rank = (sorted.len() * hundredths).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn durations(runs: &[Run]) -> Vec<f64> {
    let mut durations: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.end.as_ref().map(|end| end.duration_ms))
        .collect();
    durations.sort_by(f64::total_cmp);
    durations
}

/// All functions.
pub(super) async fn list(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let runs = runs(visit).await?;
    let body = html! {
        div #functions data-live {
            div.scroll {
                table {
                    thead { tr {
                        th scope="col" { "Function" } th scope="col" { "Invoked by" }
                        th.right scope="col" { "Invocations" } th.right scope="col" { "Errors" }
                        th.right scope="col" { "Median" } th.right scope="col" { "p99" } th.right scope="col" { "Memory" }
                    } }
                    tbody {
                        @for function in &app.functions {
                            @let own = runs.get(&function.physical_name).map_or(&[][..], Vec::as_slice);
                            @let durations = durations(own);
                            @let failed = own.iter().filter(|run| run.has_failed()).count();
                            tr {
                                th scope="row" { a href=(format!("/functions/{}", function.name)) { (function.name) } }
                                td.dim { (invoked_by(&app, function).join(", ")) }
                                td.right { (own.len()) }
                                td.right.bad[failed > 0] { (failed) }
                                td.right { (percentile(&durations, 50).map_or("–".to_owned(), milliseconds)) }
                                td.right { (percentile(&durations, 99).map_or("–".to_owned(), milliseconds)) }
                                td.right { (function.memory_mb) " MB" }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(Page::new(Section::Functions, "Functions", body).wide())
}

/// What invokes a function, such as `bucket photos: object created`.
fn invoked_by(app: &AppModel, function: &FunctionModel) -> Vec<String> {
    let arrows = app
        .arrows
        .iter()
        .filter(|arrow| !arrow.is_grant && arrow.to == function.node);
    arrows
        .filter_map(|arrow| {
            let source = app.nodes.iter().find(|node| node.id == arrow.from)?;
            let label = arrow.labels.join(", ");
            let separator = if label.is_empty() { "" } else { ": " };
            Some(format!("{} {}{separator}{label}", source.noun, source.name))
        })
        .collect()
}

/// What an invocation by hand came to.
struct Invoked {
    event: String,
    answer: std::result::Result<deploy::Invocation, Problem>,
}

/// A function.
pub(super) async fn show(visit: &Visit, name: &str) -> Result<Page> {
    page(visit, name, None).await
}

async fn page(visit: &Visit, name: &str, invoked: Option<&Invoked>) -> Result<Page> {
    let function = visit.stage.function(name)?;
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let mut runs = runs(visit).await?;
    let runs = runs.remove(&function.physical_name).unwrap_or_default();
    let decisions = visit.decisions().await?;
    let body = html! {
        p.facts {
            code { (function.physical_name) }
            span { (function.memory_mb) " MB" }
            span { "timeout " (function.timeout_seconds) " s" }
            (declared_at(Some(&function.declared_at)))
        }
        @if let Some(description) = &function.description { p.lead { (description) } }
        p.facts {
            @for source in invoked_by(&app, &function) { span.tag { (source) } }
            a href=(crate::fields::link("/events", &[("function", name)])) { "Events" }
            a href=(crate::fields::link("/logs", &[("function", name)])) { "Logs" }
            @if function.failure_queue_output.is_some() { a href=(format!("/data/failures/{name}")) { "Failure queue" } }
        }
        (invoking(visit, &function, invoked))
        section #runs data-live aria-label="Invocations" { (invocations(&runs)) }
        section #policy data-live aria-label="Policy" { (policy(&app, &names, &function, &decisions)) }
        section aria-label="Environment" { (environment(visit, &function).await) }
    };
    Ok(Page::new(Section::Functions, name, body)
        .below("Functions", "/functions")
        .wide())
}

fn invoking(visit: &Visit, function: &FunctionModel, invoked: Option<&Invoked>) -> Markup {
    let samples = visit.stage.host.sample_events(&function.name);
    let first = samples.first().map_or("{}", |sample| sample.text.as_str());
    let event = invoked.map_or(first, |invoked| invoked.event.as_str());
    let path = format!("/functions/{}/invoke", function.name);
    html! {
        section.invoke #invoke aria-label="Invoke" {
            div {
                h2 { "Invoke" }
                (form(&path, visit.token(), &html! {
                    @if samples.len() > 1 {
                        label {
                            "Sample"
                            select data-fills="event" {
                                @for sample in &samples {
                                    option data-text=(shown_json(&sample.text)) { (sample.title) }
                                }
                            }
                        }
                    }
                    label {
                        "Event" @if let [sample] = samples.as_slice() { small { (sample.title) } }
                        textarea.code #event name="event" rows="12" spellcheck="false" { "\n" (shown_json(event)) }
                    }
                    div.actions {
                        button.main type="submit" { "Invoke" }
                        details {
                            summary { "Save as a sample event" }
                            label.inline { "Title" input name="title" pattern="[a-z0-9-]*" placeholder="none: the function's default sample"; }
                            button type="submit" formaction=(format!("/functions/{}/save", function.name)) { "Save" }
                        }
                    }
                }))
            }
            div {
                h2 { "Answer" }
                @match invoked.map(|invoked| &invoked.answer) {
                    None => p.empty { "The answer and the log appear here." },
                    Some(Err(found)) => (problem(found)),
                    Some(Ok(invocation)) => {
                        @match &invocation.result {
                            Ok(answer) => pre.code.answer tabindex="0" { (pretty(answer)) },
                            Err(error) => div.problem role="alert" { p { strong { (shown(&error.error_type)) } " " (shown(&error.error_message)) } },
                        }
                        h3 { "Log" small.dim { " its last 4 KB" } }
                        pre.code.log-tail tabindex="0" { @for line in invocation.log_tail.lines() { (super::logs::text(line)) } }
                    }
                }
            }
        }
    }
}

fn pretty(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => shown_json(&serde_json::to_string_pretty(&value).unwrap_or_default()),
        Err(_) => shown(text),
    }
}

fn invocations(runs: &[Run]) -> Markup {
    let durations = durations(runs);
    let cold = runs
        .iter()
        .filter(|run| run.end.as_ref().is_some_and(|end| end.init_ms.is_some()));
    let failed = runs.iter().filter(|run| run.has_failed());
    html! {
        h2 { "Invocations" }
        @if runs.is_empty() {
            p.empty { "The history has no invocations of this function." }
        } @else {
            dl.figures {
                div { dt { "Invocations" } dd { (runs.len()) } }
                div { dt { "Errors" } dd { (failed.count()) } }
                div { dt { "Cold starts" } dd { (cold.count()) } }
                @for (title, hundredths) in [("Median", 50), ("p90", 90), ("p99", 99)] {
                    div { dt { (title) } dd { (percentile(&durations, hundredths).map_or("–".to_owned(), milliseconds)) } }
                }
            }
            div.scroll {
                table {
                    thead { tr {
                        th scope="col" { "Time" } th scope="col" { "By" } th scope="col" { "Outcome" }
                        th.right scope="col" { "Took" } th.right scope="col" { "Start" } th.right scope="col" { "Billed" } th.right scope="col" { "Memory" }
                    } }
                    tbody { @for run in runs.iter().rev().take(LISTED) { (row(run)) } }
                }
            }
        }
    }
}

fn row(run: &Run) -> Markup {
    let none = || "–".to_owned();
    let end = run.end.as_ref();
    html! {
        tr {
            th scope="row" { a href=(format!("/events/{}", run.id)) { (time(run.started_ms.max(0.0) as u64)) } }
            td {
                (trigger(run.trigger))
                @if run.attempt > 1 { span.tag.warn { "attempt " (run.attempt) } }
            }
            td {
                @match end.map(|end| &end.error) {
                    None => span.tag { "running" },
                    Some(None) => span.tag.good { "ok" },
                    Some(Some(error)) => span.bad { (crate::layout::short(error, 160)) },
                }
            }
            td.right { (end.map_or_else(none, |end| milliseconds(end.duration_ms))) }
            td.right { (end.and_then(|end| end.init_ms).map_or_else(none, milliseconds)) }
            td.right { (end.map_or_else(none, |end| format!("{} ms", end.billed_ms))) }
            td.right { (end.and_then(|end| end.max_memory_mb).map_or_else(none, |used| format!("{used} MB"))) }
        }
    }
}

fn trigger(kind: TriggerKind) -> &'static str {
    match kind {
        TriggerKind::S3 => "bucket",
        TriggerKind::Sns => "topic",
        TriggerKind::Sqs => "queue",
        TriggerKind::Stream => "stream",
        TriggerKind::Http => "request",
        TriggerKind::EventBridge => "event rule",
        TriggerKind::Schedule => "schedule",
        TriggerKind::Invoke => "invocation by hand",
    }
}

fn policy(
    app: &AppModel,
    names: &Names,
    function: &FunctionModel,
    decisions: &[Decision],
) -> Markup {
    let used = |action: &str, resource: Option<&str>| -> u64 {
        let own = decisions.iter().filter(|decision| {
            decision.function() == Some(function.physical_name.as_str())
                && decision.action == action
        });
        let on_resource = own.filter(|decision| {
            let node = names.node_at(app, &decision.resource);
            resource.is_none_or(|resource| {
                node.is_some_and(|node| resource == format!("{} `{}`", node.noun, node.name))
            })
        });
        on_resource.map(|decision| decision.allowed).sum()
    };
    html! {
        h2 { "Policy" }
        @if function.grants.is_empty() {
            p.empty { "The manifest grants no permissions to this function." }
        } @else {
            div.scroll {
                table {
                    thead { tr { th scope="col" { "Action" } th scope="col" { "On" } th scope="col" { "Granted at" } th.right scope="col" { "Used so far" } } }
                    tbody {
                        @for grant in &function.grants {
                            @let times = used(&grant.action, grant.resource.as_deref());
                            tr {
                                th scope="row" { code { (grant.action) } }
                                td { (grant.resource.as_deref().unwrap_or("every resource").replace('`', "")) }
                                td { code.dim { (grant.declared_at) } }
                                td.right { @if times == 0 { span.dim { "never" } } @else { (times) } }
                            }
                        }
                    }
                }
            }
            p.dim { "A grant that was never used so far may still be needed: " code { "cargo xtask grants " (function.name) } " compares grants with what the function's code can call." }
        }
    }
}

async fn environment(visit: &Visit, function: &FunctionModel) -> Markup {
    let described = visit.stage.lambda.get_function_configuration();
    let described = described
        .function_name(&function.physical_name)
        .send()
        .await;
    let described = match described {
        Ok(described) => described,
        Err(error) => {
            return problem(&Problem::of_aws(
                &format!("describe {}", function.name),
                &error,
            ));
        }
    };
    let variables = described
        .environment
        .and_then(|environment| environment.variables);
    let variables: BTreeMap<String, String> = variables.unwrap_or_default().into_iter().collect();
    let code_bytes = u64::try_from(described.code_size).unwrap_or_default();
    html! {
        h2 { "Configuration and environment" }
        dl.facts-list {
            dt { "Runtime" } dd { (described.runtime.as_ref().map_or("none", |runtime| runtime.as_str())) }
            dt { "Code" } dd { (bytes(code_bytes)) ", zipped" }
            dt { "Log group" } dd { code { (function.log_group) } }
            @for (name, value) in &variables {
                dt { code { (name) } }
                dd {
                    @if is_secret(name) {
                        details id=(format!("variable-{name}")) { summary.dim { "hidden" } code { (shown(value)) } }
                    } @else {
                        code { (shown(value)) }
                    }
                }
            }
        }
    }
}

/// Whether a variable's name says that somebody looking over one's shoulder should not see the value.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    [
        "SECRET",
        "TOKEN",
        "PASSWORD",
        "CREDENTIAL",
        "API_KEY",
        "PRIVATE",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Invokes it, and shows the answer.
pub(super) async fn invoke(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let function = visit.stage.function(name)?;
    let event = form.text("event").to_owned();
    let answer = match check(&event) {
        Ok(()) => {
            let payload = event.clone().into_bytes();
            deploy::invoke(&visit.stage.target, &function.invocation_name, payload)
                .await
                .map_err(Problem::from)
        }
        Err(found) => Err(found),
    };
    let status = answer
        .as_ref()
        .map_or_else(|found| found.status, |_| StatusCode::OK);
    let page = page(visit, name, Some(&Invoked { event, answer })).await?;
    Ok(Reply::Page(status, page))
}

fn check(event: &str) -> Result<()> {
    if event.len() > EVENT_BYTES_MAX {
        return Err(Problem::mistake(
            "the event is larger than 6 MB, the limit of Lambda",
        ));
    }
    let read: std::result::Result<serde::de::IgnoredAny, _> = serde_json::from_str(event);
    read.map(|_| ()).map_err(|error| {
        Problem::mistake(format!("the event is not JSON: {error}"))
            .hint("an event without content is an empty object: {}")
    })
}

/// Keeps an event as a sample.
pub(super) fn save(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let function = visit.stage.function(name)?;
    let (title, event) = (form.text("title"), form.text("event"));
    check(event)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !title.chars().all(is_plain) || title.len() > 60 {
        return Err(Problem::mistake(
            "a title consists of a-z, 0-9 and hyphens, at most 60 of them",
        ));
    }
    let event = event.replace("\r\n", "\n");
    let file = visit.stage.host.save_sample_event(
        &function.name,
        title,
        &format!("{}\n", event.trim_end()),
    );
    let file = file.map_err(Problem::failed)?;
    Ok(Reply::done(
        format!("/functions/{name}"),
        format!("Saved {file}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let durations: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&durations, 50), Some(50.0));
        assert_eq!(percentile(&durations, 99), Some(99.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert!(check("{}").is_ok());
        assert!(check("{").unwrap_err().message.contains("not JSON"));
        assert!(check("").is_err());
    }

    #[test]
    fn variables_with_secrets_are_hidden() {
        assert!(is_secret("PAYMENT_API_KEY") && is_secret("db_password"));
        assert!(!is_secret("ORDERS_TABLE_NAME") && !is_secret("ORDERS_KEY_ATTRIBUTE"));
    }
}
