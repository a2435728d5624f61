use serde_json::json;

use super::*;
use crate::testing::*;

const CALLER: &str = "arn:aws:iam::123456789012:user/ann";

fn result(action: &str, resource: &str, decision: &str, missing: &str) -> String {
    format!(
        "<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>
  <EvalDecision>{decision}</EvalDecision><MatchedStatements/><MissingContextValues>{missing}</MissingContextValues></member>"
    )
}

fn results(results: &[String]) -> Answer {
    let results = results.concat();
    query(
        "SimulatePrincipalPolicy",
        &format!(
            "<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        ),
    )
}

async fn denied_by(aws: &Aws, policy: &Value) -> Vec<Denied> {
    let target = Target {
        caller_arn: CALLER.to_owned(),
        ..aws.target()
    };
    denied(&target, &policy.to_string()).await
}

#[test]
fn a_session_is_traced_to_its_role() {
    assert_eq!(
        assumed_role("arn:aws:sts::123456789012:assumed-role/Deployer/ann"),
        Some("Deployer")
    );
    assert_eq!(assumed_role("arn:aws:iam::123456789012:user/ann"), None);
}

#[test]
fn what_is_simulated_matches_what_the_policy_allows() {
    for (pattern, expected) in [
        ("*", "*"),
        (
            "arn:aws:lambda:*:*:function:app-dev-*",
            "arn:aws:lambda:eu-west-1:123456789012:function:app-dev-preflight",
        ),
        (
            "arn:aws:s3:::app-dev-*/*",
            "arn:aws:s3:::app-dev-preflight/preflight",
        ),
        (
            "arn:aws:apigateway:us-east-1::/apis/*",
            "arn:aws:apigateway:us-east-1::/apis/preflight",
        ),
        (
            "arn:aws:lambda:*:*:event-source-mapping:*",
            "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:preflight",
        ),
        ("lambda.amazonaws.com", "lambda.amazonaws.com"),
    ] {
        assert_eq!(sample(pattern, "eu-west-1", "123456789012"), expected);
    }
}

/// Whether a pattern of IAM matches a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|end| rest.get(end..).is_some_and(|text| matches(after, text)))
        }),
    }
}

/// Whoever has the policies that the tool recommends is not told that they may not deploy.
#[test]
fn the_recommended_policies_allow_what_is_simulated() {
    // One of them is limited to a region and an account, the other is not.
    let policies = [
        include_str!("../../../manifest/tests/golden/dev.deployer.json"),
        include_str!("../../../manifest/tests/golden/every-setting.deployer.json"),
    ]
    .map(|golden| serde_json::from_str::<Vec<Value>>(golden).unwrap())
    .concat();
    let mut simulated = 0;
    for policy in policies {
        let statements = policy["Statement"].as_array().unwrap();
        let found = simulations(&policy.to_string(), "eu-west-1", "123456789012");
        assert_eq!(found.len(), statements.len());
        for (simulation, statement) in found.iter().zip(statements) {
            simulated += simulation.actions.len();
            assert_eq!(simulation.actions, texts(&statement["Action"]));
            assert_eq!(
                simulation.resources.len(),
                texts(&statement["Resource"]).len()
            );
            for (pattern, sample) in &simulation.resources {
                assert!(matches(pattern, sample), "{pattern} {sample}");
                assert!(sample == "*" || !sample.contains('*'), "{sample}");
            }
            let operators = statement["Condition"].as_object().into_iter().flatten();
            for (key, allowed) in operators.flat_map(|(_, keys)| keys.as_object().unwrap()) {
                let given = simulation.context.iter().find(|(name, ..)| name == key);
                let (.., values) = given.unwrap();
                let allowed = texts(allowed);
                let is_met = |value: &String| allowed.iter().any(|pattern| matches(pattern, value));
                assert!(!values.is_empty() && values.iter().all(is_met), "{key}");
            }
        }
    }
    assert!(simulated > 100, "{simulated}");
}

#[tokio::test]
async fn each_statement_is_simulated_with_its_resources_and_its_context() {
    let aws = Aws::new().on("SimulatePrincipalPolicy", [results(&[])]);
    let policy = json!({"Statement": [{
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": "arn:aws:iam::*:role/app-dev-*",
        "Condition": {
            "StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "codedeploy.amazonaws.com"]},
            "Bool": {"aws:SecureTransport": "true"},
        },
    }]});
    assert_eq!(denied_by(&aws, &policy).await, []);
    let [request] = &aws.calls("SimulatePrincipalPolicy")[..] else {
        panic!("one statement, one simulation");
    };
    for (name, value) in [
        ("PolicySourceArn", CALLER),
        ("ActionNames.member.1", "iam:PassRole"),
        (
            "ResourceArns.member.1",
            "arn:aws:iam::123456789012:role/app-dev-preflight",
        ),
        (
            "ContextEntries.member.2.ContextKeyName",
            "iam:PassedToService",
        ),
        ("ContextEntries.member.2.ContextKeyType", "string"),
        (
            "ContextEntries.member.2.ContextKeyValues.member.1",
            "lambda.amazonaws.com",
        ),
        (
            "ContextEntries.member.1.ContextKeyName",
            "aws:SecureTransport",
        ),
        ("ContextEntries.member.1.ContextKeyType", "boolean"),
    ] {
        let found = request.parameter(name);
        assert_eq!(found, Some(value), "{name}");
    }
    let second = "ContextEntries.member.2.ContextKeyValues.member.2";
    assert_eq!(request.parameter(second), None);
}

#[tokio::test]
async fn what_is_denied_is_told_by_the_resource_of_the_policy() {
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:app-dev-preflight";
    let aws = Aws::new().on(
        "SimulatePrincipalPolicy",
        [results(&[
            result("lambda:CreateFunction", function, "implicitDeny", ""),
            result("lambda:DeleteFunction", function, "explicitDeny", ""),
            result("lambda:GetFunction", function, "allowed", ""),
            // The caller's policies ask for more than is known here.
            result(
                "lambda:TagResource",
                function,
                "implicitDeny",
                "<member>aws:MultiFactorAuthPresent</member>",
            ),
        ])],
    );
    let policy = json!({"Statement": [{"Action": "lambda:*", "Resource": "arn:aws:lambda:*:*:function:app-dev-*"}]});
    let denied = denied_by(&aws, &policy).await;
    assert_eq!(
        denied,
        ["lambda:CreateFunction", "lambda:DeleteFunction"].map(|action| Denied {
            action: action.to_owned(),
            resource: "arn:aws:lambda:*:*:function:app-dev-*".to_owned(),
        })
    );
}

#[tokio::test]
async fn whoever_may_not_simulate_is_told_nothing() {
    let aws = Aws::new().on(
        "SimulatePrincipalPolicy",
        [query_error("AccessDenied", "no")],
    );
    let policy = json!({"Statement": [{"Action": "s3:ListBucket", "Resource": "*"}]});
    assert_eq!(denied_by(&aws, &policy).await, []);
}

#[tokio::test]
async fn a_service_that_a_region_lacks_has_no_address() {
    for (region, host) in [
        ("eu-north-1", "cloudformation.eu-north-1.amazonaws.com"),
        ("cn-north-1", "cloudformation.cn-north-1.amazonaws.com.cn"),
    ] {
        assert_eq!(cloudformation_host(region).await.as_deref(), Some(host));
    }
    let control = "cloudformation.eu-north-1.amazonaws.com";
    let services = ["dynamodb", "textract"];
    let looked_up = |answer: fn(&str) -> Option<bool>| async move {
        without_address(&services, control, async |host: String| answer(&host)).await
    };
    let found = looked_up(|host| Some(!host.starts_with("textract."))).await;
    assert_eq!(found, ["textract"]);
    // No network, or none that knows AWS.
    assert_eq!(looked_up(|_| Some(false)).await, [""; 0]);
    assert_eq!(looked_up(|_| None).await, [""; 0]);
}
