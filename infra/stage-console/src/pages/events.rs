//! What came in, newest first, and one of it as a trace on a time line.

use maud::{Markup, html};
use traces::{Call, Details, Filter, Kind, Next, Outcome, Payload, Span, Summary, Trace};

use super::Visit;
use crate::fields::link;
use crate::layout::{Page, Section, count, milliseconds, shown, shown_json, time};
use crate::model::AppModel;
use crate::problem::{Problem, Result};
use crate::stage::Names;

/// Events on a page.
const PAGE: usize = 100;
/// Parts of a trace on its page.
const SPANS: usize = 600;
/// How wide the time line is, in its own units.
const WIDTH: f64 = 1000.0;

/// What a page shows: fields of the query.
struct Wish<'a> {
    function: &'a str,
    kind: &'a str,
    outcome: &'a str,
    text: &'a str,
    from: usize,
}

impl<'a> Wish<'a> {
    fn of(visit: &'a Visit) -> Self {
        let query = &visit.query;
        Self {
            function: query.text("function"),
            kind: query.text("kind"),
            outcome: query.text("outcome"),
            text: query.text("text"),
            from: query.text("from").parse().unwrap_or_default(),
        }
    }

    fn filter(&self, app: &AppModel) -> Filter {
        let physical = app
            .function(self.function)
            .map(|function| function.physical_name.clone());
        Filter {
            function: physical,
            kind: Kind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == self.kind),
            outcome: Outcome::ALL
                .into_iter()
                .find(|outcome| outcome.as_str() == self.outcome),
            text: (!self.text.is_empty()).then(|| self.text.to_owned()),
        }
    }

    fn link(&self, from: usize) -> String {
        let from = if from == 0 {
            String::new()
        } else {
            from.to_string()
        };
        link(
            "/events",
            &[
                ("function", self.function),
                ("kind", self.kind),
                ("outcome", self.outcome),
                ("text", self.text),
                ("from", &from),
            ],
        )
    }
}

/// The list.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let wish = Wish::of(visit);
    let listing = visit.stage.host.traces().list(&wish.filter(&app)).await;
    let listing =
        listing.map_err(|error| Problem::failed(format!("could not read the history: {error}")))?;
    let all = listing.summaries.len();
    let page: Vec<&Summary> = listing
        .summaries
        .iter()
        .skip(wish.from)
        .take(PAGE)
        .collect();
    let body = html! {
        form.search.events method="get" action="/events" data-at-once {
            (choice("Function", "function", app.functions.iter().map(|function| function.name.as_str()), wish.function))
            (choice("Kind", "kind", Kind::ALL.iter().map(|kind| kind.as_str()), wish.kind))
            (choice("Outcome", "outcome", Outcome::ALL.iter().map(|outcome| outcome.as_str()), wish.outcome))
            label { "Text" input type="search" name="text" value=(wish.text) placeholder="a key, an ID or a log line"; }
            button type="submit" { "Show" }
        }
        section #events data-live aria-label="Events" {
            @if page.is_empty() {
                p.empty {
                    @if wish.link(0) == "/events" {
                        "No events yet. Upload an object, send a request, or create an item."
                    } @else {
                        "No event matches. " a href="/events" { "Show all" }
                    }
                }
            } @else {
                div.scroll {
                    table.events-list {
                        thead { tr {
                            th scope="col" { "Time" } th scope="col" { "Event" } th scope="col" { "Outcome" }
                            th scope="col" { "Functions" } th.right scope="col" { "Took" } th.right scope="col" { "Calls" }
                        } }
                        tbody {
                            @for summary in page { (row(&app, &names, summary)) }
                        }
                    }
                }
                p.dim {
                    (count(u64::try_from(all).unwrap_or_default(), "event"))
                    @if listing.dropped > 0 { ". Older ones are gone: the history keeps the latest 10 000 occurrences." }
                }
                @if wish.from > 0 || all > wish.from + PAGE {
                    nav.pager aria-label="Pages" {
                        @if wish.from > 0 { a href=(wish.link(wish.from.saturating_sub(PAGE))) { "Newer" } }
                        @if all > wish.from + PAGE { a href=(wish.link(wish.from + PAGE)) { "Older" } }
                    }
                }
            }
        }
    };
    Ok(Page::new(Section::Events, "Events", body).wide())
}

fn row(app: &AppModel, names: &Names, summary: &Summary) -> Markup {
    let functions: Vec<String> = summary
        .functions
        .iter()
        .map(|name| names.friendly(app, name))
        .collect();
    html! {
        tr {
            td { (moment(summary.started_ms)) }
            th scope="row" {
                span.kind.(format!("kind-{}", summary.kind.as_str())) { (summary.kind.as_str()) }
                a href=(format!("/events/{}", summary.id)) { (shown(&names.friendly(app, &summary.title))) }
                @if summary.is_cut { span.tag { "beginning lost" } }
            }
            td { (outcome(summary.outcome)) @if summary.denied > 0 && summary.outcome != Outcome::Denied { span.tag.bad { (summary.denied) " denied" } } }
            td { (functions.join(", ")) }
            td.right { (milliseconds(summary.duration_ms)) }
            td.right { (summary.calls) }
        }
    }
}

pub(super) fn outcome(outcome: Outcome) -> Markup {
    let (class, text) = match outcome {
        Outcome::Ok => ("good", "ok"),
        Outcome::Running => ("", "running"),
        Outcome::Denied => ("bad", "denied"),
        Outcome::Retrying => ("warn", "retrying"),
        Outcome::Failed => ("bad", "failed"),
        Outcome::FailureQueue => ("bad", "in the failure queue"),
    };
    html! { span.tag.(class) { (text) } }
}

fn moment(at_ms: f64) -> Markup {
    // Times are beyond 1970, and far from the end of the type.
    time(at_ms.max(0.0) as u64)
}

/// One event.
pub(super) async fn trace(visit: &Visit, id: &str) -> Result<Page> {
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let trace = visit.stage.host.traces().trace(id).await;
    let trace =
        trace.map_err(|error| Problem::failed(format!("could not read the history: {error}")))?;
    let trace = trace.ok_or_else(|| {
        Problem::missing("the event is no longer in the history, or the stage has restarted")
    })?;
    let summary = &trace.summary;
    let failed = failure_queue(&app, &names, &trace);
    let title = names.friendly(&app, &summary.title);
    let body = html! {
        div #trace data-live {
            p.facts {
                (moment(summary.started_ms))
                span.kind.(format!("kind-{}", summary.kind.as_str())) { (summary.kind.as_str()) }
                (outcome(summary.outcome))
                span { (milliseconds(summary.duration_ms)) " in all" }
                span { (count(u64::try_from(summary.calls).unwrap_or_default(), "call")) }
                @if summary.is_cut { span.tag { "beginning lost" } }
                @if let Some(function) = failed {
                    a href=(format!("/data/failures/{function}")) { "to the failure queue of " (function) }
                }
            }
            ol.trace {
                @for (index, span) in trace.spans.iter().take(SPANS).enumerate() {
                    (part(&app, &names, &trace, index, span))
                }
            }
            @if trace.spans.len() > SPANS {
                p.dim { "The first " (SPANS) " of " (trace.spans.len()) " parts. `cargo xtask trace` shows all." }
            }
        }
    };
    Ok(Page::new(Section::Events, title, body)
        .below("Events", "/events")
        .wide())
}

/// The function in whose failure queue something of it waits.
fn failure_queue(app: &AppModel, names: &Names, trace: &Trace) -> Option<String> {
    if trace.summary.outcome != Outcome::FailureQueue {
        return None;
    }
    trace
        .spans
        .iter()
        .rev()
        .find_map(|span| match &span.details {
            Details::GivenUp(given_up) => Some(names.friendly(app, &given_up.function)),
            Details::Moved(_) => trace
                .summary
                .functions
                .last()
                .map(|name| names.friendly(app, name)),
            _ => None,
        })
}

fn part(app: &AppModel, names: &Names, trace: &Trace, index: usize, span: &Span) -> Markup {
    if let Details::Log(line) = &span.details {
        return html! {
            li.log.(depth(span)).(super::logs::level(&line.text)) { code { (super::logs::text(&line.text)) } }
        };
    }
    let id = format!("part-{index}");
    html! {
        li.(depth(span)) {
            details id=(id) {
                summary {
                    span.what {
                        span.mark.(mark(&span.details)) aria-hidden="true" {}
                        span.title { (shown(&names.friendly(app, &span.title))) }
                        @if span.outcome != Outcome::Ok { (outcome(span.outcome)) }
                        (tags(span))
                    }
                    span.took { @if let Some(duration) = span.duration_ms { (milliseconds(duration)) } }
                    (bar(trace, span))
                }
                (details(app, names, span))
            }
        }
    }
}

fn depth(span: &Span) -> String {
    format!("depth-{}", span.depth.min(9))
}

/// What kind of part it is, for its colour.
fn mark(details: &Details) -> &'static str {
    match details {
        Details::Invocation { .. } => "of-invocation",
        Details::Call(_) => "of-call",
        Details::Http(_) => "of-request",
        Details::Record(_) | Details::Message(_) => "of-message",
        Details::Firing(_) => "of-schedule",
        Details::Delivery(delivery) if delivery.next == Next::Filtered => "of-message",
        Details::Log(_) => "of-log",
        Details::Delivery(_)
        | Details::Retry(_)
        | Details::GivenUp(_)
        | Details::Moved(_)
        | Details::Fault(_) => "of-trouble",
    }
}

fn tags(span: &Span) -> Markup {
    html! {
        @if let Details::Invocation { end: Some(end), .. } = &span.details {
            @if let Some(init) = end.init_ms { span.tag { "cold start " (milliseconds(init)) } }
        }
        @if let Details::Call(call) = &span.details {
            @if call.finds_nothing() { span.tag { "not found" } }
            @if let Some(items) = call.items { span.tag { (count(items, "item")) } }
            @if call.attempt.is_some_and(|attempt| attempt > 1) { span.tag.warn { "attempt " (call.attempt.unwrap_or_default()) } }
        }
        @if let Some(why) = &span.inferred { span.tag.warn title=(why) { "inferred" } }
        @if span.other_causes > 0 { span.tag { "also of " (count(u64::try_from(span.other_causes).unwrap_or_default(), "other event")) } }
    }
}

/// When it was, on the trace's time line.
fn bar(trace: &Trace, span: &Span) -> Markup {
    let whole = trace.summary.duration_ms.max(0.1);
    let place = |at_ms: f64| ((at_ms - trace.summary.started_ms) / whole * WIDTH).clamp(0.0, WIDTH);
    let start = place(span.started_ms).min(WIDTH - 3.0);
    let end = place(span.started_ms + span.duration_ms.unwrap_or_default());
    let width = (end - start).max(3.0);
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.line x="0" y="4.5" width="1000" height="1" {}
            rect.(mark(&span.details)).trouble[span.outcome.is_trouble()]
                x=(format!("{start:.1}")) y="0" width=(format!("{width:.1}")) height="10" {}
        }
    }
}

type Facts = Vec<(&'static str, String)>;

fn details(app: &AppModel, names: &Names, span: &Span) -> Markup {
    let mut facts: Facts = Vec::new();
    let mut payloads: Vec<(&str, &Payload)> = Vec::new();
    match &span.details {
        Details::Call(call) => call_facts(call, &mut facts, &mut payloads),
        Details::Invocation { start, end } => {
            facts.push(("Request", start.request_id.clone()));
            facts.push(("Attempt", start.attempt.to_string()));
            payloads.push(("Event", &start.event));
            if let Some(end) = end {
                facts.push(("Duration", milliseconds(end.duration_ms)));
                facts.push(("Billed", format!("{} ms", end.billed_ms)));
                let used = end.max_memory_mb.map(|used| format!("{used} of "));
                facts.push((
                    "Memory",
                    format!("{}{} MB", used.unwrap_or_default(), end.memory_mb),
                ));
                if let traces::InvocationResult::Error {
                    error_type,
                    message,
                } = &end.result
                {
                    facts.push(("Error", format!("{error_type}: {message}")));
                }
                payloads.push(("Answer", &end.answer));
            }
        }
        Details::Http(request) => {
            facts.push(("Request", format!("{} {}", request.method, request.path)));
            facts.push(("Status", request.status.to_string()));
        }
        Details::Record(record) => {
            facts.push(("Change", record.event_name.clone()));
            facts.push(("Key", record.keys.clone()));
            facts.push(("Sequence number", record.sequence_number.clone()));
        }
        Details::Message(sent) => {
            facts.push(("Message", sent.message_id.clone()));
            facts.extend(sent.queue.clone().map(|queue| ("Queue", queue)));
        }
        Details::Delivery(delivery) => {
            facts.push(("Source", delivery.source.clone()));
            facts.push((
                "Batch",
                count(
                    u64::try_from(delivery.batch.len()).unwrap_or_default(),
                    "record",
                ),
            ));
            if delivery.next != Next::Filtered {
                facts.push(("Failed", delivery.failed.len().to_string()));
            }
        }
        Details::GivenUp(given_up) => {
            facts.push(("Why", given_up.condition.clone()));
            facts.extend(
                given_up
                    .destination
                    .clone()
                    .map(|queue| ("Destination", queue)),
            );
            facts.extend(given_up.message_id.clone().map(|id| ("Message", id)));
            facts.extend(given_up.error.clone().map(|error| ("Not taken", error)));
        }
        Details::Moved(moved) => {
            facts.push(("From", moved.from.clone()));
            facts.push(("To", moved.to.clone()));
        }
        Details::Firing(firing) => {
            facts.push(("Schedule", firing.schedule.clone()));
            facts.push(("Attempt", firing.attempt.to_string()));
            facts.extend(firing.error.clone().map(|error| ("Error", error)));
        }
        Details::Retry(retry) => {
            let why = if retry.is_throttled {
                "no concurrency was left"
            } else {
                "the function failed"
            };
            facts.push(("Why", why.to_owned()));
        }
        Details::Fault(_) | Details::Log(_) => {}
    }
    facts.extend(span.inferred.clone().map(|why| ("Inferred", why)));
    html! {
        div.inside {
            dl.facts-list {
                dt { "At" } dd { (moment(span.started_ms)) }
                @for (term, fact) in facts {
                    dt { (term) } dd { (shown(&names.friendly(app, &fact))) }
                }
            }
            @for (title, payload) in payloads {
                @if !payload.text.is_empty() {
                    h3 { (title) @if payload.is_cut() { small.dim { " the beginning of " (crate::layout::bytes(payload.bytes)) } } }
                    pre.code tabindex="0" { (pretty(&payload.text)) }
                }
            }
        }
    }
}

fn call_facts<'a>(
    call: &'a Call,
    facts: &mut Facts,
    payloads: &mut Vec<(&'static str, &'a Payload)>,
) {
    facts.push(("Call", format!("{}:{}", call.service, call.operation)));
    facts.extend(call.resource.clone().map(|resource| ("Resource", resource)));
    facts.push(("Caller", call.principal.clone()));
    facts.push(("Status", call.status.to_string()));
    if let Some(error) = &call.error {
        let message = call.message.clone().unwrap_or_default();
        facts.push(("Error", format!("{error}: {message}")));
    }
    if let Some(denied) = &call.denied {
        facts.push((
            "Denied",
            format!("{} on {}", denied.action, denied.resource),
        ));
    }
    facts.extend(call.request_id.clone().map(|id| ("Request ID", id)));
    payloads.extend(call.request.as_ref().map(|payload| ("Request", payload)));
    payloads.extend(call.response.as_ref().map(|payload| ("Answer", payload)));
}

fn pretty(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => shown_json(&serde_json::to_string_pretty(&value).unwrap_or_default()),
        Err(_) => shown(text),
    }
}

/// A filter by one of some values, or by none.
fn choice<'a>(
    label: &str,
    field: &str,
    values: impl Iterator<Item = &'a str>,
    chosen: &str,
) -> Markup {
    html! {
        label {
            (label)
            select name=(field) {
                option value="" { "all" }
                @for value in values {
                    option value=(value) selected[value == chosen] { (value) }
                }
            }
        }
    }
}
