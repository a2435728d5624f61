//! The deployer's policies are enough to deploy with, and none of their actions is too much: where
//! one that the emulator checks is taken away, a command fails, and names it.
//!
//! The emulator does not check what CloudFormation itself does for its caller. So only the
//! actions that the tool calls for are tried.
//!
//! Run with `--nocapture`, it prints what is said without each.
use std::collections::BTreeSet;

use acceptance::small_stack::{ACCOUNT, Ground, REGION, Run, STAGE};
use manifest::{App, Stages};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

/// What the tool asks for itself, and without which a command fails.
const ASKED_FOR: &[&str] = &[
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:ListChangeSets",
    "cloudformation:ListStackResources",
    "iam:GetRole",
    "lambda:GetFunctionConfiguration",
    "lambda:UpdateFunctionCode",
    "logs:DescribeLogGroups",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:PutBucketNotification",
    "s3:PutObject",
    "sqs:GetQueueAttributes",
];

/// What is done with the policies, from no bootstrap stack to none of the app's.
const LIFE: &[&[&str]] = &[
    &["deploy", "1"],
    &["deploy", "2"],
    &["rollback"],
    &["hotswap", "2"],
    &["deploy", "1"],
    &["delete"],
];

#[test]
fn the_deployers_policies_are_enough_and_each_of_their_actions_is_needed() {
    let ground = Ground::start();
    let app = resolved(&ground);
    let whole: Vec<Value> = serde_json::from_str(&app.deployer_policies().array()).unwrap();
    let deployer = Deployer::new(&ground, app.name());
    deployer.may(&whole);
    for verb in LIFE {
        deployer.run(verb).succeeded();
    }

    let mut unmissed = Vec::new();
    for action in ASKED_FOR {
        deployer.may(&without(&whole, action));
        let failed = LIFE
            .iter()
            .map(|verb| deployer.run(verb))
            .find(|run| run.code != Some(0));
        match failed {
            Some(run) if run.told.contains(action) => {
                let error = run.told.lines().find(|line| line.starts_with("error: "));
                println!("{action:<38} | {}", error.unwrap_or_default());
            }
            Some(run) => unmissed.push(format!("without {action}, it is not named: {run:?}")),
            None => unmissed.push(format!("without {action}, everything succeeds")),
        }
        // For the next one, whatever is left of this.
        deployer.may(&whole);
        deployer.run(&["delete"]).succeeded();
    }
    assert!(unmissed.is_empty(), "{}", unmissed.join("\n"));
}

/// An IAM user.
struct Deployer<'a> {
    ground: &'a Ground,
    app: &'a str,
    iam: aws_sdk_iam::Client,
    access_key_id: String,
    secret_access_key: String,
}

impl<'a> Deployer<'a> {
    fn new(ground: &'a Ground, app: &'a str) -> Self {
        let iam = aws_sdk_iam::Client::new(ground.config());
        let key = ground.runtime.block_on(async {
            iam.create_user()
                .user_name("deployer")
                .send()
                .await
                .unwrap();
            let key = iam.create_access_key().user_name("deployer").send().await;
            key.unwrap().access_key.unwrap()
        });
        Self {
            ground,
            app,
            iam,
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
        }
    }

    /// The user may do this, and nothing else. There are always as many policies.
    fn may(&self, policies: &[Value]) {
        for (number, policy) in policies.iter().enumerate() {
            let put = self
                .iam
                .put_user_policy()
                .user_name("deployer")
                .policy_name(format!("deployer-{number}"))
                .policy_document(policy.to_string());
            self.ground.runtime.block_on(put.send()).unwrap();
        }
    }

    fn run(&self, verb: &[&str]) -> Run {
        let Self { ground, app, .. } = self;
        let mut command = ground.command(PROGRAM, ground.endpoint(), app, verb);
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_access_key);
        Run::of(&command.output().unwrap())
    }
}

/// The example, in a stage of the name that the small stack has.
fn resolved(ground: &Ground) -> App {
    let stages = format!(
        "{STAGE}:\n  endpoint_url: {}\n  region: {REGION}\n  account: \"{ACCOUNT}\"\n",
        ground.endpoint()
    );
    let stage = Stages::parse(&stages).unwrap().get(STAGE).unwrap();
    shop::app().resolve(&stage).unwrap()
}

/// The policies less one action, wherever it is granted.
fn without(policies: &[Value], action: &str) -> Vec<Value> {
    let mut policies = policies.to_vec();
    let mut granted = BTreeSet::new();
    for policy in &mut policies {
        let statements = policy["Statement"].as_array_mut().unwrap();
        for statement in statements.iter_mut() {
            let actions = statement["Action"].as_array_mut().unwrap();
            granted.extend(
                actions
                    .iter()
                    .map(|action| action.as_str().unwrap().to_owned()),
            );
            actions.retain(|granted| granted != action);
        }
        statements.retain(|statement| statement["Action"] != serde_json::json!([]));
    }
    assert!(granted.contains(action), "{action} is not granted");
    policies
}
