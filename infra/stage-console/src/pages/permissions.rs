//! Calls that were denied, each with the line of Rust that allows it.

use local::Decision;
use maud::{Markup, html};

use super::Visit;
use crate::layout::{Page, Section, count, shown, time};
use crate::model::AppModel;
use crate::problem::Result;
use crate::stage::Names;

/// The list.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let decisions = visit.decisions().await?;
    let mut denied: Vec<&Decision> = decisions
        .iter()
        .filter(|decision| decision.denied > 0)
        .collect();
    denied.sort_by_key(|decision| std::cmp::Reverse(decision.denied_at_ms));
    let allowed: u64 = decisions.iter().map(|decision| decision.allowed).sum();
    let body = html! {
        p.lead {
            "The stage checks every call against the caller's policies, as IAM does. AWS would deny the same calls."
        }
        section #denied data-live aria-label="Denied calls" {
            @if denied.is_empty() {
                p.empty {
                    "No call has been denied"
                    @if allowed > 0 { "; " (count(allowed, "check")) " passed" }
                    "."
                }
            } @else {
                ol.messages {
                    @for decision in denied { (entry(visit, &app, &names, decision).await) }
                }
            }
        }
    };
    Ok(Page::new(Section::Permissions, "Permissions", body))
}

async fn entry(visit: &Visit, app: &AppModel, names: &Names, decision: &Decision) -> Markup {
    let function = decision
        .function()
        .and_then(|name| app.function_called(name));
    let resource = match names.node_at(app, &decision.resource) {
        Some(node) => format!("{} {}", node.noun, node.name),
        None => decision.resource.clone(),
    };
    let hint = match function {
        Some(function) => {
            let host = &visit.stage.host;
            let hint = host.grant_hint(&function.name, &decision.action, &decision.resource);
            Some(hint.await.unwrap_or_else(|problem| problem))
        }
        None => None,
    };
    html! {
        li {
            p.reason {
                @match function {
                    Some(function) => a href=(format!("/functions/{}", function.name)) { (function.name) },
                    None => code { (shown(&decision.principal)) },
                }
                " may not " strong { (shown(&decision.action)) } " on " (shown(&resource))
            }
            @if let Some(hint) = hint { p.hint-line { code { (shown(&hint)) } } }
            p.facts {
                (time(decision.denied_at_ms))
                span { "denied " (count(decision.denied, "time")) }
                code { (shown(&decision.resource)) }
            }
        }
    }
}
