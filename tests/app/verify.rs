//! `verify` on a stage that works, and on one with a fault: each check fails on the fault that it
//! is there for, and whatever happens, nothing stays behind.
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use acceptance::fake_aws::{self, Answer};
use acceptance::{both, eventually, signal, workspace};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::types::Environment;
use local::{Call, Effect, Fault, FaultProxy};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::library::Stage;

/// What the stage had before, and must have after each run.
const USER: &str = "somebody";
const FILE: &str = "holiday.jpg";

/// An effect that comes on the local stage comes within this time.
const TIMEOUT: &str = "20s";

/// As long as an effect is waited for that does not come.
const SHORT_TIMEOUT: &str = "5s";

#[test]
fn a_stage_that_works_is_verified_and_left_as_it_was() {
    let bench = Bench::start();
    bench.a_complete_run_passes();
    bench.the_documented_permissions_are_enough();
    bench.an_interrupted_run_leaves_nothing();
    bench.a_second_signal_names_what_is_left();
    let mut failed = BTreeSet::new();
    bench.roles_that_may_too_much(&mut failed);
    bench.a_caller_who_may_not_delete(&mut failed);
    bench.an_event_that_was_given_up(&mut failed);
    bench.flows_are_selected_by_name();
    bench.nothing_is_left();
}

#[test]
#[ignore = "takes two minutes: effects that do not come are waited for"]
fn long_each_check_fails_on_its_fault() {
    let bench = Bench::start();
    let all: BTreeSet<String> = bench.run(&[], TIMEOUT).passed().into_keys().collect();
    let mut failed = BTreeSet::new();
    bench.no_notifications(&mut failed);
    bench.no_notifications_of_removals(&mut failed);
    bench.an_api_of_another_table(&mut failed);
    bench.an_api_that_may_not_scan(&mut failed);
    bench.other_labels(&mut failed);
    bench.a_function_of_another_bucket(&mut failed);
    bench.a_users_api_of_another_table(&mut failed);
    bench.streams_that_nobody_reads(&mut failed);
    bench.users_that_nobody_may_scan(&mut failed);
    bench.users_that_nobody_may_delete(&mut failed);
    bench.objects_that_nobody_may_delete(&mut failed);
    bench.roles_that_may_too_much(&mut failed);
    bench.a_caller_who_may_not_delete(&mut failed);
    bench.an_event_that_was_given_up(&mut failed);
    bench.nothing_is_left();
    let never: Vec<_> = all.difference(&failed).collect();
    assert!(never.is_empty(), "these never failed: {never:?}");
}

/// What a run printed, and how it ended.
struct Ran {
    output: Output,
    report: Value,
}

impl Ran {
    fn of(output: Output) -> Self {
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", both(&output)));
        let printed = both(&output);
        for private in [USER, FILE, "private@example.com"] {
            assert!(!printed.contains(private), "{private} is shown:\n{printed}");
        }
        Self { output, report }
    }

    /// The outcomes, by check.
    fn outcomes(&self) -> BTreeMap<String, Value> {
        let checks = self.report["checks"].as_array().unwrap();
        let named = checks
            .iter()
            .map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone()));
        named.collect()
    }

    fn passed(&self) -> BTreeMap<String, Value> {
        let outcomes = self.outcomes();
        for (name, check) in &outcomes {
            assert_eq!(check["outcome"], "passed", "{name}: {}", both(&self.output));
        }
        assert_eq!(self.report["passed"], true);
        assert_eq!(self.report["left"], json!([]));
        assert_eq!(self.output.status.code(), Some(0));
        outcomes
    }

    /// Exactly these checks have failed, each with what was expected, what was seen and what to
    /// look at next.
    fn failed(&self, expected: &[&str], all: &mut BTreeSet<String>) {
        let outcomes = self.outcomes();
        let failed: BTreeSet<&str> = outcomes
            .iter()
            .filter(|(_, check)| check["outcome"] == "failed")
            .map(|(name, _)| name.as_str())
            .collect();
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(failed, expected, "{}", both(&self.output));
        for name in failed {
            for part in ["expected", "seen", "next"] {
                let text = outcomes[name][part].as_str();
                assert!(text.is_some_and(|text| !text.is_empty()), "{name}: {part}");
            }
            all.insert(name.to_owned());
        }
        assert_eq!(self.report["passed"], false);
        assert_eq!(self.output.status.code(), Some(1));
    }
}

struct Bench {
    stage: Stage,
    runtime: Runtime,
    lambda: aws_sdk_lambda::Client,
    iam: aws_sdk_iam::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Bench {
    /// A stage with somebody's file and user.
    fn start() -> Self {
        let stage = Stage::start();
        let config = stage.config();
        let bench = Self {
            lambda: aws_sdk_lambda::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            runtime: Runtime::new().unwrap(),
            stage,
        };
        let email = AttributeValue::S("private@example.com".to_owned());
        bench.does(
            bench
                .stage
                .dynamodb()
                .put_item()
                .table_name(bench.stage.variable("USERS_TABLE_NAME"))
                .item("id", AttributeValue::S(USER.to_owned()))
                .item("email", email)
                .send(),
        );
        let photo = workspace().join("assets/sample.jpg");
        bench.stage.upload(FILE, &photo);
        bench.stage.xtask_ok(&["wait"]);
        bench
    }

    fn does<T, E: std::fmt::Debug>(&self, call: impl Future<Output = Result<T, E>>) -> T {
        self.runtime.block_on(call).unwrap()
    }

    fn run(&self, flows: &[&str], timeout: &str) -> Ran {
        let arguments = ["verify", "--json", "--timeout", timeout];
        let mut command = self.stage.xtask(&[&arguments, flows].concat());
        Ran::of(command.output().unwrap())
    }

    fn nothing_is_left(&self) {
        self.stage.xtask_ok(&["wait"]);
        assert_eq!(
            self.stage.keys("MEDIA_BUCKET_NAME"),
            [FILE.to_owned()].into()
        );
        assert_eq!(
            self.stage.keys("USER_BUCKET_NAME"),
            [format!("{USER}/userdata")].into()
        );
        for (table, key, item) in [
            ("MEDIA_TABLE_NAME", "name", FILE),
            ("USERS_TABLE_NAME", "id", USER),
        ] {
            let scan = self.stage.dynamodb().scan();
            let scan = scan.table_name(self.stage.variable(table)).send();
            let keys: Vec<_> = self
                .does(scan)
                .items()
                .iter()
                .map(|item| item[key].as_s().unwrap().clone())
                .collect();
            assert_eq!(keys, [item], "{table}");
        }
    }

    fn a_complete_run_passes(&self) {
        let ran = self.run(&[], TIMEOUT);
        let checks = ran.passed();
        for check in checks.values() {
            assert!(check["took_ms"].is_u64(), "{check}");
        }
        let labels = checks["image-labels"]["seen"].as_str().unwrap();
        assert!(labels.contains("Cat"), "{labels}");
        self.nothing_is_left();

        let shown = self
            .stage
            .xtask(&["verify", "users-errors"])
            .output()
            .unwrap();
        let table = String::from_utf8(shown.stdout).unwrap();
        assert!(table.starts_with("CHECK"), "{table}");
        let rows: Vec<&str> = table.lines().skip(1).collect();
        assert_eq!(rows.len(), 3, "{table}");
        assert!(rows[0].starts_with("users-errors"), "{table}");
        let progress = String::from_utf8(shown.stderr).unwrap();
        assert!(
            progress.contains("3 checks: 3 passed, 0 failed"),
            "{progress}"
        );
    }

    /// A key of a user with one policy.
    fn key_of(&self, user: &str, policy: &Value) -> (String, String) {
        self.does(self.iam.create_user().user_name(user).send());
        let put = self.iam.put_user_policy().user_name(user);
        let put = put
            .policy_name("policy")
            .policy_document(policy.to_string());
        self.does(put.send());
        let key = self.does(self.iam.create_access_key().user_name(user).send());
        let key = key.access_key().unwrap();
        (
            key.access_key_id().to_owned(),
            key.secret_access_key().to_owned(),
        )
    }

    /// The guide lists them. Without the last, which it says can be missing, the roles are not
    /// checked; without another one, the error names it.
    fn the_documented_permissions_are_enough(&self) {
        let guide = std::fs::read_to_string(workspace().join("docs/guide/verifying.md")).unwrap();
        let (_, list) = guide.split_once("The caller needs").unwrap();
        let (list, _) = list.split_once("\n## ").unwrap();
        let services = [
            "s3:",
            "dynamodb:",
            "sqs:",
            "lambda:",
            "iam:",
            "cloudformation:",
        ];
        let actions: Vec<&str> = list
            .split('`')
            .filter(|code| services.iter().any(|service| code.starts_with(service)))
            .collect();
        assert!(actions.len() > 8, "{actions:?}");
        let policy = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*", "Action": actions}});
        let run = |user, actions: &[&str], flows: &[&str]| {
            let key = self.key_of(user, &policy(actions));
            let arguments = [&["verify", "--json", "--timeout", TIMEOUT], flows].concat();
            Ran::of(self.stage.xtask_as(&key, &arguments).output().unwrap())
        };
        run("reader-of-the-guide", &actions, &[]).passed();

        let simulation = "iam:SimulatePrincipalPolicy";
        let fewer: Vec<&str> = actions
            .iter()
            .copied()
            .filter(|action| ![simulation, "dynamodb:UpdateItem"].contains(action))
            .collect();
        let ran = run("without-two", &fewer, &["users", "roles"]);
        ran.failed(&["user-changed"], &mut BTreeSet::new());
        for (name, check) in ran.outcomes() {
            if name == "user-changed" {
                let next = check["next"].as_str().unwrap();
                assert!(
                    next.contains("the caller needs dynamodb:UpdateItem"),
                    "{next}"
                );
            }
            if name.starts_with("role-of-") {
                assert_eq!(check["outcome"], "not-checked", "{check}");
                let reason = check["reason"].as_str().unwrap();
                assert!(reason.contains(simulation), "{reason}");
            }
        }
        self.nothing_is_left();
    }

    /// Ctrl-C while a video's job runs.
    fn an_interrupted_run_leaves_nothing(&self) {
        let mut command = self.stage.xtask(&["verify", "--json", "video", "users"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        eventually("the video's upload", || {
            let keys = self.stage.keys("MEDIA_BUCKET_NAME");
            (keys.len() == 2).then_some(())
        });
        signal("INT", child.id());
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(ran.output.status.code(), Some(130));
        assert_eq!(ran.report["passed"], false);
        assert_eq!(ran.report["left"], json!([]));
        let reason = &ran.outcomes()["video-removed"]["reason"];
        assert_eq!(*reason, "the run was interrupted");
        assert_eq!(self.stage.keys("MEDIA_BUCKET_NAME").len(), 1);
        self.nothing_is_left();
    }

    /// Ctrl-C twice, while S3 answers no deletion.
    fn a_second_signal_names_what_is_left(&self) {
        let endpoint_url = self.stage.variable("AWS_ENDPOINT_URL");
        let proxy = self
            .runtime
            .block_on(FaultProxy::start(0, endpoint_url, |call: &Call| {
                (call.operation == "DeleteObject").then_some(Fault::Unavailable(Effect::Missing))
            }));
        let proxy = proxy.unwrap();
        let arguments = ["verify", "--json", "video"];
        let mut command = self.stage.xtask_behind(&proxy.url(), &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
        let keys = || self.stage.keys("MEDIA_BUCKET_NAME");
        eventually("the video's upload", || (keys().len() == 2).then_some(()));
        signal("INT", child.id());
        progress.find(|line| line.as_ref().unwrap().contains("Deleting"));
        signal("INT", child.id());
        let ran = Ran::of(child.wait_with_output().unwrap());
        self.runtime.block_on(proxy.shutdown());
        assert_eq!(ran.output.status.code(), Some(130));
        let left = ran.report["left"].as_array().unwrap();
        let object = left.iter().find(|left| {
            let what = left["what"].as_str().unwrap();
            what.starts_with("object xtask-verify/")
        });
        self.delete_by(object.unwrap()["command"].as_str().unwrap());
        self.nothing_is_left();
    }

    /// Runs a command that `verify` tells.
    fn delete_by(&self, command: &str) {
        let arguments = command.strip_prefix("aws ").unwrap().replace('\'', "");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        self.stage.aws_ok(&arguments);
    }

    fn flows_are_selected_by_name(&self) {
        let output = self.stage.xtask(&["verify", "user"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            both(&output).contains("did you mean `users`?"),
            "{}",
            both(&output)
        );
    }

    fn physical_name(function: &str) -> String {
        format!("media-query-local-{function}")
    }

    fn role_of(&self, function: &str) -> String {
        let configuration = self.lambda.get_function_configuration();
        let configuration = configuration.function_name(Self::physical_name(function));
        let role = self.does(configuration.send()).role.unwrap();
        role.rsplit('/').next().unwrap().to_owned()
    }

    /// Runs flows while a function's role has one more policy.
    fn with_policy(&self, functions: &[&str], policy: &Value, flows: &[&str]) -> Ran {
        let roles: Vec<String> = functions.iter().map(|name| self.role_of(name)).collect();
        for role in &roles {
            let put = self.iam.put_role_policy().role_name(role);
            let put = put.policy_name("fault").policy_document(policy.to_string());
            self.does(put.send());
        }
        let ran = self.run(flows, SHORT_TIMEOUT);
        for role in &roles {
            let delete = self.iam.delete_role_policy().role_name(role);
            self.does(delete.policy_name("fault").send());
        }
        ran
    }

    fn without(&self, action: &str, function: &str, flows: &[&str]) -> Ran {
        self.with_policy(&[function], &statement("Deny", action), flows)
    }

    /// Runs flows while a function has another value of a variable.
    fn with_variable(&self, function: &str, name: &str, value: &str, flows: &[&str]) -> Ran {
        let function = Self::physical_name(function);
        let configuration = self.lambda.get_function_configuration();
        let configuration = self.does(configuration.function_name(&function).send());
        let before = configuration.environment.unwrap().variables.unwrap();
        let mut faulty = before.clone();
        faulty.insert(name.to_owned(), value.to_owned());
        let set = |variables| {
            let variables = Environment::builder()
                .set_variables(Some(variables))
                .build();
            let update = self.lambda.update_function_configuration();
            let update = update.function_name(&function).environment(variables);
            self.does(update.send());
            self.stage.aws_ok(&[
                "lambda",
                "wait",
                "function-updated-v2",
                "--function-name",
                &function,
            ]);
        };
        set(faulty);
        let ran = self.run(flows, SHORT_TIMEOUT);
        set(before);
        ran
    }

    /// Runs flows while the media bucket tells less.
    fn with_notifications(&self, keep: impl Fn(&str) -> bool, flows: &[&str]) -> Ran {
        let bucket = self.stage.variable("MEDIA_BUCKET_NAME");
        let get = [
            "s3api",
            "get-bucket-notification-configuration",
            "--bucket",
            bucket,
        ];
        let before = self.stage.aws_json(&get);
        let mut faulty = before.clone();
        let functions = faulty["LambdaFunctionConfigurations"]
            .as_array_mut()
            .unwrap();
        functions.retain(|function| keep(function["Events"][0].as_str().unwrap()));
        let put = |configuration: &Value| {
            let configuration = configuration.to_string();
            let put = [
                "s3api",
                "put-bucket-notification-configuration",
                "--bucket",
                bucket,
            ];
            let option = ["--notification-configuration", &configuration];
            self.stage.aws_ok(&[&put[..], &option].concat());
        };
        put(&faulty);
        let ran = self.run(flows, SHORT_TIMEOUT);
        put(&before);
        ran
    }

    /// Runs flows while nobody reads the users' stream for a function.
    fn with_mapping_off(&self, function: &str, flows: &[&str]) -> Ran {
        let mappings = self.lambda.list_event_source_mappings();
        let mappings = mappings.function_name(Self::physical_name(function)).send();
        let mapping = self.does(mappings).event_source_mappings.unwrap();
        let id = mapping[0].uuid.clone().unwrap();
        let set = |enabled| {
            let update = self.lambda.update_event_source_mapping();
            self.does(update.uuid(&id).enabled(enabled).send());
            eventually("the mapping's state", || {
                let get = self.lambda.get_event_source_mapping().uuid(&id).send();
                let state = self.does(get).state.unwrap();
                (state == if enabled { "Enabled" } else { "Disabled" }).then_some(())
            });
            // The poller looks at mappings once a second.
            std::thread::sleep(Duration::from_secs(2));
        };
        set(false);
        let ran = self.run(flows, SHORT_TIMEOUT);
        set(true);
        ran
    }

    fn no_notifications(&self, failed: &mut BTreeSet<String>) {
        let ran = self.with_notifications(|_| false, &["image", "video", "refusal"]);
        let expected = ["image-catalogued", "video-catalogued", "refused-file"];
        ran.failed(&expected, failed);
        let reason = &ran.outcomes()["image-removed"]["reason"];
        assert_eq!(*reason, "image-catalogued did not pass");
    }

    fn no_notifications_of_removals(&self, failed: &mut BTreeSet<String>) {
        let keep = |event: &str| event.starts_with("s3:ObjectCreated");
        let ran = self.with_notifications(keep, &["image", "video"]);
        ran.failed(&["image-removed", "video-removed"], failed);
    }

    fn an_api_of_another_table(&self, failed: &mut BTreeSet<String>) {
        let flows = ["image", "media-errors"];
        let ran = self.with_variable("media-api", "MEDIA_TABLE_NAME", "nowhere", &flows);
        let expected = [
            "image-by-name",
            "image-odd-name",
            "images-listed",
            "image-removed",
            "media-errors",
        ];
        ran.failed(&expected, failed);
    }

    fn an_api_that_may_not_scan(&self, failed: &mut BTreeSet<String>) {
        let ran = self.without("dynamodb:Scan", "media-api", &["image"]);
        ran.failed(&["images-listed", "images-paged"], failed);
    }

    /// A Rekognition that sees rocks everywhere.
    fn other_labels(&self, failed: &mut BTreeSet<String>) {
        let rekognition = fake_aws::start(|call| {
            let label = json!({"Name": "Rock", "Confidence": 99.0});
            let answer = if call.operation.ends_with("GetLabelDetection") {
                json!({"JobStatus": "SUCCEEDED", "Labels": [{"Label": label}]})
            } else {
                json!({"Labels": [label]})
            };
            Answer::new(200, answer.to_string())
        });
        let variable = "AWS_ENDPOINT_URL_REKOGNITION";
        let function = "handle-object-created";
        let ran = self.with_variable(function, variable, &rekognition, &["image"]);
        ran.failed(&["image-labels", "detect-labels"], failed);
        let ran = self.with_variable("add-video-file", variable, &rekognition, &["video"]);
        ran.failed(&["video-labels"], failed);
    }

    fn a_function_of_another_bucket(&self, failed: &mut BTreeSet<String>) {
        let ran = self.with_variable("detect-labels", "MEDIA_BUCKET_NAME", "nowhere", &["image"]);
        ran.failed(&["detect-labels", "detect-labels-refusal"], failed);
    }

    fn a_users_api_of_another_table(&self, failed: &mut BTreeSet<String>) {
        let flows = ["users", "users-errors"];
        let ran = self.with_variable("users-api", "USERS_TABLE_NAME", "nowhere", &flows);
        ran.failed(&["user-created", "users-errors"], failed);
    }

    fn streams_that_nobody_reads(&self, failed: &mut BTreeSet<String>) {
        let ran = self.with_mapping_off("handle-user-stream", &["users"]);
        ran.failed(&["user-object"], failed);
        let ran = self.with_mapping_off("check-email", &["users"]);
        ran.failed(&["user-flag", "users-scanned", "user-changed"], failed);
    }

    fn users_that_nobody_may_scan(&self, failed: &mut BTreeSet<String>) {
        let ran = self.without("dynamodb:Scan", "users-api", &["users"]);
        ran.failed(&["users-scanned", "users-paged"], failed);
    }

    fn users_that_nobody_may_delete(&self, failed: &mut BTreeSet<String>) {
        let ran = self.without("dynamodb:DeleteItem", "users-api", &["users"]);
        ran.failed(&["user-deleted"], failed);
    }

    fn objects_that_nobody_may_delete(&self, failed: &mut BTreeSet<String>) {
        let ran = self.without("s3:DeleteObject", "handle-user-stream", &["users"]);
        ran.failed(&["user-object-removed", "failure-queues"], failed);
        let next = ran.outcomes()["failure-queues"]["next"].clone();
        let redrive = "cargo xtask redrive handle-user-stream --stage local --dry-run";
        assert_eq!(next, redrive);
        self.stage.xtask_ok(&["redrive", "handle-user-stream"]);
    }

    fn roles_that_may_too_much(&self, failed: &mut BTreeSet<String>) {
        let functions = [
            "add-video-file",
            "check-email",
            "detect-labels",
            "handle-object-created",
            "handle-object-removed",
            "handle-user-stream",
            "label-waiting",
            "make-thumbnail",
            "media-api",
            "users-api",
        ];
        let ran = self.with_policy(&functions, &statement("Allow", "*"), &["roles"]);
        let expected = functions.map(|function| format!("role-of-{function}"));
        ran.failed(&expected.each_ref().map(String::as_str), failed);
        // IAM's simulation that sees no policy of the role does not pass for a right one.
        let ran = self.with_policy(&["media-api"], &statement("Deny", "*"), &["roles"]);
        ran.failed(&["role-of-media-api"], failed);
    }

    /// What it could not delete is named, with commands that do.
    fn a_caller_who_may_not_delete(&self, failed: &mut BTreeSet<String>) {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
        ]});
        let key = self.key_of("keeper", &policy);
        let arguments = ["verify", "--json", "--timeout", SHORT_TIMEOUT, "refusal"];
        let ran = Ran::of(self.stage.xtask_as(&key, &arguments).output().unwrap());
        ran.failed(&["clean-up"], failed);
        let left = ran.report["left"].as_array().unwrap();
        let commands: Vec<&str> = left
            .iter()
            .map(|left| left["command"].as_str().unwrap())
            .collect();
        assert_eq!(commands.len(), 1, "{commands:?}");
        let why = left[0]["why"].as_str().unwrap();
        assert!(why.contains("AccessDenied"), "{why}");
        self.delete_by(commands[0]);
    }

    /// Somebody's event that a function gives up while the checks run; and one from before.
    fn an_event_that_was_given_up(&self, failed: &mut BTreeSet<String>) {
        let info: Value = serde_json::from_str(&self.stage.xtask_ok(&["info", "--json"])).unwrap();
        let queues = info["failure_queues"].as_array().unwrap();
        let queue = queues
            .iter()
            .find(|queue| queue["function"] == "add-video-file");
        let url = queue.unwrap()["url"].as_str().unwrap();
        let send = || {
            let send = self.sqs.send_message().queue_url(url).message_body("{}");
            self.does(send.send());
        };
        send();
        let ran = self.run(&["users-errors"], TIMEOUT);
        let seen = ran.passed()["failure-queues"]["seen"].clone();
        assert_eq!(
            seen,
            "10 queues: no new event, 1 event from before this run"
        );

        let mut command = self.stage.xtask(&["verify", "--json", "users"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        eventually("the run's users", || {
            let keys = self.stage.keys("USER_BUCKET_NAME");
            (keys.len() > 1).then_some(())
        });
        send();
        let ran = Ran::of(child.wait_with_output().unwrap());
        ran.failed(&["failure-queues"], failed);
        self.does(self.sqs.purge_queue().queue_url(url).send());
    }
}

fn statement(effect: &str, action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": action, "Resource": "*"}})
}
