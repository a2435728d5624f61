//! Deploying: plan, approve, execute, and again if someone else was faster.

use crate::change_set::{self, ChangeSet};
use crate::error::{Error, ErrorKind};
use crate::execute::Outcome;
use crate::plan::{PLANS_MAX, Plan};
use crate::progress::{Decide, Phase, Progress, Report};
use crate::stack::{Outputs, StackSpec};
use crate::target::Target;
use crate::{code, execute, plan, record};

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    /// The stack was as it shall be.
    Unchanged {
        /// Its outputs.
        outputs: Outputs,
        /// The functions, by physical name, that ran other code than was deployed, and now
        /// run what was.
        repaired: Vec<String>,
    },
    /// A change set was executed.
    Executed(Outcome),
}

/// Brings a stack to what `spec` says. Every change set is shown to `approve` before it
/// is executed. When the stack was changed by someone else meanwhile, it is planned and
/// approved again.
///
/// Stopped at any point, the next call takes up from what it finds.
///
/// # Errors
/// What `approve` returns; when the stack cannot be recovered, or not without a yes;
/// when AWS refuses. A failed deployment is an [`Outcome::RolledBack`], not an error.
pub async fn deploy<E: From<Error>>(
    target: &Target,
    spec: &StackSpec<'_>,
    approve: impl AsyncFn(&ChangeSet) -> Result<(), E>,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<Deployment, E> {
    let mut plans_left = PLANS_MAX;
    loop {
        plans_left -= 1;
        report(Progress::Phase(Phase::Plan));
        let changes = match plan::plan(target, spec, decide, report).await? {
            Plan::Changes(changes) => changes,
            Plan::NoChanges(outputs) => {
                let repaired = code::repair_code(target, spec, report).await?;
                return Ok(Deployment::Unchanged { outputs, repaired });
            }
        };
        if !changes.creates_stack {
            for function in code::code_drift(target, spec).await? {
                report(Progress::CodeDrifted { function });
            }
        }
        report(Progress::Phase(Phase::Approve));
        if let Err(refused) = approve(&changes).await {
            change_set::discard(target, &changes).await?;
            return Err(refused);
        }
        report(Progress::Phase(Phase::Execute));
        record::keep_record(target, spec).await?;
        match execute::execute(target, &changes, report).await {
            Ok(outcome) => {
                if matches!(outcome, Outcome::Deployed(_)) && !changes.creates_stack {
                    code::repair_code(target, spec, report).await?;
                }
                return Ok(Deployment::Executed(outcome));
            }
            Err(error) if error.kind() == ErrorKind::Stale && plans_left > 0 => {
                // Not the stack: it is another deployment's now.
                change_set::delete(target, &changes.stack_id, &changes.id).await?;
                report(Progress::planning_again(spec.name, &error));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
