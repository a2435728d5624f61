//! What S3 tells EventBridge.

use serde::Deserialize;

use crate::s3::{ObjectEvent, ObjectKey, Sequencer};

/// A change of an object, as the detail of an [`Event`](super::Event): `Object Created` or
/// `Object Deleted`.
///
/// ```
/// use lambda_runtime::Diagnostic;
/// use runtime::eventbridge::{Event, ObjectDetail};
///
/// async fn handle(event: Event<ObjectDetail>) -> Result<(), Diagnostic> {
///     let change = event.detail.change();
///     println!("{} in {}", change.key, event.detail.bucket());
///     Ok(())
/// }
/// ```
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ObjectDetail {
    bucket: Bucket,
    object: Object,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Object {
    #[serde(deserialize_with = "key")]
    key: ObjectKey,
    #[serde(deserialize_with = "sequencer")]
    sequencer: Sequencer,
}

impl ObjectDetail {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket.name
    }

    /// The change, as event notifications of S3 tell it.
    #[must_use]
    pub fn change(&self) -> ObjectEvent {
        ObjectEvent {
            key: self.object.key.clone(),
            sequencer: self.object.sequencer.clone(),
        }
    }
}

/// Not encoded, as in notifications.
fn key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ObjectKey, D::Error> {
    ObjectKey::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn sequencer<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Sequencer, D::Error> {
    Sequencer::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    #[test]
    fn a_key_is_as_it_is() {
        let detail = |sequencer: &str| {
            serde_json::from_value::<ObjectDetail>(json!({
                "version": "0",
                "bucket": {"name": "amzn-s3-demo-bucket"},
                "object": {"key": "a+b%20c.jpg", "size": 5, "etag": "b1946ac9", "sequencer": sequencer},
                "reason": "PutObject",
            }))
        };
        let read = detail("00617F08299329D189").unwrap();
        assert_eq!(read.bucket(), "amzn-s3-demo-bucket");
        assert_eq!(read.change().key.as_str(), "a+b%20c.jpg");
        assert_eq!(
            read.change().sequencer,
            Sequencer::parse("00617F08299329D189").unwrap()
        );
        assert!(detail("now").is_err());
    }
}
