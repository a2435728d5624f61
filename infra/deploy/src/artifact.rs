//! Artifacts: code, uploaded by content.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::buckets;
use crate::error::{Error, Result};
use crate::parallel::{Tell, at_once};
use crate::progress::{Phase, Progress, Report};
use crate::stack::Store;
use crate::target::Target;

/// How much of a zip is read at once, and how often an upload tells its progress.
const UPLOAD_BUFFER_BYTES: usize = 128 * 1024;

/// A function's code, ready to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// The function's name in the manifest.
    pub function: String,
    /// The zip file.
    pub zip: PathBuf,
    /// The zip's size.
    pub zip_bytes: u64,
    /// The zip's SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// Where functions' code lies in the artifact bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The bucket.
    pub bucket: String,
    /// The key of each function's zip, by function.
    pub keys: BTreeMap<String, String>,
}

impl Artifact {
    /// Its key in the artifact bucket. It holds the zip's hash, so an object that exists is
    /// the same object.
    pub fn key(&self, prefix: &str) -> String {
        format!("{prefix}{}-{}.zip", self.function, self.sha256)
    }
}

/// The SHA-256 that a zip's key holds, if it is one of ours.
pub(crate) fn sha256_of_key(key: &str) -> Option<Vec<u8>> {
    let (_, hash) = key.strip_suffix(".zip")?.rsplit_once('-')?;
    hex::decode(hash).ok().filter(|hash| hash.len() == 32)
}

/// Uploads what the bucket does not have yet, all at once.
///
/// # Errors
/// When an upload fails.
pub async fn publish(
    target: &Target,
    bucket: &str,
    prefix: &str,
    artifacts: Vec<Artifact>,
    report: Report<'_>,
) -> Result<Published> {
    report(Progress::Phase(Phase::Publish));
    let keys = at_once(artifacts, report, |artifact, tell| {
        let (target, bucket, key) = (target.clone(), bucket.to_owned(), artifact.key(prefix));
        async move {
            if buckets::has_object(&target, &bucket, &key).await? {
                let _ = tell.send(Progress::AlreadyUploaded {
                    function: artifact.function.clone(),
                });
            } else {
                upload(&target, &bucket, &key, &artifact, tell).await?;
            }
            Ok((artifact.function, key))
        }
    })
    .await?;
    Ok(Published {
        bucket: bucket.to_owned(),
        keys: keys.into_iter().collect(),
    })
}

async fn upload(
    target: &Target,
    bucket: &str,
    key: &str,
    artifact: &Artifact,
    tell: Tell,
) -> Result<()> {
    let _ = tell.send(Progress::Uploading {
        function: artifact.function.clone(),
        bytes: artifact.zip_bytes,
    });
    let zip = ByteStream::read_from()
        .path(&artifact.zip)
        .buffer_size(UPLOAD_BUFFER_BYTES)
        .build()
        .await
        .map_err(|error| {
            Error::new(format!("could not read {}", artifact.zip.display()))
                .because(error.to_string())
        })?;
    let counted = {
        let (function, bytes) = (artifact.function.clone(), artifact.zip_bytes);
        zip.into_inner().map(move |body| {
            let (function, tell) = (function.clone(), tell.clone());
            SdkBody::from_body_1_x(Counted::new(body, move |sent_bytes| {
                let function = function.clone();
                // Nobody listens any more only when the deployment is being given up.
                let _ = tell.send(Progress::Uploaded {
                    function,
                    sent_bytes,
                    bytes,
                });
            }))
        })
    };
    target
        .s3
        .put_object()
        .bucket(bucket)
        .expected_bucket_owner(&target.account)
        .key(key)
        .body(ByteStream::new(counted))
        .send()
        .await
        .map_err(|error| {
            Error::aws(&format!("upload the code of {}", artifact.function), &error)
        })?;
    Ok(())
}

/// Puts a template where CloudFormation can read it; returns its URL.
pub(crate) async fn upload_template(
    target: &Target,
    store: Store<'_>,
    template: &str,
) -> Result<String> {
    let Store { bucket, prefix } = store;
    let hash = hex::encode(Sha256::digest(template));
    let key = format!("{prefix}templates/{hash}.yaml");
    target
        .s3
        .put_object()
        .bucket(bucket)
        .expected_bucket_owner(&target.account)
        .key(&key)
        .body(ByteStream::from(template.as_bytes().to_vec()))
        .send()
        .await
        .map_err(|error| Error::aws("upload the template", &error))?;
    Ok(match &target.s3_endpoint_url {
        Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
        None => {
            let suffix = if target.region.starts_with("cn-") {
                ".cn"
            } else {
                ""
            };
            format!(
                "https://{bucket}.s3.{}.amazonaws.com{suffix}/{key}",
                target.region
            )
        }
    })
}

/// A body that tells how much of it has been read.
struct Counted<F> {
    body: SdkBody,
    read_bytes: u64,
    tell: F,
}

impl<F: Fn(u64)> Counted<F> {
    fn new(body: SdkBody, tell: F) -> Self {
        Self {
            body,
            read_bytes: 0,
            tell,
        }
    }
}

impl<F: Fn(u64) + Unpin> Body for Counted<F> {
    type Data = <SdkBody as Body>::Data;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Self::Data>, Self::Error>>> {
        let counted = self.get_mut();
        let frame = ready!(Pin::new(&mut counted.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            counted.read_bytes += data.len() as u64;
            (counted.tell)(counted.read_bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
