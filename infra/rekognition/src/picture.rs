//! Pictures as users send them: JPEG and PNG within Rekognition's limits.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

/// The fewest pixels a side, from "Guidelines and quotas in Amazon Rekognition".
pub const MIN_SIDE: u32 = 80;
/// The most pixels a side, from the same page.
pub const MAX_SIDE: u32 = 10_000;

/// Bytes that decoding one picture may allocate: enough for 8-bit RGBA at the largest size.
const MAX_DECODED_BYTES: u64 = 400 << 20;

/// A side of at most so many pixels is enough for both models, also for a thing that fills a ninth of the picture. What is
/// larger is reduced before anything else takes memory.
const ENOUGH_SIDE: u32 = 2048;

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Neither JPEG nor PNG, or damaged.
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
    #[error("the image would take more than {} MiB of memory", MAX_DECODED_BYTES >> 20)]
    Memory,
}

/// A picture whose size is known and allowed, but that is not decoded yet.
pub struct Encoded<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    /// Bytes that decoding it takes at most.
    memory_bytes: u64,
}

impl<'a> Encoded<'a> {
    /// Reads the head of a picture.
    ///
    /// # Errors
    /// It is not a JPEG or PNG, is damaged, or exceeds a limit.
    pub fn open(bytes: &'a [u8]) -> Result<Self, PictureError> {
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| PictureError::Format(error.to_string()))?;
        let format = reader.format();
        match format {
            Some(ImageFormat::Jpeg) if !ends_its_scan(bytes) => {
                return Err(PictureError::Format(
                    "the file ends in the middle of the picture".to_owned(),
                ));
            }
            Some(ImageFormat::Jpeg | ImageFormat::Png) => {}
            Some(other) => return Err(PictureError::Format(format!("it is {other:?}"))),
            None => {
                return Err(PictureError::Format(
                    "its first bytes belong to no known format".to_owned(),
                ));
            }
        }
        let mut decoder = reader.into_decoder().map_err(refuse)?;
        let (width, height) = decoder.dimensions();
        if ![width, height]
            .iter()
            .all(|side| (MIN_SIDE..=MAX_SIDE).contains(side))
        {
            return Err(PictureError::Dimensions { width, height });
        }
        let decoded_bytes = decoder.total_bytes();
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_DECODED_BYTES);
        if decoded_bytes > MAX_DECODED_BYTES {
            return Err(PictureError::Memory);
        }
        decoder.set_limits(limits).map_err(refuse)?;
        // A progressive JPEG is complete only at its end: until then there are two bytes for each of its values.
        let working_bytes = match format {
            Some(ImageFormat::Jpeg) if is_progressive(bytes) => 2 * decoded_bytes,
            _ => 0,
        };
        Ok(Self {
            decoder: Box::new(decoder),
            memory_bytes: decoded_bytes + working_bytes,
        })
    }

    /// Bytes of memory that decoding this picture takes at most.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Decodes the picture, upright as its EXIF orientation says, and reduced if it is very large.
    ///
    /// # Errors
    /// It is damaged.
    pub fn decode(mut self) -> Result<RgbImage, PictureError> {
        let orientation = self.decoder.orientation().map_err(refuse)?;
        let mut picture = reduced(DynamicImage::from_decoder(self.decoder).map_err(refuse)?);
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

fn refuse(error: ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::Memory,
        error => PictureError::Format(error.to_string()),
    }
}

/// Whether a JPEG's last scan is followed by the end-of-image marker. The decoder fills what is missing with grey, which
/// would be labelled as if it were the picture. Within a scan the marker's bytes do not occur.
fn ends_its_scan(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    last([0xff, 0xd9]) > last([0xff, 0xda])
}

/// Whether a JPEG may be progressive. Its marker may also occur in what is stored beside the picture; then decoding is
/// taken to need more memory than it does.
fn is_progressive(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == [0xff, 0xc2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{
        ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder,
    };
    use proptest::prelude::*;

    /// Left half red, right half blue.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| {
            if x < width / 2 {
                image::Rgb([250, 0, 0])
            } else {
                image::Rgb([0, 0, 250])
            }
        })
    }

    fn png(picture: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(
                picture,
                picture.width(),
                picture.height(),
                ExtendedColorType::Rgb8,
            )
            .unwrap();
        bytes
    }

    /// A JPEG with an EXIF orientation.
    fn jpeg(picture: &RgbImage, orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        // TIFF header, then one directory with the single entry 0x0112 (orientation), a short.
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        encoder.set_exif_metadata(exif).unwrap();
        encoder
            .write_image(
                picture,
                picture.width(),
                picture.height(),
                ExtendedColorType::Rgb8,
            )
            .unwrap();
        bytes
    }

    #[test]
    fn a_picture_is_decoded_upright() {
        let upright = decode(&jpeg(&halves(160, 80), 1)).unwrap();
        assert_eq!((upright.width(), upright.height()), (160, 80));
        assert!(upright.get_pixel(10, 40)[0] > 200);
        // Orientation 6: the camera was turned; the left half belongs at the top.
        let turned = decode(&jpeg(&halves(160, 80), 6)).unwrap();
        assert_eq!((turned.width(), turned.height()), (80, 160));
        assert!(turned.get_pixel(40, 10)[0] > 200 && turned.get_pixel(40, 150)[2] > 200);
    }

    #[test]
    fn limits_of_size_hold_for_both_sides() {
        for (width, height) in [(1, 1), (79, 200), (200, 79), (10_001, 80)] {
            let refused = decode(&png(&halves(width, height)));
            assert!(
                matches!(refused, Err(PictureError::Dimensions { .. })),
                "{width} x {height}: {refused:?}"
            );
        }
        assert!(decode(&png(&halves(80, 80))).is_ok());
    }

    #[test]
    fn a_huge_size_in_the_header_is_refused_without_decoding() {
        let mut bytes = png(&halves(80, 80));
        bytes[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(
            decode(&bytes),
            Err(PictureError::Dimensions {
                width: 20_000,
                height: 80
            })
        ));
    }

    #[test]
    fn a_very_large_picture_is_reduced_in_its_proportions_and_upright() {
        let picture = decode(&jpeg(&halves(4096, 100), 6)).unwrap();
        assert_eq!((picture.width(), picture.height()), (50, 2048));
        assert!(picture.get_pixel(25, 100)[0] > 200 && picture.get_pixel(25, 1900)[2] > 200);
        assert_eq!(
            decode(&png(&halves(2048, 100))).unwrap().dimensions(),
            (2048, 100)
        );
    }

    #[test]
    fn memory_is_known_before_decoding() {
        let bytes = png(&halves(100, 80));
        assert_eq!(Encoded::open(&bytes).unwrap().memory_bytes(), 100 * 80 * 3);
        let mut progressive = jpeg(&halves(100, 80), 1);
        let start_of_frame = progressive
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        progressive[start_of_frame + 1] = 0xc2;
        assert_eq!(
            Encoded::open(&progressive).unwrap().memory_bytes(),
            100 * 80 * 9
        );
    }

    #[test]
    fn other_formats_and_no_format_are_refused() {
        for bytes in [
            &b""[..],
            b"not an image",
            b"GIF89a\x01\0\x01\0\0\0\0;",
            &[0xff, 0xd8, 0xff],
        ] {
            assert!(
                matches!(decode(bytes), Err(PictureError::Format(_))),
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_picture_is_whole_or_an_error(cut in 1_usize..2000) {
            let (png, jpeg) = (png(&halves(120, 90)), jpeg(&halves(120, 90), 1));
            // The last bytes of a PNG only say that it ends.
            if let Ok(picture) = decode(&png[..png.len().saturating_sub(cut)]) {
                prop_assert_eq!(picture, halves(120, 90));
            }
            prop_assert!(decode(&jpeg[..jpeg.len().saturating_sub(cut)]).is_err());
        }

        #[test]
        fn a_damaged_picture_does_no_harm(place in any::<prop::sample::Index>(), byte in any::<u8>(), is_png in any::<bool>()) {
            let mut bytes = if is_png { png(&halves(120, 90)) } else { jpeg(&halves(120, 90), 6) };
            let place = place.index(bytes.len());
            bytes[place] = byte;
            // Either outcome is right: a single byte may not matter.
            let _ = decode(&bytes);
        }

        #[test]
        fn random_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }

    /// The checksum of a PNG chunk.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
            })
        })
    }
}
