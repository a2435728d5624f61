#![allow(clippy::unwrap_used, reason = "clippy knows tests, not their helpers")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::*;

mod indexes;
mod orders;
mod random;
mod reading;
mod resources;
mod roles;
mod unchanged;

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
    json!({"Fn::GetAtt": ["Orders", "Arn"]})
}
