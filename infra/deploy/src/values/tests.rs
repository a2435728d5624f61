use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::error::ErrorKind;
use crate::network::Endpoint;
use crate::testing::Aws;

/// An endpoint of both services that gives these answers; the thread ends with what was asked.
fn services(answers: Vec<(u16, Value)>) -> (Target, thread::JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let each = answers.into_iter();
        each.map(|(status, answer)| {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).unwrap();
            }
            let header = |name: &str| {
                let mut lines = head.lines();
                lines.find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then(|| value.to_owned())
                })
            };
            let length = header("content-length").unwrap().parse().unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = answer.to_string();
            let answer = format!(
                "HTTP/1.1 {status} Any\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let operation = header("x-amz-target").unwrap();
            (operation, serde_json::from_slice(&body).unwrap())
        })
        .collect()
    });
    let mut target = Aws::new().target();
    target.detours.push(Endpoint {
        url,
        services: Vec::new(),
        source: "a test".to_owned(),
    });
    (target, asked)
}

fn needed(store: ValueStore, name: &str, key: Option<&str>) -> NeededValue {
    NeededValue {
        store,
        name: name.to_owned(),
        key: key.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_parameter_is_looked_for_by_its_name_on_every_page() {
    use ValueStore::Parameters;
    let (target, asked) = services(vec![
        (200, json!({"Parameters": [], "NextToken": "more"})),
        (
            200,
            json!({"Parameters": [
                {"Name": "/shop-dev/plain", "Type": "String"},
                {"Name": "/shop-dev/aws", "KeyId": "alias/aws/ssm"},
                {"Name": "/shop-dev/granted", "KeyId": "alias/shop"},
                {"Name": "/shop-dev/other", "KeyId": "alias/other"},
            ]}),
        ),
    ]);
    let needed = [
        needed(Parameters, "/shop-dev/plain", None),
        needed(Parameters, "/shop-dev/aws", None),
        needed(Parameters, "/shop-dev/granted", Some("alias/shop")),
        needed(Parameters, "/shop-dev/other", None),
        needed(Parameters, "/shop-dev/absent", None),
    ];
    let problems = value_problems(&target, &needed).await.unwrap();
    assert_eq!(
        problems,
        [
            (&needed[3], ValueProblem::Key("alias/other".to_owned())),
            (&needed[4], ValueProblem::Absent),
        ]
    );
    let asked = asked.join().unwrap();
    assert_eq!(asked[0].0, "AmazonSSM.DescribeParameters");
    assert_eq!(
        asked[0].1["ParameterFilters"][0]["Values"][4],
        "/shop-dev/absent"
    );
    assert_eq!(asked[1].1["NextToken"], "more");
}

#[tokio::test]
async fn a_secret_is_there_if_it_has_a_value_and_is_not_being_deleted() {
    let versions = json!({"v1": ["AWSCURRENT"]});
    let key = "arn:aws:kms:eu-west-1:123456789012:key/1";
    let not_found = json!({"__type": "ResourceNotFoundException", "message": "no"});
    let (target, asked) = services(vec![
        (200, json!({"VersionIdsToStages": versions})),
        (400, not_found),
        (200, json!({"VersionIdsToStages": {}})),
        (
            200,
            json!({"VersionIdsToStages": versions, "DeletedDate": 1.0}),
        ),
        (
            200,
            json!({"VersionIdsToStages": versions, "KmsKeyId": key}),
        ),
    ]);
    let needed = ["a", "b", "c", "d", "e"].map(|name| needed(ValueStore::Secrets, name, None));
    let problems = value_problems(&target, &needed).await.unwrap();
    assert_eq!(
        problems,
        [
            (&needed[1], ValueProblem::Absent),
            (&needed[2], ValueProblem::Absent),
            (&needed[3], ValueProblem::BeingDeleted),
            (&needed[4], ValueProblem::Key(key.to_owned())),
        ]
    );
    let asked = asked.join().unwrap();
    assert!(
        asked
            .iter()
            .all(|(operation, _)| operation == "secretsmanager.DescribeSecret")
    );
}

#[tokio::test]
async fn a_call_that_is_throttled_is_repeated_and_one_that_is_denied_is_not() {
    let throttled = json!({"__type": "ThrottlingException", "message": "slow down"});
    let denied = json!({"__type": "AccessDeniedException", "message": "no"});
    let (target, asked) = services(vec![(400, throttled), (400, denied)]);
    let needed = [needed(ValueStore::Parameters, "/shop-dev/tax", None)];
    let error = value_problems(&target, &needed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(asked.join().unwrap().len(), 2);
}

#[tokio::test]
async fn a_stored_parameter_is_encrypted_and_replaces_the_one_before() {
    let (target, asked) = services(vec![(200, json!({}))]);
    let stored = store_value(&target, ValueStore::Parameters, "name", "s3cr3t");
    stored.await.unwrap();
    let asked = asked.join().unwrap();
    assert_eq!(asked[0].1["Type"], "SecureString");
    assert_eq!(asked[0].1["Overwrite"], true);
}

#[tokio::test]
async fn a_secret_that_is_there_gets_another_value() {
    let there = json!({"__type": "ResourceExistsException", "message": "there"});
    let (target, asked) = services(vec![(400, there), (200, json!({}))]);
    let stored = store_value(&target, ValueStore::Secrets, "name", "s3cr3t");
    stored.await.unwrap();
    let asked = asked.join().unwrap();
    assert_eq!(asked[0].1["Name"], "name");
    assert_eq!(asked[1].1["SecretId"], "name");
    assert_eq!(asked[1].1["SecretString"], "s3cr3t");
    assert_ne!(
        asked[0].1["ClientRequestToken"],
        asked[1].1["ClientRequestToken"]
    );
}
