use super::*;
use crate::change_set::INLINE_TEMPLATE_LIMIT_BYTES;
use crate::error::Result;
use crate::stack::{Mode, RollbackAlarm, Store, is_ours};
use crate::testing::*;

async fn planned_for(aws: &Aws, spec: &StackSpec<'_>) -> Result<Plan> {
    plan(&aws.target(), spec, NOBODY, &|_| {}).await
}

#[tokio::test]
async fn a_stack_that_is_as_specified_needs_no_change_set() {
    let aws = updatable();
    let plan = planned_for(&aws, &spec(CODE_A.0)).await;
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
        let plan = planned_for(&aws, &spec(CODE_B.0)).await;
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
    <OperationStatus>FAILED</OperationStatus><LogicalResourceId>ReportsBucket</LogicalResourceId>
    <ResourceType>AWS::S3::Bucket</ResourceType><ValidationFailureMode>FAIL</ValidationFailureMode>
    <ValidationName>NAME_CONFLICT_VALIDATION</ValidationName><ValidationStatus>FAILED</ValidationStatus>
    <ValidationStatusReason>Resource of type 'AWS::S3::Bucket' with identifier 'reports' already exists.</ValidationStatusReason>
    <ValidationPath>/Resources/ReportsBucket/Properties/BucketName</ValidationPath></member>
  <member><EventId>2</EventId><EventType>HOOK_INVOCATION_ERROR</EventType><LogicalResourceId>Orders</LogicalResourceId>
    <ResourceType>AWS::DynamoDB::Table</ResourceType><HookType>Org::Tables::Encrypted</HookType>
    <HookStatus>HOOK_COMPLETE_FAILED</HookStatus><HookFailureMode>FAIL</HookFailureMode>
    <HookStatusReason>Tables must use a customer managed key</HookStatusReason></member>
  <member><EventId>3</EventId><EventType>STACK_EVENT</EventType><ResourceStatus>REVIEW_IN_PROGRESS</ResourceStatus></member>
</OperationEvents>",
            )],
        );
    let error = planned_for(&aws, &spec(CODE_B.0)).await.unwrap_err();
    assert_eq!(
        error.why(),
        Some(
            "ReportsBucket (AWS::S3::Bucket) at /Resources/ReportsBucket/Properties/BucketName: Resource of type 'AWS::S3::Bucket' with identifier 'reports' already exists.; Orders (AWS::DynamoDB::Table): Tables must use a customer managed key"
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
    let error = planned_for(&aws, &spec(CODE_B.0)).await.unwrap_err();
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
        planned_for(&aws, &spec).await.unwrap();
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
        planned_for(&aws, &spec).await.unwrap();
        let call = &aws.calls("CreateChangeSet")[0];
        assert_eq!(call.parameter("DeploymentMode"), mode);
    }
    let aws = updatable();
    let spec = StackSpec {
        reverts_drift: true,
        ..spec(CODE_A.0)
    };
    planned_for(&aws, &spec).await.unwrap();
    assert_eq!(aws.calls("CreateChangeSet").len(), 1);
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
    planned_for(aws, &spec).await.unwrap();
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
    planned_for(&aws, &spec).await.unwrap();
    let call = &aws.calls("CreateChangeSet")[0];
    assert_eq!(call.parameter("TemplateBody"), None);
    let url = call.parameter("TemplateURL").unwrap();
    assert!(
        url.starts_with("https://artifacts.s3.eu-west-1.amazonaws.com/app/dev/templates/"),
        "{url}"
    );
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
        plan(&target, &spec(CODE_B.0), NOBODY, &user.report())
            .await
            .unwrap();
        let again = |step: &Progress| matches!(step, Progress::PlanningAgain { .. });
        assert_eq!(user.heard().iter().filter(|step| again(step)).count(), 1);
    }
}

#[tokio::test]
async fn a_stack_that_is_always_busy_is_given_up() {
    let aws = updatable().on("CreateChangeSet", [busy()]);
    let error = planned_for(&aws, &spec(CODE_B.0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
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
