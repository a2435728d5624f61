//! Labels one image of the media bucket, when someone asks for it by name.
//!
//! `{"Bucket": "…", "Key": "…"}` returns the labels' names as a JSON array and
//! stores the item in the catalogue. `"Save": false` leaves the catalogue alone.
//! The key is raw: unlike those of S3's notifications, it is not encoded.
//!
//! Nobody ordered this request among the events of the object, so it is saved by
//! the rule that [`media::catalogue`] has for writes by hand. An image that cannot
//! be labelled is the caller's error and is not recorded: its event has been, or
//! will be.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, Error};
use media::catalogue::{Catalogue, CatalogueError, Outcome};
use media::detector::{DetectError, LabelDetector};
use media::dynamodb::{DynamoCatalogue, Tables};
use media::rekognition::RekognitionDetector;
use media::{MediaItem, MediaType, media_bucket};
use runtime::s3::{BucketName, KeyError, ObjectKey};
use runtime::{Aws, Environment, Service};
use serde::Deserialize;
use serde_json::Value;
use tracing::info;

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let bucket = media_bucket(&environment)?;
    let function = DetectLabels {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        detector: RekognitionDetector::new(&aws, &bucket),
        bucket,
    };
    aws.open_connections(&[Service::DYNAMODB, Service::REKOGNITION])
        .await;
    runtime::serve(async |event| function.handle(event).await).await
}

/// How often the labels are read anew because the object changed meanwhile. An
/// object that changes faster than it can be looked at is labelled by its events.
const ATTEMPTS: usize = 5;

/// What the function was invoked with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    bucket: BucketName,
    key: String,
    #[serde(default = "yes")]
    save: bool,
}

fn yes() -> bool {
    true
}

/// Why there are no labels.
#[derive(Debug, thiserror::Error)]
pub enum DetectLabelsError {
    /// The payload is not a request.
    #[error(
        "{0}; send {{\"Bucket\": \"<bucket>\", \"Key\": \"<key>\"}}, and \"Save\": false to leave the catalogue alone"
    )]
    InvalidRequest(String),
    /// The catalogue is of another bucket.
    #[error(
        "the bucket {asked:?} is not the media bucket {served:?}, the only one this function reads"
    )]
    WrongBucket {
        /// Bucket in the request.
        asked: String,
        /// Bucket of the catalogue.
        served: String,
    },
    /// S3 can have no such key.
    #[error(transparent)]
    InvalidKey(#[from] KeyError),
    /// The file is not an image, by its extension.
    #[error(
        "{0:?} is not an image: its name must end in .jpg, .jpeg or .png, in upper or lower case"
    )]
    NotAnImage(String),
    /// Rekognition gave no labels.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The catalogue could not be read or written.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The object changed each time while it was looked at.
    #[error(
        "{0:?} changed {ATTEMPTS} times while it was being labelled, and was not stored: its events will store it"
    )]
    Changing(String),
}

impl From<DetectLabelsError> for Diagnostic {
    fn from(error: DetectLabelsError) -> Self {
        use DetectLabelsError as E;
        let error_message = match &error {
            E::Detect(DetectError::Permanent(failure) | DetectError::Throttled(failure)) => {
                failure.message.clone()
            }
            error => error.to_string(),
        };
        let error_type = match error {
            E::InvalidRequest(_) => "InvalidRequestError".into(),
            E::WrongBucket { .. } => "WrongBucketError".into(),
            E::InvalidKey(_) => "InvalidKeyError".into(),
            E::NotAnImage(_) => "UnsupportedMediaTypeError".into(),
            E::Detect(DetectError::Permanent(failure) | DetectError::Throttled(failure)) => {
                failure.code
            }
            E::Detect(DetectError::Retryable(_) | DetectError::Running) => "DetectionError".into(),
            E::Catalogue(_) => "CatalogueError".into(),
            E::Changing(_) => "ObjectChangingError".into(),
        };
        Self {
            error_type,
            error_message,
        }
    }
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct DetectLabels<C, D> {
    /// The only bucket it reads.
    pub bucket: BucketName,
    /// Where items are stored.
    pub catalogue: C,
    /// What sees the labels.
    pub detector: D,
}

impl<C: Catalogue, D: LabelDetector> DetectLabels<C, D> {
    /// Handles one invocation.
    pub async fn handle(&self, payload: Value) -> Result<Vec<String>, DetectLabelsError> {
        let request: Request = serde_json::from_value(payload)
            .map_err(|error| DetectLabelsError::InvalidRequest(error.to_string()))?;
        if request.bucket != self.bucket {
            return Err(DetectLabelsError::WrongBucket {
                asked: request.bucket.to_string(),
                served: self.bucket.to_string(),
            });
        }
        let name = ObjectKey::new(request.key)?;
        if MediaType::of(&name) != Some(MediaType::Image) {
            return Err(DetectLabelsError::NotAnImage(name.to_string()));
        }
        if request.save {
            self.detect_and_save(name).await
        } else {
            Ok(self.detector.detect(&self.bucket, &name).await?)
        }
    }

    async fn detect_and_save(&self, name: ObjectKey) -> Result<Vec<String>, DetectLabelsError> {
        for attempt in 1..=ATTEMPTS {
            let seen = self.catalogue.state(&name).await?;
            let item = MediaItem {
                labels: self.detector.detect(&self.bucket, &name).await?,
                media_type: MediaType::Image,
                name: name.clone(),
            };
            let outcome = self.catalogue.save(&item, seen.as_ref()).await?;
            info!(%name, labels = item.labels.len(), attempt, ?outcome, "labelled by hand");
            if outcome == Outcome::Recorded {
                return Ok(item.labels);
            }
        }
        Err(DetectLabelsError::Changing(name.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use lambda_runtime::Diagnostic;
    use media::Failure;
    use media::catalogue::{ChangeKind, ObjectChange};
    use media::testing::{MemoryCatalogue, Sees};
    use runtime::s3::Sequencer;
    use serde_json::json;

    const EVENT: &str = include_str!("../../../assets/events/detect-labels.json");

    fn function<F>(sees: F) -> DetectLabels<MemoryCatalogue, Sees<F>>
    where
        F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
    {
        DetectLabels {
            bucket: BucketName::new("amzn-s3-demo-bucket"),
            catalogue: MemoryCatalogue::default(),
            detector: Sees(sees),
        }
    }

    fn dog() -> Result<Vec<String>, DetectError> {
        Ok(vec!["Dog".into(), "Animal".into()])
    }

    fn sample() -> ObjectKey {
        ObjectKey::new("sample.jpg").unwrap()
    }

    #[tokio::test]
    async fn the_sample_event_is_labelled_and_stored() {
        let function = function(|_| dog());
        let labels = function
            .handle(serde_json::from_str(EVENT).unwrap())
            .await
            .unwrap();
        assert_eq!(labels, ["Dog", "Animal"]);
        assert_eq!(
            function.catalogue.item(&sample()),
            Some(MediaItem {
                name: sample(),
                media_type: MediaType::Image,
                labels,
            })
        );
    }

    #[tokio::test]
    async fn save_false_leaves_the_catalogue_alone() {
        let function = function(|_| dog());
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["Save"] = false.into();
        assert_eq!(function.handle(event).await.unwrap(), ["Dog", "Animal"]);
        assert_eq!(function.catalogue.item(&sample()), None);
    }

    #[tokio::test]
    async fn the_key_is_never_decoded() {
        let function = function(|key| Ok(vec![key.to_string()]));
        let event = json!({"Bucket": "amzn-s3-demo-bucket", "Key": "a+b%20c.jpg"});
        assert_eq!(function.handle(event).await.unwrap(), ["a+b%20c.jpg"]);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_told() {
        let bucket = "amzn-s3-demo-bucket";
        for (event, error_type, told) in [
            (
                json!({"Key": "a.jpg"}),
                "InvalidRequestError",
                "missing field `Bucket`",
            ),
            (
                json!({"Bucket": bucket}),
                "InvalidRequestError",
                "missing field `Key`",
            ),
            (
                json!({"Bucket": bucket, "Key": "a.jpg", "save": true}),
                "InvalidRequestError",
                "unknown field `save`",
            ),
            (
                json!({"Bucket": bucket, "Key": "a.jpg", "Save": "no"}),
                "InvalidRequestError",
                "expected a boolean",
            ),
            (json!([]), "InvalidRequestError", "send {\"Bucket\": "),
            (
                json!({"Bucket": "other", "Key": "a.jpg"}),
                "WrongBucketError",
                "\"other\" is not",
            ),
            (
                json!({"Bucket": bucket, "Key": ""}),
                "InvalidKeyError",
                "empty",
            ),
            (
                json!({"Bucket": bucket, "Key": "clip.mp4"}),
                "UnsupportedMediaTypeError",
                "\"clip.mp4\" is not an image",
            ),
        ] {
            let error = function(|_| panic!("nothing to look at"))
                .handle(event.clone())
                .await;
            let diagnostic = Diagnostic::from(error.unwrap_err());
            assert_eq!(diagnostic.error_type, error_type, "{event}");
            assert!(
                diagnostic.error_message.contains(told),
                "{}",
                diagnostic.error_message
            );
        }
    }

    #[tokio::test]
    async fn rekognitions_own_error_is_passed_on_and_not_recorded() {
        let failure = |code: &str, message: &str| Failure {
            code: code.into(),
            message: message.into(),
        };
        let gone = failure("InvalidS3ObjectException", "Unable to get object metadata.");
        let busy = failure("ThrottlingException", "Rate exceeded");
        for (reason, Failure { code, message }) in [
            (DetectError::Permanent(gone.clone()), gone),
            (DetectError::Throttled(busy.clone()), busy),
        ] {
            let function = function(|_| Err(reason.clone()));
            let event = serde_json::from_str(EVENT).unwrap();
            let error = function.handle(event).await.unwrap_err();
            assert_eq!(
                Diagnostic::from(error),
                Diagnostic {
                    error_type: code,
                    error_message: message,
                }
            );
            assert_eq!(function.catalogue.state(&sample()).await.unwrap(), None);
        }
    }

    /// A catalogue that moves on while the object is looked at, this often.
    struct Moving {
        catalogue: MemoryCatalogue,
        changes_due: Cell<usize>,
    }

    impl Catalogue for Moving {
        async fn state(
            &self,
            name: &ObjectKey,
        ) -> Result<Option<media::catalogue::State>, CatalogueError> {
            let seen = self.catalogue.state(name).await;
            if self.changes_due.get() > 0 {
                self.record(&ObjectChange {
                    name: name.clone(),
                    sequencer: Sequencer::parse(&format!("{:02}", 90 - self.changes_due.get()))
                        .unwrap(),
                    kind: ChangeKind::Removed,
                })
                .await?;
                self.changes_due.set(self.changes_due.get() - 1);
            }
            seen
        }

        async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
            self.catalogue.record(change).await
        }

        async fn save(
            &self,
            item: &MediaItem,
            seen: Option<&media::catalogue::State>,
        ) -> Result<Outcome, CatalogueError> {
            self.catalogue.save(item, seen).await
        }
    }

    #[tokio::test]
    async fn a_change_meanwhile_starts_it_anew_but_not_for_ever() {
        for (changes, is_stored) in [(ATTEMPTS - 1, true), (ATTEMPTS, false)] {
            let function = DetectLabels {
                bucket: BucketName::new("amzn-s3-demo-bucket"),
                catalogue: Moving {
                    catalogue: MemoryCatalogue::default(),
                    changes_due: Cell::new(changes),
                },
                detector: Sees(|_: &ObjectKey| dog()),
            };
            let result = function.handle(serde_json::from_str(EVENT).unwrap()).await;
            assert_eq!(
                function.catalogue.catalogue.item(&sample()).is_some(),
                is_stored
            );
            match result {
                Ok(_) => assert!(is_stored),
                Err(error) => {
                    assert_eq!(Diagnostic::from(error).error_type, "ObjectChangingError");
                }
            }
        }
    }
}
