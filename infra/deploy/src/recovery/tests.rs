use crate::error::{Error, ErrorKind};
use crate::plan::{self, Plan};
use crate::progress::{Progress, Question};
use crate::stack::StackSpec;
use crate::testing::*;

const BUCKET: (&str, &str, &str, &str, &str) = (
    "ReportsBucket",
    "app-dev-reports",
    "AWS::S3::Bucket",
    "CREATE_COMPLETE",
    "",
);

/// Plans for new code; returns the plan, or why there is none.
async fn plan(aws: &Aws, user: &User) -> Result<Plan, Error> {
    plan_for(aws, user, &spec(CODE_B.0)).await
}

async fn plan_for(aws: &Aws, user: &User, spec: &StackSpec<'_>) -> Result<Plan, Error> {
    plan::plan(&aws.target(), spec, &user.decide(), &user.report()).await
}

/// What was done, and that it ended in a change set of this type.
fn assert_planned(aws: &Aws, plan: &Result<Plan, Error>, effects: &[&str], change_set_type: &str) {
    let Ok(Plan::Changes(_)) = plan else {
        panic!("{plan:?}");
    };
    let done = aws.effects();
    let (last, before) = done.split_last().unwrap();
    assert_eq!(last, "CreateChangeSet");
    assert_eq!(before, effects);
    assert_eq!(
        aws.calls("CreateChangeSet")[0].parameter("ChangeSetType"),
        Some(change_set_type)
    );
}

#[tokio::test]
async fn no_stack_is_created() {
    let (aws, user) = (
        willing().on("DescribeStacks", [no_stack()]),
        User::default(),
    );
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &[], "CREATE");
}

#[tokio::test]
async fn review_in_progress_is_created_and_dead_change_sets_removed() {
    let aws = willing()
        .on("DescribeStacks", [stack("REVIEW_IN_PROGRESS")])
        .on(
            "ListChangeSets",
            [change_sets(&[
                (
                    "xtask-old",
                    "CREATE_COMPLETE",
                    "AVAILABLE",
                    "2026-01-01T00:00:00Z",
                ),
                (
                    "xtask-failed",
                    "FAILED",
                    "UNAVAILABLE",
                    "2999-01-01T00:00:00Z",
                ),
                (
                    "xtask-running",
                    "CREATE_COMPLETE",
                    "AVAILABLE",
                    "2999-01-01T00:00:00Z",
                ),
                (
                    "someone-elses",
                    "CREATE_COMPLETE",
                    "AVAILABLE",
                    "2026-01-01T00:00:00Z",
                ),
            ])],
        );
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(
        &aws,
        &planned,
        &["DeleteChangeSet", "DeleteChangeSet"],
        "CREATE",
    );
    let removed: Vec<Progress> = user.heard().into_iter().take(2).collect();
    assert_eq!(
        removed,
        ["xtask-old", "xtask-failed"].map(|name| Progress::RemovingChangeSet {
            name: name.to_owned()
        })
    );
}

#[tokio::test]
async fn rollback_complete_is_deleted_and_created_anew() {
    let aws = willing().on("DescribeStacks", [stack("ROLLBACK_COMPLETE"), no_stack()]);
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["DeleteStack"], "CREATE");
    assert_eq!(user.asked(), []);
}

#[tokio::test]
async fn create_failed_is_deleted_and_created_anew() {
    let aws = willing().on(
        "DescribeStacks",
        [
            stack("CREATE_FAILED"),
            stack("DELETE_IN_PROGRESS"),
            no_stack(),
        ],
    );
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["DeleteStack"], "CREATE");
}

#[tokio::test]
async fn rollback_failed_is_emptied_and_deleted_and_created_anew() {
    let aws = willing()
        .on("DescribeStacks", [stack("ROLLBACK_FAILED"), no_stack()])
        .on("ListStackResources", [resources(&[BUCKET])])
        .on("PUT /app-dev-reports/?notification", [empty(200)])
        .on("GET /app-dev-reports/?versions", [one_version()])
        .on("POST /app-dev-reports/?delete", [all_deleted()]);
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(
        &aws,
        &planned,
        &[
            "PUT /app-dev-reports/?notification",
            "POST /app-dev-reports/?delete",
            "DeleteStack",
        ],
        "CREATE",
    );
    assert_eq!(user.asked(), []);
}

#[tokio::test]
async fn delete_failed_is_deleted_again_when_nothing_is_lost_by_it() {
    let aws = willing().on("DescribeStacks", [stack("DELETE_FAILED"), no_stack()]);
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["DeleteStack"], "CREATE");
    assert_eq!(user.asked(), []);
}

fn delete_failed_with_objects() -> Aws {
    willing()
        .on("DescribeStacks", [stack("DELETE_FAILED"), no_stack()])
        .on("ListStackResources", [resources(&[BUCKET])])
        .on("PUT /app-dev-reports/?notification", [empty(200)])
        .on("GET /app-dev-reports/?versions", [one_version()])
        .on("POST /app-dev-reports/?delete", [all_deleted()])
}

#[tokio::test]
async fn delete_failed_with_objects_is_finished_after_a_yes() {
    let (aws, user) = (delete_failed_with_objects(), User::who_says(true));
    let planned = plan(&aws, &user).await;
    assert_planned(
        &aws,
        &planned,
        &[
            "PUT /app-dev-reports/?notification",
            "POST /app-dev-reports/?delete",
            "DeleteStack",
        ],
        "CREATE",
    );
    assert_eq!(
        user.asked(),
        [Question::FinishDeletion {
            stack: STACK.to_owned(),
            buckets: vec!["app-dev-reports".to_owned()],
        }]
    );
}

#[tokio::test]
async fn delete_failed_with_objects_is_left_alone_without_a_yes() {
    let (aws, user) = (delete_failed_with_objects(), User::who_says(false));
    let error = plan(&aws, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotApproved);
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn delete_failed_where_data_is_retained_empties_nothing() {
    let (aws, user) = (delete_failed_with_objects(), User::who_says(true));
    let spec = StackSpec {
        retains_data: true,
        ..spec(CODE_B.0)
    };
    let planned = plan_for(&aws, &user, &spec).await;
    assert_planned(&aws, &planned, &["DeleteStack"], "CREATE");
}

fn delete_failed_again() -> Aws {
    willing()
        .on(
            "DescribeStacks",
            [
                stack("DELETE_FAILED"),
                stack("DELETE_IN_PROGRESS"),
                stack("DELETE_FAILED"),
                no_stack(),
            ],
        )
        .on(
            "ListStackResources",
            [
                resources(&[]),
                resources(&[
                    (
                        "JobRole",
                        "app-dev-job",
                        "AWS::IAM::Role",
                        "DELETE_FAILED",
                        "Cannot delete entity, must detach all policies first.",
                    ),
                    (
                        "Api",
                        "a1b2c3",
                        "AWS::ApiGatewayV2::Api",
                        "DELETE_COMPLETE",
                        "",
                    ),
                ]),
            ],
        )
}

#[tokio::test]
async fn delete_failed_again_goes_on_without_what_cannot_be_deleted_after_a_yes() {
    let (aws, user) = (delete_failed_again(), User::who_says(true));
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["DeleteStack", "DeleteStack"], "CREATE");
    let modes: Vec<Option<String>> = aws
        .calls("DeleteStack")
        .iter()
        .map(|call| call.parameter("DeletionMode").map(str::to_owned))
        .collect();
    assert_eq!(modes, [None, Some("FORCE_DELETE_STACK".to_owned())]);
    assert!(
        user.asked()[0]
            .to_string()
            .contains("JobRole (AWS::IAM::Role): Cannot delete entity")
    );
}

#[tokio::test]
async fn delete_failed_again_names_the_resources_without_a_yes() {
    let (aws, user) = (delete_failed_again(), User::who_says(false));
    let error = plan(&aws, &user).await.unwrap_err();
    assert_eq!(
        error.why(),
        Some("JobRole (AWS::IAM::Role): Cannot delete entity, must detach all policies first")
    );
    assert_eq!(aws.effects(), ["DeleteStack"]);
}

#[tokio::test]
async fn a_failed_stack_of_someone_else_is_not_deleted() {
    for tags in [&[("app", "other"), ("stage", "dev")][..], &[]] {
        let aws = willing().on(
            "DescribeStacks",
            [stack_of("ROLLBACK_COMPLETE", &[], tags, "")],
        );
        let user = User::who_says(true);
        let error = plan(&aws, &user).await.unwrap_err();
        assert!(error.why().unwrap().contains("tags"), "{error}");
        assert_eq!(aws.effects(), [""; 0]);
    }
}

#[tokio::test]
async fn update_failed_is_rolled_back_and_updated() {
    let aws = willing()
        .on(
            "DescribeStacks",
            [
                stack("UPDATE_FAILED"),
                stack("UPDATE_ROLLBACK_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_COMPLETE"),
            ],
        )
        .on("RollbackStack", [query("RollbackStack", "")]);
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["RollbackStack"], "UPDATE");
}

#[tokio::test]
async fn update_rollback_failed_goes_on_rolling_back_and_is_updated() {
    let aws = willing()
        .on(
            "DescribeStacks",
            [
                stack("UPDATE_ROLLBACK_FAILED"),
                stack("UPDATE_ROLLBACK_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_COMPLETE"),
            ],
        )
        .on(
            "ContinueUpdateRollback",
            [query("ContinueUpdateRollback", "")],
        );
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["ContinueUpdateRollback"], "UPDATE");
    assert_eq!(user.asked(), []);
}

fn update_rollback_failed_again() -> Aws {
    willing()
        .on(
            "DescribeStacks",
            [
                stack("UPDATE_ROLLBACK_FAILED"),
                stack("UPDATE_ROLLBACK_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_FAILED"),
                stack("UPDATE_ROLLBACK_IN_PROGRESS"),
                stack("UPDATE_ROLLBACK_COMPLETE"),
            ],
        )
        .on(
            "ContinueUpdateRollback",
            [query("ContinueUpdateRollback", "")],
        )
        .on(
            "ListStackResources",
            [resources(&[
                (
                    "OrdersTable",
                    "app-dev-reports",
                    "AWS::DynamoDB::Table",
                    "UPDATE_FAILED",
                    "Table: app-dev-reports not found",
                ),
                (
                    "ApiFunction",
                    "app-dev-api",
                    "AWS::Lambda::Function",
                    "UPDATE_FAILED",
                    "Resource update cancelled",
                ),
            ])],
        )
}

#[tokio::test]
async fn update_rollback_failed_again_goes_on_without_the_resources_after_a_yes() {
    let (aws, user) = (update_rollback_failed_again(), User::who_says(true));
    let planned = plan(&aws, &user).await;
    assert_planned(
        &aws,
        &planned,
        &["ContinueUpdateRollback", "ContinueUpdateRollback"],
        "UPDATE",
    );
    let calls = aws.calls("ContinueUpdateRollback");
    assert_eq!(calls[0].parameter("ResourcesToSkip.member.1"), None);
    assert_eq!(
        calls[1].parameter("ResourcesToSkip.member.1"),
        Some("OrdersTable")
    );
    assert_eq!(calls[1].parameter("ResourcesToSkip.member.2"), None);
}

#[tokio::test]
async fn update_rollback_failed_again_names_the_resources_without_a_yes() {
    let (aws, user) = (update_rollback_failed_again(), User::who_says(false));
    let error = plan(&aws, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotApproved);
    assert_eq!(
        error.why(),
        Some(
            "CloudFormation could not roll back the last update: OrdersTable (AWS::DynamoDB::Table): Table: app-dev-reports not found"
        )
    );
    assert_eq!(aws.effects(), ["ContinueUpdateRollback"]);
}

#[tokio::test]
async fn an_operation_of_someone_else_is_waited_for_and_shown() {
    for (busy, settled, change_set_type) in [
        ("CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE"),
        ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE"),
        (
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "UPDATE_COMPLETE",
            "UPDATE",
        ),
        (
            "UPDATE_ROLLBACK_IN_PROGRESS",
            "UPDATE_ROLLBACK_COMPLETE",
            "UPDATE",
        ),
        (
            "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "UPDATE_ROLLBACK_COMPLETE",
            "UPDATE",
        ),
        ("IMPORT_IN_PROGRESS", "IMPORT_COMPLETE", "UPDATE"),
    ] {
        let before = (
            "1",
            "ReportsBucket",
            "AWS::S3::Bucket",
            "UPDATE_COMPLETE",
            "",
        );
        let after = (
            "2",
            "ApiFunction",
            "AWS::Lambda::Function",
            "UPDATE_COMPLETE",
            "",
        );
        let aws = willing()
            .on("DescribeStacks", [stack(busy), stack(busy), stack(settled)])
            .on(
                "DescribeStackEvents",
                [
                    events(&[before]),
                    events(&[before]),
                    events(&[after, before]),
                ],
            );
        let user = User::default();
        let planned = plan(&aws, &user).await;
        assert_planned(&aws, &planned, &[], change_set_type);
        let heard = user.heard();
        assert_eq!(
            heard[0],
            Progress::Waiting {
                stack: STACK.to_owned(),
                status: busy.to_owned()
            }
        );
        let Progress::Resource(event) = &heard[1] else {
            panic!("{heard:?}");
        };
        assert_eq!(event.logical_id, "ApiFunction");
    }
}

#[tokio::test]
async fn a_deletion_by_someone_else_is_waited_for() {
    let aws = willing().on("DescribeStacks", [stack("DELETE_IN_PROGRESS"), no_stack()]);
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &[], "CREATE");
}

#[tokio::test]
async fn a_creation_by_someone_else_that_fails_is_removed() {
    let aws = willing().on(
        "DescribeStacks",
        [
            stack("ROLLBACK_IN_PROGRESS"),
            stack("ROLLBACK_COMPLETE"),
            stack("ROLLBACK_COMPLETE"),
            no_stack(),
        ],
    );
    let user = User::default();
    let planned = plan(&aws, &user).await;
    assert_planned(&aws, &planned, &["DeleteStack"], "CREATE");
}

#[tokio::test]
async fn complete_states_are_updated() {
    for state in [
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "IMPORT_ROLLBACK_FAILED",
    ] {
        let aws = willing().on("DescribeStacks", [deployed(state)]);
        let user = User::default();
        let planned = plan(&aws, &user).await;
        assert_planned(&aws, &planned, &[], "UPDATE");
    }
}

#[tokio::test]
async fn a_stack_of_someone_else_is_not_updated() {
    let aws = willing().on(
        "DescribeStacks",
        [stack_of(
            "UPDATE_COMPLETE",
            &[],
            &[("app", "other"), ("stage", "dev")],
            "",
        )],
    );
    let error = plan(&aws, &User::who_says(true)).await.unwrap_err();
    assert_eq!(error.what(), "stack app-dev is not this stage's");
    assert_eq!(aws.effects(), [""; 0]);
}
