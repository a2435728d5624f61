//! Random policies.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{allow, compare, role, template};
use crate::{Access, Difference};

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
