use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::*;
use crate::stack;
use crate::testing::*;

/// The error if CloudFormation gives this answer to a deployment's first request.
async fn told(answer: Answer) -> Error {
    let aws = Aws::new().on("DescribeStacks", [answer]);
    stack::describe(&aws.target(), STACK).await.unwrap_err()
}

#[tokio::test]
async fn failures_of_every_call_are_told_apart() {
    for (code, message, kind, hint) in [
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            ErrorKind::ExpiredCredentials,
            "sign in again",
        ),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            ErrorKind::RejectedCredentials,
            "does not accept",
        ),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
            ErrorKind::RejectedCredentials,
            "does not accept",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261120T000000Z is now earlier than 20261120T001000Z (20261120T001500Z - 5 min.)",
            ErrorKind::ClockSkew,
            "clock",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature not yet current: 20261120T002000Z is still later than 20261120T001500Z (20261120T001000Z + 5 min.)",
            ErrorKind::ClockSkew,
            "clock",
        ),
        (
            "RequestExpired",
            "Request has expired. Timestamp date is 2026-11-20T08:00:00Z. Current date is 2026-11-20T08:20:00Z.",
            ErrorKind::ClockSkew,
            "clock",
        ),
        (
            "AccessDenied",
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: cloudformation:DescribeStacks on resource: arn:aws:cloudformation:eu-west-1:123456789012:stack/app-dev/* because no identity-based policy allows the cloudformation:DescribeStacks action",
            ErrorKind::AccessDenied,
            "the caller needs cloudformation:DescribeStacks on arn:aws:cloudformation:eu-west-1:123456789012:stack/app-dev/*",
        ),
        (
            "AccessDenied",
            "User: arn:aws:sts::123456789012:assumed-role/Dev/ann is not authorized to perform: cloudformation:DescribeStacks on resource: x with an explicit deny in a service control policy",
            ErrorKind::AccessDenied,
            "only its administrators",
        ),
        (
            "AccessDenied",
            "User: arn:aws:sts::123456789012:assumed-role/Dev/ann is not authorized to perform: cloudformation:DescribeStacks on resource: x because no permissions boundary allows the cloudformation:DescribeStacks action",
            ErrorKind::AccessDenied,
            "permissions boundary leaves out",
        ),
        (
            "AccessDenied",
            "Access Denied",
            ErrorKind::AccessDenied,
            "role",
        ),
        (
            "Throttling",
            "Rate exceeded",
            ErrorKind::Throttled,
            "wait a minute",
        ),
        (
            "InternalFailure",
            "We encountered an internal error",
            ErrorKind::Unavailable,
            "try again",
        ),
    ] {
        let error = told(query_error(code, message)).await;
        assert_eq!(error.kind(), kind, "{message}");
        let next_step = error.next_step().unwrap_or_default();
        assert!(next_step.contains(hint), "{message}\n{next_step}");
        assert!(error.why().unwrap().contains(message), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_passed_on_as_it_is() {
    let error = told(query_error(
        "ValidationError",
        "1 validation error detected",
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(
        error.to_string(),
        "could not describe stack app-dev: 1 validation error detected (ValidationError)"
    );
}

#[tokio::test]
async fn a_missing_stack_is_none() {
    let aws = Aws::new().on("DescribeStacks", [no_stack()]);
    assert!(
        stack::describe(&aws.target(), STACK)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn an_answer_without_a_body_is_told_by_its_status() {
    for (status, kind) in [
        (403, ErrorKind::AccessDenied),
        (404, ErrorKind::NotFound),
        (503, ErrorKind::Unavailable),
    ] {
        let aws = Aws::new().on("HEAD /artifacts/", [empty(status)]);
        let answer = aws.target().s3.head_bucket().bucket("artifacts").send();
        let error = Error::aws("look", &answer.await.unwrap_err());
        assert_eq!(error.kind(), kind, "{status}: {error}");
    }
}

#[tokio::test]
async fn no_network_is_told_with_what_the_connection_said() {
    let aws = Aws::new().unreachable();
    let error = stack::describe(&aws.target(), STACK).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(
        error.why(),
        Some("the AWS endpoint could not be reached: connection reset by peer")
    );
}

/// A chain of credentials that ends with an error.
#[derive(Debug)]
struct Fails(fn() -> CredentialsError);

impl ProvideCredentials for Fails {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn missing_credentials_are_told_apart_from_expired_ones() {
    let cases: [(fn() -> CredentialsError, ErrorKind); 2] = [
        (
            || CredentialsError::not_loaded("no providers in chain provided credentials"),
            ErrorKind::NoCredentials,
        ),
        (
            || CredentialsError::provider_error("the SSO session has expired"),
            ErrorKind::ExpiredCredentials,
        ),
    ];
    for (fails, kind) in cases {
        let target = Aws::new().target_with(SharedCredentialsProvider::new(Fails(fails)));
        let error = stack::describe(&target, STACK).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.next_step().unwrap().contains("aws sso login"));
    }
}

#[test]
fn a_denial_ends_where_the_words_end() {
    let denial = Denial::parse(
        "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/r.",
    );
    let denial = denial.unwrap();
    assert_eq!(denial.action, "iam:PassRole");
    assert_eq!(denial.resource, Some("arn:aws:iam::123456789012:role/r"));
    assert_eq!(
        Denial::parse("You are not authorized to perform this operation."),
        None
    );
}

#[tokio::test]
async fn a_page_in_place_of_an_answer_is_told_as_that() {
    let page = "<html><head><title>Guest Wi-Fi</title></head></html>";
    for status in [200, 403, 502] {
        let error = told(Answer::new(status, page)).await;
        assert_eq!(error.kind(), ErrorKind::NotAws, "{status}");
        let why = error.why().unwrap();
        assert!(
            why.contains(&status.to_string()) && why.contains("Guest Wi-Fi"),
            "{why}"
        );
        assert!(!error.next_step().unwrap().contains("role"), "{error:?}");
    }
}
