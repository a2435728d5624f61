//! Policies of resources, and other ways to open them.

use serde_json::{Value, json};

use super::{compare, lines, template};
use crate::Access;

#[test]
fn resource_policies_of_every_kind_are_read() {
    let document = |principal: &Value| json!({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "x:Do", "Resource": "*"}]});
    let everyone = json!("*");
    let cases = [
        (
            "AWS::S3::BucketPolicy",
            json!({"Bucket": {"Ref": "T"}, "PolicyDocument": document(&everyone)}),
        ),
        (
            "AWS::SQS::QueuePolicy",
            json!({"Queues": [{"Ref": "T"}], "PolicyDocument": document(&everyone)}),
        ),
        (
            "AWS::SQS::QueueInlinePolicy",
            json!({"Queue": {"Ref": "T"}, "PolicyDocument": document(&everyone)}),
        ),
        (
            "AWS::SNS::TopicPolicy",
            json!({"Topics": [{"Ref": "T"}], "PolicyDocument": document(&everyone)}),
        ),
        (
            "AWS::SNS::TopicInlinePolicy",
            json!({"TopicArn": {"Ref": "T"}, "PolicyDocument": document(&everyone)}),
        ),
        (
            "AWS::DynamoDB::Table",
            json!({"ResourcePolicy": {"PolicyDocument": document(&everyone)}}),
        ),
        (
            "AWS::DynamoDB::Table",
            json!({"StreamSpecification": {"ResourcePolicy": {"PolicyDocument": document(&everyone)}}}),
        ),
        (
            "AWS::SecretsManager::ResourcePolicy",
            json!({"SecretId": {"Ref": "T"}, "ResourcePolicy": document(&everyone)}),
        ),
        (
            "AWS::ECR::Repository",
            json!({"RepositoryPolicyText": document(&everyone)}),
        ),
        (
            "AWS::Logs::ResourcePolicy",
            json!({"PolicyName": "p", "PolicyDocument": document(&everyone).to_string()}),
        ),
    ];
    for (kind, properties) in cases {
        let after = json!({"P": {"Type": kind, "Properties": properties}});
        assert_eq!(
            lines(&json!({}), &after),
            ["+! Allow *: x:Do on * [P]"],
            "{kind}"
        );
        let before = json!({"P": {"Type": kind, "Properties": {}}});
        let review = compare(&template(&before), &template(&after));
        assert_eq!(review.access, Access::Broadened, "{kind}");
    }
}

#[test]
fn other_things_with_statements_are_no_policies() {
    let acl = |statement: Value| json!({"W": {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{"Statement": statement}]}}});
    assert_eq!(
        lines(
            &acl(json!({"GeoMatchStatement": {}})),
            &acl(json!({"RateBasedStatement": {}}))
        ),
        Vec::<String>::new()
    );
}

#[test]
fn in_a_key_policy_everything_is_the_key_and_no_policy_is_the_default_one() {
    let root = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}});
    let user = json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": ["*"], "Principal": {"AWS": "ann"}});
    let key = |properties: Value| json!({"K": {"Type": "AWS::KMS::Key", "Properties": properties}});
    let default = key(json!({}));
    let explicit = key(json!({"KeyPolicy": {"Statement": root}}));
    assert_eq!(lines(&default, &explicit), Vec::<String>::new());
    let shared = key(json!({"KeyPolicy": {"Statement": [user]}}));
    assert_eq!(
        lines(&default, &shared),
        [
            "+! Allow AWS: ann: kms:Decrypt on ${K.Arn} [K]",
            "- Allow AWS: arn:${AWS::Partition}:iam::${AWS::AccountId}:root: kms:* on ${K.Arn} [K]",
        ]
    );
}

#[test]
fn a_statement_about_one_resource_covers_none_about_another() {
    let both = |extra: Value| {
        let mut second =
            vec![json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "b"})];
        second.extend(extra.as_object().map(|_| extra.clone()));
        json!({
            "A": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "a", "PolicyDocument": {"Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"},
            ]}}},
            "B": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b", "PolicyDocument": {"Statement": second}}},
        })
    };
    let read =
        json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"});
    assert_eq!(
        lines(&both(Value::Null), &both(read)),
        ["+! Allow *: s3:GetObject on * [B]"]
    );
}

#[test]
fn a_function_permission_has_the_conditions_that_lambda_makes_of_it() {
    let permission = |properties: Value| json!({"P": {"Type": "AWS::Lambda::Permission", "Properties": properties}});
    let guarded = permission(json!({
        "FunctionName": {"Fn::GetAtt": ["F", "Arn"]}, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::b", "SourceAccount": {"Ref": "AWS::AccountId"},
    }));
    let open = permission(json!({
        "FunctionName": {"Fn::GetAtt": ["F", "Arn"]}, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::b",
    }));
    assert_eq!(
        lines(&json!({}), &guarded),
        [
            "+! Allow Service: s3.amazonaws.com: lambda:InvokeFunction on ${F.Arn} if ArnLike aws:SourceArn arn:aws:s3:::b if StringEquals aws:SourceAccount ${AWS::AccountId} [P]"
        ]
    );
    let access =
        |before: &Value, after: &Value| compare(&template(before), &template(after)).access;
    assert_eq!(access(&guarded, &open), Access::Broadened);
    assert_eq!(access(&open, &guarded), Access::Narrowed);
}

#[test]
fn a_function_url_is_open_by_its_permission_and_its_own_word() {
    let url = |auth: &str| {
        json!({
            "U": {"Type": "AWS::Lambda::Url", "Properties": {"AuthType": auth, "TargetFunctionArn": {"Ref": "F"}}},
            "P": {"Type": "AWS::Lambda::Permission", "Properties": {
                "FunctionName": {"Ref": "F"}, "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": auth,
            }},
        })
    };
    assert_eq!(
        lines(&url("AWS_IAM"), &url("NONE")),
        [
            "+! Allow *: lambda:InvokeFunctionUrl on ${F} if StringEquals lambda:FunctionUrlAuthType NONE [P]",
            "+! Allow *: lambda:InvokeFunctionUrl on ${F} [U]",
            "-= Allow *: lambda:InvokeFunctionUrl on ${F} if StringEquals lambda:FunctionUrlAuthType AWS_IAM [P]",
        ]
    );
}

#[test]
fn a_route_that_loses_its_authorization_is_open_to_everyone() {
    let route = |authorization: Value| {
        let mut properties = json!({"ApiId": {"Ref": "Api"}, "RouteKey": "GET /"});
        for (key, value) in authorization.as_object().unwrap() {
            properties[key] = value.clone();
        }
        json!({"G": {"Type": "AWS::ApiGatewayV2::Route", "Properties": properties}})
    };
    let open = route(json!({}));
    let iam = route(json!({"AuthorizationType": "AWS_IAM"}));
    let jwt = route(
        json!({"AuthorizationType": "JWT", "AuthorizerId": {"Ref": "A"}, "AuthorizationScopes": ["read"]}),
    );
    assert_eq!(
        lines(&iam, &open),
        ["+! Allow *: execute-api:Invoke on ${Api} GET / [G]"]
    );
    assert_eq!(
        lines(&jwt, &open),
        [
            "+! Allow *: execute-api:Invoke on ${Api} GET / [G]",
            "- Allow JWT: ${A}: execute-api:Invoke on ${Api} GET / if ForAnyValue:StringEquals token:scope read [G]",
        ]
    );
    assert_eq!(
        lines(&open, &iam),
        ["- Allow *: execute-api:Invoke on ${Api} GET / [G]"]
    );
}

#[test]
fn a_denial_may_go_with_what_it_guards_unless_that_is_retained() {
    let guarded = |policy: &str| {
        json!({
            "B": {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy, "Properties": {}},
            "P": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "B"}, "PolicyDocument": {"Statement":
                {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"},
            }}},
        })
    };
    let mut unguarded = guarded("Delete");
    unguarded.as_object_mut().unwrap().remove("P");
    assert_eq!(
        lines(&guarded("Delete"), &json!({})),
        ["- Deny *: s3:* on * [P]"]
    );
    for kept in ["Retain", "RetainExceptOnCreate", "Snapshot"] {
        assert_eq!(
            lines(&guarded(kept), &json!({})),
            ["-! Deny *: s3:* on * [P]"]
        );
    }
    assert_eq!(
        lines(&guarded("Delete"), &unguarded),
        ["-! Deny *: s3:* on * [P]"]
    );
}
