//! App → CloudFormation template and policies.

use std::collections::BTreeMap;

use crate::resolve::App;

/// Everything that AWS must be told, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// The CloudFormation template, in YAML.
    pub template: String,
    /// One IAM policy document per function, by its name: pretty JSON with a
    /// trailing newline.
    pub policies: BTreeMap<String, String>,
}

impl App {
    /// Writes the template and the policies. The same app gives the same bytes.
    #[must_use]
    pub fn synth(&self) -> Assembly {
        Assembly {
            template: String::new(),
            policies: BTreeMap::new(),
        }
    }
}
