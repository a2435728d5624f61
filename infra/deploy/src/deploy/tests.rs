use super::*;
use crate::error::Result;
use crate::testing::*;

/// An AWS with code A, where an execution deploys code B.
fn updated_by_execution() -> Aws {
    willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .after(
            "ExecuteChangeSet",
            "DescribeStacks",
            [deployed_b("UPDATE_COMPLETE")],
        )
        .after("ExecuteChangeSet", "ExecuteChangeSet", [already_executed()])
        .after(
            "ExecuteChangeSet",
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_B.1, "Successful")],
        )
}

/// An AWS without the stack, which behaves as one that creates it.
fn creatable() -> Aws {
    willing()
        .on("DescribeStacks", [no_stack()])
        .after(
            "CreateChangeSet",
            "DescribeStacks",
            [stack("REVIEW_IN_PROGRESS")],
        )
        .after(
            "ExecuteChangeSet",
            "DescribeStacks",
            [deployed_b("CREATE_COMPLETE")],
        )
        .after("ExecuteChangeSet", "ExecuteChangeSet", [already_executed()])
        .after(
            "ExecuteChangeSet",
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_B.1, "Successful")],
        )
}

fn deployed_b(status: &str) -> Answer {
    stack_of(
        status,
        &[("ArtifactBucket", "artifacts"), ("ApiCode", CODE_B.0)],
        &[("app", "app"), ("stage", "dev")],
        &format!("<ChangeSetId>{}</ChangeSetId>", change_set_id()),
    )
}

fn already_executed() -> Answer {
    query_error(
        "InvalidChangeSetStatus",
        "ChangeSet [xtask-1] cannot be executed in its current status of [EXECUTE_COMPLETE]",
    )
}

async fn deployed_to(aws: &Aws) -> Result<Deployment> {
    let approve = async |_: &ChangeSet| Ok(());
    deploy(&aws.target(), &spec(CODE_B.0), approve, NOBODY, &|_| {}).await
}

fn is_deployed(deployment: &Result<Deployment>) -> bool {
    matches!(
        deployment,
        Ok(Deployment::Unchanged { .. } | Deployment::Executed(Outcome::Deployed(_)))
    )
}

#[tokio::test]
async fn a_record_is_kept_before_the_change_set_is_executed() {
    let aws = updated_by_execution();
    assert!(is_deployed(&deployed_to(&aws).await));
    assert_eq!(
        aws.effects(),
        [
            "CreateChangeSet",
            "PUT /artifacts/app/dev/deployments/2026-11-20T08:30:00.250000000Z.json?x-id=PutObject",
            "ExecuteChangeSet"
        ]
    );
    let record = &aws.calls("PUT /artifacts/app/dev/deployments/")[0].body;
    assert!(record.contains(CODE_A.0), "{record}");
}

#[tokio::test]
async fn a_change_set_that_is_not_approved_is_removed() {
    let aws = updated_by_execution();
    let refused = async |_: &ChangeSet| Err(Error::new("no").of_kind(ErrorKind::NotApproved));
    let error = deploy(&aws.target(), &spec(CODE_B.0), refused, NOBODY, &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotApproved);
    assert_eq!(aws.effects(), ["CreateChangeSet", "DeleteChangeSet"]);
}

#[tokio::test]
async fn when_someone_else_deploys_the_same_first_there_is_nothing_left_to_do() {
    let aws = willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .on("ExecuteChangeSet", [already_executed()])
        .after(
            "PUT /artifacts/app/dev/deployments/",
            "DescribeStacks",
            [
                stack("UPDATE_IN_PROGRESS"),
                stack("UPDATE_IN_PROGRESS"),
                stack_with(
                    "UPDATE_COMPLETE",
                    &[("ArtifactBucket", "artifacts"), ("ApiCode", CODE_B.0)],
                ),
            ],
        )
        .on(
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_B.1, "Successful")],
        );
    let deployment = deployed_to(&aws).await;
    assert!(
        matches!(deployment, Ok(Deployment::Unchanged { .. })),
        "{deployment:?}"
    );
}

#[tokio::test]
async fn when_someone_else_deploys_something_else_first_it_is_approved_again() {
    let obsolete = query_error(
        "InvalidChangeSetStatus",
        "ChangeSet [xtask-1] cannot be executed in its current execution status of [OBSOLETE]",
    );
    let aws = willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .on(
            "ExecuteChangeSet",
            [obsolete, query("ExecuteChangeSet", "")],
        );
    let approvals = std::sync::Mutex::new(0);
    let approve = async |_: &ChangeSet| {
        *approvals.lock().unwrap() += 1;
        Ok::<(), Error>(())
    };
    let deployment = deploy(&aws.target(), &spec(CODE_B.0), approve, NOBODY, &|_| {}).await;
    assert!(is_deployed(&deployment), "{deployment:?}");
    assert_eq!(*approvals.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_stack_that_others_keep_changing_is_given_up_with_a_hint() {
    let aws = willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .on("ExecuteChangeSet", [already_executed()]);
    let error = deployed_to(&aws).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.next_step().unwrap().contains("someone else"));
    assert_eq!(aws.calls("ExecuteChangeSet").len(), PLANS_MAX);
}

#[tokio::test]
async fn a_function_that_runs_other_code_than_was_deployed_gets_it_back() {
    // Code B was put in place by hand; code A is deployed again, and CloudFormation sees no
    // difference.
    let aws = willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .on(
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_B.1, "Successful")],
        )
        .on(
            "PUT /2015-03-31/functions/app-dev-api/code",
            [function("app-dev-api", CODE_A.1, "InProgress")],
        );
    let user = User::default();
    let approve = async |_: &ChangeSet| Ok::<(), Error>(());
    let deployment = deploy(
        &aws.target(),
        &spec(CODE_A.0),
        approve,
        NOBODY,
        &user.report(),
    )
    .await;
    let Ok(Deployment::Unchanged { repaired, .. }) = deployment else {
        panic!("{deployment:?}");
    };
    assert_eq!(repaired, ["app-dev-api"]);
    assert!(user.heard().contains(&Progress::CodeUpdated {
        function: "app-dev-api".to_owned()
    }));
    let update = &aws.calls("PUT /2015-03-31/functions/")[0].body;
    assert!(update.contains(CODE_A.0), "{update}");
}

#[tokio::test]
async fn a_fifth_of_all_calls_failing_changes_nothing_but_the_time() {
    let mut faults = 0;
    for seed in 1..=40 {
        for aws in [
            updated_by_execution().faulty(seed),
            creatable().faulty(seed),
        ] {
            let deployment = deployed_to(&aws).await;
            assert!(is_deployed(&deployment), "seed {seed}: {deployment:?}");
            faults += aws.faults();
        }
    }
    assert!(faults > 80, "{faults}");
}

#[tokio::test]
async fn killed_at_any_request_the_next_deployment_ends_right() {
    for make in [updated_by_execution, creatable] {
        let mut kills = 0;
        loop {
            let aws = make();
            aws.kill_after(kills + 1);
            let first = deployed_to(&aws).await;
            if !aws.start_again() {
                assert!(is_deployed(&first), "{first:?}");
                break;
            }
            kills += 1;
            assert!(first.is_err(), "killed after {kills}: {first:?}");
            let second = deployed_to(&aws).await;
            assert!(is_deployed(&second), "killed after {kills}: {second:?}");
            assert_eq!(
                aws.calls("ExecuteChangeSet").len(),
                1,
                "killed after {kills}"
            );
        }
        assert!(kills > 8, "{kills}");
    }
}

#[tokio::test]
async fn code_that_was_swapped_in_is_told_of_before_it_is_deployed_over() {
    let aws = updated_by_execution().on(
        "GET /2015-03-31/functions/",
        [
            function("app-dev-api", "swapped in by hand", "Successful"),
            function("app-dev-api", CODE_B.1, "Successful"),
        ],
    );
    let user = User::default();
    let approve = async |_: &ChangeSet| {
        assert!(user.heard().contains(&Progress::CodeDrifted {
            function: "app-dev-api".to_owned()
        }));
        Ok::<(), Error>(())
    };
    let deployment = deploy(
        &aws.target(),
        &spec(CODE_B.0),
        approve,
        NOBODY,
        &user.report(),
    )
    .await;
    assert!(is_deployed(&deployment), "{deployment:?}");
}

#[tokio::test]
async fn what_someone_else_deployed_right_after_is_not_taken_back() {
    // Code B is deployed here; before or after its functions are looked at, code A is
    // deployed there.
    let (ours, theirs) = (deployed_b("UPDATE_COMPLETE"), deployed("UPDATE_COMPLETE"));
    let changing = deployed("UPDATE_IN_PROGRESS");
    for then in [
        vec![ours.clone(), theirs.clone()],
        vec![ours.clone(), ours.clone(), theirs],
        vec![ours.clone(), ours, changing],
    ] {
        let aws = willing()
            .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
            .after("ExecuteChangeSet", "DescribeStacks", then);
        let deployment = deployed_to(&aws).await;
        assert!(is_deployed(&deployment), "{deployment:?}");
        assert_eq!(aws.calls("PUT /2015-03-31/functions/").len(), 0);
    }
}

#[tokio::test]
async fn a_deployment_that_is_not_allowed_names_what_is_missing() {
    let aws = updated_by_execution().on(
        "ExecuteChangeSet",
        [query_error(
            "AccessDenied",
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: cloudformation:ExecuteChangeSet on resource: arn:aws:cloudformation:eu-west-1:123456789012:stack/app-dev/* because no identity-based policy allows the cloudformation:ExecuteChangeSet action",
        )],
    );
    let error = deployed_to(&aws).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(
        error
            .next_step()
            .unwrap()
            .starts_with("the caller needs cloudformation:ExecuteChangeSet on ")
    );
}
