//! The app as a picture: what happens, what it invokes, and what that may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::app::App;
use crate::function::Function;
use crate::grant::Grant;
use crate::name;
use crate::resource_id::ResourceId;

impl App {
    /// The app as a flowchart of [Mermaid](https://mermaid.js.org/syntax/flowchart.html). A solid
    /// arrow is an event that invokes a function, a dashed one is what a function may do. The same
    /// app gives the same bytes.
    #[must_use]
    pub fn graph(&self) -> String {
        let mut chart = Chart::default();
        for resource in self.declared() {
            let id = &resource.named().id;
            chart.node(&id.logical_id(), "([", &without_ticks(id), "])");
            for other in resource.leads_to() {
                chart.solid(&id.logical_id(), &other.logical_id(), "");
            }
        }
        for function in self.functions() {
            chart.node(&node_of(function), "[", function.name(), "]");
            for trigger in function.triggers() {
                let source = trigger.source().logical_id();
                chart.solid(&source, &node_of(function), trigger.label());
            }
            for grant in function.grants() {
                chart.grant(function, grant);
            }
        }
        chart.text()
    }
}

fn node_of(function: &Function) -> String {
    function.logical_id("Function")
}

fn without_ticks(id: &ResourceId) -> String {
    id.to_string().replace('`', "")
}

/// A flowchart under construction. Several arrows of a kind between two nodes are one.
#[derive(Default)]
struct Chart {
    nodes: Vec<String>,
    /// AWS services that functions call beside the app's resources.
    services: BTreeSet<String>,
    solid: Arrows,
    dashed: Arrows,
}

/// From and to → what the arrow says, line by line.
type Arrows = BTreeMap<(String, String), Vec<String>>;

impl Chart {
    fn node(&mut self, id: &str, open: &str, label: &str, close: &str) {
        self.nodes.push(format!("{id}{open}\"{label}\"{close}"));
    }

    fn solid(&mut self, from: &str, to: &str, label: &str) {
        add(&mut self.solid, from, to, label);
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
            add(&mut self.dashed, &node_of(function), &to, action.1);
        }
    }

    fn text(self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        let services = self.services.iter();
        let services =
            services.map(|service| format!("{}{{{{\"{service}\"}}}}", service_node(service)));
        for node in self.nodes.into_iter().chain(services) {
            let _ = writeln!(text, "    {node}");
        }
        for (arrow, arrows) in [("-->", self.solid), ("-.->", self.dashed)] {
            for ((from, to), labels) in arrows {
                let label = match labels.join("<br/>") {
                    label if label.is_empty() => label,
                    label => format!("|\"{label}\"|"),
                };
                let _ = writeln!(text, "    {from} {arrow}{label} {to}");
            }
        }
        text
    }
}

fn service_node(service: &str) -> String {
    format!("{}Service", name::pascal_case(service))
}

fn add(arrows: &mut Arrows, from: &str, to: &str, label: &str) {
    let labels = arrows.entry((from.to_owned(), to.to_owned())).or_default();
    // Within quotes, Mermaid takes every character but the quote.
    let label = label.replace('"', "#quot;");
    if !label.is_empty() && !labels.contains(&label) {
        labels.push(label);
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
        let graph = resolve(&shop.app, "").graph();
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
    }
}
