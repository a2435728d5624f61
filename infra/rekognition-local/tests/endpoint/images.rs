//! The operation DetectLabels.

use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc};

use aws_sdk_rekognition::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::detect_labels::{DetectLabelsError, DetectLabelsOutput},
    primitives::Blob,
    types::{
        DetectLabelsFeatureName, DetectLabelsImagePropertiesSettings, DetectLabelsSettings,
        GeneralLabelsSettings, Image, S3Object,
    },
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use image::{Rgb, RgbImage};
use rekognition_local::{classifier::Classifier, labels::Vocabulary};
use tokio::runtime::Runtime;

use crate::server::{Endpoint, Weights, serve};

/// An endpoint that no test asks for an object.
pub(crate) fn start(weights: &Weights) -> Endpoint {
    Endpoint::start(weights, ["--s3-endpoint", "http://127.0.0.1:1"])
}

pub(crate) fn asset(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../assets")
            .join(name),
    )
    .unwrap()
}

pub(crate) fn inline(bytes: Vec<u8>) -> Image {
    Image::builder().bytes(Blob::new(bytes)).build()
}

fn in_s3(bucket: &str, key: &str) -> Image {
    Image::builder()
        .s3_object(S3Object::builder().bucket(bucket).name(key).build())
        .build()
}

pub(crate) fn run<F: Future>(future: F) -> F::Output {
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

pub(crate) fn photos_have_their_labels(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client("test");
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

pub(crate) fn things_have_their_places(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let output = detect(
            &endpoint.client("test"),
            inline(asset("othersample.jpg")),
            50.0,
        )
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

pub(crate) fn settings_are_honoured(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client("test");
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
pub(crate) fn probabilities_are_those_of_litert(weights: &Weights) {
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

pub(crate) fn a_parent_is_at_least_as_confident(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client("test");
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
    let photo = Arc::new(photo);
    let answer = move |request: Request<Incoming>| {
        let photo = Arc::clone(&photo);
        async move {
            let refusal = |code: &str| {
                format!("<Error><Code>{code}</Code><Message>refused</Message></Error>").into_bytes()
            };
            let query = request.uri().query().unwrap_or_default();
            let (status, body) = match request.uri().path() {
                "/photos/a%20b%2Bc/%C3%A9%25.jpg" => (200, photo.to_vec()),
                "/photos/versioned.jpg" if query.contains("versionId=v1") => (200, photo.to_vec()),
                "/photos/versioned.jpg" => (200, b"a newer version, not a photo".to_vec()),
                "/photos/large.jpg" => (200, vec![0; (15 << 20) + 1]),
                "/photos/broken.jpg" => (500, refusal("InternalError")),
                "/secret/photo.jpg" => (403, refusal("AccessDenied")),
                "/photos/missing.jpg" => (404, refusal("NoSuchKey")),
                _ => (404, refusal("NoSuchBucket")),
            };
            let body = Full::new(Bytes::from(body));
            Response::builder().status(status).body(body).unwrap()
        }
    };
    serve(answer).await
}

pub(crate) fn objects_are_read_from_s3(weights: &Weights) {
    run(async {
        let endpoint = Endpoint::start(
            weights,
            ["--s3-endpoint", &stub_s3(asset("sample.jpg")).await],
        );
        let client = endpoint.client("test");
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

pub(crate) fn limits_on_labels_are_honoured(weights: &Weights) {
    let endpoint = start(weights);
    fn shown(output: &DetectLabelsOutput) -> Vec<(&str, f32)> {
        let labels = output.labels().iter();
        labels
            .map(|label| (label.name().unwrap(), label.confidence().unwrap()))
            .collect()
    }
    run(async {
        let client = endpoint.client("test");
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

pub(crate) fn errors_are_typed(weights: &Weights) {
    run(async {
        let endpoint = Endpoint::start(
            weights,
            ["--s3-endpoint", &stub_s3(asset("sample.jpg")).await],
        );
        let client = endpoint.client("test");
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

pub(crate) fn same_labels_under_load(weights: &Weights) {
    let endpoint = start(weights);
    run(async {
        let client = endpoint.client("test");
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
