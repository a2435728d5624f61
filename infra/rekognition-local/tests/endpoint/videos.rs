//! Videos: the operations StartLabelDetection and GetLabelDetection, with real frames.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_sdk_rekognition::{
    Client,
    error::ProvideErrorMetadata,
    operation::{
        get_label_detection::GetLabelDetectionOutput,
        start_label_detection::builders::StartLabelDetectionFluentBuilder,
    },
    types::{
        GeneralLabelsSettings, LabelDetection, LabelDetectionAggregateBy, LabelDetectionSettings,
        LabelDetectionSortBy, NotificationChannel, S3Object, Video, VideoColorRange,
        VideoJobStatus,
    },
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::sleep};

use crate::aws::Aws;
use crate::server::{Endpoint, Weights};

/// Starts an endpoint whose S3, STS and SNS are at this URL.
fn start_for(weights: &Weights, url: &str, more: &[&str]) -> Endpoint {
    let arguments = ["--s3-endpoint", url, "--sns-endpoint", url];
    Endpoint::start(weights, arguments.iter().chain(more).copied())
}

/// Runs a test with an endpoint without an authorizer.
fn with_client<F: Future>(weights: &Weights, test: impl FnOnce(Client, Arc<Aws>) -> F) {
    Runtime::new().unwrap().block_on(async {
        let (aws, url) = Aws::start().await;
        let endpoint = start_for(weights, &url, &[]);
        test(endpoint.client("test"), aws).await;
    });
}

const SAMPLE: &str = "a b+é.mp4";

fn start(client: &Client, key: &str) -> StartLabelDetectionFluentBuilder {
    let object = S3Object::builder().bucket("videos").name(key).build();
    client
        .start_label_detection()
        .video(Video::builder().s3_object(object).build())
}

async fn job(start: StartLabelDetectionFluentBuilder) -> String {
    start.send().await.unwrap().job_id.unwrap()
}

/// What a job found, when it has ended.
async fn ended(client: &Client, job: &str) -> GetLabelDetectionOutput {
    loop {
        let output = client
            .get_label_detection()
            .job_id(job)
            .send()
            .await
            .unwrap();
        if output.job_status() != Some(&VideoJobStatus::InProgress) {
            return output;
        }
        assert!(output.labels().is_empty() && output.video_metadata().is_none());
        sleep(Duration::from_millis(50)).await;
    }
}

fn channel() -> NotificationChannel {
    NotificationChannel::builder()
        .sns_topic_arn("arn:aws:sns:us-east-1:123456789012:videos")
        .role_arn("arn:aws:iam::123456789012:role/publisher")
        .build()
        .unwrap()
}

/// What is seen in the sample until a time, and from it.
fn names_around(output: &GetLabelDetectionOutput, millis: i64) -> [BTreeSet<&str>; 2] {
    [true, false].map(|is_before| {
        let labels = output
            .labels()
            .iter()
            .filter(|found| (found.timestamp() < millis) == is_before);
        labels
            .map(|found| found.label().unwrap().name().unwrap())
            .collect()
    })
}

pub(crate) fn labelled(weights: &Weights) {
    with_client(weights, |client, aws| async move {
        let job = job(start(&client, SAMPLE)
            .notification_channel(channel())
            .job_tag("a.tag"))
        .await;
        let output = ended(&client, &job).await;
        assert_eq!(output.job_status(), Some(&VideoJobStatus::Succeeded));
        assert_eq!(
            (output.job_id(), output.job_tag()),
            (Some(job.as_str()), Some("a.tag"))
        );
        let object = output.video().unwrap().s3_object().unwrap();
        assert_eq!(
            (object.bucket(), object.name()),
            (Some("videos"), Some(SAMPLE))
        );
        let metadata = output.video_metadata().unwrap();
        assert_eq!(
            (metadata.codec(), metadata.format(), metadata.color_range()),
            (
                Some("h264"),
                Some("QuickTime / MOV"),
                Some(&VideoColorRange::Limited)
            )
        );
        assert_eq!(
            (
                metadata.duration_millis(),
                metadata.frame_rate(),
                metadata.frame_width(),
                metadata.frame_height()
            ),
            (Some(6000), Some(25.0), Some(640), Some(426))
        );
        let [cat, coffee] = names_around(&output, 3000);
        assert!(
            cat.contains("Cat") && cat.contains("Animal") && !cat.contains("Coffee"),
            "{cat:?}"
        );
        assert!(
            coffee.contains("Coffee") && !coffee.contains("Cat"),
            "{coffee:?}"
        );
        let confidences = output
            .labels()
            .iter()
            .map(|found| found.label().unwrap().confidence().unwrap());
        assert!(confidences.min_by(f32::total_cmp).unwrap() >= 50.0);

        // As the role, with its credentials.
        let assumed = aws
            .asked("AssumeRole", |asked| {
                assert_eq!(asked.header("x-amz-source-account"), "123456789012");
                assert_eq!(
                    asked.header("x-local-service-principal"),
                    "rekognition.amazonaws.com"
                );
                asked.parameter("RoleArn")
            })
            .await;
        assert_eq!(assumed.as_deref(), Some(channel().role_arn()));
        let (topic, message) = aws
            .asked("Publish", |asked| {
                assert!(
                    asked
                        .header("authorization")
                        .contains("Credential=ASIAROLE/")
                );
                assert_eq!(asked.header("x-amz-security-token"), "token");
                (
                    asked.parameter("TopicArn"),
                    asked.parameter("Message").unwrap(),
                )
            })
            .await;
        assert_eq!(topic.as_deref(), Some(channel().sns_topic_arn()));
        let mut message: Value = serde_json::from_str(&message).unwrap();
        assert!(message["Timestamp"].take().is_u64());
        let expected = json!({
            "JobId": job,
            "Status": "SUCCEEDED",
            "API": "StartLabelDetection",
            "JobTag": "a.tag",
            "Timestamp": null,
            "Video": {"S3ObjectName": SAMPLE, "S3Bucket": "videos"},
        });
        assert_eq!(message, expected);
    });
}

pub(crate) fn pages(weights: &Weights) {
    with_client(weights, |client, _| async move {
        let job = job(start(&client, SAMPLE)).await;
        let all = ended(&client, &job).await;
        assert!(all.next_token().is_none());
        assert!(all.labels().is_sorted_by_key(LabelDetection::timestamp));
        let mut paged = Vec::new();
        let mut pages = client
            .get_label_detection()
            .job_id(&job)
            .max_results(7)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            assert!(page.labels().len() <= 7);
            paged.extend_from_slice(page.labels());
        }
        assert_eq!(paged, all.labels());

        let by_name = client
            .get_label_detection()
            .job_id(&job)
            .sort_by(LabelDetectionSortBy::Name);
        let by_name = by_name.send().await.unwrap();
        assert!(by_name.labels().is_sorted_by(|a, b| {
            let key = |label: Option<&aws_sdk_rekognition::types::Label>| {
                let label = label.unwrap();
                (
                    label.name().unwrap().to_owned(),
                    -label.confidence().unwrap(),
                )
            };
            key(a.label()) <= key(b.label())
        }));
        assert_eq!(by_name.labels().len(), all.labels().len());

        let segments = client
            .get_label_detection()
            .job_id(&job)
            .aggregate_by(LabelDetectionAggregateBy::Segments);
        let segments = segments.send().await.unwrap();
        let of = |name: &str| {
            let mut segments = segments.labels().iter();
            let found = segments
                .find(|found| found.label().unwrap().name() == Some(name))
                .unwrap();
            (
                found.start_timestamp_millis(),
                found.end_timestamp_millis(),
                found.duration_millis(),
            )
        };
        assert_eq!(of("Cat"), (Some(0), Some(3000), Some(3000)));
        assert_eq!(of("Coffee"), (Some(3000), Some(6000), Some(3000)));

        // A token is good for the request that gave it.
        let first = client
            .get_label_detection()
            .job_id(&job)
            .max_results(1)
            .send()
            .await
            .unwrap();
        let other = client
            .get_label_detection()
            .job_id(&job)
            .sort_by(LabelDetectionSortBy::Name);
        for token in [first.next_token().unwrap(), "guessed"] {
            let error = other
                .clone()
                .next_token(token)
                .send()
                .await
                .unwrap_err()
                .into_service_error();
            assert!(error.is_invalid_pagination_token_exception(), "{error:?}");
        }
    });
}

pub(crate) fn settings(weights: &Weights) {
    with_client(weights, |client, _| async move {
        let filters = GeneralLabelsSettings::builder()
            .label_inclusion_filters("Cat")
            .label_inclusion_filters("Coffee");
        let settings = LabelDetectionSettings::builder()
            .general_labels(filters.build())
            .build();
        let output = ended(
            &client,
            &job(start(&client, SAMPLE).settings(settings)).await,
        )
        .await;
        assert_eq!(
            names_around(&output, 3000),
            [BTreeSet::from(["Cat"]), BTreeSet::from(["Coffee"])]
        );
        let all = ended(
            &client,
            &job(start(&client, SAMPLE).min_confidence(0.0)).await,
        )
        .await;
        assert_eq!(all.labels().len(), 1000, "a page");
        let few = ended(
            &client,
            &job(start(&client, SAMPLE).min_confidence(90.0)).await,
        )
        .await;
        let confidences = few
            .labels()
            .iter()
            .map(|found| found.label().unwrap().confidence().unwrap());
        assert!(confidences.min_by(f32::total_cmp).unwrap() >= 90.0);
    });
}

pub(crate) fn tokens(weights: &Weights) {
    with_client(weights, |client, _| async move {
        let once = start(&client, "red.avi").client_request_token("once");
        let first = job(once.clone()).await;
        assert_eq!(job(once.clone()).await, first);
        let error = once
            .job_tag("other")
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(
            error.is_idempotent_parameter_mismatch_exception(),
            "{error:?}"
        );
        assert_ne!(
            job(start(&client, "red.avi").client_request_token("twice")).await,
            first
        );
        let output = ended(&client, &first).await;
        assert_eq!(
            output.video_metadata().unwrap().format(),
            Some("AVI (Audio Video Interleaved)")
        );
    });
}

pub(crate) fn failures(weights: &Weights) {
    with_client(weights, |client, aws| async move {
        for (key, reason) in [
            ("noise.mp4", "not a readable MP4, MOV or AVI"),
            ("cut.mp4", "cut off: it ends before its last frame"),
            ("h265.mp4", "H.265"),
        ] {
            let output = ended(&client, &job(start(&client, key)).await).await;
            assert_eq!(output.job_status(), Some(&VideoJobStatus::Failed), "{key}");
            assert!(output.labels().is_empty() && output.video_metadata().is_none());
            let message = output.status_message().unwrap();
            assert!(message.contains(reason), "{key}: {message}");
        }
        job(start(&client, "noise.mp4").notification_channel(channel())).await;
        let message = aws
            .asked("Publish", |asked| asked.parameter("Message").unwrap())
            .await;
        assert!(message.contains(r#""Status":"FAILED""#), "{message}");
    });
}

pub(crate) fn errors(weights: &Weights) {
    with_client(weights, |client, _| async move {
        let error = start(&client, "none.mp4")
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_invalid_s3_object_exception(), "{error:?}");
        for refused in [
            start(&client, SAMPLE).min_confidence(100.5),
            start(&client, SAMPLE).client_request_token("no spaces"),
            start(&client, SAMPLE).job_tag("no spaces"),
            start(&client, ""),
            client.start_label_detection(),
            start(&client, SAMPLE).notification_channel(
                NotificationChannel::builder()
                    .sns_topic_arn("videos")
                    .role_arn(channel().role_arn())
                    .build()
                    .unwrap(),
            ),
        ] {
            let error = refused.send().await.unwrap_err().into_service_error();
            assert!(error.is_invalid_parameter_exception(), "{error:?}");
        }
        let error = client
            .get_label_detection()
            .job_id("unknown")
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_resource_not_found_exception(), "{error:?}");
        for refused in [
            client.get_label_detection(),
            client.get_label_detection().job_id("no spaces"),
            client
                .get_label_detection()
                .job_id("unknown")
                .max_results(0),
            client
                .get_label_detection()
                .job_id("unknown")
                .sort_by("SIZE".into()),
        ] {
            let error = refused.send().await.unwrap_err().into_service_error();
            assert!(error.is_invalid_parameter_exception(), "{error:?}");
        }
    });
}

pub(crate) fn authorization(weights: &Weights) {
    Runtime::new().unwrap().block_on(async {
        let (aws, url) = Aws::start().await;
        let endpoint = start_for(weights, &url, &["--authorizer", &url]);
        let (anybody, nobody) = (endpoint.client("anybody"), endpoint.client("nobody"));
        let error = start(&nobody, SAMPLE)
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_access_denied_exception(), "{error:?}");
        assert_eq!(error.message(), Some("not rekognition:StartLabelDetection"));
        let error = nobody
            .get_label_detection()
            .job_id("job")
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_access_denied_exception(), "{error:?}");
        let error = start(&anybody, "secret.mp4")
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_invalid_s3_object_exception(), "{error:?}");
        assert_eq!(error.message(), Some("not s3:GetObject"));

        aws.asked.lock().unwrap().clear();
        job(start(&anybody, "red.avi").notification_channel(channel())).await;
        let asked = aws.asked.lock().unwrap();
        let questions: Vec<_> = asked
            .iter()
            .filter(|asked| asked.headers.contains_key("x-authorize-action"))
            .map(|asked| {
                // The signed request itself is what is shown.
                assert!(asked.body.contains("red.avi"), "{}", asked.body);
                assert_eq!(
                    asked.header("host"),
                    endpoint.url.strip_prefix("http://").unwrap()
                );
                ["action", "resource", "context"]
                    .map(|part| asked.header(&format!("x-authorize-{part}")))
            })
            .collect();
        let expected = [
            ["rekognition:StartLabelDetection", r#""*""#, "{}"],
            [
                "iam:PassRole",
                r#""arn:aws:iam::123456789012:role/publisher""#,
                r#"{"iam:PassedToService":"rekognition.amazonaws.com"}"#,
            ],
            ["s3:GetObject", r#""arn:aws:s3:::videos/red.avi""#, "{}"],
        ];
        assert_eq!(questions, expected);
    });
}
