use super::*;
use crate::testing::*;

const BUCKET: (&str, &str, &str, &str, &str) = (
    "ReportsBucket",
    "app-dev-reports",
    "AWS::S3::Bucket",
    "CREATE_COMPLETE",
    "",
);
const FUNCTION: (&str, &str, &str, &str, &str) = (
    "ApiFunction",
    "app-dev-api",
    "AWS::Lambda::Function",
    "CREATE_COMPLETE",
    "",
);
const QUEUE: (&str, &str, &str, &str, &str) = (
    "ApiFailures",
    "https://sqs.eu-west-1.amazonaws.com/123456789012/app-dev-failures",
    "AWS::SQS::Queue",
    "CREATE_COMPLETE",
    "",
);

fn delete_spec() -> DeleteSpec<'static> {
    DeleteSpec {
        stack: STACK,
        tags: tags(),
        retains_data: false,
        bootstrap_stack: "app-bootstrap",
        artifact_prefix: "app/dev/",
    }
}

/// An AWS with a stack of a bucket, a function and a queue, which can all be deleted; the
/// artifact bucket is the bootstrap stack's only output.
fn deletable() -> Aws {
    let gone = |operation: &str, aws: Aws| aws.after("DeleteStack", operation, [empty(404)]);
    let aws = willing()
        .on("DescribeStacks", [stack_with_artifacts("UPDATE_COMPLETE")])
        .on(
            "ListStackResources",
            [resources(&[BUCKET, FUNCTION, QUEUE])],
        )
        .on("PUT /app-dev-reports/?notification", [empty(200)])
        .on("GET /app-dev-reports/?versions", [one_version()])
        .on("POST /app-dev-reports/?delete", [all_deleted()])
        .on("GET /artifacts/?versions", [one_version(), no_versions()])
        .on("POST /artifacts/?delete", [all_deleted()])
        .on("HEAD /app-dev-reports/", [empty(200)])
        .on("DescribeLogGroups", [Answer::new(200, r#"{"logGroups":[]}"#)])
        .on("GetQueueAttributes", [Answer::new(400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#)])
        .after("DeleteStack", "GET /2015-03-31/functions/", [lambda_error(404, "ResourceNotFoundException", "Function not found")])
        .after(
            "DeleteStack",
            "DescribeStacks",
            [stack_with_artifacts("DELETE_COMPLETE")],
        );
    gone("HEAD /app-dev-reports/", aws)
}

fn stack_with_artifacts(status: &str) -> Answer {
    query(
        "DescribeStacks",
        &format!(
            "<Stacks><member><StackName>{STACK}</StackName><StackId>{STACK_ID}</StackId>
  <CreationTime>2026-11-20T08:00:00.000Z</CreationTime><StackStatus>{status}</StackStatus>
  <Tags><member><Key>app</Key><Value>app</Value></member><member><Key>stage</Key><Value>dev</Value></member></Tags>
  <Outputs><member><OutputKey>ArtifactBucketName</OutputKey><OutputValue>artifacts</OutputValue></member></Outputs>
</member></Stacks>"
        ),
    )
}

async fn deleted_from(aws: &Aws, spec: &DeleteSpec<'_>, user: &User) -> Result<Option<Deleted>> {
    delete(&aws.target(), spec, &user.decide(), &user.report()).await
}

#[tokio::test]
async fn buckets_are_emptied_the_stack_deleted_and_nothing_is_left() {
    let aws = deletable();
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    let deleted = deleted.unwrap().unwrap();
    assert_eq!(
        aws.effects(),
        [
            "PUT /app-dev-reports/?notification",
            "POST /app-dev-reports/?delete",
            "DeleteStack",
            "POST /artifacts/?delete"
        ]
    );
    assert_eq!(deleted.object_versions, 2);
    assert_eq!(deleted.artifacts, 2);
    assert_eq!(deleted.leftovers, []);
    let request = &aws.calls("POST /app-dev-reports/?delete")[0].body;
    assert!(
        request.contains("<VersionId>3/L4kqtJl40Nr8X8gdRQBpUMLUo</VersionId>"),
        "{request}"
    );
}

#[tokio::test]
async fn what_is_left_is_told() {
    let aws = deletable()
        .on(
            "DescribeStackEvents",
            [
                events(&[]),
                events(&[
                    ("3", "ApiFunction", "AWS::Lambda::Function", "DELETE_COMPLETE", ""),
                    ("2", "OrdersTable", "AWS::DynamoDB::Table", "DELETE_SKIPPED", ""),
                    ("1", "ApiFunction", "AWS::Lambda::Function", "DELETE_IN_PROGRESS", ""),
                ]),
            ],
        )
        .on("GET /artifacts/?versions", [one_version()])
        .on(
            "DescribeLogGroups",
            [Answer::new(
                200,
                r#"{"logGroups":[{"logGroupName":"/aws/lambda/app-dev-api-v2"},{"logGroupName":"/aws/lambda/app-dev-api"}]}"#,
            )],
        )
        .on(
            "GetQueueAttributes",
            [Answer::new(200, r#"{"Attributes":{}}"#)],
        );
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    let deleted = deleted.unwrap().unwrap();
    let left: Vec<(&str, &str)> = deleted
        .leftovers
        .iter()
        .map(|left| (left.resource_type.as_str(), left.name.as_str()))
        .collect();
    assert_eq!(
        left,
        [
            ("AWS::DynamoDB::Table", "app-dev-OrdersTable"),
            ("AWS::Logs::LogGroup", "/aws/lambda/app-dev-api"),
            ("AWS::S3::Object", "s3://artifacts/app/dev/"),
            ("AWS::SQS::Queue", QUEUE.1),
        ]
    );
    assert_eq!(deleted.leftovers[0].reason, "its removal policy retains it");
    assert_eq!(deleted.resources[0].logical_id, "ApiFunction");
    assert_eq!(deleted.resources.len(), 1);
}

#[tokio::test]
async fn a_stack_without_the_tags_is_not_deleted() {
    for tags in [
        &[("app", "app"), ("stage", "prod")][..],
        &[("app", "app")],
        &[],
    ] {
        let aws = deletable().on(
            "DescribeStacks",
            [stack_of("UPDATE_COMPLETE", &[], tags, "")],
        );
        let error = deleted_from(&aws, &delete_spec(), &User::who_says(true)).await;
        assert_eq!(
            error.unwrap_err().why(),
            Some("the stack does not have the tags app=app and stage=dev")
        );
        assert_eq!(aws.effects(), [""; 0]);
    }
}

#[tokio::test]
async fn where_data_is_retained_no_bucket_is_emptied() {
    let aws = deletable().on("HEAD /app-dev-reports/", [empty(200)]);
    let spec = DeleteSpec {
        retains_data: true,
        ..delete_spec()
    };
    let deleted = deleted_from(&aws, &spec, &User::default()).await.unwrap();
    assert_eq!(deleted.unwrap().object_versions, 0);
    assert_eq!(aws.effects(), ["DeleteStack", "POST /artifacts/?delete"]);
}

#[tokio::test]
async fn a_bucket_that_fills_up_meanwhile_is_emptied_again() {
    let aws = deletable()
        .on(
            "ListStackResources",
            [
                resources(&[BUCKET]),
                resources(&[(
                    "ReportsBucket",
                    "app-dev-reports",
                    "AWS::S3::Bucket",
                    "DELETE_FAILED",
                    "The bucket you tried to delete is not empty (Service: S3, Status Code: 409)",
                )]),
            ],
        )
        .after(
            "DeleteStack",
            "DescribeStacks",
            [
                stack_with_artifacts("DELETE_FAILED"),
                stack_with_artifacts("DELETE_COMPLETE"),
            ],
        );
    deleted_from(&aws, &delete_spec(), &User::default())
        .await
        .unwrap();
    assert_eq!(aws.calls("POST /app-dev-reports/?delete").len(), 2);
    assert_eq!(aws.calls("DeleteStack").len(), 2);
}

fn undeletable() -> Aws {
    deletable()
        .on(
            "ListStackResources",
            [
                resources(&[]),
                resources(&[(
                    "JobRole",
                    "app-dev-job",
                    "AWS::IAM::Role",
                    "DELETE_FAILED",
                    "Cannot delete entity, must detach all policies first.",
                )]),
            ],
        )
        .after(
            "DeleteStack",
            "DescribeStacks",
            [
                stack_with_artifacts("DELETE_FAILED"),
                stack_with_artifacts("DELETE_COMPLETE"),
            ],
        )
}

#[tokio::test]
async fn what_cannot_be_deleted_is_left_after_a_yes_and_told() {
    let aws = undeletable().on(
        "DescribeStackEvents",
        [
            events(&[]),
            events(&[]),
            events(&[]),
            events(&[("1", "JobRole", "AWS::IAM::Role", "DELETE_SKIPPED", "")]),
        ],
    );
    let deleted = deleted_from(&aws, &delete_spec(), &User::who_says(true)).await;
    let leftovers = deleted.unwrap().unwrap().leftovers;
    assert_eq!(leftovers.len(), 1, "{leftovers:?}");
    assert_eq!(leftovers[0].name, "app-dev-job");
    assert!(leftovers[0].reason.contains("detach all policies"));
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named_without_a_yes() {
    let aws = undeletable();
    let error = deleted_from(&aws, &delete_spec(), &User::who_says(false)).await;
    let error = error.unwrap_err();
    assert!(error.why().unwrap().starts_with("JobRole (AWS::IAM::Role)"));
    assert_eq!(aws.effects(), ["DeleteStack"]);
}

#[tokio::test]
async fn an_operation_of_someone_else_is_waited_for() {
    let aws = deletable().on(
        "DescribeStacks",
        [
            stack_with_artifacts("UPDATE_IN_PROGRESS"),
            stack_with_artifacts("UPDATE_IN_PROGRESS"),
            stack_with_artifacts("UPDATE_COMPLETE"),
        ],
    );
    let user = User::default();
    deleted_from(&aws, &delete_spec(), &user).await.unwrap();
    assert!(matches!(user.heard()[0], Progress::Waiting { .. }));
    assert_eq!(aws.calls("DeleteStack").len(), 1);
}

#[tokio::test]
async fn a_stack_that_never_was_is_nothing_to_delete() {
    let aws = willing().on("DescribeStacks", [no_stack()]);
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    assert_eq!(deleted, Ok(None));
}

#[tokio::test]
async fn what_a_stopped_deletion_left_in_the_artifact_bucket_is_deleted() {
    let aws = deletable().on(
        "DescribeStacks",
        [no_stack(), stack_with_artifacts("CREATE_COMPLETE")],
    );
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    assert_eq!(deleted.unwrap().unwrap().artifacts, 2);
    assert_eq!(aws.effects(), ["POST /artifacts/?delete"]);
}

#[tokio::test]
async fn keys_that_xml_cannot_hold_are_deleted_one_by_one() {
    let listed = Answer::new(
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>app-dev-reports</Name><Prefix/><KeyMarker/><VersionIdMarker/><MaxKeys>1000</MaxKeys>
  <EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>
  <Version><Key>a+%2B%01.png</Key><VersionId>1</VersionId><IsLatest>true</IsLatest></Version>
  <Version><Key>a+%2B%0A%25.png</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></Version>
</ListVersionsResult>"#,
    );
    let aws = deletable()
        .on("GET /app-dev-reports/?versions", [listed])
        .on("DELETE /app-dev-reports/", [empty(204)]);
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    assert_eq!(deleted.unwrap().unwrap().object_versions, 2);
    let listings = aws.calls("GET /app-dev-reports/?versions");
    assert!(listings[0].operation.contains("encoding-type=url"));
    let alone = aws.calls("DELETE /app-dev-reports/");
    let alone: Vec<&str> = alone.iter().map(|call| &*call.operation).collect();
    assert_eq!(
        alone,
        ["DELETE /app-dev-reports/a +\u{1}.png?x-id=DeleteObject&versionId=1"]
    );
    let together = &aws.calls("POST /app-dev-reports/?delete")[0].body;
    assert!(together.contains("<Key>a +&#xA;%.png</Key>"), "{together}");
    assert!(!together.contains("<VersionId>1</VersionId>"), "{together}");
}

#[tokio::test]
async fn objects_that_cannot_be_deleted_are_told() {
    let aws = deletable().on(
        "POST /app-dev-reports/?delete",
        [Answer::new(
            200,
            r#"<?xml version="1.0" encoding="UTF-8"?>
<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>a b.png</Key>
<Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>"#,
        )],
    );
    let error = deleted_from(&aws, &delete_spec(), &User::default()).await;
    assert_eq!(
        error.unwrap_err().why(),
        Some("1 of 2 objects were not deleted; the first is a b.png: Access Denied")
    );
    assert_eq!(aws.calls("DeleteStack").len(), 0);
}

#[tokio::test]
async fn a_fifth_of_all_calls_failing_changes_nothing_but_the_time() {
    for seed in 1..=40 {
        let aws = deletable()
            .on("GET /artifacts/?versions", [one_version()])
            .after(
                "POST /artifacts/?delete",
                "GET /artifacts/?versions",
                [no_versions()],
            )
            .faulty(seed);
        let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
        let leftovers = deleted.map(|deleted| deleted.unwrap_or_default().leftovers);
        assert_eq!(leftovers, Ok(Vec::new()), "seed {seed}");
    }
}

#[tokio::test]
async fn a_deletion_that_someone_else_came_before_is_begun_again() {
    let aws = deletable()
        .on(
            "DeleteStack",
            [
                query_error(
                    "ValidationError",
                    &format!(
                        "Stack [{STACK}] cannot be deleted while in status UPDATE_IN_PROGRESS"
                    ),
                ),
                query("DeleteStack", ""),
            ],
        )
        .after(
            "DeleteStack",
            "DescribeStacks",
            [
                stack_with_artifacts("UPDATE_IN_PROGRESS"),
                stack_with_artifacts("UPDATE_COMPLETE"),
                stack_with_artifacts("DELETE_COMPLETE"),
            ],
        );
    let deleted = deleted_from(&aws, &delete_spec(), &User::default()).await;
    assert!(deleted.unwrap().is_some());
    assert_eq!(aws.calls("DeleteStack").len(), 2);
}

#[tokio::test]
async fn a_protected_stack_says_how_to_lift_the_protection() {
    let aws = deletable().on(
        "DeleteStack",
        [query_error(
            "ValidationError",
            &format!("Stack [{STACK}] cannot be deleted while TerminationProtection is enabled"),
        )],
    );
    let error = deleted_from(&aws, &delete_spec(), &User::default()).await;
    let error = error.unwrap_err();
    assert!(
        error
            .next_step()
            .unwrap()
            .contains("update-termination-protection")
    );
}

#[tokio::test]
async fn killed_at_any_request_the_next_deletion_ends_right() {
    let make = || {
        deletable()
            .on("GET /artifacts/?versions", [one_version()])
            .after(
                "POST /artifacts/?delete",
                "GET /artifacts/?versions",
                [no_versions()],
            )
            .after(
                "POST /app-dev-reports/?delete",
                "GET /app-dev-reports/?versions",
                [no_versions()],
            )
    };
    let mut kills = 0;
    loop {
        let aws = make();
        aws.kill_after(kills + 1);
        let first = deleted_from(&aws, &delete_spec(), &User::default()).await;
        if !aws.start_again() {
            assert_eq!(first.unwrap().unwrap().leftovers, []);
            break;
        }
        kills += 1;
        assert!(first.is_err(), "killed after {kills}: {first:?}");
        let second = deleted_from(&aws, &delete_spec(), &User::default()).await;
        let left = second.map(|deleted| deleted.unwrap_or_default().leftovers);
        assert_eq!(left, Ok(Vec::new()), "killed after {kills}");
        assert_eq!(aws.calls("DeleteStack").len(), 1, "killed after {kills}");
        assert_eq!(
            aws.calls("POST /artifacts/?delete").len(),
            1,
            "killed after {kills}"
        );
    }
    assert!(kills > 8, "{kills}");
}
