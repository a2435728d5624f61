//! The two buckets in S3.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use media::thumbnail::ThumbnailKey;
use runtime::Aws;
use runtime::s3::{ObjectKey, client};
use runtime::service_error::ServiceError;

use crate::picture::{MAX_FILE_BYTES, PLACEHOLDER, Unreadable};
use crate::ports::{Picture, Pictures, ThumbnailError, Thumbnails};

/// The metadata of a thumbnail that names the version of the picture.
const SOURCE: &str = "source";
/// The metadata of a placeholder that says why it is one.
const REASON: &str = "reason";

/// A bucket, as the function uses it.
#[derive(Debug, Clone)]
pub struct S3Bucket {
    client: Client,
    bucket: String,
}

impl S3Bucket {
    /// Builds the client.
    pub fn new(aws: &Aws, bucket: impl Into<String>) -> Self {
        let bucket = bucket.into();
        let client = client(aws, &bucket);
        Self { client, bucket }
    }
}

impl Pictures for S3Bucket {
    async fn read(&self, name: &ObjectKey, known: Option<&str>) -> Result<Picture, ThumbnailError> {
        let request = self.client.get_object().bucket(&self.bucket);
        let request = request
            .key(name.as_str())
            .set_if_none_match(known.map(|version| format!("\"{version}\"")));
        let output = match request.send().await {
            Ok(output) => output,
            Err(SdkError::ServiceError(answer)) if answer.raw().status().as_u16() == 304 => {
                return Ok(Picture::AsBefore);
            }
            Err(error) => {
                let answer = error.as_service_error();
                return match answer.is_some_and(GetObjectError::is_no_such_key) {
                    true => Ok(Picture::Gone),
                    false => Err(failed("read", "picture", &ServiceError::of(&error))),
                };
            }
        };
        let version = output.e_tag().unwrap_or_default().trim_matches('"').into();
        let file = file(output).await?;
        Ok(Picture::New { version, file })
    }
}

async fn file(output: GetObjectOutput) -> Result<Result<Vec<u8>, Unreadable>, ThumbnailError> {
    let bytes = output.content_length().unwrap_or_default();
    if u64::try_from(bytes).is_ok_and(|bytes| bytes > MAX_FILE_BYTES) {
        return Ok(Err(Unreadable::File));
    }
    let body = output.body.collect().await;
    let body = body.map_err(|error| ThumbnailError::Bucket {
        action: "read",
        object: "picture",
        reason: error.to_string(),
    })?;
    Ok(Ok(body.into_bytes().into()))
}

impl Thumbnails for S3Bucket {
    async fn version(&self, key: &ThumbnailKey) -> Result<Option<String>, ThumbnailError> {
        let request = self.client.head_object().bucket(&self.bucket);
        match request.key(key.as_str()).send().await {
            Ok(output) => {
                let metadata = output.metadata;
                Ok(metadata.and_then(|mut metadata| metadata.remove(SOURCE)))
            }
            Err(error) => match error.as_service_error() {
                Some(answer) if answer.is_not_found() => Ok(None),
                _ => Err(failed("read", "thumbnail", &ServiceError::of(&error))),
            },
        }
    }

    async fn put(
        &self,
        key: &ThumbnailKey,
        version: &str,
        made: &Result<Vec<u8>, Unreadable>,
    ) -> Result<(), ThumbnailError> {
        let request = self.client.put_object().bucket(&self.bucket);
        let request = request.key(key.as_str()).metadata(SOURCE, version);
        let request = match made {
            Ok(jpeg) => request.content_type("image/jpeg").body(jpeg.clone().into()),
            Err(reason) => request
                .content_type("image/svg+xml")
                .metadata(REASON, reason.to_string())
                .body(PLACEHOLDER.to_vec().into()),
        };
        let result = request.send().await;
        result
            .map(drop)
            .map_err(|error| failed("put", "thumbnail", &ServiceError::of(&error)))
    }

    async fn delete(&self, key: &ThumbnailKey) -> Result<(), ThumbnailError> {
        let request = self.client.delete_object().bucket(&self.bucket);
        let result = request.key(key.as_str()).send().await;
        result
            .map(drop)
            .map_err(|error| failed("delete", "thumbnail", &ServiceError::of(&error)))
    }
}

fn failed(action: &'static str, object: &'static str, error: &ServiceError) -> ThumbnailError {
    ThumbnailError::Bucket {
        action,
        object,
        // S3's message may quote the key.
        reason: error.without_message("S3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::testing::Wire;
    use serde_json::json;

    fn bucket(wire: &Wire) -> S3Bucket {
        S3Bucket::new(&wire.aws(), "amzn-s3-demo-bucket")
    }

    fn name() -> ObjectKey {
        ObjectKey::new("holiday/a b.jpg").unwrap()
    }

    #[tokio::test]
    async fn a_picture_is_read_unless_it_is_known() {
        let wire = Wire::new([(200, json!("a file")), (304, json!(""))]);
        let read = bucket(&wire).read(&name(), None).await.unwrap();
        let file = Ok(b"a file".to_vec());
        let version = String::new();
        assert_eq!(read, Picture::New { version, file });
        let read = bucket(&wire).read(&name(), Some("tag")).await.unwrap();
        assert_eq!(read, Picture::AsBefore);
        let header = |request| wire.header(request, "if-none-match");
        assert_eq!((header(0), header(1)), (None, Some("\"tag\"".into())));
    }

    #[tokio::test]
    async fn a_picture_that_is_gone_is_told_from_one_that_is_denied() {
        let error = |code| format!("<Error><Code>{code}</Code><Message>a b</Message></Error>");
        let wire = Wire::new([
            (404, error("NoSuchKey").into()),
            (403, error("AccessDenied").into()),
        ]);
        let read = bucket(&wire).read(&name(), None).await;
        assert_eq!(read, Ok(Picture::Gone));
        let read = bucket(&wire).read(&name(), None).await;
        let message = read.unwrap_err().to_string();
        assert!(message.starts_with("could not read the picture: S3 answered AccessDenied"));
        assert!(!message.contains("a b"), "{message}");
    }

    #[tokio::test]
    async fn a_thumbnail_names_its_source_and_a_placeholder_its_reason() {
        let wire = Wire::new((0..3).map(|_| (200, json!(""))));
        let (bucket, key) = (bucket(&wire), ThumbnailKey::of(&name()));
        bucket.put(&key, "tag", &Ok(vec![b'x'])).await.unwrap();
        let unreadable = Err(Unreadable::Pixels);
        bucket.put(&key, "tag", &unreadable).await.unwrap();
        bucket.delete(&key).await.unwrap();
        let requests: Vec<_> = wire.requests().into_iter().map(|(call, _)| call).collect();
        let url = "https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/holiday%252Fa%2520b.jpg/thumbnail";
        assert_eq!(
            requests,
            [
                format!("PUT {url}?x-id=PutObject"),
                format!("PUT {url}?x-id=PutObject"),
                format!("DELETE {url}?x-id=DeleteObject"),
            ]
        );
        let header = |request, name: &str| wire.header(request, name);
        assert_eq!(header(0, "x-amz-meta-source").as_deref(), Some("tag"));
        assert_eq!(header(0, "content-type").as_deref(), Some("image/jpeg"));
        assert_eq!(header(0, "x-amz-meta-reason"), None);
        assert_eq!(
            header(1, "x-amz-meta-reason").as_deref(),
            Some("the picture has too many pixels")
        );
        assert_eq!(header(1, "content-type").as_deref(), Some("image/svg+xml"));
    }
}
