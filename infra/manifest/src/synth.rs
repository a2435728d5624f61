//! App → CloudFormation template and policies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cloudformation::{Removal, Resource, Template, attribute, reference, sub};
use crate::declare::{
    Bucket, Cors, Grant, Handle, HttpApi, ItemChange, ItemChanges, Publisher, Table, Topic,
};
use crate::name;
use crate::origin::Origin;
use crate::policy;
use crate::render;
use crate::resolve::{App, Function, Route};
use crate::stage::{self, Authorization, DEFAULT_ROUTE};

mod alarms;
mod canary;

/// Everything that AWS must be told, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// The CloudFormation template, in YAML.
    pub template: String,
    /// One IAM policy document per function, by its name: pretty JSON with a
    /// trailing newline.
    pub policies: BTreeMap<String, String>,
}

/// The template parameter that takes the name of the bucket with the functions' code.
const ARTIFACT_BUCKET: &str = "ArtifactBucket";

impl App {
    /// Writes the template and the policies. The same app gives the same bytes.
    #[must_use]
    pub fn synth(&self) -> Assembly {
        let policies = self
            .functions()
            .map(|function| {
                let document = policy::document(function);
                (function.name().to_owned(), render::json(&document))
            })
            .collect();
        Assembly {
            template: render::yaml(&template(self).to_value()),
            policies,
        }
    }
}

pub(crate) fn template(app: &App) -> Template {
    let template = Template::new(format!("{}, stage {}", app.name(), app.stage().name));
    let mut synthesis = Synthesis {
        app,
        tags: app.tags(),
        template: if app.stage().production {
            template.scanned()
        } else {
            template
        },
    };
    synthesis.run();
    synthesis.template
}

/// A template under construction, and what every part of it needs.
struct Synthesis<'a> {
    app: &'a App,
    tags: BTreeMap<String, String>,
    template: Template,
}

impl Synthesis<'_> {
    fn run(&mut self) {
        self.template.parameter(
            ARTIFACT_BUCKET.to_owned(),
            "Bucket with the functions' code",
        );
        let manifest = self.app.manifest();
        for bucket in &manifest.buckets {
            self.bucket(bucket);
        }
        for table in &manifest.tables {
            self.table(table);
        }
        for topic in &manifest.topics {
            self.topic(topic);
        }
        for publisher in &manifest.publishers {
            self.publisher(publisher);
        }
        for http_api in &manifest.http_apis {
            self.http_api(http_api);
        }
        for function in self.app.functions() {
            self.function(function);
        }
        self.rollback_alarm();
        self.canary();
        for resource in manifest.resources() {
            if let Some(variable) = resource.variable {
                self.template.output(
                    name::pascal_case(variable),
                    &format!("{variable} of the environment"),
                    &resource.handle.value(),
                );
            }
        }
    }

    fn add(&mut self, logical_id: String, origin: Origin, resource: Resource) {
        self.template.resource(logical_id, origin, resource);
    }

    /// Not versioned: S3 announces the removal of an old version of an object and the
    /// removal of the object by the same event.
    fn bucket(&mut self, bucket: &Bucket) {
        let logical_id = Handle::Bucket(bucket.name.clone()).logical_id();
        let mut notifications = Vec::new();
        let mut permissions = Vec::new();
        for function in self.app.functions() {
            let Some((origin, events)) = function.events_of(&bucket.name) else {
                continue;
            };
            let permission_id = format!("{logical_id}{}", function.logical_id("Permission"));
            self.bucket_permission(&permission_id, origin, bucket, function);
            permissions.push(permission_id);
            notifications.extend(events.into_iter().map(|event| {
                json!({
                    "Event": event.event_type(),
                    "Function": self.invoked(function),
                })
            }));
        }

        let mut properties = json!({
            "BucketName": sub(&name::bucket(&bucket.name)),
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
            ]},
            "LifecycleConfiguration": {"Rules": [{
                "Id": "AbortIncompleteMultipartUploads",
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": true,
                "BlockPublicPolicy": true,
                "IgnorePublicAcls": true,
                "RestrictPublicBuckets": true,
            },
        });
        if !notifications.is_empty() {
            properties["NotificationConfiguration"] =
                json!({"LambdaConfigurations": notifications});
        }
        let removal = match self.app.stage().removal {
            // Its name is fixed: left behind by a failed creation, it would be in the
            // way of the next one.
            stage::Removal::Retain => Removal::RetainExceptOnCreate,
            stage::Removal::Delete => Removal::Delete,
        };
        let resource = Resource::new("AWS::S3::Bucket", properties)
            .tagged(&self.tags)
            // S3 refuses a notification that it is not permitted to deliver.
            .depends_on(permissions)
            .removal(removal);

        let arn = attribute(&logical_id, "Arn");
        let objects = sub(&format!("${{{logical_id}.Arn}}/*"));
        self.tls_only(
            &logical_id,
            bucket.origin,
            "AWS::S3::BucketPolicy",
            json!({
                "Bucket": reference(&logical_id),
                "PolicyDocument": policy::tls_only("s3:*", &json!([arn, objects])),
            }),
        );
        self.add(logical_id, bucket.origin, resource);
    }

    /// `SourceAccount` as well as `SourceArn`: a bucket's ARN names no account, and a
    /// deleted bucket's name may be taken by another one.
    fn bucket_permission(
        &mut self,
        logical_id: &str,
        origin: Origin,
        bucket: &Bucket,
        function: &Function,
    ) {
        self.add(
            logical_id.to_owned(),
            origin,
            Resource::new(
                "AWS::Lambda::Permission",
                json!({
                    "Action": "lambda:InvokeFunction",
                    "FunctionName": self.invoked(function),
                    "Principal": "s3.amazonaws.com",
                    "SourceAccount": reference("AWS::AccountId"),
                    "SourceArn": sub(&name::bucket_arn(&bucket.name)),
                }),
            ),
        );
    }

    fn table(&mut self, table: &Table) {
        let logical_id = Handle::Table(table.name.clone()).logical_id();
        let stage = self.app.stage();
        let mut properties = json!({
            "AttributeDefinitions": [
                {"AttributeName": table.partition_key, "AttributeType": "S"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": stage.removal == stage::Removal::Retain,
            "KeySchema": [{"AttributeName": table.partition_key, "KeyType": "HASH"}],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": stage.production},
            "SSESpecification": {"SSEEnabled": true},
        });
        if let Some(attribute) = &table.time_to_live {
            properties["TimeToLiveSpecification"] =
                json!({"AttributeName": attribute, "Enabled": true});
        }
        for function in self.app.functions() {
            let changes = function
                .item_changes()
                .find(|(_, changes)| changes.table == table.name);
            if let Some((origin, changes)) = changes {
                properties["StreamSpecification"] = json!({"StreamViewType": "NEW_AND_OLD_IMAGES"});
                self.event_source_mapping(&logical_id, origin, function, changes);
            }
        }
        let removal = match stage.removal {
            // Not `RetainExceptOnCreate`: a protected table cannot be deleted, so the
            // rollback of a failed creation would fail too.
            stage::Removal::Retain => Removal::Retain,
            stage::Removal::Delete => Removal::Delete,
        };
        self.add(
            logical_id,
            table.origin,
            Resource::new("AWS::DynamoDB::Table", properties)
                .tagged(&self.tags)
                .removal(removal),
        );
    }

    /// Lambda refuses a mapping until the function's role may read the stream and send to
    /// the queue. It may once the function exists: its policy is part of the role.
    fn event_source_mapping(
        &mut self,
        table_id: &str,
        origin: Origin,
        function: &Function,
        changes: &ItemChanges,
    ) {
        let names: Vec<&str> = changes
            .kinds
            .iter()
            .copied()
            .map(ItemChange::event_name)
            .collect();
        let pattern = json!({"eventName": names});
        let function_name = if self.has_canary() {
            self.invoked(function)
        } else {
            reference(&function.logical_id("Function"))
        };
        self.add(
            format!("{table_id}{}", function.logical_id("EventSourceMapping")),
            origin,
            Resource::new(
                "AWS::Lambda::EventSourceMapping",
                json!({
                    "EventSourceArn": attribute(table_id, "StreamArn"),
                    "FunctionName": function_name,
                    // Changes that were made before the mapping are handled, too.
                    "StartingPosition": "TRIM_HORIZON",
                    "BatchSize": changes.batch_size,
                    "MaximumBatchingWindowInSeconds": changes.batching_window_seconds,
                    "BisectBatchOnFunctionError": true,
                    "MaximumRetryAttempts": changes.retry_attempts,
                    "MaximumRecordAgeInSeconds": changes.record_age_seconds,
                    "ParallelizationFactor": changes.parallelization_factor,
                    "DestinationConfig": on_failure(function),
                    "FilterCriteria": {"Filters": [{"Pattern": pattern.to_string()}]},
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                }),
            )
            .tagged(&self.tags),
        );
    }

    fn topic(&mut self, topic: &Topic) {
        let logical_id = Handle::Topic(topic.name.clone()).logical_id();
        // The key that AWS manages for SNS serves every principal of the account that
        // publishes through SNS, without a permission of its own. That a role which Rekognition
        // assumes is one of them follows from that; AWS does not document it for this case. A
        // service that publishes in its own name (S3, EventBridge) would need a key of ours.
        // <https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html>
        let properties = json!({"KmsMasterKeyId": "alias/aws/sns"});
        self.tls_only(
            &logical_id,
            topic.origin,
            "AWS::SNS::TopicPolicy",
            json!({
                "Topics": [reference(&logical_id)],
                // SNS takes no `sns:*` here.
                "PolicyDocument": policy::tls_only("sns:Publish", &reference(&logical_id)),
            }),
        );
        self.add(
            logical_id.clone(),
            topic.origin,
            Resource::new("AWS::SNS::Topic", properties).tagged(&self.tags),
        );
        for function in self.app.functions() {
            if let Some(origin) = function.subscribes_to(&topic.name) {
                self.subscription(&logical_id, origin, function);
            }
        }
    }

    fn subscription(&mut self, topic_id: &str, origin: Origin, function: &Function) {
        let arn = self.invoked(function);
        let permission_id = format!("{topic_id}{}", function.logical_id("Permission"));
        self.add(
            permission_id.clone(),
            origin,
            Resource::new(
                "AWS::Lambda::Permission",
                json!({
                    "Action": "lambda:InvokeFunction",
                    "FunctionName": arn,
                    "Principal": "sns.amazonaws.com",
                    "SourceArn": reference(topic_id),
                }),
            ),
        );
        self.add(
            format!("{topic_id}{}", function.logical_id("Subscription")),
            origin,
            Resource::new(
                "AWS::SNS::Subscription",
                json!({
                    "Endpoint": arn,
                    "Protocol": "lambda",
                    "TopicArn": reference(topic_id),
                }),
            )
            // SNS drops a message that it is not permitted to deliver.
            .depends_on(vec![permission_id]),
        );
    }

    fn publisher(&mut self, publisher: &Publisher) {
        let role = self.role(
            &policy::publisher_trust(publisher),
            vec![("publish", policy::publisher_document(publisher))],
        );
        let logical_id = Handle::Publisher(publisher.topic.clone()).logical_id();
        self.add(logical_id, publisher.origin, role);
    }

    /// A role with inline policies, by their names, within the stage's bounds.
    fn role(&self, trust: &Value, policies: Vec<(&str, Value)>) -> Resource {
        let policies: Vec<Value> = policies
            .into_iter()
            .map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": document}))
            .collect();
        let mut properties = json!({
            "AssumeRolePolicyDocument": trust,
            "Policies": policies,
        });
        if let Some(permissions_boundary) = &self.app.stage().permissions_boundary {
            properties["PermissionsBoundary"] = json!(permissions_boundary);
        }
        Resource::new("AWS::IAM::Role", properties).tagged(&self.tags)
    }

    fn http_api(&mut self, http_api: &HttpApi) {
        let logical_id = Handle::HttpApi(http_api.name.clone()).logical_id();
        let name = format!("${{AWS::StackName}}-{}", http_api.name);
        let log_group_id = format!("{logical_id}AccessLogGroup");
        // API Gateway extends a resource policy of limited size for every log group
        // without this prefix.
        let log_group_name = format!("/aws/vendedlogs/apis/{name}");
        self.log_group(&log_group_id, http_api.origin, &log_group_name);
        let access_log = json!({
            "requestId": "$context.requestId",
            "requestTime": "$context.requestTime",
            "routeKey": "$context.routeKey",
            "path": "$context.path",
            "status": "$context.status",
            "responseLatencyMs": "$context.responseLatency",
            "integrationError": "$context.integrationErrorMessage",
        });
        let mut properties = json!({
            "Name": sub(&name),
            "ProtocolType": "HTTP",
        });
        if let Some(cors) = &http_api.cors {
            properties["CorsConfiguration"] = self.cors(http_api, cors);
        }
        self.add(
            logical_id.clone(),
            http_api.origin,
            Resource::new("AWS::ApiGatewayV2::Api", properties).tagged_as_map(&self.tags),
        );
        let mut stage = json!({
            "ApiId": reference(&logical_id),
            "StageName": "$default",
            "AutoDeploy": true,
            "AccessLogSettings": {
                "DestinationArn": sub(&format!(
                    "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{log_group_id}}}"
                )),
                "Format": access_log.to_string(),
            },
        });
        let throttled = self.throttle(&mut stage, &logical_id, http_api);
        self.add(
            format!("{logical_id}Stage"),
            http_api.origin,
            Resource::new("AWS::ApiGatewayV2::Stage", stage)
                .tagged_as_map(&self.tags)
                .depends_on(throttled),
        );
        let authorization = self.authorization(&logical_id, http_api);
        for function in self.app.functions() {
            let routes = function.routes_of(&http_api.name);
            let Some(first) = routes.first() else {
                continue;
            };
            let integration_id = format!("{logical_id}{}", function.logical_id("Integration"));
            self.integration(&integration_id, first.origin, &logical_id, function);
            for route in routes {
                let mut properties = json!({
                    "ApiId": reference(&logical_id),
                    "RouteKey": route.key(),
                    "Target": sub(&format!("integrations/${{{integration_id}}}")),
                });
                for (property, value) in &authorization {
                    properties[*property] = value.clone();
                }
                self.route(route, &logical_id, properties, function);
            }
        }
    }

    /// Limits the requests that a stage lets through, and returns the routes with limits of
    /// their own: the stage cannot name them before they are there.
    fn throttle(&self, stage: &mut Value, api_id: &str, http_api: &HttpApi) -> Vec<String> {
        let mut routes = Vec::new();
        let Some(throttling) = self.app.stage().throttling.get(&http_api.name) else {
            return routes;
        };
        for (route, throttle) in throttling {
            let limits = json!({
                "ThrottlingRateLimit": throttle.rate,
                "ThrottlingBurstLimit": throttle.burst,
            });
            if route == DEFAULT_ROUTE {
                stage["DefaultRouteSettings"] = limits;
            } else {
                stage["RouteSettings"][route] = limits;
                routes.extend(
                    self.app
                        .functions()
                        .flat_map(|function| function.routes_of(&http_api.name))
                        .filter(|declared| declared.key() == *route)
                        .map(|declared| route_id(api_id, declared)),
                );
            }
        }
        routes
    }

    /// The properties by which routes let in only who may call them, and the authorizer if
    /// that takes one.
    fn authorization(&mut self, api_id: &str, http_api: &HttpApi) -> Vec<(&'static str, Value)> {
        let stage = self.app.stage();
        match stage.authorization_of(&http_api.name) {
            Authorization::None => Vec::new(),
            Authorization::Iam => vec![("AuthorizationType", json!("AWS_IAM"))],
            Authorization::Jwt(jwt) => {
                let authorizer_id = format!("{api_id}Authorizer");
                let origin = stage.origin_of(&["authorization".to_owned(), http_api.name.clone()]);
                let authorizer = Resource::new(
                    "AWS::ApiGatewayV2::Authorizer",
                    json!({
                        "ApiId": reference(api_id),
                        "AuthorizerType": "JWT",
                        "IdentitySource": ["$request.header.Authorization"],
                        "JwtConfiguration": {"Audience": jwt.audience, "Issuer": jwt.issuer},
                        "Name": "jwt",
                    }),
                );
                self.add(authorizer_id.clone(), origin, authorizer);
                vec![
                    ("AuthorizationType", json!("JWT")),
                    ("AuthorizerId", reference(&authorizer_id)),
                ]
            }
        }
    }

    fn cors(&self, http_api: &HttpApi, cors: &Cors) -> Value {
        /// How long a browser may rely on the answer to a preflight request.
        const MAX_AGE_SECONDS: u32 = 60 * 60;

        let methods: BTreeSet<&str> = self
            .app
            .functions()
            .flat_map(|function| function.routes_of(&http_api.name))
            .map(|route| route.method)
            .collect();
        let mut configuration = json!({
            "AllowOrigins": cors.origins,
            "AllowMethods": methods,
            "AllowHeaders": self.request_headers(http_api),
            "MaxAge": MAX_AGE_SECONDS,
        });
        if !cors.exposed_headers.is_empty() {
            configuration["ExposeHeaders"] = json!(cors.exposed_headers);
        }
        configuration
    }

    /// The headers that pages may send. They may send a content type unasked only if it is
    /// a form's.
    fn request_headers(&self, http_api: &HttpApi) -> Vec<&'static str> {
        let mut headers = vec!["content-type"];
        match self.app.stage().authorization_of(&http_api.name) {
            Authorization::None => {}
            Authorization::Jwt(_) => headers.push("authorization"),
            // Those of a signature.
            // <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
            Authorization::Iam => headers.extend([
                "authorization",
                "x-amz-content-sha256",
                "x-amz-date",
                "x-amz-security-token",
            ]),
        }
        headers
    }

    fn integration(
        &mut self,
        integration_id: &str,
        origin: Origin,
        api_id: &str,
        function: &Function,
    ) {
        self.add(
            integration_id.to_owned(),
            origin,
            Resource::new(
                "AWS::ApiGatewayV2::Integration",
                json!({
                    "ApiId": reference(api_id),
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": self.invoked(function),
                    "PayloadFormatVersion": "2.0",
                }),
            ),
        );
    }

    fn route(&mut self, route: Route<'_>, api_id: &str, properties: Value, function: &Function) {
        let route_id = route_id(api_id, route);
        let source_arn = format!(
            "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:\
             ${{{api_id}}}/*/{}{}",
            route.method,
            path_pattern(route.path)
        );
        self.add(
            format!("{route_id}Permission"),
            route.origin,
            Resource::new(
                "AWS::Lambda::Permission",
                json!({
                    "Action": "lambda:InvokeFunction",
                    "FunctionName": self.invoked(function),
                    "Principal": "apigateway.amazonaws.com",
                    "SourceArn": sub(&source_arn),
                }),
            ),
        );
        self.add(
            route_id,
            route.origin,
            Resource::new("AWS::ApiGatewayV2::Route", properties),
        );
    }

    fn function(&mut self, function: &Function) {
        let logical_id = function.logical_id("Function");
        let role_id = function.logical_id("Role");
        let code_parameter = function.code_parameter();
        self.template.parameter(
            code_parameter.clone(),
            &format!("S3 key of the code of {}", function.name()),
        );
        let log_group_id = function.logical_id("LogGroup");
        let function_name = name::function(function.name());
        let log_group_name = name::log_group(&function_name);
        self.log_group(&log_group_id, function.origin(), &log_group_name);
        self.execution_role(&role_id, function);

        let mut properties = json!({
            "FunctionName": sub(&function_name),
            "Architectures": [self.app.stage().architecture.as_str()],
            "Code": {
                "S3Bucket": reference(ARTIFACT_BUCKET),
                "S3Key": reference(&code_parameter),
            },
            "Handler": "bootstrap",
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": reference(&log_group_id)},
            "MemorySize": function.memory_mb(),
            "Role": attribute(&role_id, "Arn"),
            "Runtime": "provided.al2023",
            "Timeout": function.timeout_seconds(),
        });
        let stage = self.app.stage();
        if let Some(log_level) = stage.log_level {
            properties["LoggingConfig"]["ApplicationLogLevel"] = json!(log_level.as_str());
        }
        if stage.tracing {
            properties["TracingConfig"] = json!({"Mode": "Active"});
        }
        if let Some(reserved_concurrency) = function.reserved_concurrency() {
            properties["ReservedConcurrentExecutions"] = json!(reserved_concurrency);
        }
        if !function.environment().is_empty() {
            properties["Environment"] = json!({"Variables": function.environment()});
        }
        self.canary_of(function, &mut properties);
        self.add(
            logical_id,
            function.origin(),
            Resource::new("AWS::Lambda::Function", properties).tagged(&self.tags),
        );
        if function.has_failure_queue() {
            self.failure_queue(function);
        }
        if function.is_asynchronous() {
            self.event_invoke_config(function);
        }
        self.alarms(function);
    }

    fn execution_role(&mut self, logical_id: &str, function: &Function) {
        let mut policies = vec![(function.name(), policy::document(function))];
        let mut reasons: BTreeMap<&str, &str> = function
            .grants()
            .filter_map(|grant| match grant {
                Grant::Unscoped { action, reason } => Some((action.as_str(), reason.as_str())),
                Grant::Bucket { .. } | Grant::Table { .. } | Grant::PassRole { .. } => None,
            })
            .collect();
        if self.app.stage().tracing {
            policies.push(("tracing", policy::tracing()));
            reasons.extend(
                policy::TRACING_ACTIONS
                    .map(|action| (action, "a trace has no ARN to restrict the action to")),
            );
        }
        let role = self.role(&policy::trust("lambda"), policies);
        let role = if reasons.is_empty() {
            role
        } else {
            role.metadata(json!({"Unscoped": reasons}))
        };
        self.add(logical_id.to_owned(), function.origin(), role);
    }

    /// Where a function's events go when its retries are used up.
    fn failure_queue(&mut self, function: &Function) {
        const RETENTION_SECONDS: u32 = 14 * 24 * 60 * 60;

        let queue_id = function.logical_id("FailureQueue");
        self.add(
            queue_id.clone(),
            function.origin(),
            Resource::new(
                "AWS::SQS::Queue",
                json!({
                    "MessageRetentionPeriod": RETENTION_SECONDS,
                    "SqsManagedSseEnabled": true,
                }),
            )
            .tagged(&self.tags)
            .removal(Removal::Delete),
        );
        self.tls_only(
            &queue_id,
            function.origin(),
            "AWS::SQS::QueuePolicy",
            json!({
                "Queues": [reference(&queue_id)],
                "PolicyDocument": policy::tls_only("sqs:*", &attribute(&queue_id, "Arn")),
            }),
        );
        if let Some(output) = function.failure_queue_output() {
            self.template.output(
                output,
                &format!("Events that {} failed on", function.name()),
                &reference(&queue_id),
            );
        }
    }

    /// How often and how long Lambda tries an asynchronous event.
    fn event_invoke_config(&mut self, function: &Function) {
        const MAXIMUM_RETRY_ATTEMPTS: u32 = 2;
        const MAXIMUM_EVENT_AGE_SECONDS: u32 = 6 * 60 * 60;

        // It is named, not referred to.
        let alias = self.has_canary().then(|| function.logical_id("Alias"));
        let alias = alias.into_iter().collect();
        self.add(
            function.logical_id("EventInvokeConfig"),
            function.origin(),
            Resource::new(
                "AWS::Lambda::EventInvokeConfig",
                json!({
                    "FunctionName": reference(&function.logical_id("Function")),
                    "Qualifier": self.qualifier(),
                    "MaximumRetryAttempts": MAXIMUM_RETRY_ATTEMPTS,
                    "MaximumEventAgeInSeconds": MAXIMUM_EVENT_AGE_SECONDS,
                    "DestinationConfig": on_failure(function),
                }),
            )
            .depends_on(alias),
        );
    }

    /// The resource policy that refuses plain HTTP, except where plain HTTP is all
    /// that the stage's endpoint speaks: it would lock the functions out.
    fn tls_only(
        &mut self,
        logical_id: &str,
        origin: Origin,
        kind: &'static str,
        properties: Value,
    ) {
        if !self.app.stage().is_plain_http() {
            self.add(
                format!("{logical_id}Policy"),
                origin,
                Resource::new(kind, properties),
            );
        }
    }

    fn log_group(&mut self, logical_id: &str, origin: Origin, log_group_name: &str) {
        self.add(
            logical_id.to_owned(),
            origin,
            Resource::new(
                "AWS::Logs::LogGroup",
                json!({
                    "LogGroupName": sub(log_group_name),
                    "RetentionInDays": self.app.stage().log_retention_days,
                }),
            )
            .tagged(&self.tags)
            .removal(Removal::Delete),
        );
    }
}

/// The destination of what a function fails on.
fn on_failure(function: &Function) -> Value {
    let queue_arn = attribute(&function.logical_id("FailureQueue"), "Arn");
    json!({"OnFailure": {"Destination": queue_arn}})
}

/// The logical ID of a route.
fn route_id(api_id: &str, route: Route<'_>) -> String {
    let method = name::pascal_case(route.method);
    format!("{api_id}{method}{}Route", path_id(route.path))
}

/// The part of a route's logical ID that stands for its path.
fn path_id(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let id: String = segments
        .map(|segment| match parameter(segment) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => format!("By{}Path", name::pascal_case(name)),
                None => format!("By{}", name::pascal_case(name)),
            },
            None => name::pascal_case(segment),
        })
        .collect();
    if id.is_empty() { "Root".to_owned() } else { id }
}

/// The path as IAM matches it, with `*` for each parameter.
pub(crate) fn path_pattern(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| parameter(segment).map_or(segment, |_| "*"))
        .collect();
    segments.join("/")
}

/// `name` of the segment `{name}`.
pub(crate) fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stages;
    use crate::declare::{Function, Manifest, TableAction};

    fn orders() -> Table {
        Table::new("orders", "id")
            .variable("ORDERS_TABLE_NAME")
            .key_variable("ORDERS_KEY_ATTRIBUTE")
            .attribute_variable("ORDERS_PRICE_ATTRIBUTE", "price")
    }

    fn shop() -> HttpApi {
        HttpApi::new("shop").variable("SHOP_URL")
    }

    fn app(http_apis: Vec<HttpApi>, functions: Vec<Function>) -> App {
        app_on("dev:", http_apis, functions)
    }

    fn app_on(stage: &str, http_apis: Vec<HttpApi>, functions: Vec<Function>) -> App {
        let topic = Topic::new("orders");
        let manifest = Manifest {
            name: "shop",
            buckets: vec![Bucket::new("bills")],
            tables: vec![orders(), Table::new("carts", "id")],
            publishers: vec![topic.publisher("rekognition")],
            topics: vec![topic],
            http_apis,
            functions,
        };
        let stage = Stages::parse(stage).unwrap().get("dev").unwrap();
        manifest.resolve(&stage).unwrap()
    }

    fn template_of(functions: Vec<Function>) -> Value {
        template(&app(vec![shop()], functions)).to_value()
    }

    #[test]
    fn a_stream_invokes_a_function_in_bounded_batches_of_what_it_handles() {
        let template = template_of(vec![
            Function::new("ship").trigger(
                orders()
                    .item_changes([ItemChange::Remove, ItemChange::Insert])
                    .batch_size(10)
                    .batching_window_seconds(2)
                    .retry_attempts(3)
                    .record_age_seconds(600)
                    .parallelization_factor(4),
            ),
            Function::new("count").trigger(orders().item_changes([ItemChange::Modify])),
        ]);
        let properties = |logical_id: &str| &template["Resources"][logical_id]["Properties"];
        let mut mapping = properties("OrdersTableShipEventSourceMapping").clone();
        mapping.as_object_mut().unwrap().remove("Tags");
        assert_eq!(
            mapping,
            json!({
                "EventSourceArn": {"Fn::GetAtt": ["OrdersTable", "StreamArn"]},
                "FunctionName": {"Ref": "ShipFunction"},
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 10,
                "MaximumBatchingWindowInSeconds": 2,
                "BisectBatchOnFunctionError": true,
                "MaximumRetryAttempts": 3,
                "MaximumRecordAgeInSeconds": 600,
                "ParallelizationFactor": 4,
                "DestinationConfig": {
                    "OnFailure": {"Destination": {"Fn::GetAtt": ["ShipFailureQueue", "Arn"]}},
                },
                "FilterCriteria": {"Filters": [{"Pattern": r#"{"eventName":["INSERT","REMOVE"]}"#}]},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            })
        );
        let count = properties("OrdersTableCountEventSourceMapping");
        assert_eq!(
            count["FilterCriteria"]["Filters"],
            json!([{"Pattern": r#"{"eventName":["MODIFY"]}"#}])
        );
        assert_eq!(
            properties("OrdersTable")["StreamSpecification"],
            json!({"StreamViewType": "NEW_AND_OLD_IMAGES"})
        );
        assert!(properties("CartsTable")["StreamSpecification"].is_null());
    }

    #[test]
    fn what_a_function_fails_on_goes_to_one_queue() {
        let changed = || orders().item_changes([ItemChange::Insert]);
        let written = || Bucket::new("bills").object_created();
        let app = app(
            Vec::new(),
            vec![
                Function::new("both").trigger(changed()).trigger(written()),
                Function::new("by-hand"),
                Function::new("stream").trigger(changed()),
            ],
        );
        let template = template(&app).to_value();
        let has = |logical_id: &str| template["Resources"][logical_id].is_object();
        for (function, queue, asynchronous, reads_stream) in [
            ("Both", true, true, true),
            ("ByHand", false, false, false),
            ("Stream", true, false, true),
        ] {
            assert_eq!(has(&format!("{function}FailureQueue")), queue);
            assert_eq!(has(&format!("{function}EventInvokeConfig")), asynchronous);
            let resolved = app
                .functions()
                .find(|resolved| resolved.logical_id("") == function)
                .unwrap();
            assert_eq!(resolved.is_asynchronous(), asynchronous);
            assert_eq!(!resolved.stream_event_names().is_empty(), reads_stream);
            let output = resolved.failure_queue_output();
            assert_eq!(output, queue.then(|| format!("{function}FailureQueueUrl")));
            let statements = policy::document(resolved)["Statement"].to_string();
            assert_eq!(statements.contains("sqs:SendMessage"), queue);
            assert_eq!(statements.contains("dynamodb:GetRecords"), reads_stream);
        }
    }

    #[test]
    fn functions_of_a_table_know_what_its_attributes_are_called() {
        let template = template_of(vec![
            Function::new("read").grant(orders().allow([TableAction::GetItem])),
            Function::new("follow").trigger(orders().item_changes([ItemChange::Insert])),
            Function::new("stranger").environment("GREETING", "hello"),
        ]);
        let variables = |function: &str| {
            &template["Resources"][function]["Properties"]["Environment"]["Variables"]
        };
        let of_orders = json!({
            "ORDERS_TABLE_NAME": {"Ref": "OrdersTable"},
            "ORDERS_KEY_ATTRIBUTE": "id",
            "ORDERS_PRICE_ATTRIBUTE": "price",
        });
        assert_eq!(*variables("ReadFunction"), of_orders);
        assert_eq!(*variables("FollowFunction"), of_orders);
        assert_eq!(*variables("StrangerFunction"), json!({"GREETING": "hello"}));
        let outputs: Vec<&String> = template["Outputs"].as_object().unwrap().keys().collect();
        assert_eq!(
            outputs,
            ["FollowFailureQueueUrl", "OrdersTableName", "ShopUrl"]
        );
    }

    #[test]
    fn pages_may_call_the_routes_that_there_are() {
        let cors = |cors| {
            let shop = shop().cors(cors);
            let functions = vec![
                Function::new("serve")
                    .trigger(shop.post("/orders"))
                    .trigger(shop.get("/orders/{id}")),
                Function::new("also").trigger(shop.post("/carts")),
            ];
            let template = template(&app(vec![shop], functions)).to_value();
            template["Resources"]["ShopHttpApi"]["Properties"]["CorsConfiguration"].clone()
        };
        assert_eq!(
            cors(Cors::origins(["*"])),
            json!({
                "AllowOrigins": ["*"],
                "AllowMethods": ["GET", "POST"],
                "AllowHeaders": ["content-type"],
                "MaxAge": 3600,
            })
        );
        let exposing = cors(Cors::origins(["https://a.b"]).expose_headers(["next-cursor"]));
        assert_eq!(exposing["AllowOrigins"], json!(["https://a.b"]));
        assert_eq!(exposing["ExposeHeaders"], json!(["next-cursor"]));
    }

    /// The resources of an app with an API and a stream on a stage with `settings`.
    fn resources_on(settings: &str) -> Value {
        let shop = shop().cors(Cors::origins(["*"]));
        let functions = vec![
            Function::new("serve")
                .trigger(shop.post("/orders"))
                .trigger(shop.get("/orders/{id}"))
                .trigger(Bucket::new("bills").object_created()),
            Function::new("ship").trigger(
                orders()
                    .item_changes([ItemChange::Insert])
                    .record_age_seconds(600),
            ),
        ];
        let app = app_on(&format!("dev: {{{settings}}}"), vec![shop], functions);
        template(&app).to_value()["Resources"].clone()
    }

    #[test]
    fn settings_of_functions_are_properties_of_theirs() {
        let resources = resources_on(
            "memory_mb: {serve: 512}, timeout_seconds: 20, reserved_concurrency: {serve: 0}, \
             environment: {GREETING: hello}, log_level: warn, tracing: true",
        );
        let serve = &resources["ServeFunction"]["Properties"];
        assert_eq!(serve["MemorySize"], 512);
        assert_eq!(serve["Timeout"], 20);
        assert_eq!(serve["ReservedConcurrentExecutions"], 0);
        assert_eq!(serve["Environment"]["Variables"]["GREETING"], "hello");
        assert_eq!(serve["LoggingConfig"]["LogFormat"], "JSON");
        assert_eq!(serve["LoggingConfig"]["ApplicationLogLevel"], "WARN");
        assert_eq!(serve["TracingConfig"], json!({"Mode": "Active"}));
        let ship = &resources["ShipFunction"]["Properties"];
        assert_eq!(ship["MemorySize"], 256);
        assert_eq!(ship["Timeout"], 20);
        assert!(ship["ReservedConcurrentExecutions"].is_null());
        assert_eq!(ship["Environment"]["Variables"]["GREETING"], "hello");

        let role = &resources["ServeRole"];
        assert_eq!(
            role["Properties"]["Policies"][1],
            json!({"PolicyName": "tracing", "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Sid": "Trace",
                    "Effect": "Allow",
                    "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                    "Resource": "*",
                }],
            }})
        );
        for action in policy::TRACING_ACTIONS {
            assert!(role["Metadata"]["Unscoped"][action].is_string(), "{role}");
        }
    }

    #[test]
    fn a_boundary_bounds_every_role() {
        let boundary = "arn:aws:iam::123456789012:policy/boundary";
        let resources = resources_on(&format!("permissions_boundary: '{boundary}'"));
        for role in ["ServeRole", "ShipRole", "OrdersPublisherRole"] {
            let properties = &resources[role]["Properties"];
            assert_eq!(properties["PermissionsBoundary"], boundary, "{role}");
        }
    }

    #[test]
    fn alarms_watch_what_can_fail() {
        let topic = "arn:aws:sns:eu-central-1:123456789012:alarms";
        let resources = resources_on(&format!("alarms: '{topic}'"));
        let alarm = |logical_id: &str| {
            let properties = &resources[logical_id]["Properties"];
            assert_eq!(properties["TreatMissingData"], "notBreaching");
            assert_eq!(properties["AlarmActions"], json!([topic]));
            assert_eq!(properties["OKActions"], json!([topic]));
            json!([
                properties["Namespace"],
                properties["MetricName"],
                properties["Dimensions"][0]["Value"],
                properties["Statistic"],
                properties["Threshold"],
            ])
        };
        let ship = json!({"Ref": "ShipFunction"});
        for (logical_id, metric) in [
            (
                "ShipErrorsAlarm",
                json!(["AWS/Lambda", "Errors", ship, "Sum", 0]),
            ),
            (
                "ShipThrottlesAlarm",
                json!(["AWS/Lambda", "Throttles", ship, "Sum", 0]),
            ),
            (
                "ShipIteratorAgeAlarm",
                json!(["AWS/Lambda", "IteratorAge", ship, "Maximum", 300_000]),
            ),
            (
                "ShipFailureQueueAlarm",
                json!([
                    "AWS/SQS",
                    "ApproximateNumberOfMessagesVisible",
                    {"Fn::GetAtt": ["ShipFailureQueue", "QueueName"]},
                    "Maximum",
                    0,
                ]),
            ),
        ] {
            assert_eq!(alarm(logical_id), metric);
        }
        // It reads no stream.
        assert!(resources["ServeIteratorAgeAlarm"].is_null());

        let rollback = resources_on("alarms: true, rollback_on_alarm_minutes: 5");
        assert_eq!(
            rollback["RollbackAlarm"]["Properties"]["AlarmRule"],
            json!({"Fn::Sub": r#"ALARM("${ServeErrorsAlarm}") OR ALARM("${ShipErrorsAlarm}")"#})
        );
        assert!(resources["RollbackAlarm"].is_null());

        let silent = &resources_on("alarms: true")["ServeErrorsAlarm"]["Properties"];
        assert_eq!(silent["MetricName"], "Errors");
        assert!(silent["AlarmActions"].is_null());
        assert!(resources_on("alarms: false")["ServeErrorsAlarm"].is_null());
    }

    #[test]
    fn an_app_that_ignores_alarms_differs_in_nothing_but_what_the_canaries_watch() {
        let app = app_on(
            "dev: {alarms: true, rollback_on_alarm_minutes: 5, canary: {percent: 20, minutes: 15}}",
            Vec::new(),
            vec![Function::new("serve")],
        );
        let template =
            |app: &App| -> Value { serde_yaml::from_str(&app.synth().template).unwrap() };
        let mut expected = template(&app);
        let watched =
            &mut expected["Resources"]["ServeDeploymentGroup"]["Properties"]["AlarmConfiguration"];
        assert_eq!(watched["Enabled"], true);
        watched["Enabled"] = json!(false);
        assert_eq!(template(&app.ignoring_alarms()), expected);
    }

    #[test]
    fn a_canary_is_invoked_by_its_alias() {
        let settings = "alarms: true, canary: {percent: 20, minutes: 15}";
        let resources = resources_on(settings);
        let alias = json!({"Ref": "ServeAlias"});
        for (logical_id, property) in [
            ("ShopHttpApiServeIntegration", "IntegrationUri"),
            ("ShopHttpApiPostOrdersRoutePermission", "FunctionName"),
            ("BillsBucketServePermission", "FunctionName"),
        ] {
            assert_eq!(resources[logical_id]["Properties"][property], alias);
        }
        let notifications = &resources["BillsBucket"]["Properties"]["NotificationConfiguration"];
        assert_eq!(notifications["LambdaConfigurations"][0]["Function"], alias);
        let mapping = &resources["OrdersTableShipEventSourceMapping"]["Properties"];
        assert_eq!(mapping["FunctionName"], json!({"Ref": "ShipAlias"}));
        let invoke_config = &resources["ServeEventInvokeConfig"];
        assert_eq!(invoke_config["Properties"]["Qualifier"], "live");
        assert_eq!(invoke_config["DependsOn"], json!(["ServeAlias"]));

        let alias = &resources["ServeAlias"];
        assert_eq!(
            alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"],
            json!({
                "ApplicationName": {"Ref": "Canary"},
                "DeploymentGroupName": {"Ref": "ServeDeploymentGroup"},
            })
        );
        assert_eq!(
            alias["Properties"]["FunctionVersion"],
            json!({"Fn::GetAtt": ["ServeVersion", "Version"]})
        );
        let group = &resources["ServeDeploymentGroup"]["Properties"];
        assert_eq!(
            group["AlarmConfiguration"]["Alarms"],
            json!([{"Name": {"Ref": "ServeErrorsAlarm"}}])
        );
        assert_eq!(
            resources["CanaryConfiguration"]["Properties"]["TrafficRoutingConfig"]["TimeBasedCanary"],
            json!({"CanaryPercentage": 20, "CanaryInterval": 15})
        );
        assert!(resources_on("alarms: true")["ServeAlias"].is_null());
    }

    #[test]
    fn a_canary_gets_a_version_for_what_changes_it() {
        let canary = "alarms: true, canary: {percent: 20, minutes: 15}";
        let version = |settings: &str, function: &str| {
            let resources = resources_on(&format!("{canary}{settings}"));
            let description =
                &resources[format!("{function}Version")]["Properties"]["Description"]["Fn::Sub"];
            let (fingerprint, code) = description.as_str().unwrap().split_once(' ').unwrap();
            assert_eq!(code, format!("${{{function}CodeKey}}"));
            let function = &resources[format!("{function}Function")]["Properties"];
            let variables = &function["Environment"]["Variables"];
            assert_eq!(variables["CONFIGURATION_FINGERPRINT"], fingerprint);
            fingerprint.to_owned()
        };
        let (serve, ship) = (version("", "Serve"), version("", "Ship"));
        assert_ne!(serve, ship);
        assert_ne!(version(", memory_mb: {serve: 512}", "Serve"), serve);
        assert_eq!(version(", memory_mb: {serve: 512}", "Ship"), ship);
        // Of the two, only `ship` knows the table, which changes with the setting.
        assert_ne!(version(", removal: retain", "Ship"), ship);
        assert_eq!(version(", removal: retain", "Serve"), serve);
    }

    #[test]
    fn an_api_lets_in_who_may_call_it() {
        let none = resources_on("authorization: {shop: none}");
        assert_eq!(none, resources_on(""));
        assert!(none["ShopHttpApiPostOrdersRoute"]["Properties"]["AuthorizationType"].is_null());

        let iam = resources_on("authorization: {shop: iam}");
        let route = &iam["ShopHttpApiPostOrdersRoute"]["Properties"];
        assert_eq!(route["AuthorizationType"], "AWS_IAM");
        assert!(iam["ShopHttpApiAuthorizer"].is_null());

        let jwt = resources_on(
            "authorization: {shop: {jwt: {issuer: 'https://example.com', audience: [a, b]}}}",
        );
        for route in [
            "ShopHttpApiPostOrdersRoute",
            "ShopHttpApiGetOrdersByIdRoute",
        ] {
            let route = &jwt[route]["Properties"];
            assert_eq!(route["AuthorizationType"], "JWT");
            assert_eq!(
                route["AuthorizerId"],
                json!({"Ref": "ShopHttpApiAuthorizer"})
            );
        }
        let authorizer = &jwt["ShopHttpApiAuthorizer"]["Properties"];
        assert_eq!(
            authorizer["JwtConfiguration"],
            json!({"Issuer": "https://example.com", "Audience": ["a", "b"]})
        );
        let headers = &jwt["ShopHttpApi"]["Properties"]["CorsConfiguration"]["AllowHeaders"];
        assert_eq!(*headers, json!(["content-type", "authorization"]));
    }

    #[test]
    fn an_api_lets_through_what_it_is_to() {
        let resources = resources_on(
            "throttling: {shop: {default: {rate: 10, burst: 20}, 'GET /orders/{id}': {rate: 1, burst: 2}}}",
        );
        let stage = &resources["ShopHttpApiStage"];
        assert_eq!(
            stage["Properties"]["DefaultRouteSettings"],
            json!({"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20})
        );
        assert_eq!(
            stage["Properties"]["RouteSettings"],
            json!({"GET /orders/{id}": {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2}})
        );
        assert_eq!(stage["DependsOn"], json!(["ShopHttpApiGetOrdersByIdRoute"]));
    }

    #[test]
    fn apis_with_a_url_to_tell_are_listed_as_declared() {
        let apis = vec![
            shop(),
            HttpApi::new("quiet"),
            HttpApi::new("admin").variable("ADMIN_URL"),
        ];
        let listed: Vec<_> = app(apis, vec![Function::new("sell")])
            .http_apis()
            .map(|api| (api.name, api.variable, api.url_output))
            .collect();
        let expected = [
            ("shop", "SHOP_URL", "ShopUrl"),
            ("admin", "ADMIN_URL", "AdminUrl"),
        ];
        assert_eq!(
            listed,
            expected.map(|(name, variable, output)| (name.into(), variable.into(), output.into()))
        );
    }

    #[test]
    fn paths_become_logical_ids_and_patterns() {
        for (path, id, pattern) in [
            ("/", "Root", "/"),
            ("/users", "Users", "/users"),
            ("/users/{id}", "UsersById", "/users/*"),
            ("/{name+}", "ByNamePath", "/*"),
        ] {
            assert_eq!(path_id(path), id);
            assert_eq!(path_pattern(path), pattern);
        }
    }
}
