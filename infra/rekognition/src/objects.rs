//! Objects in S3.

use std::error::Error;

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use serde::Deserialize;

use crate::protocol::{ApiError, ErrorKind};

/// Bytes of the largest image in S3, from "Guidelines and quotas in Amazon Rekognition".
pub const MAX_OBJECT_BYTES: usize = 15 << 20;

/// Where an image lies in S3, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectLocation {
    /// Bucket.
    pub bucket: Option<String>,
    /// Key.
    pub name: Option<String>,
    /// Version, the newest if there is none.
    pub version: Option<String>,
}

/// Reads a whole object.
///
/// # Errors
/// As Rekognition's: the object cannot be had, or is larger than [`MAX_OBJECT_BYTES`]; an S3 that does not answer is an
/// internal error, which SDKs try again.
pub async fn fetch(s3: &Client, location: &ObjectLocation) -> Result<Vec<u8>, ApiError> {
    let (bucket, name) = (
        location.bucket.as_deref().unwrap_or_default(),
        location.name.as_deref().unwrap_or_default(),
    );
    let mut object = s3
        .get_object()
        .bucket(bucket)
        .key(name)
        .set_version_id(location.version.clone())
        .send()
        .await
        .map_err(|error| refusal(bucket, name, &error))?;
    let too_large = || {
        let limit = MAX_OBJECT_BYTES >> 20;
        ApiError::new(
            ErrorKind::ImageTooLarge,
            format!("s3://{bucket}/{name} is larger than {limit} MB"),
        )
    };
    if object
        .content_length()
        .is_some_and(|length| usize::try_from(length).is_ok_and(|it| it > MAX_OBJECT_BYTES))
    {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = object.body.try_next().await.map_err(|error| {
        ApiError::new(
            ErrorKind::Internal,
            format!("reading s3://{bucket}/{name} failed: {error}"),
        )
    })? {
        if bytes.len() + chunk.len() > MAX_OBJECT_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refusal<E>(bucket: &str, name: &str, error: &SdkError<E>) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let what = format!("cannot read s3://{bucket}/{name}");
    match error {
        SdkError::ServiceError(refused) if refused.raw().status().is_client_error() => {
            let code = error.code().unwrap_or("no error code");
            let advice = "check the bucket, the key, the region and the permissions";
            ApiError::new(
                ErrorKind::InvalidS3Object,
                format!("{what} ({code}): {advice}"),
            )
        }
        // The SDK builds no request for what cannot be a bucket or a key.
        SdkError::ConstructionFailure(_) => ApiError::new(
            ErrorKind::InvalidS3Object,
            format!("{what}: {}", causes(error)),
        ),
        _ => ApiError::new(ErrorKind::Internal, format!("{what}: {}", causes(error))),
    }
}

/// An error and what led to it, on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = anyhow::Chain::new(error);
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
