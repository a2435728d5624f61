//! What gives a decoded picture its labels.

use std::path::Path;

use image::RgbImage;

use crate::{
    classifier::{Classifier, LoadError},
    labels::Detection,
};

/// Labels decoded pictures, be they photos or frames of a video. One serves any number of threads.
pub struct Labeller {
    classifier: Classifier,
}

impl Labeller {
    /// Reads the weights.
    ///
    /// # Errors
    /// A file of weights cannot be read or used.
    pub fn load(model: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            classifier: Classifier::load(model)?,
        })
    }

    /// All labels of a picture that the models know, from the most to the least confident: it is for the caller to say how
    /// confident is confident enough. The same picture always has the same labels.
    #[must_use]
    pub fn detect(&self, picture: &RgbImage) -> Vec<Detection<'_>> {
        self.classifier.detect(picture)
    }
}
