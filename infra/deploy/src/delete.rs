//! Deleting a stack and what it holds, and looking for what is left.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::StackStatus;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::leftovers::{self, Leftover};
use crate::progress::{Decide, Phase, Progress, Report};
use crate::resource_event::ResourceEvent;
use crate::stack::{self, Described, Store};
use crate::target::Target;
use crate::{bootstrap, buckets, events, removal, resources};

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct DeleteSpec<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// The tags that tell whose stack it is, at least `app` and `stage`.
    pub tags: BTreeMap<String, String>,
    /// Whether buckets outlive the stack, and so are not emptied.
    pub retains_data: bool,
    /// The stack of the artifact bucket.
    pub bootstrap_stack: &'a str,
    /// What the keys of the stack's code and records begin with.
    pub artifact_prefix: &'a str,
}

/// What a deletion removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The resources, in the order of their deletion.
    pub resources: Vec<ResourceEvent>,
    /// Object versions and delete markers deleted from buckets.
    pub object_versions: u64,
    /// Code packages and records deleted from the artifact bucket.
    pub artifacts: u64,
    /// What is there still.
    pub leftovers: Vec<Leftover>,
}

/// Empties the stack's buckets of all versions, deletes the stack, deletes its code
/// packages and records from the artifact bucket, and looks for what is left. `None`
/// when there was nothing to delete.
///
/// # Errors
/// When the stack is not that of `tags`; when AWS refuses, or a resource cannot be
/// deleted and is not to be left.
pub async fn delete(
    target: &Target,
    spec: &DeleteSpec<'_>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Option<Deleted>> {
    let mut deleted = Deleted::default();
    let mut resources = Vec::new();
    let mut skipped = Vec::new();
    let stack = at_rest(target, spec.stack, report).await?;
    let existed = stack.is_some();
    if let Some(stack) = stack {
        if !stack.belongs_to(&spec.tags) {
            return Err(Error::new(format!("will not delete stack {}", spec.stack))
                .because(format!(
                    "the stack does not have the tags app={} and stage={}",
                    spec.tags.get("app").map_or("", String::as_str),
                    spec.tags.get("stage").map_or("", String::as_str)
                ))
                .hint("if the stack is yours, delete it with `aws cloudformation delete-stack`"));
        }
        resources = resources::of(target, stack.id()).await?;
        let buckets = if spec.retains_data {
            Vec::new()
        } else {
            resources::buckets(&resources)
        };
        let removed = removal::empty_and_delete(target, &stack, &buckets, decide, report).await?;
        deleted.resources = removed.resources;
        deleted.object_versions = removed.object_versions;
        skipped = removed.skipped;
    }
    // A deletion that was stopped may have left these without a stack.
    let bucket = bootstrap::artifact_bucket(target, spec.bootstrap_stack).await?;
    let store = bucket.as_deref().map(|bucket| Store {
        bucket,
        prefix: spec.artifact_prefix,
    });
    if let Some(store) = store {
        deleted.artifacts =
            buckets::empty(target, &[store.bucket.to_owned()], store.prefix, report).await?;
    }
    report(Progress::Phase(Phase::Search));
    deleted.leftovers = leftovers::leftovers(target, &resources, skipped, store).await?;
    Ok((existed || deleted != Deleted::default()).then_some(deleted))
}

/// The stack when no operation is in progress, if it exists then.
async fn at_rest(target: &Target, stack: &str, report: Report<'_>) -> Result<Option<Described>> {
    loop {
        let Some(current) = stack::describe(target, stack).await? else {
            return Ok(None);
        };
        match current.status() {
            StackStatus::DeleteComplete => return Ok(None),
            StackStatus::ReviewInProgress => return Ok(Some(current)),
            status if status.as_str().ends_with("_IN_PROGRESS") => {
                events::wait_for_others(target, &current, report).await?;
            }
            _ => return Ok(Some(current)),
        }
    }
}

#[cfg(test)]
mod tests;
