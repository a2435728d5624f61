//! The names in the users table.

use runtime::{Environment, MissingVariable};

/// What the partition key and the attributes of the users table are called. The stack's
/// declaration decides: this code works on a table keyed `id` as on one keyed `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The partition key, a string.
    pub key: String,
    /// The e-mail address, a string.
    pub email: String,
    /// When the user was created, a number: milliseconds since the epoch.
    pub timestamp: String,
    /// Whether the e-mail address is one of a provider for private persons, a boolean.
    pub is_personal_email: String,
}

impl Schema {
    /// The names that the stack's variables give.
    pub fn named_by(environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            key: environment.require("USERS_KEY_ATTRIBUTE")?,
            email: environment.require("USERS_EMAIL_ATTRIBUTE")?,
            timestamp: environment.require("USERS_TIMESTAMP_ATTRIBUTE")?,
            is_personal_email: environment.require("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_from_its_variable() {
        let environment = Environment::from_iter([
            ("USERS_KEY_ATTRIBUTE", "Id"),
            ("USERS_EMAIL_ATTRIBUTE", "Email"),
            ("USERS_TIMESTAMP_ATTRIBUTE", "Created"),
            ("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "Personal"),
        ]);
        assert_eq!(
            Schema::named_by(&environment).unwrap(),
            Schema {
                key: "Id".into(),
                email: "Email".into(),
                timestamp: "Created".into(),
                is_personal_email: "Personal".into(),
            }
        );
    }
}
