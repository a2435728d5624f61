//! The users' objects in S3.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use runtime::Aws;
use runtime::service_error::chain;

use crate::user_data::{CONTENT, ReconcileError, UserData, UserDataKey};

/// Conflicting writes of one object last for milliseconds; these attempts span a third of a second.
const PUT_ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// The users' objects in a bucket.
#[derive(Debug, Clone)]
pub struct S3UserData {
    client: Client,
    bucket: String,
}

impl S3UserData {
    /// Builds the client.
    pub fn new(aws: &Aws, bucket: impl Into<String>) -> Self {
        let bucket = bucket.into();
        let client = aws.s3_client(&bucket);
        Self { client, bucket }
    }
}

impl UserData for S3UserData {
    async fn put(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let mut attempt = 1;
        loop {
            let result = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key.as_str())
                .if_none_match("*")
                .content_type("text/plain")
                .body(ByteStream::from_static(CONTENT.as_bytes()))
                .send()
                .await;
            let Err(error) = result else { return Ok(()) };
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            match error.code() {
                Some("PreconditionFailed") => return Ok(()),
                Some("ConditionalRequestConflict") if attempt < PUT_ATTEMPTS => {
                    tokio::time::sleep(FIRST_BACKOFF * 2_u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                _ => return Err(failed("put", &error)),
            }
        }
    }

    async fn delete(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let deletion = self.client.delete_object();
        let result = deletion.bucket(&self.bucket).key(key.as_str()).send().await;
        result.map(drop).map_err(|error| failed("delete", &error))
    }
}

/// S3's messages may quote the object's key, which may be a person's name: its code must do.
fn failed<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> ReconcileError
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    let reason = match error {
        SdkError::ServiceError(context) => {
            let (answer, status) = (context.err(), context.raw().status());
            let code = answer.code().unwrap_or("no error code");
            let request_id = answer.request_id().unwrap_or("unknown");
            format!("S3 answered {code} (HTTP status {status}, AWS request id {request_id})")
        }
        other => chain(other),
    };
    ReconcileError::UserData { action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    fn error(status: u16, code: &str) -> (u16, Value) {
        let body = format!("<Error><Code>{code}</Code><Message>About john.</Message></Error>");
        (status, body.into())
    }

    fn key() -> UserDataKey {
        UserDataKey::of(&UserId::new("john/1").unwrap())
    }

    fn bucket(wire: &Wire) -> S3UserData {
        S3UserData::new(&wire.aws(), "amzn-s3-demo-bucket")
    }

    #[tokio::test]
    async fn an_object_is_put_where_there_is_none() {
        let wire = Wire::new([(200, json!(""))]);
        bucket(&wire).put(&key()).await.unwrap();
        assert_eq!(
            wire.requests(),
            [(
                "PUT https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/john%252F1/userdata?x-id=PutObject".into(),
                json!("just some data"),
            )]
        );
        let header = |name| wire.header(0, name);
        assert_eq!(header("if-none-match").as_deref(), Some("*"));
        assert_eq!(header("content-type").as_deref(), Some("text/plain"));
    }

    #[tokio::test]
    async fn an_object_that_is_there_is_fine() {
        let wire = Wire::new([error(412, "PreconditionFailed")]);
        assert_eq!(bucket(&wire).put(&key()).await, Ok(()));
        assert_eq!(wire.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again_for_a_while() {
        let conflict = || error(409, "ConditionalRequestConflict");
        let wire = Wire::new([conflict(), conflict(), (200, json!(""))]);
        assert_eq!(bucket(&wire).put(&key()).await, Ok(()));
        assert_eq!(wire.requests().len(), 3);

        let wire = Wire::new((0..10).map(|_| conflict()));
        let error = bucket(&wire).put(&key()).await.unwrap_err().to_string();
        assert!(error.contains("ConditionalRequestConflict"), "{error}");
        assert_eq!(wire.requests().len(), PUT_ATTEMPTS as usize);
    }

    #[tokio::test]
    async fn an_object_is_deleted() {
        let wire = Wire::new([(204, json!(""))]);
        bucket(&wire).delete(&key()).await.unwrap();
        assert_eq!(
            wire.requests(),
            [(
                "DELETE https://amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com/john%252F1/userdata?x-id=DeleteObject".into(),
                json!(""),
            )]
        );
    }

    #[tokio::test]
    async fn an_error_tells_the_code_and_not_the_key() {
        for action in ["put", "delete"] {
            let wire = Wire::new([error(403, "AccessDenied")]);
            let result = match action {
                "put" => bucket(&wire).put(&key()).await,
                _ => bucket(&wire).delete(&key()).await,
            };
            assert_eq!(
                result.unwrap_err().to_string(),
                format!(
                    "could not {action} the user's object: S3 answered AccessDenied (HTTP status 403, AWS request id unknown)"
                )
            );
        }
    }
}
