//! The vocabulary of [`mod@crate::app`]: what an app can consist of.
//!
//! A resource is a value. Triggers and grants are made from it, so what they refer
//! to cannot be misspelt, and a trigger carries both the wiring of an event and the
//! permission that the wiring needs.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::cloudformation::{attribute, reference, sub};
use crate::name;

/// An app: its resources and the functions that work on them.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Prefix of every name in an AWS account, in kebab-case.
    pub name: &'static str,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SNS topics.
    pub topics: Vec<Topic>,
    /// Roles by which AWS services publish to them.
    pub publishers: Vec<Publisher>,
    /// API Gateway HTTP APIs.
    pub http_apis: Vec<HttpApi>,
    /// Lambda functions.
    pub functions: Vec<Function>,
}

impl Manifest {
    /// The functions' names, which are also their packages' and binaries' names.
    #[must_use]
    pub fn function_names(&self) -> Vec<&str> {
        self.functions
            .iter()
            .map(|function| function.name.as_str())
            .collect()
    }

    /// Every resource that functions can refer to, and its variable.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (Handle, Option<&str>)> {
        let buckets = self.buckets.iter().map(|bucket| {
            let handle = Handle::Bucket(bucket.name.clone());
            (handle, bucket.variable.as_deref())
        });
        let tables = self.tables.iter().map(|table| {
            let handle = Handle::Table(table.name.clone());
            (handle, table.variable.as_deref())
        });
        let topics = self.topics.iter().map(|topic| {
            let handle = Handle::Topic(topic.name.clone());
            (handle, topic.variable.as_deref())
        });
        let publishers = self.publishers.iter().map(|publisher| {
            let handle = Handle::Publisher(publisher.topic.clone());
            (handle, publisher.variable.as_deref())
        });
        let http_apis = self.http_apis.iter().map(|http_api| {
            let handle = Handle::HttpApi(http_api.name.clone());
            (handle, http_api.variable.as_deref())
        });
        let topics = topics.chain(publishers);
        buckets.chain(tables).chain(topics).chain(http_apis)
    }
}

/// A resource, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Handle {
    Bucket(String),
    Table(String),
    Topic(String),
    Publisher(String),
    HttpApi(String),
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Bucket(_) => "bucket",
            Self::Table(_) => "table",
            Self::Topic(_) => "topic",
            Self::Publisher(_) => "publisher",
            Self::HttpApi(_) => "HTTP API",
        };
        write!(f, "{kind} `{}`", self.name())
    }
}

impl Handle {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Bucket(name)
            | Self::Table(name)
            | Self::Topic(name)
            | Self::Publisher(name)
            | Self::HttpApi(name) => name,
        }
    }

    pub(crate) fn logical_id(&self) -> String {
        let kind = match self {
            Self::Bucket(_) => "Bucket",
            Self::Table(_) => "Table",
            Self::Topic(_) => "Topic",
            Self::Publisher(_) => "PublisherRole",
            Self::HttpApi(_) => "HttpApi",
        };
        format!("{}{kind}", name::pascal_case(self.name()))
    }

    /// What a program must know to use the resource: a name, an ARN or a URL.
    pub(crate) fn value(&self) -> Value {
        let logical_id = self.logical_id();
        match self {
            Self::Bucket(name) => sub(&name::bucket(name)),
            Self::Table(_) | Self::Topic(_) => reference(&logical_id),
            Self::Publisher(_) => attribute(&logical_id, "Arn"),
            Self::HttpApi(_) => sub(&format!("${{{logical_id}.ApiEndpoint}}/")),
        }
    }
}
/// An S3 bucket: encrypted, closed to the public, reachable over TLS only.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(crate) name: String,
    pub(crate) variable: Option<String>,
}

impl Bucket {
    /// A bucket; its name in AWS also carries app, stage, account and region.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            variable: None,
        }
    }

    /// The environment variable that tells the bucket's name to every function with
    /// a grant on it, and to the shell of `cargo xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// Objects written, by whatever call wrote them.
    #[must_use]
    pub fn object_created(&self) -> Trigger {
        self.trigger([BucketEvent::ObjectCreated].into())
    }

    /// Objects gone, whether deleted by a call or expired by a lifecycle rule: S3
    /// announces the two as different events.
    #[must_use]
    pub fn object_removed(&self) -> Trigger {
        self.trigger([BucketEvent::ObjectRemoved, BucketEvent::LifecycleExpiration].into())
    }

    /// Lets a function do `actions` to the bucket and its objects.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [BucketAction; N]) -> Grant {
        Grant::Bucket {
            bucket: self.name.clone(),
            actions: actions.to_vec(),
        }
    }

    fn trigger(&self, events: BTreeSet<BucketEvent>) -> Trigger {
        Trigger::BucketEvents {
            bucket: self.name.clone(),
            events,
        }
    }
}

/// What happens in a bucket, every kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BucketEvent {
    /// Objects written by a call.
    ObjectCreated,
    /// Objects deleted by a call.
    ObjectRemoved,
    /// Objects deleted by a lifecycle rule.
    LifecycleExpiration,
}

impl BucketEvent {
    /// S3's name of the event type.
    pub(crate) fn event_type(self) -> String {
        format!("s3:{self:?}:*")
    }
}

/// What a function may do to a bucket, in IAM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BucketAction {
    /// Read objects.
    GetObject,
    /// Write objects.
    PutObject,
    /// Delete objects.
    DeleteObject,
    /// List keys. Without it, S3 answers "access denied" for a key that does not exist.
    ListBucket,
}

impl BucketAction {
    pub(crate) fn iam_action(self) -> String {
        format!("s3:{self:?}")
    }
}

/// A DynamoDB table: on demand, encrypted.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) name: String,
    pub(crate) partition_key: String,
    pub(crate) time_to_live: Option<String>,
    pub(crate) variable: Option<String>,
}

impl Table {
    /// A table and its partition key, a string attribute.
    #[must_use]
    pub fn new(name: &str, partition_key: &str) -> Self {
        Self {
            name: name.to_owned(),
            partition_key: partition_key.to_owned(),
            time_to_live: None,
            variable: None,
        }
    }

    /// The attribute, in seconds since the epoch, after which DynamoDB drops an item.
    #[must_use]
    pub fn time_to_live(mut self, attribute: &str) -> Self {
        self.time_to_live = Some(attribute.to_owned());
        self
    }

    /// The environment variable that tells the table's name to every function with
    /// a grant on it, and to the shell of `cargo xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// Lets a function do `actions` to the table's items.
    #[must_use]
    pub fn allow<const N: usize>(&self, actions: [TableAction; N]) -> Grant {
        Grant::Table {
            table: self.name.clone(),
            actions: actions.to_vec(),
        }
    }
}

/// What a function may do to a table, in IAM's words. A transaction needs the
/// actions of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableAction {
    /// Check a condition on an item within a transaction.
    ConditionCheckItem,
    /// Delete an item.
    DeleteItem,
    /// Read an item by its key.
    GetItem,
    /// Write a whole item.
    PutItem,
    /// Read the items of one partition.
    Query,
    /// Read the whole table.
    Scan,
    /// Change some of an item's attributes.
    UpdateItem,
}

impl TableAction {
    pub(crate) fn iam_action(self) -> String {
        format!("dynamodb:{self:?}")
    }
}

/// An SNS topic: encrypted, reachable over TLS only.
#[derive(Clone, Debug)]
pub struct Topic {
    pub(crate) name: String,
    pub(crate) variable: Option<String>,
}

impl Topic {
    /// A topic.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            variable: None,
        }
    }

    /// The environment variable that tells the topic's ARN to every function that may
    /// pass one of its publishers, and to the shell of `cargo xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// Messages published to the topic.
    #[must_use]
    pub fn published(&self) -> Trigger {
        Trigger::TopicMessages {
            topic: self.name.clone(),
        }
    }

    /// Lets an AWS service, such as `rekognition`, publish to the topic, when a function
    /// that may do so tells it to.
    #[must_use]
    pub fn publisher(&self, service: &'static str) -> Publisher {
        Publisher {
            topic: self.name.clone(),
            service,
            variable: None,
        }
    }
}

/// A role by which an AWS service publishes to one topic, for this app's account only.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub(crate) topic: String,
    pub(crate) service: &'static str,
    pub(crate) variable: Option<String>,
}

impl Publisher {
    /// The environment variable that tells the role's ARN to every function that may
    /// pass it, and to the shell of `cargo xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// Lets a function pass the role to its service, and to no other. The function
    /// also gets the variable of the topic, which the service wants to know as well.
    #[must_use]
    pub fn pass(&self) -> Grant {
        Grant::PassRole {
            topic: self.topic.clone(),
            service: self.service,
        }
    }
}

/// An API Gateway HTTP API on its `$default` stage, so that paths carry no prefix.
#[derive(Clone, Debug)]
pub struct HttpApi {
    pub(crate) name: String,
    pub(crate) variable: Option<String>,
}

impl HttpApi {
    /// An HTTP API.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            variable: None,
        }
    }

    /// The environment variable that tells the API's URL to the shell of `cargo
    /// xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// `GET` requests for `path`; `/{name+}` takes the rest of a path, slashes
    /// included.
    #[must_use]
    pub fn get(&self, path: &str) -> Trigger {
        self.route("GET", path)
    }

    fn route(&self, method: &'static str, path: &str) -> Trigger {
        Trigger::Route {
            http_api: self.name.clone(),
            method,
            path: path.to_owned(),
        }
    }
}

/// A Lambda function, built from the workspace package of the same name.
#[derive(Clone, Debug)]
pub struct Function {
    pub(crate) name: String,
    pub(crate) memory_mb: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) known: Vec<Handle>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Function {
    /// A function with 256 MB of memory and a timeout of 30 seconds. Without a
    /// trigger it is invoked by hand.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            memory_mb: 256,
            timeout_seconds: 30,
            triggers: Vec::new(),
            grants: Vec::new(),
            known: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Memory, in MB; Lambda's share of CPU grows with it.
    #[must_use]
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    /// The longest an invocation may take, in seconds.
    #[must_use]
    pub fn timeout_seconds(mut self, timeout_seconds: u32) -> Self {
        self.timeout_seconds = timeout_seconds;
        self
    }

    /// What invokes the function. It also gets the variable of a bucket whose events
    /// it handles.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.triggers.push(trigger);
        self
    }

    /// What the function may do. It also gets the variable of the resource.
    #[must_use]
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// A bucket whose variable the function gets although it has nothing to do with the
    /// bucket itself: it is told of objects in it by others.
    #[must_use]
    pub fn know(mut self, bucket: &Bucket) -> Self {
        self.known.push(Handle::Bucket(bucket.name.clone()));
        self
    }

    /// An environment variable with a fixed value.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The resources whose variables it gets: those it has a grant on, those whose
    /// events it handles, and those it is to know. An HTTP API is not among them, as its
    /// function answers whoever asks, nor a topic, as its messages are for whoever gets them.
    pub(crate) fn knows(&self) -> BTreeSet<Handle> {
        let granted = self.grants.iter().flat_map(Grant::handles);
        let handled = self.triggers.iter().filter_map(|trigger| match trigger {
            Trigger::BucketEvents { .. } => Some(trigger.handle()),
            Trigger::TopicMessages { .. } | Trigger::Route { .. } => None,
        });
        let known = self.known.iter().cloned();
        granted.chain(handled).chain(known).collect()
    }

    /// Whether Lambda queues its events, retries it, and finally gives an event up.
    pub(crate) fn is_asynchronous(&self) -> bool {
        self.triggers.iter().any(|trigger| match trigger {
            Trigger::BucketEvents { .. } | Trigger::TopicMessages { .. } => true,
            Trigger::Route { .. } => false,
        })
    }

    /// Whether somebody waits for its answer to an HTTP request.
    pub(crate) fn has_route(&self) -> bool {
        self.triggers
            .iter()
            .any(|trigger| matches!(trigger, Trigger::Route { .. }))
    }
}

/// An event and the function's permission to be invoked by it, made by the resource
/// that the event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Notifications of a bucket, delivered asynchronously.
    BucketEvents {
        /// The bucket's name.
        bucket: String,
        /// The events that invoke the function.
        events: BTreeSet<BucketEvent>,
    },
    /// Messages of a topic, delivered asynchronously.
    TopicMessages {
        /// The topic's name.
        topic: String,
    },
    /// Requests to an HTTP API, answered synchronously.
    Route {
        /// The API's name.
        http_api: String,
        /// The HTTP method.
        method: &'static str,
        /// The path, with `{name}` for one segment and `{name+}` for the rest.
        path: String,
    },
}

impl Trigger {
    pub(crate) fn handle(&self) -> Handle {
        match self {
            Self::BucketEvents { bucket, .. } => Handle::Bucket(bucket.clone()),
            Self::TopicMessages { topic } => Handle::Topic(topic.clone()),
            Self::Route { http_api, .. } => Handle::HttpApi(http_api.clone()),
        }
    }
}

/// Something that a function may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Actions on a bucket, made by [`Bucket::allow`].
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// What may be done.
        actions: Vec<BucketAction>,
    },
    /// Actions on a table, made by [`Table::allow`].
    Table {
        /// The table's name.
        table: String,
        /// What may be done.
        actions: Vec<TableAction>,
    },
    /// Passing a publisher's role to its service, made by [`Publisher::pass`].
    PassRole {
        /// The name of the publisher's topic.
        topic: String,
        /// The service, such as `rekognition`.
        service: &'static str,
    },
    /// One action on `Resource: "*"`, made by [`Grant::unscoped`].
    Unscoped {
        /// The IAM action, such as `rekognition:DetectLabels`.
        action: String,
        /// Why no resource can be named.
        reason: String,
    },
}

impl Grant {
    /// Lets a function do `action` to anything: only for actions that AWS cannot
    /// restrict to a resource, and `reason` says so.
    #[must_use]
    pub fn unscoped(action: &str, reason: &str) -> Self {
        Self::Unscoped {
            action: action.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// What it is a grant of, as far as the manifest declares it.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        match self {
            Self::Bucket { bucket, .. } => vec![Handle::Bucket(bucket.clone())],
            Self::Table { table, .. } => vec![Handle::Table(table.clone())],
            Self::PassRole { topic, .. } => {
                vec![
                    Handle::Publisher(topic.clone()),
                    Handle::Topic(topic.clone()),
                ]
            }
            Self::Unscoped { .. } => Vec::new(),
        }
    }
}
