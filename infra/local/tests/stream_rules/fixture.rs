//! What the rules are tested with: a stage, and the resources of each test.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableStatus,
};
use aws_sdk_lambda::operation::create_event_source_mapping::builders::CreateEventSourceMappingFluentBuilder;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Architecture, DestinationConfig, Environment, EventSourcePosition, Filter, FilterCriteria,
    FunctionCode, OnFailure, Runtime, State,
};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use local::{Emulator, EmulatorConfig, StageTools, StreamPoller, StreamPollerConfig};
use serde_json::{Value, json};

/// AWS may take minutes until it reads the stream of a new mapping.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Where the tests run: an account of AWS, or an emulator and the poller.
pub(crate) struct Stage {
    pub(crate) region: String,
    /// In the names of everything that the tests make.
    run: String,
    role: String,
    code: Blob,
    dynamodb: aws_sdk_dynamodb::Client,
    iam: aws_sdk_iam::Client,
    pub(crate) lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    local: Mutex<Option<LocalStage>>,
}

struct LocalStage {
    poller: StreamPoller,
    emulator: Emulator,
    _dir: tempfile::TempDir,
}

impl LocalStage {
    const REGION: &str = "us-east-1";

    async fn start() -> Self {
        let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/python/stage");
        let tools = StageTools::prepare(&python, |line| println!("{line}"))
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let emulator = Emulator::start(EmulatorConfig {
            python: &tools.python(),
            dir: dir.path(),
            port,
            rekognition_port: None,
            region: Self::REGION,
            account_id: "000000000000",
            chaos: None,
        })
        .await
        .unwrap();
        let poller = StreamPoller::start(StreamPollerConfig {
            endpoint: emulator.endpoint(),
            keys: emulator.keys(),
            region: Self::REGION,
            chaos: None,
        });
        Self {
            poller,
            emulator,
            _dir: dir,
        }
    }
}

impl Stage {
    pub(crate) async fn start() -> Arc<Self> {
        let (config, local) = match std::env::var("STREAM_RULES").as_deref() {
            Ok("aws") => {
                let https = aws_smithy_http_client::Builder::new()
                    .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
                    .build_https();
                let config = aws_config::defaults(BehaviorVersion::v2026_01_12());
                (config.http_client(https).load().await, None)
            }
            Ok(other) => panic!("STREAM_RULES is `aws` or nothing, not `{other}`"),
            Err(_) => {
                let local = LocalStage::start().await;
                let credentials = aws_credential_types::Credentials::new(
                    &local.emulator.keys().access_key_id,
                    &local.emulator.keys().secret_access_key,
                    None,
                    None,
                    "test",
                );
                let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
                    .http_client(aws_smithy_http_client::Builder::new().build_http())
                    .endpoint_url(local.emulator.endpoint())
                    .region(Region::new(LocalStage::REGION))
                    .credentials_provider(credentials);
                (config.load().await, Some(local))
            }
        };
        Arc::new(Self::new(&config, local).await)
    }

    async fn new(config: &SdkConfig, local: Option<LocalStage>) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
        let mut stage = Self {
            region: config.region().unwrap().to_string(),
            role: String::new(),
            code: zip_of(Path::new(env!("CARGO_BIN_EXE_stream-probe"))),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            local: Mutex::new(local),
            run,
        };
        stage.role = stage.make_role().await;
        stage
    }

    fn role_name(&self) -> String {
        format!("stream-rules-{}", self.run)
    }

    async fn make_role(&self) -> String {
        let statement = |mut what: Value| {
            what["Effect"] = "Allow".into();
            json!({"Version": "2012-10-17", "Statement": [what]}).to_string()
        };
        let role = self
            .iam
            .create_role()
            .role_name(self.role_name())
            .assume_role_policy_document(statement(json!({
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            })))
            .send()
            .await
            .unwrap();
        self.iam
            .put_role_policy()
            .role_name(self.role_name())
            .policy_name("rules")
            .policy_document(statement(json!({
                "Action": [
                    "dynamodb:DescribeStream", "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator", "dynamodb:ListStreams",
                    "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
                    "sns:Publish", "sqs:SendMessage",
                ],
                "Resource": "*",
            })))
            .send()
            .await
            .unwrap();
        role.role.unwrap().arn
    }

    pub(crate) async fn end(&self) {
        let role = self.role_name();
        let policy = self.iam.delete_role_policy().role_name(&role);
        policy.policy_name("rules").send().await.unwrap();
        self.iam
            .delete_role()
            .role_name(&role)
            .send()
            .await
            .unwrap();
        let local = self.local.lock().unwrap().take();
        if let Some(local) = local {
            local.poller.shutdown().await;
            local.emulator.shutdown().await;
        }
    }
}

fn zip_of(program: &Path) -> Blob {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(&std::fs::read(program).unwrap()).unwrap();
    Blob::new(zip.finish().unwrap().into_inner())
}

/// The resources of one test.
pub(crate) struct Fixture {
    pub(crate) stage: Arc<Stage>,
    name: String,
    made: Mutex<Vec<Resource>>,
}

enum Resource {
    Table(String),
    Function(String),
    Mapping(String),
    Queue { url: String },
    Topic { arn: String },
}

impl Fixture {
    pub(crate) fn new(stage: Arc<Stage>, rule: &str) -> Self {
        // A function's name has 64 characters at most.
        let rule: String = rule.replace('_', "-").chars().take(34).collect();
        Self {
            name: format!("stream-rules-{}-{}", stage.run, rule.trim_end_matches('-')),
            stage,
            made: Mutex::new(Vec::new()),
        }
    }

    fn made(&self, resource: Resource) {
        self.made.lock().unwrap().push(resource);
    }

    /// A table with a stream, keyed `pk` and `sk`.
    pub(crate) async fn table(&self) -> Table {
        let name = self.name.clone();
        let key = |name: &str, kind| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .unwrap()
        };
        let attribute = |name: &str| {
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap()
        };
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build()
            .unwrap();
        let created = self
            .stage
            .dynamodb
            .create_table()
            .table_name(&name)
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .attribute_definitions(attribute("pk"))
            .attribute_definitions(attribute("sk"))
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream)
            .send()
            .await
            .unwrap();
        self.made(Resource::Table(name.clone()));
        let client = self.stage.dynamodb.clone();
        wait_for("the table", async || {
            let described = client.describe_table().table_name(&name).send().await;
            let table = described.unwrap().table.unwrap();
            expect(table.table_status, &Some(TableStatus::Active))
        })
        .await;
        Table {
            client,
            stream: created
                .table_description
                .unwrap()
                .latest_stream_arn
                .unwrap(),
            name,
        }
    }

    pub(crate) async fn delete_table(&self, name: &str) {
        let client = &self.stage.dynamodb;
        client.delete_table().table_name(name).send().await.unwrap();
        wait_for("the deletion of the table", async || {
            let described = client.describe_table().table_name(name).send().await;
            expect(described.is_err(), &true)
        })
        .await;
    }

    pub(crate) async fn function(&self, suffix: &str) -> Function {
        let name = format!("{}{suffix}", self.name);
        let architecture = if cfg!(target_arch = "aarch64") {
            Architecture::Arm64
        } else {
            Architecture::X8664
        };
        let code = FunctionCode::builder().zip_file(self.stage.code.clone());
        let create = self
            .stage
            .lambda
            .create_function()
            .function_name(&name)
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .architectures(architecture)
            .timeout(4)
            .role(&self.stage.role)
            .code(code.build());
        // It takes seconds until a new role can be assumed.
        let created = wait_for("the function", async || create.clone().send().await).await;
        self.made(Resource::Function(name.clone()));
        let client = &self.stage.lambda;
        wait_for("the function's code", async || {
            let got = client.get_function_configuration().function_name(&name);
            expect(got.send().await.unwrap().state, &Some(State::Active))
        })
        .await;
        Function {
            stage: self.stage.clone(),
            arn: created.function_arn.unwrap(),
            name,
        }
    }

    pub(crate) async fn queue(&self) -> Queue {
        let client = self.stage.sqs.clone();
        let created = client.create_queue().queue_name(&self.name).send().await;
        let url = created.unwrap().queue_url.unwrap();
        self.made(Resource::Queue { url: url.clone() });
        let attributes = client
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        let arn = attributes.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        Queue { client, url, arn }
    }

    /// A topic whose messages come to the queue as they are.
    pub(crate) async fn topic(&self, queue: &Queue) -> String {
        let created = self.stage.sns.create_topic().name(&self.name).send().await;
        let arn = created.unwrap().topic_arn.unwrap();
        self.made(Resource::Topic { arn: arn.clone() });
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
        }]});
        queue
            .client
            .set_queue_attributes()
            .queue_url(&queue.url)
            .attributes(QueueAttributeName::Policy, policy.to_string())
            .send()
            .await
            .unwrap();
        self.stage
            .sns
            .subscribe()
            .topic_arn(&arn)
            .protocol("sqs")
            .endpoint(&queue.arn)
            .attributes("RawMessageDelivery", "true")
            .send()
            .await
            .unwrap();
        arn
    }

    /// Makes a mapping that begins at the oldest record, unless `set` says otherwise.
    pub(crate) async fn map(
        &self,
        table: &Table,
        function: &Function,
        set: impl FnOnce(CreateEventSourceMappingFluentBuilder) -> CreateEventSourceMappingFluentBuilder,
    ) -> String {
        let create = self
            .stage
            .lambda
            .create_event_source_mapping()
            .event_source_arn(&table.stream)
            .function_name(&function.name)
            .starting_position(EventSourcePosition::TrimHorizon);
        let create = set(create);
        // It takes seconds until a new role's rights are known everywhere.
        let created = wait_for("the mapping", async || create.clone().send().await).await;
        let mapping = created.uuid.unwrap();
        self.made(Resource::Mapping(mapping.clone()));
        self.wait_for_state(&mapping, "Enabled").await;
        mapping
    }

    pub(crate) async fn wait_for_state(&self, mapping: &str, state: &str) {
        let client = &self.stage.lambda;
        wait_for(state, async || {
            let got = client.get_event_source_mapping().uuid(mapping).send().await;
            expect(got.unwrap().state, &Some(state.to_owned()))
        })
        .await;
    }

    pub(crate) async fn delete_mapping(&self, mapping: &str) {
        let client = &self.stage.lambda;
        let deleted = client.delete_event_source_mapping().uuid(mapping);
        deleted.send().await.unwrap();
        wait_for("the deletion of the mapping", async || {
            let got = client.get_event_source_mapping().uuid(mapping).send().await;
            expect(got.is_err(), &true)
        })
        .await;
    }

    /// Deletes what was made, in the opposite order. What the test has deleted itself is no
    /// error, and neither must anything else hide why a test failed.
    pub(crate) async fn delete(&self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        let stage = &self.stage;
        for resource in made.into_iter().rev() {
            match resource {
                Resource::Mapping(id) => {
                    let delete = stage.lambda.delete_event_source_mapping();
                    let _ = delete.uuid(id).send().await;
                }
                Resource::Function(name) => {
                    let delete = stage.lambda.delete_function();
                    let _ = delete.function_name(&name).send().await;
                    let delete = stage.logs.delete_log_group();
                    let _ = delete.log_group_name(log_group(&name)).send().await;
                }
                Resource::Table(name) => {
                    let _ = stage.dynamodb.delete_table().table_name(name).send().await;
                }
                Resource::Queue { url } => {
                    let _ = stage.sqs.delete_queue().queue_url(url).send().await;
                }
                Resource::Topic { arn } => {
                    let _ = stage.sns.delete_topic().topic_arn(arn).send().await;
                }
            }
        }
    }
}

/// Asks until there is an answer.
async fn wait_for<T, E: std::fmt::Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) if started.elapsed() > DEADLINE => {
                panic!("waited in vain for {what}: {reason:?}")
            }
            Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

fn expect<T: PartialEq>(seen: T, expected: &T) -> Result<(), T> {
    if seen == *expected { Ok(()) } else { Err(seen) }
}

pub(crate) struct Table {
    client: aws_sdk_dynamodb::Client,
    pub(crate) name: String,
    pub(crate) stream: String,
}

impl Table {
    pub(crate) async fn put(&self, Item(item): Item) {
        let put = self.client.put_item().table_name(&self.name);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// One after the other, which is their order in the stream.
    pub(crate) async fn put_all(&self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        for name in names {
            self.put(item(name.as_ref())).await;
        }
    }

    pub(crate) async fn delete(&self, name: &str) {
        let Item(key) = item(name);
        let delete = self.client.delete_item().table_name(&self.name);
        delete.set_key(Some(key)).send().await.unwrap();
    }
}

/// An item; its sort key is its name, and its other attributes are what the function obeys.
#[derive(Clone)]
pub(crate) struct Item(HashMap<String, AttributeValue>);

pub(crate) fn item(name: &str) -> Item {
    Item(HashMap::new()).with("pk", "p").with("sk", name)
}

impl Item {
    pub(crate) fn with(mut self, attribute: &str, value: &str) -> Self {
        self.0
            .insert(attribute.to_owned(), AttributeValue::S(value.to_owned()));
        self
    }
}

pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:02}")).collect()
}

pub(crate) struct Function {
    stage: Arc<Stage>,
    pub(crate) name: String,
    pub(crate) arn: String,
}

/// An invocation, as the function saw it.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) started_ms: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) records: Vec<Value>,
}

fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

impl Function {
    /// All invocations so far, in order.
    pub(crate) async fn seen(&self) -> Vec<Invocation> {
        let pages = self
            .stage
            .logs
            .filter_log_events()
            .log_group_name(log_group(&self.name))
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await;
        // Without an invocation, there is no log group.
        let mut seen: Vec<Invocation> = pages
            .unwrap_or_default()
            .iter()
            .flat_map(FilterLogEventsOutput::events)
            .filter_map(|event| serde_json::from_str::<Value>(event.message()?).ok())
            .filter_map(|line| {
                let probe = line.get("probe")?;
                Some(Invocation {
                    started_ms: probe["started_ms"].as_u64()?,
                    payload_bytes: probe["payload_bytes"].as_u64()?,
                    records: probe["records"].as_array()?.clone(),
                })
            })
            .collect();
        seen.sort_by_key(|invocation| invocation.started_ms);
        seen
    }

    pub(crate) async fn wait_for(&self, enough: impl Fn(&[Invocation]) -> bool) -> Vec<Invocation> {
        let started = Instant::now();
        loop {
            let seen = self.seen().await;
            if enough(&seen) {
                return seen;
            }
            let seen = names(&seen);
            assert!(
                started.elapsed() < DEADLINE,
                "waited in vain, seen: {seen:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) async fn wait_until_seen(&self, name: &str) -> Vec<Invocation> {
        self.wait_for(|seen| names(seen).iter().any(|seen| seen == name))
            .await
    }

    /// All invocations, when it is known how many there were: logs may be late.
    pub(crate) async fn seen_all(&self, invocations: usize) -> Vec<Invocation> {
        self.wait_for(|seen| seen.len() >= invocations).await
    }

    /// From now on, what fails until it is calm does not.
    pub(crate) async fn calm(&self) {
        let environment = Environment::builder().variables("CALM", "1").build();
        self.stage
            .lambda
            .update_function_configuration()
            .function_name(&self.name)
            .environment(environment)
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn set_concurrency(&self, reserved: Option<i32>) {
        let client = &self.stage.lambda;
        if let Some(reserved) = reserved {
            let put = client.put_function_concurrency().function_name(&self.name);
            put.reserved_concurrent_executions(reserved)
                .send()
                .await
                .unwrap();
        } else {
            let delete = client.delete_function_concurrency();
            delete.function_name(&self.name).send().await.unwrap();
        }
    }
}

pub(crate) fn records(seen: &[Invocation]) -> Vec<Value> {
    seen.iter()
        .flat_map(|invocation| invocation.records.clone())
        .collect()
}

/// The items' names, as often as they were delivered.
pub(crate) fn names(seen: &[Invocation]) -> Vec<String> {
    records(seen)
        .iter()
        .map(|record| {
            record["dynamodb"]["Keys"]["sk"]["S"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// The names in invocations without the bad item.
pub(crate) fn succeeded(seen: &[Invocation], bad: &str) -> Vec<String> {
    seen.iter()
        .map(|invocation| names(std::slice::from_ref(invocation)))
        .filter(|names| !names.iter().any(|name| name == bad))
        .flatten()
        .collect()
}

pub(crate) fn sequence_number<'a>(seen: &'a [Invocation], name: &str) -> &'a Value {
    let mut records = seen.iter().flat_map(|invocation| &invocation.records);
    let record = records.find(|record| record["dynamodb"]["Keys"]["sk"]["S"] == name);
    &record.unwrap()["dynamodb"]["SequenceNumber"]
}

pub(crate) fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let format = aws_sdk_sqs::primitives::DateTimeFormat::DateTime;
    text.ends_with('Z') && aws_sdk_sqs::primitives::DateTime::from_str(text, format).is_ok()
}

pub(crate) fn filters(patterns: &[Value]) -> FilterCriteria {
    let filters = patterns
        .iter()
        .map(|pattern| Filter::builder().pattern(pattern.to_string()).build());
    FilterCriteria::builder()
        .set_filters(Some(filters.collect()))
        .build()
}

pub(crate) fn on_failure(arn: &str) -> DestinationConfig {
    let on_failure = OnFailure::builder().destination(arn).build();
    DestinationConfig::builder().on_failure(on_failure).build()
}

pub(crate) struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    pub(crate) arn: String,
}

impl Queue {
    /// What is there now; it is there no more afterwards.
    pub(crate) async fn receive(&self) -> Vec<Value> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .send()
            .await
            .unwrap();
        let mut messages = Vec::new();
        for message in received.messages.unwrap_or_default() {
            let delete = self.client.delete_message().queue_url(&self.url);
            let handle = message.receipt_handle.unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
            messages.push(serde_json::from_str(&message.body.unwrap()).unwrap());
        }
        messages
    }

    /// The first messages, in the order of their records.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
        let mut messages: Vec<Value> = Vec::new();
        let started = Instant::now();
        while messages.len() < count {
            assert!(started.elapsed() < DEADLINE, "only got {messages:?}");
            messages.extend(self.receive().await);
        }
        messages.sort_by_key(|message| {
            let number = &message["DDBStreamBatchInfo"]["startSequenceNumber"];
            number.as_str().unwrap().to_owned()
        });
        messages
    }
}
