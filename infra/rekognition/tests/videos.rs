//! Videos as users meet them: the built command, the AWS SDK, real weights and real frames. S3, STS, SNS and the authorizer
//! are one small server that records what it is asked.
//!
//! The weights are found as in `endpoint.rs`; without them the tests are reported as ignored.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_rekognition::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
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
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, time::sleep};

fn main() {
    let weights = env::var_os("REKOGNITION_MODEL").zip(env::var_os("REKOGNITION_DETECTOR"));
    let tests: &[(&str, fn())] = &[
        ("a_video_is_labelled_in_time_and_its_end_told", labelled),
        ("results_are_paged_sorted_and_aggregated", pages),
        ("settings_and_confidence_choose_labels", settings),
        ("a_token_starts_one_job", tokens),
        ("a_video_that_cannot_be_decoded_fails", failures),
        ("errors_are_those_that_the_sdk_knows", errors),
        ("the_authorizer_decides", authorization),
    ];
    let trials = tests.iter().map(|(name, test)| {
        Trial::test(*name, move || {
            test();
            Ok::<_, Failed>(())
        })
        .with_ignored_flag(weights.is_none())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// A request that the server of [`Aws`] got.
struct Asked {
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    /// A parameter of AWS's query protocol.
    fn parameter(&self, name: &str) -> Option<String> {
        let url = format!("http://localhost/?{}", self.body);
        let pairs = url.split_once('?').unwrap().1.split('&');
        let encoded = pairs
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)?
            .1;
        Some(decoded(encoded))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = |rest: &mut std::str::Bytes<'_>| [rest.next().unwrap(), rest.next().unwrap()];
        bytes.push(match byte {
            b'%' => u8::from_str_radix(str::from_utf8(&digits(&mut rest)).unwrap(), 16).unwrap(),
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// What S3 holds, and what STS and SNS are asked.
#[derive(Default)]
struct Aws {
    url: String,
    asked: Mutex<Vec<Asked>>,
}

impl Aws {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            ..Self::default()
        });
        let server = Arc::clone(&aws);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        aws
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, body) = if parts.method == Method::POST {
            let asked = Asked {
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let answer = answer(&asked);
            self.asked.lock().unwrap().push(asked);
            answer
        } else {
            object(parts.uri.path())
        };
        let length = body.len();
        let body = if parts.method == Method::HEAD {
            vec![]
        } else {
            body
        };
        Response::builder()
            .status(status)
            .header("content-length", length)
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    }

    /// Waits for a request with an action of the query protocol.
    async fn asked<T>(&self, action: &str, read: impl Fn(&Asked) -> T) -> T {
        loop {
            let is_it = |asked: &&Asked| asked.parameter("Action").as_deref() == Some(action);
            if let Some(asked) = self.asked.lock().unwrap().iter().find(is_it) {
                return read(asked);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn object(path: &str) -> (u16, Vec<u8>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    match path {
        "/videos/a%20b%2B%C3%A9.mp4" => {
            (200, fs::read(here.join("../../assets/sample.mp4")).unwrap())
        }
        "/videos/red.avi" => (200, fs::read(here.join("tests/videos/plain.avi")).unwrap()),
        "/videos/h265.mp4" => (200, fs::read(here.join("tests/videos/h265.mp4")).unwrap()),
        "/videos/cut.mp4" => {
            let mut bytes = fs::read(here.join("../../assets/sample.mp4")).unwrap();
            bytes.truncate(bytes.len() / 2);
            (200, bytes)
        }
        "/videos/noise.mp4" => (200, b"no video".to_vec()),
        _ => (404, vec![]),
    }
}

/// STS, SNS and the authorizer.
fn answer(asked: &Asked) -> (u16, Vec<u8>) {
    const CREDENTIALS: &str = "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
        <SessionToken>token</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>";
    let body = match asked.parameter("Action").as_deref() {
        Some("AssumeRole") => {
            format!("<AssumeRoleResponse><AssumeRoleResult>{CREDENTIALS}</AssumeRoleResult></AssumeRoleResponse>")
        }
        Some("Publish") => {
            "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".to_owned()
        }
        _ => {
            // The caller `nobody` may do nothing, all others may do everything but read what is called secret.
            let is_denied = asked.header("authorization").contains("Credential=nobody/")
                || asked.header("x-authorize-resource").contains("secret");
            let message = format!("not {}", asked.header("x-authorize-action"));
            let denial = json!({"__type": "AccessDeniedException", "Message": message});
            return if is_denied { (400, denial.to_string().into_bytes()) } else { (200, b"{}".to_vec()) };
        }
    };
    (200, body.into_bytes())
}

/// A running endpoint. Dropping it closes its standard input, which ends it.
struct Endpoint {
    process: Child,
    stdin: Option<ChildStdin>,
    url: String,
}

impl Endpoint {
    fn start(aws: &Aws, has_authorizer: bool) -> Self {
        let weights = |variable| PathBuf::from(env::var_os(variable).unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekognition-local"));
        command
            .args(["--port", "0", "--exit-with-stdin"])
            .args(["--s3-endpoint", &aws.url, "--sns-endpoint", &aws.url])
            .arg("--model")
            .arg(weights("REKOGNITION_MODEL"))
            .arg("--detector")
            .arg(weights("REKOGNITION_DETECTOR"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if has_authorizer {
            command.args(["--authorizer", &aws.url]);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        let stdin = process.stdin.take();
        Self {
            process,
            stdin,
            url,
        }
    }

    fn client(&self, access_key: &str) -> Client {
        let config = aws_sdk_rekognition::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(access_key, "test", None, None, "test"))
            .endpoint_url(&self.url)
            .retry_config(RetryConfig::disabled())
            .http_client(
                Builder::new()
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_https(),
            )
            .build();
        Client::from_conf(config)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// Runs a test with an endpoint without an authorizer.
fn with_client<F: Future>(test: impl FnOnce(Client, Arc<Aws>) -> F) {
    Runtime::new().unwrap().block_on(async {
        let aws = Aws::start().await;
        let endpoint = Endpoint::start(&aws, false);
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

fn labelled() {
    with_client(|client, aws| async move {
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

fn pages() {
    with_client(|client, _| async move {
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

fn settings() {
    with_client(|client, _| async move {
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

fn tokens() {
    with_client(|client, _| async move {
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

fn failures() {
    with_client(|client, aws| async move {
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

fn errors() {
    with_client(|client, _| async move {
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

fn authorization() {
    Runtime::new().unwrap().block_on(async {
        let aws = Aws::start().await;
        let endpoint = Endpoint::start(&aws, true);
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
