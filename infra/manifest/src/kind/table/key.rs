//! Attributes of keys, and their types.

use serde_json::{Value, json};

use crate::check::{Check, Subject};

/// An attribute that is part of a key, and its type. A `&str` is the name of a string.
///
/// ```
/// use manifest::{Manifest, kinds::Key};
///
/// let app = Manifest::new("shop");
/// app.table("orders", "customer").sort_key(Key::number("placed_at"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub(super) attribute: String,
    kind: KeyType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyType {
    String,
    Number,
    Binary,
}

impl Key {
    /// A string. DynamoDB orders strings by the bytes of their UTF-8.
    #[must_use]
    pub fn string(attribute: &str) -> Self {
        Self::new(attribute, KeyType::String)
    }

    /// A number.
    #[must_use]
    pub fn number(attribute: &str) -> Self {
        Self::new(attribute, KeyType::Number)
    }

    /// Bytes.
    #[must_use]
    pub fn binary(attribute: &str) -> Self {
        Self::new(attribute, KeyType::Binary)
    }

    fn new(attribute: &str, kind: KeyType) -> Self {
        Self {
            attribute: attribute.to_owned(),
            kind,
        }
    }

    pub(super) fn is_of_another_type(&self, other: &Self) -> bool {
        self.kind != other.kind
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind == KeyType::Number
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            KeyType::String => "string",
            KeyType::Number => "number",
            KeyType::Binary => "binary",
        }
    }

    /// A value of it, for sample events.
    pub(super) fn sample(&self) -> Value {
        match self.kind {
            KeyType::String => json!({"S": "1"}),
            KeyType::Number => json!({"N": "1"}),
            KeyType::Binary => json!({"B": "MQ=="}),
        }
    }

    pub(super) fn definition(&self) -> Value {
        let kind = match self.kind {
            KeyType::String => "S",
            KeyType::Number => "N",
            KeyType::Binary => "B",
        };
        json!({"AttributeName": self.attribute, "AttributeType": kind})
    }
}

impl From<&str> for Key {
    fn from(attribute: &str) -> Self {
        Self::string(attribute)
    }
}

/// The key of a table or an index.
pub(super) fn schema(partition_key: &Key, sort_key: Option<&Key>) -> Value {
    let partition_key = json!({"AttributeName": partition_key.attribute, "KeyType": "HASH"});
    let sort_key = sort_key.map(|key| json!({"AttributeName": key.attribute, "KeyType": "RANGE"}));
    std::iter::once(partition_key).chain(sort_key).collect()
}

/// What is wrong with the key of a table or an index.
pub(super) fn check(
    check: &mut Check<'_>,
    subject: &Subject,
    partition_key: &Key,
    sort_key: Option<&Key>,
) {
    check.require(
        sort_key.is_none_or(|sort_key| sort_key.attribute != partition_key.attribute),
        subject,
        format!(
            "has `{}` as partition key and as sort key",
            partition_key.attribute
        ),
        "name another attribute in `sort_key`, or leave it out",
    );
}

/// What is wrong with the name of an attribute.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
pub(super) fn check_name(check: &mut Check<'_>, subject: &Subject, attribute: &str) {
    check.require(
        (1..=255).contains(&attribute.len()),
        subject,
        format!("has an attribute name of {} bytes", attribute.len()),
        "use 1 to 255",
    );
}
