//! The app, as the console knows it.

use manifest::App;
use serde::{Deserialize, Serialize};

/// An app. It can be sent from one program to another: when the manifest changes, a newer program declares the app than
/// the one that shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppModel {
    /// Its name.
    pub name: String,
    /// The name of its stack.
    pub stack: String,
    /// Its resources, its functions, and the services that these call.
    pub nodes: Vec<NodeModel>,
    /// What connects them.
    pub arrows: Vec<ArrowModel>,
    /// Its functions, by name.
    pub functions: Vec<FunctionModel>,
    /// Its schedules.
    pub schedules: Vec<ScheduleModel>,
    /// Where it answers requests, in the order of their ports.
    pub endpoints: Vec<EndpointModel>,
}

/// See [`manifest::Node`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeModel {
    /// The logical ID.
    pub id: String,
    /// `bucket`, `function` and so on.
    pub noun: String,
    /// The name in the manifest.
    pub name: String,
    /// The line of the declaration.
    pub declared_at: Option<String>,
}

/// See [`manifest::Arrow`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrowModel {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Events or actions.
    pub labels: Vec<String>,
    /// Whether it is what a function may do.
    pub is_grant: bool,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionModel {
    /// Its name in the manifest.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its name in Lambda.
    pub physical_name: String,
    /// What an invocation names.
    pub invocation_name: String,
    /// Where it logs.
    pub log_group: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its memory, in MB.
    pub memory_mb: u32,
    /// The longest an invocation may take.
    pub timeout_seconds: u32,
    /// The line of the declaration.
    pub declared_at: String,
    /// The stack output with the URL of its failure queue.
    pub failure_queue_output: Option<String>,
    /// What it is granted.
    pub grants: Vec<GrantModel>,
}

/// An action that a function is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantModel {
    /// IAM's name of the action.
    pub action: String,
    /// The resource, such as ``bucket `photos` ``; none if it is every resource.
    pub resource: Option<String>,
    /// The line of the grant.
    pub declared_at: String,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleModel {
    /// Its name in the manifest.
    pub name: String,
    /// The function that it invokes, by its name in the manifest.
    pub function: String,
    /// What it invokes the function with, before EventBridge Scheduler fills in the times.
    pub input: String,
}

/// An HTTP API or a function URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointModel {
    /// Its name in the manifest.
    pub name: String,
    /// `HTTP API` or `function URL`.
    pub noun: String,
    /// The environment variable with its URL.
    pub variable: String,
}

impl AppModel {
    /// Of a resolved app.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let picture = app.picture();
        let nodes: Vec<NodeModel> = picture
            .nodes
            .into_iter()
            .map(|node| NodeModel {
                id: node.id,
                noun: node.noun.to_owned(),
                name: node.name,
                declared_at: node.declared_at,
            })
            .collect();
        let arrows = picture.arrows.into_iter().map(|arrow| ArrowModel {
            from: arrow.from,
            to: arrow.to,
            labels: arrow.labels,
            is_grant: arrow.is_grant,
        });
        let functions = app.functions().map(|function| FunctionModel {
            name: function.name().to_owned(),
            node: nodes
                .iter()
                .find(|node| node.noun == "function" && node.name == function.name())
                .map(|node| node.id.clone())
                .unwrap_or_default(),
            physical_name: function.physical_name(),
            invocation_name: function.invocation_name(),
            log_group: function.log_group(),
            description: function.description().map(str::to_owned),
            memory_mb: function.memory_mb(),
            timeout_seconds: function.timeout_seconds(),
            declared_at: function.declared_at(),
            failure_queue_output: function.failure_queue_output(),
            grants: function
                .granted_actions()
                .into_iter()
                .map(|granted| GrantModel {
                    action: granted.action,
                    resource: granted.resource,
                    declared_at: granted.declared_at,
                })
                .collect(),
        });
        let schedules = app.schedules().map(|schedule| ScheduleModel {
            name: schedule.name,
            function: schedule.function,
            input: schedule.input.as_str().to_owned(),
        });
        let endpoints = app.endpoints().map(|endpoint| EndpointModel {
            name: endpoint.name,
            noun: endpoint.noun.to_owned(),
            variable: endpoint.variable,
        });
        Self {
            name: app.name().to_owned(),
            stack: app.stack_name(),
            arrows: arrows.collect(),
            functions: functions.collect(),
            schedules: schedules.collect(),
            endpoints: endpoints.collect(),
            nodes,
        }
    }

    /// Its resources of a kind.
    pub(crate) fn nodes_of<'a>(&'a self, noun: &'a str) -> impl Iterator<Item = &'a NodeModel> {
        self.nodes.iter().filter(move |node| node.noun == noun)
    }

    /// The resource of a kind and name.
    pub(crate) fn node(&self, noun: &str, name: &str) -> Option<&NodeModel> {
        let mut nodes = self.nodes.iter();
        nodes.find(|node| node.noun == noun && node.name == name)
    }

    /// The function of this name in the manifest.
    pub(crate) fn function(&self, name: &str) -> Option<&FunctionModel> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The function that Lambda calls so.
    pub(crate) fn function_called(&self, physical_name: &str) -> Option<&FunctionModel> {
        let mut functions = self.functions.iter();
        functions.find(|function| function.physical_name == physical_name)
    }
}
