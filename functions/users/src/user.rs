//! Users.

use std::fmt;

use uuid::Uuid;

/// The longest id, in bytes: DynamoDB's limit of a partition key.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const MAX_ID_BYTES: usize = 2048;

/// What identifies a user. This stack makes UUIDs of version 7; a table may hold users with
/// other keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// DynamoDB has no empty key.
    #[error("a user's id must not be empty")]
    Empty,
    /// DynamoDB has no such long key.
    #[error("a user's id must have at most {MAX_ID_BYTES} bytes")]
    TooLong,
}

impl UserId {
    /// Checks an id.
    pub fn new(text: impl Into<String>) -> Result<Self, UserIdError> {
        let text = text.into();
        match text.len() {
            0 => Err(UserIdError::Empty),
            1..=MAX_ID_BYTES => Ok(Self(text)),
            _ => Err(UserIdError::TooLong),
        }
    }

    /// An id that no user has yet.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The id as it is in the table.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user, as far as the table has it. What is not there, or not of the right type, is `None`: other
/// programs may write there too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Identifies the user.
    pub id: UserId,
    /// The e-mail address, as it is in the table: it may have been written without a check.
    pub email: Option<String>,
    /// When the user was created, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Whether the e-mail address is one of a provider for private persons. Found out
    /// after the user was created.
    pub is_personal_email: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_any_key_of_dynamodb() {
        for text in ["4cgl4td0mufwl0wiqrepuba9k9", " ", "../x", &"é".repeat(1024)] {
            assert_eq!(UserId::new(text).unwrap().as_str(), text);
        }
        assert_eq!(UserId::new(""), Err(UserIdError::Empty));
        assert_eq!(UserId::new("x".repeat(2049)), Err(UserIdError::TooLong));
    }

    #[test]
    fn made_ids_are_of_version_7_and_in_the_order_of_their_making() {
        let ids: Vec<_> = std::iter::repeat_with(UserId::generate)
            .take(1000)
            .collect();
        for id in &ids {
            let uuid: Uuid = id.as_str().parse().unwrap();
            assert_eq!(uuid.get_version_num(), 7);
        }
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
