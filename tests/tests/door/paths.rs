//! Every path that the emulator serves, asked for by strangers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use acceptance::strangers::Request;
use acceptance::{python, succeed};

use crate::assert_none;
use crate::target::{KEY, Stages, Target};

const PATHS: &str = include_str!("attack/paths.py");

pub(crate) fn no_path_of_the_emulator_serves_a_stranger(stages: &Stages) {
    let target = stages.plain();
    let rows = paths(target);
    let port = target.emulator();
    let workers = 8;
    let chunk = rows.len().div_ceil(workers);
    let answered: Vec<(String, BTreeMap<String, BTreeSet<String>>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(chunk)
            .map(|rows| {
                scope.spawn(move || {
                    let ask = |row: &Row| (row.title.clone(), answers_to_strangers(row, port));
                    rows.iter().map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });

    let width = rows.iter().map(|row| row.title.len()).max().unwrap();
    let mut table = String::new();
    let mut served = Vec::new();
    for (title, answers) in answered {
        // By what was answered: mostly the same to all.
        let cell = answers
            .iter()
            .map(|(answer, requests)| {
                let requests: Vec<_> = requests.iter().map(String::as_str).collect();
                if answers.len() == 1 {
                    answer.clone()
                } else {
                    format!("{answer} ({})", requests.join(", "))
                }
            })
            .collect::<Vec<_>>()
            .join("; ");
        let refused = ["401", "403", "404"];
        if !answers
            .keys()
            .all(|answer| refused.contains(&answer.as_str()))
        {
            served.push(format!("{title:<width$}  {cell}"));
        }
        table += &format!("{title:<width$}  {cell}\n");
    }
    if stages.verbose {
        println!("{table}");
    }
    assert_none(
        &format!("of {} paths serve a stranger", rows.len()),
        &served,
    );
    // A new version of MiniStack that has other paths shows here.
    insta::assert_snapshot!("paths_of_the_emulator", table);
}

/// Something that the emulator serves.
struct Row {
    title: String,
    path: String,
    host: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl Row {
    fn path(title: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            path: path.into(),
            host: None,
            headers: Vec::new(),
            body: "",
        }
    }
}

/// All that the emulator serves, as far as its source and the stage tell.
fn paths(target: &Target) -> Vec<Row> {
    let stage = &target.stage;
    let bucket = stage.variable("PHOTOS_BUCKET_NAME");
    let port = target.emulator();
    let function = target.functions.keys().next().unwrap();
    let api = target.apis.values().next().unwrap();
    let mut rows = Vec::new();

    // What is there, under its own name.
    for (title, path) in [
        ("/", "/".to_owned()),
        ("/?list-type=2", "/?list-type=2".to_owned()),
        ("/BUCKET", format!("/{bucket}")),
        ("/BUCKET/KEY", format!("/{bucket}/{KEY}")),
        ("/ACCOUNT/QUEUE", "/000000000000/queue".to_owned()),
        (
            "/2015-03-31/functions/FUNCTION",
            format!("/2015-03-31/functions/{function}"),
        ),
        (
            "/2015-03-31/functions/FUNCTION/invocations",
            format!("/2015-03-31/functions/{function}/invocations"),
        ),
        (
            "/_aws/execute-api/API/$default/",
            format!("/_aws/execute-api/{api}/$default/"),
        ),
        (
            "/_aws/execute-api/API/",
            format!("/_aws/execute-api/{api}/"),
        ),
        (
            "/_ministack/lambda-code/ACCOUNT/REGION/FUNCTION",
            format!("/_ministack/lambda-code/000000000000/us-east-1/{function}"),
        ),
        ("//_ministack/health", "//_ministack/health".to_owned()),
        ("/%5Fministack/health", "/%5Fministack/health".to_owned()),
        ("/./_ministack/health", "/./_ministack/health".to_owned()),
        (
            "/x/../_ministack/health",
            "/x/../_ministack/health".to_owned(),
        ),
    ] {
        rows.push(Row::path(title, path));
    }
    // Names below localhost lead to this machine, and are addresses of services.
    for (title, host, path) in [
        (
            "BUCKET.localhost/KEY",
            format!("{bucket}.localhost:{port}"),
            format!("/{KEY}"),
        ),
        (
            "BUCKET.s3.localhost/KEY",
            format!("{bucket}.s3.localhost:{port}"),
            format!("/{KEY}"),
        ),
        (
            "API.execute-api.localhost/",
            format!("{api}.execute-api.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.lambda-url.us-east-1.localhost/",
            format!("{}.lambda-url.us-east-1.localhost:{port}", "x".repeat(32)),
            "/".into(),
        ),
        (
            "x.cloudfront.localhost/",
            format!("x.cloudfront.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.alb.localhost/",
            format!("x.alb.localhost:{port}"),
            "/".into(),
        ),
        (
            "x.appsync-api.localhost/graphql",
            format!("x.appsync-api.localhost:{port}"),
            "/graphql".into(),
        ),
    ] {
        let host = Some(host);
        rows.push(Row {
            host,
            ..Row::path(title, path)
        });
    }
    // Actions of services that have no paths.
    for action in [
        "DynamoDB_20120810.ListTables",
        "DynamoDBStreams_20120810.ListStreams",
        "Logs_20140328.DescribeLogGroups",
        "AmazonSQS.ListQueues",
        "RekognitionService.DetectLabels",
        "AWSCognitoIdentityProviderService.InitiateAuth",
        "AWSCognitoIdentityProviderService.ListUserPools",
        "AWSCognitoIdentityService.GetCredentialsForIdentity",
        "AmazonSSM.DescribeParameters",
        "secretsmanager.ListSecrets",
    ] {
        rows.push(Row {
            headers: vec![
                ("X-Amz-Target", action),
                ("Content-Type", "application/x-amz-json-1.1"),
            ],
            body: "{}",
            ..Row::path(format!("{action} in a header"), "/")
        });
    }
    for body in [
        "Action=ListRoles&Version=2010-05-08",
        "Action=GetCallerIdentity&Version=2011-06-15",
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x&RoleSessionName=x&WebIdentityToken=x",
        "Action=AssumeRoleWithSAML&Version=2011-06-15&RoleArn=x&PrincipalArn=x&SAMLAssertion=x",
        "Action=ListStacks&Version=2010-05-15",
        "Action=ListTopics&Version=2010-03-31",
        "Action=ConfirmSubscription&Version=2010-03-31&TopicArn=x&Token=x",
        "Action=ListQueues&Version=2012-11-05",
    ] {
        let action = body.split(['=', '&']).nth(1).unwrap();
        rows.push(Row {
            headers: vec![("Content-Type", "application/x-www-form-urlencoded")],
            body,
            ..Row::path(format!("{action} in a form"), "/")
        });
        rows.push(Row::path(
            format!("{action} in a query"),
            format!("/?{body}"),
        ));
    }
    let paths = succeed(Command::new(python()).args(["-c", PATHS]).arg(ministack()));
    let paths: Vec<String> = serde_json::from_str(&paths).unwrap();
    assert!(
        paths.len() > 500,
        "{} paths: has MiniStack's source moved?",
        paths.len()
    );
    // What wipes the stage comes last.
    let (reset, others): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.contains("reset"));
    for path in others.into_iter().chain(reset) {
        rows.push(Row::path(path.clone(), path));
    }
    rows
}

/// The folder of MiniStack's source.
fn ministack() -> PathBuf {
    let find = "import importlib.util; print(importlib.util.find_spec('ministack').submodule_search_locations[0])";
    PathBuf::from(succeed(Command::new(python()).args(["-c", find])).trim())
}

/// What a row answers, and the requests that it answers so.
fn answers_to_strangers(row: &Row, port: u16) -> BTreeMap<String, BTreeSet<String>> {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ask = |method: &str, how: &str, host: Option<&str>, more: &[(&str, &str)]| {
        let headers = [row.headers.as_slice(), more].concat();
        let mut request = Request::new(method, &row.path)
            .headers(&headers)
            .body(row.body);
        request.host = host.or(row.host.as_deref());
        let answer = request.send(port);
        let requests = answers.entry(answer.to_string()).or_default();
        requests.insert(format!("{method}{how}"));
    };
    let origin = ("Origin", "http://attacker.test");
    let preflight = [
        origin,
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        ask(method, "", None, &[]);
    }
    for method in ["GET", "POST"] {
        ask(method, " from another origin", None, &[origin]);
        ask(method, " of another host", Some("attacker.test"), &[]);
    }
    ask("OPTIONS", " from another origin", None, &preflight);
    answers
}
