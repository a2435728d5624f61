//! Values that an operator stores beside the stack: whether they are there, and what stands for them
//! on the local stage.

mod local;

use deploy::{NeededValue, Target, ValueProblem};
use manifest::{App, OperatorValue, ValueStore};

use crate::error::{CliError, Result};

pub(crate) use local::LocalValues;

/// Refuses a deployment whose functions could not read a value. Nothing is changed, and no value is
/// read.
pub(crate) async fn check(app: &App, target: &Target) -> Result<()> {
    let values = app.operator_values();
    let needed: Vec<NeededValue> = values.iter().map(needed).collect();
    let problems = deploy::value_problems(target, &needed).await?;
    if problems.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    let mut commands = Vec::new();
    for (value, needed) in values.iter().zip(&needed) {
        let problem = problems.iter().find(|(of, _)| *of == needed);
        if let Some((_, problem)) = problem {
            lines.push(format!("\n  - {}", told(value, problem)));
            commands.extend(remedy(value, problem, &target.region));
        }
    }
    let error = CliError::new(format!(
        "could not deploy stage {}: its functions could not read what an operator stores:{}",
        app.stage().name,
        lines.concat()
    ));
    Err(if commands.is_empty() {
        error.hint("declare the key of a value with it: `.key(\"alias/…\")`")
    } else {
        error.hint(format!(
            "run these commands, each after `read -rs VALUE`, which asks for the value and does not show it:\n{}",
            commands.join("\n")
        ))
    })
}

fn needed(value: &OperatorValue) -> NeededValue {
    NeededValue {
        store: store(value.store),
        name: value.stored_as.clone(),
        key: value.key.clone(),
    }
}

fn store(store: ValueStore) -> deploy::ValueStore {
    match store {
        ValueStore::Parameters => deploy::ValueStore::Parameters,
        ValueStore::Secrets => deploy::ValueStore::Secrets,
    }
}

/// `parameter` or `secret`.
fn noun(store: ValueStore) -> &'static str {
    match store {
        ValueStore::Parameters => "parameter",
        ValueStore::Secrets => "secret",
    }
}

fn told(value: &OperatorValue, problem: &ValueProblem) -> String {
    let why = match problem {
        ValueProblem::Absent => "does not exist, or has no value".to_owned(),
        ValueProblem::BeingDeleted => "is going to be deleted".to_owned(),
        ValueProblem::Key(key) => {
            format!("is encrypted with the key {key}, which the app does not declare")
        }
    };
    format!(
        "{} {} {why} (declared at {})",
        noun(value.store),
        value.stored_as,
        value.declared_at
    )
}

/// The command that makes the value one that can be read.
fn remedy(value: &OperatorValue, problem: &ValueProblem, region: &str) -> Option<String> {
    let name = &value.stored_as;
    let key = |option| {
        let key = value.key.as_ref();
        key.map_or_else(String::new, |key| format!(" {option} {key}"))
    };
    match (problem, value.store) {
        (ValueProblem::Key(_), _) => None,
        (ValueProblem::BeingDeleted, _) => Some(format!(
            "  aws secretsmanager restore-secret --region {region} --secret-id {name}"
        )),
        (ValueProblem::Absent, ValueStore::Parameters) => Some(format!(
            "  aws ssm put-parameter --region {region} --name {name} --type SecureString{} --value \"$VALUE\"",
            key("--key-id")
        )),
        (ValueProblem::Absent, ValueStore::Secrets) => Some(format!(
            "  aws secretsmanager create-secret --region {region} --name {name}{} --secret-string \"$VALUE\"",
            key("--kms-key-id")
        )),
    }
}

/// What a deletion leaves, each with the command that deletes it.
pub(crate) fn kept(app: &App, region: &str) -> Vec<String> {
    let values = app.operator_values().into_iter();
    values
        .map(|value| {
            let name = &value.stored_as;
            let command = match value.store {
                ValueStore::Parameters => format!("ssm delete-parameter --region {region} --name"),
                ValueStore::Secrets => {
                    format!("secretsmanager delete-secret --region {region} --secret-id")
                }
            };
            format!(
                "{} {name}, if it is there: `aws {command} {name}` deletes it",
                noun(value.store)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(store: ValueStore, key: Option<&str>) -> OperatorValue {
        OperatorValue {
            store,
            name: "tax".to_owned(),
            stored_as: "/shop-dev/tax".to_owned(),
            key: key.map(str::to_owned),
            declared_at: "infra/app/src/lib.rs:7".to_owned(),
        }
    }

    #[test]
    fn a_problem_names_the_line_and_a_command() {
        let parameter = value(ValueStore::Parameters, Some("alias/shop"));
        assert_eq!(
            told(&parameter, &ValueProblem::Absent),
            "parameter /shop-dev/tax does not exist, or has no value (declared at infra/app/src/lib.rs:7)"
        );
        assert_eq!(
            remedy(&parameter, &ValueProblem::Absent, "eu-west-1").unwrap(),
            "  aws ssm put-parameter --region eu-west-1 --name /shop-dev/tax --type SecureString --key-id alias/shop --value \"$VALUE\""
        );
        let secret = value(ValueStore::Secrets, None);
        assert_eq!(
            remedy(&secret, &ValueProblem::Absent, "eu-west-1").unwrap(),
            "  aws secretsmanager create-secret --region eu-west-1 --name /shop-dev/tax --secret-string \"$VALUE\""
        );
        let restore = remedy(&secret, &ValueProblem::BeingDeleted, "eu-west-1").unwrap();
        assert!(restore.contains("restore-secret"), "{restore}");
        let key = ValueProblem::Key("alias/other".to_owned());
        assert_eq!(remedy(&secret, &key, "eu-west-1"), None);
    }
}
