//! Variables of the environment.

use std::collections::BTreeMap;

/// Variables of the environment. One that is set and empty counts as not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os();
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first of these variables that is set, with its name.
    pub(crate) fn first(&self, names: &[&str]) -> Option<Setting> {
        names.iter().find_map(|name| {
            Some(Setting {
                value: self.get(name)?.to_owned(),
                source: (*name).to_owned(),
            })
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let set = variables.into_iter();
        Self(set.filter(|(_, value)| !value.trim().is_empty()).collect())
    }
}

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) source: String,
}
