//! The environment variables: what Lambda and the function's stack have set.

use std::collections::BTreeMap;
use std::env;

/// The environment variables, as they were when the function started.
#[derive(Debug, Clone)]
pub struct Environment(BTreeMap<String, String>);

/// A variable that the function cannot do without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the environment variable {0} is not set: Lambda or the function's stack sets it; by hand, set it before starting"
)]
pub struct MissingVariable(String);

impl Environment {
    /// The variables of this process. One that is not UTF-8 is none of ours.
    pub fn of_process() -> Self {
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable's value. An empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be there.
    pub fn require(&self, name: &str) -> Result<String, MissingVariable> {
        let value = self.get(name).map(String::from);
        value.ok_or_else(|| MissingVariable(name.into()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        for empty in [
            Environment::from_iter([("A", "a")]),
            Environment::from_iter([("NAME", "")]),
        ] {
            let message = empty.require("NAME").unwrap_err().to_string();
            assert!(message.contains("NAME is not set"), "{message}");
        }
        let set = Environment::from_iter([("NAME", "x")]);
        assert_eq!(set.require("NAME").unwrap(), "x");
    }
}
