//! The vocabulary of a [`Manifest`]: what an app can consist of.
//!
//! A resource is a value. Triggers and grants are made from it, so what they refer
//! to cannot be misspelt, and a trigger carries both the wiring of an event and the
//! permission that the wiring needs.

mod exception;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::cloudformation::{attribute, reference, sub};
use crate::name;
use crate::origin::{Declared, Origin};

pub use exception::{Direction, Exception};

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

    /// Every resource that functions can refer to.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        let buckets = self.buckets.iter().map(|bucket| Resource {
            handle: Handle::Bucket(bucket.name.clone()),
            variable: bucket.variable.as_deref(),
            origin: bucket.origin,
        });
        let tables = self.tables.iter().map(|table| Resource {
            handle: Handle::Table(table.name.clone()),
            variable: table.variable.as_deref(),
            origin: table.origin,
        });
        let topics = self.topics.iter().map(|topic| Resource {
            handle: Handle::Topic(topic.name.clone()),
            variable: topic.variable.as_deref(),
            origin: topic.origin,
        });
        let publishers = self.publishers.iter().map(|publisher| Resource {
            handle: Handle::Publisher(publisher.topic.clone()),
            variable: publisher.variable.as_deref(),
            origin: publisher.origin,
        });
        let http_apis = self.http_apis.iter().map(|http_api| Resource {
            handle: Handle::HttpApi(http_api.name.clone()),
            variable: http_api.variable.as_deref(),
            origin: http_api.origin,
        });
        let topics = topics.chain(publishers);
        buckets.chain(tables).chain(topics).chain(http_apis)
    }

    /// Every variable that a resource has.
    pub(crate) fn variables(&self) -> impl Iterator<Item = Variable> {
        let of_resources = self.resources().filter_map(|resource| {
            Some(Variable {
                name: resource.variable?.to_owned(),
                value: resource.handle.value(),
                of: resource.handle,
                origin: resource.origin,
            })
        });
        let of_attributes = self.tables.iter().flat_map(|table| {
            let variables = table.attribute_variables.iter();
            variables.map(|(name, attribute)| Variable {
                of: Handle::Table(table.name.clone()),
                name: name.clone(),
                value: Value::from(attribute.as_str()),
                origin: table.origin,
            })
        });
        of_resources.chain(of_attributes)
    }
}

/// A resource that functions can refer to, the variable that tells of it, and where it is
/// declared.
pub(crate) struct Resource<'a> {
    pub(crate) handle: Handle,
    pub(crate) variable: Option<&'a str>,
    pub(crate) origin: Origin,
}

/// An environment variable of every function that knows a resource.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) of: Handle,
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
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
    pub(crate) origin: Origin,
    pub(crate) variable: Option<String>,
}

impl Bucket {
    /// A bucket; its name in AWS also carries app, stage, account and region.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::of_caller(),
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
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::GetObject,
        Self::PutObject,
        Self::DeleteObject,
        Self::ListBucket,
    ];

    pub(crate) fn iam_action(self) -> String {
        format!("s3:{self:?}")
    }
}

/// A DynamoDB table: on demand, encrypted.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) partition_key: String,
    pub(crate) time_to_live: Option<String>,
    pub(crate) variable: Option<String>,
    pub(crate) attribute_variables: Vec<(String, String)>,
}

impl Table {
    /// A table and its partition key, a string attribute.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str, partition_key: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::of_caller(),
            partition_key: partition_key.to_owned(),
            time_to_live: None,
            variable: None,
            attribute_variables: Vec::new(),
        }
    }

    /// The attribute, in seconds since the epoch, after which DynamoDB drops an item.
    #[must_use]
    pub fn time_to_live(mut self, attribute: &str) -> Self {
        self.time_to_live = Some(attribute.to_owned());
        self
    }

    /// The environment variable that tells the table's name to every function that has a
    /// grant on it or handles its changes, and to the shell of `cargo xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// The environment variable that tells the partition key's name to the same functions.
    #[must_use]
    pub fn key_variable(self, name: &str) -> Self {
        let partition_key = self.partition_key.clone();
        self.attribute_variable(name, &partition_key)
    }

    /// An environment variable that tells an attribute's name to the same functions, for
    /// code that serves tables which name their attributes differently.
    #[must_use]
    pub fn attribute_variable(mut self, name: &str, attribute: &str) -> Self {
        self.attribute_variables
            .push((name.to_owned(), attribute.to_owned()));
        self
    }

    /// Changes of the table's items, of these kinds, read from its stream.
    #[must_use]
    pub fn item_changes<const N: usize>(&self, kinds: [ItemChange; N]) -> ItemChanges {
        ItemChanges {
            table: self.name.clone(),
            kinds: kinds.into(),
            batch_size: 100,
            batching_window_seconds: 1,
            retry_attempts: 5,
            record_age_seconds: 3600,
            parallelization_factor: 1,
        }
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

/// What happens to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemChange {
    /// A new item.
    Insert,
    /// Other attributes of an item that was there.
    Modify,
    /// An item gone, whether deleted by a call or expired by its time to live.
    Remove,
}

impl ItemChange {
    /// Its name in a stream's records.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>
    pub(crate) fn event_name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
        }
    }
}

/// Changes of a table's items, with the old and the new item, in the order in which they
/// were made to an item. Lambda reads them from the table's stream and invokes the function
/// with a batch at a time. A trigger.
///
/// What a batch may cost is bounded, unlike by AWS's defaults, with which one record that
/// cannot be handled holds up its shard for a day: a failed batch is split in two until the
/// failure is alone, tried again a few times, and then given up to the function's failure
/// queue. The function says which record it failed on, so that those before it are not
/// handled again.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemChanges {
    pub(crate) table: String,
    pub(crate) kinds: BTreeSet<ItemChange>,
    pub(crate) batch_size: u32,
    pub(crate) batching_window_seconds: u32,
    pub(crate) retry_attempts: u32,
    pub(crate) record_age_seconds: u32,
    pub(crate) parallelization_factor: u32,
}

impl ItemChanges {
    /// The most records of a batch: 100 unless told.
    #[must_use]
    pub fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// How long Lambda waits for a batch to fill, in seconds: 1 unless told.
    #[must_use]
    pub fn batching_window_seconds(mut self, batching_window_seconds: u32) -> Self {
        self.batching_window_seconds = batching_window_seconds;
        self
    }

    /// How often a failed batch is tried again, not counting the times that it is split:
    /// 5 unless told.
    #[must_use]
    pub fn retry_attempts(mut self, retry_attempts: u32) -> Self {
        self.retry_attempts = retry_attempts;
        self
    }

    /// The age, in seconds, at which a record is given up even if attempts are left: 3600
    /// unless told. DynamoDB keeps records for 24 hours, and the failure queue only says
    /// where in the stream a record is; so what is left of the day is the time to look at
    /// the record and to have it handled after all.
    #[must_use]
    pub fn record_age_seconds(mut self, record_age_seconds: u32) -> Self {
        self.record_age_seconds = record_age_seconds;
        self
    }

    /// How many batches of a shard are handled at a time, the changes of one item still in
    /// their order: 1 unless told.
    #[must_use]
    pub fn parallelization_factor(mut self, parallelization_factor: u32) -> Self {
        self.parallelization_factor = parallelization_factor;
        self
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
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::ConditionCheckItem,
        Self::DeleteItem,
        Self::GetItem,
        Self::PutItem,
        Self::Query,
        Self::Scan,
        Self::UpdateItem,
    ];

    pub(crate) fn iam_action(self) -> String {
        format!("dynamodb:{self:?}")
    }
}

/// An SNS topic: encrypted, reachable over TLS only.
#[derive(Clone, Debug)]
pub struct Topic {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) variable: Option<String>,
}

impl Topic {
    /// A topic.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::of_caller(),
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
    #[track_caller]
    pub fn publisher(&self, service: &'static str) -> Publisher {
        Publisher {
            topic: self.name.clone(),
            origin: Origin::of_caller(),
            service,
            variable: None,
        }
    }
}

/// A role by which an AWS service publishes to one topic, for this app's account only.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub(crate) topic: String,
    pub(crate) origin: Origin,
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
    pub(crate) origin: Origin,
    pub(crate) variable: Option<String>,
    pub(crate) cors: Option<Cors>,
}

impl HttpApi {
    /// An HTTP API.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::of_caller(),
            variable: None,
            cors: None,
        }
    }

    /// The environment variable that tells the API's URL to the shell of `cargo
    /// xtask env`.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    /// The web pages that may use the API: none of another origin unless told.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// `GET` requests for `path`; `/{name+}` takes the rest of a path, slashes
    /// included.
    #[must_use]
    pub fn get(&self, path: &str) -> Trigger {
        self.route("GET", path)
    }

    /// `POST` requests for `path`.
    #[must_use]
    pub fn post(&self, path: &str) -> Trigger {
        self.route("POST", path)
    }

    fn route(&self, method: &'static str, path: &str) -> Trigger {
        Trigger::Route {
            http_api: self.name.clone(),
            method,
            path: path.to_owned(),
        }
    }
}

/// What web pages of other origins may do with an HTTP API: call its routes by their
/// methods, with a body of any content type. API Gateway answers preflight requests itself
/// and replaces headers of this kind that a function sends.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    pub(crate) origins: Vec<String>,
    pub(crate) exposed_headers: Vec<String>,
}

impl Cors {
    /// Lets in pages of these origins, each like `https://example.com`, or `*` for all.
    #[must_use]
    pub fn origins<const N: usize>(origins: [&str; N]) -> Self {
        Self {
            origins: origins.map(str::to_owned).to_vec(),
            exposed_headers: Vec::new(),
        }
    }

    /// The headers of an answer that pages may read, besides those that every page may.
    #[must_use]
    pub fn expose_headers<const N: usize>(mut self, headers: [&str; N]) -> Self {
        self.exposed_headers = headers.map(str::to_owned).to_vec();
        self
    }
}

/// A Lambda function, built from the workspace package of the same name.
#[derive(Clone, Debug)]
pub struct Function {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) memory_mb: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) triggers: Vec<Declared<Trigger>>,
    pub(crate) grants: Vec<Declared<Grant>>,
    pub(crate) exceptions: Vec<Declared<Exception>>,
    pub(crate) known: Vec<Declared<Handle>>,
    pub(crate) environment: Vec<Declared<(String, String)>>,
}

impl Function {
    /// A function with 256 MB of memory and a timeout of 30 seconds. Without a
    /// trigger it is invoked by hand.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::of_caller(),
            memory_mb: 256,
            timeout_seconds: 30,
            triggers: Vec::new(),
            grants: Vec::new(),
            exceptions: Vec::new(),
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

    /// What invokes the function. It also gets the variables of a bucket or a table whose
    /// events it handles.
    #[must_use]
    #[track_caller]
    pub fn trigger(mut self, trigger: impl Into<Trigger>) -> Self {
        self.triggers.push(Declared::by_caller(trigger.into()));
        self
    }

    /// What the function may do. It also gets the variables of the resource.
    #[must_use]
    #[track_caller]
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.push(Declared::by_caller(grant));
        self
    }

    /// A difference between the function's grants and what its binary can call that is meant to
    /// be. `cargo xtask grants` reports every other one.
    #[must_use]
    #[track_caller]
    pub fn exception(mut self, exception: Exception) -> Self {
        self.exceptions.push(Declared::by_caller(exception));
        self
    }

    /// A bucket whose variable the function gets although it has nothing to do with the
    /// bucket itself: it is told of objects in it by others.
    #[must_use]
    #[track_caller]
    pub fn know(mut self, bucket: &Bucket) -> Self {
        let handle = Handle::Bucket(bucket.name.clone());
        self.known.push(Declared::by_caller(handle));
        self
    }

    /// An environment variable with a fixed value.
    #[must_use]
    #[track_caller]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        let variable = (name.to_owned(), value.to_owned());
        self.environment.push(Declared::by_caller(variable));
        self
    }

    /// The resources whose variables it gets: those it has a grant on, those whose
    /// events it handles, and those it is to know. An HTTP API is not among them, as its
    /// function answers whoever asks, nor a topic, as its messages are for whoever gets them.
    pub(crate) fn knows(&self) -> BTreeSet<Handle> {
        let granted = self.grants.iter().flat_map(|grant| grant.what.handles());
        let handled = self.triggers().filter_map(|trigger| match trigger {
            Trigger::BucketEvents { .. } | Trigger::ItemChanges(_) => Some(trigger.handle()),
            Trigger::TopicMessages { .. } | Trigger::Route { .. } => None,
        });
        let known = self.known.iter().map(|known| known.what.clone());
        granted.chain(handled).chain(known).collect()
    }

    /// Whether Lambda queues its events, retries it, and finally gives an event up.
    pub(crate) fn is_asynchronous(&self) -> bool {
        self.triggers().any(|trigger| match trigger {
            Trigger::BucketEvents { .. } | Trigger::TopicMessages { .. } => true,
            Trigger::ItemChanges(_) | Trigger::Route { .. } => false,
        })
    }

    /// What it reads from tables' streams.
    pub(crate) fn item_changes(&self) -> impl Iterator<Item = &ItemChanges> {
        self.triggers().filter_map(Trigger::item_changes)
    }

    /// Whether somebody waits for its answer to an HTTP request.
    pub(crate) fn has_route(&self) -> bool {
        self.triggers()
            .any(|trigger| matches!(trigger, Trigger::Route { .. }))
    }

    /// The routes that it serves: HTTP API, method, path.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.triggers().filter_map(|trigger| match trigger {
            Trigger::Route {
                http_api,
                method,
                path,
            } => Some((http_api.as_str(), *method, path.as_str())),
            _ => None,
        })
    }

    fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().map(|trigger| &trigger.what)
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
    /// Changes of a table's items, made by [`Table::item_changes`], delivered in batches
    /// that Lambda waits for.
    ItemChanges(ItemChanges),
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
            Self::ItemChanges(changes) => Handle::Table(changes.table.clone()),
            Self::Route { http_api, .. } => Handle::HttpApi(http_api.clone()),
        }
    }

    pub(crate) fn item_changes(&self) -> Option<&ItemChanges> {
        match self {
            Self::ItemChanges(changes) => Some(changes),
            Self::BucketEvents { .. } | Self::TopicMessages { .. } | Self::Route { .. } => None,
        }
    }
}

impl From<ItemChanges> for Trigger {
    fn from(changes: ItemChanges) -> Self {
        Self::ItemChanges(changes)
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
