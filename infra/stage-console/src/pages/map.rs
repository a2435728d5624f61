//! The app as a picture, with what happens in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use maud::{Markup, html};
use traces::{InvocationResult, What};

use super::Visit;
use crate::layout::{Page, Section, count, short};
use crate::model::{AppModel, NodeModel};
use crate::problem::{Problem, Result};
use crate::stage::Names;

const BOX_WIDTH: usize = 220;
const BOX_HEIGHT: usize = 46;
/// So many characters of a name have room in a box.
const NAME: usize = 23;
const ROW: usize = 62;
const COLUMN: usize = 400;
const MARGIN: usize = 16;
/// How far back events are counted.
const WINDOW_MS: f64 = 60_000.0;

/// What happened at a node in the last minute, and what waits there.
#[derive(Default, Clone, Copy)]
struct Activity {
    events: u64,
    errors: u64,
    waiting: u64,
}

/// Where a node is drawn.
struct Place<'a> {
    node: &'a NodeModel,
    column: usize,
    row: usize,
}

impl Place<'_> {
    fn left(&self) -> usize {
        MARGIN + self.column * COLUMN
    }

    fn top(&self) -> usize {
        MARGIN + self.row * ROW
    }

    fn middle(&self) -> usize {
        self.top() + BOX_HEIGHT / 2
    }
}

/// The picture.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let app = visit.stage.app();
    let names = visit.stage.names().await?;
    let activity = activity(visit, &app, &names).await?;
    let urls = visit.stage.host.endpoint_urls();
    let waiting: u64 = activity.values().map(|activity| activity.waiting).sum();
    let errors: u64 = activity.values().map(|activity| activity.errors).sum();
    let events: u64 = app
        .functions
        .iter()
        .filter_map(|function| activity.get(function.node.as_str()))
        .map(|activity| activity.events)
        .sum();
    let body = html! {
        div #map data-live {
            p.facts {
                span { (count(events, "invocation")) " in the last minute" }
                @if errors > 0 { span.tag.bad { (count(errors, "error")) } }
                @if waiting > 0 { a.tag.bad href="/data" { (count(waiting, "event")) " in failure queues" } }
            }
            div.scroll.map { (picture(&app, &activity)) }
            p.legend {
                span { svg width="34" height="8" aria-hidden="true" { line.event x1="0" y1="4" x2="34" y2="4" {} } " an event invokes a function" }
                span { svg width="34" height="8" aria-hidden="true" { line.grant x1="0" y1="4" x2="34" y2="4" {} } " a function may use a resource" }
            }
        }
        @if !app.endpoints.is_empty() {
            h2 { "Addresses" }
            ul.things {
                @for (endpoint, url) in app.endpoints.iter().zip(urls) {
                    li {
                        span.thing { (endpoint.name) " " (endpoint.noun) }
                        a href=(url) rel="noreferrer" { (url) }
                        code.place { (endpoint.variable) }
                    }
                }
            }
        }
    };
    Ok(Page::new(Section::Map, app.name.clone(), body).wide())
}

/// By the nodes' IDs.
async fn activity(
    visit: &Visit,
    app: &AppModel,
    names: &Names,
) -> Result<BTreeMap<String, Activity>> {
    let since = Timestamp::now().as_millisecond() as f64 - WINDOW_MS;
    let traces = visit.stage.host.traces();
    let counted = traces.read(|history| {
        let mut counted: BTreeMap<String, Activity> = BTreeMap::new();
        let mut add = |node: Option<&str>, is_error: bool| {
            if let Some(node) = node {
                let activity = counted.entry(node.to_owned()).or_default();
                activity.events += 1;
                activity.errors += u64::from(is_error);
            }
        };
        let mut begun = BTreeMap::new();
        for occurrence in history
            .occurrences()
            .filter(|occurrence| occurrence.at_ms >= since)
        {
            match &occurrence.what {
                What::Invocation(start) => {
                    let node = app
                        .function_called(&start.function)
                        .map(|function| function.node.as_str());
                    begun.insert(start.id.as_str(), node);
                    add(node, false);
                }
                What::Call(call) => {
                    let resource = call.resource.as_deref().unwrap_or_default();
                    let node = names.node_at(app, resource).map(|node| node.id.as_str());
                    let service = || {
                        let mut services = app.nodes_of("service");
                        services
                            .find(|node| node.name == call.service)
                            .map(|node| node.id.as_str())
                    };
                    add(node.or_else(service), call.status >= 400);
                }
                _ => {}
            }
        }
        for occurrence in history
            .occurrences()
            .filter(|occurrence| occurrence.at_ms >= since)
        {
            if let What::Ended(end) = &occurrence.what
                && matches!(end.result, InvocationResult::Error { .. })
                && let Some(Some(node)) = begun.get(end.id.as_str())
                && let Some(activity) = counted.get_mut(*node)
            {
                activity.errors += 1;
            }
        }
        counted
    });
    let mut counted = counted
        .await
        .map_err(|error| Problem::failed(format!("could not read the history: {error}")))?;
    let outputs = visit.stage.outputs().await?;
    for function in &app.functions {
        let url = function
            .failure_queue_output
            .as_ref()
            .and_then(|output| outputs.get(output));
        if let Some(url) = url
            && let Ok(depth) = deploy::queue_depth(&visit.stage.target, url).await
        {
            let activity = counted.entry(function.node.clone()).or_default();
            activity.waiting = depth.waiting + depth.hidden;
        }
    }
    Ok(counted)
}

/// Events come from the left, functions stand in the middle, and what is only used on the right. In each column, a node
/// stands as near as it can to those that it is connected with.
fn layout(app: &AppModel) -> Vec<Place<'_>> {
    let sources: BTreeSet<&str> = app
        .arrows
        .iter()
        .filter(|arrow| !arrow.is_grant)
        .map(|arrow| arrow.from.as_str())
        .collect();
    let column_of = |node: &NodeModel| match node.noun.as_str() {
        "function" => 1,
        _ if sources.contains(node.id.as_str()) => 0,
        _ => 2,
    };
    let is_connected = |node: &&NodeModel| {
        let mut arrows = app.arrows.iter();
        node.noun == "function" || arrows.any(|arrow| arrow.from == node.id || arrow.to == node.id)
    };
    let mut columns: [Vec<&NodeModel>; 3] = Default::default();
    for node in app.nodes.iter().filter(is_connected) {
        columns[column_of(node)].push(node);
    }
    // Functions follow the sources of their events, then what they use follows the functions.
    for _ in 0..4 {
        for (column, beside) in [(1, 0), (2, 1), (0, 1)] {
            let rows: BTreeMap<&str, usize> = columns[beside]
                .iter()
                .enumerate()
                .map(|(row, node)| (node.id.as_str(), row * 100 / columns[beside].len().max(1)))
                .collect();
            let height = |node: &NodeModel| {
                let near: Vec<usize> = app
                    .arrows
                    .iter()
                    .filter(|arrow| column == 2 || !arrow.is_grant)
                    .filter_map(|arrow| match &node.id {
                        id if *id == arrow.to => rows.get(arrow.from.as_str()),
                        id if *id == arrow.from => rows.get(arrow.to.as_str()),
                        _ => None,
                    })
                    .copied()
                    .collect();
                // What is connected with nothing beside goes to the end.
                if near.is_empty() {
                    1000
                } else {
                    near.iter().sum::<usize>() / near.len()
                }
            };
            columns[column].sort_by_key(|node| height(node));
        }
    }
    columns
        .into_iter()
        .enumerate()
        .flat_map(|(column, nodes)| {
            let place = move |(row, node)| Place { node, column, row };
            nodes.into_iter().enumerate().map(place)
        })
        .collect()
}

fn picture(app: &AppModel, activity: &BTreeMap<String, Activity>) -> Markup {
    let places = layout(app);
    let rows = places
        .iter()
        .map(|place| place.row + 1)
        .max()
        .unwrap_or_default();
    let width = 2 * MARGIN + 2 * COLUMN + BOX_WIDTH;
    let height = 2 * MARGIN + rows * ROW;
    let place_of = |id: &str| places.iter().find(|place| place.node.id == id);
    let arrows: Vec<_> = app
        .arrows
        .iter()
        .filter_map(|arrow| Some((arrow, place_of(&arrow.from)?, place_of(&arrow.to)?)))
        .collect();
    html! {
        svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" aria-label="The app's resources and functions, and what connects them" {
            // What a function may do lies below the events.
            @for is_grant in [true, false] {
                @for (arrow, from, to) in arrows.iter().filter(|(arrow, ..)| arrow.is_grant == is_grant) {
                    path.arrow.grant[is_grant].event[!is_grant] d=(curve(from, to)) {
                        title { (from.node.name) " → " (to.node.name) ": " (arrow.labels.join(", ")) }
                    }
                }
            }
            @for place in &places {
                (node(place, activity.get(&place.node.id).copied().unwrap_or_default()))
            }
        }
    }
}

/// From side to side.
fn curve(from: &Place<'_>, to: &Place<'_>) -> String {
    let (x1, x2) = if from.column < to.column {
        (from.left() + BOX_WIDTH, to.left())
    } else if from.column > to.column {
        (from.left(), to.left() + BOX_WIDTH)
    } else {
        (from.left() + BOX_WIDTH, to.left() + BOX_WIDTH)
    };
    let (y1, y2) = (from.middle(), to.middle());
    if from.column == to.column {
        let bend = x1 + 60;
        return format!("M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}");
    }
    let bend = (x1 + x2) / 2;
    format!("M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}")
}

fn node(place: &Place<'_>, activity: Activity) -> Markup {
    let NodeModel { noun, name, .. } = place.node;
    let (x, y) = (place.left(), place.top());
    let trouble = match (activity.waiting, activity.errors) {
        (0, 0) => None,
        (0, errors) => Some(count(errors, "error")),
        (waiting, _) => Some(format!("{waiting} failed")),
    };
    let drawing = html! {
        title { (name) }
        rect.box.(format!("is-{}", noun.replace(' ', "-"))).trouble[trouble.is_some()]
            x=(x) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="8" {}
        text.noun x=(x + 12) y=(y + 17) { (noun) }
        text.name x=(x + 12) y=(y + 35) { (short(name, NAME)) }
        text.count x=(x + BOX_WIDTH - 12) y=(y + 17) {
            @if let Some(trouble) = &trouble { tspan.bad { (trouble) } }
            @if trouble.is_some() && activity.events > 0 { " · " }
            @if activity.events > 0 { (activity.events) }
        }
    };
    match path_of(place.node) {
        Some(path) => html! { a href=(path) { (drawing) } },
        None => html! { g { (drawing) } },
    }
}

/// The page of a node, if it has one.
fn path_of(NodeModel { noun, name, .. }: &NodeModel) -> Option<String> {
    Some(match noun.as_str() {
        "function" => format!("/functions/{name}"),
        "table" | "bucket" | "queue" | "topic" => format!("/data/{noun}/{name}"),
        "schedule" => "/data".to_owned(),
        "HTTP API" | "function URL" => "/events?kind=request".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shop;

    #[test]
    fn every_connected_node_has_a_place_of_its_own() {
        let app = shop();
        let places = layout(&app);
        let taken: BTreeSet<(usize, usize)> = places
            .iter()
            .map(|place| (place.column, place.row))
            .collect();
        assert_eq!(taken.len(), places.len());
        let column = |name: &str, noun: &str| {
            let mut places = places.iter();
            places
                .find(|place| place.node.name == name && place.node.noun == noun)
                .unwrap()
                .column
        };
        assert_eq!(column("photos", "bucket"), 0);
        assert_eq!(column("sell", "function"), 1);
        // Its stream invokes a function.
        assert_eq!(column("orders", "table"), 0);
    }

    #[test]
    fn nodes_lead_to_their_pages() {
        let drawn = picture(&shop(), &BTreeMap::new()).into_string();
        for path in [
            "/functions/sell",
            "/data/table/orders",
            "/data/bucket/photos",
            "/data/queue/parcels",
            "/data/topic/orders",
        ] {
            assert!(drawn.contains(&format!("href=\"{path}\"")), "{path}");
        }
    }
}
