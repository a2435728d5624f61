use super::*;
use crate::testing::*;

fn with_code(runs: &str) -> Aws {
    willing()
        .on("DescribeStacks", [deployed("UPDATE_COMPLETE")])
        .on(
            "GET /2015-03-31/functions/",
            [function("app-dev-api", runs, "Successful")],
        )
}

const UPDATE: &str = "PUT /2015-03-31/functions/app-dev-api/code";

fn swapped_in(functions: &[&str]) -> Result<Hotswap> {
    Ok(Hotswap::Swapped {
        functions: functions.iter().copied().map(String::from).collect(),
        outputs: [("ApiUrl".into(), "https://x.example".into())].into(),
    })
}

#[tokio::test]
async fn new_code_is_swapped_in_and_waited_for() {
    let aws = with_code(CODE_A.1)
        .on(UPDATE, [function("app-dev-api", CODE_B.1, "InProgress")])
        .after(
            UPDATE,
            "GET /2015-03-31/functions/",
            [
                function("app-dev-api", CODE_B.1, "InProgress"),
                function("app-dev-api", CODE_B.1, "Successful"),
            ],
        );
    let swapped = hotswap(&aws.target(), &spec(CODE_B.0), &|_| {}).await;
    assert_eq!(swapped, swapped_in(&["app-dev-api"]));
    let body: serde_json::Value = serde_json::from_str(&aws.calls(UPDATE)[0].body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"S3Bucket": "artifacts", "S3Key": CODE_B.0})
    );
    assert_eq!(aws.calls("GET /2015-03-31/functions/").len(), 3);
}

#[tokio::test]
async fn code_that_runs_already_is_not_swapped() {
    let aws = with_code(CODE_B.1);
    let swapped = hotswap(&aws.target(), &spec(CODE_B.0), &|_| {}).await;
    assert_eq!(swapped, swapped_in(&[]));
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn more_than_code_must_be_deployed() {
    let deployed_spec = spec(CODE_A.0);
    let mut other_bucket = deployed_spec.clone();
    other_bucket
        .parameters
        .insert("ArtifactBucket".to_owned(), "other".to_owned());
    let mut other_tags = deployed_spec.clone();
    other_tags.tags.insert("team".to_owned(), "x".to_owned());
    let other_template = StackSpec {
        template: "Resources: {New: {}}",
        ..deployed_spec
    };
    for (spec, why) in [
        (other_bucket, "parameters have changed: ArtifactBucket"),
        (other_tags, "the tags have changed"),
        (other_template, "the template has changed"),
    ] {
        let aws = with_code(CODE_A.1);
        let swapped = hotswap(&aws.target(), &spec, &|_| {}).await;
        assert_eq!(swapped, Ok(Hotswap::NotPossible(why.to_owned())));
        assert_eq!(aws.effects(), [""; 0]);
    }
    for (state, why) in [
        (no_stack(), "stack app-dev does not exist yet"),
        (
            stack("UPDATE_IN_PROGRESS"),
            "stack app-dev is in state UPDATE_IN_PROGRESS",
        ),
    ] {
        let aws = with_code(CODE_A.1).on("DescribeStacks", [state]);
        let swapped = hotswap(&aws.target(), &spec(CODE_B.0), &|_| {}).await;
        assert_eq!(swapped, Ok(Hotswap::NotPossible(why.to_owned())));
    }
}

#[tokio::test]
async fn another_update_of_the_function_is_waited_for() {
    let aws = with_code(CODE_A.1).on(
        UPDATE,
        [
            lambda_error(
                409,
                "ResourceConflictException",
                "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:eu-west-1:123456789012:function:app-dev-api",
            ),
            function("app-dev-api", CODE_B.1, "Successful"),
        ],
    );
    hotswap(&aws.target(), &spec(CODE_B.0), &|_| {})
        .await
        .unwrap();
    assert_eq!(aws.calls(UPDATE).len(), 2);
}

#[tokio::test]
async fn code_that_lambda_does_not_take_is_an_error_with_its_reason() {
    let aws = with_code(CODE_A.1)
        .on(UPDATE, [function("app-dev-api", CODE_B.1, "InProgress")])
        .after(
            UPDATE,
            "GET /2015-03-31/functions/",
            [function("app-dev-api", CODE_B.1, "Failed")],
        );
    let error = hotswap(&aws.target(), &spec(CODE_B.0), &|_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not update the code of app-dev-api: The image or zip cannot be read"
    );
}

#[tokio::test]
async fn drift_is_seen_against_what_the_stack_says() {
    for (runs, drifted) in [(CODE_A.1, vec![]), (CODE_B.1, vec!["app-dev-api"])] {
        let aws = with_code(runs);
        assert_eq!(
            code_drift(&aws.target(), &spec(CODE_B.0)).await.unwrap(),
            drifted
        );
        assert_eq!(aws.effects(), [""; 0]);
    }
}

#[tokio::test]
async fn a_function_that_is_gone_is_left_to_cloudformation() {
    let aws = with_code(CODE_A.1).on(
        "GET /2015-03-31/functions/",
        [lambda_error(
            404,
            "ResourceNotFoundException",
            "Function not found: app-dev-api",
        )],
    );
    let swapped = hotswap(&aws.target(), &spec(CODE_B.0), &|_| {}).await;
    assert_eq!(swapped, swapped_in(&[]));
}
