//! Planning: a change set for what is wanted, or nothing to do.

use aws_sdk_cloudformation::types::StackStatus;

use crate::change_set::{self, ChangeSet};
use crate::error::{ErrorKind, Result};
use crate::progress::{Decide, Progress, Report};
use crate::recovery;
use crate::stack::{self, Outputs, StackSpec};
use crate::target::Target;

/// How often a plan is made anew because the stack changed meanwhile. Whoever is in the way
/// is waited for each time, so there must be many of them before this is too few.
pub(crate) const PLANS_MAX: usize = 5;

/// What deploying would do.
#[derive(Debug)]
pub enum Plan {
    /// The stack is as it shall be.
    NoChanges(Outputs),
    /// CloudFormation's answer.
    Changes(ChangeSet),
}

/// Creates a change set for what `spec` asks, or finds that nothing would change. A
/// stack that is stuck is recovered first, and someone else's operation is waited for.
///
/// # Errors
/// When the stack cannot be recovered, or not without a yes; when AWS refuses the
/// template.
pub async fn plan(
    target: &Target,
    spec: &StackSpec<'_>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Plan> {
    for _ in 1..PLANS_MAX {
        match plan_once(target, spec, decide, report).await {
            Err(error) if error.kind() == ErrorKind::Stale => {
                report(Progress::planning_again(spec.name, &error));
            }
            planned => return planned,
        }
    }
    plan_once(target, spec, decide, report).await
}

async fn plan_once(
    target: &Target,
    spec: &StackSpec<'_>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Plan> {
    let current = recovery::deployable(target, spec, decide, report).await?;
    if let Some(current) = &current {
        change_set::remove_left_over(target, current, report).await?;
    }
    if let Some(current) = &current
        && !spec.reverts_drift
        && current.settled()
        && stack::mismatch(target, current, spec).await?.is_none()
    {
        return Ok(Plan::NoChanges(current.outputs()));
    }
    report(Progress::Planning {
        stack: spec.name.to_owned(),
    });
    let creates_stack = current
        .as_ref()
        .is_none_or(|stack| *stack.status() == StackStatus::ReviewInProgress);
    let created = change_set::create(target, spec, creates_stack).await?;
    match change_set::wait_for(target, created).await? {
        Some(changes) => Ok(Plan::Changes(changes)),
        None => Ok(Plan::NoChanges(
            current.map(|stack| stack.outputs()).unwrap_or_default(),
        )),
    }
}

#[cfg(test)]
mod tests;
