//! Objects in S3.

use aws_sdk_s3::Client;
use runtime::Aws;
use runtime::service_error::describe;

use crate::key::{BucketName, ObjectKey};

/// Looks whether objects are there.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    client: Client,
}

impl Objects {
    /// Builds the client, for one bucket.
    pub(crate) fn new(aws: &Aws, bucket: &BucketName) -> Self {
        Self {
            client: aws.s3_client(bucket.as_str()),
        }
    }

    /// Whether the object is there, or why S3 does not say so. S3 tells an object that is not
    /// there only to callers who may list the bucket; to others, it denies access to it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    pub(crate) async fn exists(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<bool, String> {
        let request = self.client.head_object();
        match request
            .bucket(bucket.as_str())
            .key(key.as_str())
            .send()
            .await
        {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(answer) if answer.is_not_found() => Ok(false),
                _ => Err(describe(&error)),
            },
        }
    }
}
