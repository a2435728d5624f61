//! Records of the users table's stream: whose they are. The rest is [`runtime::stream`]'s.

use runtime::stream::StreamRecord;

use crate::schema::Schema;
use crate::user::{UserId, UserIdError};

/// Why a record cannot be handled. Another try will not help: it ends in the failure queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not a record of a stream, or lacks a part.
    #[error(transparent)]
    Record(#[from] runtime::stream::RecordError),
    /// The table has another key than the function's settings say.
    #[error(
        "its key is not the one attribute {attribute:?}: set USERS_KEY_ATTRIBUTE to the table's partition key; a table with a sort key does not work"
    )]
    OtherKey {
        /// Name of the attribute that the function expects.
        attribute: String,
    },
    /// No user has such a key.
    #[error(transparent)]
    Key(#[from] UserIdError),
}

/// Whose item it is. The item's key must be the one attribute that the schema names.
pub fn user_of(record: &StreamRecord, schema: &Schema) -> Result<UserId, RecordError> {
    let attribute = schema.key.as_str();
    match record.partition_key(attribute)? {
        Some(text) => Ok(UserId::new(text)?),
        None => Err(RecordError::OtherKey {
            attribute: attribute.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/handle-user-stream.json");

    #[test]
    fn the_key_is_the_one_attribute_that_the_schema_names() {
        let user = |keys: Value, attribute: &str| {
            let mut event: Value = serde_json::from_str(EVENT).unwrap();
            let mut record = event["Records"][0].take();
            record["dynamodb"]["Keys"] = keys;
            let schema = Schema {
                key: attribute.into(),
                email: "email".into(),
                timestamp: "timestamp".into(),
                is_personal_email: "IsPersonalEmail".into(),
            };
            user_of(&StreamRecord::read(record).unwrap(), &schema)
        };
        let john = UserId::new("john").unwrap();
        for attribute in ["id", "name", "Id"] {
            assert_eq!(
                user(json!({attribute: {"S": "john"}}), attribute),
                Ok(john.clone())
            );
        }
        let other = RecordError::OtherKey {
            attribute: "id".into(),
        };
        for keys in [
            json!({}),
            json!({"name": {"S": "john"}}),
            json!({"id": {"S": "john"}, "since": {"N": "1"}}),
        ] {
            assert_eq!(user(keys, "id"), Err(other.clone()));
        }
        let number = user(json!({"id": {"N": "1"}}), "id").unwrap_err();
        assert_eq!(
            number.to_string(),
            "the attribute \"id\" of its key is of type N, not a string (S)"
        );
        let empty = user(json!({"id": {"S": ""}}), "id");
        assert_eq!(empty, Err(RecordError::Key(UserIdError::Empty)));
    }
}
