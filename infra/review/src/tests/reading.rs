//! What of a template is compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{allow, compare, line, role, template};
use crate::{Access, Declared, PropertyChange, review};

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
          Principal: {AWS: {"Fn::Sub": "arn:aws:iam::${Partner}:root"}}
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
fn a_condition_of_the_template_is_not_understood() {
    let conditional = |region: &str, condition: Value| {
        let mut resources = role(&[allow("s3:GetObject", &json!("*"))]);
        resources["R"]["Condition"] = condition;
        json!({
            "Conditions": {"Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, region]}},
            "Resources": resources,
        })
        .to_string()
    };
    let here = conditional("a", json!("Here"));
    let there = conditional("b", json!("Here"));
    let elsewhere = conditional("a", json!("Elsewhere"));
    let always = template(&role(&[allow("s3:GetObject", &json!("*"))]));
    assert_eq!(compare(&here, &here).access, Access::Unchanged);
    for other in [&there, &elsewhere, &always] {
        assert_eq!(compare(&here, other).access, Access::Broadened, "{other}");
    }
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
        &template(&function(256, json!({"Ref": "Orders"}))),
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
                change("Environment.Variables.TABLE", "a", "${Orders}"),
                change("MemorySize", "128", "256"),
            ]
        )])
    );
    assert_eq!(review.access, Access::Unchanged);
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
            "refusals": [],
        })
    );
}
