//! Artifacts: code, uploaded by content.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
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

impl Target {
    /// Uploads what the bucket does not have yet, all at once.
    ///
    /// # Errors
    /// When an upload fails.
    pub async fn publish(
        &self,
        bucket: &str,
        prefix: &str,
        artifacts: Vec<Artifact>,
        report: Report<'_>,
    ) -> Result<Published> {
        report(Progress::Phase(Phase::Publish));
        let keys = at_once(artifacts, report, |artifact, tell| {
            let (target, bucket, key) = (self.clone(), bucket.to_owned(), artifact.key(prefix));
            async move {
                if target.object_exists(&bucket, &key).await? {
                    let _ = tell.send(Progress::AlreadyUploaded {
                        function: artifact.function.clone(),
                    });
                } else {
                    target.upload(&bucket, &key, &artifact, tell).await?;
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

    async fn upload(&self, bucket: &str, key: &str, artifact: &Artifact, tell: Tell) -> Result<()> {
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
        self.s3
            .put_object()
            .bucket(bucket)
            .expected_bucket_owner(&self.account)
            .key(key)
            .body(ByteStream::new(counted))
            .send()
            .await
            .map_err(|error| {
                Error::aws(&format!("upload the code of {}", artifact.function), &error)
            })?;
        Ok(())
    }

    pub(crate) async fn object_exists(&self, bucket: &str, key: &str) -> Result<bool> {
        let request = self.s3.head_object().bucket(bucket).key(key);
        let answer = request.expected_bucket_owner(&self.account).send().await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = Error::aws(&format!("look for s3://{bucket}/{key}"), &error);
                match error.kind() {
                    Kind::NotFound => Ok(false),
                    // The answer has no body, and so says nothing of what is missing.
                    Kind::AccessDenied => Err(error.hint(format!(
                        "the caller needs s3:GetObject on arn:aws:s3:::{bucket}/{key}, and s3:ListBucket on the bucket"
                    ))),
                    _ => Err(error),
                }
            }
        }
    }

    /// Whether the account has this bucket.
    ///
    /// # Errors
    /// When another account has it: the name of a bucket that was deleted is free for everybody,
    /// and whoever took it would be given the code.
    pub(crate) async fn bucket_exists(&self, bucket: &str) -> Result<bool> {
        let request = self.s3.head_bucket().bucket(bucket);
        let ours = request.clone().expected_bucket_owner(&self.account);
        let Err(error) = ours.send().await else {
            return Ok(true);
        };
        let error = Error::aws(&format!("look for bucket {bucket}"), &error);
        match error.kind() {
            Kind::NotFound => Ok(false),
            Kind::AccessDenied if request.send().await.is_ok() => Err(Error::new(format!(
                "bucket {bucket} does not belong to account {}",
                self.account
            ))
            .because("somebody deleted it, and another account has made a bucket of this name")
            .hint("delete the stack that the bucket was in, and deploy again: that makes another")),
            // Whoever may not list a bucket may still write to it.
            Kind::AccessDenied => Ok(true),
            _ => Err(error),
        }
    }

    /// Puts a template where CloudFormation can read it; returns its URL.
    pub(crate) async fn upload_template(&self, store: Store<'_>, template: &str) -> Result<String> {
        let Store { bucket, prefix } = store;
        let hash = hex::encode(Sha256::digest(template));
        let key = format!("{prefix}templates/{hash}.yaml");
        self.s3
            .put_object()
            .bucket(bucket)
            .expected_bucket_owner(&self.account)
            .key(&key)
            .body(ByteStream::from(template.as_bytes().to_vec()))
            .send()
            .await
            .map_err(|error| Error::aws("upload the template", &error))?;
        Ok(match &self.s3_endpoint_url {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            None => {
                let suffix = if self.region.starts_with("cn-") {
                    ".cn"
                } else {
                    ""
                };
                format!(
                    "https://{bucket}.s3.{}.amazonaws.com{suffix}/{key}",
                    self.region
                )
            }
        })
    }
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
