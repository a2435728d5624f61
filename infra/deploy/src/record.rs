//! Records of deployments: what a rollback goes back to.
//!
//! Before a deployment changes a stack, what the stack is at that moment is read from
//! CloudFormation and kept. So a record always tells of something that was truly deployed,
//! whatever becomes of the deployment that kept it, and wherever it is stopped. A record is
//! named after the time at which CloudFormation finished what it tells of, so that keeping
//! it twice keeps it once.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};

use crate::artifact::sha256_of_key;
use crate::error::{Error, Result};
use crate::stack::{Mismatch, StackSpec, Store};
use crate::target::Target;
use crate::{buckets, stack};

/// What a stack was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it was deployed, RFC 3339.
    pub deployed_at: String,
    /// Its template.
    pub template: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Record {
    /// What to deploy to go back to this; everything that a record does not tell is as in
    /// `spec`.
    pub fn spec<'a>(&'a self, spec: &StackSpec<'a>) -> StackSpec<'a> {
        StackSpec {
            template: &self.template,
            parameters: self.parameters.clone(),
            tags: self.tags.clone(),
            ..spec.clone()
        }
    }

    /// In RFC 3339 the order of times is nearly that of texts: only the fraction may be
    /// missing.
    fn key(&self, store: Store<'_>) -> String {
        let seconds = self.deployed_at.trim_end_matches('Z');
        let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        format!("{}{seconds}.{fraction:0<9}Z.json", records_prefix(store))
    }
}

fn records_prefix(store: Store<'_>) -> String {
    format!("{}deployments/", store.prefix)
}

/// What a stack is now; `None` when there is none, or one that is not whole.
///
/// # Errors
/// When AWS cannot be reached or refuses.
pub async fn deployed(target: &Target, stack: &str) -> Result<Option<Record>> {
    let Some(current) = stack::describe(target, stack).await? else {
        return Ok(None);
    };
    let deployed_at = current.0.last_updated_time().or(current.0.creation_time());
    let (true, Some(deployed_at)) = (current.settled(), deployed_at) else {
        return Ok(None);
    };
    Ok(Some(Record {
        deployed_at: deployed_at.to_string(),
        template: stack::template(target, stack).await?,
        parameters: current.parameters(),
        tags: current.tags(),
    }))
}

/// Keeps what the stack is now.
pub(crate) async fn keep_record(target: &Target, spec: &StackSpec<'_>) -> Result<()> {
    let Some(store) = spec.store else {
        return Ok(());
    };
    let Some(record) = deployed(target, spec.name).await? else {
        return Ok(());
    };
    let body = serde_json::to_vec_pretty(&record).map_err(|error| {
        Error::new("could not record the present deployment").because(error.to_string())
    })?;
    target
        .s3
        .put_object()
        .bucket(store.bucket)
        .expected_bucket_owner(&target.account)
        .key(record.key(store))
        .body(ByteStream::from(body))
        .send()
        .await
        .map_err(|error| Error::aws("keep a record of the present deployment", &error))?;
    Ok(())
}

/// What the stack was before it became what it is; `None` when there is no record of
/// anything else. After a rollback that is what was rolled back.
///
/// # Errors
/// When AWS cannot be reached or refuses, or code that the record names is gone.
pub async fn previous_deployment(target: &Target, spec: &StackSpec<'_>) -> Result<Option<Record>> {
    let Some(store) = spec.store else {
        return Ok(None);
    };
    let Some(current) = stack::describe(target, spec.name).await? else {
        return Ok(None);
    };
    let template = stack::template(target, spec.name).await?;
    let mut keys = record_keys(target, store).await?;
    while let Some(key) = keys.pop() {
        let record = record(target, store, &key).await?;
        if !Mismatch::between(&current, &template, &record.spec(spec)).is_none() {
            check_code(target, store, &record).await?;
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The keys of the records, in order of time.
async fn record_keys(target: &Target, store: Store<'_>) -> Result<Vec<String>> {
    let mut pages = target
        .s3
        .list_objects_v2()
        .bucket(store.bucket)
        .expected_bucket_owner(&target.account)
        .prefix(records_prefix(store))
        .into_paginator()
        .send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::aws("list the records of deployments", &error))?;
        let objects = page.contents.unwrap_or_default();
        keys.extend(objects.into_iter().filter_map(|object| object.key));
    }
    keys.sort();
    Ok(keys)
}

async fn record(target: &Target, store: Store<'_>, key: &str) -> Result<Record> {
    let what = format!("read the record s3://{}/{key}", store.bucket);
    let answer = target
        .s3
        .get_object()
        .bucket(store.bucket)
        .expected_bucket_owner(&target.account)
        .key(key)
        .send()
        .await
        .map_err(|error| Error::aws(&what, &error))?;
    let unreadable = |error: String| Error::new(format!("could not {what}")).because(error);
    let body = answer.body.collect().await;
    let body = body.map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&body.into_bytes()).map_err(|error| unreadable(error.to_string()))
}

/// All code that a record names must still be there: functions cannot go back without.
async fn check_code(target: &Target, store: Store<'_>, record: &Record) -> Result<()> {
    for key in record.parameters.values() {
        if sha256_of_key(key).is_some() && !buckets::has_object(target, store.bucket, key).await? {
            return Err(Error::new(format!(
                "cannot go back to the deployment of {}",
                record.deployed_at
            ))
            .because(format!("s3://{}/{key} is gone", store.bucket))
            .hint("check out the sources of that time, and deploy them"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
