//! The app as a picture: what happens, what it invokes, and what that may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::app::App;
use crate::function::Function;
use crate::grant::Grant;
use crate::name;
use crate::resource_id::ResourceId;

/// The parts of an app and what connects them, as a graph to draw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Resources in the order of declaration, then functions by name, then services.
    pub nodes: Vec<Node>,
    /// Events first, then what functions may do, each sorted by its ends.
    pub arrows: Vec<Arrow>,
}

/// A resource or function of the app, or a service that functions call beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its logical ID, or one that no resource has.
    pub id: String,
    /// What it is: `bucket`, `function`, `service` and so on.
    pub noun: &'static str,
    /// Its name in the manifest, with what it is a part of; or IAM's name of the service.
    pub name: String,
    /// The line that declares it, such as `infra/app/src/lib.rs:63`; none for a service.
    pub declared_at: Option<String>,
}

/// What connects two nodes, by their IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Events that invoke a function, or actions that a function may do.
    pub labels: Vec<String>,
    /// Whether it is what a function may do, and not an event.
    pub is_grant: bool,
}

/// What a function is called among the nodes.
const FUNCTION: &str = "function";
/// What a service is called among the nodes.
const SERVICE: &str = "service";

impl App {
    /// The app as nodes and arrows. Several arrows of a kind between two nodes are one.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let mut drawing = Drawing::default();
        for resource in self.declared() {
            let named = resource.named();
            let id = named.id.logical_id();
            for other in resource.leads_to() {
                drawing.event(&id, &other.logical_id(), "");
            }
            drawing.nodes.push(Node {
                id,
                noun: named.id.noun().noun,
                name: name_of(&named.id),
                declared_at: Some(named.origin.to_string()),
            });
        }
        for function in self.functions() {
            drawing.nodes.push(Node {
                id: node_of(function),
                noun: FUNCTION,
                name: function.name().to_owned(),
                declared_at: Some(function.declared_at()),
            });
            for trigger in function.triggers() {
                let source = trigger.source().logical_id();
                drawing.event(&source, &node_of(function), trigger.label());
            }
            for grant in function.grants() {
                drawing.grant(function, grant);
            }
        }
        drawing.picture()
    }

    /// The app as a flowchart of [Mermaid](https://mermaid.js.org/syntax/flowchart.html). A solid
    /// arrow is an event that invokes a function, a dashed one is what a function may do. The same
    /// app gives the same bytes.
    #[must_use]
    pub fn graph(&self) -> String {
        self.picture().flowchart()
    }

    /// The part of [`graph`](Self::graph) that shows events: without grants, and without what no
    /// event comes from or leads to.
    #[must_use]
    pub fn event_graph(&self) -> String {
        let Picture {
            mut nodes,
            mut arrows,
        } = self.picture();
        arrows.retain(|arrow| !arrow.is_grant);
        nodes.retain(|node| {
            arrows
                .iter()
                .any(|arrow| [&arrow.from, &arrow.to].contains(&&node.id))
        });
        Picture { nodes, arrows }.flowchart()
    }
}

impl Picture {
    fn flowchart(self) -> String {
        let Picture { nodes, arrows } = self;
        let mut text = "flowchart LR\n".to_owned();
        for Node { id, noun, name, .. } in nodes {
            let _ = match noun {
                FUNCTION => writeln!(text, "    {id}[\"{name}\"]"),
                SERVICE => writeln!(text, "    {id}{{{{\"{name}\"}}}}"),
                noun => writeln!(text, "    {id}([\"{noun} {name}\"])"),
            };
        }
        for arrow in arrows {
            let (from, to) = (&arrow.from, &arrow.to);
            let line = if arrow.is_grant { "-.->" } else { "-->" };
            // Within quotes, Mermaid takes every character but the quote.
            let label = arrow.labels.join("<br/>").replace('"', "#quot;");
            let _ = if label.is_empty() {
                writeln!(text, "    {from} {line} {to}")
            } else {
                writeln!(text, "    {from} {line}|\"{label}\"| {to}")
            };
        }
        text
    }
}

fn node_of(function: &Function) -> String {
    function.logical_id("Function")
}

fn name_of(id: &ResourceId) -> String {
    match id.whole() {
        None => id.name().to_owned(),
        Some(whole) => format!("{} of {} {}", id.name(), whole.noun().noun, name_of(whole)),
    }
}

/// A picture under construction.
#[derive(Default)]
struct Drawing {
    nodes: Vec<Node>,
    /// AWS services that functions call beside the app's resources.
    services: BTreeSet<String>,
    events: Arrows,
    grants: Arrows,
}

/// From and to → what the arrow says, line by line.
type Arrows = BTreeMap<(String, String), Vec<String>>;

impl Drawing {
    fn event(&mut self, from: &str, to: &str, label: &str) {
        add(&mut self.events, from, to, label);
    }

    fn grant(&mut self, function: &Function, grant: &Grant) {
        let to = match (grant.resource(), grant.service()) {
            (Some(resource), _) => resource.logical_id(),
            (None, Some(service)) => {
                self.services.insert(service.to_owned());
                service_node(service)
            }
            (None, None) => return,
        };
        let actions = grant.iam_actions().iter();
        for action in actions.filter_map(|action| action.split_once(':')) {
            add(&mut self.grants, &node_of(function), &to, action.1);
        }
    }

    fn picture(self) -> Picture {
        let services = self.services.into_iter().map(|service| Node {
            id: service_node(&service),
            noun: SERVICE,
            name: service,
            declared_at: None,
        });
        let arrows = |arrows: Arrows, is_grant| {
            arrows.into_iter().map(move |((from, to), labels)| Arrow {
                from,
                to,
                labels,
                is_grant,
            })
        };
        Picture {
            nodes: self.nodes.into_iter().chain(services).collect(),
            arrows: arrows(self.events, false)
                .chain(arrows(self.grants, true))
                .collect(),
        }
    }
}

fn service_node(service: &str) -> String {
    format!("{}Service", name::pascal_case(service))
}

fn add(arrows: &mut Arrows, from: &str, to: &str, label: &str) {
    let labels = arrows.entry((from.to_owned(), to.to_owned())).or_default();
    if !label.is_empty() && !labels.iter().any(|known| known == label) {
        labels.push(label.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use crate::grant::Grant;
    use crate::kind::BucketAction::{GetObject, PutObject};
    use crate::kind::ItemChange::{Insert, Remove};
    use crate::testing::{resolve, shop};

    #[test]
    fn an_app_is_drawn() {
        let shop = shop();
        shop.sell
            .trigger(shop.bucket.object_created().suffix(".jpg"))
            .trigger(shop.http_api.get("/{name+}"))
            .trigger(shop.http_api.post("/"))
            .trigger(shop.table.item_changes([Remove, Insert]))
            .grant(
                shop.bucket
                    .allow([GetObject, PutObject])
                    .recursive("it writes .png"),
            )
            .grant(shop.publisher.pass())
            .grant(Grant::unscoped("rekognition:DetectLabels", "no ARN"));
        shop.app.function("bill").trigger(shop.topic.published());
        let app = resolve(&shop.app, "");
        let graph = app.graph();
        assert_eq!(
            graph,
            r#"flowchart LR
    OrdersTopic(["topic orders"])
    PhotosBucket(["bucket photos"])
    OrdersTable(["table orders"])
    OrdersPublisherRole(["publisher orders"])
    ParcelsQueue(["queue parcels"])
    ShopHttpApi(["HTTP API shop"])
    BillFunction["bill"]
    SellFunction["sell"]
    RekognitionService{{"rekognition"}}
    OrdersPublisherRole --> OrdersTopic
    OrdersTable -->|"INSERT, REMOVE"| SellFunction
    OrdersTopic -->|"message"| BillFunction
    PhotosBucket -->|"object created with suffix `.jpg`"| SellFunction
    ShopHttpApi -->|"GET /{name+}<br/>POST /"| SellFunction
    SellFunction -.->|"PassRole"| OrdersPublisherRole
    SellFunction -.->|"GetObject<br/>PutObject"| PhotosBucket
    SellFunction -.->|"DetectLabels"| RekognitionService
"#
        );
        assert_eq!(graph, resolve(&shop.app, "").graph());
        let is_event = |line: &&str| {
            let others = ["-.->", "ParcelsQueue", "RekognitionService"];
            !others.iter().any(|other| line.contains(other))
        };
        let events: Vec<&str> = graph.lines().filter(is_event).collect();
        let event_graph = app.event_graph();
        assert_eq!(event_graph.lines().collect::<Vec<_>>(), events);
    }
}
