//! Labels from Amazon Rekognition: of images at once, of videos by jobs.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_sdk_rekognition::Client;
use aws_sdk_rekognition::error::{BuildError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_rekognition::operation::RequestId;
use aws_sdk_rekognition::operation::detect_labels::{DetectLabelsError, DetectLabelsOutput};
use aws_sdk_rekognition::operation::get_label_detection::GetLabelDetectionError;
use aws_sdk_rekognition::operation::start_label_detection::StartLabelDetectionError;
use aws_sdk_rekognition::types::{
    Image, LabelDetection, LabelDetectionAggregateBy, LabelDetectionSortBy, NotificationChannel,
    S3Object, Video, VideoJobStatus,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runtime::service_error::describe;
use runtime::{Aws, Environment, MissingVariable, Service};
use sha2::{Digest, Sha256};

use crate::completion::job_tag;
use crate::detector::{DetectError, Failure, JobId, LabelDetector, VideoJobs, VideoResults};
use crate::key::{BucketName, ObjectKey};
use crate::s3::Objects;
use crate::sequencer::Sequencer;

/// Labels that Rekognition is less sure of are left out. Percent.
const MIN_CONFIDENCE: f32 = 50.0;

/// Throttling, and too many jobs at a time, are retried here for two seconds at most, with the
/// SDK's jitter: a function that waits is paid for. What outlasts that is left to Lambda's
/// retries, which wait for minutes.
const MAX_ATTEMPTS: u32 = 4;
const INITIAL_BACKOFF: Duration = Duration::from_millis(300);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// All attempts together, so that the function ends with an error of ours and not
/// with Lambda's timeout.
const TIMEOUT: Duration = Duration::from_secs(25);

/// As many as Rekognition gives at a time.
const RESULTS_OF_A_PAGE: i32 = 1000;

/// Extensions of the videos that Rekognition reads, in lower case.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/video.html>
const VIDEO_EXTENSIONS: [&str; 3] = ["mp4", "mov", "avi"];

/// Detects labels with Rekognition Image.
#[derive(Debug, Clone)]
pub struct RekognitionDetector {
    client: Client,
    objects: Objects,
}

impl RekognitionDetector {
    /// Builds the clients, for the images of a bucket.
    pub fn new(aws: &Aws, bucket: &BucketName) -> Self {
        Self {
            client: client(aws),
            objects: Objects::new(aws, bucket),
        }
    }
}

impl LabelDetector for RekognitionDetector {
    async fn detect(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<String>, DetectError> {
        let image = Image::builder().s3_object(s3_object(bucket, key)).build();
        let request = self.client.detect_labels().image(image);
        match request.min_confidence(MIN_CONFIDENCE).send().await {
            Ok(output) => Ok(label_names(output)),
            Err(error) => Err(match error.as_service_error() {
                Some(DetectLabelsError::InvalidS3ObjectException(answer)) => {
                    self.objects.unreadable(bucket, key, answer.meta()).await
                }
                answer => to_detect_error(answer.and_then(image_failure), &error),
            }),
        }
    }
}

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
    objects: Objects,
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
            objects: Objects::new(aws, bucket),
            channel,
        })
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
                DetectError::Retryable("Rekognition started a job and gave no id of it".into())
            }),
            Err(error) => Err(match error.as_service_error() {
                Some(StartLabelDetectionError::InvalidS3ObjectException(answer)) => {
                    self.objects.unreadable(bucket, key, answer.meta()).await
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
                Some(VideoJobStatus::InProgress) => {
                    let reason = format!("the job {job} has not ended yet");
                    return Err(DetectError::Retryable(reason));
                }
                _ => add_labels(&mut confidences, page.labels.unwrap_or_default()),
            }
        }
        Ok(surest_first(confidences))
    }
}

fn client(aws: &Aws) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(MAX_BACKOFF);
    let config = aws_sdk_rekognition::config::Builder::from(&aws.config(Service::REKOGNITION))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .build();
    Client::from_conf(config)
}

fn s3_object(bucket: &BucketName, key: &ObjectKey) -> S3Object {
    S3Object::builder()
        .bucket(bucket.as_str())
        .name(key.as_str())
        .build()
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

/// Rekognition's error codes for calls that come too fast, and for too many jobs at a time.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/error-handling.html>
const THROTTLING: [&str; 3] = [
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
];

/// `failure` is what the error says of the object, if it says something.
fn to_detect_error<E>(failure: Option<Failure>, error: &SdkError<E, HttpResponse>) -> DetectError
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    if let Some(failure) = failure {
        return DetectError::Permanent(failure);
    }
    let throttling = error.meta();
    match throttling.code().filter(|code| THROTTLING.contains(code)) {
        Some(code) => DetectError::Throttled(to_failure(code, throttling)),
        None => DetectError::Retryable(describe(error)),
    }
}

impl Objects {
    /// What `InvalidS3ObjectException` means. Rekognition answers it for an object that is not
    /// there, and also for one that it may not read with the caller's permissions. Only the first
    /// is permanent. The second has a cause that somebody can mend, or that passes: a bucket
    /// policy, a key policy, or a new role that IAM has not spread yet.
    /// <https://docs.aws.amazon.com/rekognition/latest/APIReference/API_InvalidS3ObjectException.html>
    async fn unreadable(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        answer: &ErrorMetadata,
    ) -> DetectError {
        let failure = to_failure("InvalidS3ObjectException", answer);
        let why = match self.exists(bucket, key).await {
            Ok(false) => return DetectError::Permanent(failure),
            Ok(true) => "the object is there, so a policy keeps Rekognition from reading it".into(),
            Err(reason) => format!("whether the object is there, S3 does not say: {reason}"),
        };
        let Failure { code, message } = failure;
        DetectError::Retryable(format!("{code}: {message} ({why})"))
    }
}

fn to_failure(code: &str, metadata: &ErrorMetadata) -> Failure {
    Failure {
        code: code.into(),
        message: metadata.message().unwrap_or("no explanation").into(),
    }
}

/// The errors that say something of the image itself. `InvalidS3ObjectException` is not among
/// them: see [`Objects::unreadable`].
fn image_failure(error: &DetectLabelsError) -> Option<Failure> {
    use DetectLabelsError as E;
    let (code, metadata) = match error {
        E::ImageTooLargeException(e) => ("ImageTooLargeException", e.meta()),
        E::InvalidImageFormatException(e) => ("InvalidImageFormatException", e.meta()),
        E::InvalidParameterException(e) => ("InvalidParameterException", e.meta()),
        _ => return None,
    };
    Some(to_failure(code, metadata))
}

/// The one error of StartLabelDetection that says something of the video itself. The others:
///
/// - `InvalidS3ObjectException`: see [`Objects::unreadable`].
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

/// Rekognition lists the parents of a label as labels too, so their names suffice.
fn label_names(output: DetectLabelsOutput) -> Vec<String> {
    let mut names = Vec::new();
    for name in output
        .labels
        .into_iter()
        .flatten()
        .filter_map(|label| label.name)
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::testing::Wire;
    use serde_json::{Value, json};

    async fn detect(wire: &Wire) -> Result<Vec<String>, DetectError> {
        let key = ObjectKey::new("my dog+1%.jpg").unwrap();
        let bucket = BucketName::new("bucket");
        let detector = RekognitionDetector::new(&wire.aws(), &bucket);
        detector.detect(&bucket, &key).await
    }

    fn error(code: &str) -> (u16, Value) {
        (
            400,
            json!({"__type": code, "Message": "because", "Code": code}),
        )
    }

    #[tokio::test]
    async fn names_are_distinct_and_in_rekognitions_order() {
        let wire = Wire::new([(
            200,
            json!({"Labels": [
                {"Name": "German Shepherd", "Confidence": 85.7, "Parents": [{"Name": "Dog"}]},
                {"Name": "Dog", "Confidence": 85.7, "Parents": [{"Name": "Animal"}]},
                {"Name": "Animal", "Confidence": 85.7},
                {"Name": "Dog", "Confidence": 60.0},
            ]}),
        )]);
        assert_eq!(
            detect(&wire).await.unwrap(),
            ["German Shepherd", "Dog", "Animal"]
        );
        assert_eq!(
            wire.requests(),
            [(
                "RekognitionService.DetectLabels".into(),
                json!({
                    "Image": {"S3Object": {"Bucket": "bucket", "Name": "my dog+1%.jpg"}},
                    "MinConfidence": 50.0,
                })
            )]
        );
    }

    #[tokio::test]
    async fn an_image_without_labels_has_none() {
        let wire = Wire::new([(200, json!({"Labels": []}))]);
        assert_eq!(detect(&wire).await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn errors_of_the_object_are_permanent() {
        for code in [
            "ImageTooLargeException",
            "InvalidImageFormatException",
            "InvalidParameterException",
        ] {
            let wire = Wire::new([error(code)]);
            assert_eq!(
                detect(&wire).await,
                Err(DetectError::Permanent(Failure {
                    code: code.into(),
                    message: "because".into(),
                }))
            );
            assert_eq!(wire.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_denial_is_not_the_objects_fault() {
        let wire = Wire::new([error("AccessDeniedException")]);
        let error = detect(&wire).await.unwrap_err();
        assert!(matches!(&error, DetectError::Retryable(_)), "{error:?}");
        assert!(
            error.to_string().contains("AccessDeniedException: because"),
            "{error}"
        );
        assert_eq!(wire.requests().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_rekognitions_is_told_by_its_status() {
        let wire = Wire::new([(404, json!({}))]);
        let error = detect(&wire).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("HTTP status 404 and no error code"),
            "{error}"
        );
    }

    /// Rekognition answers alike for an object that is gone and for one that it may not read. S3
    /// tells them apart.
    #[tokio::test]
    async fn only_an_object_that_is_gone_fails_for_good() {
        for video in [false, true] {
            for (status, told) in [
                (404, None),
                (200, Some("a policy keeps Rekognition from reading it")),
                (403, Some("HTTP status 403")),
                (400, Some("HTTP status 400")),
            ] {
                let wire = Wire::new([error("InvalidS3ObjectException"), (status, json!(""))]);
                let result = if video {
                    start(&wire, "my dog+1%.mp4", "01").await.map(drop)
                } else {
                    detect(&wire).await.map(drop)
                };
                match (told, result.unwrap_err()) {
                    (None, DetectError::Permanent(failure)) => {
                        assert_eq!(failure.code, "InvalidS3ObjectException");
                        assert_eq!(failure.message, "because");
                    }
                    (Some(told), DetectError::Retryable(reason)) => {
                        let expected = "InvalidS3ObjectException: because (";
                        assert!(reason.starts_with(expected), "{reason}");
                        assert!(reason.contains(told), "{reason}");
                    }
                    (_, error) => panic!("{status}: {error:?}"),
                }
                let requests = wire.requests();
                let (look, _) = &requests[1];
                let url = "HEAD https://bucket.s3.us-east-1.amazonaws.com/my%20dog%2B1%25.";
                assert!(look.starts_with(url), "{look}");
                assert_eq!(requests.len(), 2);
            }
        }
    }

    #[test]
    fn waiting_for_rekognition_takes_little_of_an_invocation() {
        let pauses = (0..MAX_ATTEMPTS - 1).map(|n| MAX_BACKOFF.min(INITIAL_BACKOFF * 2_u32.pow(n)));
        assert!(pauses.sum::<Duration>() <= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn throttling_is_retried_and_then_left_to_lambda() {
        let wire = Wire::new([
            error("ProvisionedThroughputExceededException"),
            (200, json!({})),
        ]);
        assert_eq!(detect(&wire).await.unwrap(), [""; 0]);

        let attempts = MAX_ATTEMPTS as usize;
        for code in THROTTLING {
            let wire = Wire::new(vec![error(code); attempts]);
            let throttled = Failure {
                code: code.into(),
                message: "because".into(),
            };
            assert_eq!(detect(&wire).await, Err(DetectError::Throttled(throttled)));
            assert_eq!(wire.requests().len(), attempts);
        }
    }

    fn jobs(wire: &Wire) -> RekognitionJobs {
        let channel = Channel {
            topic_arn: "arn:aws:sns:us-east-1:123456789012:video".into(),
            role_arn: "arn:aws:iam::123456789012:role/video".into(),
        };
        RekognitionJobs::new(&wire.aws(), &BucketName::new("bucket"), channel).unwrap()
    }

    async fn start(wire: &Wire, key: &str, sequencer: &str) -> Result<JobId, DetectError> {
        let key = ObjectKey::new(key).unwrap();
        let sequencer = Sequencer::parse(sequencer).unwrap();
        let bucket = BucketName::new("bucket");
        jobs(wire).start(&bucket, &key, &sequencer).await
    }

    fn started() -> (u16, Value) {
        (200, json!({"JobId": "job"}))
    }

    #[tokio::test]
    async fn a_job_is_told_the_video_the_change_and_whom_to_tell() {
        let wire = Wire::new([started()]);
        let job = start(&wire, "my clip+1%.mp4", "0055aed600").await;
        assert_eq!(job, Ok(JobId::new("job")));
        // printf '%s' 'bucket/0055AED6/my clip+1%.mp4' | sha256sum
        let token = "f4c27e6900d1d444d398faf8f85ef522b5ae89b6353ab038b7e5a098c688c772";
        assert_eq!(
            wire.requests(),
            [(
                "RekognitionService.StartLabelDetection".into(),
                json!({
                    "Video": {"S3Object": {"Bucket": "bucket", "Name": "my clip+1%.mp4"}},
                    "ClientRequestToken": token,
                    "MinConfidence": 50.0,
                    "NotificationChannel": {
                        "SNSTopicArn": "arn:aws:sns:us-east-1:123456789012:video",
                        "RoleArn": "arn:aws:iam::123456789012:role/video",
                    },
                    "JobTag": "sequencer:0055AED6",
                })
            )]
        );
    }

    #[tokio::test]
    async fn a_change_has_one_token_and_every_change_its_own() {
        let wire = Wire::new(vec![started(); 5]);
        for (key, sequencer) in [
            ("a.mp4", "01"),
            ("a.mp4", "0100"),
            ("a.mp4", "02"),
            ("b.mp4", "01"),
            ("1/a.mp4", "0"),
        ] {
            start(&wire, key, sequencer).await.unwrap();
        }
        let mut tokens: Vec<_> = wire
            .requests()
            .into_iter()
            .map(|(_, body)| body["ClientRequestToken"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(tokens[0], tokens[1]);
        assert!(tokens.iter().all(|token| token.len() == 64));
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 4);
    }

    #[tokio::test]
    async fn only_formats_that_rekognition_reads_are_submitted() {
        for key in ["clip.mp4", "CLIP.MOV", "a.b.Avi"] {
            let wire = Wire::new([started()]);
            assert_eq!(start(&wire, key, "01").await, Ok(JobId::new("job")));
        }
        for key in ["clip.flv", "CLIP.FLV"] {
            let wire = Wire::new([]);
            let Err(DetectError::Permanent(failure)) = start(&wire, key, "01").await else {
                panic!("{key} is not for Rekognition");
            };
            assert_eq!(failure.code, "UnsupportedVideoFormat");
        }
    }

    #[tokio::test]
    async fn errors_of_the_video_are_permanent() {
        let code = "VideoTooLargeException";
        let wire = Wire::new([error(code)]);
        assert_eq!(
            start(&wire, "clip.mp4", "01").await,
            Err(DetectError::Permanent(Failure {
                code: code.into(),
                message: "because".into(),
            }))
        );
        assert_eq!(wire.requests().len(), 1);
    }

    #[tokio::test]
    async fn too_many_jobs_are_retried_under_the_same_token() {
        let limit = || error("LimitExceededException");
        let wire = Wire::new([limit(), error("ThrottlingException"), started()]);
        let job = start(&wire, "clip.mp4", "01").await;
        assert_eq!(job, Ok(JobId::new("job")));
        let requests = wire.requests();
        assert_eq!((&requests[0], &requests[1]), (&requests[1], &requests[2]));

        let wire = Wire::new(vec![limit(); MAX_ATTEMPTS as usize]);
        let result = start(&wire, "clip.mp4", "01").await;
        let Err(DetectError::Throttled(failure)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(failure.code, "LimitExceededException");
    }

    #[tokio::test]
    async fn what_someone_must_look_at_is_kept() {
        for code in [
            "AccessDeniedException",
            "IdempotentParameterMismatchException",
            "InvalidParameterException",
        ] {
            let wire = Wire::new([error(code)]);
            let error = start(&wire, "clip.mp4", "01").await.unwrap_err();
            assert!(matches!(&error, DetectError::Retryable(_)), "{error:?}");
            assert!(error.to_string().contains(code), "{error}");
            assert_eq!(wire.requests().len(), 1);
        }
    }

    async fn fetch(wire: &Wire) -> Result<Vec<String>, DetectError> {
        RekognitionResults::new(&wire.aws())
            .labels(&JobId::new("job"))
            .await
    }

    fn seen(labels: &[(&str, f32)], more: Value) -> (u16, Value) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, confidence)| {
                json!({"Timestamp": 0, "Label": {"Name": name, "Confidence": confidence}})
            })
            .collect();
        let mut page = more;
        page["JobStatus"] = "SUCCEEDED".into();
        page["Labels"] = labels.into();
        (200, page)
    }

    #[tokio::test]
    async fn every_page_is_fetched_and_the_surest_label_comes_first() {
        let wire = Wire::new([
            seen(
                &[("Animal", 66.5), ("Animal", 90.0), ("Dog", 60.5)],
                json!({"NextToken": "more"}),
            ),
            seen(
                &[("Dog", 95.0), ("Husky", 51.5), ("Canine", 90.0)],
                json!({}),
            ),
        ]);
        let labels = fetch(&wire).await.unwrap();
        assert_eq!(labels, ["Dog", "Animal", "Canine", "Husky"]);
        let request = json!({
            "JobId": "job",
            "MaxResults": 1000,
            "SortBy": "NAME",
            "AggregateBy": "SEGMENTS",
        });
        let mut next = request.clone();
        next["NextToken"] = "more".into();
        let operation = || "RekognitionService.GetLabelDetection".to_owned();
        assert_eq!(
            wire.requests(),
            [(operation(), request), (operation(), next)]
        );
    }

    #[tokio::test]
    async fn a_video_without_labels_has_none() {
        let wire = Wire::new([seen(&[], json!({}))]);
        assert_eq!(fetch(&wire).await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn the_reason_of_a_failed_job_is_told() {
        for (answer, code, message) in [
            (
                (
                    200,
                    json!({"JobStatus": "FAILED", "StatusMessage": "no H.264"}),
                ),
                "LabelDetectionFailed",
                "no H.264",
            ),
            (
                (200, json!({"JobStatus": "FAILED"})),
                "LabelDetectionFailed",
                "Rekognition gives no reason",
            ),
            (
                error("ResourceNotFoundException"),
                "ResourceNotFoundException",
                "because",
            ),
        ] {
            assert_eq!(
                fetch(&Wire::new([answer])).await,
                Err(DetectError::Permanent(Failure {
                    code: code.into(),
                    message: message.into(),
                }))
            );
        }
    }

    #[tokio::test]
    async fn a_result_that_is_not_there_yet_can_be_fetched_later() {
        for answer in [
            (200, json!({"JobStatus": "IN_PROGRESS"})),
            error("AccessDeniedException"),
            error("InvalidPaginationTokenException"),
        ] {
            let result = fetch(&Wire::new([answer])).await;
            assert!(matches!(result, Err(DetectError::Retryable(_))));
        }
    }
}
