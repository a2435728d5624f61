//! Jobs in DynamoDB: a table with the partition key `job`, and the attributes `name`, `sequencer`,
//! `started_at` and, for DynamoDB's time to live, `expires_at`, both in seconds since the epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runtime::dynamodb::{Attributes, client, text};
use runtime::s3::{ObjectKey, Sequencer};
use runtime::service_error::ServiceError;
use runtime::{Aws, Environment, MissingVariable};

use super::item::{failed, malformed, text_of, to_name};
use crate::catalogue::CatalogueError;
use crate::detector::JobId;
use crate::running::{RUNNING_JOB_LIFETIME, RunningJob, RunningJobs};

/// Jobs in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoJobs {
    client: Client,
    table: String,
}

impl DynamoJobs {
    /// Builds the client, for the table that the stack's variable names.
    pub fn new(aws: &Aws, environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            client: client(aws),
            table: environment.require("MEDIA_JOBS_TABLE_NAME")?,
        })
    }
}

impl RunningJobs for DynamoJobs {
    async fn note(&self, job: &RunningJob) -> Result<(), CatalogueError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("job", text(job.id.as_str()))
            .item("name", text(job.name.as_str()))
            .item("sequencer", text(job.sequencer.as_str()))
            .item("started_at", seconds(job.started_at))
            .item("expires_at", seconds(job.started_at + RUNNING_JOB_LIFETIME));
        let put = put.send().await;
        put.map(drop).map_err(|error| {
            failed(
                "note the job of",
                job.name.as_str(),
                ServiceError::of(&error),
            )
        })
    }

    /// The table is as small as the number of jobs that Rekognition runs at a time.
    async fn list(&self) -> Result<Vec<RunningJob>, CatalogueError> {
        let scan = self.client.scan().table_name(&self.table);
        let mut items = scan.into_paginator().items().send();
        let mut jobs = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| failed("list", "the jobs", ServiceError::of(&error)))?;
            jobs.push(to_job(&item)?);
        }
        Ok(jobs)
    }

    async fn forget(&self, job: &JobId) -> Result<(), CatalogueError> {
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.key("job", text(job.as_str())).send().await;
        deleted
            .map(drop)
            .map_err(|error| failed("forget the job", job.as_str(), ServiceError::of(&error)))
    }
}

fn seconds(time: SystemTime) -> AttributeValue {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    AttributeValue::N(since_epoch.as_secs().to_string())
}

fn to_job(attributes: &Attributes) -> Result<RunningJob, CatalogueError> {
    let started_at = attributes.get("started_at").and_then(|at| at.as_n().ok());
    let started_at = started_at.and_then(|at| at.parse().ok());
    let started_at = started_at
        .ok_or_else(|| malformed(attributes, "its attribute \"started_at\" is not a number"))?;
    let name: ObjectKey = to_name(attributes)?;
    Ok(RunningJob {
        id: JobId::new(text_of(attributes, "job")?),
        name,
        sequencer: Sequencer::parse(text_of(attributes, "sequencer")?)
            .map_err(|error| malformed(attributes, error))?,
        started_at: UNIX_EPOCH + Duration::from_secs(started_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use runtime::testing::Wire;
    use serde_json::json;

    fn jobs(wire: &Wire) -> DynamoJobs {
        DynamoJobs {
            client: client(&wire.aws()),
            table: "jobs".into(),
        }
    }

    fn job() -> RunningJob {
        RunningJob {
            id: JobId::new("6de014b0"),
            name: ObjectKey::new("clip.mp4").unwrap(),
            sequencer: Sequencer::parse("0055AED6DCD90281E5").unwrap(),
            started_at: UNIX_EPOCH + Duration::from_secs(1_767_605_400),
        }
    }

    #[tokio::test]
    async fn a_job_is_found_as_it_was_noted() {
        let wire = Wire::new([(200, json!({}))]);
        jobs(&wire).note(&job()).await.unwrap();
        let item = wire.requests()[0].1["Item"].clone();
        // A week later.
        assert_eq!(item["expires_at"], json!({"N": "1768210200"}));
        let page = json!({"Items": [item], "LastEvaluatedKey": {"job": {"S": "6de014b0"}}});
        let wire = Wire::new([(200, page), (200, json!({"Items": []}))]);
        assert_eq!(jobs(&wire).list().await.unwrap(), [job()]);
    }

    #[tokio::test]
    async fn a_job_is_forgotten_by_its_id() {
        let wire = Wire::new([(200, json!({}))]);
        jobs(&wire).forget(&job().id).await.unwrap();
        assert_eq!(
            wire.requests()[0].1["Key"],
            json!({"job": {"S": "6de014b0"}})
        );
    }

    #[tokio::test]
    async fn what_nobody_here_wrote_is_told() {
        let item = json!({"job": {"S": "a"}, "name": {"S": "b"}, "started_at": {"S": "now"}});
        let wire = Wire::new([(200, json!({"Items": [item]}))]);
        let error = jobs(&wire).list().await.unwrap_err().to_string();
        assert!(error.contains("\"started_at\" is not a number"), "{error}");
    }
}
