//! The IAM policies that a deployment of an app needs.

use serde_json::{Value, json};

use crate::app::App;
use crate::deployer::{Deployer, Statement};
use crate::kind;
use crate::render;

/// The longest managed policy, in characters that are not white space.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const MANAGED_POLICY_MAX: usize = 6_144;

/// The IAM policies of [`App::deployer_policies`]. Each fits into a managed policy.
#[derive(Debug)]
pub struct DeployerPolicies(Vec<Value>);

impl DeployerPolicies {
    /// Each policy: pretty JSON with a trailing newline.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = String> {
        self.0.iter().map(render::json)
    }

    /// All policies, as an array: pretty JSON with a trailing newline.
    #[must_use]
    pub fn array(&self) -> String {
        render::json(&json!(self.0))
    }
}

impl App {
    /// The least IAM policies with which the app can be deployed to its stage, looked after and
    /// deleted. A role needs all of them: they are one policy, which is too long for IAM.
    ///
    /// They name resources by account, region and the stack's name, as far as AWS lets a
    /// policy name them and the stage tells its account and region. A stage whose name begins
    /// with this one's and a hyphen is within their reach, and so are the region's HTTP APIs:
    /// API Gateway makes up their identifiers. Where CloudFormation cuts the stack's name,
    /// stages whose names begin like it are within reach as well. Where the stage keeps its
    /// data, the policies cannot delete any. Where it has a permissions boundary, roles can be
    /// made within it only.
    #[must_use]
    pub fn deployer_policies(&self) -> DeployerPolicies {
        DeployerPolicies(managed(documents(self.deployer_statements())))
    }

    /// Of [`deployer_policies`](Self::deployer_policies), what a deployment needs: one policy, as
    /// long as it may be.
    #[must_use]
    pub fn deployment_policy(&self) -> String {
        let mut statements = self.deployer_statements();
        statements.retain(Statement::is_of_deployment);
        render::json(&policy(&documents(statements)))
    }

    fn deployer_statements(&self) -> Vec<Statement> {
        let template = self.template();
        let declared = self.resources().map(|(id, _)| id).collect();
        let deployer = Deployer::new(self.name(), self.stage(), &template, declared);
        let mut statements = stacks(&deployer);
        statements.extend(kind::deployer_statements(&deployer));
        let resources = self.declared_resources();
        statements.extend(resources.flat_map(|resource| resource.deployer_statements(&deployer)));
        statements
    }
}

/// What the deployment itself calls.
fn stacks(deployer: &Deployer<'_>) -> Vec<Statement> {
    let arn = |resource: &str| deployer.arn("cloudformation", resource);
    let stacks = [deployer.stack(), deployer.bootstrap_stack()]
        .map(|stack| arn(&format!("stack/{stack}/*")));
    // The change set that cannot be made is asked about without its stack.
    let mut explained = stacks.to_vec();
    explained.push(arn("changeSet/*"));
    let allow = |sid: &str, actions: &[&str], resources: &Value| {
        Statement::allow(sid, "cloudformation", actions, resources)
    };
    vec![
        allow(
            "DeployAndRecoverStacks",
            &[
                "ContinueUpdateRollback",
                "CreateChangeSet",
                "DeleteChangeSet",
                "DescribeChangeSet",
                "DescribeStackEvents",
                "DescribeStacks",
                "ExecuteChangeSet",
                "GetTemplate",
                "ListChangeSets",
                "ListStackResources",
                "RollbackStack",
                "TagResource",
                "UntagResource",
            ],
            &json!(stacks),
        ),
        allow("ExplainFailures", &["DescribeEvents"], &json!(explained)),
        allow("DeleteStacks", &["DeleteStack"], &json!(stacks)).after_deployment(),
        allow(
            "FindDrift",
            &[
                "DescribeStackResourceDrifts",
                "DetectStackDrift",
                "DetectStackResourceDrift",
            ],
            &json!(stacks),
        )
        .after_deployment(),
        allow(
            "FollowDriftDetection",
            &[
                "BatchDescribeTypeConfigurations",
                "DescribeStackDriftDetectionStatus",
            ],
            &json!("*"),
        )
        .after_deployment(),
    ]
}

/// As few policies as hold the statements in their order, none longer than a managed policy.
fn managed(statements: Vec<Value>) -> Vec<Value> {
    let mut policies: Vec<Vec<Value>> = Vec::new();
    for statement in statements.into_iter().flat_map(of_managed_policy) {
        match policies.last_mut() {
            Some(last) if fits(&[last, std::slice::from_ref(&statement)].concat()) => {
                last.push(statement);
            }
            _ => policies.push(vec![statement]),
        }
    }
    policies
        .iter()
        .map(|statements| policy(statements))
        .collect()
}

/// The statement, or its parts if a managed policy cannot hold it.
fn of_managed_policy(statement: Value) -> Vec<Value> {
    if fits(std::slice::from_ref(&statement)) {
        return vec![statement];
    }
    let list = ["Resource", "Action"].into_iter().find_map(|key| {
        let items = statement[key].as_array().filter(|items| items.len() > 1)?;
        Some((key, items.split_at(items.len() / 2)))
    });
    let Some((key, (first, second))) = list else {
        return vec![statement];
    };
    [("A", first), ("B", second)]
        .into_iter()
        .flat_map(|(part, items)| {
            let mut statement = statement.clone();
            let sid = statement["Sid"].as_str().unwrap_or_default();
            statement["Sid"] = json!(format!("{sid}{part}"));
            statement[key] = json!(items);
            of_managed_policy(statement)
        })
        .collect()
}

fn fits(statements: &[Value]) -> bool {
    let policy = policy(statements).to_string();
    let size = policy.chars().filter(|letter| !letter.is_whitespace());
    size.count() <= MANAGED_POLICY_MAX
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn documents(statements: Vec<Statement>) -> Vec<Value> {
    statements
        .into_iter()
        .map(Statement::into_document)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Everything that policies allow: each action on each resource.
    fn allowed(policies: &[Value]) -> BTreeSet<(String, String)> {
        let list = |value: &Value| match value {
            Value::Array(items) => items.clone(),
            item => vec![item.clone()],
        };
        let statements = policies
            .iter()
            .flat_map(|policy| list(&policy["Statement"]));
        statements
            .flat_map(|statement| {
                let resources = list(&statement["Resource"]);
                let actions = list(&statement["Action"]);
                actions.into_iter().flat_map(move |action| {
                    let action = action.to_string();
                    let of = |resource: &Value| (action.clone(), resource.to_string());
                    resources.iter().map(of).collect::<Vec<_>>()
                })
            })
            .collect()
    }

    #[test]
    fn a_statement_that_is_too_long_for_a_policy_is_split() {
        let texts = |prefix: &str, count: usize| -> Vec<String> {
            let padding = "x".repeat(100);
            (0..count)
                .map(|number| format!("{prefix}{number}{padding}"))
                .collect()
        };
        let actions = texts("Action", 200);
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let statements = vec![
            Statement::allow("Small", "s3", &["GetObject"], &json!("*")),
            Statement::allow("Resources", "s3", &["GetObject"], &json!(texts("", 200))),
            Statement::allow("Actions", "s3", &actions, &json!("*")),
            Statement::allow("Both", "s3", &actions, &json!(texts("", 70))),
        ];
        let statements = documents(statements);
        let policies = managed(statements.clone());
        assert_eq!(allowed(&policies), allowed(&[policy(&statements)]));
        let mut sids = BTreeSet::new();
        for policy in &policies {
            let statements = policy["Statement"].as_array().unwrap();
            assert!(fits(statements));
            for statement in statements {
                assert!(sids.insert(statement["Sid"].to_string()), "{statement}");
            }
        }
    }
}
