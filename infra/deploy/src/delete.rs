//! Deleting a stack and what it holds, and looking for what is left.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{
    DeletionMode, ResourceStatus, StackResourceSummary, StackStatus,
};
use aws_sdk_s3::types::{Delete, EncodingType, NotificationConfiguration, ObjectIdentifier};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::events::EventFollower;
use crate::leftovers::Leftover;
use crate::parallel::{Tell, at_once};
use crate::progress::{Decide, Phase, Progress, Question, Report, ResourceEvent, list};
use crate::recovery::already_begun;
use crate::stack::{Described, Store, unique_name};
use crate::target::Target;

/// How often a deletion is begun again because something came in between.
const ATTEMPTS_MAX: usize = 3;

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct DeleteSpec<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// The tags that tell whose stack it is, at least `app` and `stage`.
    pub tags: BTreeMap<String, String>,
    /// Whether buckets outlive the stack, and so are not emptied.
    pub retains_data: bool,
    /// The stack of the artifact bucket.
    pub bootstrap_stack: &'a str,
    /// What the keys of the stack's code and records begin with.
    pub artifact_prefix: &'a str,
}

/// What a deletion removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The resources, in the order of their deletion.
    pub resources: Vec<ResourceEvent>,
    /// Object versions and delete markers deleted from buckets.
    pub object_versions: u64,
    /// Code packages and records deleted from the artifact bucket.
    pub artifacts: u64,
    /// What is there still.
    pub leftovers: Vec<Leftover>,
}

/// What became of the deletion of a stack.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) resources: Vec<ResourceEvent>,
    /// Resources that CloudFormation left where they are, because of their removal policy
    /// or because it was told to.
    pub(crate) skipped: Vec<ResourceEvent>,
    pub(crate) object_versions: u64,
}

impl Target {
    /// Empties the stack's buckets of all versions, deletes the stack, deletes its code
    /// packages and records from the artifact bucket, and looks for what is left. `None`
    /// when there was nothing to delete.
    ///
    /// # Errors
    /// When the stack is not that of `tags`; when AWS refuses, or a resource cannot be
    /// deleted and is not to be left.
    pub async fn delete(
        &self,
        spec: &DeleteSpec<'_>,
        decide: Decide<'_>,
        report: Report<'_>,
    ) -> Result<Option<Deleted>> {
        let mut deleted = Deleted::default();
        let mut resources = Vec::new();
        let mut skipped = Vec::new();
        let stack = self.at_rest(spec.stack, report).await?;
        let existed = stack.is_some();
        if let Some(stack) = stack {
            if !stack.belongs_to(&spec.tags) {
                return Err(Error::new(format!("will not delete stack {}", spec.stack))
                    .because(format!(
                        "it does not carry the tags app={} and stage={}",
                        spec.tags.get("app").map_or("", String::as_str),
                        spec.tags.get("stage").map_or("", String::as_str)
                    ))
                    .hint("if it is yours all the same, delete it with `aws cloudformation delete-stack`"));
            }
            resources = self.stack_resources(stack.id()).await?;
            let buckets = if spec.retains_data {
                Vec::new()
            } else {
                buckets_of(&resources)
            };
            let removed = self
                .empty_and_delete(&stack, &buckets, decide, report)
                .await?;
            deleted.resources = removed.resources;
            deleted.object_versions = removed.object_versions;
            skipped = removed.skipped;
        }
        // A deletion that was stopped may have left these without a stack.
        let bucket = self.artifact_bucket(spec.bootstrap_stack).await?;
        let store = bucket.as_deref().map(|bucket| Store {
            bucket,
            prefix: spec.artifact_prefix,
        });
        if let Some(store) = store {
            deleted.artifacts = self
                .empty_at_once(&[store.bucket.to_owned()], store.prefix, report)
                .await?;
        }
        report(Progress::Phase(Phase::Search));
        deleted.leftovers = self.leftovers(&resources, skipped, store).await?;
        Ok((existed || deleted != Deleted::default()).then_some(deleted))
    }

    /// The stack when nobody works on it, if it exists then.
    async fn at_rest(&self, stack: &str, report: Report<'_>) -> Result<Option<Described>> {
        loop {
            let Some(current) = self.describe(stack).await? else {
                return Ok(None);
            };
            match current.status() {
                StackStatus::DeleteComplete => return Ok(None),
                StackStatus::ReviewInProgress => return Ok(Some(current)),
                status if status.as_str().ends_with("_IN_PROGRESS") => {
                    self.wait_for_others(&current, report).await?;
                }
                _ => return Ok(Some(current)),
            }
        }
    }

    /// Empties buckets and deletes the stack; what cannot be deleted is left, after a yes.
    pub(crate) async fn empty_and_delete(
        &self,
        stack: &Described,
        buckets: &[String],
        decide: Decide<'_>,
        report: Report<'_>,
    ) -> Result<Removed> {
        let name = stack.name();
        let mut removed = Removed::default();
        let mut attempts_left = ATTEMPTS_MAX;
        let (left, stuck) = loop {
            if !buckets.is_empty() {
                report(Progress::Phase(Phase::Empty));
                for bucket in buckets {
                    self.silence_bucket(bucket).await?;
                }
                removed.object_versions += self.empty_at_once(buckets, "", report).await?;
            }
            let left = self
                .delete_stack(stack, DeletionMode::Standard, &mut removed, report)
                .await?;
            let Some(left) = left else {
                return Ok(removed);
            };
            let stuck = self
                .resources_in(&left, &ResourceStatus::DeleteFailed)
                .await?;
            attempts_left -= 1;
            // Someone else may have been at it first.
            let not_begun = *left.status() != StackStatus::DeleteFailed;
            // Something may have been uploaded between emptying and deleting.
            let filled_again = stuck.iter().any(|resource| {
                let reason = resource.reason.as_deref().unwrap_or_default();
                buckets.contains(&resource.physical_id) && reason.contains("not empty")
            });
            if attempts_left == 0 || !(filled_again || not_begun) {
                break (left, stuck);
            }
        };
        let failed = Error::new(format!("could not delete stack {name}"))
            .because(if stuck.is_empty() {
                format!("it is in state {}", left.status())
            } else {
                list(&stuck)
            })
            .hint("remove what stands in the way, then run the same command again");
        let question = Question::Abandon {
            stack: name.to_owned(),
            resources: stuck.clone(),
        };
        if stuck.is_empty() || !decide(&question) {
            return Err(failed);
        }
        let left = self
            .delete_stack(stack, DeletionMode::ForceDeleteStack, &mut removed, report)
            .await?;
        if left.is_some() {
            return Err(failed);
        }
        // CloudFormation says of these, too, only that it skipped them.
        removed.skipped.retain(|skipped| {
            !stuck
                .iter()
                .any(|resource| resource.logical_id == skipped.logical_id)
        });
        removed.skipped.extend(stuck);
        Ok(removed)
    }

    /// Deletes a stack and follows it to the end; returns it if it is still there then.
    async fn delete_stack(
        &self,
        stack: &Described,
        mode: DeletionMode,
        removed: &mut Removed,
        report: Report<'_>,
    ) -> Result<Option<Described>> {
        report(Progress::Phase(Phase::Delete));
        let token = unique_name();
        let mut events = EventFollower::from_now(self, stack.id(), Some(&token)).await?;
        let answer = self
            .cloudformation
            .delete_stack()
            .stack_name(stack.id())
            .client_request_token(&token)
            .set_deletion_mode((mode != DeletionMode::Standard).then_some(mode))
            .send()
            .await;
        if let Err(error) = answer {
            let what = format!("delete stack {}", stack.name());
            already_begun(Error::aws(&what, &error))?;
        }
        let left = self.wait_for_stack(&mut events, report).await?;
        removed
            .resources
            .extend(events.resources_that_ended("DELETE_COMPLETE"));
        removed
            .skipped
            .extend(events.resources_that_ended("DELETE_SKIPPED"));
        Ok(left)
    }

    /// The resources of a stack, or nothing when it does not exist.
    pub(crate) async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResourceSummary>> {
        let mut pages = self
            .cloudformation
            .list_stack_resources()
            .stack_name(stack)
            .into_paginator()
            .send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => resources.extend(page.stack_resource_summaries.unwrap_or_default()),
                Err(error) => {
                    let what = format!("list the resources of stack {stack}");
                    let error = Error::aws(&what, &error);
                    if error.kind() != Kind::NotFound {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(resources)
    }

    /// Empties buckets below `prefix`, all at once; returns how many versions they held.
    async fn empty_at_once(
        &self,
        buckets: &[String],
        prefix: &str,
        report: Report<'_>,
    ) -> Result<u64> {
        let counts = at_once(buckets.to_vec(), report, |bucket, tell| {
            let (target, prefix) = (self.clone(), prefix.to_owned());
            async move { target.empty_bucket(&bucket, &prefix, tell).await }
        })
        .await?;
        Ok(counts.into_iter().sum())
    }

    /// Whether a bucket has any version of any object; one that is gone has none.
    pub(crate) async fn holds_objects(&self, bucket: &str, prefix: &str) -> Result<bool> {
        let answer = self
            .s3
            .list_object_versions()
            .bucket(bucket)
            .expected_bucket_owner(&self.account)
            .prefix(prefix)
            .max_keys(1)
            .send()
            .await;
        match answer {
            Ok(page) => Ok(!page.versions().is_empty() || !page.delete_markers().is_empty()),
            Err(error) => {
                let error = Error::aws(&format!("list the objects in bucket {bucket}"), &error);
                match error.kind() {
                    Kind::NotFound => Ok(false),
                    _ => Err(error),
                }
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
            .expected_bucket_owner(&self.account)
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
    async fn empty_bucket(&self, bucket: &str, prefix: &str, tell: Tell) -> Result<u64> {
        let mut versions = 0;
        let mut key_marker = None;
        let mut version_id_marker = None;
        loop {
            let page = self
                .s3
                .list_object_versions()
                .bucket(bucket)
                .expected_bucket_owner(&self.account)
                .prefix(prefix)
                // Keys may hold characters that XML may not.
                .encoding_type(EncodingType::Url)
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
            let decoded = |key: Option<&str>| match page.encoding_type() {
                Some(EncodingType::Url) => key.map(url_decoded),
                _ => key.map(str::to_owned),
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
                        .set_key(decoded(key))
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
                let _ = tell.send(Progress::Emptied {
                    bucket: bucket.to_owned(),
                    versions,
                });
            }
            if page.is_truncated() != Some(true) {
                return Ok(versions);
            }
            key_marker = decoded(page.next_key_marker());
            version_id_marker = page.next_version_id_marker;
        }
    }

    async fn delete_objects(&self, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<u64> {
        let what = format!("empty bucket {bucket}");
        let (objects, alone): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|object| object.key().chars().all(is_xml_character));
        // DeleteObjects has its keys in XML, DeleteObject has its key in the path.
        for object in &alone {
            let deletion = self.s3.delete_object().bucket(bucket).key(object.key());
            let deletion = deletion
                .expected_bucket_owner(&self.account)
                .set_version_id(object.version_id().map(str::to_owned));
            let answer = deletion.send().await;
            answer.map_err(|error| Error::aws(&what, &error))?;
        }
        let deleted_alone = alone.len() as u64;
        if objects.is_empty() {
            return Ok(deleted_alone);
        }
        let count = objects.len() as u64;
        let batch = Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build()
            .map_err(|error| Error::new(format!("could not {what}")).because(error.to_string()))?;
        let answer = self
            .s3
            .delete_objects()
            .bucket(bucket)
            .expected_bucket_owner(&self.account)
            .delete(batch)
            .send()
            .await
            .map_err(|error| Error::aws(&what, &error))?;
        match answer.errors().first() {
            None => Ok(deleted_alone + count),
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

/// What S3 has encoded in a listing, a space as `+` and other characters by `%`.
fn url_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// Whether XML 1.0 can hold a character, escaped or not.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// The buckets among a stack's resources that are not deleted yet.
pub(crate) fn buckets_of(resources: &[StackResourceSummary]) -> Vec<String> {
    resources
        .iter()
        .filter(|resource| {
            resource.resource_type() == Some("AWS::S3::Bucket")
                && resource.resource_status() != Some(&ResourceStatus::DeleteComplete)
        })
        .filter_map(|resource| resource.physical_resource_id())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
