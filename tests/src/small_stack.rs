//! A small stack with a bit of everything, to try the deploy engine on without building the
//! app: its program deploys it as `xtask` deploys the app, in a process that can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use local::{Call, Emulator, EmulatorConfig, Fault, Keys};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{aws_cli, free_ports_of_aws, run_behind, sdk_config, stage_tools, succeed};

/// The region of the emulator.
pub const REGION: &str = "us-east-1";

/// The account of the emulator.
pub const ACCOUNT: &str = "000000000000";

/// The stage that the small stack is one of.
pub const STAGE: &str = "test";

/// The functions, by the names that a manifest would give them.
pub const FUNCTIONS: [&str; 2] = ["reader", "writer"];

/// How many resources the small stack has.
pub const RESOURCES: usize = 8;

/// The bootstrap stack, as `xtask` has it where there is no TLS.
pub const BOOTSTRAP_TEMPLATE: &str = r#"
Resources:
  ArtifactBucket:
    Type: AWS::S3::Bucket
    Properties: {VersioningConfiguration: {Status: Enabled}}
Outputs:
  ArtifactBucketName: {Value: !Ref ArtifactBucket}
"#;

/// `GetTemplate` returns this text as it stands, as it is ASCII.
const TEMPLATE: &str = r#"
Description: "Gr\u00fc\u00dfe, \U0001F408"
Parameters:
  ArtifactBucket: {Type: String}
  ReaderCode: {Type: String}
  WriterCode: {Type: String}
Resources:
  Data:
    Type: AWS::S3::Bucket
    Properties: {VersioningConfiguration: {Status: Enabled}}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Failures:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: VERSION}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}
  ReaderLogs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /aws/lambda/APP-test-reader}}
  WriterLogs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /aws/lambda/APP-test-writer}}
  Reader:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: APP-test-reader
      Runtime: provided.al2023
      Handler: bootstrap
      Role: !GetAtt Role.Arn
      Code: {S3Bucket: !Ref ArtifactBucket, S3Key: !Ref ReaderCode}
  Writer:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: APP-test-writer
      Runtime: provided.al2023
      Handler: bootstrap
      Role: !GetAtt Role.Arn
      Code: {S3Bucket: !Ref ArtifactBucket, S3Key: !Ref WriterCode}
Outputs:
  DataBucketName: {Value: !Ref Data}
  ItemsTableName: {Value: !Ref Items}
  FailuresQueueUrl: {Value: !Ref Failures}
  ReaderName: {Value: !Ref Reader}
  WriterName: {Value: !Ref Writer}
"#;

/// The template of a version of an app's stack: versions differ in the queue and in the code.
pub fn template(app: &str, version: u32) -> String {
    TEMPLATE
        .replace("APP", app)
        .replace("VERSION", &version.to_string())
}

/// The name of an app's stack.
pub fn stack_name(app: &str) -> String {
    format!("{app}-{STAGE}")
}

/// The name of an app's bootstrap stack.
pub fn bootstrap_stack_name(app: &str) -> String {
    format!("{app}-bootstrap")
}

/// What the keys of an app's code and records begin with.
pub fn artifact_prefix(app: &str) -> String {
    format!("{app}/{STAGE}/")
}

/// The tags of an app's stack.
pub fn tags(app: &str) -> BTreeMap<String, String> {
    [("app", app), ("stage", STAGE)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A zip of a function's code: the same version is the same bytes.
pub fn write_zip(path: &Path, function: &str, version: u32) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default()
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    writer.start_file("bootstrap", options).unwrap();
    let code = format!("#!/bin/sh\n# {function}, version {version}\nexec sleep 60\n");
    writer.write_all(code.as_bytes()).unwrap();
    writer.finish().unwrap();
}

/// A queue goes by its URL, of which there are several.
fn plain(physical_id: String) -> String {
    match physical_id.rsplit_once('/') {
        Some((url, name)) if url.starts_with("http") => name.to_owned(),
        _ => physical_id,
    }
}

/// The name that AWS's reference has for a call's operation.
pub fn operation(call: &Call) -> &str {
    match (call.service.as_str(), call.operation.as_str()) {
        ("s3", "HEAD bucket") => "HeadBucket",
        ("s3", "HEAD object") => "HeadObject",
        ("s3", "GET bucket versions") => "ListObjectVersions",
        ("s3", "POST bucket delete") => "DeleteObjects",
        ("s3", "PUT bucket notification") => "PutBucketNotificationConfiguration",
        ("lambda", path) if path.starts_with("GET ") && path.ends_with("/configuration") => {
            "GetFunctionConfiguration"
        }
        ("lambda", path) if path.starts_with("PUT ") && path.ends_with("/code") => {
            "UpdateFunctionCode"
        }
        (_, operation) => operation,
    }
}

/// A file's SHA-256.
pub fn sha256(path: &Path) -> [u8; 32] {
    Sha256::digest(std::fs::read(path).unwrap()).into()
}

/// A running emulator with nothing in it, and the functions' code to fill it with. Dropping it
/// ends it.
pub struct Ground {
    /// What the calls below run in.
    pub runtime: tokio::runtime::Runtime,
    endpoint: String,
    config: SdkConfig,
    directory: TempDir,
    emulator: Emulator,
}

/// The outcome of a run of the small stack's program.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it printed as its outcome.
    pub outcome: String,
    /// What it told on the way, one step a line, and its error.
    pub told: String,
}

impl Run {
    /// The outcome of a run that ended.
    pub fn of(output: &std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            outcome: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the run ended well.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Ground {
    /// Starts an emulator on a free port.
    pub fn start() -> Self {
        let directory = TempDir::new().unwrap();
        for version in [1, 2] {
            for function in FUNCTIONS {
                let zip = directory.path().join(format!("{function}-{version}.zip"));
                write_zip(&zip, function, version);
            }
        }
        let tools = stage_tools();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        let port = free_ports_of_aws();
        let emulator = runtime
            .block_on(Emulator::start(EmulatorConfig {
                python: &tools.python(),
                dir: directory.path(),
                port,
                rekognition_port: None,
                region: REGION,
                account_id: ACCOUNT,
                chaos: None,
                debugged: None,
                state: None,
            }))
            .unwrap();
        let endpoint = emulator.endpoint().to_owned();
        Self {
            config: sdk_config(
                &endpoint,
                REGION,
                &emulator.keys().access_key_id,
                &emulator.keys().secret_access_key,
            ),
            runtime,
            endpoint,
            directory,
            emulator,
        }
    }

    /// The emulator's endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The keys of the emulator's root user.
    pub fn keys(&self) -> &Keys {
        self.emulator.keys()
    }

    /// What clients of the emulator are made from; they are its root user.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// A zip of a version of a function's code.
    pub fn zip(&self, function: &str, version: u32) -> PathBuf {
        self.directory
            .path()
            .join(format!("{function}-{version}.zip"))
    }

    /// The small stack's program, told to do something with an app's stack at an endpoint.
    pub fn command(&self, program: &str, endpoint: &str, app: &str, verb: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args([endpoint, app])
            .arg(self.directory.path())
            .args(verb)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", &self.keys().access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.keys().secret_access_key)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the small stack's program to its end, without anything in between.
    pub fn run(&self, program: &str, app: &str, verb: &[&str]) -> Run {
        let mut command = self.command(program, &self.endpoint, app, verb);
        Run::of(&command.output().unwrap())
    }

    /// As [`run`](Self::run), but every call goes by `decide`, which is told the program's
    /// process id as well.
    pub fn run_behind(
        &self,
        program: &str,
        app: &str,
        verb: &[&str],
        decide: impl Fn(&Call, u32) -> Option<Fault> + Send + Sync + 'static,
    ) -> Run {
        let command = |url: &str| self.command(program, url, app, verb);
        let output = run_behind(&self.runtime, &self.endpoint, command, decide);
        Run::of(&output)
    }

    /// A stack's state, and how many change sets it has that were not executed.
    pub fn state(&self, stack: &str) -> (String, usize) {
        self.runtime.block_on(async {
            let client = aws_sdk_cloudformation::Client::new(&self.config);
            let described = client.describe_stacks().stack_name(stack).send().await;
            let Ok(described) = described else {
                return ("no stack".to_owned(), 0);
            };
            let described = &described.stacks()[0];
            let status = described.stack_status().unwrap();
            let listed = client.list_change_sets().stack_name(stack).send().await;
            let listed = listed.unwrap();
            let waiting = listed.summaries().iter().filter(|summary| {
                let executed = summary.execution_status().is_some_and(|status| {
                    ["EXECUTE_COMPLETE", "EXECUTE_IN_PROGRESS"].contains(&status.as_str())
                });
                // The emulator makes a new stack of one under review, and lists what the old
                // one had.
                summary.stack_id() == described.stack_id() && !executed
            });
            (status.as_str().to_owned(), waiting.count())
        })
    }

    /// Waits until nobody works on a stack; returns its state.
    pub fn settled(&self, stack: &str) -> String {
        loop {
            let (state, _) = self.state(stack);
            if state == "REVIEW_IN_PROGRESS" || !state.ends_with("_IN_PROGRESS") {
                return state;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The standard output of an AWS CLI command that must succeed, for what there is no
    /// client for.
    pub fn aws_ok(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(aws_cli());
        command
            .args(arguments)
            .env_clear()
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &self.keys().access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.keys().secret_access_key)
            .stdin(Stdio::null());
        succeed(&mut command)
    }

    /// The resources of a stack.
    pub fn resources(&self, stack: &str) -> Vec<StackResourceSummary> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let listed = client.list_stack_resources().stack_name(stack).send();
        let listed = self.runtime.block_on(listed);
        listed.map_or_else(
            |_| Vec::new(),
            |page| page.stack_resource_summaries.unwrap_or_default(),
        )
    }

    /// The keys in an app's artifact bucket, if there is one.
    pub fn artifacts(&self, app: &str) -> BTreeSet<String> {
        let bucket = self.resources(&bootstrap_stack_name(app));
        let Some(bucket) = bucket
            .first()
            .and_then(StackResourceSummary::physical_resource_id)
        else {
            return BTreeSet::new();
        };
        let client = self.s3();
        let listed = client.list_object_versions().bucket(bucket).send();
        let listed = self.runtime.block_on(listed).unwrap();
        let versions = listed.versions().iter().filter_map(|version| version.key());
        versions.map(str::to_owned).collect()
    }

    /// Puts objects into the bucket of an app's stack: versions, and a delete marker.
    pub fn fill_bucket(&self, app: &str) {
        let bucket = self.physical_id(app, "Data");
        let client = self.s3();
        self.runtime.block_on(async {
            for key in ["a", "b", "a"] {
                let put = client.put_object().bucket(&bucket).key(key);
                put.body(key.as_bytes().to_vec().into())
                    .send()
                    .await
                    .unwrap();
            }
            let delete = client.delete_object().bucket(&bucket).key("b");
            delete.send().await.unwrap();
        });
    }

    /// An S3 client that addresses buckets by path.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&self.config)
                .force_path_style(true)
                .build(),
        )
    }

    /// The name of a resource of an app's stack.
    pub fn physical_id(&self, app: &str, logical_id: &str) -> String {
        self.resources(&stack_name(app))
            .iter()
            .find(|resource| resource.logical_resource_id() == Some(logical_id))
            .and_then(StackResourceSummary::physical_resource_id)
            .unwrap_or_else(|| panic!("{app} has no {logical_id}"))
            .to_owned()
    }

    /// Everything in the account whose name says that it is an app's, whatever stack knows it.
    pub fn inventory(&self, app: &str) -> BTreeSet<String> {
        let prefix = format!("{app}-");
        let mut found = Vec::new();
        self.runtime.block_on(async {
            let config = &self.config;
            let s3 = self.s3();
            let dynamodb = aws_sdk_dynamodb::Client::new(config);
            let sqs = aws_sdk_sqs::Client::new(config);
            let iam = aws_sdk_iam::Client::new(config);
            let lambda = aws_sdk_lambda::Client::new(config);
            let logs = aws_sdk_cloudwatchlogs::Client::new(config);
            let log_prefix = format!("/aws/lambda/{prefix}");
            let (buckets, tables, queues, roles, functions, log_groups) = tokio::join!(
                s3.list_buckets().send(),
                dynamodb
                    .list_tables()
                    .into_paginator()
                    .items()
                    .send()
                    .try_collect(),
                sqs.list_queues().queue_name_prefix(&prefix).send(),
                iam.list_roles()
                    .into_paginator()
                    .items()
                    .send()
                    .try_collect(),
                lambda
                    .list_functions()
                    .into_paginator()
                    .items()
                    .send()
                    .try_collect(),
                logs.describe_log_groups()
                    .log_group_name_prefix(&log_prefix)
                    .send(),
            );
            let buckets = buckets.unwrap().buckets.unwrap_or_default();
            found.extend(buckets.into_iter().filter_map(|bucket| bucket.name));
            found.extend(tables.unwrap());
            found.extend(queues.unwrap().queue_urls.unwrap_or_default());
            let roles = roles.unwrap().into_iter();
            found.extend(roles.map(|role| role.role_name().to_owned()));
            let functions = functions.unwrap().into_iter();
            found.extend(functions.filter_map(|function| function.function_name));
            let log_groups = log_groups.unwrap().log_groups.unwrap_or_default();
            found.extend(
                log_groups
                    .into_iter()
                    .filter_map(|group| group.log_group_name),
            );
        });
        found.retain(|id| {
            id.rsplit('/')
                .next()
                .unwrap_or_default()
                .starts_with(&prefix)
        });
        found.into_iter().map(plain).collect()
    }

    /// Fails the test unless a version of an app's stack is deployed, whole, and alone.
    #[track_caller]
    pub fn assert_deployed(&self, app: &str, version: u32, what: &str) {
        let stack = stack_name(app);
        let (state, change_sets) = self.state(&stack);
        assert!(
            [
                "CREATE_COMPLETE",
                "UPDATE_COMPLETE",
                "UPDATE_ROLLBACK_COMPLETE"
            ]
            .contains(&state.as_str()),
            "{what}: {state}"
        );
        assert_eq!(change_sets, 0, "{what}: change sets are left");
        let resources = self.resources(&stack);
        assert_eq!(resources.len(), RESOURCES, "{what}: {resources:?}");
        let complete = [
            ResourceStatus::CreateComplete,
            ResourceStatus::UpdateComplete,
        ];
        for resource in &resources {
            let status = resource.resource_status().unwrap();
            assert!(complete.contains(status), "{what}: {resource:?}");
        }
        let bootstrap = self.resources(&bootstrap_stack_name(app));
        let known: BTreeSet<String> = resources
            .iter()
            .chain(&bootstrap)
            .filter_map(|resource| resource.physical_resource_id.clone())
            .map(plain)
            .collect();
        assert_eq!(
            self.inventory(app),
            known,
            "{what}: what is there is not what the stacks know"
        );
        let name = |id: &str| self.physical_id(app, id);
        let expected = [
            ("DataBucketName", name("Data")),
            ("FailuresQueueUrl", name("Failures")),
            ("ItemsTableName", name("Items")),
            ("ReaderName", format!("{app}-test-reader")),
            ("WriterName", format!("{app}-test-writer")),
        ];
        let expected: BTreeMap<String, String> = expected
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        assert_eq!(self.outputs(&stack), expected, "{what}");
        assert_eq!(self.version(app), version, "{what}");
        for function in FUNCTIONS {
            assert_eq!(
                self.code_sha256(app, function),
                sha256(&self.zip(function, version)),
                "{what}: {function} runs other code"
            );
        }
    }

    /// Fails the test unless nothing of an app is there but its bootstrap stack.
    #[track_caller]
    pub fn assert_deleted(&self, app: &str, what: &str) {
        let stack = stack_name(app);
        assert_eq!(self.state(&stack).0, "no stack", "{what}");
        let bootstrap = self.resources(&bootstrap_stack_name(app));
        let known: BTreeSet<String> = bootstrap
            .iter()
            .filter_map(|resource| resource.physical_resource_id.clone())
            .map(plain)
            .collect();
        assert_eq!(self.inventory(app), known, "{what}");
        assert_eq!(self.artifacts(app), BTreeSet::new(), "{what}");
    }

    fn outputs(&self, stack: &str) -> BTreeMap<String, String> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let described = client.describe_stacks().stack_name(stack).send();
        let described = self.runtime.block_on(described).unwrap();
        let outputs = described.stacks()[0].outputs().iter();
        outputs
            .map(|output| {
                (
                    output.output_key().unwrap().to_owned(),
                    output.output_value().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// Which version of an app's stack is deployed, by its queue.
    pub fn version(&self, app: &str) -> u32 {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let asked = client
            .get_queue_attributes()
            .queue_url(self.physical_id(app, "Failures"))
            .attribute_names(QueueAttributeName::VisibilityTimeout)
            .send();
        let answer = self.runtime.block_on(asked).unwrap();
        let version = &answer.attributes().unwrap()[&QueueAttributeName::VisibilityTimeout];
        version.parse().unwrap()
    }

    fn code_sha256(&self, app: &str, function: &str) -> Vec<u8> {
        use base64::Engine;
        let client = aws_sdk_lambda::Client::new(&self.config);
        let asked = client
            .get_function_configuration()
            .function_name(format!("{app}-{STAGE}-{function}"))
            .send();
        let answer = self.runtime.block_on(asked).unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(answer.code_sha256().unwrap())
            .unwrap()
    }

    /// Replaces a function's code behind CloudFormation's back.
    pub fn replace_code(&self, app: &str, function: &str, version: u32) {
        let client = aws_sdk_lambda::Client::new(&self.config);
        let zip = std::fs::read(self.zip(function, version)).unwrap();
        let update = client
            .update_function_code()
            .function_name(format!("{app}-{STAGE}-{function}"))
            .zip_file(aws_sdk_lambda::primitives::Blob::new(zip))
            .send();
        self.runtime.block_on(update).unwrap();
    }
}

/// How many cases are tried at once. Most of the time goes by waiting.
const AT_ONCE: usize = 4;

/// Tries every case with an app of its own, and prints what each gives, in their order. Fails
/// if one did, when all have been tried.
pub fn try_each<C: Copy + Sync, R: Display + Send>(
    cases: &[C],
    try_case: impl Fn(C, &str) -> R + Sync,
) {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else {
                        break;
                    };
                    let app = format!("app{index}");
                    // One that fails has said so; the others are tried all the same.
                    if let Ok(row) = catch_unwind(AssertUnwindSafe(|| try_case(*case, &app))) {
                        rows.lock().unwrap().insert(index, row);
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap();
    for row in rows.values() {
        println!("{row}");
    }
    assert_eq!(rows.len(), cases.len(), "some did not end right");
}
