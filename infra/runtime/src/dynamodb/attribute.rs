//! Attributes of items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// An item, or its key: attributes by name.
pub type Attributes = HashMap<String, AttributeValue>;

/// A string as the value of an attribute.
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}
