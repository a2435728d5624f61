//! The bootstrap stack: the bucket that everything else is deployed from.

use crate::deploy::Deployment;
use crate::error::{Error, Result};
use crate::execute::Outcome;
use crate::progress::{Decide, Phase, Progress, Report};
use crate::stack::StackSpec;
use crate::target::Target;
use crate::{buckets, deploy, removal, stack};

/// The bootstrap stack's output that names the artifact bucket.
const BUCKET_OUTPUT: &str = "ArtifactBucketName";

/// The artifact bucket's name. The bootstrap stack is created when it is missing, and
/// created anew when its bucket is: CloudFormation does not notice that a bucket was
/// deleted behind its back, and would not make it again. The code that was in it is
/// uploaded by the next deployment of each stage.
///
/// # Errors
/// When AWS cannot be reached or refuses, or the stack cannot be created.
pub async fn ensure_bootstrap(
    target: &Target,
    stack: &str,
    template: &str,
    decide: Decide<'_>,
    report: Report<'_>,
) -> Result<String> {
    report(Progress::Phase(Phase::Bootstrap));
    if let Some(bucket) = artifact_bucket(target, stack).await? {
        if buckets::exists(target, &bucket).await? {
            return Ok(bucket);
        }
        report(Progress::ReplacingBootstrap {
            stack: stack.to_owned(),
            bucket,
        });
        if let Some(bootstrap) = stack::describe(target, stack).await? {
            removal::empty_and_delete(target, &bootstrap, &[], decide, report).await?;
        }
    }
    report(Progress::CreatingBootstrap {
        stack: stack.to_owned(),
    });
    let spec = StackSpec::new(stack, template);
    let approve = async |_: &_| Ok::<(), Error>(());
    // However it is done, it is one phase of the deployment that needs it.
    let report = |progress: Progress| {
        if !matches!(progress, Progress::Phase(_)) {
            report(progress);
        }
    };
    let outputs = match deploy::deploy(target, &spec, approve, decide, &report).await? {
        Deployment::Unchanged { outputs, .. }
        | Deployment::Executed(Outcome::Deployed(outputs)) => outputs,
        Deployment::Executed(Outcome::RolledBack(diagnosis)) => {
            return Err(diagnosis.error(stack));
        }
    };
    outputs.get(BUCKET_OUTPUT).cloned().ok_or_else(|| {
        Error::new(format!("stack {stack} has no output {BUCKET_OUTPUT}"))
            .hint("delete it and deploy again")
    })
}

/// The artifact bucket's name, if the bootstrap stack is there and complete.
pub(crate) async fn artifact_bucket(target: &Target, stack: &str) -> Result<Option<String>> {
    let outputs = stack::outputs(target, stack).await?;
    Ok(outputs.and_then(|mut outputs| outputs.remove(BUCKET_OUTPUT)))
}

#[cfg(test)]
mod tests;
