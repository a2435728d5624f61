//! The services that the poller calls, and what it asks them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::{SharedHttpClient, StalledStreamProtectionConfig};

use super::StreamPollerConfig;
use super::activity::Activity;
use super::batch::Batch;
use super::lineage::Listed;
use super::mapping::{self, Mapping, Settings, ShardId, StreamArn};
use super::positions::Positions;
use crate::news::News;
use crate::{Chaos, Delivery, Faults, Observer, aws};
use traces::What;

/// The services that the poller calls.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) streams: aws_sdk_dynamodbstreams::Client,
    pub(super) lambda: aws_sdk_lambda::Client,
    pub(super) sns: aws_sdk_sns::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    /// Not a service, but also what every delivery needs.
    faults: Option<Arc<Faults>>,
    /// Likewise.
    pub(super) observer: Observer,
    /// Likewise.
    pub(super) news: News,
    /// Likewise.
    pub(super) activity: Arc<Activity>,
    /// Likewise.
    pub(super) positions: Arc<Positions>,
    /// When a stage whose state was kept has started again: no record is too old because it was stopped.
    pub(super) ages_from: Option<SystemTime>,
}

impl Clients {
    pub(super) fn new(config: StreamPollerConfig<'_>, http: SharedHttpClient) -> Self {
        let faults = config.chaos.map(Chaos::faults);
        let observer = config.observer.clone();
        let news = News::of(config.endpoint, config.keys);
        let config = aws::config(config.endpoint, config.keys, config.region, http);
        let lambda = aws_sdk_lambda::config::Builder::from(&config)
            // Whether and when a batch is tried again is the mapping's matter.
            .retry_config(RetryConfig::disabled())
            // A function may take 15 minutes to answer.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            faults,
            observer,
            news,
            activity: Arc::default(),
            positions: Arc::default(),
            ages_from: None,
        }
    }

    /// How a batch is to be delivered. Only the first attempt at it is late.
    pub(super) fn delivery(&self, settings: &Settings, batch: &Batch) -> Delivery {
        match &self.faults {
            Some(faults) if batch.invocations == 0 => faults.stream_batch(settings.function_name()),
            _ => Delivery::default(),
        }
    }

    /// Has it noted that a batch comes late, or twice.
    pub(super) fn tell_of_faults(&self, delivery: Delivery, stream: &StreamArn, batch: &Batch) {
        let Delivery {
            late_by,
            again_after,
        } = delivery;
        let late = (!late_by.is_zero())
            .then(|| format!("fault: delivered {} ms late", late_by.as_millis()));
        let again = again_after.map(|after| {
            let after = after.as_millis();
            format!("fault: delivered again, {after} ms after the first time")
        });
        for title in late.into_iter().chain(again) {
            self.observer.add(What::Fault(traces::Fault {
                title,
                causes: stream.causes(&batch.sequence_numbers()),
            }));
        }
    }

    pub(super) async fn hold_back(&self, duration: Duration) {
        if let Some(faults) = &self.faults {
            faults.hold_back(duration).await;
        }
    }

    /// The mappings whose source is a DynamoDB stream, and what to warn of.
    pub(super) async fn mappings(
        &self,
    ) -> Result<Vec<(Mapping, Settings, Vec<String>)>, aws_sdk_lambda::Error> {
        let mut pages = self
            .lambda
            .list_event_source_mappings()
            .into_paginator()
            .items()
            .send();
        let mut mappings = Vec::new();
        while let Some(mapping) = pages.try_next().await? {
            mappings.extend(mapping::read(&mapping));
        }
        Ok(mappings)
    }

    pub(super) async fn shards(
        &self,
        StreamArn(stream): &StreamArn,
    ) -> Result<Vec<Listed>, aws_sdk_dynamodbstreams::Error> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let description = self
                .streams
                .describe_stream()
                .stream_arn(stream)
                .set_exclusive_start_shard_id(after)
                .send()
                .await?
                .stream_description;
            let Some(description) = description else {
                return Ok(shards);
            };
            shards.extend(description.shards().iter().filter_map(|shard| {
                let range = shard.sequence_number_range();
                Some(Listed {
                    id: ShardId(shard.shard_id()?.to_owned()),
                    parent: shard.parent_shard_id().map(|id| ShardId(id.to_owned())),
                    is_closed: range.is_some_and(|range| range.ending_sequence_number().is_some()),
                })
            }));
            after = description.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(shards);
            }
        }
    }
}
