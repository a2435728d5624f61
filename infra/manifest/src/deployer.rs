//! What whoever deploys the app must be allowed to do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render;
use crate::resolve::App;
use crate::stage::Removal;
use crate::synth;

mod handlers;

impl App {
    /// The least IAM policy with which the app can be deployed to its stage, looked after and
    /// deleted: pretty JSON with a trailing newline.
    ///
    /// It names resources by account, region and the stack's name, as far as AWS lets a
    /// policy name them and the stage tells its account and region. A stage whose name begins
    /// with this one's and a hyphen is within its reach, and so are the region's HTTP APIs:
    /// API Gateway makes up their identifiers. Where the stage keeps its data, the policy
    /// cannot delete any. Where it has a permissions boundary, roles can be made within it
    /// only.
    ///
    /// It is meant for a role, as an inline policy: it is too long for one managed policy.
    #[must_use]
    pub fn deployer_policy(&self) -> String {
        let template = synth::template(self);
        let deployer = Deployer {
            app: self,
            stack: self.stack_name(),
            bootstrap: self.bootstrap_stack_name(),
            types: template.types(),
        };
        render::json(&json!({
            "Version": "2012-10-17",
            "Statement": deployer.statements(),
        }))
    }
}

/// Who deploys an app, and what it consists of.
struct Deployer<'a> {
    app: &'a App,
    stack: String,
    bootstrap: String,
    /// The types of its resources.
    types: BTreeSet<&'a str>,
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
        ]
    }

    /// The app's buckets, the artifact bucket, and what is in them.
    fn buckets(&self) -> Vec<Value> {
        let s3 = |name: String| format!("arn:{}:s3:::{name}", self.partition());
        let of_app = s3(format!("{}-*", self.stack));
        let artifacts = s3(format!("{}-*", self.bootstrap));
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
        let roles = json!(self.global_arn("iam", &format!("role/{}-*", self.stack)));
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
        statements
    }

    fn functions(&self) -> Vec<Value> {
        let functions = json!(self.functions_arn());
        let mut actions = self.needed(handlers::LAMBDA);
        if !self.app.stage().reserved_concurrency.is_empty() {
            actions.extend(["DeleteFunctionConcurrency", "PutFunctionConcurrency"]);
            actions.sort_unstable();
        }
        vec![
            allow("DeployFunctions", "lambda", &actions, &functions),
            allow(
                "CompareFunctions",
                "lambda",
                &["GetFunctionConfiguration"],
                &functions,
            ),
            allow("InvokeFunctions", "lambda", &["InvokeFunction"], &functions),
        ]
    }

    /// Mappings have no names, but functions that they are of; their tags have only them.
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
                "DeployQueues",
                "sqs",
                self.needed(handlers::SQS),
                json!(self.arn("sqs", &named(""))),
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
                &json!(self.arn("sqs", &format!("{}-*", self.stack))),
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

fn allow(sid: &str, service: &str, actions: &[&str], resources: &Value) -> Value {
    let actions: Vec<String> = actions
        .iter()
        .map(|action| format!("{service}:{action}"))
        .collect();
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources})
}
