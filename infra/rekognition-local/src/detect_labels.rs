//! The operation DetectLabels.

use base64::{Engine, prelude::BASE64_STANDARD};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{
    darknet::Found,
    general_labels::{GeneralLabelsSettings, Label},
    image_properties::{ImageProperties, Palette},
    labeller::{Labeller, MODEL_VERSION},
    labels::{BoundingBox, Detection},
    objects::ObjectLocation,
    picture::PictureError,
    protocol::{ApiError, ErrorKind},
};

/// Bytes of the largest image in a request, from the reference of the type `Image`.
pub const MAX_INLINE_BYTES: usize = 5 << 20;

/// What the reference of DetectLabels gives as the default of `MinConfidence`, in percent.
const DEFAULT_MIN_CONFIDENCE: f32 = 55.0;

/// What the reference of DetectLabels gives as the default and the upper limit of `MaxLabels`.
const MAX_LABELS: usize = 1000;

/// What the reference of DetectLabels gives as the default of `MaxDominantColors`.
const DEFAULT_MAX_DOMINANT_COLORS: usize = 10;

/// The most dominant colours that may be asked for, from the type `DetectLabelsImagePropertiesSettings`.
const MAX_DOMINANT_COLORS: usize = 20;

/// The most features, from the type `DetectLabelsFeatureList`.
const MAX_FEATURES: usize = 2;

/// What is less probable is not counted to the foreground.
const MIN_FOREGROUND_PROBABILITY: f32 = 0.5;

/// A valid request.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// Where the picture is.
    pub image: ImageSource,
    /// Which labels are wanted, if any.
    pub general_labels: Option<GeneralLabels>,
    /// How many dominant colours are wanted at most, if properties of the picture are.
    pub max_dominant_colors: Option<usize>,
}

/// The feature GENERAL_LABELS.
#[derive(Debug, PartialEq)]
pub struct GeneralLabels {
    /// The most labels wanted.
    pub max_labels: usize,
    /// Percent that a label must reach.
    pub min_confidence: f32,
    /// Which labels are wanted.
    pub settings: GeneralLabelsSettings,
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
            settings: Option<Settings>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Settings {
            general_labels: Option<GeneralLabelsSettings>,
            image_properties: Option<ImagePropertiesSettings>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct ImagePropertiesSettings {
            max_dominant_colors: Option<i64>,
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
        let features = Features::parse(body.features.as_deref().unwrap_or_default())?;
        let settings = body.settings.unwrap_or_default();
        let general_labels = if features.general_labels {
            Some(GeneralLabels {
                max_labels: max_labels(body.max_labels)?,
                min_confidence: min_confidence(body.min_confidence)?,
                settings: filters(settings.general_labels)?,
            })
        } else if body.max_labels.is_some() || body.min_confidence.is_some() {
            return Err(invalid(
                "MaxLabels and MinConfidence are valid only with the feature GENERAL_LABELS",
            ));
        } else {
            None
        };
        let max_dominant_colors = settings
            .image_properties
            .and_then(|settings| settings.max_dominant_colors);
        let max_dominant_colors = features
            .image_properties
            .then(|| checked_max_dominant_colors(max_dominant_colors))
            .transpose()?;
        let image = body.image.ok_or_else(|| invalid("Image is missing"))?;
        let image = match (image.bytes, image.s3_object) {
            (Some(bytes), None) => ImageSource::Bytes(inline(&bytes)?),
            (None, Some(location)) => ImageSource::Object(location.checked("Image")?),
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
            general_labels,
            max_dominant_colors,
        })
    }

    /// The response to this request for a picture.
    #[must_use]
    pub fn response(&self, labeller: &Labeller, picture: &RgbImage) -> Response {
        let found = labeller.find(picture);
        let mut labels = self
            .general_labels
            .as_ref()
            .map_or_else(Vec::new, |wanted| {
                wanted.labels(&labeller.detections(picture, &found))
            });
        let image_properties = self.max_dominant_colors.map(|max_colors| {
            let palette = Palette::new(picture);
            for instance in labels.iter_mut().flat_map(|label| &mut label.instances) {
                let colors = palette.dominant_colors(instance.bounding_box, max_colors);
                instance.dominant_colors = Some(colors);
            }
            palette.properties(&foreground(&found), max_colors)
        });
        Response {
            labels,
            image_properties,
            label_model_version: MODEL_VERSION,
        }
    }
}

impl GeneralLabels {
    /// As many as are wanted of a picture's labels, which come most confident first.
    fn labels(&self, detections: &[Detection<'_>]) -> Vec<Label> {
        detections
            .iter()
            .take_while(|detection| detection.confidence >= self.min_confidence)
            .filter(|detection| self.settings.admit(detection.label))
            .take(self.max_labels)
            .map(|detection| Label::new(detection, self.min_confidence))
            .collect()
    }
}

/// Where the things are that a picture is probably of.
fn foreground(found: &[Found]) -> Vec<BoundingBox> {
    found
        .iter()
        .filter(|found| found.probability >= MIN_FOREGROUND_PROBABILITY)
        .map(|found| found.bounds)
        .collect()
}

/// What a request asks for.
struct Features {
    general_labels: bool,
    image_properties: bool,
}

impl Features {
    /// Without any, the reference says, GENERAL_LABELS is meant.
    fn parse(names: &[String]) -> Result<Self, ApiError> {
        let mut features = Self {
            general_labels: names.is_empty(),
            image_properties: false,
        };
        if names.len() > MAX_FEATURES {
            return Err(invalid(format!(
                "Features has {} values; up to {MAX_FEATURES} are allowed",
                names.len()
            )));
        }
        for name in names {
            match name.as_str() {
                "GENERAL_LABELS" => features.general_labels = true,
                "IMAGE_PROPERTIES" => features.image_properties = true,
                _ => {
                    return Err(invalid(format!(
                        "Features has `{name}`; GENERAL_LABELS and IMAGE_PROPERTIES are allowed"
                    )));
                }
            }
        }
        Ok(features)
    }
}

fn max_labels(number: Option<i64>) -> Result<usize, ApiError> {
    number.map_or(Ok(MAX_LABELS), |number| {
        // "The default and upper limit is 1000 labels", says the reference: it is not an error to ask for more.
        usize::try_from(number)
            .map(|number| number.min(MAX_LABELS))
            .map_err(|_| invalid(format!("MaxLabels is {number}; it must be at least 0")))
    })
}

/// Checks a threshold, in percent, and gives the default for none.
fn min_confidence(percent: Option<f32>) -> Result<f32, ApiError> {
    let percent = percent.unwrap_or(DEFAULT_MIN_CONFIDENCE);
    if (0.0..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err(invalid(format!(
            "MinConfidence is {percent}; it must be from 0 to 100"
        )))
    }
}

fn filters(settings: Option<GeneralLabelsSettings>) -> Result<GeneralLabelsSettings, ApiError> {
    let settings = settings.unwrap_or_default();
    settings.validate()?;
    Ok(settings)
}

fn checked_max_dominant_colors(number: Option<i64>) -> Result<usize, ApiError> {
    number.map_or(Ok(DEFAULT_MAX_DOMINANT_COLORS), |number| {
        usize::try_from(number)
            .ok()
            .filter(|number| *number <= MAX_DOMINANT_COLORS)
            .ok_or_else(|| {
                invalid(format!(
                    "Settings.ImageProperties.MaxDominantColors is {number}; it must be from 0 to {MAX_DOMINANT_COLORS}"
                ))
            })
    })
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
    #[serde(skip_serializing_if = "Option::is_none")]
    image_properties: Option<ImageProperties>,
    label_model_version: &'static str,
}

impl Response {
    /// The names of the labels, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| &*label.name)
    }
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
        let expected = GeneralLabels {
            max_labels: 1000,
            min_confidence: 55.0,
            settings: GeneralLabelsSettings::default(),
        };
        assert_eq!(request.general_labels, Some(expected));
        assert_eq!(request.max_dominant_colors, None);
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
            json!({"Image": image, "Features": ["FACES"]}),
            json!({"Image": image, "Features": ["GENERAL_LABELS", "GENERAL_LABELS", "IMAGE_PROPERTIES"]}),
            json!({"Image": image, "Features": ["IMAGE_PROPERTIES"], "MaxLabels": 5}),
            json!({"Image": image, "Features": ["IMAGE_PROPERTIES"], "MinConfidence": 5}),
            json!({"Image": image, "Features": ["IMAGE_PROPERTIES"],
                "Settings": {"ImageProperties": {"MaxDominantColors": 21}}}),
            json!({"Image": image, "Settings": {"GeneralLabels": {"LabelInclusionFilters": ["ß"]}}}),
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
    fn features_say_what_is_wanted() {
        let wanted = |features: serde_json::Value| {
            let request = parse(&json!({
                "Image": {"Bytes": "AAEC"},
                "Features": features,
                "Settings": {"ImageProperties": {"MaxDominantColors": 3}},
            }))
            .unwrap();
            (
                request.general_labels.is_some(),
                request.max_dominant_colors,
            )
        };
        assert_eq!(wanted(json!([])), (true, None));
        assert_eq!(wanted(json!(["GENERAL_LABELS"])), (true, None));
        assert_eq!(wanted(json!(["IMAGE_PROPERTIES"])), (false, Some(3)));
        assert_eq!(
            wanted(json!(["IMAGE_PROPERTIES", "GENERAL_LABELS"])),
            (true, Some(3))
        );
        let default = json!({"Image": {"Bytes": "AAEC"}, "Features": ["IMAGE_PROPERTIES"]});
        assert_eq!(parse(&default).unwrap().max_dominant_colors, Some(10));
    }

    #[test]
    fn labels_are_those_wanted_up_to_both_limits() {
        let label = |name, parents| labels::Label {
            name,
            parents,
            aliases: vec![],
            category: None,
        };
        let (animal, cat, tabby) = (
            label("Animal", vec![]),
            label("Cat", vec!["Animal"]),
            label("Tabby Cat", vec!["Cat", "Animal"]),
        );
        let found = |label, confidence| Detection {
            label,
            confidence,
            instances: vec![],
        };
        let detections = [found(&animal, 91.5), found(&cat, 80.0), found(&tabby, 20.0)];
        let names = |body: serde_json::Value| {
            let mut request = json!({"Image": {"Bytes": "AAEC"}});
            request
                .as_object_mut()
                .unwrap()
                .extend(body.as_object().unwrap().clone());
            let labels = parse(&request)
                .unwrap()
                .general_labels
                .unwrap()
                .labels(&detections);
            labels
                .into_iter()
                .map(|label| label.name.into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(json!({})), ["Animal", "Cat"]);
        assert_eq!(names(json!({"MinConfidence": 80})), ["Animal", "Cat"]);
        assert_eq!(
            names(json!({"MinConfidence": 0, "MaxLabels": 1})),
            ["Animal"]
        );
        assert_eq!(names(json!({"MaxLabels": 5000})), ["Animal", "Cat"]);
        // What is not wanted does not count.
        let excluded = json!({"GeneralLabels": {"LabelExclusionFilters": ["Animal"]}});
        let settings = json!({"MinConfidence": 0, "MaxLabels": 1, "Settings": excluded});
        assert_eq!(names(settings), ["Cat"]);
    }

    #[test]
    fn a_response_is_of_the_shape_of_the_reference() {
        let picture = RgbImage::from_pixel(90, 90, image::Rgb([255, 0, 0]));
        let response = |image_properties| Response {
            labels: vec![],
            image_properties,
            label_model_version: MODEL_VERSION,
        };
        assert_eq!(
            serde_json::to_value(response(None)).unwrap(),
            json!({"Labels": [], "LabelModelVersion": "efficientnet-lite0+yolov4-tiny"})
        );
        let properties = Palette::new(&picture).properties(&[], 10);
        let json = serde_json::to_value(response(Some(properties))).unwrap();
        assert_eq!(
            json["ImageProperties"]["DominantColors"][0]["CSSColor"],
            "red"
        );
    }
}
