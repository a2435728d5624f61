use std::time::Duration;

use runtime::s3::{BucketName, ObjectKey, Sequencer};
use runtime::testing::Wire;
use serde_json::{Value, json};

use super::call::{INITIAL_BACKOFF, MAX_ATTEMPTS, MAX_BACKOFF, THROTTLING};
use super::*;
use crate::detector::{DetectError, Failure, JobId, LabelDetector, VideoJobs, VideoResults};

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
        error("AccessDeniedException"),
        error("InvalidPaginationTokenException"),
    ] {
        let result = fetch(&Wire::new([answer])).await;
        assert!(matches!(result, Err(DetectError::Retryable(_))));
    }
    let running = (200, json!({"JobStatus": "IN_PROGRESS"}));
    let result = fetch(&Wire::new([running])).await;
    assert_eq!(result, Err(DetectError::Running));
}
