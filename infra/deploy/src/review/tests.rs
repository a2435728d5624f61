#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Action, Replacement};

fn template(resources: &Value) -> String {
    json!({"Resources": resources}).to_string()
}

fn compare(before: &str, after: &str) -> Review {
    let parameters = BTreeMap::new();
    let declared = |template| Declared {
        template,
        parameters: &parameters,
    };
    review(Some(declared(before)), declared(after)).unwrap()
}

/// A row as a line: `+` or `-`, `!` if access is broadened and `=` if it is unchanged, then
/// what the row says.
fn line(row: &AccessChange) -> String {
    let conditions: Vec<String> = row
        .conditions
        .iter()
        .map(|condition| {
            let values = condition.values.join("|");
            format!(" if {} {} {values}", condition.operator, condition.key)
        })
        .collect();
    format!(
        "{}{} {:?} {}: {} on {}{} [{}]",
        match row.difference {
            Difference::Added => '+',
            Difference::Removed => '-',
        },
        match row.access {
            Access::Unchanged => "=",
            Access::Narrowed => "",
            Access::Broadened => "!",
        },
        row.effect,
        row.principal,
        row.actions.join(", "),
        row.resource,
        conditions.concat(),
        row.declared_by,
    )
}

fn lines(before: &Value, after: &Value) -> Vec<String> {
    let review = compare(&template(before), &template(after));
    review.access_changes.iter().map(line).collect()
}

fn allow(action: &str, resource: &Value) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

fn role(statements: &[Value]) -> Value {
    json!({"R": {"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": {"Statement": []},
        "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": statements}}],
    }}})
}

fn table() -> Value {
    json!({"Fn::GetAtt": ["Users", "Arn"]})
}

#[test]
fn a_new_stack_broadens_by_everything_it_allows() {
    let role = role(&[allow("dynamodb:Scan", &table())]);
    let parameters = BTreeMap::new();
    let review = review(
        None,
        Declared {
            template: &template(&role),
            parameters: &parameters,
        },
    )
    .unwrap();
    assert_eq!(review.access, Access::Broadened);
    assert_eq!(
        review.access_changes.iter().map(line).collect::<Vec<_>>(),
        ["+! Allow ${R}: dynamodb:Scan on ${Users.Arn} [R]"]
    );
}

#[test]
fn an_inline_policy_that_gains_and_loses_actions() {
    let before = role(&[
        json!({"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Scan"], "Resource": table()}),
    ]);
    let after = role(&[
        json!({"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:DeleteItem"], "Resource": table()}),
    ]);
    assert_eq!(
        lines(&before, &after),
        [
            "+! Allow ${R}: dynamodb:DeleteItem, dynamodb:PutItem on ${Users.Arn} [R]",
            "- Allow ${R}: dynamodb:Scan on ${Users.Arn} [R]",
        ]
    );
}

#[test]
fn a_deny_is_the_other_way_round() {
    let deny = json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"});
    assert_eq!(
        lines(&role(&[]), &role(std::slice::from_ref(&deny))),
        ["+ Deny ${R}: s3:* on * [R]"]
    );
    assert_eq!(
        lines(&role(&[deny]), &role(&[])),
        ["-! Deny ${R}: s3:* on * [R]"]
    );
}

#[test]
fn what_a_wider_statement_covers_is_no_change_of_access() {
    let wide = allow("s3:Get*", &json!("*"));
    let narrow = allow("S3:GetObject", &json!("arn:aws:s3:::b/*"));
    assert_eq!(
        lines(
            &role(std::slice::from_ref(&wide)),
            &role(&[wide.clone(), narrow.clone()])
        ),
        ["+= Allow ${R}: S3:GetObject on arn:aws:s3:::b/* [R]"]
    );
    // Narrowing in place, and the way back.
    assert_eq!(
        lines(
            &role(std::slice::from_ref(&wide)),
            &role(std::slice::from_ref(&narrow))
        ),
        [
            "- Allow ${R}: s3:Get* on * [R]",
            "+= Allow ${R}: S3:GetObject on arn:aws:s3:::b/* [R]",
        ]
    );
    assert_eq!(
        lines(&role(&[narrow]), &role(&[wide])),
        [
            "+! Allow ${R}: s3:Get* on * [R]",
            "-= Allow ${R}: S3:GetObject on arn:aws:s3:::b/* [R]",
        ]
    );
}

#[test]
fn a_wildcard_that_is_not_wider_covers_nothing() {
    for (before, after) in [
        ("s3:GetObject", "s3:GetObject*"),
        ("s3:Get?", "s3:Get*"),
        ("s3:Get*", "s3:PutObject"),
        ("s3:*", "sqs:SendMessage"),
    ] {
        let on = |action| role(&[allow(action, &json!("*"))]);
        let review = compare(&template(&on(before)), &template(&on(after)));
        assert_eq!(review.access, Access::Broadened, "{before} -> {after}");
    }
}

#[test]
fn a_condition_that_is_added_narrows_and_one_that_goes_or_changes_broadens() {
    let statement = |condition: Value| {
        role(&[
            json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": condition}),
        ])
    };
    let free = role(&[allow("iam:PassRole", &json!("*"))]);
    let one = statement(json!({"StringEquals": {"iam:PassedToService": "a"}}));
    let other = statement(json!({"StringEquals": {"iam:PassedToService": ["a", "b"]}}));
    let both = statement(
        json!({"StringEquals": {"iam:PassedToService": ["a"]}, "Bool": {"aws:SecureTransport": true}}),
    );
    let access =
        |before: &Value, after: &Value| compare(&template(before), &template(after)).access;
    assert_eq!(access(&free, &one), Access::Narrowed);
    assert_eq!(access(&one, &both), Access::Narrowed);
    assert_eq!(access(&both, &one), Access::Broadened);
    assert_eq!(access(&one, &free), Access::Broadened);
    assert_eq!(access(&one, &other), Access::Broadened);
    assert_eq!(
        lines(&free, &one),
        [
            "- Allow ${R}: iam:PassRole on * [R]",
            "+= Allow ${R}: iam:PassRole on * if StringEquals iam:PassedToService a [R]",
        ]
    );
}

#[test]
fn exclusions_are_broadened_whenever_they_change() {
    let all_but = |actions: Value| {
        role(&[json!({"Effect": "Deny", "NotAction": actions, "NotResource": "x"})])
    };
    assert_eq!(
        lines(
            &all_but(json!(["b", "a"])),
            &all_but(json!(["c", "a", "b"]))
        ),
        [
            "-! Deny ${R}: all but a, b on all but x [R]",
            "+! Deny ${R}: all but a, b, c on all but x [R]",
        ]
    );
    assert_eq!(
        lines(&all_but(json!(["b", "a"])), &all_but(json!(["a", "b"]))),
        Vec::<String>::new()
    );
}

#[test]
fn a_trust_policy_says_who_may_become_the_role() {
    let trust = |principal: Value| {
        json!({"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": {
            "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole",
        }}}}})
    };
    assert_eq!(
        lines(
            &trust(json!({"Service": "lambda.amazonaws.com"})),
            &trust(json!({"Service": ["lambda.amazonaws.com"], "AWS": "123456789012"})),
        ),
        ["+! Allow AWS: 123456789012: sts:AssumeRole on ${R.Arn} [R]"]
    );
}

#[test]
fn a_permissions_boundary_that_goes_or_is_replaced_broadens() {
    let bounded = |boundary: Value| {
        json!({"R": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Statement": []}, "PermissionsBoundary": boundary,
        }}})
    };
    let (none, one, other) = (
        bounded(Value::Null),
        bounded(json!("arn:aws:iam::123456789012:policy/one")),
        bounded(json!("arn:aws:iam::123456789012:policy/other")),
    );
    assert_eq!(
        lines(&one, &none),
        [
            "-! Deny ${R}: (outside the permissions boundary) on arn:aws:iam::123456789012:policy/one [R]"
        ]
    );
    let access =
        |before: &Value, after: &Value| compare(&template(before), &template(after)).access;
    assert_eq!(access(&none, &one), Access::Narrowed);
    assert_eq!(access(&one, &other), Access::Broadened);
}

#[test]
fn a_managed_policy_from_elsewhere_is_a_row() {
    let with = |arns: Value| {
        json!({"R": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Statement": []}, "ManagedPolicyArns": arns,
        }}})
    };
    let aws = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    let ours = "arn:aws:iam::123456789012:policy/ours";
    let deny = "arn:aws:iam::aws:policy/AWSDenyAll";
    let none = with(json!([]));
    assert_eq!(
        lines(&none, &with(json!([aws]))),
        [format!("+! Allow ${{R}}: (managed policy) on {aws} [R]")]
    );
    assert_eq!(
        lines(&with(json!([aws])), &none),
        [format!("- Allow ${{R}}: (managed policy) on {aws} [R]")]
    );
    assert_eq!(
        lines(&with(json!([ours])), &none),
        [format!("-! Allow ${{R}}: (managed policy) on {ours} [R]")]
    );
    assert_eq!(
        lines(&with(json!([deny])), &none),
        [format!("-! Deny ${{R}}: (managed policy) on {deny} [R]")]
    );
}

#[test]
fn it_does_not_matter_by_which_kind_of_policy_a_role_has_a_permission() {
    let document = json!({"Statement": allow("dynamodb:Scan", &table())});
    let inline = role(&[allow("dynamodb:Scan", &table())]);
    let with = |resources: Value| {
        let mut all = role(&[]);
        for (id, resource) in resources.as_object().unwrap() {
            all[id] = resource.clone();
        }
        all
    };
    let policy = with(json!({"P": {"Type": "AWS::IAM::Policy", "Properties": {
        "PolicyName": "p", "PolicyDocument": document, "Roles": [{"Ref": "R"}],
    }}}));
    let role_policy = with(json!({"P": {"Type": "AWS::IAM::RolePolicy", "Properties": {
        "PolicyName": "p", "PolicyDocument": document, "RoleName": {"Ref": "R"},
    }}}));
    let managed = with(
        json!({"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "PolicyDocument": document, "Roles": [{"Ref": "R"}],
        }}}),
    );
    let mut attached = with(
        json!({"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "PolicyDocument": document,
        }}}),
    );
    attached["R"]["Properties"]["ManagedPolicyArns"] = json!([{"Ref": "P"}]);
    for other in [&policy, &role_policy, &managed, &attached] {
        assert_eq!(lines(&inline, other), Vec::<String>::new(), "{other}");
        assert_eq!(
            lines(&role(&[]), other),
            ["+! Allow ${R}: dynamodb:Scan on ${Users.Arn} [P]"]
        );
    }
}

#[test]
fn a_managed_policy_that_nobody_here_holds_is_its_own_principal() {
    let policy = |statement: Value| {
        json!({"P": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "PolicyDocument": {"Statement": statement},
        }}})
    };
    assert_eq!(
        lines(
            &policy(json!([])),
            &policy(allow("s3:GetObject", &json!("*")))
        ),
        ["+! Allow ${P}: s3:GetObject on * [P]"]
    );
}

#[test]
fn a_boundary_of_the_template_is_compared_by_itself() {
    let bounded = |action: &str| {
        let mut template = role(&[allow("*", &json!("*"))]);
        template["R"]["Properties"]["PermissionsBoundary"] = json!({"Ref": "B"});
        template["R"]["Properties"]["ManagedPolicyArns"] = json!([{"Ref": "B"}]);
        template["B"] = json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": {
            "PolicyDocument": {"Statement": allow(action, &json!("*"))},
        }});
        template
    };
    let review = compare(&template(&bounded("s3:*")), &template(&bounded("*")));
    assert_eq!(review.access, Access::Broadened);
}

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

#[test]
fn what_is_not_understood_is_broadened_when_it_changes() {
    let unknown = |value: &str| {
        role(&[json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Quantum": value})])
    };
    let review = compare(&template(&unknown("a")), &template(&unknown("b")));
    assert_eq!(review.access, Access::Broadened);
    let same = compare(&template(&unknown("a")), &template(&unknown("a")));
    assert_eq!(same.access_changes, []);
    let macros = |names: Value| json!({"Transform": names, "Resources": {}}).to_string();
    let review = compare(&macros(json!(["A"])), &macros(json!(["A", "B"])));
    assert_eq!(review.access, Access::Broadened);
}

#[test]
fn a_parameter_counts_by_its_value() {
    let template = r#"
Parameters:
  Partner: {Type: String}
Resources:
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          Effect: Allow
          Action: sts:AssumeRole
          Principal: {AWS: !Sub "arn:aws:iam::${Partner}:root"}
"#;
    let value = |partner: &str| BTreeMap::from([("Partner".to_owned(), partner.to_owned())]);
    let (one, other) = (value("111111111111"), value("222222222222"));
    let declared = |parameters| Declared {
        template,
        parameters,
    };
    let changed = review(Some(declared(&one)), declared(&other)).unwrap();
    assert_eq!(
        changed.access_changes.iter().map(line).collect::<Vec<_>>(),
        [
            "+! Allow AWS: arn:aws:iam::222222222222:root: sts:AssumeRole on ${R.Arn} [R]",
            "- Allow AWS: arn:aws:iam::111111111111:root: sts:AssumeRole on ${R.Arn} [R]",
        ]
    );
    let same = review(Some(declared(&one)), declared(&one)).unwrap();
    assert_eq!(same.access, Access::Unchanged);
    assert_eq!(same.access_changes, []);
}

#[test]
fn a_condition_of_the_template_is_part_of_the_permission() {
    let conditional = |region: &str, condition: Value| {
        let mut resources = role(&[allow("s3:GetObject", &json!("*"))]);
        resources["R"]["Condition"] = condition;
        json!({
            "Conditions": {"Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, region]}},
            "Resources": resources,
        })
        .to_string()
    };
    let always = conditional("a", Value::Null);
    let here = conditional("a", json!("Here"));
    let there = conditional("b", json!("Here"));
    assert_eq!(compare(&here, &always).access, Access::Broadened);
    assert_eq!(compare(&always, &here).access, Access::Narrowed);
    // The name is the same, the condition is not.
    assert_eq!(compare(&here, &there).access, Access::Broadened);
}

#[test]
fn properties_are_shown_by_the_templates_where_cloudformation_tells_none() {
    let function = |memory: u32, table: Value| {
        json!({"F": {"Type": "AWS::Lambda::Function", "DeletionPolicy": "Delete", "Properties": {
            "MemorySize": memory, "Environment": {"Variables": {"TABLE": table}},
        }}})
    };
    let review = compare(
        &template(&function(128, json!("a"))),
        &template(&function(256, json!({"Ref": "Users"}))),
    );
    let change = |path: &str, before: &str, after: &str| PropertyChange {
        path: path.to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
    };
    assert_eq!(
        review.property_changes,
        BTreeMap::from([(
            "F".to_owned(),
            vec![
                change("Environment.Variables.TABLE", "a", "${Users}"),
                change("MemorySize", "128", "256"),
            ]
        )])
    );
    assert_eq!(review.access, Access::Unchanged);
}

#[test]
fn cloudformation_has_the_word_on_values_if_it_says_any() {
    let function = |memory: u32| json!({"F": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": memory}}});
    let review = compare(&template(&function(128)), &template(&function(256)));
    let told = |before: Option<&str>| Change {
        action: Action::Modify,
        logical_id: "F".to_owned(),
        physical_id: None,
        resource_type: "AWS::Lambda::Function".to_owned(),
        replacement: Replacement::Never,
        properties: vec!["MemorySize".to_owned()],
        property_changes: vec![PropertyChange {
            path: "MemorySize".to_owned(),
            before: before.map(str::to_owned),
            after: None,
        }],
        drifted: false,
    };
    let (names, values) = (told(None), told(Some("192")));
    assert_eq!(
        review.properties_of(&names)[0].before.as_deref(),
        Some("128")
    );
    assert_eq!(
        review.properties_of(&values)[0].before.as_deref(),
        Some("192")
    );
}

#[test]
fn a_review_is_json_for_scripts() {
    let before = role(&[]);
    let after = role(&[
        json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": {"StringEquals": {"iam:PassedToService": "a"}}}),
    ]);
    let mut review = serde_json::to_value(compare(&template(&before), &template(&after))).unwrap();
    review.as_object_mut().unwrap().remove("property_changes");
    assert_eq!(
        review,
        json!({
            "access": "broadened",
            "access_changes": [{
                "difference": "added",
                "access": "broadened",
                "effect": "Allow",
                "principal": "${R}",
                "actions": ["iam:PassRole"],
                "resource": "*",
                "conditions": [{"operator": "StringEquals", "key": "iam:PassedToService", "values": ["a"]}],
                "declared_by": "R",
            }],
        })
    );
}

/// This app's own template.
mod app {
    use super::*;

    fn deployed() -> Value {
        let golden = include_str!("../../../app/tests/golden/prod.yaml");
        serde_yaml::from_str(golden).unwrap()
    }

    /// The statement of the API's role that lets it read the media table.
    fn reads_media(template: &mut Value) -> &mut Value {
        let policies = &mut template["Resources"]["MediaApiRole"]["Properties"]["Policies"];
        policies[0]["PolicyDocument"]["Statement"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|statement| statement["Resource"] == json!({"Fn::GetAtt": ["MediaTable", "Arn"]}))
            .unwrap()
    }

    fn changed(change: impl FnOnce(&mut Value)) -> (Access, Vec<String>) {
        let mut after = deployed();
        change(&mut after);
        // What is deployed is YAML, and this is JSON.
        let before = include_str!("../../../app/tests/golden/prod.yaml");
        let review = compare(before, &after.to_string());
        (
            review.access,
            review.access_changes.iter().map(line).collect(),
        )
    }

    #[test]
    fn nothing_changes_by_itself() {
        assert_eq!(changed(|_| {}), (Access::Unchanged, vec![]));
    }

    #[test]
    fn a_grant_is_added() {
        assert_eq!(
            changed(|template| {
                let actions = reads_media(template)["Action"].as_array_mut().unwrap();
                actions.push(json!("dynamodb:DeleteItem"));
            }),
            (
                Access::Broadened,
                vec![
                    "+! Allow ${MediaApiRole}: dynamodb:DeleteItem on ${MediaTable.Arn} [MediaApiRole]"
                        .to_owned()
                ]
            )
        );
    }

    #[test]
    fn a_grant_is_removed() {
        assert_eq!(
            changed(|template| {
                let actions = reads_media(template)["Action"].as_array_mut().unwrap();
                actions.retain(|action| action != "dynamodb:Scan");
            }),
            (
                Access::Narrowed,
                vec![
                    "- Allow ${MediaApiRole}: dynamodb:Scan on ${MediaTable.Arn} [MediaApiRole]"
                        .to_owned()
                ]
            )
        );
    }

    #[test]
    fn a_condition_goes() {
        let (access, lines) = changed(|template| {
            let role = &mut template["Resources"]["VideoPublisherRole"]["Properties"];
            let trust = &mut role["AssumeRolePolicyDocument"]["Statement"][0];
            trust["Condition"]
                .as_object_mut()
                .unwrap()
                .remove("StringEquals");
        });
        assert_eq!(access, Access::Broadened);
        let source = "if ArnLikeIfExists aws:SourceArn arn:${AWS::Partition}:rekognition:${AWS::Region}:${AWS::AccountId}:*";
        let subject =
            "Service: rekognition.amazonaws.com: sts:AssumeRole on ${VideoPublisherRole.Arn}";
        assert_eq!(
            lines,
            [
                format!("+! Allow {subject} {source} [VideoPublisherRole]"),
                format!(
                    "-= Allow {subject} {source} if StringEquals aws:SourceAccount ${{AWS::AccountId}} [VideoPublisherRole]"
                ),
            ]
        );
    }

    #[test]
    fn removing_a_function_with_its_queue_broadens_nothing() {
        let (access, lines) = changed(|template| {
            let resources = template["Resources"].as_object_mut().unwrap();
            resources.retain(|id, _| !id.contains("AddVideoFile"));
        });
        assert_eq!(access, Access::Narrowed, "{lines:#?}");
        assert!(lines.len() > 3);
    }

    #[test]
    fn production_without_its_bucket_policy_is_broadened() {
        let prod = include_str!("../../../app/tests/golden/prod.yaml");
        let mut after: Value = serde_yaml::from_str(prod).unwrap();
        let resources = after["Resources"].as_object_mut().unwrap();
        resources.remove("MediaBucket");
        resources.remove("MediaBucketPolicy");
        let review = compare(prod, &after.to_string());
        // The bucket is retained, without what refused plain HTTP.
        assert_eq!(
            review.access_changes.iter().map(line).collect::<Vec<_>>(),
            [
                "-! Deny *: s3:* on ${MediaBucket.Arn} if Bool aws:SecureTransport false [MediaBucketPolicy]",
                "-! Deny *: s3:* on ${MediaBucket.Arn}/* if Bool aws:SecureTransport false [MediaBucketPolicy]",
            ]
        );
    }
}

const ACTIONS: [&str; 7] = [
    "s3:GetObject",
    "s3:PutObject",
    "dynamodb:GetItem",
    "S3:getobject",
    "s3:Get*",
    "s3:*",
    "*",
];
const RESOURCES: [&str; 3] = ["${B.Arn}/x", "${B.Arn}/y", "*"];
/// Operator, key, values that meet it.
const CONDITIONS: [(&str, &str, &[&str]); 3] = [
    ("StringEquals", "k", &["a"]),
    ("StringLike", "k", &["a", "b"]),
    ("Bool", "t", &["true"]),
];

/// A statement that a simple evaluation of policies understands.
#[derive(Debug, Clone)]
struct Statement {
    denies: bool,
    not_action: bool,
    actions: Vec<usize>,
    not_resource: bool,
    resources: Vec<usize>,
    conditions: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    action: &'static str,
    resource: &'static str,
    k: &'static str,
    t: &'static str,
}

impl Statement {
    fn applies_to(&self, request: Request) -> bool {
        let action = self.actions.iter().any(|index| {
            let pattern = ACTIONS[*index].to_lowercase();
            let action = request.action.to_lowercase();
            match pattern.strip_suffix('*') {
                Some(prefix) => action.starts_with(prefix),
                None => action == pattern,
            }
        });
        let resource = self
            .resources
            .iter()
            .any(|index| ["*", request.resource].contains(&RESOURCES[*index]));
        let conditions = self.conditions.iter().all(|index| {
            let (_, key, values) = CONDITIONS[*index];
            values.contains(if key == "k" { &request.k } else { &request.t })
        });
        action != self.not_action && resource != self.not_resource && conditions
    }

    /// The statement, or several, in one of the ways to write it.
    fn written(&self, style: u8) -> Vec<Value> {
        let (split, listed) = (style & 1 == 1, style & 2 == 2);
        let names = |indices: &[usize], all: &[&str]| -> Vec<Value> {
            indices
                .iter()
                .map(|index| {
                    if all[*index].contains("${") {
                        json!({"Fn::Sub": all[*index]})
                    } else {
                        json!(all[*index])
                    }
                })
                .collect()
        };
        let parts = |values: Vec<Value>, may_split: bool| {
            if split && may_split {
                values.into_iter().map(|value| vec![value]).collect()
            } else {
                vec![values]
            }
        };
        let spelled = |mut values: Vec<Value>| {
            if values.len() == 1 && !listed {
                return values.remove(0);
            }
            if listed {
                values.reverse();
            }
            Value::Array(values)
        };
        let mut statements = Vec::new();
        for actions in parts(names(&self.actions, &ACTIONS), !self.not_action) {
            for resources in parts(names(&self.resources, &RESOURCES), !self.not_resource) {
                let mut statement = json!({"Effect": if self.denies { "Deny" } else { "Allow" }});
                let action = if self.not_action {
                    "NotAction"
                } else {
                    "Action"
                };
                let resource = if self.not_resource {
                    "NotResource"
                } else {
                    "Resource"
                };
                statement[action] = spelled(actions.clone());
                statement[resource] = spelled(resources);
                for index in &self.conditions {
                    let (operator, key, values) = CONDITIONS[*index];
                    let values = values.iter().map(|value| json!(value)).collect();
                    statement["Condition"][operator][key] = spelled(values);
                }
                if listed {
                    statement["Sid"] = json!(format!("S{}", statements.len()));
                }
                statements.push(statement);
            }
        }
        statements
    }
}

fn written(statements: &[Statement], style: u8) -> Value {
    let mut all: Vec<Value> = statements
        .iter()
        .flat_map(|statement| statement.written(style))
        .collect();
    if style & 4 == 4 {
        all.reverse();
    }
    role(&all)
}

fn allows(statements: &[Statement], request: Request) -> bool {
    let mut applying = statements
        .iter()
        .filter(|statement| statement.applies_to(request))
        .peekable();
    applying.peek().is_some() && applying.all(|statement| !statement.denies)
}

fn requests() -> impl Iterator<Item = Request> {
    ["s3:GetObject", "s3:PutObject", "dynamodb:GetItem"]
        .into_iter()
        .flat_map(|action| {
            RESOURCES[..2]
                .iter()
                .map(move |resource| (action, *resource))
        })
        .flat_map(|(action, resource)| {
            ["a", "b", "c"].into_iter().flat_map(move |k| {
                ["true", "false"].map(|t| Request {
                    action,
                    resource,
                    k,
                    t,
                })
            })
        })
}

fn any_of(size: usize, at_least: usize) -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..size).collect();
    proptest::sample::subsequence(all, at_least..=size.min(3)).prop_shuffle()
}

fn statement() -> impl Strategy<Value = Statement> {
    (
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.1),
        any_of(ACTIONS.len(), 1),
        proptest::bool::weighted(0.1),
        any_of(RESOURCES.len(), 1),
        any_of(CONDITIONS.len(), 0),
    )
        .prop_map(
            |(denies, not_action, actions, not_resource, resources, conditions)| Statement {
                denies,
                not_action,
                actions,
                not_resource,
                resources,
                conditions,
            },
        )
}

fn policy() -> impl Strategy<Value = Vec<Statement>> {
    proptest::collection::vec(statement(), 0..5)
}

/// Two policies of which the second comes from the first by a few changes, so that they
/// have much in common.
fn change() -> impl Strategy<Value = (Vec<Statement>, Vec<Statement>)> {
    (policy(), policy(), policy()).prop_map(|(kept, removed, added)| {
        let with = |own: Vec<Statement>| [kept.clone(), own].concat();
        (with(removed), with(added))
    })
}

proptest! {
    #[test]
    fn the_way_a_policy_is_written_is_no_change(
        policy in policy().prop_flat_map(|policy| (Just(policy.clone()), Just(policy).prop_shuffle())),
        styles in (0_u8..8, 0_u8..8),
    ) {
        let before = template(&written(&policy.0, styles.0));
        let after = serde_yaml::to_string(&json!({"Resources": written(&policy.1, styles.1)})).unwrap();
        let review = compare(&before, &after);
        prop_assert_eq!(review.access_changes, vec![]);
        prop_assert_eq!(review.access, Access::Unchanged);
    }

    #[test]
    fn a_new_permission_is_always_seen(policy in policy(), style in 0_u8..8, place in 0_usize..5) {
        let before = written(&policy, style);
        let mut after = before.clone();
        let statements = after["R"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            .as_array_mut()
            .unwrap();
        let place = place.min(statements.len());
        statements.insert(place, allow("sqs:SendMessage", &json!("arn:q")));
        let review = compare(&template(&before), &template(&after));
        prop_assert_eq!(review.access_changes.len(), 1);
        let row = &review.access_changes[0];
        prop_assert_eq!(row.difference, Difference::Added);
        prop_assert_eq!(&row.actions, &["sqs:SendMessage".to_owned()]);
    }

    /// Against a simple evaluation of policies over all requests that they can tell apart.
    #[test]
    fn no_request_is_allowed_anew_without_being_called_broadened((before, after) in change()) {
        let review = compare(&template(&written(&before, 0)), &template(&written(&after, 1)));
        for request in requests() {
            match (allows(&before, request), allows(&after, request)) {
                (false, true) => prop_assert_eq!(review.access, Access::Broadened, "{:?}", request),
                (true, false) => prop_assert_ne!(review.access, Access::Unchanged, "{:?}", request),
                _ => {}
            }
        }
    }
}
