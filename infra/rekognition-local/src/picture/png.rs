//! PNG: pictures of any depth and kind, with 8 bits a sample and without invisible parts.

use std::io::Cursor;

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use png::{ColorType, DecodingError, Limits, Reader, Transformations};

use super::{MAX_DECODED_BYTES, PictureError, cut, misfit, refused};

/// The chunk that ends a PNG.
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// A PNG whose header has been read.
pub(super) struct Png(Reader<Cursor<Vec<u8>>>);

impl Png {
    /// Reads the chunks before the pixels.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, PictureError> {
        if bytes.get(12..16) == Some(b"CgBI") {
            return Err(refused(
                "PNG in the form that Apple's tools make for iOS apps (CgBI) is not supported",
            ));
        }
        let limits = Limits {
            bytes: MAX_DECODED_BYTES as usize,
        };
        // Some files lack the end, which adds nothing to the pixels. The decoder waits for it.
        let bytes = Cursor::new([bytes, END].concat());
        let mut decoder = png::Decoder::new_with_limits(bytes, limits);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.read_info().map(Self).map_err(reason)
    }

    pub(super) fn dimensions(&self) -> (u32, u32) {
        let info = self.0.info();
        (info.width, info.height)
    }

    /// Bytes that decoding takes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.0
            .output_buffer_size()
            .map_or(u64::MAX, |bytes| bytes as u64)
    }

    /// Decodes the picture. It is not turned: the reference of the type `OrientationCorrection` says that a PNG has no EXIF.
    pub(super) fn decode(mut self) -> Result<DynamicImage, PictureError> {
        let (width, height) = self.dimensions();
        let mut pixels = vec![0; self.memory_bytes() as usize];
        self.0.next_frame(&mut pixels).map_err(reason)?;
        let picture = match self.0.output_color_type().0 {
            ColorType::Grayscale => {
                GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
            }
            ColorType::GrayscaleAlpha => {
                on_white(2, &mut pixels);
                GrayAlphaImage::from_raw(width, height, pixels).map(DynamicImage::ImageLumaA8)
            }
            ColorType::Rgba => {
                on_white(4, &mut pixels);
                RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8)
            }
            ColorType::Rgb | ColorType::Indexed => {
                RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
            }
        };
        picture.ok_or_else(misfit)
    }
}

/// Puts pixels of so many bytes, of which the last says how opaque they are, on white, as a page does. What is under
/// nothing may be of any colour.
fn on_white(bytes: usize, pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(bytes) {
        if let [samples @ .., alpha] = pixel {
            for sample in samples {
                let missing = u16::from(255 - *sample) * u16::from(*alpha);
                *sample = 255 - ((missing + 127) / 255) as u8;
            }
            *alpha = 255;
        }
    }
}

fn reason(error: DecodingError) -> PictureError {
    match error {
        DecodingError::LimitsExceeded => PictureError::Memory,
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => cut(),
        error => refused(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_is_white_whatever_colour_it_hides() {
        let mut pixels = [10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 255, 51];
        on_white(4, &mut pixels);
        assert_eq!(
            pixels,
            [10, 20, 30, 255, 255, 255, 255, 255, 204, 204, 255, 255]
        );
        let mut pixels = [100, 0, 100, 255];
        on_white(2, &mut pixels);
        assert_eq!(pixels, [255, 255, 100, 255]);
    }
}
