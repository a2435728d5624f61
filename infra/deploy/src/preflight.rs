//! Finding out before a deployment what stands in its way.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use serde_json::Value;
use tokio::net::lookup_host;

use crate::error::{Error, Result};
use crate::parallel::at_once;
use crate::target::Target;

/// Stands in a name for what a policy leaves open.
const SAMPLE: &str = "preflight";

/// What a caller may not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// The action, for example `lambda:CreateFunction`.
    pub action: String,
    /// On what: an ARN with wildcards, or `*`.
    pub resource: String,
}

/// Requests that one statement allows: its actions, on its resources, in its context.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Simulation {
    actions: Vec<String>,
    /// The resources of the statement, each with one that it matches.
    resources: BTreeMap<String, String>,
    /// The keys of the statement's conditions, each with values that meet them.
    context: Vec<(String, ContextKeyTypeEnum, Vec<String>)>,
}

/// What of `policy` the caller may not do, by IAM's own simulation. `policy` is one that
/// allows what a deployment needs. Empty when all of it is allowed, or when the caller may not
/// simulate or is the account's root user: then CloudFormation will tell.
///
/// A simulation does not see service control policies that depend on the request's context.
/// Nor does it know what else a caller's own policies ask of a request, such as an address or
/// a second factor: what depends on that is left out. So its answer is advice, not a verdict.
pub async fn denied(target: &Target, policy: &str) -> Vec<Denied> {
    let Some(principal) = principal_arn(target).await else {
        return Vec::new();
    };
    let simulations = simulations(policy, &target.region, &target.account);
    let denied = at_once(simulations, &|_| {}, |simulation, _| {
        let (target, principal) = (target.clone(), principal.clone());
        async move { simulate(&target, &principal, simulation).await }
    })
    .await;
    let mut denied = denied.unwrap_or_default().concat();
    denied.sort();
    denied.dedup();
    denied
}

async fn simulate(target: &Target, principal: &str, simulation: Simulation) -> Result<Vec<Denied>> {
    let context = simulation.context.into_iter().map(|(key, kind, values)| {
        ContextEntry::builder()
            .context_key_name(key)
            .context_key_type(kind)
            .set_context_key_values(Some(values))
            .build()
    });
    let samples: Vec<String> = simulation.resources.values().cloned().collect();
    let mut pages = target
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(simulation.actions))
        .set_resource_arns(Some(samples))
        .set_context_entries(Some(context.collect()))
        .into_paginator()
        .send();
    let mut denied = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::aws("simulate the caller's policies", &error))?;
        for result in page.evaluation_results() {
            let refused = *result.eval_decision() != PolicyEvaluationDecisionType::Allowed;
            if !refused || !result.missing_context_values().is_empty() {
                continue;
            }
            let sample = result.eval_resource_name().unwrap_or("*");
            let resources = simulation.resources.iter();
            let resource = resources
                .filter(|(_, of_policy)| *of_policy == sample)
                .map(|(resource, _)| resource.as_str())
                .next()
                .unwrap_or(sample);
            denied.push(Denied {
                action: result.eval_action_name().to_owned(),
                resource: resource.to_owned(),
            });
        }
    }
    Ok(denied)
}

/// Which of these services the region does not have. They are named as in IAM's actions and in
/// the hosts of endpoints, for example `textract`. Without an endpoint there is no address.
/// Where addresses are not looked up as usual (a proxy does it, endpoints are the user's own),
/// nothing is known, and none is named.
pub async fn absent_services<'a>(target: &Target, services: &[&'a str]) -> Vec<&'a str> {
    let control = if target.detours.is_empty() {
        cloudformation_host(&target.region).await
    } else {
        None
    };
    let has_address = async |host: String| match lookup_host((host, 443)).await {
        Ok(_) => Some(true),
        // The resolver had no answer, which is not the answer that there is nothing.
        Err(error) if error.to_string().contains("emporary") => None,
        Err(_) => Some(false),
    };
    match control {
        Some(control) => without_address(services, &control, has_address).await,
        None => Vec::new(),
    }
}

/// The user or role whose policies decide; `None` for the root user.
async fn principal_arn(target: &Target) -> Option<String> {
    let Some(role) = assumed_role(&target.caller_arn) else {
        return target
            .caller_arn
            .contains(":user/")
            .then(|| target.caller_arn.clone());
    };
    // The session's ARN lacks the role's path.
    let answer = target.iam.get_role().role_name(role).send().await.ok()?;
    Some(answer.role()?.arn().to_owned())
}

async fn cloudformation_host(region: &str) -> Option<String> {
    let params = Params::builder().region(region).build().ok()?;
    let endpoint = ResolveEndpoint::resolve_endpoint(&DefaultResolver::new(), &params).await;
    let url = endpoint.ok()?.url().to_owned();
    url.strip_prefix("https://").map(str::to_owned)
}

/// The services whose hosts have no address, while `control`, CloudFormation's, has one.
async fn without_address<'a>(
    services: &[&'a str],
    control: &str,
    has_address: impl AsyncFn(String) -> Option<bool>,
) -> Vec<&'a str> {
    let mut absent = Vec::new();
    for service in services {
        let host = control.replacen("cloudformation", service, 1);
        if has_address(host).await == Some(false)
            && has_address(control.to_owned()).await == Some(true)
        {
            absent.push(*service);
        }
    }
    absent
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// The role's name in `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
fn assumed_role(caller_arn: &str) -> Option<&str> {
    caller_arn.split_once(":assumed-role/")?.1.split('/').next()
}

/// One simulation for each statement of a policy.
fn simulations(policy: &str, region: &str, account: &str) -> Vec<Simulation> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = policy["Statement"].as_array().into_iter().flatten();
    statements
        .map(|statement| Simulation {
            actions: texts(&statement["Action"]),
            resources: texts(&statement["Resource"])
                .into_iter()
                .map(|resource| {
                    let sample = sample(&resource, region, account);
                    (resource, sample)
                })
                .collect(),
            context: context(&statement["Condition"], region, account),
        })
        .collect()
}

/// What meets a statement's conditions.
fn context(
    conditions: &Value,
    region: &str,
    account: &str,
) -> Vec<(String, ContextKeyTypeEnum, Vec<String>)> {
    let operators = conditions.as_object().into_iter().flatten();
    operators
        .flat_map(|(operator, keys)| {
            let kind = if operator.starts_with("Bool") {
                ContextKeyTypeEnum::Boolean
            } else if operator.starts_with("Numeric") {
                ContextKeyTypeEnum::Numeric
            } else {
                // IAM has no type for ARNs.
                ContextKeyTypeEnum::String
            };
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, values)| {
                let values = texts(values);
                // A key has one value, unless its type is a list.
                let value = values.first().map(|value| sample(value, region, account));
                (key.clone(), kind.clone(), value.into_iter().collect())
            })
        })
        .collect()
}

/// A resource, or the value of a condition, that `pattern` matches. IAM takes `*` alone for every
/// resource, and every other one for itself.
fn sample(pattern: &str, region: &str, account: &str) -> String {
    if pattern == "*" {
        return pattern.to_owned();
    }
    let parts = pattern.splitn(6, ':').enumerate();
    let parts: Vec<String> = parts
        .map(|(position, part)| match (position, part) {
            (3, "*") => region.to_owned(),
            (4, "*") => account.to_owned(),
            (_, part) => part.replace('*', SAMPLE),
        })
        .collect();
    parts.join(":")
}

#[cfg(test)]
mod tests;
