use super::*;
use crate::testing::*;

#[tokio::test]
async fn a_change_set_that_is_out_of_date_is_told_as_such() {
    for refusal in [
        query_error(
            "InvalidChangeSetStatus",
            "ChangeSet [xtask-1] cannot be executed in its current execution status of [OBSOLETE]",
        ),
        query_error("ChangeSetNotFound", "ChangeSet [xtask-1] does not exist"),
        busy(),
    ] {
        let aws = updatable().on("ExecuteChangeSet", [refusal]);
        let changes = planned(&aws).await;
        let error = execute(&aws.target(), &changes, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
    }
}

#[tokio::test]
async fn an_execution_whose_answer_was_lost_is_followed() {
    let ours = format!("<ChangeSetId>{}</ChangeSetId>", change_set_id());
    let aws = updatable().on(
        "ExecuteChangeSet",
        [query_error(
            "InvalidChangeSetStatus",
            "ChangeSet [xtask-1] is in EXECUTE_IN_PROGRESS status",
        )],
    );
    let changes = planned(&aws).await;
    let aws = aws.on(
        "DescribeStacks",
        [
            stack_of("UPDATE_IN_PROGRESS", &[], &[], &ours),
            stack_of("UPDATE_IN_PROGRESS", &[], &[], &ours),
            stack_of("UPDATE_COMPLETE", &[], &[], &ours),
        ],
    );
    let outcome = execute(&aws.target(), &changes, &|_| {}).await;
    assert!(matches!(outcome, Ok(Outcome::Deployed(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_execution_that_only_the_change_set_tells_of_is_followed() {
    let aws = updatable().on(
        "ExecuteChangeSet",
        [query_error(
            "InvalidChangeSetStatus",
            "ChangeSet [xtask-1] is in EXECUTE_COMPLETE status",
        )],
    );
    let changes = planned(&aws).await;
    let aws = aws.on("DescribeStacks", [stack("UPDATE_COMPLETE")]).on(
        "DescribeChangeSet",
        [change_set("CREATE_COMPLETE", "EXECUTE_COMPLETE", "")],
    );
    let outcome = execute(&aws.target(), &changes, &|_| {}).await;
    assert!(matches!(outcome, Ok(Outcome::Deployed(_))), "{outcome:?}");
}

async fn executed(end: &str, after: Answer) -> (Aws, Outcome) {
    let aws = updatable()
        .on("DescribeStackEvents", [events(&[]), after])
        .after("ExecuteChangeSet", "DescribeStacks", [stack(end)]);
    let changes = planned(&aws).await;
    let outcome = execute(&aws.target(), &changes, &|_| {}).await.unwrap();
    (aws, outcome)
}

#[tokio::test]
async fn a_failed_deployment_names_the_first_real_cause_and_a_hint() {
    let (aws, outcome) = executed(
        "UPDATE_ROLLBACK_COMPLETE",
        events(&[
            (
                "4",
                STACK,
                "AWS::CloudFormation::Stack",
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [Queue, ReportsBucket].",
            ),
            (
                "3",
                "Topic",
                "AWS::SNS::Topic",
                "CREATE_FAILED",
                "Topic is at its limit",
            ),
            (
                "2",
                "ReportsBucket",
                "AWS::S3::Bucket",
                "CREATE_FAILED",
                "reports already exists",
            ),
            (
                "1",
                "Queue",
                "AWS::SQS::Queue",
                "CREATE_FAILED",
                "Resource creation cancelled",
            ),
        ]),
    )
    .await;
    let Outcome::RolledBack(diagnosis) = outcome else {
        panic!("{outcome:?}");
    };
    let error = diagnosis.error(STACK);
    assert_eq!(
        error.to_string(),
        "stack app-dev is in state UPDATE_ROLLBACK_COMPLETE: CREATE_FAILED ReportsBucket (AWS::S3::Bucket): reports already exists"
    );
    assert!(error.next_step().unwrap().contains("outside of this stack"));
    // A table that is protected from deletion would make the rollback fail.
    let call = &aws.calls("ExecuteChangeSet")[0];
    assert_eq!(call.parameter("RetainExceptOnCreate"), None);
}

#[tokio::test]
async fn a_deployment_that_validation_stops_tells_what_it_found() {
    let aws = updatable()
        .on(
            "DescribeStackEvents",
            [
                events(&[]),
                events(&[(
                    "1",
                    STACK,
                    "AWS::CloudFormation::Stack",
                    "UPDATE_ROLLBACK_IN_PROGRESS",
                    "Validation failed with 1 error(s). Call DescribeEvents to retrieve the details.",
                )]),
            ],
        )
        .after(
            "ExecuteChangeSet",
            "DescribeStacks",
            [stack("UPDATE_ROLLBACK_COMPLETE")],
        )
        .after(
            "ExecuteChangeSet",
            "DescribeEvents",
            [query(
                "DescribeEvents",
                "<OperationEvents>
  <member><EventType>VALIDATION_ERROR</EventType><LogicalResourceId>Orders</LogicalResourceId>
    <ResourceType>AWS::DynamoDB::Table</ResourceType><ValidationFailureMode>FAIL</ValidationFailureMode>
    <ValidationName>PROPERTY_VALIDATION</ValidationName>
    <ValidationStatusReason>Unsupported property [Keys]</ValidationStatusReason></member>
  <member><EventType>VALIDATION_ERROR</EventType><ClientRequestToken>an-older-operation</ClientRequestToken>
    <LogicalResourceId>Old</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType>
    <ValidationStatusReason>long mended</ValidationStatusReason></member>
</OperationEvents>",
            )],
        );
    let changes = planned(&aws).await;
    let outcome = execute(&aws.target(), &changes, &|_| {}).await.unwrap();
    let Outcome::RolledBack(diagnosis) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        diagnosis.error(STACK).why(),
        Some("Orders (AWS::DynamoDB::Table): Unsupported property [Keys]")
    );
    let asked = aws.calls("DescribeEvents");
    assert_eq!(asked.last().unwrap().parameter("StackName"), Some(STACK_ID));
}

#[tokio::test]
async fn events_of_other_operations_are_not_taken_for_ours() {
    let (_, outcome) = executed(
        "UPDATE_ROLLBACK_FAILED",
        query(
            "DescribeStackEvents",
            "<StackEvents><member><EventId>1</EventId><LogicalResourceId>Queue</LogicalResourceId>
  <ResourceType>AWS::SQS::Queue</ResourceType><ResourceStatus>UPDATE_FAILED</ResourceStatus>
  <ClientRequestToken>Console-ExecuteChangeSet-1</ClientRequestToken></member></StackEvents>",
        ),
    )
    .await;
    let Outcome::RolledBack(diagnosis) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(diagnosis.cause, None);
}

#[tokio::test]
async fn a_stack_that_vanishes_is_made_anew_only_if_it_was_to_be_made() {
    for (creates_stack, kind) in [(true, ErrorKind::Stale), (false, ErrorKind::Other)] {
        let aws = willing().on("DescribeStacks", [stack("UPDATE_IN_PROGRESS"), no_stack()]);
        let changes = ChangeSet {
            creates_stack,
            ..new_stack_change_set()
        };
        let error = execute(&aws.target(), &changes, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}
