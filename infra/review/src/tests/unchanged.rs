//! Resources that are declared alike.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{compare, template};
use crate::{Declared, Reference, review};

/// The resources that are declared alike, each with what it refers to, as in `Fn::Sub`.
fn unchanged(before: &Value, after: &Value) -> BTreeMap<String, Vec<String>> {
    let review = compare(&template(before), &template(after));
    let shown = |reference: Reference| match reference.attribute {
        Some(attribute) => format!("{}.{attribute}", reference.logical_id),
        None => reference.logical_id,
    };
    let references = |all: BTreeSet<Reference>| all.into_iter().map(shown).collect();
    let unchanged = review.unchanged.into_iter();
    unchanged.map(|(id, all)| (id, references(all))).collect()
}

fn topic(properties: &Value) -> Value {
    json!({"Type": "AWS::SNS::Topic", "Properties": properties})
}

#[test]
fn a_resource_that_is_declared_alike_has_its_references() {
    let resources = |name: &str| {
        json!({
            "Changed": topic(&json!({"DisplayName": name})),
            "Alike": {"Type": "AWS::Lambda::Permission", "DependsOn": "Changed", "Properties": {
                "SourceArn": {"Ref": "Changed"},
                "FunctionName": {"Fn::GetAtt": ["F", "Arn"]},
                "SourceAccount": {"Fn::Sub": "${AWS::AccountId} of ${!Text}, ${F.Version}"},
            }},
            "F": {"Type": "AWS::Lambda::Function", "Properties": {}},
        })
    };
    let expected = [
        ("Alike", vec!["Changed", "F.Arn", "F.Version"]),
        ("F", vec![]),
    ];
    let expected = expected.map(|(id, all)| {
        let all = all.into_iter().map(str::to_owned).collect();
        (id.to_owned(), all)
    });
    assert_eq!(
        unchanged(&resources("a"), &resources("b")),
        BTreeMap::from(expected)
    );
}

#[test]
fn no_difference_of_a_declaration_is_overlooked() {
    let before = json!({"Type": "A::B::C", "Properties": {"P": [1]}, "DeletionPolicy": "Delete"});
    for (key, value) in [
        ("Type", json!("A::B::D")),
        ("Properties", json!({"P": [2]})),
        ("DeletionPolicy", json!("Retain")),
        ("UpdateReplacePolicy", json!("Retain")),
        ("UpdatePolicy", json!({"UseOnlineResharding": true})),
        ("Metadata", json!({"a": "b"})),
        ("DependsOn", json!("Other")),
    ] {
        let mut after = before.clone();
        after[key] = value;
        let found = unchanged(&json!({"R": before.clone()}), &json!({"R": after}));
        assert_eq!(found, BTreeMap::new(), "{key}");
    }
    let other = json!({"S": before.clone()});
    assert_eq!(unchanged(&json!({"R": before}), &other), BTreeMap::new());
}

#[test]
fn what_can_change_by_itself_is_left_out() {
    for value in [
        json!("{{resolve:ssm:name}}"),
        json!({"Fn::ImportValue": "name"}),
        json!({"Fn::Base64": {"Fn::Sub": "${Topic}"}}),
        json!({"Ref": "AWS::NotificationARNs"}),
        json!({"Ref": "NoResource"}),
    ] {
        let resources = json!({"R": {"Type": "A::B::C", "Properties": {"P": value}}});
        assert_eq!(unchanged(&resources, &resources), BTreeMap::new());
    }
    let declared = |section: &str| {
        let mut template = json!({"Resources": {"R": topic(&json!({}))}});
        template[section] = json!({"a": {"b": "c"}});
        template.to_string()
    };
    for section in ["Transform", "Conditions", "Mappings"] {
        let text = declared(section);
        assert_eq!(compare(&text, &text).unchanged, BTreeMap::new());
    }
    let text = declared("Outputs");
    assert_eq!(compare(&text, &text).unchanged.len(), 1);
}

#[test]
fn a_parameter_counts_by_its_value() {
    let template = json!({
        "Parameters": {"Name": {"Type": "String"}, "Stored": {"Type": "AWS::SSM::Parameter::Value<String>"}},
        "Resources": {
            "R": topic(&json!({"DisplayName": {"Ref": "Name"}})),
            "S": topic(&json!({"DisplayName": {"Ref": "Stored"}})),
        },
    })
    .to_string();
    let values = |name: &str| {
        BTreeMap::from([
            ("Name".to_owned(), name.to_owned()),
            ("Stored".to_owned(), "/path".to_owned()),
        ])
    };
    let unchanged = |before: &str, after: &str| {
        let (before, after) = (values(before), values(after));
        let declared = |parameters| Declared {
            template: &template,
            parameters,
        };
        let review = review(Some(declared(&before)), declared(&after)).unwrap();
        review.unchanged.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(unchanged("a", "a"), ["R"]);
    assert_eq!(unchanged("a", "b"), Vec::<String>::new());
}
