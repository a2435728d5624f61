//! Objects in S3.

use std::{error::Error, fs::File, ops::RangeInclusive};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use serde::{Deserialize, Serialize};
use tokio::io::{self, AsyncWriteExt};

use crate::{
    protocol::{ApiError, ErrorKind},
    video::MAX_FILE_BYTES,
};

/// Bytes of the largest image in S3, from "Guidelines and quotas in Amazon Rekognition".
pub const MAX_OBJECT_BYTES: usize = 15 << 20;

/// Where an image or a video lies in S3, as a request says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectLocation {
    /// Bucket.
    pub bucket: Option<String>,
    /// Key.
    pub name: Option<String>,
    /// Version, the newest if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl ObjectLocation {
    /// This location, if it keeps the constraints of the type `S3Object`; `parent` is the member that it is in.
    ///
    /// # Errors
    /// It does not.
    pub fn checked(self, parent: &str) -> Result<Self, ApiError> {
        let constraint = |field: &str, value: &Option<String>, lengths: RangeInclusive<usize>| {
            let length = value.as_ref().map(|value| value.chars().count());
            if length.is_some_and(|length| lengths.contains(&length)) {
                return Ok(());
            }
            let (least, greatest) = (lengths.start(), lengths.end());
            Err(ApiError::new(
                ErrorKind::InvalidParameter,
                format!(
                    "{parent}.S3Object.{field} must be given and have from {least} to {greatest} characters"
                ),
            ))
        };
        constraint("Bucket", &self.bucket, 3..=255)?;
        constraint("Name", &self.name, 1..=1024)?;
        if self.version.is_some() {
            constraint("Version", &self.version, 1..=1024)?;
        }
        Ok(self)
    }

    /// Bucket and key, which every checked location has.
    fn parts(&self) -> (&str, &str) {
        (
            self.bucket.as_deref().unwrap_or_default(),
            self.name.as_deref().unwrap_or_default(),
        )
    }

    /// The object's ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        let (bucket, name) = self.parts();
        format!("arn:aws:s3:::{bucket}/{name}")
    }

    /// The IAM action of reading the object.
    #[must_use]
    pub fn read_action(&self) -> &'static str {
        match self.version {
            None => "s3:GetObject",
            Some(_) => "s3:GetObjectVersion",
        }
    }
}

/// Reads a whole object.
///
/// # Errors
/// As Rekognition's: the object cannot be had, or is larger than [`MAX_OBJECT_BYTES`]; an S3 that does not answer is an
/// internal error, which SDKs try again.
pub async fn fetch(s3: &Client, location: &ObjectLocation) -> Result<Vec<u8>, ApiError> {
    let (bucket, name) = location.parts();
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

/// Checks that a video can be had and is not larger than [`MAX_FILE_BYTES`].
///
/// # Errors
/// As Rekognition's: the object cannot be had, or is too large.
pub async fn check_video(s3: &Client, location: &ObjectLocation) -> Result<(), ApiError> {
    let (bucket, name) = location.parts();
    let head = s3
        .head_object()
        .bucket(bucket)
        .key(name)
        .set_version_id(location.version.clone())
        .send()
        .await
        .map_err(|error| refusal(bucket, name, &error))?;
    let length = head
        .content_length()
        .and_then(|length| u64::try_from(length).ok());
    if length.is_some_and(|length| length > MAX_FILE_BYTES) {
        return Err(too_large_video(bucket, name));
    }
    Ok(())
}

/// Copies a video into a file that is gone when it is closed.
///
/// # Errors
/// The object cannot be had, is larger than [`MAX_FILE_BYTES`], or the file cannot be written.
pub async fn copy_video(s3: &Client, location: &ObjectLocation) -> Result<File, ApiError> {
    let (bucket, name) = location.parts();
    let failed = |error: io::Error| {
        ApiError::new(
            ErrorKind::Internal,
            format!("copying s3://{bucket}/{name} failed: {error}"),
        )
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(failed)?);
    let object = s3
        .get_object()
        .bucket(bucket)
        .key(name)
        .set_version_id(location.version.clone())
        .send()
        .await
        .map_err(|error| refusal(bucket, name, &error))?;
    let (mut body, mut length) = (object.body, 0);
    while let Some(chunk) = body
        .try_next()
        .await
        .map_err(|error| failed(error.into()))?
    {
        length += chunk.len() as u64;
        if length > MAX_FILE_BYTES {
            return Err(too_large_video(bucket, name));
        }
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(file.into_std().await)
}

fn too_large_video(bucket: &str, name: &str) -> ApiError {
    let limit = MAX_FILE_BYTES >> 30;
    ApiError::new(
        ErrorKind::VideoTooLarge,
        format!("s3://{bucket}/{name} is larger than {limit} GB"),
    )
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
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = anyhow::Chain::new(error);
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
