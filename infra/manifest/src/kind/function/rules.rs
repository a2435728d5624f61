//! What Lambda and IAM do not accept of a function.

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::Budget;
use crate::check::{Check, Subject, is_xml};
use crate::function::Declaration;
use crate::grant::Grant;
use crate::kind::KINDS;
use crate::resource_id::Variable;

/// The longest name of a function, in characters.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
const NAME_MAX: usize = 64;
/// The longest description, by the same page.
const DESCRIPTION_MAX: usize = 256;
/// The longest name or ARN that a reference to a resource can turn into, in bytes.
const REFERENCE_MAX: usize = 256;
/// A function's environment, names and values together, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ENVIRONMENT_MAX: usize = 4096;

/// What is wrong with a function of an app that has these variables.
pub(crate) fn check(check: &mut Check<'_>, function: &Declaration, variables: &[Variable]) {
    let subject = Subject::of_function(function);
    check.kebab_case(&subject, &function.name);
    check.length_in_stack(&subject, 1 + function.name.len(), NAME_MAX);
    check.memory(&subject, function.memory_mb);
    if let Some(ephemeral_storage_mb) = function.ephemeral_storage_mb {
        check.ephemeral_storage(&subject, ephemeral_storage_mb);
    }
    if let Some(description) = &function.description {
        check_description(check, &subject, description);
    }
    check.timeout(&subject, function.timeout_seconds);
    budget(check, function);
    environment(check, function, variables);
    grants(check, function);
    recursion(check, function);
    super::exceptions::check(check, function);
    references(check, function);
}

/// A function that causes its own events may run without end, and costs money as long as it does.
fn recursion(check: &mut Check<'_>, function: &Declaration) {
    for declared in &function.grants {
        let grant = &declared.what;
        let subject = Subject::of_function(function).at(declared.origin);
        let triggers = function.triggers.iter();
        let cause = triggers
            .filter_map(|trigger| Some((trigger.what.cause_in(grant)?, trigger)))
            .next();
        match (cause, grant.recursion_reason()) {
            (Some((action, trigger)), None) => check.require(
                false,
                &subject,
                format!(
                    "is granted {action} on {}, which causes events that invoke it, by the trigger at {}",
                    trigger.what.source(),
                    trigger.origin
                ),
                "remove the grant or the trigger, or say what ends the recursion by `.recursive(\"…\")` at the grant",
            ),
            (Some((action, _)), Some(reason)) => check.require(
                !reason.trim().is_empty(),
                &subject,
                format!("is granted {action} on a resource that invokes it, without a reason"),
                "say in `recursive` what ends the recursion",
            ),
            (None, Some(_)) => check.require(
                false,
                &subject,
                "has a recursive grant that causes none of its events",
                "remove `recursive`",
            ),
            (None, None) => {}
        }
    }
}

/// A budget that no function exceeds, or that every function exceeds, is a slip of the pen.
fn budget(check: &mut Check<'_>, function: &Declaration) {
    let Budget {
        zip_bytes,
        init_ms,
        warm_p99_ms,
        peak_memory_bytes,
    } = function.budget.what;
    let memory_bytes = u64::from(function.memory_mb) * 1024 * 1024;
    let timeout_ms = u64::from(function.timeout_seconds) * 1000;
    let subject = Subject::of_function(function).at(function.budget.origin);
    for (setting, budget, max, whose) in [
        (
            "zip_bytes",
            zip_bytes,
            Budget::MAX_ZIP_BYTES,
            "the largest package that Lambda takes",
        ),
        (
            "init_ms",
            u64::from(init_ms),
            u64::from(Budget::MAX_INIT_MS),
            "the longest init that Lambda waits for",
        ),
        (
            "warm_p99_ms",
            u64::from(warm_p99_ms),
            timeout_ms,
            "its timeout",
        ),
        (
            "peak_memory_bytes",
            peak_memory_bytes,
            memory_bytes,
            "its memory",
        ),
    ] {
        // A timeout of nothing is a slip that is told by itself.
        check.require(
            max == 0 || (1..=max).contains(&budget),
            &subject,
            format!("has a budget of {budget} for `{setting}`"),
            format!("set `{setting}` to 1 to {max}, {whose}"),
        );
    }
}

fn check_description(check: &mut Check<'_>, subject: &Subject, description: &str) {
    let length = description.chars().count();
    check.require(
        length <= DESCRIPTION_MAX,
        subject,
        format!(
            "has a description of {length} characters, but Lambda takes at most {DESCRIPTION_MAX}"
        ),
        "shorten it",
    );
    check.require(
        description.chars().all(is_xml),
        subject,
        "has a description with characters that CloudFormation cannot pass on",
        "remove control characters from it",
    );
}

fn references(check: &mut Check<'_>, function: &Declaration) {
    let subject = Subject::of_function(function);
    for trigger in &function.triggers {
        check.references(&subject.clone().at(trigger.origin), [trigger.what.source()]);
    }
    for grant in &function.grants {
        check.references(&subject.clone().at(grant.origin), grant.what.tells());
    }
    for told in &function.told {
        check.references(&subject.clone().at(told.origin), [&told.what]);
    }
}

fn environment(check: &mut Check<'_>, function: &Declaration, variables: &[Variable]) {
    let subject = Subject::of_function(function);
    let knows = function.knows();
    let given: BTreeMap<&String, &Variable> = variables
        .iter()
        .filter(|variable| knows.contains(&variable.of))
        .map(|variable| (&variable.name, variable))
        .collect();
    let mut size: usize = given
        .values()
        .map(|Variable { name, value, .. }| {
            name.len() + value.as_str().map_or(REFERENCE_MAX, str::len)
        })
        .sum();
    let mut seen = BTreeSet::new();
    for declared in &function.environment {
        let subject = subject.clone().at(declared.origin);
        let (variable, value) = &declared.what;
        size += variable.len() + value.len();
        check.variable(&subject, variable);
        check.variable_value(&subject, variable, value);
        check.require(
            seen.insert(variable),
            &subject,
            format!("sets the variable `{variable}` twice"),
            "remove one",
        );
        if let Some(Variable { of, .. }) = given.get(variable) {
            check.require(
                false,
                &subject,
                format!("sets the variable `{variable}`, which it gets from {of}"),
                "remove or rename it",
            );
        }
    }
    for (variable, value) in &check.stage().environment {
        size += variable.len() + value.len();
        check.require(
            !seen.contains(variable) && !given.contains_key(variable),
            &check.setting(&["environment", variable]),
            format!(
                "sets the variable `{variable}`, which function `{}` has from the app",
                function.name
            ),
            "rename it, or change the app",
        );
    }
    check.require(
        size <= ENVIRONMENT_MAX,
        &subject,
        format!(
            "has an environment of up to {size} bytes, but Lambda takes at most {ENVIRONMENT_MAX}"
        ),
        "move long values into its code or into a parameter store",
    );
}

fn grants(check: &mut Check<'_>, function: &Declaration) {
    let mut seen = BTreeSet::new();
    for declared in &function.grants {
        let grant = &declared.what;
        let subject = Subject::of_function(function).at(declared.origin);
        let target = match (grant.resource(), grant.reason()) {
            (Some(resource), _) => resource.to_string(),
            (None, Some((action, reason))) => {
                unscoped(check, &subject, action, reason);
                format!("`{action}`")
            }
            (None, None) => continue,
        };
        granted(check, &subject, &target, grant);
        check.require(
            seen.insert(target.clone()),
            &subject,
            format!("has two grants of {target}"),
            "merge them into one",
        );
    }
}

fn granted(check: &mut Check<'_>, subject: &Subject, target: &str, grant: &Grant) {
    let mut seen = BTreeSet::new();
    for action in grant.iam_actions() {
        check.require(
            seen.insert(action),
            subject,
            format!("is granted {action} on {target} twice"),
            "list it once",
        );
    }
    check.require(
        !seen.is_empty(),
        subject,
        format!("has a grant on {target} that allows nothing"),
        "list actions in `allow` or remove the grant",
    );
}

fn unscoped(check: &mut Check<'_>, subject: &Subject, action: &str, reason: &str) {
    let (service, verb) = action.split_once(':').unwrap_or_default();
    check.require(
        !service.is_empty()
            && service
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !verb.is_empty()
            && verb.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        subject,
        format!("is granted `{action}`, which is not one IAM action"),
        "write one like `rekognition:DetectLabels`, without wildcards",
    );
    check.require(
        !reason.trim().is_empty(),
        subject,
        format!("is granted `{action}` on every resource without a reason"),
        "say in `Grant::unscoped` why AWS cannot restrict the action to a resource",
    );
    let mut kinds = KINDS.iter().filter_map(|kind| kind.grants.as_ref());
    if let Some(scoped) = kinds.find(|grants| grants.service == service) {
        check.require(
            false,
            subject,
            format!("is granted `{action}` on every resource, though it can be restricted to one"),
            format!("use `{}`", scoped.call),
        );
    }
}
