use super::*;
use crate::stack::{RollbackAlarm, Store};
use crate::testing::*;

fn change(action: Action, resource_type: &str, replacement: Replacement) -> Change {
    Change {
        action,
        logical_id: "X".to_owned(),
        physical_id: None,
        resource_type: resource_type.to_owned(),
        replacement,
        properties: Vec::new(),
        property_changes: Vec::new(),
        drifted: false,
    }
}

#[test]
fn losing_a_table_or_bucket_endangers_state_but_losing_a_function_does_not() {
    assert!(change(Action::Remove, "AWS::DynamoDB::Table", Replacement::Never).endangers_state());
    assert!(change(Action::Modify, "AWS::S3::Bucket", Replacement::Conditional).endangers_state());
    assert!(!change(Action::Modify, "AWS::S3::Bucket", Replacement::Never).endangers_state());
    assert!(!change(Action::Remove, "AWS::Lambda::Function", Replacement::Never).endangers_state());
}

#[test]
fn both_wordings_of_an_empty_change_set_are_known() {
    assert!(holds_no_change(
        "The submitted information didn't contain changes. Submit different information to create a change set."
    ));
    assert!(holds_no_change("No updates are to be performed."));
    assert!(!holds_no_change(
        "Template error: instance of Fn::GetAtt references undefined resource X"
    ));
}

/// An AWS where code A is deployed.
fn updatable() -> Aws {
    willing().on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
}

async fn plan(aws: &Aws, spec: &StackSpec<'_>) -> Result<Plan> {
    aws.target().plan(spec, NOBODY, &|_| {}).await
}

async fn planned(aws: &Aws) -> ChangeSet {
    match plan(aws, &spec(CODE_B.0)).await {
        Ok(Plan::Changes(changes)) => changes,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stack_that_is_as_specified_needs_no_change_set() {
    let aws = updatable();
    let plan = plan(&aws, &spec(CODE_A.0)).await;
    assert!(matches!(plan, Ok(Plan::NoChanges(outputs)) if outputs.contains_key("ApiUrl")));
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn a_change_set_is_read_to_its_last_page() {
    let page = |more: &str, id: &str| {
        change_set(
            "CREATE_COMPLETE",
            "AVAILABLE",
            &format!(
                "<Changes><member><Type>Resource</Type><ResourceChange><Action>Add</Action><LogicalResourceId>{id}</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType></ResourceChange></member></Changes>{more}"
            ),
        )
    };
    let aws = updatable().on(
        "DescribeChangeSet",
        [
            change_set("CREATE_PENDING", "UNAVAILABLE", ""),
            change_set("CREATE_IN_PROGRESS", "UNAVAILABLE", ""),
            page("<NextToken>2</NextToken>", "Second"),
            page("", "First"),
        ],
    );
    let ids: Vec<String> = planned(&aws)
        .await
        .changes
        .into_iter()
        .map(|change| change.logical_id)
        .collect();
    assert_eq!(ids, ["First", "Second"]);
}

#[tokio::test]
async fn an_empty_change_set_is_removed_and_means_no_changes() {
    for empty in [
        change_set_failed(
            "The submitted information didn't contain changes. Submit different information to create a change set.",
        ),
        change_set_failed("No updates are to be performed."),
        change_set("CREATE_COMPLETE", "UNAVAILABLE", "<Changes/>"),
    ] {
        let aws = updatable().on("DescribeChangeSet", [empty]);
        let plan = plan(&aws, &spec(CODE_B.0)).await;
        assert!(matches!(plan, Ok(Plan::NoChanges(_))));
        assert_eq!(aws.effects(), ["CreateChangeSet", "DeleteChangeSet"]);
    }
}

fn refused_by_validation() -> Answer {
    change_set_failed(
        "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]. To troubleshoot Early Validation errors, use the DescribeEvents API for detailed failure information.",
    )
}

#[tokio::test]
async fn what_validation_found_is_told_by_resource_and_path() {
    let aws = updatable()
        .on("DescribeChangeSet", [refused_by_validation()])
        .on(
            "DescribeEvents",
            [query(
                "DescribeEvents",
                "<OperationEvents>
  <member><EventId>1</EventId><EventType>VALIDATION_ERROR</EventType><OperationType>CREATE_CHANGESET</OperationType>
    <OperationStatus>FAILED</OperationStatus><LogicalResourceId>MediaBucket</LogicalResourceId>
    <ResourceType>AWS::S3::Bucket</ResourceType><ValidationFailureMode>FAIL</ValidationFailureMode>
    <ValidationName>NAME_CONFLICT_VALIDATION</ValidationName><ValidationStatus>FAILED</ValidationStatus>
    <ValidationStatusReason>Resource of type 'AWS::S3::Bucket' with identifier 'media' already exists.</ValidationStatusReason>
    <ValidationPath>/Resources/MediaBucket/Properties/BucketName</ValidationPath></member>
  <member><EventId>2</EventId><EventType>HOOK_INVOCATION_ERROR</EventType><LogicalResourceId>Users</LogicalResourceId>
    <ResourceType>AWS::DynamoDB::Table</ResourceType><HookType>Org::Tables::Encrypted</HookType>
    <HookStatus>HOOK_COMPLETE_FAILED</HookStatus><HookFailureMode>FAIL</HookFailureMode>
    <HookStatusReason>Tables must use a customer managed key</HookStatusReason></member>
  <member><EventId>3</EventId><EventType>STACK_EVENT</EventType><ResourceStatus>REVIEW_IN_PROGRESS</ResourceStatus></member>
</OperationEvents>",
            )],
        );
    let error = plan(&aws, &spec(CODE_B.0)).await.unwrap_err();
    assert_eq!(
        error.why(),
        Some(
            "MediaBucket (AWS::S3::Bucket) at /Resources/MediaBucket/Properties/BucketName: Resource of type 'AWS::S3::Bucket' with identifier 'media' already exists.; Users (AWS::DynamoDB::Table): Tables must use a customer managed key"
        )
    );
    assert_eq!(error.findings()[1].check, "Org::Tables::Encrypted");
    let asked = &aws.calls("DescribeEvents")[0];
    assert_eq!(asked.parameter("ChangeSetName"), Some(&*change_set_id()));
    assert_eq!(asked.parameter("Filters.FailedEvents"), Some("true"));
    assert_eq!(aws.effects(), ["CreateChangeSet", "DeleteChangeSet"]);
}

#[tokio::test]
async fn a_refused_change_set_is_told_even_if_its_events_are_not() {
    let aws = updatable()
        .on("DescribeChangeSet", [refused_by_validation()])
        .on(
            "DescribeEvents",
            [query_error("AccessDenied", "User: x is not authorized")],
        );
    let error = plan(&aws, &spec(CODE_B.0)).await.unwrap_err();
    assert!(error.why().unwrap().contains("ResourceExistenceCheck"));
}

#[tokio::test]
async fn what_validation_warns_of_is_part_of_the_change_set() {
    let aws = updatable().on(
        "DescribeEvents",
        [query(
            "DescribeEvents",
            "<OperationEvents><member><EventType>VALIDATION_ERROR</EventType><LogicalResourceId>Old</LogicalResourceId>
    <ResourceType>AWS::S3::Bucket</ResourceType><ValidationFailureMode>WARN</ValidationFailureMode>
    <ValidationName>BUCKET_EMPTINESS_VALIDATION</ValidationName><ValidationStatus>FAILED</ValidationStatus>
    <ValidationStatusReason>The bucket is not empty.</ValidationStatusReason></member></OperationEvents>",
        )],
    );
    let warnings = planned(&aws).await.warnings;
    assert_eq!(warnings[0].message, "The bucket is not empty.");
    assert!(!warnings[0].fails);
}

#[tokio::test]
async fn express_mode_is_asked_for_with_rollback() {
    for (mode, expected) in [
        (Mode::Standard, [None, None]),
        (Mode::Express, [Some("EXPRESS"), Some("false")]),
    ] {
        let aws = updatable();
        let spec = StackSpec {
            mode,
            ..spec(CODE_B.0)
        };
        plan(&aws, &spec).await.unwrap();
        let call = &aws.calls("CreateChangeSet")[0];
        let sent = ["Mode", "DisableRollback"]
            .map(|name| call.parameter(&format!("DeploymentConfig.{name}")));
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn drift_is_reverted_on_request_even_if_nothing_else_changes() {
    for (reverts_drift, mode) in [(false, None), (true, Some("REVERT_DRIFT"))] {
        let aws = updatable();
        let spec = StackSpec {
            reverts_drift,
            ..spec(CODE_B.0)
        };
        plan(&aws, &spec).await.unwrap();
        let call = &aws.calls("CreateChangeSet")[0];
        assert_eq!(call.parameter("DeploymentMode"), mode);
    }
    let aws = updatable();
    let spec = StackSpec {
        reverts_drift: true,
        ..spec(CODE_A.0)
    };
    plan(&aws, &spec).await.unwrap();
    assert_eq!(aws.calls("CreateChangeSet").len(), 1);
}

#[test]
fn what_was_changed_by_hand_is_told() {
    use aws_sdk_cloudformation::types::StackResourceDriftStatus as Status;
    let change = |action: ChangeAction, status: Status| {
        let change = ResourceChange::builder()
            .action(action)
            .resource_drift_status(status);
        let change = Change::from(&change.build());
        (change.action, change.drifted)
    };
    for (action, status, expected) in [
        (
            ChangeAction::Modify,
            Status::Modified,
            (Action::Modify, true),
        ),
        (ChangeAction::Add, Status::Deleted, (Action::Add, true)),
        (
            ChangeAction::Modify,
            Status::InSync,
            (Action::Modify, false),
        ),
        (
            ChangeAction::SyncWithActual,
            Status::Modified,
            (Action::Sync, true),
        ),
    ] {
        assert_eq!(change(action, status), expected);
    }
}

/// The ARN of the first rollback trigger, the empty list of triggers, and the minutes that a
/// change set asks for.
async fn rollback_configuration(
    aws: &Aws,
    template: &str,
    alarm: Option<&'static str>,
) -> [Option<String>; 3] {
    let spec = StackSpec {
        template,
        rollback_alarm: alarm.map(|output| RollbackAlarm {
            output,
            minutes: 10,
        }),
        ..spec(CODE_B.0)
    };
    plan(aws, &spec).await.unwrap();
    let call = &aws.calls("CreateChangeSet")[0];
    [
        "RollbackTriggers.member.1.Arn",
        "RollbackTriggers",
        "MonitoringTimeInMinutes",
    ]
    .map(|name| {
        let sent = call.parameter(&format!("RollbackConfiguration.{name}"));
        sent.map(str::to_owned)
    })
}

/// CloudFormation takes a configuration that is left out for the last one.
fn nothing_watches() -> [Option<String>; 3] {
    [None, Some(String::new()), Some("0".to_owned())]
}

/// A template with two outputs. The deployed stack has the first of them only.
const WITH_OUTPUTS: &str = "{Resources: {}, Outputs: {ApiUrl: {Value: a}, NotYet: {Value: b}}}";

#[tokio::test]
async fn an_update_is_watched_by_the_alarm_that_the_stack_has_and_keeps() {
    // Any output does for the alarm's.
    let watched = rollback_configuration(&updatable(), WITH_OUTPUTS, Some("ApiUrl")).await;
    let arn = Some("https://x.example".to_owned());
    assert_eq!(watched, [arn, None, Some("10".to_owned())]);
}

#[tokio::test]
async fn an_update_names_no_alarm_that_is_not_there_before_and_after_it() {
    for (template, alarm) in [
        (WITH_OUTPUTS, Some("NotYet")),
        (TEMPLATE, Some("ApiUrl")),
        (
            "{Resources: {}, Outputs: {NotYet: {Value: b}}}",
            Some("ApiUrl"),
        ),
        (WITH_OUTPUTS, None),
    ] {
        let sent = rollback_configuration(&updatable(), template, alarm).await;
        assert_eq!(sent, nothing_watches(), "{template} {alarm:?}");
    }
}

#[tokio::test]
async fn a_creation_is_watched_by_no_alarm() {
    for aws in [
        willing().on("DescribeStacks", [no_stack()]),
        willing().on("DescribeStacks", [stack("REVIEW_IN_PROGRESS")]),
    ] {
        let sent = rollback_configuration(&aws, WITH_OUTPUTS, Some("ApiUrl")).await;
        assert_eq!(sent, nothing_watches());
    }
}

#[tokio::test]
async fn a_return_to_a_template_without_the_alarm_is_watched_by_none() {
    let aws = updatable();
    let now = StackSpec {
        template: WITH_OUTPUTS,
        rollback_alarm: Some(RollbackAlarm {
            output: "ApiUrl",
            minutes: 10,
        }),
        ..spec(CODE_A.0)
    };
    let record = crate::Record {
        deployed_at: "2026-11-20T08:00:00Z".to_owned(),
        template: TEMPLATE.to_owned(),
        parameters: spec(CODE_B.0).parameters,
        tags: now.tags.clone(),
    };
    let back = record.spec(&now);
    let sent = rollback_configuration(
        &aws,
        back.template,
        back.rollback_alarm.map(|alarm| alarm.output),
    )
    .await;
    assert_eq!(sent, nothing_watches());
}

#[tokio::test]
async fn a_large_template_goes_by_way_of_the_store() {
    let template = format!(
        "Resources: {{}} # {}",
        "x".repeat(INLINE_TEMPLATE_LIMIT_BYTES)
    );
    let aws = updatable().on("PUT /artifacts/app/dev/templates/", [empty(200)]);
    let spec = StackSpec {
        template: &template,
        store: Some(Store {
            bucket: "artifacts",
            prefix: "app/dev/",
        }),
        ..spec(CODE_A.0)
    };
    plan(&aws, &spec).await.unwrap();
    let call = &aws.calls("CreateChangeSet")[0];
    assert_eq!(call.parameter("TemplateBody"), None);
    let url = call.parameter("TemplateURL").unwrap();
    assert!(
        url.starts_with("https://artifacts.s3.eu-west-1.amazonaws.com/app/dev/templates/"),
        "{url}"
    );
}

fn busy() -> Answer {
    query_error(
        "ValidationError",
        &format!("Stack:{STACK_ID} is in UPDATE_IN_PROGRESS state and can not be updated."),
    )
}

#[tokio::test]
async fn a_stack_that_becomes_busy_is_planned_for_again() {
    for refusal in [
        busy(),
        query_error(
            "OperationInProgressException",
            "An operation is in progress on the stack.",
        ),
        query_error(
            "ValidationError",
            "Stack [app-dev] already exists and cannot be created again with the changeSet [xtask-1].",
        ),
        query_error("ValidationError", "Stack [app-dev] does not exist"),
    ] {
        let aws = updatable().on("CreateChangeSet", [refusal, change_set_created()]);
        let user = User::default();
        let target = aws.target();
        target
            .plan(&spec(CODE_B.0), NOBODY, &user.report())
            .await
            .unwrap();
        let again = |step: &Progress| matches!(step, Progress::PlanningAgain { .. });
        assert_eq!(user.heard().iter().filter(|step| again(step)).count(), 1);
    }
}

#[tokio::test]
async fn a_stack_that_is_always_busy_is_given_up() {
    let aws = updatable().on("CreateChangeSet", [busy()]);
    let error = plan(&aws, &spec(CODE_B.0)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Stale);
    assert_eq!(aws.calls("CreateChangeSet").len(), PLANS_MAX);
}

#[tokio::test]
async fn a_change_set_that_someone_takes_away_is_made_again() {
    let gone = query_error("ChangeSetNotFound", "ChangeSet [xtask-1] does not exist");
    let deleted = change_set("DELETE_COMPLETE", "UNAVAILABLE", "");
    for lost in [gone, deleted] {
        let aws = updatable().on("DescribeChangeSet", [lost, change_set_ready()]);
        planned(&aws).await;
        assert_eq!(aws.calls("CreateChangeSet").len(), 2);
    }
}

#[tokio::test]
async fn a_change_set_that_an_earlier_try_made_is_used() {
    let aws = updatable().on(
        "CreateChangeSet",
        [query_error(
            "AlreadyExistsException",
            "ChangeSet xtask-1 already exists for stack app-dev",
        )],
    );
    let changes = planned(&aws).await;
    assert_eq!(changes.id, change_set_id());
    let name = &aws.calls("CreateChangeSet")[0];
    let name = name.parameter("ChangeSetName");
    assert_eq!(
        aws.calls("DescribeChangeSet")[0].parameter("ChangeSetName"),
        name
    );
    assert!(is_ours(name.unwrap()));
}

fn new_stack_change_set() -> ChangeSet {
    ChangeSet {
        stack: STACK.to_owned(),
        creates_stack: true,
        changes: Vec::new(),
        warnings: Vec::new(),
        id: change_set_id(),
        stack_id: STACK_ID.to_owned(),
    }
}

#[tokio::test]
async fn giving_up_a_new_stack_removes_it_only_if_nobody_else_makes_it() {
    const OURS: (&str, &str, &str, &str) = (
        "xtask-1",
        "CREATE_COMPLETE",
        "AVAILABLE",
        "2026-11-20T08:00:00Z",
    );
    const OTHER: (&str, &str, &str, &str) = (
        "xtask-2",
        "CREATE_COMPLETE",
        "AVAILABLE",
        "2026-11-20T08:00:00Z",
    );
    for (status, listed, effect) in [
        ("REVIEW_IN_PROGRESS", &[OURS][..], "DeleteStack"),
        ("REVIEW_IN_PROGRESS", &[OURS, OTHER], "DeleteChangeSet"),
        // The other one is being executed: ours is gone already, the state not yet.
        ("REVIEW_IN_PROGRESS", &[], "DeleteChangeSet"),
        ("REVIEW_IN_PROGRESS", &[OTHER], "DeleteChangeSet"),
        ("CREATE_IN_PROGRESS", &[], "DeleteChangeSet"),
    ] {
        let aws = willing()
            .on("DescribeStacks", [stack(status)])
            .on("ListChangeSets", [change_sets(listed)]);
        let target = aws.target();
        target.discard(&new_stack_change_set()).await.unwrap();
        assert_eq!(aws.effects(), [effect], "{status} {listed:?}");
    }
}

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
        let error = aws.target().execute(&changes, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Stale);
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
    let outcome = aws.target().execute(&changes, &|_| {}).await;
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
    let outcome = aws.target().execute(&changes, &|_| {}).await;
    assert!(matches!(outcome, Ok(Outcome::Deployed(_))), "{outcome:?}");
}

async fn executed(end: &str, after: Answer) -> (Aws, Outcome) {
    let aws = updatable()
        .on("DescribeStackEvents", [events(&[]), after])
        .after("ExecuteChangeSet", "DescribeStacks", [stack(end)]);
    let changes = planned(&aws).await;
    let outcome = aws.target().execute(&changes, &|_| {}).await.unwrap();
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
                "The following resource(s) failed to create: [Queue, MediaBucket].",
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
                "MediaBucket",
                "AWS::S3::Bucket",
                "CREATE_FAILED",
                "media already exists",
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
        "stack app-dev is in state UPDATE_ROLLBACK_COMPLETE: CREATE_FAILED MediaBucket (AWS::S3::Bucket): media already exists"
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
  <member><EventType>VALIDATION_ERROR</EventType><LogicalResourceId>Users</LogicalResourceId>
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
    let outcome = aws.target().execute(&changes, &|_| {}).await.unwrap();
    let Outcome::RolledBack(diagnosis) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        diagnosis.error(STACK).why(),
        Some("Users (AWS::DynamoDB::Table): Unsupported property [Keys]")
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
    for (creates_stack, kind) in [(true, Kind::Stale), (false, Kind::Other)] {
        let aws = willing().on("DescribeStacks", [stack("UPDATE_IN_PROGRESS"), no_stack()]);
        let changes = ChangeSet {
            creates_stack,
            ..new_stack_change_set()
        };
        let error = aws.target().execute(&changes, &|_| {}).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}
