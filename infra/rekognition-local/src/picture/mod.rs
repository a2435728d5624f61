//! Pictures as users send them: JPEG and PNG within Rekognition's limits.

mod jpeg;
mod png;

use std::panic::{self, AssertUnwindSafe};

use image::{DynamicImage, ImageFormat, RgbImage, metadata::Orientation};

use jpeg::Jpeg;
use png::Png;

/// The fewest pixels a side, from "Guidelines and quotas in Amazon Rekognition".
pub const MIN_SIDE: u32 = 80;
/// The most pixels a side, from the same page.
pub const MAX_SIDE: u32 = 10_000;

/// Bytes that decoding one picture may take. It is a limit of this program and not of AWS, but only a progressive JPEG of
/// more than 80 megapixels in four colours exceeds it.
const MAX_DECODED_BYTES: u64 = 640 << 20;

/// A side of at most so many pixels is enough for both models, also for a thing that fills a ninth of the picture. What is
/// larger is reduced before anything else takes memory.
const ENOUGH_SIDE: u32 = 2048;

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Neither JPEG nor PNG, damaged, or of a kind that is not supported.
    #[error("the image is not a readable JPEG or PNG file: {0}")]
    Format(String),
    /// Fewer than [`MIN_SIDE`] or more than [`MAX_SIDE`] pixels a side.
    #[error(
        "the image is {width} x {height} pixels; both sides must be from {MIN_SIDE} to {MAX_SIDE}"
    )]
    Dimensions {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Decoding it would take more memory than is allowed.
    #[error(
        "decoding the image takes more than {} MiB of memory, a limit of the local Rekognition that Amazon's does not have",
        MAX_DECODED_BYTES >> 20
    )]
    Memory,
}

/// A picture whose size is known and allowed, but that is not decoded yet.
pub struct Encoded(Kind);

enum Kind {
    Jpeg(Jpeg),
    Png(Box<Png>),
}

impl Encoded {
    /// Reads the head of a picture.
    ///
    /// # Errors
    /// It is not a JPEG or PNG, is damaged, or exceeds a limit.
    pub fn open(bytes: &[u8]) -> Result<Self, PictureError> {
        let kind = match image::guess_format(bytes) {
            Ok(ImageFormat::Jpeg) => Kind::Jpeg(Jpeg::open(bytes)?),
            Ok(ImageFormat::Png) => Kind::Png(Box::new(Png::open(bytes)?)),
            other => return Err(refused(&other_format(bytes, other.ok()))),
        };
        let (width, height) = match &kind {
            Kind::Jpeg(jpeg) => jpeg.dimensions(),
            Kind::Png(png) => png.dimensions(),
        };
        if ![width, height]
            .iter()
            .all(|side| (MIN_SIDE..=MAX_SIDE).contains(side))
        {
            return Err(PictureError::Dimensions { width, height });
        }
        let encoded = Self(kind);
        if encoded.memory_bytes() > MAX_DECODED_BYTES {
            return Err(PictureError::Memory);
        }
        Ok(encoded)
    }

    /// Bytes of memory that decoding this picture takes at most.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match &self.0 {
            Kind::Jpeg(jpeg) => jpeg.memory_bytes(),
            Kind::Png(png) => png.memory_bytes(),
        }
    }

    /// Decodes the picture, upright as a JPEG's EXIF orientation says, and reduced if it is very large.
    ///
    /// # Errors
    /// It is damaged.
    pub fn decode(self) -> Result<RgbImage, PictureError> {
        let decode = AssertUnwindSafe(|| {
            Ok(match self.0 {
                Kind::Jpeg(jpeg) => (jpeg.decode()?, jpeg.orientation()),
                Kind::Png(png) => (png.decode()?, Orientation::NoTransforms),
            })
        });
        // A decoder may panic on a hostile file. It would be an internal error, which is tried again.
        let (picture, orientation) =
            panic::catch_unwind(decode).map_err(|_| refused("it makes the decoder fail"))??;
        let mut picture = reduced(picture);
        picture.apply_orientation(orientation);
        Ok(picture.into_rgb8())
    }
}

/// Decodes a picture as [`Encoded`] does.
///
/// # Errors
/// It is not a JPEG or PNG, is damaged, or exceeds a limit. Dimensions are checked before anything is decoded.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, PictureError> {
    Encoded::open(bytes)?.decode()
}

fn refused(reason: &str) -> PictureError {
    PictureError::Format(reason.to_owned())
}

fn cut() -> PictureError {
    refused("the file ends in the middle of the picture")
}

fn misfit() -> PictureError {
    refused("its pixels do not have the announced size")
}

/// Says what a file is that is neither JPEG nor PNG.
fn other_format(bytes: &[u8], guess: Option<ImageFormat>) -> String {
    // ISO/IEC 23008-12 and 14496-12: the brand says what a file is made of.
    let brand = bytes.get(4..12).and_then(|head| head.strip_prefix(b"ftyp"));
    let name = match (brand, guess) {
        (
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"),
            _,
        ) => "HEIC, which iPhones take unless their camera is set to `Most Compatible`",
        (Some(b"avif" | b"avis"), _) | (_, Some(ImageFormat::Avif)) => "AVIF",
        (Some(_), _) => "a video",
        (_, Some(ImageFormat::WebP)) => "WebP",
        (_, Some(ImageFormat::Gif)) => "GIF",
        (_, Some(ImageFormat::Bmp)) => "BMP",
        (_, Some(ImageFormat::Tiff)) => "TIFF, or a camera's raw format",
        _ if bytes.is_empty() => return "the file is empty".to_owned(),
        _ if str::from_utf8(bytes).is_ok() => "text",
        (_, Some(other)) => return format!("it is {other:?}"),
        (None, None) => return "its first bytes belong to no known format".to_owned(),
    };
    format!("it is {name}")
}

/// The picture with sides of at most [`ENOUGH_SIDE`].
fn reduced(picture: DynamicImage) -> DynamicImage {
    let longer = u64::from(picture.width().max(picture.height()));
    if longer <= u64::from(ENOUGH_SIDE) {
        return picture;
    }
    let side = |pixels: u32| (u64::from(pixels) * u64::from(ENOUGH_SIDE) / longer).max(1) as u32;
    // The mean of the pixels that become one, which needs no more memory than the result.
    picture.thumbnail_exact(side(picture.width()), side(picture.height()))
}

#[cfg(test)]
mod tests;
