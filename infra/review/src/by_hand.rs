//! Roles as they were deployed, compared with roles as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::template::{Resource, Template, literal};
use crate::{AccessChange, Declared, Error, access_changes};

/// The permissions that roles have gained and lost since they were deployed.
///
/// `values` are those of pseudo parameters and of `Ref` to each resource; `roles` has the
/// properties of each role, by logical ID, as they are now. Of other roles nothing is said.
///
/// # Errors
/// When the deployed template cannot be read.
pub fn roles_by_hand(
    deployed: Declared<'_>,
    values: &BTreeMap<&str, &str>,
    roles: &BTreeMap<String, Value>,
) -> Result<Vec<AccessChange>, Error> {
    let mut texts = BTreeSet::new();
    let mut actual = Template::default();
    for (logical_id, properties) in roles {
        let properties = with_texts(properties, &mut |text| {
            let text = literal(text);
            texts.insert(text.clone());
            text
        });
        let role = Resource {
            kind: "AWS::IAM::Role".to_owned(),
            body: json!({"Properties": properties}),
            others: Value::Null,
        };
        actual.resources.insert(logical_id.clone(), role);
    }
    let mut expected = Template::read(deployed.template, deployed.parameters)?;
    expected.not_understood.clear();
    expected.resources.retain(|logical_id, resource| {
        roles.contains_key(logical_id) || resource.kind == "AWS::IAM::Policy"
    });
    for resource in expected.resources.values_mut() {
        let mut properties = with_texts(resource.properties(), &mut |text| {
            filled_text(text, values, &texts)
        });
        // The roles that a policy is attached to stay references.
        if let Some(holders) = resource.properties().get("Roles") {
            properties["Roles"] = holders.clone();
        }
        resource.body["Properties"] = properties;
    }
    Ok(access_changes(&expected, &actual))
}

/// A value with all of its texts replaced. Numbers and booleans are text, as in [`Template`].
fn with_texts(value: &Value, replace: &mut dyn FnMut(&str) -> String) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => json!(replace(text)),
        Value::Bool(_) | Value::Number(_) => json!(replace(&value.to_string())),
        Value::Array(items) => items.iter().map(|item| with_texts(item, replace)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| (key.clone(), with_texts(member, replace)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A text with the values that only AWS knows: those given, and for the attributes of resources
/// what stands in their place in one of `texts`, if it can be theirs.
fn filled_text(text: &str, values: &BTreeMap<&str, &str>, texts: &BTreeSet<String>) -> String {
    let parts = parts(text, values);
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return parts.iter().map(Part::text).collect();
    }
    let fitting = texts.iter().find(|actual| fits(&parts, actual, values));
    fitting.cloned().unwrap_or_else(|| text.to_owned())
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// What is known.
    Text(String),
    /// A value that only AWS knows: what stands between `${` and `}`.
    Hole(&'a str),
}

impl Part<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Hole(_) => "",
        }
    }
}

fn parts<'a>(text: &'a str, values: &BTreeMap<&str, &str>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut known = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        known.push_str(before);
        let hole = after.split_once('}').filter(|_| !after.starts_with('!'));
        let Some((name, after)) = hole else {
            known.push_str("${");
            rest = after;
            continue;
        };
        match values.get(name) {
            Some(value) => known.push_str(&literal(value)),
            None => {
                parts.push(Part::Text(std::mem::take(&mut known)));
                parts.push(Part::Hole(name));
            }
        }
        rest = after;
    }
    known.push_str(rest);
    parts.push(Part::Text(known));
    parts
}

/// Whether `text` is these parts with values in the holes that can be theirs.
fn fits(parts: &[Part<'_>], text: &str, values: &BTreeMap<&str, &str>) -> bool {
    match parts {
        [] => text.is_empty(),
        [Part::Text(known), rest @ ..] => text
            .strip_prefix(known.as_str())
            .is_some_and(|text| fits(rest, text, values)),
        [Part::Hole(name), rest @ ..] => (0..=text.len())
            .filter_map(|end| text.split_at_checked(end))
            .any(|(value, text)| can_be(value, name, values) && fits(rest, text, values)),
    }
}

/// Whether a value can be that of an attribute. `Arn` ends with the resource's name. Others name a
/// part of the resource after it: `StreamArn` goes on with `/stream/`, where the ARN of an index
/// goes on with `/index/`. Nothing that AWS puts in for an attribute has
/// wildcards, but for the end of a log group's.
fn can_be(value: &str, name: &str, values: &BTreeMap<&str, &str>) -> bool {
    let exact = value.strip_suffix(":*").unwrap_or(value);
    if exact.contains(['*', '?']) || exact.is_empty() {
        return false;
    }
    let Some((resource, attribute)) = name.split_once('.') else {
        return true;
    };
    let Some(part) = attribute.strip_suffix("Arn") else {
        return true;
    };
    let part = part.to_ascii_lowercase();
    let own = values.get(resource).copied().unwrap_or_default();
    // Of an ARN or a URL, the last part is the name.
    let own = own.rsplit(['/', ':']).next().unwrap_or_default();
    let mut ends = exact
        .match_indices([':', '/'])
        .filter_map(|(at, _)| exact[at + 1..].strip_prefix(own));
    value.starts_with("arn:")
        && match part.as_str() {
            "" => ends.any(str::is_empty),
            part => ends.any(|end| end.split(['/', ':']).nth(1) == Some(part)),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Difference};

    const TEMPLATE: &str = r#"
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Logs: {Type: AWS::Logs::LogGroup}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
      Policies:
        - PolicyName: work
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: [sqs:SendMessage], Resource: {"Fn::GetAtt": Queue.Arn}}
              - Effect: Allow
                Action: logs:PutLogEvents
                Resource: {"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Logs}:*"}
              - Effect: Allow
                Action: s3:GetObject
                Resource: "arn:aws:s3:::shared/${aws:username}/*"
                Condition: {StringEquals: {"aws:SourceAccount": {Ref: "AWS::AccountId"}}, Bool: {"aws:SecureTransport": true}}
"#;

    fn role() -> Value {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:eu-west-1:123456789012:app-dev-Queue-1"},
            {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": ["arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/api:*"]},
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/${aws:username}/*",
             "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}, "Bool": {"aws:SecureTransport": "true"}}},
        ]});
        json!({
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
            ]},
            "Policies": [{"PolicyName": "work", "PolicyDocument": policy}],
            "ManagedPolicyArns": [],
        })
    }

    fn compared(role: Value) -> Vec<AccessChange> {
        compared_with(TEMPLATE, role)
    }

    fn compared_with(template: &str, role: Value) -> Vec<AccessChange> {
        let deployed = Declared {
            template,
            parameters: &BTreeMap::new(),
        };
        let values = BTreeMap::from([
            ("AWS::AccountId", "123456789012"),
            ("AWS::Partition", "aws"),
            ("AWS::Region", "eu-west-1"),
            ("Logs", "/aws/lambda/api"),
            (
                "Queue",
                "https://sqs.eu-west-1.amazonaws.com/123456789012/app-dev-Queue-1",
            ),
            ("Role", "app-dev-Role-1"),
        ]);
        let roles = BTreeMap::from([("Role".to_owned(), role)]);
        roles_by_hand(deployed, &values, &roles).unwrap()
    }

    /// What was changed: the difference, the action, the resource.
    fn told(changes: &[AccessChange]) -> Vec<(Difference, Access, String, String)> {
        let told = |change: &AccessChange| {
            let actions = change.actions.join(" ");
            let resource = change.resource.clone();
            (change.difference, change.access, actions, resource)
        };
        changes.iter().map(told).collect()
    }

    #[test]
    fn a_role_as_it_was_deployed_is_no_change() {
        assert_eq!(compared(role()), []);
    }

    #[test]
    fn what_was_added_is_told() {
        let mut changed = role();
        let policies = changed["Policies"].as_array_mut().unwrap();
        policies.push(
            json!({"PolicyName": "quick-fix", "PolicyDocument": {"Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}}),
        );
        changed["ManagedPolicyArns"] = json!(["arn:aws:iam::aws:policy/AdministratorAccess"]);
        let statements = &mut changed["AssumeRolePolicyDocument"]["Statement"];
        statements.as_array_mut().unwrap().push(json!({
            "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "sts:AssumeRole",
        }));
        let changes = compared(changed);
        let added = |action: &str, resource: &str| {
            let (action, resource) = (action.to_owned(), resource.to_owned());
            (Difference::Added, Access::Broadened, action, resource)
        };
        let told = told(&changes);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.contains(&added("s3:*", "*")), "{told:?}");
        let administrator = "arn:aws:iam::aws:policy/AdministratorAccess";
        assert!(told.contains(&added("(managed policy)", administrator)));
        assert!(changes.iter().any(|change| {
            change.principal == "AWS: arn:aws:iam::999999999999:root"
                && change.declared_by == "Role"
        }));
    }

    #[test]
    fn a_resource_that_was_widened_is_not_taken_for_the_declared_one() {
        for wide in [
            "*",
            "arn:aws:sqs:eu-west-1:123456789012:*",
            "arn:aws:sqs:eu-west-1:123456789012:app-dev-Queue-1*",
            "arn:aws:sqs:eu-west-1:123456789012:other",
            "arn:aws:sqs:eu-west-1:123456789012:other-app-dev-Queue-1",
        ] {
            let mut changed = role();
            changed["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"] = json!(wide);
            let told = told(&compared(changed));
            let action = "sqs:SendMessage".to_owned();
            assert!(
                told.contains(&(
                    Difference::Added,
                    Access::Broadened,
                    action,
                    wide.to_owned()
                )),
                "{told:?}"
            );
        }
    }

    /// IAM shows it among the role's own.
    #[test]
    fn a_policy_that_is_a_resource_of_its_own_is_no_change() {
        let policy = r#"
  Policy:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: more
      Roles: [{Ref: Role}]
      PolicyDocument:
        Statement: [{Effect: Allow, Action: sqs:ReceiveMessage, Resource: {"Fn::GetAtt": Queue.Arn}}]
"#;
        let mut role = role();
        role["Policies"].as_array_mut().unwrap().push(json!({
            "PolicyName": "more",
            "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sqs:ReceiveMessage",
                "Resource": "arn:aws:sqs:eu-west-1:123456789012:app-dev-Queue-1"}]},
        }));
        let template = format!("{TEMPLATE}{policy}");
        assert_eq!(compared_with(&template, role.clone()), []);
        assert_ne!(compared(role), []);
    }

    #[test]
    fn attributes_of_one_resource_are_told_apart() {
        let values = BTreeMap::from([("Table", "app-dev-orders")]);
        let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/app-dev-orders";
        let stream = format!("{table}/stream/2026-11-20T08:00:00.000");
        let index = format!("{table}/index/by-status");
        for (value, name, expected) in [
            (table, "Table.Arn", true),
            (table, "Table.StreamArn", false),
            (&stream, "Table.Arn", false),
            (&stream, "Table.StreamArn", true),
            (&index, "Table.StreamArn", false),
            (&index, "Table.Arn", false),
        ] {
            assert_eq!(can_be(value, name, &values), expected, "{value} {name}");
        }
    }

    #[test]
    fn what_was_taken_away_is_told() {
        let mut changed = role();
        changed["Policies"] = json!([]);
        let told = told(&compared(changed));
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|(difference, access, ..)| {
            (*difference, *access) == (Difference::Removed, Access::Narrowed)
        }));
    }

    #[test]
    fn a_boundary_that_was_taken_away_broadens() {
        let template = TEMPLATE.replace(
            "      Policies:",
            "      PermissionsBoundary: arn:aws:iam::123456789012:policy/limit\n      Policies:",
        );
        let changes = compared_with(&template, role());
        assert!(changes.iter().any(|change| {
            change.access == Access::Broadened && change.actions[0].contains("boundary")
        }));
    }
}
