//! Artifacts: the bucket they live in and their upload by content.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_sdk_s3::primitives::ByteStream;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::progress::{Progress, Report};
use crate::stack::{Outcome, Plan, StackSpec};
use crate::target::Target;

/// The bootstrap stack's output that names the artifact bucket.
const BUCKET_OUTPUT: &str = "ArtifactBucketName";

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

impl Target {
    /// The artifact bucket's name; creates the bootstrap stack when it is missing.
    ///
    /// # Errors
    /// When AWS cannot be reached or refuses, or the stack cannot be created.
    pub async fn ensure_bootstrap(
        &self,
        stack: &str,
        template: &str,
        report: Report<'_>,
    ) -> Result<String> {
        if let Some(bucket) = self.artifact_bucket(stack).await? {
            return Ok(bucket);
        }
        report(Progress::CreatingBootstrap {
            stack: stack.to_owned(),
        });
        let spec = StackSpec {
            name: stack,
            template,
            parameters: BTreeMap::new(),
            tags: BTreeMap::new(),
            template_bucket: None,
        };
        let outputs = match self.plan(&spec, report).await? {
            Plan::NoChanges(outputs) => outputs,
            Plan::Changes(changes) => match self.execute(&changes, report).await? {
                Outcome::Deployed(outputs) => outputs,
                Outcome::RolledBack(diagnosis) => return Err(diagnosis.error(stack)),
            },
        };
        outputs.get(BUCKET_OUTPUT).cloned().ok_or_else(|| {
            Error::new(format!("stack {stack} has no output {BUCKET_OUTPUT}"))
                .hint("delete it and deploy again")
        })
    }

    /// The artifact bucket's name, if the bootstrap stack is there and complete.
    pub(crate) async fn artifact_bucket(&self, stack: &str) -> Result<Option<String>> {
        let outputs = self.outputs(stack).await?;
        Ok(outputs.and_then(|mut outputs| outputs.remove(BUCKET_OUTPUT)))
    }

    /// Uploads what the bucket does not have yet, all at once. The key holds the content's
    /// hash, so an object that exists is the same object.
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
        let mut published = Published {
            bucket: bucket.to_owned(),
            keys: BTreeMap::new(),
        };
        let mut uploads = tokio::task::JoinSet::new();
        for artifact in artifacts {
            let key = format!("{prefix}{}-{}.zip", artifact.function, artifact.sha256);
            published
                .keys
                .insert(artifact.function.clone(), key.clone());
            if self.object_exists(bucket, &key).await? {
                report(Progress::AlreadyUploaded {
                    function: artifact.function,
                });
                continue;
            }
            report(Progress::Uploading {
                function: artifact.function.clone(),
                bytes: artifact.zip_bytes,
            });
            let zip = ByteStream::from_path(&artifact.zip)
                .await
                .map_err(|error| {
                    Error::new(format!("could not read {}", artifact.zip.display()))
                        .because(error.to_string())
                })?;
            let request = self.s3.put_object().bucket(bucket).key(key).body(zip);
            uploads.spawn(async move {
                request.send().await.map_err(|error| {
                    Error::aws(&format!("upload the code of {}", artifact.function), &error)
                })
            });
        }
        while let Some(upload) = uploads.join_next().await {
            upload.map_err(|error| {
                Error::new("an upload was interrupted").because(error.to_string())
            })??;
        }
        Ok(published)
    }

    async fn object_exists(&self, bucket: &str, key: &str) -> Result<bool> {
        match self.s3.head_object().bucket(bucket).key(key).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::head_object::HeadObjectError::is_not_found,
                ) =>
            {
                Ok(false)
            }
            Err(error) => {
                let error = Error::aws(&format!("look for s3://{bucket}/{key}"), &error);
                // S3 answers 403 for a missing key when the caller may not list the bucket.
                if error.kind() == Kind::NotFound {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Puts a template where CloudFormation can read it; returns its URL.
    pub(crate) async fn upload_template(
        &self,
        bucket: &str,
        spec: &StackSpec<'_>,
    ) -> Result<String> {
        let key = format!(
            "templates/{}-{}.yaml",
            spec.name,
            hex::encode(Sha256::digest(spec.template))
        );
        self.s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .body(ByteStream::from(spec.template.as_bytes().to_vec()))
            .send()
            .await
            .map_err(|error| Error::aws("upload the template", &error))?;
        Ok(match &self.endpoint_url {
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
