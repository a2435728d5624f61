//! What is deployed, and how it fares.

use std::collections::BTreeMap;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationError;
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::stack;
use crate::stack::Outputs;
use crate::target::Target;

/// A deployed stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The stack's name.
    pub stack: String,
    /// Its state, for example `UPDATE_COMPLETE`.
    pub state: String,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// When it was last changed, RFC 3339.
    pub updated: Option<String>,
    /// Its outputs.
    pub outputs: Outputs,
    /// Its functions.
    pub functions: Vec<DeployedFunction>,
    /// Its failure queues.
    pub failure_queues: Vec<FailureQueue>,
}

/// A function as Lambda describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeployedFunction {
    /// Its physical name.
    pub name: String,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: String,
    /// Memory, in MB.
    pub memory_mb: i32,
    /// The size of its zip.
    pub code_bytes: i64,
    /// Base64 SHA-256 of its zip, as Lambda states it.
    pub code_sha256: String,
}

/// A queue that holds events which a function could not handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureQueue {
    /// The function.
    pub function: String,
    /// The queue's URL.
    pub url: String,
    /// How many events wait in it.
    pub events: u64,
    /// How many more it hides, because a reader has them or has ended with them.
    pub hidden_events: u64,
}

/// How many messages a queue holds. SQS counts approximately, and on AWS up to a minute late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Those that the next reader gets.
    pub waiting: u64,
    /// Those that are hidden, because a reader has them or has ended with them.
    pub hidden: u64,
}

/// Describes a deployed stack; `None` when it does not exist.
///
/// `functions` are physical names; `failure_queues` maps a function to its queue's URL.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn status(
    target: &Target,
    stack: &str,
    functions: &[String],
    failure_queue_outputs: &BTreeMap<String, String>,
) -> Result<Option<Status>> {
    let Some(described) = stack::describe(target, stack).await? else {
        return Ok(None);
    };
    let outputs = described.outputs();
    let mut status = Status {
        stack: stack.to_owned(),
        state: described.status().as_str().to_owned(),
        region: target.region.clone(),
        account: target.account.clone(),
        updated: described
            .0
            .last_updated_time()
            .or(described.0.creation_time())
            .map(ToString::to_string),
        outputs,
        functions: Vec::new(),
        failure_queues: Vec::new(),
    };
    for name in functions {
        if let Some(function) = deployed_function(target, name).await? {
            status.functions.push(function);
        }
    }
    for (function, output) in failure_queue_outputs {
        if let Some(url) = status.outputs.get(output) {
            let depth = queue_depth(target, url).await?;
            status.failure_queues.push(FailureQueue {
                function: function.clone(),
                url: url.clone(),
                events: depth.waiting,
                hidden_events: depth.hidden,
            });
        }
    }
    Ok(Some(status))
}

pub(crate) async fn deployed_function(
    target: &Target,
    name: &str,
) -> Result<Option<DeployedFunction>> {
    let answer = target
        .lambda
        .get_function_configuration()
        .function_name(name)
        .send()
        .await;
    match answer {
        Ok(function) => Ok(Some(DeployedFunction {
            name: name.to_owned(),
            state: function
                .state()
                .map_or("Unknown", |state| state.as_str())
                .to_owned(),
            memory_mb: function.memory_size().unwrap_or_default(),
            code_bytes: function.code_size(),
            code_sha256: function.code_sha256().unwrap_or_default().to_owned(),
        })),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetFunctionConfigurationError::is_resource_not_found_exception) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::aws(&format!("describe function {name}"), &error)),
    }
}

/// Counts the messages of a queue, named by its URL.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn queue_depth(target: &Target, url: &str) -> Result<QueueDepth> {
    const WAITING: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
    const HIDDEN: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;

    let answer = target
        .sqs
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(WAITING)
        .attribute_names(HIDDEN)
        .send()
        .await
        .map_err(|error| Error::aws(&format!("count the events in {url}"), &error))?;
    let count = |name| {
        let count = answer.attributes().and_then(|counts| counts.get(&name));
        count
            .and_then(|count| count.parse().ok())
            .unwrap_or_default()
    };
    Ok(QueueDepth {
        waiting: count(WAITING),
        hidden: count(HIDDEN),
    })
}
