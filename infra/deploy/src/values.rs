//! Values that an operator stores, in Systems Manager Parameter Store or in Secrets Manager: whether
//! they are there. No value is read.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Result;
use crate::json_api::{Refusal, Service, call};
use crate::target::Target;

/// A service that keeps values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueStore {
    /// Systems Manager Parameter Store.
    Parameters,
    /// Secrets Manager.
    Secrets,
}

/// A value that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededValue {
    /// Where.
    pub store: ValueStore,
    /// Its name in the store.
    pub name: String,
    /// The alias of the customer managed key that functions may decrypt it with.
    pub key: Option<String>,
}

/// Why functions could not read a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueProblem {
    /// It is not there.
    Absent,
    /// It is going to be deleted, and cannot be read any more.
    BeingDeleted,
    /// It is encrypted with this customer managed key, and functions may not use one.
    Key(String),
}

const SSM: Service = Service {
    name: "SSM",
    host: "ssm",
    target_prefix: "AmazonSSM",
};
const SECRETS_MANAGER: Service = Service {
    name: "Secrets Manager",
    host: "secretsmanager",
    target_prefix: "secretsmanager",
};

/// How many names one request may ask for.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html>
const NAMES_MAX: usize = 50;

/// Keys that AWS manages: Parameter Store always names the key of a `SecureString`, Secrets Manager
/// names one that AWS manages if it was asked for.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
const AWS_MANAGED_KEY: &str = "alias/aws/";

/// What is wrong with values, each beside its needed value. Nothing is wrong with those that are
/// left out.
///
/// # Errors
/// When a service cannot be asked.
pub async fn value_problems<'a>(
    target: &Target,
    needed: &'a [NeededValue],
) -> Result<Vec<(&'a NeededValue, ValueProblem)>> {
    let mut problems = Vec::new();
    let in_store = |store| needed.iter().filter(move |value| value.store == store);
    let parameters: Vec<&NeededValue> = in_store(ValueStore::Parameters).collect();
    for some in parameters.chunks(NAMES_MAX) {
        let keys = parameter_keys(target, some).await?;
        problems.extend(some.iter().filter_map(|needed| {
            let known = keys.iter().find(|(name, _)| *name == needed.name);
            let problem = match known {
                None => Some(ValueProblem::Absent),
                Some((_, key)) => unusable(needed, key.as_deref()),
            };
            Some((*needed, problem?))
        }));
    }
    for needed in in_store(ValueStore::Secrets) {
        if let Some(problem) = secret_problem(target, needed).await? {
            problems.push((needed, problem));
        }
    }
    Ok(problems)
}

/// The parameters that are there, each with its key if it is encrypted.
async fn parameter_keys(
    target: &Target,
    needed: &[&NeededValue],
) -> Result<Vec<(String, Option<String>)>> {
    let names: Vec<&str> = needed.iter().map(|value| value.name.as_str()).collect();
    let mut request = json!({
        "ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": names}],
        "MaxResults": NAMES_MAX,
    });
    let mut keys = Vec::new();
    loop {
        let what = "look for the app's parameters";
        let page = call(target, SSM, "DescribeParameters", &request, what).await?;
        let parameters = page["Parameters"].as_array().into_iter().flatten();
        keys.extend(parameters.filter_map(|parameter| {
            let name = parameter["Name"].as_str()?.to_owned();
            Some((name, parameter["KeyId"].as_str().map(str::to_owned)))
        }));
        // A page can be empty and not be the last one.
        match &page["NextToken"] {
            Value::String(token) if !token.is_empty() => request["NextToken"] = json!(token),
            _ => return Ok(keys),
        }
    }
}

async fn secret_problem(target: &Target, needed: &NeededValue) -> Result<Option<ValueProblem>> {
    let what = format!("look for secret {}", needed.name);
    let request = json!({"SecretId": needed.name});
    match call(target, SECRETS_MANAGER, "DescribeSecret", &request, &what).await {
        Ok(secret) if !secret["DeletedDate"].is_null() => Ok(Some(ValueProblem::BeingDeleted)),
        // One without a version has no value yet.
        Ok(secret) if is_empty(&secret["VersionIdsToStages"]) => Ok(Some(ValueProblem::Absent)),
        Ok(secret) => Ok(unusable(needed, secret["KmsKeyId"].as_str())),
        Err(Refusal { code, .. }) if code.as_deref() == Some("ResourceNotFoundException") => {
            Ok(Some(ValueProblem::Absent))
        }
        Err(Refusal { error, .. }) => Err(error),
    }
}

fn is_empty(versions: &Value) -> bool {
    versions.as_object().is_none_or(serde_json::Map::is_empty)
}

/// Whether functions cannot decrypt the value. Which key an alias is one of is the key's matter:
/// here, it is enough that there is one.
fn unusable(needed: &NeededValue, key: Option<&str>) -> Option<ValueProblem> {
    let key = key.filter(|key| !key.contains(AWS_MANAGED_KEY))?;
    let problem = || ValueProblem::Key(key.to_owned());
    needed.key.is_none().then(problem)
}

/// Stores a value, whether there is one already or not: a parameter as a `SecureString`.
///
/// # Errors
/// When the service cannot be asked, or refuses.
pub async fn store_value(
    target: &Target,
    store: ValueStore,
    name: &str,
    value: &str,
) -> Result<()> {
    let what = format!("store {name}");
    match store {
        ValueStore::Parameters => {
            let request =
                json!({"Name": name, "Type": "SecureString", "Value": value, "Overwrite": true});
            call(target, SSM, "PutParameter", &request, &what).await?;
        }
        ValueStore::Secrets => {
            // By the token, an attempt that is repeated is the same one. It becomes the version's
            // ID, so it has nothing of the value.
            let request = json!({
                "Name": name, "SecretString": value, "ClientRequestToken": Uuid::new_v4().to_string(),
            });
            match call(target, SECRETS_MANAGER, "CreateSecret", &request, &what).await {
                Err(refusal) if refusal.code.as_deref() == Some("ResourceExistsException") => {}
                created => return Ok(created.map(drop)?),
            }
            let request = json!({
                "SecretId": name, "SecretString": value, "ClientRequestToken": Uuid::new_v4().to_string(),
            });
            call(target, SECRETS_MANAGER, "PutSecretValue", &request, &what).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
