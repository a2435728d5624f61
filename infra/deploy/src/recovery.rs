//! The way forward from every state that a stack can be in.
//!
//! | state                                   | way forward                                      |
//! | --------------------------------------- | ------------------------------------------------ |
//! | none, `DELETE_COMPLETE`                 | create                                           |
//! | `REVIEW_IN_PROGRESS`                    | create: it holds nothing but change sets         |
//! | any other `…_IN_PROGRESS`               | wait, showing it, then look again                |
//! | `ROLLBACK_COMPLETE`, `CREATE_FAILED`    | delete, create                                   |
//! | `ROLLBACK_FAILED`                       | delete, with what is in the buckets, create      |
//! | `DELETE_FAILED`                         | the same, if buckets hold something: after a yes |
//! | `UPDATE_FAILED`                         | roll back, update                                |
//! | `UPDATE_ROLLBACK_FAILED`                | go on rolling back; if it fails again, without   |
//! |                                         | what stands in the way: after a yes; update      |
//! | any other `…_COMPLETE`, import failures | update                                           |
//!
//! Only a stack with this app's and stage's tags is updated or deleted.

use aws_sdk_cloudformation::types::{ResourceStatus, StackStatus};

use crate::error::{Error, ErrorKind, Result};
use crate::events::{self, EventFollower, already_begun};
use crate::progress::{Decide, Phase, Progress, Question, Report};
use crate::resource_event::list;
use crate::stack::{self, Described, StackSpec, unique_name};
use crate::target::Target;
use crate::{buckets, removal, resources};

/// The stack, if there is one that a change set can be made for. It is brought into
/// such a state if it is not in one.
pub(crate) async fn deployable(
    target: &Target,
    spec: &StackSpec<'_>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Option<Described>> {
    loop {
        let Some(current) = stack::describe(target, spec.name).await? else {
            return Ok(None);
        };
        match current.status() {
            StackStatus::DeleteComplete => return Ok(None),
            StackStatus::ReviewInProgress => return Ok(Some(current)),
            StackStatus::RollbackComplete
            | StackStatus::CreateFailed
            | StackStatus::RollbackFailed
            | StackStatus::DeleteFailed => {
                remove_failed_stack(target, &current, spec, decide, report).await?;
            }
            StackStatus::UpdateFailed => roll_back(target, &current, report).await?,
            StackStatus::UpdateRollbackFailed => {
                resume_rollback(target, &current, decide, report).await?;
            }
            status if status.as_str().ends_with("_IN_PROGRESS") => {
                events::wait_for_others(target, &current, report).await?;
            }
            _ if !current.belongs_to(&spec.tags) => {
                return Err(
                    Error::new(format!("stack {} is not this stage's", spec.name))
                        .because("its tags `app` and `stage` say so, or it has none")
                        .hint(
                            "give this app or stage another name, or tag the stack if it is yours",
                        ),
                );
            }
            _ => return Ok(Some(current)),
        }
    }
}

/// Deletes a stack that was never created whole, or was to be deleted before. What
/// others made under the same name is left alone.
async fn remove_failed_stack(
    target: &Target,
    stack: &Described,
    spec: &StackSpec<'_>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<()> {
    let status = stack.status();
    if !stack.belongs_to(&spec.tags) {
        return Err(Error::new(format!(
            "stack {} is in state {status} and must be deleted first",
            spec.name
        ))
        .because("its tags `app` and `stage` are not this stage's")
        .hint("delete it by hand if it is not needed, or give this app or stage another name"));
    }
    let buckets = full_buckets(target, spec).await?;
    // A stack that never came to be holds nobody's data. One that could not be deleted
    // may hold all of it.
    if *status == StackStatus::DeleteFailed && !buckets.is_empty() {
        let question = Question::FinishDeletion {
            stack: spec.name.to_owned(),
            buckets: buckets.clone(),
        };
        if !decide(&question) {
            return Err(
                Error::new(format!("stack {} is in state DELETE_FAILED", spec.name))
                    .because(format!("{} are not empty", buckets.join(", ")))
                    .of_kind(ErrorKind::NotApproved)
                    .hint("save what they hold and say yes, or finish with `cargo xtask delete`"),
            );
        }
    }
    report(Progress::RemovingFailedStack {
        stack: spec.name.to_owned(),
        status: status.as_str().to_owned(),
    });
    removal::empty_and_delete(target, stack, &buckets, decide, report).await?;
    report(Progress::Phase(Phase::Plan));
    Ok(())
}

/// The stack's buckets that hold something and go with it.
async fn full_buckets(target: &Target, spec: &StackSpec<'_>) -> Result<Vec<String>> {
    if spec.retains_data {
        return Ok(Vec::new());
    }
    let mut full = Vec::new();
    for bucket in resources::buckets(&resources::of(target, spec.name).await?) {
        if buckets::holds_objects(target, &bucket, "").await? {
            full.push(bucket);
        }
    }
    Ok(full)
}

/// Takes an update back that failed with rollback disabled.
async fn roll_back(target: &Target, stack: &Described, report: Report<'_>) -> Result<()> {
    report(Progress::ResumingRollback {
        stack: stack.name().to_owned(),
        status: stack.status().as_str().to_owned(),
        skipped: Vec::new(),
    });
    let token = unique_name();
    let mut events = EventFollower::from_now(target, stack.id(), Some(&token)).await?;
    let answer = target
        .cloudformation
        .rollback_stack()
        .stack_name(stack.id())
        .client_request_token(&token)
        .send()
        .await;
    if let Err(error) = answer {
        already_begun(Error::aws("roll the failed update back", &error))?;
    }
    events::wait_for_stack(target, &mut events, report).await?;
    Ok(())
}

/// Goes on with a rollback that failed: first as a whole, because the cause may have
/// passed; then, after a yes, without the resources that cannot be rolled back.
async fn resume_rollback(
    target: &Target,
    stack: &Described,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<()> {
    if continue_rollback(target, stack, Vec::new(), report).await? {
        return Ok(());
    }
    let stuck = resources::in_status(target, stack, &ResourceStatus::UpdateFailed).await?;
    let name = stack.name();
    let failed = || {
        Error::new(format!("stack {name} is in state UPDATE_ROLLBACK_FAILED")).because(format!(
            "CloudFormation could not roll back the last update: {}",
            list(&stuck)
        ))
    };
    if stuck.is_empty() {
        return Err(failed()
            .because(
                stack
                    .0
                    .stack_status_reason()
                    .unwrap_or("the rollback of an update failed"),
            )
            .hint("repair what the reason names, then deploy again"));
    }
    let question = Question::SkipInRollback {
        stack: name.to_owned(),
        resources: stuck.clone(),
    };
    if !decide(&question) {
        return Err(failed().of_kind(ErrorKind::NotApproved).hint(
            "repair what the reasons name and deploy again, or say yes to going on without these resources",
        ));
    }
    let skipped = stuck.iter().map(|resource| resource.logical_id.clone());
    if continue_rollback(target, stack, skipped.collect(), report).await? {
        return Ok(());
    }
    Err(failed().hint("repair what the reasons name, then deploy again"))
}

/// Whether the rollback came to its end.
async fn continue_rollback(
    target: &Target,
    stack: &Described,
    skipped: Vec<String>,
    report: Report<'_>,
) -> Result<bool> {
    report(Progress::ResumingRollback {
        stack: stack.name().to_owned(),
        status: stack.status().as_str().to_owned(),
        skipped: skipped.clone(),
    });
    let token = unique_name();
    let mut events = EventFollower::from_now(target, stack.id(), Some(&token)).await?;
    let answer = target
        .cloudformation
        .continue_update_rollback()
        .stack_name(stack.id())
        .set_resources_to_skip((!skipped.is_empty()).then_some(skipped))
        .client_request_token(&token)
        .send()
        .await;
    if let Err(error) = answer {
        already_begun(Error::aws("continue the rollback", &error))?;
    }
    let described = events::wait_for_stack(target, &mut events, report).await?;
    Ok(described.is_none_or(|stack| *stack.status() != StackStatus::UpdateRollbackFailed))
}

#[cfg(test)]
mod tests;
