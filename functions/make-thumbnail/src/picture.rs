//! Pictures, and what is made of them.

use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage, RgbaImage};

/// The longer side of a thumbnail, in pixels: a tile of the gallery on a screen with two pixels a
/// point.
pub const SIDE: u32 = 480;

/// The largest file that is read. Rekognition labels no larger picture in a bucket than 15 MB.
/// <https://docs.aws.amazon.com/rekognition/latest/dg/limits.html>
pub const MAX_FILE_BYTES: u64 = 15 * 1024 * 1024;

/// The most that the pixels of a picture may take: 67 megapixels in colour. A progressive JPEG takes
/// three times as much while it is decoded, which the function's memory has to be enough for.
const MAX_DECODED_BYTES: u64 = 200_000_000;

/// Of a JPEG of this quality, half is of what no eye sees on a tile.
const QUALITY: u8 = 80;

/// Stands for a picture of which no thumbnail can be made.
pub const PLACEHOLDER: &[u8] = include_bytes!("placeholder.svg");

/// Why no thumbnail can be made of a picture. Another try will not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file is too large")]
    File,
    /// Its pixels take too much memory.
    #[error("the picture has too many pixels")]
    Pixels,
    /// It is damaged, or neither a JPEG nor a PNG.
    #[error("the file is not a readable JPEG or PNG")]
    Format,
}

/// A thumbnail of a picture: a JPEG, upright as the picture's EXIF orientation says, on white where
/// the picture is transparent. A picture that is smaller stays as small.
///
/// # Errors
/// None can be made. The size is looked at before anything is decoded.
pub fn thumbnail(file: &[u8]) -> Result<Vec<u8>, Unreadable> {
    // A decoder may panic on a hostile file. That must not fail the record, which would come again.
    let made = panic::catch_unwind(AssertUnwindSafe(|| make(file)));
    made.unwrap_or(Err(Unreadable::Format))
}

fn make(file: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let reader = ImageReader::new(Cursor::new(file));
    let reader = reader.with_guessed_format().map_err(unreadable)?;
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(Unreadable::Pixels);
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    decoder.set_limits(limits).map_err(|_| Unreadable::Pixels)?;
    let orientation = decoder.orientation().map_err(unreadable)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    let mut small = if picture.width().max(picture.height()) > SIDE {
        picture.thumbnail(SIDE, SIDE)
    } else {
        picture
    };
    small.apply_orientation(orientation);
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    let encoded = on_white(&small.into_rgba8()).write_with_encoder(encoder);
    encoded.map_err(unreadable)?;
    Ok(jpeg)
}

fn unreadable<E>(_: E) -> Unreadable {
    Unreadable::Format
}

/// The picture as a page shows it. JPEG knows no transparency.
fn on_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [colour @ .., alpha] = picture.get_pixel(x, y).0;
        let alpha = u32::from(alpha);
        let over_white = |sample| ((u32::from(sample) * alpha + 255 * (255 - alpha)) / 255) as u8;
        image::Rgb(colour.map(over_white))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder, ImageFormat, Rgba};

    const PHOTO: &[u8] = include_bytes!("../../../assets/sample.jpg");

    fn read(jpeg: &[u8]) -> RgbImage {
        assert_eq!(image::guess_format(jpeg).unwrap(), ImageFormat::Jpeg);
        image::load_from_memory(jpeg).unwrap().into_rgb8()
    }

    fn png(picture: &RgbaImage) -> Vec<u8> {
        let mut file = Vec::new();
        let picture = DynamicImage::from(picture.clone());
        picture
            .write_to(&mut Cursor::new(&mut file), ImageFormat::Png)
            .unwrap();
        file
    }

    /// A JPEG, half red and half blue, with this EXIF orientation.
    fn turned(orientation: u8) -> Vec<u8> {
        let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let halves = RgbImage::from_fn(600, 300, |x, _| match x {
            0..300 => image::Rgb([255, 0, 0]),
            _ => image::Rgb([0, 0, 255]),
        });
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 90);
        encoder.set_exif_metadata(exif).unwrap();
        halves.write_with_encoder(encoder).unwrap();
        file
    }

    #[test]
    fn a_photo_gets_small() {
        let photo = image::load_from_memory(PHOTO).unwrap();
        let large = photo.resize_exact(1800, 1200, image::imageops::FilterType::Triangle);
        let jpeg = thumbnail(&png(&large.into_rgba8())).unwrap();
        assert_eq!(read(&jpeg).dimensions(), (SIDE, 320));
        assert!(jpeg.len() < 60_000, "{} bytes", jpeg.len());
    }

    #[test]
    fn what_is_small_stays_as_small() {
        let dot = RgbaImage::from_pixel(3, 2, Rgba([10, 200, 10, 255]));
        assert_eq!(read(&thumbnail(&png(&dot)).unwrap()).dimensions(), (3, 2));
    }

    #[test]
    fn a_photo_stands_upright() {
        for (orientation, size, red_is_at) in [
            (1, (480, 240), (10, 120)),
            (3, (480, 240), (470, 120)),
            (6, (240, 480), (120, 10)),
            (8, (240, 480), (120, 470)),
        ] {
            let small = read(&thumbnail(&turned(orientation)).unwrap());
            assert_eq!(small.dimensions(), size, "{orientation}");
            let [red, _, blue] = small.get_pixel(red_is_at.0, red_is_at.1).0;
            assert!(red > 200 && blue < 50, "{orientation}");
        }
    }

    #[test]
    fn what_is_transparent_is_white() {
        let picture = RgbaImage::from_pixel(20, 20, Rgba([0, 0, 0, 0]));
        let small = read(&thumbnail(&png(&picture)).unwrap());
        assert!(small.get_pixel(10, 10).0.iter().all(|sample| *sample > 250));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let whole = thumbnail(PHOTO).unwrap();
        let mut animation = b"GIF89a".to_vec();
        animation.extend([0; 40]);
        for file in [&b""[..], b"text", &animation, &PHOTO[..20], &whole[..100]] {
            assert_eq!(thumbnail(file), Err(Unreadable::Format));
        }
    }

    /// Of 12 bytes for each megapixel, as a compressed picture of one colour is.
    #[test]
    fn a_picture_of_gigabytes_is_refused_before_it_is_decoded() {
        let mut file = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut file);
        let row = vec![0; 64 * 64 * 3];
        encoder
            .write_image(&row, 64, 64, image::ExtendedColorType::Rgb8)
            .unwrap();
        // The header says that it is larger. Its checksum follows it.
        file[16..24].copy_from_slice(&[0, 0, 0xc0, 0, 0, 0, 0xc0, 0]);
        let checksum = crc(&file[12..29]);
        file[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(thumbnail(&file), Err(Unreadable::Pixels));
    }

    /// PNG's checksum, bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
