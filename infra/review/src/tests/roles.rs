//! Policies of roles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{allow, compare, line, lines, role, table, template};
use crate::{Access, Declared, review};

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
        ["+! Allow ${R}: dynamodb:Scan on ${Orders.Arn} [R]"]
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
            "+! Allow ${R}: dynamodb:DeleteItem, dynamodb:PutItem on ${Orders.Arn} [R]",
            "- Allow ${R}: dynamodb:Scan on ${Orders.Arn} [R]",
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
            ["+! Allow ${R}: dynamodb:Scan on ${Orders.Arn} [P]"]
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
