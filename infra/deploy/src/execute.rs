//! Executing a change set.

use aws_sdk_cloudformation::types::{ExecutionStatus, StackStatus};

use crate::change_set::{self, ChangeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{self, EventFollower};
use crate::explain::{self, Checked, Diagnosis};
use crate::progress::Report;
use crate::stack::{self, Outputs, unique_name};
use crate::target::Target;

/// How the execution of a change set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stack is as it shall be.
    Deployed(Outputs),
    /// CloudFormation gave up and went back.
    RolledBack(Diagnosis),
}

/// Executes a change set and follows its events until the stack has settled.
///
/// # Errors
/// When AWS cannot be reached or refuses to start; with [`ErrorKind::Stale`] when the stack
/// has changed since the change set was made. A failed deployment is an
/// [`Outcome::RolledBack`], not an error.
pub(crate) async fn execute(
    target: &Target,
    changes: &ChangeSet,
    report: Report<'_>,
) -> Result<Outcome> {
    let token = unique_name();
    let mut events = EventFollower::from_now(target, &changes.stack_id, Some(&token)).await?;
    let answer = target
        .cloudformation
        .execute_change_set()
        .change_set_name(&changes.id)
        .stack_name(&changes.stack_id)
        .client_request_token(&token)
        // Not `RetainExceptOnCreate`: a table that is protected from deletion cannot be
        // deleted, so the rollback would fail. What may go says so in the template.
        .send()
        .await;
    if let Err(error) = answer {
        let error = Error::aws("execute the change set", &error);
        let gone = [ErrorKind::NotFound, ErrorKind::Stale].contains(&error.kind());
        // When the answer to a request is lost, the SDK sends it again, and finds the
        // change set under way.
        if !gone || !is_executed(target, changes).await? {
            return Err(if gone { error.stale() } else { error });
        }
    }
    let described = events::wait_for_stack(target, &mut events, report).await?;
    let Some(described) = described else {
        let name = &changes.stack;
        let gone = Error::new(format!("stack {name} vanished while it was deployed"));
        // A stack that was about to be created may have given way to another's.
        return Err(if changes.creates_stack {
            gone.because("another deployment created it again").stale()
        } else {
            gone.because("someone deleted it")
                .hint("deploy again if it is still wanted")
        });
    };
    match described.status() {
        StackStatus::CreateComplete | StackStatus::UpdateComplete => {
            Ok(Outcome::Deployed(described.outputs()))
        }
        status => Ok(Outcome::RolledBack(Diagnosis {
            status: status.as_str().to_owned(),
            cause: events.cause().cloned(),
            findings: match events.cause() {
                Some(cause) if cause.is_of_stack() => {
                    let stack_id = &changes.stack_id;
                    let token = &token;
                    explain::findings(target, Checked::Operation { stack_id, token }).await
                }
                _ => Vec::new(),
            },
        })),
    }
}

/// Whether the stack's last operation is the execution of this change set.
async fn is_executed(target: &Target, changes: &ChangeSet) -> Result<bool> {
    let stack = stack::describe(target, &changes.stack_id).await?;
    if stack.is_some_and(|stack| {
        *stack.status() != StackStatus::ReviewInProgress
            && stack.0.change_set_id() == Some(&changes.id)
    }) {
        return Ok(true);
    }
    // Not every endpoint tells of a stack which change set made it what it is.
    let described = change_set::describe(target, changes, None).await;
    Ok(described.is_ok_and(|page| {
        matches!(
            page.execution_status(),
            Some(
                ExecutionStatus::ExecuteInProgress
                    | ExecutionStatus::ExecuteComplete
                    | ExecutionStatus::ExecuteFailed
            )
        )
    }))
}

#[cfg(test)]
mod tests;
