use super::*;
use crate::testing::*;
use crate::{plan, stack};

fn listed(keys: &[&str]) -> Answer {
    let contents: String = keys
        .iter()
        .map(|key| {
            format!("<Contents><Key>app/dev/deployments/{key}</Key><Size>1</Size></Contents>")
        })
        .collect();
    Answer::new(
        200,
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>artifacts</Name>
<KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"#,
            keys.len()
        ),
    )
}

fn record(template: &str, code: &str) -> Answer {
    let record = Record {
        deployed_at: "2026-11-19T10:00:00Z".to_owned(),
        template: template.to_owned(),
        parameters: spec(code).parameters,
        tags: tags(),
    };
    Answer::new(200, serde_json::to_string(&record).unwrap())
}

/// An AWS where code B is deployed, with records of what was before.
fn with_records(records: &[(&str, Answer)]) -> Aws {
    let keys: Vec<&str> = records.iter().map(|(key, _)| *key).collect();
    let mut aws = willing()
        .on(
            "DescribeStacks",
            [stack_with(
                "UPDATE_COMPLETE",
                &[("ArtifactBucket", "artifacts"), ("ApiCode", CODE_B.0)],
            )],
        )
        .on("GET /artifacts/?list-type=2", [listed(&keys)])
        .on("HEAD /artifacts/app/dev/api-", [empty(200)]);
    for (key, record) in records {
        let operation = format!("GET /artifacts/app/dev/deployments/{key}");
        aws = aws.on(&operation, [record.clone()]);
    }
    aws
}

async fn previous(aws: &Aws) -> Result<Option<Record>> {
    previous_deployment(&aws.target(), &spec(CODE_B.0)).await
}

#[tokio::test]
async fn the_previous_deployment_is_the_newest_that_differs() {
    let aws = with_records(&[
        ("1.json", record("Resources: {Old: {}}", CODE_A.0)),
        ("2.json", record(TEMPLATE, CODE_A.0)),
        // The deployment that kept this one was stopped before it changed anything.
        ("3.json", record(TEMPLATE, CODE_B.0)),
    ]);
    let record = previous(&aws).await.unwrap().unwrap();
    assert_eq!(record.template, TEMPLATE);
    assert_eq!(record.parameters["ApiCode"], CODE_A.0);
    let wanted = spec(CODE_B.0);
    let back = record.spec(&wanted);
    assert_eq!(back.code_key("app-dev-api"), Some(CODE_A.0));
}

/// Of a stage with umlauts and a cat in its settings.
const EVERY_SETTING: &str = include_str!("../../../manifest/tests/golden/every-setting.yaml");

#[tokio::test]
async fn a_template_of_the_app_comes_back_as_it_was_sent() {
    let aws = with_records(&[
        ("1.json", record(EVERY_SETTING, CODE_A.0)),
        ("2.json", record(EVERY_SETTING, CODE_B.0)),
    ])
    .on("GetTemplate", [template(EVERY_SETTING)]);
    let target = aws.target();
    let wanted = StackSpec {
        template: EVERY_SETTING,
        ..spec(CODE_B.0)
    };
    let now = super::deployed(&target, STACK).await.unwrap().unwrap();
    assert_eq!(now.template, EVERY_SETTING);
    let previous = previous_deployment(&target, &wanted)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(previous.parameters["ApiCode"], CODE_A.0);
    let plan = plan::plan(&target, &wanted, NOBODY, &|_| {}).await;
    assert!(matches!(plan, Ok(crate::Plan::NoChanges(_))), "{plan:?}");
    let current = stack::describe(&target, STACK).await.unwrap().unwrap();
    assert!(
        stack::mismatch(&target, &current, &wanted)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn without_another_record_there_is_nothing_to_go_back_to() {
    assert_eq!(previous(&with_records(&[])).await, Ok(None));
    let same = with_records(&[("1.json", record(TEMPLATE, CODE_B.0))]);
    assert_eq!(previous(&same).await, Ok(None));
    let gone = with_records(&[]).on("DescribeStacks", [no_stack()]);
    assert_eq!(previous(&gone).await, Ok(None));
}

#[tokio::test]
async fn code_that_is_gone_is_told_before_anything_is_changed() {
    let aws = with_records(&[("1.json", record(TEMPLATE, CODE_A.0))])
        .on("HEAD /artifacts/app/dev/api-", [empty(404)]);
    let error = previous(&aws).await.unwrap_err();
    assert!(error.why().unwrap().contains(CODE_A.0), "{error}");
    assert_eq!(aws.effects(), [""; 0]);
}

#[tokio::test]
async fn a_stack_that_is_not_whole_leaves_no_record() {
    for state in ["REVIEW_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"] {
        let aws = willing().on("DescribeStacks", [stack(state)]);
        keep_record(&aws.target(), &spec(CODE_B.0)).await.unwrap();
        assert_eq!(aws.effects(), [""; 0]);
    }
}

#[test]
fn the_order_of_keys_is_that_of_time() {
    let key = |deployed_at: &str| {
        let record = Record {
            deployed_at: deployed_at.to_owned(),
            template: String::new(),
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        record.key(Store {
            bucket: "b",
            prefix: "",
        })
    };
    let times = [
        "2026-11-20T08:30:00Z",
        "2026-11-20T08:30:00.25Z",
        "2026-11-20T08:30:00.5Z",
        "2026-11-20T08:30:01Z",
    ];
    assert!(times.map(key).is_sorted());
}
