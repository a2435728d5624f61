//! The users' objects in S3.

use aws_sdk_s3::Client;
use runtime::Aws;
use runtime::s3::{client, put_if_absent};
use runtime::service_error::ServiceError;

use crate::user_data::{CONTENT, ReconcileError, UserData, UserDataKey};

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
        let client = client(aws, &bucket);
        Self { client, bucket }
    }
}

impl UserData for S3UserData {
    async fn put(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let (key, content) = (key.as_str(), CONTENT.as_bytes());
        put_if_absent(&self.client, &self.bucket, key, "text/plain", content)
            .await
            .map_err(|error| failed("put", &error))
    }

    async fn delete(&self, key: &UserDataKey) -> Result<(), ReconcileError> {
        let deletion = self.client.delete_object();
        let result = deletion.bucket(&self.bucket).key(key.as_str()).send().await;
        result
            .map(drop)
            .map_err(|error| failed("delete", &ServiceError::of(&error)))
    }
}

/// S3's messages may quote the object's key, which may be a person's name: its code must do.
fn failed(action: &'static str, error: &ServiceError) -> ReconcileError {
    let reason = error.without_message("S3");
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
