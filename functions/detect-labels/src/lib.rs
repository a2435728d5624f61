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

use lambda_runtime::Diagnostic;
use media::catalogue::{Catalogue, CatalogueError, Outcome};
use media::detector::{DetectError, LabelDetector};
use media::key::{BucketName, KeyError, ObjectKey};
use media::{MediaItem, MediaType};
use serde::Deserialize;
use serde_json::Value;
use tracing::info;

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
    /// The file is no image, by its extension.
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
            E::Detect(DetectError::Permanent(failure)) => failure.message.clone(),
            error => error.to_string(),
        };
        let error_type = match error {
            E::InvalidRequest(_) => "InvalidRequestError".into(),
            E::WrongBucket { .. } => "WrongBucketError".into(),
            E::InvalidKey(_) => "InvalidKeyError".into(),
            E::NotAnImage(_) => "UnsupportedMediaTypeError".into(),
            E::Detect(DetectError::Permanent(failure)) => failure.code,
            E::Detect(DetectError::Retryable(_)) => "DetectionError".into(),
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
