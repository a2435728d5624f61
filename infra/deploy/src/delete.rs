//! Deleting a stack and what it holds.

use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary};
use aws_sdk_s3::types::{Delete, NotificationConfiguration, ObjectIdentifier};
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::progress::{Progress, Report, ResourceEvent};
use crate::stack::{EventFollower, unique_suffix};
use crate::target::Target;

/// What a deletion removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The resources, in the order of their deletion.
    pub resources: Vec<ResourceEvent>,
    /// Object versions and delete markers deleted from buckets.
    pub object_versions: u64,
    /// Code packages deleted from the artifact bucket.
    pub artifacts: u64,
}

impl Target {
    /// The resources of a stack, or nothing when it does not exist.
    async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResourceSummary>> {
        let mut pages = self
            .cloudformation
            .list_stack_resources()
            .stack_name(stack)
            .into_paginator()
            .send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                Error::aws(&format!("list the resources of stack {stack}"), &error)
            })?;
            resources.extend(page.stack_resource_summaries.unwrap_or_default());
        }
        Ok(resources)
    }

    /// Empties the stack's buckets of all versions, deletes the stack, and deletes its code
    /// packages from the artifact bucket. `None` when the stack does not exist.
    ///
    /// `retains_data` is for stages whose buckets outlive the stack: they are not emptied.
    ///
    /// # Errors
    /// When AWS refuses, or a resource cannot be deleted.
    pub async fn delete(
        &self,
        stack: &str,
        retains_data: bool,
        bootstrap_stack: &str,
        artifact_prefix: &str,
        report: Report<'_>,
    ) -> Result<Option<Deleted>> {
        if self.describe(stack).await?.is_none() {
            return Ok(None);
        }
        let buckets: Vec<String> = self
            .stack_resources(stack)
            .await?
            .into_iter()
            .filter(|resource| {
                resource.resource_type() == Some("AWS::S3::Bucket")
                    && resource.resource_status() != Some(&ResourceStatus::DeleteComplete)
            })
            .filter_map(|resource| resource.physical_resource_id)
            .collect();
        let mut deleted = Deleted::default();
        let mut attempts_left = 2;
        loop {
            if !retains_data {
                for bucket in &buckets {
                    self.silence_bucket(bucket).await?;
                    deleted.object_versions += self.empty_bucket(bucket, "", report).await?;
                }
            }
            attempts_left -= 1;
            match self.delete_stack(stack, report).await {
                Ok(resources) => {
                    deleted.resources = resources;
                    break;
                }
                // Something was uploaded between emptying and deleting.
                Err(error)
                    if attempts_left > 0
                        && error.why().is_some_and(|why| why.contains("not empty")) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(bucket) = self.artifact_bucket(bootstrap_stack).await? {
            deleted.artifacts = self.empty_bucket(&bucket, artifact_prefix, report).await?;
        }
        Ok(Some(deleted))
    }

    /// Deletes a stack and follows it to the end; returns the deleted resources.
    pub(crate) async fn delete_stack(
        &self,
        stack: &str,
        report: Report<'_>,
    ) -> Result<Vec<ResourceEvent>> {
        let Some(described) = self.describe(stack).await? else {
            return Ok(Vec::new());
        };
        let stack_id = described.0.stack_id().unwrap_or(stack).to_owned();
        let token = format!("xtask-{}", unique_suffix());
        let mut events = EventFollower::from_now(self, &stack_id, &token).await?;
        self.cloudformation
            .delete_stack()
            .stack_name(&stack_id)
            .client_request_token(&token)
            .send()
            .await
            .map_err(|error| Error::aws(&format!("delete stack {stack}"), &error))?;
        match self.wait_for_stack(&stack_id, &mut events, report).await? {
            None => Ok(events
                .completed
                .into_iter()
                .filter(|event| {
                    event.status == "DELETE_COMPLETE"
                        && event.resource_type != "AWS::CloudFormation::Stack"
                })
                .collect()),
            Some(left) => {
                let error = Error::new(format!("stack {stack} is in state {}", left.status()))
                    .hint("remove what stands in the way, then run the same command again");
                Err(match events.first_failure {
                    Some(failure) => error.because(format!(
                        "{} ({}): {}",
                        failure.logical_id,
                        failure.resource_type,
                        failure.reason.as_deref().unwrap_or("no reason was given")
                    )),
                    None => error.because(
                        left.0
                            .stack_status_reason()
                            .unwrap_or("no reason was given"),
                    ),
                })
            }
        }
    }

    /// Takes the event notifications from a bucket that is about to be deleted: functions need
    /// not hear of every object, and none runs, or logs, while the stack goes away.
    async fn silence_bucket(&self, bucket: &str) -> Result<()> {
        let answer = self
            .s3
            .put_bucket_notification_configuration()
            .bucket(bucket)
            .notification_configuration(NotificationConfiguration::builder().build())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => {
                let what = format!("take the notifications from bucket {bucket}");
                let error = Error::aws(&what, &error);
                if error.kind() == Kind::NotFound {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Deletes every version and delete marker below `prefix`; returns how many.
    async fn empty_bucket(&self, bucket: &str, prefix: &str, report: Report<'_>) -> Result<u64> {
        let mut versions = 0;
        let mut key_marker = None;
        let mut version_id_marker = None;
        loop {
            let page = self
                .s3
                .list_object_versions()
                .bucket(bucket)
                .prefix(prefix)
                .set_key_marker(key_marker)
                .set_version_id_marker(version_id_marker)
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error = Error::aws(&format!("list the objects in bucket {bucket}"), &error);
                    return if error.kind() == Kind::NotFound {
                        Ok(versions)
                    } else {
                        Err(error)
                    };
                }
            };
            let objects = page
                .versions()
                .iter()
                .map(|version| (version.key(), version.version_id()))
                .chain(
                    page.delete_markers()
                        .iter()
                        .map(|marker| (marker.key(), marker.version_id())),
                )
                .map(|(key, version_id)| {
                    ObjectIdentifier::builder()
                        .set_key(key.map(str::to_owned))
                        .set_version_id(version_id.filter(|id| *id != "null").map(str::to_owned))
                        .build()
                        .map_err(|error| {
                            Error::new("S3 listed an object without a key")
                                .because(error.to_string())
                        })
                })
                .collect::<Result<Vec<_>>>()?;
            // A page holds at most 1000 entries, which is also the most that DeleteObjects takes.
            versions += self.delete_objects(bucket, objects).await?;
            if versions > 0 {
                report(Progress::Emptied {
                    bucket: bucket.to_owned(),
                    versions,
                });
            }
            if page.is_truncated() != Some(true) {
                return Ok(versions);
            }
            key_marker = page.next_key_marker;
            version_id_marker = page.next_version_id_marker;
        }
    }

    async fn delete_objects(&self, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<u64> {
        if objects.is_empty() {
            return Ok(0);
        }
        let count = objects.len() as u64;
        let what = format!("empty bucket {bucket}");
        let batch = Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build()
            .map_err(|error| Error::new(format!("could not {what}")).because(error.to_string()))?;
        let answer = self
            .s3
            .delete_objects()
            .bucket(bucket)
            .delete(batch)
            .send()
            .await
            .map_err(|error| Error::aws(&what, &error))?;
        match answer.errors().first() {
            None => Ok(count),
            Some(refused) => Err(Error::new(format!("could not {what}")).because(format!(
                "{} of {count} objects were not deleted; the first is {}: {}",
                answer.errors().len(),
                refused.key().unwrap_or("without a key"),
                refused
                    .message()
                    .or(refused.code())
                    .unwrap_or("no reason was given")
            ))),
        }
    }
}
