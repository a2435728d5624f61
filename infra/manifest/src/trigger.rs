//! What invokes a function.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::grant::Grant;
use crate::resource_id::ResourceId;
use crate::stage::Stage;

/// An event and the function's permission to be invoked by it, made by the resource
/// that the event comes from.
#[derive(Clone)]
pub struct Trigger {
    source: ResourceId,
    label: String,
    invocation: Invocation,
    details: Arc<dyn Any + Send + Sync>,
    statements: Vec<Value>,
    tells_variables: bool,
    caused_by: Vec<String>,
    is_for_writers: bool,
}

/// How Lambda invokes the function, and who learns that it failed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-invocation.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Lambda queues the event, retries it, and finally gives it up.
    Asynchronous,
    /// Somebody waits for the answer.
    Synchronous,
    /// Lambda reads a stream, and invokes the function with batches of records.
    Stream {
        /// Lambda's patterns, of which a record that invokes it matches one.
        patterns: Vec<String>,
        /// The age at which a record is given up, in seconds.
        record_age_seconds: u32,
    },
    /// Lambda reads a queue, and invokes the function with batches of messages. SQS moves a
    /// message that the function fails on too often to the function's failure queue.
    Queue {
        /// Whether the queue is a FIFO queue. Then its failure queue must be one.
        is_fifo: bool,
    },
}

impl Trigger {
    /// `details` is what the source's kind has to know of the trigger.
    pub(crate) fn new(
        source: ResourceId,
        invocation: Invocation,
        details: impl Any + Send + Sync,
    ) -> Self {
        Self {
            source,
            label: String::new(),
            invocation,
            details: Arc::new(details),
            statements: Vec::new(),
            tells_variables: false,
            caused_by: Vec::new(),
            is_for_writers: false,
        }
    }

    /// What the event is, in a picture of the app; such as `object created`.
    pub(crate) fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Also gives the function the source's variables.
    pub(crate) fn telling_variables(mut self) -> Self {
        self.tells_variables = true;
        self
    }

    /// Also gives the function what it needs to be invoked: statements of its role's policy.
    pub(crate) fn with_statements(mut self, statements: Vec<Value>) -> Self {
        self.statements = statements;
        self
    }

    /// `actions`, IAM's names, on the source cause such an event.
    pub(crate) fn caused_by(mut self, actions: impl IntoIterator<Item = String>) -> Self {
        self.caused_by = actions.into_iter().collect();
        self
    }

    /// It is there only on stages that [let somebody write](Stage::lets_write) by the source.
    pub(crate) fn for_writers(mut self) -> Self {
        self.is_for_writers = true;
        self
    }

    pub(crate) fn is_for_writers(&self) -> bool {
        self.is_for_writers
    }

    /// Whether it is there on a stage.
    pub(crate) fn is_on(&self, stage: &Stage) -> bool {
        !self.is_for_writers || stage.lets_write(self.source.name())
    }

    pub(crate) fn source(&self) -> &ResourceId {
        &self.source
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    pub(crate) fn statements(&self) -> &[Value] {
        &self.statements
    }

    pub(crate) fn tells_variables(&self) -> bool {
        self.tells_variables
    }

    /// The action of `grant` that causes such an event, if it has one.
    pub(crate) fn cause_in<'a>(&self, grant: &'a Grant) -> Option<&'a str> {
        let of_source = grant.resource() == Some(&self.source);
        let mut actions = grant.iam_actions().iter().filter(|_| of_source);
        actions
            .find(|action| self.caused_by.contains(action))
            .map(String::as_str)
    }

    /// What a kind has to know of the trigger; `None` if it is one of another kind.
    pub(crate) fn details<T: Any>(&self) -> Option<&T> {
        self.details.downcast_ref()
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("source", &self.source)
            .field("invocation", &self.invocation)
            .finish_non_exhaustive()
    }
}
