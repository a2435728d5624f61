//! `env`: the stage's names, for a shell or a script.

use std::collections::BTreeMap;

use deploy::Target;
use local::{ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY};

use crate::cli;
use crate::context::Context;
use crate::error::Result;
use crate::terminal::{json, line};

pub(crate) async fn run(args: &cli::Env) -> Result<()> {
    let context = Context::load(&args.stage)?;
    let target = context.connect().await?;
    let variables = variables(&context, &target).await?;
    if args.json {
        return json(&variables);
    }
    for (variable, value) in &variables {
        line(format_args!("export {variable}={}", quote(value)))?;
    }
    Ok(())
}

/// Everything that a tool needs to talk to the stage. Credentials only for the local stage,
/// where they are no secret.
pub(crate) async fn variables(
    context: &Context,
    target: &Target,
) -> Result<BTreeMap<String, String>> {
    let outputs = context.outputs(target).await?;
    let mut variables = context.variables(&outputs);
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    set("AWS_REGION", &target.region);
    set("AWS_DEFAULT_REGION", &target.region);
    if let Some(endpoint_url) = &target.endpoint_url {
        set("AWS_ENDPOINT_URL", endpoint_url);
    }
    if let Some(local) = &context.local {
        set("AWS_ENDPOINT_URL_REKOGNITION", &local.rekognition_url());
        if let Some(chaos_url) = &local.chaos_url {
            set("CHAOS_URL", chaos_url);
        }
        set("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY_ID);
        set("AWS_SECRET_ACCESS_KEY", ROOT_SECRET_ACCESS_KEY);
    }
    Ok(variables)
}

/// A value as a POSIX shell reads it back.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_shell() {
        assert_eq!(quote("http://127.0.0.1:8000/"), "http://127.0.0.1:8000/");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
