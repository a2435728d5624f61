//! What whoever deploys the app must be allowed to do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cloudformation::Template;
use crate::render;
use crate::resolve::App;
use crate::stage::Removal;
use crate::synth;

mod handlers;

/// The longest name of a bucket, a role and a queue.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
const BUCKET_NAME_MAX: usize = 63;
const ROLE_NAME_MAX: usize = 64;
const QUEUE_NAME_MAX: usize = 80;

/// The longest managed policy, in characters that are no white space.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const MANAGED_POLICY_MAX: usize = 6_144;

/// What the policies allow for other verbs than `deploy` and `rollback`, by statement ID.
const AFTER_DEPLOYMENT: [&str; 8] = [
    "DeleteStacks",
    "EmptyBuckets",
    "FindDrift",
    "FollowDriftDetection",
    "InvokeFunctions",
    "ReadLogs",
    "RedriveFailures",
    "RedriveStreams",
];

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
        DeployerPolicies(managed(self.deployer_statements()))
    }

    /// Of [`deployer_policies`](Self::deployer_policies), what a deployment needs: one policy, as
    /// long as it may be.
    #[must_use]
    pub fn deployment_policy(&self) -> String {
        let mut statements = self.deployer_statements();
        statements.retain(|statement| {
            let sid = statement["Sid"].as_str().unwrap_or_default();
            !AFTER_DEPLOYMENT.contains(&sid)
        });
        render::json(&policy(&statements))
    }

    fn deployer_statements(&self) -> Vec<Value> {
        let template = synth::template(self);
        let deployer = Deployer {
            app: self,
            stack: self.stack_name(),
            bootstrap: self.bootstrap_stack_name(),
            types: template.types(),
            template: &template,
        };
        deployer.statements()
    }
}

/// Who deploys an app, and what it consists of.
struct Deployer<'a> {
    app: &'a App,
    stack: String,
    bootstrap: String,
    /// The types of its resources.
    types: BTreeSet<&'a str>,
    template: &'a Template,
}

impl Deployer<'_> {
    fn statements(&self) -> Vec<Value> {
        [
            self.stacks(),
            self.buckets(),
            self.roles(),
            self.functions(),
            self.event_source_mappings(),
            self.logs(),
            self.others(),
            self.failure_queues(),
        ]
        .concat()
    }

    /// What the deployment itself calls.
    fn stacks(&self) -> Vec<Value> {
        let stacks = [&self.stack, &self.bootstrap]
            .map(|stack| self.arn("cloudformation", &format!("stack/{stack}/*")));
        // The change set that cannot be made is asked about without its stack.
        let mut explained = stacks.to_vec();
        explained.push(self.arn("cloudformation", "changeSet/*"));
        vec![
            allow(
                "DeployAndRecoverStacks",
                "cloudformation",
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
            allow(
                "ExplainFailures",
                "cloudformation",
                &["DescribeEvents"],
                &json!(explained),
            ),
            allow(
                "DeleteStacks",
                "cloudformation",
                &["DeleteStack"],
                &json!(stacks),
            ),
            allow(
                "FindDrift",
                "cloudformation",
                &[
                    "DescribeStackResourceDrifts",
                    "DetectStackDrift",
                    "DetectStackResourceDrift",
                ],
                &json!(stacks),
            ),
            allow(
                "FollowDriftDetection",
                "cloudformation",
                &[
                    "BatchDescribeTypeConfigurations",
                    "DescribeStackDriftDetectionStatus",
                ],
                &json!("*"),
            ),
        ]
    }

    /// The app's buckets, the artifact bucket, and what is in them.
    fn buckets(&self) -> Vec<Value> {
        let s3 = |name: String| format!("arn:{}:s3:::{name}", self.partition());
        let of_app = s3(format!("{}-*", self.stack));
        let artifacts = made_up_name(&self.bootstrap, "artifactbucket", BUCKET_NAME_MAX);
        let artifacts = s3(artifacts.unwrap_or_else(|| format!("{}-*", self.bootstrap)));
        let of_stage = format!(
            "{artifacts}/{}/{}/*",
            self.app.name(),
            self.app.stage().name
        );
        let mut statements = vec![
            // The artifact bucket is there whatever the app consists of.
            allow(
                "DeployBuckets",
                "s3",
                handlers::BUCKET,
                &json!([of_app, artifacts]),
            ),
            // Lambda and CloudFormation read code and template with the caller's permissions.
            allow(
                "KeepArtifacts",
                "s3",
                &["GetObject", "PutObject"],
                &json!(of_stage),
            ),
            allow(
                "DeleteArtifacts",
                "s3",
                &["DeleteObject", "DeleteObjectVersion", "ListBucketVersions"],
                &json!([artifacts, of_stage]),
            ),
        ];
        if self.deletes_data() {
            statements.push(allow(
                "EmptyBuckets",
                "s3",
                &["DeleteObject", "DeleteObjectVersion", "ListBucketVersions"],
                &json!([of_app, format!("{of_app}/*")]),
            ));
        }
        statements
    }

    fn roles(&self) -> Vec<Value> {
        let roles: Vec<String> = self
            .made_up_names("AWS::IAM::Role", ROLE_NAME_MAX)
            .iter()
            .map(|name| self.global_arn("iam", &format!("role/{name}")))
            .collect();
        let roles = one_or_more(&roles);
        let mut statements = vec![allow("DeployRoles", "iam", handlers::ROLE, &roles)];
        let mut empower = allow("EmpowerRoles", "iam", handlers::EMPOWER_ROLE, &roles);
        if let Some(boundary) = &self.app.stage().permissions_boundary {
            empower = allow(
                "EmpowerRoles",
                "iam",
                handlers::EMPOWER_BOUNDED_ROLE,
                &roles,
            );
            empower["Condition"] = json!({"StringEquals": {"iam:PermissionsBoundary": boundary}});
        }
        statements.push(empower);
        let mut services = vec!["lambda.amazonaws.com"];
        if self.types.contains("AWS::CodeDeploy::DeploymentGroup") {
            services.insert(0, "codedeploy.amazonaws.com");
        }
        let mut pass = allow("PassRoles", "iam", &["PassRole"], &roles);
        pass["Condition"] = json!({"StringEquals": {"iam:PassedToService": services}});
        statements.push(pass);
        if self.types.contains("AWS::ApiGatewayV2::Api") {
            statements.push(self.service_linked_role());
        }
        statements
    }

    /// API Gateway makes its role for the first API of an account, if its caller may.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html>
    fn service_linked_role(&self) -> Value {
        const SERVICE: &str = "ops.apigateway.amazonaws.com";
        let role = format!("role/aws-service-role/{SERVICE}/AWSServiceRoleForAPIGateway");
        let mut create = allow(
            "CreateServiceLinkedRoles",
            "iam",
            &["CreateServiceLinkedRole"],
            &json!(self.global_arn("iam", &role)),
        );
        create["Condition"] = json!({"StringEquals": {"iam:AWSServiceName": SERVICE}});
        create
    }

    fn functions(&self) -> Vec<Value> {
        let functions = json!(self.functions_arn());
        vec![
            allow(
                "DeployFunctions",
                "lambda",
                &self.needed(handlers::LAMBDA),
                &functions,
            ),
            allow(
                "CompareFunctions",
                "lambda",
                &["GetFunctionConfiguration"],
                &functions,
            ),
            allow("InvokeFunctions", "lambda", &["InvokeFunction"], &functions),
        ]
    }

    /// A mapping has no name, so it is limited by its function. IAM cannot limit the actions on its
    /// tags by that.
    fn event_source_mappings(&self) -> Vec<Value> {
        if !self.types.contains("AWS::Lambda::EventSourceMapping") {
            return Vec::new();
        }
        let mappings = json!(self.arn("lambda", "event-source-mapping:*"));
        let of_functions = json!({"ArnLike": {"lambda:FunctionArn": self.functions_arn()}});
        let mut create = allow(
            "CreateEventSourceMappings",
            "lambda",
            &["CreateEventSourceMapping"],
            &json!("*"),
        );
        create["Condition"] = of_functions.clone();
        let mut deploy = allow(
            "DeployEventSourceMappings",
            "lambda",
            &[
                "DeleteEventSourceMapping",
                "GetEventSourceMapping",
                "UpdateEventSourceMapping",
            ],
            &mappings,
        );
        deploy["Condition"] = of_functions;
        let tag = allow(
            "TagEventSourceMappings",
            "lambda",
            &["ListTags", "TagResource", "UntagResource"],
            &mappings,
        );
        vec![create, deploy, tag]
    }

    fn logs(&self) -> Vec<Value> {
        let log_groups =
            |prefix: &str| self.arn("logs", &format!("log-group:{prefix}{}-*", self.stack));
        let of_functions = log_groups("/aws/lambda/");
        let of_apis = log_groups("/aws/vendedlogs/apis/");
        let mut statements = vec![
            allow(
                "DeployLogGroups",
                "logs",
                handlers::LOG_GROUP,
                &json!([of_functions, of_apis]),
            ),
            allow(
                "FindLogGroups",
                "logs",
                handlers::ALL_LOG_GROUPS,
                &json!("*"),
            ),
            allow(
                "ReadLogs",
                "logs",
                &["FilterLogEvents"],
                &json!(of_functions),
            ),
        ];
        if self.types.contains("AWS::ApiGatewayV2::Stage") {
            statements.push(allow(
                "DeliverAccessLogs",
                "logs",
                handlers::ACCESS_LOGS,
                &json!("*"),
            ));
        }
        statements
    }

    /// Resources of which the whole service is found by the stack's name, and HTTP APIs, whose
    /// identifiers API Gateway makes up.
    fn others(&self) -> Vec<Value> {
        let named = |prefix: &str| format!("{prefix}{}-*", self.stack);
        let apigateway = |path: &str| {
            let region = self.region();
            format!("arn:{}:apigateway:{region}::{path}", self.partition())
        };
        let alarms = self.arn("cloudwatch", &named("alarm:"));
        // Composite alarms are described to those only who may have all described.
        // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
        let described = if self.types.contains("AWS::CloudWatch::CompositeAlarm") {
            "*"
        } else {
            &alarms
        };
        let mut tables = self.needed(handlers::DYNAMODB);
        if self.deletes_data() && !tables.is_empty() {
            tables.insert(0, "DeleteTable");
            tables.sort_unstable();
        }
        [
            (
                "DeployHttpApis",
                "apigateway",
                self.needed(handlers::API_GATEWAY),
                json!([
                    apigateway("/apis"),
                    apigateway("/apis/*"),
                    apigateway("/tags/*")
                ]),
            ),
            (
                "DeployTables",
                "dynamodb",
                tables,
                json!(self.arn("dynamodb", &named("table/"))),
            ),
            (
                "DeployTopics",
                "sns",
                self.needed(handlers::SNS),
                json!(self.arn("sns", &named(""))),
            ),
            (
                "EndSubscriptions",
                "sns",
                self.needed(handlers::ALL_SUBSCRIPTIONS),
                json!("*"),
            ),
            (
                "DeployQueues",
                "sqs",
                self.needed(handlers::SQS),
                self.queues(),
            ),
            (
                "DeployAlarms",
                "cloudwatch",
                self.needed(handlers::CLOUDWATCH),
                json!(alarms),
            ),
            (
                "DeployCanaries",
                "codedeploy",
                self.needed(handlers::CODE_DEPLOY),
                json!(
                    ["application:", "deploymentconfig:", "deploymentgroup:"]
                        .map(|prefix| self.arn("codedeploy", &named(prefix)))
                ),
            ),
            (
                "StopCanaries",
                "codedeploy",
                self.needed(handlers::STOP_DEPLOYMENT),
                json!("*"),
            ),
            (
                "FindAlarms",
                "cloudwatch",
                self.needed(handlers::ALL_ALARMS),
                json!(described),
            ),
        ]
        .into_iter()
        .filter(|(_, _, actions, _)| !actions.is_empty())
        .map(|(sid, service, actions, resources)| allow(sid, service, &actions, &resources))
        .collect()
    }

    /// What failed is read from its queue and, where the queue only tells where it is, from
    /// its stream.
    fn failure_queues(&self) -> Vec<Value> {
        let mut statements = Vec::new();
        if self.types.contains("AWS::SQS::Queue") {
            statements.push(allow(
                "RedriveFailures",
                "sqs",
                &["ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage"],
                &self.queues(),
            ));
        }
        if self.types.contains("AWS::Lambda::EventSourceMapping") {
            statements.push(allow(
                "RedriveStreams",
                "dynamodb",
                &["GetRecords", "GetShardIterator"],
                &json!(self.arn("dynamodb", &format!("table/{}-*/stream/*", self.stack))),
            ));
        }
        statements
    }

    fn queues(&self) -> Value {
        let names = self.made_up_names("AWS::SQS::Queue", QUEUE_NAME_MAX);
        let queues: Vec<String> = names.iter().map(|name| self.arn("sqs", name)).collect();
        one_or_more(&queues)
    }

    /// Patterns of the names that CloudFormation makes up for the stack's resources of a type.
    /// Names of types that are not asked about here may be so long that none is cut.
    fn made_up_names(&self, kind: &str, max: usize) -> BTreeSet<String> {
        let uncut = format!("{}-*", self.stack);
        let mut names: BTreeSet<String> = self
            .template
            .of_type(kind)
            .map(|logical_id| {
                made_up_name(&self.stack, logical_id, max).unwrap_or_else(|| uncut.clone())
            })
            .collect();
        if names.is_empty() {
            names.insert(uncut);
        }
        names
    }

    /// The actions for those types of a service's resources that the app has.
    fn needed(&self, handlers: handlers::OfService) -> Vec<&'static str> {
        let actions: BTreeSet<&'static str> = handlers
            .iter()
            .filter(|(resource_type, _)| self.types.contains(resource_type))
            .flat_map(|(_, actions)| actions.iter().copied())
            .collect();
        actions.into_iter().collect()
    }

    fn deletes_data(&self) -> bool {
        self.app.stage().removal == Removal::Delete
    }

    fn functions_arn(&self) -> String {
        self.arn("lambda", &format!("function:{}-*", self.stack))
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.region();
        format!(
            "arn:{}:{service}:{region}:{}:{resource}",
            self.partition(),
            self.account()
        )
    }

    fn global_arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}::{}:{resource}",
            self.partition(),
            self.account()
        )
    }

    fn region(&self) -> &str {
        self.app.stage().region.as_deref().unwrap_or("*")
    }

    fn account(&self) -> &str {
        self.app.stage().account.as_deref().unwrap_or("*")
    }

    /// IAM knows no pattern of partitions; without a region it is the largest.
    fn partition(&self) -> &'static str {
        const PARTITIONS: [(&str, &str); 7] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-iso-", "aws-iso"),
            ("us-isob-", "aws-iso-b"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-isof-", "aws-iso-f"),
            ("eusc-", "aws-eusc"),
        ];
        PARTITIONS
            .iter()
            .find(|(prefix, _)| self.region().starts_with(prefix))
            .map_or("aws", |(_, partition)| *partition)
    }
}

/// A pattern of the names that CloudFormation makes up for a resource of a stack, if it has to cut
/// the stack's name; otherwise they begin with it and a hyphen.
///
/// A name is the stack's name, the logical ID and 12 or 13 random characters, with hyphens between
/// them. AWS does not document what it cuts. By the names of stacks in public reports, each of the
/// first two parts has half of the room, and what the other one leaves of its half. Where 12 random
/// characters leave room for one character more, the pattern has a wildcard.
fn made_up_name(stack: &str, logical_id: &str, max: usize) -> Option<String> {
    const HYPHENS: usize = 2;
    const RANDOM_MAX: usize = 13;
    let room = max - HYPHENS - RANDOM_MAX;
    let kept = |part: &str, other: &str| {
        room.saturating_sub(other.len())
            .max(room / 2)
            .min(part.len())
    };
    let of_stack = stack.get(..kept(stack, logical_id))?;
    let of_resource = logical_id.get(..kept(logical_id, stack))?;
    if of_stack == stack {
        return None;
    }
    let end = if of_resource == logical_id { "-*" } else { "*" };
    Some(format!("{of_stack}*-{of_resource}{end}"))
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

/// A single text, or a list.
fn one_or_more(texts: &[String]) -> Value {
    match texts {
        [text] => json!(text),
        texts => json!(texts),
    }
}

fn allow(sid: &str, service: &str, actions: &[&str], resources: &Value) -> Value {
    let actions: Vec<String> = actions
        .iter()
        .map(|action| format!("{service}:{action}"))
        .collect();
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_part_of_a_name_is_cut_to_what_the_other_leaves() {
        let stack = |length| "s".repeat(length);
        let id = |length| "L".repeat(length);
        for (stack_length, id_length, kept) in [
            // 64 - 2 hyphens - 13 random characters = 49.
            (26, 23, None),
            (27, 23, Some((26, 23))),
            (42, 23, Some((26, 23))),
            (44, 5, None),
            (60, 5, Some((44, 5))),
            (24, 60, None),
            (25, 60, Some((24, 24))),
            (60, 60, Some((24, 24))),
        ] {
            let expected = kept.map(|(of_stack, of_id)| {
                let end = if of_id == id_length { "-*" } else { "*" };
                format!("{}*-{}{end}", stack(of_stack), id(of_id))
            });
            assert_eq!(
                made_up_name(&stack(stack_length), &id(id_length), ROLE_NAME_MAX),
                expected,
                "{stack_length} {id_length}"
            );
        }
        let bootstrap = "the-library-of-alexandria-bootstrap";
        assert_eq!(
            made_up_name(bootstrap, "artifactbucket", BUCKET_NAME_MAX).as_deref(),
            Some("the-library-of-alexandria-bootstra*-artifactbucket-*")
        );
    }
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
            allow("Small", "s3", &["GetObject"], &json!("*")),
            allow("Resources", "s3", &["GetObject"], &json!(texts("", 200))),
            allow("Actions", "s3", &actions, &json!("*")),
            allow("Both", "s3", &actions, &json!(texts("", 70))),
        ];
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
