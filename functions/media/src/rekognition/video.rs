//! Labels of videos: jobs, and what they saw.

use std::collections::HashMap;

use aws_sdk_rekognition::Client;
use aws_sdk_rekognition::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_rekognition::operation::get_label_detection::GetLabelDetectionError;
use aws_sdk_rekognition::operation::start_label_detection::StartLabelDetectionError;
use aws_sdk_rekognition::types::{
    LabelDetection, LabelDetectionAggregateBy, LabelDetectionSortBy, NotificationChannel, Video,
    VideoJobStatus,
};
use runtime::s3::{self, BucketName, ObjectKey, Sequencer};
use runtime::{Aws, Environment, MissingVariable};
use sha2::{Digest, Sha256};

use super::call::{
    MIN_CONFIDENCE, client, client_asking_once, s3_object, to_detect_error, to_failure, unreadable,
};
use crate::completion::job_tag;
use crate::detector::{DetectError, Failure, JobId, VideoJobs, VideoResults};

/// As many as Rekognition gives at a time.
const RESULTS_OF_A_PAGE: i32 = 1000;

/// Extensions of the videos that Rekognition reads, in lower case.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/video.html>
const VIDEO_EXTENSIONS: [&str; 3] = ["mp4", "mov", "avi"];

/// Where Rekognition tells that a job has ended, and the role by which it may.
#[derive(Debug, Clone)]
pub struct Channel {
    /// ARN of the SNS topic.
    pub topic_arn: String,
    /// ARN of the role, which the function passes to Rekognition.
    pub role_arn: String,
}

impl Channel {
    /// The channel that the stack's variables name.
    pub fn named_by(environment: &Environment) -> Result<Self, MissingVariable> {
        Ok(Self {
            topic_arn: environment.require("VIDEO_TOPIC_ARN")?,
            role_arn: environment.require("VIDEO_ROLE_ARN")?,
        })
    }
}

/// Starts jobs of Rekognition Video.
#[derive(Debug, Clone)]
pub struct RekognitionJobs {
    client: Client,
    objects: aws_sdk_s3::Client,
    channel: NotificationChannel,
}

impl RekognitionJobs {
    /// Builds the clients, for the videos of a bucket.
    pub fn new(aws: &Aws, bucket: &BucketName, channel: Channel) -> Result<Self, BuildError> {
        let channel = NotificationChannel::builder()
            .sns_topic_arn(channel.topic_arn)
            .role_arn(channel.role_arn)
            .build()?;
        Ok(Self {
            client: client(aws),
            objects: s3::client(aws, bucket.as_str()),
            channel,
        })
    }

    /// Starts jobs without asking again when Rekognition refuses or fails.
    #[must_use]
    pub fn asking_once(self, aws: &Aws) -> Self {
        let client = client_asking_once(aws);
        Self { client, ..self }
    }
}

impl VideoJobs for RekognitionJobs {
    async fn start(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        sequencer: &Sequencer,
    ) -> Result<JobId, DetectError> {
        if !is_readable(key) {
            return Err(DetectError::Permanent(Failure {
                code: "UnsupportedVideoFormat".into(),
                message: "Rekognition reads videos in the formats MP4, MOV and AVI: convert it to one of them".into(),
            }));
        }
        let video = Video::builder().s3_object(s3_object(bucket, key)).build();
        let request = self
            .client
            .start_label_detection()
            .video(video)
            .min_confidence(MIN_CONFIDENCE)
            .notification_channel(self.channel.clone())
            .client_request_token(request_token(bucket, key, sequencer))
            .job_tag(job_tag(sequencer));
        match request.send().await {
            Ok(output) => output.job_id.map(JobId::new).ok_or_else(|| {
                DetectError::Retryable("Rekognition started a job and returned no job ID".into())
            }),
            Err(error) => Err(match error.as_service_error() {
                Some(StartLabelDetectionError::InvalidS3ObjectException(answer)) => {
                    unreadable(&self.objects, bucket, key, answer.meta()).await
                }
                answer => to_detect_error(answer.and_then(video_failure), &error),
            }),
        }
    }
}

/// Fetches what jobs of Rekognition Video saw.
#[derive(Debug, Clone)]
pub struct RekognitionResults {
    client: Client,
}

impl RekognitionResults {
    /// Builds the client.
    pub fn new(aws: &Aws) -> Self {
        let client = client(aws);
        Self { client }
    }
}

impl VideoResults for RekognitionResults {
    /// Asks for the segments in which a label is seen, not for the label of every
    /// frame: of a video of hours, these are hundreds of pages. A label is as sure as
    /// in the segment where it is surest.
    async fn labels(&self, job: &JobId) -> Result<Vec<String>, DetectError> {
        let mut pages = self
            .client
            .get_label_detection()
            .job_id(job.as_str())
            .sort_by(LabelDetectionSortBy::Name)
            .aggregate_by(LabelDetectionAggregateBy::Segments)
            .into_paginator()
            .page_size(RESULTS_OF_A_PAGE)
            .send();
        let mut confidences = HashMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let failure = error.as_service_error().and_then(result_failure);
                to_detect_error(failure, &error)
            })?;
            match page.job_status {
                Some(VideoJobStatus::Failed) => {
                    return Err(DetectError::Permanent(Failure {
                        code: "LabelDetectionFailed".into(),
                        message: page
                            .status_message
                            .unwrap_or_else(|| "Rekognition gives no reason".into()),
                    }));
                }
                Some(VideoJobStatus::InProgress) => return Err(DetectError::Running),
                _ => add_labels(&mut confidences, page.labels.unwrap_or_default()),
            }
        }
        Ok(surest_first(confidences))
    }
}

fn is_readable(key: &ObjectKey) -> bool {
    key.extension().is_some_and(|extension| {
        VIDEO_EXTENSIONS
            .iter()
            .any(|readable| extension.eq_ignore_ascii_case(readable))
    })
}

/// The same for every delivery of an event, so that a repeated one starts no second
/// job. Rekognition takes up to 64 letters, digits, `-` and `_`: the hexadecimal
/// SHA-256 of the change. Neither a bucket's name nor a sequencer has a `/`, so no two
/// changes are hashed as the same text.
fn request_token(bucket: &BucketName, key: &ObjectKey, sequencer: &Sequencer) -> String {
    hex::encode(Sha256::digest(format!("{bucket}/{sequencer}/{key}")))
}

/// The one error of StartLabelDetection that says something of the video itself. The others:
///
/// - `InvalidS3ObjectException`: see [`unreadable`].
/// - `InvalidParameterException` may be about the video, the topic or the role. AWS does not
///   document which of its messages is about what, nor what it answers if it may not assume the
///   role or publish to the topic. A video that is taken for unreadable by mistake would not be
///   labelled any more, so the event is kept until someone has looked.
/// - `IdempotentParameterMismatchException`: the change was submitted before with another topic
///   or role. Kept as well.
fn video_failure(error: &StartLabelDetectionError) -> Option<Failure> {
    match error {
        StartLabelDetectionError::VideoTooLargeException(e) => {
            Some(to_failure("VideoTooLargeException", e.meta()))
        }
        _ => None,
    }
}

/// Rekognition keeps results for 7 days. After that they are lost to this job, but the
/// video can be uploaded again.
fn result_failure(error: &GetLabelDetectionError) -> Option<Failure> {
    match error {
        GetLabelDetectionError::ResourceNotFoundException(e) => {
            Some(to_failure("ResourceNotFoundException", e.meta()))
        }
        _ => None,
    }
}

/// Keeps the greatest confidence of each name.
fn add_labels(confidences: &mut HashMap<String, f32>, detections: Vec<LabelDetection>) {
    for label in detections
        .into_iter()
        .filter_map(|detection| detection.label)
    {
        if let Some(name) = label.name {
            let confidence = label.confidence.unwrap_or_default();
            let greatest = confidences.entry(name).or_default();
            *greatest = greatest.max(confidence);
        }
    }
}

/// The names in the order in which Rekognition lists those of an image. Equals come
/// by name, so that the same result is always the same item.
fn surest_first(confidences: HashMap<String, f32>) -> Vec<String> {
    let mut labels: Vec<_> = confidences.into_iter().collect();
    labels.sort_by(|(name, confidence), (other, others)| {
        others.total_cmp(confidence).then_with(|| name.cmp(other))
    });
    labels.into_iter().map(|(name, _)| name).collect()
}
