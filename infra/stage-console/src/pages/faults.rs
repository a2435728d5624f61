//! Faults that the stage makes on purpose.

use std::sync::Arc;

use local::Faults;
use maud::html;

use super::{Reply, Visit};
use crate::layout::{Page, Section, button, count};
use crate::problem::{Problem, Result};

/// Which faults were made.
pub(super) fn show(visit: &Visit) -> Page {
    let body = match visit.stage.host.faults() {
        None => html! {
            p.empty {
                "This stage makes no faults. Start one that does: " code { "cargo xtask local --chaos" }
            }
        },
        Some(faults) => {
            let figures = faults.figures();
            let (path, text) = if figures.on {
                ("/faults/off", "Stop faults")
            } else {
                ("/faults/on", "Make faults")
            };
            html! {
                p.lead {
                    "What may go wrong on AWS goes wrong more often: calls fail, events come late and twice, functions are killed. "
                    "Nothing that AWS promises is broken."
                }
                div #faults data-live {
                    p.facts {
                        @if figures.on { span.tag.warn { "on" } } @else { span.tag { "off" } }
                        span { "Seed " code { (figures.seed) } }
                        @if figures.held_back > 0 {
                            span { (count(u64::try_from(figures.held_back).unwrap_or_default(), "event")) " held back" }
                        }
                    }
                    div.tools { (button(path, visit.token(), text)) }
                    div.scroll {
                        table {
                            thead { tr {
                                th scope="col" { "Fault" } th.right scope="col" { "Made" } th.right scope="col" { "Of" } th.right scope="col" { "Share" }
                            } }
                            tbody {
                                @for (kind, figure) in &figures.faults {
                                    tr {
                                        th scope="row" { (kind) }
                                        td.right { (figure.injected) }
                                        td.right { (figure.opportunities) }
                                        td.right { (share(figure.injected, figure.opportunities)) }
                                    }
                                }
                            }
                        }
                    }
                    @if figures.faults.is_empty() { p.dim { "Nothing has happened yet that could have gone wrong." } }
                }
                p.dim { "The same faults again: " code { "cargo xtask local --chaos " (figures.seed) } }
            }
        }
    };
    Page::new(Section::Faults, "Faults", body)
}

fn share(injected: u64, opportunities: u64) -> String {
    match opportunities {
        0 => "–".to_owned(),
        of => format!("{:.1} %", injected as f64 / of as f64 * 100.0),
    }
}

/// Makes faults, or stops making them.
pub(super) fn switch(visit: &Visit, on: bool) -> Result<Reply> {
    let faults: Arc<Faults> = visit.stage.host.faults().ok_or_else(|| {
        Problem::mistake("this stage makes no faults")
            .hint("start one that does: cargo xtask local --chaos")
    })?;
    let sentence = if on {
        faults.resume();
        "The stage makes faults"
    } else {
        faults.stop();
        "The stage makes no more faults; what was held back is delivered"
    };
    Ok(Reply::done("/faults", sentence))
}
