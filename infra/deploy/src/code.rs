//! Putting functions' code in place without CloudFormation, and noticing that it was.
//!
//! CloudFormation compares a template with the one before, not with what is there. A
//! function whose code was replaced behind its back stays as it is until its parameter
//! changes. So after every deployment the functions' own hashes are compared with the
//! deployed code's.

use std::collections::BTreeSet;

use aws_sdk_lambda::types::LastUpdateStatus;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::artifact::sha256_of_key;
use crate::error::{Error, Result};
use crate::parallel::at_once;
use crate::progress::{Phase, Progress, Report};
use crate::stack::{Described, Outputs, StackSpec};
use crate::target::Target;
use crate::{stack, status};

/// How often an update waits for another one of the same function.
const ATTEMPTS_MAX: usize = 20;

/// What came of the wish to replace only code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hotswap {
    /// Every function runs the code that it should.
    Swapped {
        /// These functions, by physical name, run new code. The others ran it already.
        functions: Vec<String>,
        /// What the stack says about itself, as before.
        outputs: Outputs,
    },
    /// More than code differs, or there is no stack: it must be deployed. Says why.
    NotPossible(String),
}

/// A function and the code that it shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Code {
    function: String,
    bucket: String,
    key: String,
    /// As Lambda states it.
    sha256_base64: String,
}

/// Replaces the code of the functions whose code differs, and only that, in seconds.
/// The stack does not learn of it: the next deployment puts every function back to what
/// that deploys, and says so.
///
/// # Errors
/// When AWS cannot be reached or refuses, or a function does not take its code.
pub async fn hotswap(target: &Target, spec: &StackSpec<'_>, report: Report<'_>) -> Result<Hotswap> {
    report(Progress::Phase(Phase::Plan));
    let not_possible = |why: String| Ok(Hotswap::NotPossible(why));
    let Some(current) = stack::describe(target, spec.name).await? else {
        return not_possible(format!("stack {} does not exist yet", spec.name));
    };
    if !current.settled() {
        return not_possible(format!(
            "stack {} is in state {}",
            spec.name,
            current.status()
        ));
    }
    let mismatch = stack::mismatch(target, &current, spec).await?;
    if mismatch.template {
        return not_possible("the template has changed".to_owned());
    }
    if mismatch.tags {
        return not_possible("the tags have changed".to_owned());
    }
    let code: BTreeSet<&String> = spec.functions.values().collect();
    let others: Vec<&str> = mismatch
        .parameters
        .iter()
        .filter(|parameter| !code.contains(parameter))
        .map(String::as_str)
        .collect();
    if !others.is_empty() {
        return not_possible(format!("parameters have changed: {}", others.join(", ")));
    }
    report(Progress::Phase(Phase::Code));
    Ok(Hotswap::Swapped {
        functions: put_code(target, codes(spec), report).await?,
        outputs: current.outputs(),
    })
}

/// Gives every function back the code that the stack says; returns those that ran other.
pub(crate) async fn repair_code(
    target: &Target,
    spec: &StackSpec<'_>,
    report: Report<'_>,
) -> Result<Vec<String>> {
    report(Progress::Phase(Phase::Code));
    let drifted = drifted(target, spec).await?;
    if drifted.is_empty() {
        return Ok(Vec::new());
    }
    // What was seen may be the work of another deployment: then the stack, looked at
    // after the functions, is changing or says so too.
    let mut codes = deployed_code(target, spec).await?;
    codes.retain(|code| drifted.contains(code));
    put_code(target, codes, report).await
}

/// The functions, by physical name, that run other code than the stack says.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn code_drift(target: &Target, spec: &StackSpec<'_>) -> Result<Vec<String>> {
    let drifted = drifted(target, spec).await?.into_iter();
    Ok(drifted.map(|code| code.function).collect())
}

async fn drifted(target: &Target, spec: &StackSpec<'_>) -> Result<Vec<Code>> {
    let codes = deployed_code(target, spec).await?;
    let drifted = at_once(codes, &|_| {}, |code, _| {
        let target = target.clone();
        async move { Ok((runs(&target, &code).await? == Some(false)).then_some(code)) }
    })
    .await?;
    Ok(drifted.into_iter().flatten().collect())
}

/// The code of the functions by what the stack says; nothing while it changes.
async fn deployed_code(target: &Target, spec: &StackSpec<'_>) -> Result<Vec<Code>> {
    if spec.functions.is_empty() {
        return Ok(Vec::new());
    }
    let current = stack::describe(target, spec.name).await?;
    Ok(current
        .filter(Described::settled)
        .map(|current| {
            codes(&StackSpec {
                parameters: current.parameters(),
                ..spec.clone()
            })
        })
        .unwrap_or_default())
}

async fn put_code(target: &Target, codes: Vec<Code>, report: Report<'_>) -> Result<Vec<String>> {
    let put = at_once(codes, report, |code, tell| {
        let target = target.clone();
        async move {
            if runs(&target, &code).await? != Some(false) {
                return Ok(None);
            }
            update_code(&target, &code).await?;
            let _ = tell.send(Progress::CodeUpdated {
                function: code.function.clone(),
            });
            Ok(Some(code.function))
        }
    })
    .await?;
    Ok(put.into_iter().flatten().collect())
}

/// Whether a function runs this code; `None` when there is no such function.
async fn runs(target: &Target, code: &Code) -> Result<Option<bool>> {
    let function = status::deployed_function(target, &code.function).await?;
    Ok(function.map(|function| function.code_sha256 == code.sha256_base64))
}

async fn update_code(target: &Target, code: &Code) -> Result<()> {
    let what = format!("update the code of {}", code.function);
    let mut waits = target.poll.waits();
    for attempt in 1.. {
        let answer = target
            .lambda
            .update_function_code()
            .function_name(&code.function)
            .s3_bucket(&code.bucket)
            .s3_key(&code.key)
            .send()
            .await;
        match answer {
            Ok(function) if function.last_update_status == Some(LastUpdateStatus::Successful) => {
                return Ok(());
            }
            Ok(_) => break,
            // Another update of the function has not ended.
            Err(error)
                if attempt < ATTEMPTS_MAX
                    && error.as_service_error().is_some_and(
                        aws_sdk_lambda::operation::update_function_code::UpdateFunctionCodeError::is_resource_conflict_exception,
                    ) =>
            {
                waits.pause().await;
            }
            Err(error) => return Err(Error::aws(&what, &error)),
        }
    }
    let mut waits = target.poll.waits();
    loop {
        let function = target
            .lambda
            .get_function_configuration()
            .function_name(&code.function)
            .send()
            .await
            .map_err(|error| Error::aws(&what, &error))?;
        match function.last_update_status() {
            Some(LastUpdateStatus::InProgress) => waits.pause().await,
            Some(LastUpdateStatus::Failed) => {
                return Err(Error::new(format!("could not {what}")).because(
                    function
                        .last_update_status_reason()
                        .unwrap_or("Lambda gave no reason"),
                ));
            }
            _ => return Ok(()),
        }
    }
}

/// The functions of a stack whose code is one of our artifacts.
fn codes(spec: &StackSpec<'_>) -> Vec<Code> {
    let Some(store) = spec.store else {
        return Vec::new();
    };
    spec.functions
        .keys()
        .filter_map(|function| {
            let key = spec.code_key(function)?;
            Some(Code {
                function: function.clone(),
                bucket: store.bucket.to_owned(),
                key: key.to_owned(),
                sha256_base64: STANDARD.encode(sha256_of_key(key)?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
