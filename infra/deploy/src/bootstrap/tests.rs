use super::*;
use crate::testing::*;

fn bootstrap_stack(status: &str, bucket: &str) -> Answer {
    query(
        "DescribeStacks",
        &format!(
            "<Stacks><member><StackName>app-bootstrap</StackName><StackId>{STACK_ID}</StackId>
  <CreationTime>2026-11-20T08:00:00.000Z</CreationTime><StackStatus>{status}</StackStatus>
  <Outputs><member><OutputKey>ArtifactBucketName</OutputKey><OutputValue>{bucket}</OutputValue></member></Outputs>
</member></Stacks>"
        ),
    )
}

async fn ensure(aws: &Aws, user: &User) -> Result<String> {
    ensure_bootstrap(
        &aws.target(),
        "app-bootstrap",
        TEMPLATE,
        NOBODY,
        &user.report(),
    )
    .await
}

#[tokio::test]
async fn a_bucket_that_is_there_is_used() {
    for status in [200, 403] {
        let aws = willing()
            .on(
                "DescribeStacks",
                [bootstrap_stack("CREATE_COMPLETE", "artifacts")],
            )
            .on("HEAD /artifacts/", [empty(status)]);
        let bucket = ensure(&aws, &User::default()).await;
        assert_eq!(bucket.as_deref(), Ok("artifacts"));
        assert_eq!(aws.effects(), [""; 0]);
    }
}

#[tokio::test]
async fn a_bucket_of_another_account_gets_nothing() {
    let aws = willing()
        .on(
            "DescribeStacks",
            [bootstrap_stack("CREATE_COMPLETE", "artifacts")],
        )
        .on("HEAD /artifacts/", [empty(403), empty(200)]);
    let error = ensure(&aws, &User::default()).await.unwrap_err();
    assert!(error.what().contains("does not belong to"), "{error}");
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn a_missing_stack_is_created() {
    let aws = willing().on("DescribeStacks", [no_stack()]).after(
        "ExecuteChangeSet",
        "DescribeStacks",
        [bootstrap_stack("CREATE_COMPLETE", "artifacts")],
    );
    let bucket = ensure(&aws, &User::default()).await;
    assert_eq!(bucket.as_deref(), Ok("artifacts"));
    assert_eq!(aws.effects(), ["CreateChangeSet", "ExecuteChangeSet"]);
}

#[tokio::test]
async fn a_vanished_bucket_is_made_anew_with_its_stack() {
    let aws = willing()
        .on(
            "DescribeStacks",
            [bootstrap_stack("CREATE_COMPLETE", "old")],
        )
        .on("HEAD /old/", [empty(404)])
        .after("DeleteStack", "DescribeStacks", [no_stack()])
        .after(
            "ExecuteChangeSet",
            "DescribeStacks",
            [bootstrap_stack("CREATE_COMPLETE", "new")],
        );
    let user = User::default();
    let bucket = ensure(&aws, &user).await;
    assert_eq!(bucket.as_deref(), Ok("new"));
    assert_eq!(
        aws.effects(),
        ["DeleteStack", "CreateChangeSet", "ExecuteChangeSet"]
    );
    assert!(user.heard().contains(&Progress::ReplacingBootstrap {
        stack: "app-bootstrap".to_owned(),
        bucket: "old".to_owned(),
    }));
}

#[tokio::test]
async fn a_bucket_that_cannot_be_asked_for_is_not_taken_for_gone() {
    let aws = willing()
        .on(
            "DescribeStacks",
            [bootstrap_stack("CREATE_COMPLETE", "artifacts")],
        )
        .on("HEAD /artifacts/", [empty(400)]);
    assert!(ensure(&aws, &User::default()).await.is_err());
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn a_stack_whose_creation_failed_is_created_anew() {
    let failed = bootstrap_stack("ROLLBACK_COMPLETE", "").clone();
    let aws = willing()
        .on("DescribeStacks", [no_stack(), failed, no_stack()])
        .after(
            "ExecuteChangeSet",
            "DescribeStacks",
            [bootstrap_stack("CREATE_COMPLETE", "artifacts")],
        );
    let bucket = ensure(&aws, &User::default()).await;
    assert_eq!(bucket.as_deref(), Ok("artifacts"));
    assert_eq!(
        aws.effects(),
        ["DeleteStack", "CreateChangeSet", "ExecuteChangeSet"]
    );
}
