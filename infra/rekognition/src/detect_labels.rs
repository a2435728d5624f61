//! The operation DetectLabels.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    labels::Detection,
    objects::ObjectLocation,
    picture::PictureError,
    protocol::{ApiError, ErrorKind},
};

/// Bytes of the largest image in a request, from the reference of the type `Image`.
pub const MAX_INLINE_BYTES: usize = 5 << 20;

/// What the reference of DetectLabels gives as the default of `MinConfidence`, in percent.
const DEFAULT_MIN_CONFIDENCE: f32 = 55.0;

/// What the reference of DetectLabels gives as the default of `MaxLabels`.
const DEFAULT_MAX_LABELS: usize = 1000;

/// Names the model where Rekognition gives the version of its own.
const MODEL_VERSION: &str = "efficientnet-lite0";

/// A valid request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Where the picture is.
    pub image: ImageSource,
    /// The most labels wanted.
    pub max_labels: usize,
    /// Percent that a label must reach.
    pub min_confidence: f32,
}

/// Where a picture is.
#[derive(Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// In the request.
    Bytes(Vec<u8>),
    /// In S3.
    Object(ObjectLocation),
}

impl Request {
    /// Reads and checks the body of a request.
    ///
    /// # Errors
    /// The body is not JSON of the right shape, or a parameter is missing, out of range or not provided here.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            image: Option<Image>,
            max_labels: Option<i64>,
            min_confidence: Option<f32>,
            features: Option<Vec<String>>,
            settings: Option<serde::de::IgnoredAny>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Image {
            bytes: Option<String>,
            s3_object: Option<ObjectLocation>,
        }
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(
                ErrorKind::Serialization,
                format!("the request body is not valid: {error}"),
            )
        })?;
        if body.settings.is_some() {
            return Err(invalid(
                "Settings is not provided by the local Rekognition; leave it out",
            ));
        }
        if let Some(feature) = body
            .features
            .iter()
            .flatten()
            .find(|feature| *feature != "GENERAL_LABELS")
        {
            return Err(invalid(format!(
                "the local Rekognition has the feature GENERAL_LABELS only, not `{feature}`"
            )));
        }
        let max_labels = match body.max_labels {
            None => DEFAULT_MAX_LABELS,
            Some(number) => usize::try_from(number)
                .map_err(|_| invalid(format!("MaxLabels is {number}; it must be at least 0")))?,
        };
        let min_confidence = body.min_confidence.unwrap_or(DEFAULT_MIN_CONFIDENCE);
        if !(0.0..=100.0).contains(&min_confidence) {
            return Err(invalid(format!(
                "MinConfidence is {min_confidence}; it must be from 0 to 100"
            )));
        }
        let image = body.image.ok_or_else(|| invalid("Image is missing"))?;
        let image = match (image.bytes, image.s3_object) {
            (Some(bytes), None) => ImageSource::Bytes(inline(&bytes)?),
            (None, Some(location)) => ImageSource::Object(checked(location)?),
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "Image has both Bytes and S3Object; give one of them",
                ));
            }
            (None, None) => {
                return Err(invalid(
                    "Image has neither Bytes nor S3Object; give one of them",
                ));
            }
        };
        Ok(Self {
            image,
            max_labels,
            min_confidence,
        })
    }

    /// The response to this request for a picture with these labels, which come most confident first.
    #[must_use]
    pub fn response(&self, detections: &[Detection<'_>]) -> Response {
        let labels = detections
            .iter()
            .take_while(|detection| detection.confidence >= self.min_confidence)
            .take(self.max_labels)
            .map(|detection| Label {
                name: detection.label.name,
                confidence: detection.confidence,
                instances: [],
                parents: detection
                    .label
                    .parents
                    .iter()
                    .map(|name| Parent { name })
                    .collect(),
                aliases: [],
                categories: [],
            })
            .collect();
        Response {
            labels,
            label_model_version: MODEL_VERSION,
        }
    }
}

/// The image in a request.
fn inline(base64: &str) -> Result<Vec<u8>, ApiError> {
    let bytes = BASE64_STANDARD.decode(base64).map_err(|error| {
        ApiError::new(
            ErrorKind::Serialization,
            format!("Image.Bytes is not base64: {error}"),
        )
    })?;
    match bytes.len() {
        0 => Err(invalid("Image.Bytes is empty")),
        1..=MAX_INLINE_BYTES => Ok(bytes),
        length => Err(ApiError::new(
            ErrorKind::ImageTooLarge,
            format!(
                "Image.Bytes has {length} bytes; up to {MAX_INLINE_BYTES} are allowed, more through S3Object"
            ),
        )),
    }
}

/// Checks the constraints of the type `S3Object`.
fn checked(location: ObjectLocation) -> Result<ObjectLocation, ApiError> {
    let constraint = |field: &str,
                      value: &Option<String>,
                      lengths: std::ops::RangeInclusive<usize>| {
        let length = value.as_ref().map(|value| value.chars().count());
        if length.is_some_and(|length| lengths.contains(&length)) {
            return Ok(());
        }
        let (least, greatest) = (lengths.start(), lengths.end());
        Err(invalid(format!(
            "Image.S3Object.{field} must be given and have from {least} to {greatest} characters"
        )))
    };
    constraint("Bucket", &location.bucket, 3..=255)?;
    constraint("Name", &location.name, 1..=1024)?;
    if location.version.is_some() {
        constraint("Version", &location.version, 1..=1024)?;
    }
    Ok(location)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidParameter, message)
}

impl From<PictureError> for ApiError {
    fn from(error: PictureError) -> Self {
        let kind = match error {
            PictureError::Format(_) => ErrorKind::InvalidImageFormat,
            PictureError::Dimensions { .. } => ErrorKind::InvalidParameter,
            PictureError::Memory => ErrorKind::ImageTooLarge,
        };
        Self::new(kind, error.to_string())
    }
}

/// What DetectLabels returns. `OrientationCorrection` is left out, as AWS leaves it out for upright pictures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    labels: Vec<Label>,
    label_model_version: &'static str,
}

impl Response {
    /// The names of the labels, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.labels.iter().map(|label| label.name)
    }
}

/// A classifier says what a picture shows, not where: there are no instances.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Label {
    name: &'static str,
    confidence: f32,
    instances: [(); 0],
    parents: Vec<Parent>,
    aliases: [(); 0],
    categories: [(); 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parent {
    name: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use serde_json::json;

    fn parse(body: &serde_json::Value) -> Result<Request, ApiError> {
        Request::parse(body.to_string().as_bytes())
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let request =
            parse(&json!({"Image": {"S3Object": {"Bucket": "photos", "Name": "a b+c.jpg"}}}))
                .unwrap();
        assert_eq!((request.min_confidence, request.max_labels), (55.0, 1000));
        let location = ObjectLocation {
            bucket: Some("photos".into()),
            name: Some("a b+c.jpg".into()),
            version: None,
        };
        assert_eq!(request.image, ImageSource::Object(location));
    }

    #[test]
    fn a_null_member_is_an_absent_one() {
        let request = parse(
            &json!({"Image": {"Bytes": "AAEC", "S3Object": null}, "MaxLabels": null, "Settings": null}),
        );
        assert_eq!(request.unwrap().image, ImageSource::Bytes(vec![0, 1, 2]));
    }

    #[test]
    fn a_violated_constraint_is_an_invalid_parameter() {
        let image = json!({"Bytes": "AAEC"});
        let object = json!({"Bucket": "photos", "Name": "a.jpg"});
        for body in [
            json!({}),
            json!({"Image": {}}),
            json!({"Image": {"Bytes": "AAEC", "S3Object": object}}),
            json!({"Image": {"Bytes": ""}}),
            json!({"Image": {"S3Object": {"Bucket": "photos"}}}),
            json!({"Image": {"S3Object": {"Bucket": "ab", "Name": "a.jpg"}}}),
            json!({"Image": {"S3Object": {"Bucket": "photos", "Name": ""}}}),
            json!({"Image": {"S3Object": {"Bucket": "photos", "Name": "a.jpg", "Version": ""}}}),
            json!({"Image": image, "MaxLabels": -1}),
            json!({"Image": image, "MinConfidence": -0.1}),
            json!({"Image": image, "MinConfidence": 100.5}),
            json!({"Image": image, "Features": ["IMAGE_PROPERTIES"]}),
            json!({"Image": image, "Settings": {}}),
        ] {
            assert_eq!(
                parse(&body).unwrap_err().kind,
                ErrorKind::InvalidParameter,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_json_of_the_right_shape_is_a_serialization_error() {
        for body in [
            "",
            "{",
            "[]",
            r#"{"Image": 1}"#,
            r#"{"Image": {"Bytes": "*"}}"#,
            r#"{"MaxLabels": "many"}"#,
        ] {
            assert_eq!(
                Request::parse(body.as_bytes()).unwrap_err().kind,
                ErrorKind::Serialization,
                "{body}"
            );
        }
    }

    #[test]
    fn an_inline_image_may_have_five_mebibytes() {
        let body = |length| json!({"Image": {"Bytes": BASE64_STANDARD.encode(vec![0; length])}});
        assert!(parse(&body(MAX_INLINE_BYTES)).is_ok());
        assert_eq!(
            parse(&body(MAX_INLINE_BYTES + 1)).unwrap_err().kind,
            ErrorKind::ImageTooLarge
        );
    }

    #[test]
    fn the_response_has_the_members_of_the_reference_and_honours_both_limits() {
        let cat = labels::Label {
            name: "Cat",
            parents: vec!["Animal"],
        };
        let animal = labels::Label {
            name: "Animal",
            parents: vec![],
        };
        let found = |label, confidence| Detection {
            label,
            confidence,
            instances: vec![],
        };
        let detections = [found(&animal, 91.5), found(&cat, 80.0), found(&cat, 20.0)];
        let request = parse(&json!({"Image": {"Bytes": "AAEC"}, "MinConfidence": 80})).unwrap();
        let expected = json!({
            "Labels": [
                {"Name": "Animal", "Confidence": 91.5, "Instances": [], "Parents": [], "Aliases": [], "Categories": []},
                {"Name": "Cat", "Confidence": 80.0, "Instances": [], "Parents": [{"Name": "Animal"}], "Aliases": [], "Categories": []},
            ],
            "LabelModelVersion": "efficientnet-lite0",
        });
        assert_eq!(
            serde_json::to_value(request.response(&detections)).unwrap(),
            expected
        );
        let request =
            parse(&json!({"Image": {"Bytes": "AAEC"}, "MinConfidence": 0, "MaxLabels": 1}))
                .unwrap();
        assert_eq!(
            request.response(&detections).names().collect::<Vec<_>>(),
            ["Animal"]
        );
    }
}
