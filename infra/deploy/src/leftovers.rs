//! Looking for what a deletion left, by asking the services.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::StackResourceSummary;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::parallel::at_once;
use crate::resource_event::ResourceEvent;
use crate::stack::Store;
use crate::target::Target;
use crate::{buckets, status};

/// Something that a deletion left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    /// For example `AWS::Logs::LogGroup`.
    pub resource_type: String,
    /// Its name, URL or key.
    pub name: String,
    /// Why it is there still.
    pub reason: String,
}

impl Leftover {
    fn found(resource_type: &str, name: &str) -> Self {
        Self {
            resource_type: resource_type.to_owned(),
            name: name.to_owned(),
            reason: "it still exists, although it belongs to no stack".to_owned(),
        }
    }
}

/// What is left of a deleted stack. What CloudFormation left on purpose it says itself;
/// buckets, functions, log groups, queues and roles are asked for.
pub(crate) async fn leftovers(
    target: &Target,
    resources: &[StackResourceSummary],
    skipped: Vec<ResourceEvent>,
    store: Option<Store<'_>>,
) -> Result<Vec<Leftover>> {
    let mut leftovers: Vec<Leftover> = skipped
        .into_iter()
        .map(|resource| Leftover {
            resource_type: resource.resource_type,
            name: resource.physical_id,
            reason: match resource.reason {
                Some(reason) if resource.status == "DELETE_FAILED" => reason,
                _ => "its removal policy retains it".to_owned(),
            },
        })
        .collect();
    let explained: BTreeSet<&str> = leftovers.iter().map(|left| left.name.as_str()).collect();
    let mut asked = BTreeSet::new();
    for resource in resources {
        let kind = resource.resource_type().unwrap_or_default();
        let name = resource.physical_resource_id().unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        if kind == "AWS::Lambda::Function" {
            asked.insert((
                "AWS::Logs::LogGroup".to_owned(),
                format!("/aws/lambda/{name}"),
            ));
        }
        asked.insert((kind.to_owned(), name.to_owned()));
    }
    asked.retain(|(_, name)| !explained.contains(name.as_str()));
    let found = at_once(asked, &|_| {}, |(kind, name), _| {
        let target = target.clone();
        async move {
            let exists = exists(&target, &kind, &name).await?;
            Ok(exists.then(|| Leftover::found(&kind, &name)))
        }
    })
    .await?;
    leftovers.extend(found.into_iter().flatten());
    if let Some(store) = store
        && buckets::holds_objects(target, store.bucket, store.prefix).await?
    {
        let name = format!("s3://{}/{}", store.bucket, store.prefix);
        leftovers.push(Leftover::found("AWS::S3::Object", &name));
    }
    leftovers.sort();
    Ok(leftovers)
}

/// Whether a resource exists, for services that this program calls.
async fn exists(target: &Target, resource_type: &str, name: &str) -> Result<bool> {
    let what = format!("look for {name}");
    let answer = match resource_type {
        "AWS::S3::Bucket" => return buckets::exists(target, name).await,
        "AWS::Lambda::Function" => {
            return Ok(status::deployed_function(target, name).await?.is_some());
        }
        "AWS::Logs::LogGroup" => return log_group_exists(target, name).await,
        "AWS::SQS::Queue" => target
            .sqs
            .get_queue_attributes()
            .queue_url(name)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Error::aws(&what, &error)),
        "AWS::IAM::Role" => target
            .iam
            .get_role()
            .role_name(name)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Error::aws(&what, &error)),
        _ => return Ok(false),
    };
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn log_group_exists(target: &Target, name: &str) -> Result<bool> {
    let answer = target
        .logs
        .describe_log_groups()
        .log_group_name_prefix(name)
        .send()
        .await
        .map_err(|error| Error::aws(&format!("look for log group {name}"), &error))?;
    let mut groups = answer.log_groups().iter();
    Ok(groups.any(|group| group.log_group_name() == Some(name)))
}
