//! Faults that the stage makes on purpose: many, by seed and shares, and single ones that somebody orders.

use std::collections::BTreeSet;
use std::time::Duration;

use local::{FailingCalls, Fault, Figure, Figures, Orders, Seed, Shares};
use maud::{Markup, html};

use super::{Reply, Visit};
use crate::fields::Fields;
use crate::layout::{Page, Section, button, count, form, shown};
use crate::model::AppModel;
use crate::problem::{Problem, Result};
use crate::stage::Names;

/// The longest delay of SQS: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>.
const DELAY_SECONDS_MAX: u64 = 900;
/// The longest timeout of a function: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const LIFE_MILLISECONDS_MAX: u64 = 900_000;
const CALLS_MAX: u64 = 1000;

/// What may go wrong by itself: the name of the field, its label, and its share.
fn shares(shares: &Shares) -> [(&'static str, &'static str, f64); 5] {
    [
        ("calls", "Calls that fail", shares.calls),
        ("late", "Events late", shares.late),
        ("twice", "Events twice", shares.twice),
        ("killed", "Functions killed", shares.killed),
        (
            "completions",
            "Video jobs that never end",
            shares.completions,
        ),
    ]
}

/// The switches, and what was injected.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let figures = visit.stage.host.faults().figures();
    let body = html! {
        p.lead {
            "Cause the failures that can happen on AWS. AWS's guarantees still hold: every event is handled in the end, or "
            "is in a failure queue."
        }
        div #faults data-live {
            (state(visit, &figures))
            (orders(&app, &names, &figures.orders))
            (made(&figures))
        }
        (random(visit, &figures))
        section aria-label="Single faults" {
            h2 { "Single faults" }
            (failing_calls(visit, &app))
            (kill(visit, &app))
            (late_queue(visit, &app))
        }
    };
    Ok(Page::new(Section::Faults, "Faults", body))
}

fn state(visit: &Visit, figures: &Figures) -> Markup {
    let orders_are_open = figures.orders != Orders::default();
    html! {
        p.facts {
            @if figures.on {
                span.tag.warn { "on" }
                span { "Seed " code { (figures.seed) } }
            } @else { span.tag { "off" } }
            @if figures.held_back > 0 {
                span { (count(u64::try_from(figures.held_back).unwrap_or_default(), "event")) " held back" }
            }
        }
        @if figures.on || orders_are_open {
            div.tools { (button("/faults/off", visit.token(), "Stop all faults")) }
        }
    }
}

/// What is ordered and has not happened yet.
fn orders(app: &AppModel, names: &Names, orders: &Orders) -> Markup {
    let Orders {
        kill_after_ms,
        failing_calls,
        late_queues,
    } = orders;
    html! {
        @if *orders != Orders::default() {
            section aria-label="Scheduled faults" {
                h2 { "Scheduled faults" }
                ul.things {
                    @for FailingCalls { service, operation, fault, left } in failing_calls {
                        li {
                            span.thing { (shown(&format!("{service} {operation}"))) }
                            span { "the next " (count(*left, "call")) ": " (fault) }
                        }
                    }
                    @for (function, after_ms) in kill_after_ms {
                        li {
                            span.thing { (app.function_called(function).map_or(function, |function| &function.name)) }
                            span { "the next invocation is killed after " (after_ms) " ms" }
                        }
                    }
                    @for (url, seconds) in late_queues {
                        li {
                            span.thing { (names.friendly(app, url.rsplit('/').next().unwrap_or(url))) }
                            span { "messages arrive " (seconds) " s late" }
                        }
                    }
                }
            }
        }
    }
}

fn made(figures: &Figures) -> Markup {
    html! {
        section aria-label="Injected" {
            h2 { "Injected so far" }
            @if figures.faults.is_empty() {
                p.empty { "Nothing yet." }
            } @else {
                div.scroll {
                    table {
                        thead { tr {
                            th scope="col" { "Fault" } th.right scope="col" { "Injected" } th.right scope="col" { "Chances" } th.right scope="col" { "Share" }
                        } }
                        tbody {
                            @for (kind, Figure { injected, opportunities }) in &figures.faults {
                                tr {
                                    th scope="row" { (kind) }
                                    td.right { (injected) }
                                    @if kind.is_ordered() {
                                        td.right { "–" } td.right { "–" }
                                    } @else {
                                        td.right { (opportunities) }
                                        td.right { (share(*injected, *opportunities)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn share(injected: u64, opportunities: u64) -> String {
    match opportunities {
        0 => "–".to_owned(),
        of => format!("{:.1} %", injected as f64 / of as f64 * 100.0),
    }
}

fn random(visit: &Visit, figures: &Figures) -> Markup {
    let fields = html! {
        div.search {
            label { "Seed" input name="seed" inputmode="numeric" pattern="[0-9]{1,19}" required value=(figures.seed); }
            @for (name, label, share) in shares(&figures.shares) {
                label {
                    (label) small { "%" }
                    input name=(name) type="number" min="0" max="100" step="any" required value=(percent(share));
                }
            }
            button.main type="submit" { @if figures.on { "Start again" } @else { "Inject faults" } }
        }
    };
    html! {
        section aria-label="Random faults" {
            h2 { "Random faults" }
            (form("/faults/on", visit.token(), &fields))
            p.dim {
                "The seed decides which call, event or invocation meets a fault. The same seed causes the same faults again, "
                "also as " code { "cargo xtask local --chaos SEED" } "."
            }
        }
    }
}

/// Without the noise of binary fractions.
fn percent(share: f64) -> String {
    let rounded = format!("{:.3}", share * 100.0);
    rounded
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn failing_calls(visit: &Visit, app: &AppModel) -> Markup {
    let fields = html! {
        div.search {
            label {
                "Fail calls by functions"
                input name="operation" list="operations" required placeholder="dynamodb PutItem" spellcheck="false" autocomplete="off";
            }
            datalist #operations { @for operation in operations(app) { option value=(operation) {} } }
            label { "Next calls" input name="calls" type="number" min="1" max=(CALLS_MAX) required value="3"; }
            label {
                "Error"
                select name="fault" { @for fault in Fault::ALL { option { (fault) } } }
            }
            button type="submit" { "Fail calls" }
        }
    };
    html! {
        (form("/faults/fail", visit.token(), &fields))
        p.dim { "An SDK tries a call three times. The functions' processes restart, so that their calls pass a proxy." }
    }
}

/// What the app's functions may call. An action of IAM mostly has the operation's name.
fn operations(app: &AppModel) -> BTreeSet<String> {
    let grants = app.functions.iter().flat_map(|function| &function.grants);
    let operation = |action: &str| {
        let (service, action) = action.split_once(':')?;
        let operation = match (service, action) {
            ("s3", "ListBucket") => "ListObjectsV2",
            ("lambda", "InvokeFunction") => "Invoke",
            (_, action) => action,
        };
        Some(format!("{service} {operation}"))
    };
    grants
        .filter_map(|grant| operation(&grant.action))
        .collect()
}

fn kill(visit: &Visit, app: &AppModel) -> Markup {
    let fields = html! {
        div.search {
            label {
                "Kill a function"
                select name="function" { @for function in &app.functions { option { (function.name) } } }
            }
            label { "After" small { "ms" } input name="after" type="number" min="0" max=(LIFE_MILLISECONDS_MAX) required value="1"; }
            button type="submit" name="when" value="next" { "Kill the next invocation" }
            button type="submit" name="when" value="now" { "Kill its processes now" }
        }
    };
    html! {
        (form("/faults/kill", visit.token(), &fields))
        p.dim { "An invocation that ends earlier is killed as it answers: its work is done, but Lambda does not learn of it." }
    }
}

fn late_queue(visit: &Visit, app: &AppModel) -> Markup {
    let mut queues = app.nodes_of("queue").peekable();
    let fields = html! {
        div.search {
            label {
                "Delay a queue"
                select name="queue" { @for queue in app.nodes_of("queue") { option { (queue.name) } } }
            }
            label { "By" small { "s, 0 to stop" } input name="seconds" type="number" min="0" max=(DELAY_SECONDS_MAX) required value="10"; }
            button type="submit" { "Delay messages" }
        }
    };
    html! {
        @if queues.peek().is_some() {
            (form("/faults/delay", visit.token(), &fields))
            p.dim { "Functions receive the queue's messages this much later, including those already in it." }
        }
    }
}

fn done(sentence: impl Into<String>) -> Result<Reply> {
    Ok(Reply::done("/faults", sentence))
}

fn number(form: &Fields, name: &str, what: &str, max: u64) -> Result<u64> {
    let given = form.text(name).trim().parse().ok();
    given
        .filter(|number| *number <= max)
        .ok_or_else(|| Problem::mistake(format!("{what} is a whole number from 0 to {max}")))
}

/// Makes faults by seed and shares.
pub(super) async fn begin(visit: &Visit, form: &Fields) -> Result<Reply> {
    let seed: Seed = form
        .text("seed")
        .trim()
        .parse()
        .map_err(|_| Problem::mistake("a seed is a whole number of at most 19 digits"))?;
    let share = |name: &str| {
        let percent: f64 = form.text(name).trim().parse().unwrap_or(f64::NAN);
        percent / 100.0
    };
    let shares = Shares {
        calls: share("calls"),
        late: share("late"),
        twice: share("twice"),
        killed: share("killed"),
        completions: share("completions"),
    };
    if !shares.are_shares() {
        return Err(Problem::mistake("a share is a number from 0 to 100"));
    }
    visit.stage.host.faults().begin(seed, shares).await?;
    done(format!("The stage injects faults with seed {seed}"))
}

/// Ends all faults.
pub(super) async fn stop(visit: &Visit) -> Result<Reply> {
    visit.stage.host.faults().stop().await?;
    done("The stage injects no more faults, and delivers what it held back")
}

/// Has calls fail.
pub(super) async fn fail(visit: &Visit, form: &Fields) -> Result<Reply> {
    let named = form.text("operation").trim();
    let (service, operation) = named
        .split_once([' ', ':'])
        .map(|(service, operation)| (service.to_lowercase(), operation.trim()))
        .filter(|(_, operation)| !operation.is_empty())
        .ok_or_else(|| {
            Problem::mistake(format!(
                "`{named}` does not name a service and an operation"
            ))
            .hint("write both as AWS does, for example: dynamodb PutItem")
        })?;
    let mut faults = Fault::ALL.into_iter();
    let fault = faults
        .find(|fault| fault.to_string() == form.text("fault"))
        .ok_or_else(|| Problem::mistake("the form does not name an error"))?;
    let left = number(form, "calls", "the number of calls", CALLS_MAX)?;
    let calls = FailingCalls {
        service: service.clone(),
        operation: operation.to_owned(),
        fault,
        left,
    };
    let ordered = visit.stage.host.faults().order_failing_calls(calls);
    ordered.await?;
    let calls = count(left, "call");
    done(format!(
        "The next {calls} of {service} {operation} will meet: {fault}"
    ))
}

/// Kills a function.
pub(super) async fn kill_function(visit: &Visit, form: &Fields) -> Result<Reply> {
    let function = visit.stage.function(form.text("function"))?;
    let faults = visit.stage.host.faults();
    if form.text("when") == "now" {
        let killed = faults.kill_now(&function.physical_name).await;
        let killed = u64::try_from(killed?).unwrap_or_default();
        return done(match killed {
            0 => format!("{} has no process to kill", function.name),
            1 => format!("Killed 1 process of {}", function.name),
            more => format!("Killed {more} processes of {}", function.name),
        });
    }
    let after_ms = number(form, "after", "the time", LIFE_MILLISECONDS_MAX)?;
    let after = Duration::from_millis(after_ms);
    let ordered = faults.order_kill(&function.physical_name, after);
    ordered.await?;
    done(format!(
        "The next invocation of {} will be killed after {after_ms} ms",
        function.name
    ))
}

/// Has a queue's messages come late.
pub(super) async fn delay(visit: &Visit, form: &Fields) -> Result<Reply> {
    let queue = form.text("queue");
    let (_, url) = visit.stage.resource("queue", queue).await?;
    let seconds = number(form, "seconds", "the delay", DELAY_SECONDS_MAX)?;
    let ordered = visit.stage.host.faults().order_late_queue(&url, seconds);
    ordered.await?;
    done(match seconds {
        0 => format!("Messages of {queue} arrive on time"),
        late => format!("Messages of {queue} arrive {late} s late"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shop;

    #[test]
    fn operations_are_those_that_functions_may_call() {
        let operations: Vec<String> = operations(&shop()).into_iter().collect();
        assert_eq!(operations, ["dynamodb PutItem", "s3 GetObject"]);
    }

    #[test]
    fn a_share_is_shown_as_it_was_typed() {
        for (share, shown) in [
            (0.02, "2"),
            (0.1, "10"),
            (0.125, "12.5"),
            (1.0, "100"),
            (0.0, "0"),
        ] {
            assert_eq!(percent(share), shown);
        }
    }
}
