//! Deleting a stack with what its buckets hold.

use aws_sdk_cloudformation::types::{DeletionMode, ResourceStatus, StackStatus};

use crate::error::{Error, Result};
use crate::events::{self, EventFollower, already_begun};
use crate::progress::{Decide, Phase, Progress, Question, Report};
use crate::resource_event::{ResourceEvent, list};
use crate::stack::{Described, unique_name};
use crate::target::Target;
use crate::{buckets, resources};

/// How often a deletion is begun again because something came in between.
const ATTEMPTS_MAX: usize = 3;

/// What became of the deletion of a stack.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) resources: Vec<ResourceEvent>,
    /// Resources that CloudFormation left where they are, because of their removal policy
    /// or because it was told to.
    pub(crate) skipped: Vec<ResourceEvent>,
    pub(crate) object_versions: u64,
}

/// Empties buckets and deletes the stack; what cannot be deleted is left, after a yes.
pub(crate) async fn empty_and_delete(
    target: &Target,
    stack: &Described,
    buckets: &[String],
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Removed> {
    let name = stack.name();
    let mut removed = Removed::default();
    let mut attempts_left = ATTEMPTS_MAX;
    let (left, stuck) = loop {
        if !buckets.is_empty() {
            report(Progress::Phase(Phase::Empty));
            for bucket in buckets {
                buckets::silence(target, bucket).await?;
            }
            removed.object_versions += buckets::empty(target, buckets, "", report).await?;
        }
        let left =
            delete_stack(target, stack, DeletionMode::Standard, &mut removed, report).await?;
        let Some(left) = left else {
            return Ok(removed);
        };
        let stuck = resources::in_status(target, &left, &ResourceStatus::DeleteFailed).await?;
        attempts_left -= 1;
        // Someone else may have been at it first.
        let not_begun = *left.status() != StackStatus::DeleteFailed;
        // Something may have been uploaded between emptying and deleting.
        let filled_again = stuck.iter().any(|resource| {
            let reason = resource.reason.as_deref().unwrap_or_default();
            buckets.contains(&resource.physical_id) && reason.contains("not empty")
        });
        if attempts_left == 0 || !(filled_again || not_begun) {
            break (left, stuck);
        }
    };
    let failed = Error::new(format!("could not delete stack {name}"))
        .because(if stuck.is_empty() {
            format!("it is in state {}", left.status())
        } else {
            list(&stuck)
        })
        .hint("remove the cause, then run the same command again");
    let question = Question::Abandon {
        stack: name.to_owned(),
        resources: stuck.clone(),
    };
    if stuck.is_empty() || !decide(&question) {
        return Err(failed);
    }
    let left = delete_stack(
        target,
        stack,
        DeletionMode::ForceDeleteStack,
        &mut removed,
        report,
    )
    .await?;
    if left.is_some() {
        return Err(failed);
    }
    // CloudFormation says of these, too, only that it skipped them.
    removed.skipped.retain(|skipped| {
        !stuck
            .iter()
            .any(|resource| resource.logical_id == skipped.logical_id)
    });
    removed.skipped.extend(stuck);
    Ok(removed)
}

/// Deletes a stack and follows it to the end; returns it if it is still there then.
async fn delete_stack(
    target: &Target,
    stack: &Described,
    mode: DeletionMode,
    removed: &mut Removed,
    report: Report<'_>,
) -> Result<Option<Described>> {
    report(Progress::Phase(Phase::Delete));
    let token = unique_name();
    let mut events = EventFollower::from_now(target, stack.id(), Some(&token)).await?;
    let answer = target
        .cloudformation
        .delete_stack()
        .stack_name(stack.id())
        .client_request_token(&token)
        .set_deletion_mode((mode != DeletionMode::Standard).then_some(mode))
        .send()
        .await;
    if let Err(error) = answer {
        let what = format!("delete stack {}", stack.name());
        already_begun(Error::aws(&what, &error))?;
    }
    let left = events::wait_for_stack(target, &mut events, report).await?;
    removed
        .resources
        .extend(events.resources_that_ended("DELETE_COMPLETE"));
    removed
        .skipped
        .extend(events.resources_that_ended("DELETE_SKIPPED"));
    Ok(left)
}
