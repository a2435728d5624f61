//! Objects in S3.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;

use crate::aws::{Aws, Service};
use crate::service_error::ServiceError;

/// Conflicting writes of one object last for milliseconds; these attempts span a third of a second.
const PUT_ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// A client of S3 for one bucket. An attempt of a call has 3 s, all of them have 10 s.
pub fn client(aws: &Aws, bucket: &str) -> Client {
    let config = aws.config_with_timeouts(Service::s3(bucket));
    let config = Builder::from(&config)
        .force_path_style(config.endpoint_url().is_some())
        .build();
    Client::from_conf(config)
}

/// Whether the object is there. S3 tells an object that is not there only to callers who may list
/// the bucket; to others, it denies access to it, which is an error.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
pub async fn exists(client: &Client, bucket: &str, key: &str) -> Result<bool, ServiceError> {
    let request = client.head_object().bucket(bucket).key(key);
    match request.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(answer) if answer.is_not_found() => Ok(false),
            _ => Err(ServiceError::of(&error)),
        },
    }
}

/// Makes sure that there is an object with this key. One that is there stays as it is.
///
/// S3 refuses one of two writes that come at the same time: that one is tried again here.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
pub async fn put_if_absent(
    client: &Client,
    bucket: &str,
    key: &str,
    content_type: &str,
    content: &[u8],
) -> Result<(), ServiceError> {
    let mut attempt = 1;
    loop {
        let result = client
            .put_object()
            .bucket(bucket)
            .key(key)
            .if_none_match("*")
            .content_type(content_type)
            .body(content.to_vec().into())
            .send()
            .await;
        let Err(error) = result else { return Ok(()) };
        match error.code() {
            Some("PreconditionFailed") => return Ok(()),
            Some("ConditionalRequestConflict") if attempt < PUT_ATTEMPTS => {
                tokio::time::sleep(FIRST_BACKOFF * 2_u32.pow(attempt - 1)).await;
                attempt += 1;
            }
            _ => return Err(ServiceError::of(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Wire;
    use serde_json::{Value, json};

    fn error(status: u16, code: &str) -> (u16, Value) {
        let body = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
        (status, body.into())
    }

    async fn put(wire: &Wire) -> Result<(), ServiceError> {
        let client = client(&wire.aws(), "amzn-s3-demo-bucket");
        let (bucket, key) = ("amzn-s3-demo-bucket", "a b/1.txt");
        put_if_absent(&client, bucket, key, "text/plain", b"content").await
    }

    async fn look(wire: &Wire) -> Result<bool, ServiceError> {
        let bucket = "amzn-s3-demo-bucket";
        exists(&client(&wire.aws(), bucket), bucket, "my report+1%.pdf").await
    }

    #[tokio::test]
    async fn an_object_is_there_or_not_or_s3_does_not_say() {
        assert_eq!(look(&Wire::new([(200, json!(""))])).await, Ok(true));
        let wire = Wire::new([(404, json!(""))]);
        assert_eq!(look(&wire).await, Ok(false));
        assert_eq!(
            wire.requests(),
            [(
                "HEAD https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/my%20report%2B1%25.pdf"
                    .into(),
                json!("")
            )]
        );
        let denied = look(&Wire::new([(403, json!(""))])).await.unwrap_err();
        let denied = denied.to_string();
        assert!(denied.contains("HTTP status 403"), "{denied}");
    }

    #[tokio::test]
    async fn an_object_is_put_where_there_is_none() {
        let wire = Wire::new([(200, json!(""))]);
        assert_eq!(put(&wire).await, Ok(()));
        assert_eq!(
            wire.requests(),
            [(
                "PUT https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/a%20b/1.txt?x-id=PutObject"
                    .into(),
                json!("content"),
            )]
        );
        let header = |name| wire.header(0, name);
        assert_eq!(header("if-none-match").as_deref(), Some("*"));
        assert_eq!(header("content-type").as_deref(), Some("text/plain"));
    }

    #[tokio::test]
    async fn an_object_that_is_there_is_fine() {
        let wire = Wire::new([error(412, "PreconditionFailed")]);
        assert_eq!(put(&wire).await, Ok(()));
        assert_eq!(wire.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again_for_a_while() {
        let conflict = || error(409, "ConditionalRequestConflict");
        let wire = Wire::new([conflict(), conflict(), (200, json!(""))]);
        assert_eq!(put(&wire).await, Ok(()));
        assert_eq!(wire.requests().len(), 3);

        let wire = Wire::new((0..10).map(|_| conflict()));
        let error = put(&wire).await.unwrap_err().to_string();
        assert!(error.contains("ConditionalRequestConflict"), "{error}");
        assert_eq!(wire.requests().len(), PUT_ATTEMPTS as usize);
    }
}
