//! Every state that an earlier operation can leave a stack in, and the way that the next
//! deployment finds out of it. AWS's own CloudFormation is stood for by the emulator's.
//!
//! Run with `--nocapture`, each test prints the state, and what the deployment did.
use std::collections::BTreeMap;

use acceptance::eventually;
use acceptance::small_stack::{
    BOOTSTRAP_TEMPLATE, Ground, Run, bootstrap_stack_name, stack_name, tags, template,
};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, ChangeSetType, Parameter, Tag};

const PROGRAM: &str = env!("CARGO_BIN_EXE_small-stack");

const APP: &str = "app";

/// A key under which there is no code: no function can be given it.
const NO_CODE: &str = "app/test/missing.zip";

/// A resource that cannot be created: the signal that it waits for does not come.
const UNFINISHED: &str = "
  Signal: {Type: AWS::CloudFormation::WaitConditionHandle}
  Wait:
    Type: AWS::CloudFormation::WaitCondition
    Properties: {Handle: !Ref Signal, Timeout: '1', Count: 1}";

/// A resource that cannot be deleted once somebody has put something into it.
const NETWORK: &str = "
  Network: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}";

#[test]
fn a_stack_under_review_is_created() {
    let broken = Broken::with_code_alone();
    let client = broken.client();
    let request = client
        .create_change_set()
        .stack_name(stack_name(APP))
        .change_set_name("abandoned")
        .change_set_type(ChangeSetType::Create)
        .capabilities(Capability::CapabilityIam)
        .set_tags(Some(stack_tags()))
        .set_parameters(Some(broken.parameters(1, &[])))
        .template_body(template(APP, 1));
    broken.ground.runtime.block_on(request.send()).unwrap();
    broken.is_in("REVIEW_IN_PROGRESS");
    broken.deploys(1, &["Planning"]);
}

#[test]
fn a_creation_that_was_rolled_back_is_made_anew() {
    let broken = Broken::with_code_alone();
    broken.create(UNFINISHED, false);
    broken.is_in("ROLLBACK_COMPLETE");
    broken.deploys(1, &["RemovingFailedStack", "Planning"]);
}

#[test]
fn a_creation_that_was_left_half_way_is_made_anew() {
    let broken = Broken::with_code_alone();
    broken.create(UNFINISHED, true);
    broken.is_in("CREATE_FAILED");
    broken.deploys(1, &["RemovingFailedStack", "Planning"]);
}

#[test]
fn a_creation_that_could_not_be_rolled_back_is_made_anew() {
    let broken = Broken::with_code_alone();
    broken.create(&format!("{NETWORK}{UNFINISHED}"), true);
    broken.is_in("CREATE_FAILED");
    broken.obstruct();
    broken.roll_back();
    broken.is_in("ROLLBACK_FAILED");
    broken.deploys(1, &["RemovingFailedStack", "Planning"]);
}

#[test]
fn only_a_template_in_ascii_comes_back_as_it_was_sent() {
    let broken = Broken::with_code_alone();
    broken.create("\n  # ü 🐈", false);
    broken.is_in("CREATE_COMPLETE");
    assert!(broken.template().contains("\n  # ? ?\n"));
    broken.deploys(2, &["Planning"]);
    assert_eq!(broken.template(), template(APP, 2));
    let swapped = broken.ground.run(PROGRAM, APP, &["hotswap", "1"]);
    assert_eq!(
        swapped.succeeded().outcome,
        "hotswapped app-test-reader, app-test-writer"
    );
}

#[test]
fn an_update_that_was_rolled_back_is_made_again() {
    let broken = Broken::deployed();
    broken.update(&[("WriterCode", NO_CODE)], false);
    broken.is_in("UPDATE_ROLLBACK_COMPLETE");
    broken.deploys(2, &["Planning"]);
}

#[test]
fn an_update_that_was_left_half_way_is_rolled_back_and_made_again() {
    let broken = Broken::deployed();
    broken.update(&[("WriterCode", NO_CODE)], true);
    broken.is_in("UPDATE_FAILED");
    broken.deploys(2, &["ResumingRollback", "Planning"]);
}

/// The code that the function had before is gone; publishing it mends that.
#[test]
fn a_rollback_that_failed_is_resumed_when_its_cause_has_passed() {
    let broken = Broken::unable_to_roll_back();
    broken.deploys(1, &["Uploading", "ResumingRollback"]);
}

#[test]
fn a_deletion_that_failed_is_finished_and_the_stack_made_anew() {
    let broken = Broken::with_code_alone();
    broken.create(NETWORK, false);
    let subnet = broken.obstruct();
    broken.delete();
    broken.is_in("DELETE_FAILED");
    let ground = &broken.ground;
    ground.aws_ok(&["ec2", "delete-subnet", "--subnet-id", &subnet]);
    broken.deploys(1, &["RemovingFailedStack", "Planning"]);
}

#[test]
fn a_deletion_that_failed_is_finished_by_delete_which_says_what_is_left() {
    let broken = Broken::with_code_alone();
    broken.create(NETWORK, false);
    broken.obstruct();
    let network = broken.ground.physical_id(APP, "Network");
    broken.delete();
    broken.is_in("DELETE_FAILED");
    let run = broken.ground.run(PROGRAM, APP, &["delete"]).succeeded();
    assert!(run.outcome.contains(&network), "{run:?}");
    broken.ground.assert_deleted(APP, "after DELETE_FAILED");
}

/// The other's operation is a creation that waits for a signal which does not come, and is
/// rolled back then.
#[test]
fn someone_elses_operation_is_waited_for() {
    let broken = Broken::with_code_alone();
    broken.create(UNFINISHED, false);
    eventually("the creation begins", || {
        (broken.ground.state(&stack_name(APP)).0 == "CREATE_IN_PROGRESS").then_some(())
    });
    let run = broken.deploys(1, &["Waiting", "RemovingFailedStack", "Planning"]);
    assert!(
        run.told.contains(r#"status: "CREATE_IN_PROGRESS""#),
        "{run:?}"
    );
}

#[test]
fn an_empty_change_set_is_no_change() {
    let broken = Broken::with_code_alone();
    broken.create("\n  # A comment changes the text, and nothing else.", false);
    broken.is_in("CREATE_COMPLETE");
    let run = broken.deploys(1, &["Planning"]);
    assert_eq!(run.outcome, "unchanged");
}

#[test]
fn a_vanished_artifact_bucket_is_made_anew() {
    let broken = Broken::deployed();
    let ground = &broken.ground;
    let bucket = broken.bucket();
    let s3 = ground.s3();
    ground.runtime.block_on(async {
        let listed = s3
            .list_object_versions()
            .bucket(&bucket)
            .send()
            .await
            .unwrap();
        for version in listed.versions() {
            let delete = s3
                .delete_object()
                .bucket(&bucket)
                .key(version.key().unwrap());
            let delete = delete.set_version_id(version.version_id().map(str::to_owned));
            delete.send().await.unwrap();
        }
        s3.delete_bucket().bucket(&bucket).send().await.unwrap();
    });
    broken.deploys(2, &["ReplacingBootstrap", "Uploading", "Planning"]);
}

#[test]
fn code_that_was_swapped_in_is_replaced_by_what_is_deployed() {
    let broken = Broken::deployed();
    let swapped = broken
        .ground
        .run(PROGRAM, APP, &["hotswap", "2"])
        .succeeded();
    assert_eq!(
        swapped.outcome,
        "hotswapped app-test-reader, app-test-writer"
    );
    let run = broken.deploys(1, &["CodeUpdated"]);
    assert_eq!(run.outcome, "repaired app-test-reader, app-test-writer");
}

#[test]
fn a_rollback_returns_to_what_was_before_and_a_second_undoes_it() {
    let broken = Broken::deployed();
    let ground = &broken.ground;
    let refused = ground.run(PROGRAM, APP, &["rollback"]);
    assert!(
        refused.told.contains("no earlier deployment"),
        "{refused:?}"
    );
    broken.deploys(2, &["Planning"]);
    for version in [1, 2, 1] {
        ground.run(PROGRAM, APP, &["rollback"]).succeeded();
        ground.assert_deployed(APP, version, "rollback");
    }
}

/// An app whose stack someone has left in some state.
struct Broken {
    ground: Ground,
}

impl Broken {
    /// The code of both versions is in the artifact bucket, and there is no stack.
    fn with_code_alone() -> Self {
        let ground = Ground::start();
        let request = Client::new(ground.config())
            .create_stack()
            .stack_name(bootstrap_stack_name(APP))
            .template_body(BOOTSTRAP_TEMPLATE);
        ground.runtime.block_on(request.send()).unwrap();
        ground.settled(&bootstrap_stack_name(APP));
        let broken = Self { ground };
        for version in [1, 2] {
            broken.upload("reader", version);
            broken.upload("writer", version);
        }
        broken
    }

    /// Version 1 is deployed, and the code of both is in the artifact bucket.
    fn deployed() -> Self {
        let broken = Self::with_code_alone();
        broken
            .ground
            .run(PROGRAM, APP, &["deploy", "1"])
            .succeeded();
        broken
    }

    /// An update failed after one function had its new code, and the rollback because the
    /// old is gone.
    fn unable_to_roll_back() -> Self {
        let broken = Self::deployed();
        broken.update(&[("WriterCode", NO_CODE)], true);
        broken.is_in("UPDATE_FAILED");
        let key = broken.key("reader", 1);
        let s3 = broken.ground.s3();
        let delete = s3.delete_object().bucket(broken.bucket()).key(key);
        broken.ground.runtime.block_on(delete.send()).unwrap();
        broken.roll_back();
        broken.is_in("UPDATE_ROLLBACK_FAILED");
        broken
    }

    fn client(&self) -> Client {
        Client::new(self.ground.config())
    }

    /// The template as CloudFormation returns it.
    fn template(&self) -> String {
        let request = self.client().get_template().stack_name(stack_name(APP));
        let answer = self.ground.runtime.block_on(request.send()).unwrap();
        answer.template_body.unwrap()
    }

    fn bucket(&self) -> String {
        let resources = self.ground.resources(&bootstrap_stack_name(APP));
        resources[0].physical_resource_id().unwrap().to_owned()
    }

    fn key(&self, function: &str, version: u32) -> String {
        let sha256 = acceptance::small_stack::sha256(&self.ground.zip(function, version));
        format!("app/test/{function}-{}.zip", hex::encode(sha256))
    }

    fn upload(&self, function: &str, version: u32) {
        let zip = std::fs::read(self.ground.zip(function, version)).unwrap();
        let s3 = self.ground.s3();
        let put = s3.put_object().bucket(self.bucket());
        let put = put.key(self.key(function, version)).body(zip.into());
        self.ground.runtime.block_on(put.send()).unwrap();
    }

    /// The parameters of a version, but for those that are given.
    fn parameters(&self, version: u32, others: &[(&str, &str)]) -> Vec<Parameter> {
        let mut values = BTreeMap::from([
            ("ArtifactBucket", self.bucket()),
            ("ReaderCode", self.key("reader", version)),
            ("WriterCode", self.key("writer", version)),
        ]);
        values.extend(
            others
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned())),
        );
        let parameter = |(key, value)| {
            let parameter = Parameter::builder().parameter_key(key);
            parameter.parameter_value(value).build()
        };
        values.into_iter().map(parameter).collect()
    }

    /// Creates version 1 as others would, with more resources.
    fn create(&self, resources: &str, disable_rollback: bool) {
        let template = template(APP, 1).replace("\nOutputs:", &format!("{resources}\nOutputs:"));
        let request = self
            .client()
            .create_stack()
            .stack_name(stack_name(APP))
            .capabilities(Capability::CapabilityIam)
            .disable_rollback(disable_rollback)
            .set_tags(Some(stack_tags()))
            .set_parameters(Some(self.parameters(1, &[])))
            .template_body(template);
        self.ground.runtime.block_on(request.send()).unwrap();
    }

    /// Updates to version 2 as others would, with other parameters.
    fn update(&self, others: &[(&str, &str)], disable_rollback: bool) {
        let request = self
            .client()
            .update_stack()
            .stack_name(stack_name(APP))
            .capabilities(Capability::CapabilityIam)
            .disable_rollback(disable_rollback)
            .set_tags(Some(stack_tags()))
            .set_parameters(Some(self.parameters(2, others)))
            .template_body(template(APP, 2));
        self.ground.runtime.block_on(request.send()).unwrap();
    }

    /// Takes back an operation that failed.
    fn roll_back(&self) {
        self.ground.settled(&stack_name(APP));
        let request = self.client().rollback_stack().stack_name(stack_name(APP));
        self.ground.runtime.block_on(request.send()).unwrap();
    }

    /// Puts something into the network that the stack does not know of; returns its id.
    fn obstruct(&self) -> String {
        self.ground.settled(&stack_name(APP));
        let network = self.ground.physical_id(APP, "Network");
        let subnet = ["ec2", "create-subnet", "--vpc-id", &network];
        let more = ["--cidr-block", "10.0.1.0/24", "--query", "Subnet.SubnetId"];
        let text = ["--output", "text"];
        let id = self.ground.aws_ok(&[&subnet[..], &more, &text].concat());
        id.trim().to_owned()
    }

    /// Deletes the stack as others would.
    fn delete(&self) {
        let request = self.client().delete_stack().stack_name(stack_name(APP));
        self.ground.runtime.block_on(request.send()).unwrap();
    }

    #[track_caller]
    fn is_in(&self, state: &str) {
        assert_eq!(self.ground.settled(&stack_name(APP)), state);
    }

    /// Deploys a version, which must succeed by way of these steps, in this order.
    #[track_caller]
    fn deploys(&self, version: u32, steps: &[&str]) -> Run {
        let state = self.ground.state(&stack_name(APP)).0;
        let verb = ["deploy", &version.to_string()];
        let run = self.ground.run(PROGRAM, APP, &verb).succeeded();
        let mut taken = run.told.lines();
        for step in steps {
            assert!(
                taken.any(|line| line.starts_with(step)),
                "no {step} at its place: {run:?}"
            );
        }
        self.ground.assert_deployed(APP, version, &state);
        let again = self.ground.run(PROGRAM, APP, &verb).succeeded();
        assert_eq!(again.outcome, "unchanged", "{again:?}");
        println!("{state} | {}, {}", steps.join(", "), run.outcome);
        run
    }
}

fn stack_tags() -> Vec<Tag> {
    let tags = tags(APP).into_iter();
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}
