//! Names of buckets and of the objects in them.

use std::fmt;

use serde::Deserialize;

use crate::form::{self, FormError};

/// The longest object key in S3, in bytes of UTF-8. A DynamoDB partition key may
/// be twice as long, so every object key is also a valid key of an item.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const MAX_KEY_BYTES: usize = 1024;

/// Name of an S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct BucketName(String);

impl BucketName {
    /// Takes the name as it is.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Raw key of an S3 object: what `aws s3 ls` prints, never an encoded form of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// Why a text is not an object key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// S3 has no empty key.
    #[error("the object key is empty")]
    Empty,
    /// S3 has no such long key.
    #[error("the object key has {bytes} bytes; S3 allows {MAX_KEY_BYTES}")]
    TooLong {
        /// Length in bytes of UTF-8.
        bytes: usize,
    },
    /// The key in a notification is not form-urlencoded.
    #[error("the notification's object key {0}")]
    Encoding(#[from] FormError),
}

impl ObjectKey {
    /// Checks a raw key.
    pub fn new(raw: impl Into<String>) -> Result<Self, KeyError> {
        let raw = raw.into();
        match raw.len() {
            0 => Err(KeyError::Empty),
            1..=MAX_KEY_BYTES => Ok(Self(raw)),
            bytes => Err(KeyError::TooLong { bytes }),
        }
    }

    /// Reads the key of an S3 event notification, which S3 form-urlencodes. Other
    /// senders of keys (an invocation by hand, an HTTP API's path, Rekognition)
    /// send them raw: use [`ObjectKey::new`].
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
    pub fn from_notification(encoded: &str) -> Result<Self, KeyError> {
        Self::new(form::decode(encoded)?)
    }

    /// The raw key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes after the last dot, as it is written.
    pub fn extension(&self) -> Option<&str> {
        Some(self.0.rsplit_once('.')?.1)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notifications_key_is_decoded_and_a_raw_one_is_not() {
        let encoded = "my+report%2B%25.pdf";
        assert_eq!(
            ObjectKey::from_notification(encoded).unwrap().as_str(),
            "my report+%.pdf"
        );
        assert_eq!(ObjectKey::new(encoded).unwrap().as_str(), encoded);
    }

    #[test]
    fn limits_are_s3s() {
        assert_eq!(ObjectKey::new(""), Err(KeyError::Empty));
        assert!(ObjectKey::new("é".repeat(512)).is_ok());
        assert_eq!(
            ObjectKey::new("x".repeat(1025)),
            Err(KeyError::TooLong { bytes: 1025 })
        );
        assert!(matches!(
            ObjectKey::from_notification("50%"),
            Err(KeyError::Encoding(_))
        ));
    }
}
