//! The stage that is checked.

use std::collections::BTreeMap;

use deploy::Target;

use crate::check::Problem;

/// A stage that is deployed, as its users know it.
#[derive(Debug)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// The names of its resources and of tables' attributes, by the app's environment variables.
    pub variables: BTreeMap<String, String>,
    /// Its functions, by their names in the app.
    pub functions: BTreeMap<String, Function>,
    /// Its HTTP APIs, by the environment variables that tell their URLs.
    pub apis: BTreeMap<String, Api>,
}

/// A function of the stage.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name in Lambda.
    pub physical_name: String,
    /// The name, or the alias, by which it is invoked.
    pub invocation_name: String,
    /// Where the events are that it failed on, if it has such a queue.
    pub failure_queue_url: Option<String>,
}

/// An HTTP API of the stage.
#[derive(Debug, Clone)]
pub struct Api {
    /// Its URL, which ends with a slash.
    pub url: String,
    /// Who may call it.
    pub callers: Callers,
}

/// Who may call an HTTP API.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Everybody.
    Everybody,
    /// Who signs requests with AWS credentials.
    Signed,
    /// Who sends a JSON Web Token. This is the caller's, if one was given.
    WithToken(Option<String>),
}

impl Stage {
    /// The value of one of the app's variables.
    ///
    /// # Errors
    /// When the stack does not tell it.
    pub fn variable(&self, name: &str) -> Result<&str, Problem> {
        let value = self.variables.get(name).map(String::as_str);
        value.ok_or_else(|| self.older(&format!("the stack has no output {name}")))
    }

    /// A function of the app.
    ///
    /// # Errors
    /// When the app has no function of this name.
    pub fn function(&self, name: &str) -> Result<&Function, Problem> {
        let function = self.functions.get(name);
        function.ok_or_else(|| self.older(&format!("there is no function {name}")))
    }

    pub(crate) fn api(&self, variable: &str) -> Result<&Api, Problem> {
        let api = self.apis.get(variable);
        api.ok_or_else(|| self.older(&format!("the stack has no output {variable}")))
    }

    fn older(&self, seen: &str) -> Problem {
        Problem::difference(
            "a stack of this app",
            seen,
            format!("cargo xtask deploy --stage {}", self.name),
        )
    }

    /// The command that shows what a function has logged of this.
    pub fn logs(&self, function: &str, of: &str) -> String {
        let stage = &self.name;
        format!("cargo xtask logs {function} --stage {stage} --filter '\"{of}\"'")
    }

    /// The command that shows a function's latest errors.
    pub fn errors(&self, function: &str) -> String {
        let stage = &self.name;
        format!("cargo xtask logs {function} --stage {stage} --filter ERROR")
    }

    /// The ARN of a table.
    pub fn table_arn(&self, table: &str) -> String {
        let Target {
            region, account, ..
        } = &self.target;
        let partition = self.target.partition();
        format!("arn:{partition}:dynamodb:{region}:{account}:table/{table}")
    }

    /// The ARN of an object in a bucket.
    pub fn object_arn(&self, bucket: &str, key: &str) -> String {
        format!("arn:{}:s3:::{bucket}/{key}", self.target.partition())
    }
}
