//! What gives a decoded picture its labels.

use std::path::Path;

use image::{RgbImage, imageops};

use crate::{
    classifier::{self, Classifier},
    darknet::Found,
    detector::{self, Detector},
    labels::{BoundingBox, Detection, Findings, Instance, Vocabulary},
};

/// Names the models where Rekognition gives the version of its own.
pub const MODEL_VERSION: &str = "efficientnet-lite0+yolov4-tiny";

/// How much of its width and height a thing's surroundings add to what the classifier sees of it, on each side.
const MARGIN: f32 = 0.2;

/// Things that are less probable are not looked at more closely.
const MIN_PROBABILITY_OF_CLOSER_LOOK: f32 = 0.5;

/// The most things that are looked at more closely, for each takes as long as the whole picture does.
const MAX_CLOSER_LOOKS: usize = 2;

/// Labels decoded pictures, be they photos or frames of a video. One serves any number of threads.
pub struct Labeller {
    vocabulary: Vocabulary,
    classifier: Classifier,
    detector: Detector,
}

/// Why there is no labeller.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no classifier.
    #[error(transparent)]
    Classifier(#[from] classifier::LoadError),
    /// There is no detector.
    #[error(transparent)]
    Detector(#[from] detector::LoadError),
}

impl Labeller {
    /// Reads the weights of the classifier and the detector.
    ///
    /// # Errors
    /// A file of weights cannot be read or used.
    pub fn load(classifier: &Path, detector: &Path) -> Result<Self, LoadError> {
        let vocabulary = Vocabulary::default();
        Ok(Self {
            classifier: Classifier::load(classifier, &vocabulary)?,
            detector: Detector::load(detector, &vocabulary)?,
            vocabulary,
        })
    }

    /// All labels of a picture that the models know, from the most to the least confident: it is for the caller to say how
    /// confident is confident enough. The same picture always has the same labels.
    ///
    /// The classifier sees the whole picture and, from close by, animals that the detector found: it was trained on
    /// pictures of single things, and tells breeds that the detector does not know.
    #[must_use]
    pub fn detect(&self, picture: &RgbImage) -> Vec<Detection<'_>> {
        self.detections(picture, &self.find(picture))
    }

    /// The things in a picture, the most probable first.
    #[must_use]
    pub fn find(&self, picture: &RgbImage) -> Vec<Found> {
        self.detector.find(picture)
    }

    /// The labels of a picture in which these things were found, as [`Labeller::detect`] gives them.
    #[must_use]
    pub fn detections(&self, picture: &RgbImage, found: &[Found]) -> Vec<Detection<'_>> {
        let mut classes = vec![self.classifier.probabilities(picture)];
        classes.extend(
            found
                .iter()
                .filter(|found| self.deserves_a_closer_look(found))
                .take(MAX_CLOSER_LOOKS)
                .map(|found| {
                    self.classifier
                        .probabilities(&surroundings(picture, found.bounds))
                }),
        );
        let objects: Vec<_> = found
            .iter()
            .map(|found| {
                let instance = Instance {
                    bounds: found.bounds,
                    confidence: found.probability * 100.0,
                };
                (found.class, instance)
            })
            .collect();
        self.vocabulary.detections(&Findings {
            classes: &classes,
            objects: &objects,
        })
    }

    fn deserves_a_closer_look(&self, found: &Found) -> bool {
        found.probability >= MIN_PROBABILITY_OF_CLOSER_LOOK
            && self
                .vocabulary
                .object_label(found.class)
                .parents
                .contains(&"Animal")
    }
}

/// A thing and some of what is around it.
fn surroundings(picture: &RgbImage, bounds: BoundingBox) -> RgbImage {
    let along = |start: f32, size: f32, pixels: u32| {
        let all = pixels as f32;
        let first = ((start - MARGIN * size).max(0.0) * all) as u32;
        let end = ((start + (1.0 + MARGIN) * size).min(1.0) * all).round() as u32;
        let first = first.min(pixels - 1);
        (first, end.clamp(first + 1, pixels) - first)
    };
    let (left, width) = along(bounds.left, bounds.width, picture.width());
    let (top, height) = along(bounds.top, bounds.height, picture.height());
    imageops::crop_imm(picture, left, top, width, height).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surroundings_are_a_fifth_on_each_side_and_inside_the_picture() {
        let picture = RgbImage::from_fn(100, 50, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let bounds = BoundingBox {
            left: 0.25,
            top: 0.0,
            width: 0.5,
            height: 0.5,
        };
        let seen = surroundings(&picture, bounds);
        assert_eq!(seen.dimensions(), (70, 30));
        assert_eq!(seen.get_pixel(0, 0).0, [15, 0, 0]);
    }

    #[test]
    fn surroundings_of_nothing_are_a_pixel() {
        let picture = RgbImage::new(100, 50);
        let bounds = BoundingBox {
            left: 1.0,
            top: 1.0,
            width: 0.0,
            height: 0.0,
        };
        assert_eq!(surroundings(&picture, bounds).dimensions(), (1, 1));
    }
}
