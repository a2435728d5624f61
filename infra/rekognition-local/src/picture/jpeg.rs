//! JPEG: from a file as cameras write it to a picture, or the reason why there is none.
//!
//! Decoders fill what a file lacks with grey, and grey would be labelled as if it were the picture. So [`Jpeg::open`] walks
//! over the file's segments and writes the picture anew for the decoder: what follows the picture is left out (phones put a
//! film there), a missing end is added, and behind the data of each scan come bits that no Huffman code begins with. A
//! decoder that runs out of data meets them and fails.

use image::{
    DynamicImage, GrayImage, RgbImage,
    metadata::{Orientation, Orientation::NoTransforms},
};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::{ENOUGH_SIDE, PictureError, cut, misfit, refused};

/// The most scans. Encoders write ten or so, and each makes a decoder visit the whole picture.
const MAX_SCANS: usize = 100;

/// Ones behind the data of a scan, in JPEG's notation for the byte FF. Annex C of ITU-T T.81 reserves the code of all ones.
const NO_CODE: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = 0xff;
        index += 2;
    }
    bytes
};

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// A JPEG whose segments have been read.
pub(super) struct Jpeg {
    /// The picture alone, for the decoder.
    stream: Vec<u8>,
    frame: Frame,
    orientation: Orientation,
    transform: Option<ColorTransform>,
    /// Whether CMYK values say how much ink is missing, as Adobe's programs write them.
    is_inverted: bool,
}

/// What the start-of-frame segment says.
struct Frame {
    is_progressive: bool,
    width: u16,
    height: u16,
    components: Vec<Component>,
}

struct Component {
    id: u8,
    /// Samples across and down in each minimum coded unit.
    sampling: (u8, u8),
    /// A bit for each of the 64 coefficients that a scan has brought to full precision.
    complete: u64,
}

impl Jpeg {
    /// Reads the segments of a file that begins with [`START_OF_IMAGE`].
    pub(super) fn open(bytes: &[u8]) -> Result<Self, PictureError> {
        let mut walk = Walk {
            bytes,
            at: 2,
            stream: vec![0xff, START_OF_IMAGE],
            frame: None,
            scans: 0,
            orientation: NoTransforms,
            is_jfif: false,
            adobe_transform: None,
        };
        walk.run()?;
        let frame = walk
            .frame
            .ok_or_else(|| refused("it has no picture in it"))?;
        let ids: Vec<u8> = frame.components.iter().map(|it| it.id).collect();
        Ok(Self {
            transform: transform(&ids, walk.is_jfif, walk.adobe_transform),
            is_inverted: walk.adobe_transform.is_some(),
            orientation: walk.orientation,
            stream: walk.stream,
            frame,
        })
    }

    pub(super) fn dimensions(&self) -> (u32, u32) {
        (self.frame.width.into(), self.frame.height.into())
    }

    /// Bytes that decoding takes: samples, pixels and, until a progressive picture is complete, coefficients.
    pub(super) fn memory_bytes(&self) -> u64 {
        let (width, height) = self.dimensions();
        let samples = self.frame.samples();
        let pixels = u64::from(width) * u64::from(height) * self.frame.components.len() as u64;
        let shrink = u64::from(self.shrink());
        let coefficients = if self.frame.is_progressive {
            2 * samples
        } else {
            0
        };
        coefficients + (samples + pixels) / (shrink * shrink)
    }

    /// By what the decoder divides the sides of a very large picture.
    fn shrink(&self) -> u32 {
        let (width, height) = self.dimensions();
        [8, 4, 2]
            .into_iter()
            .find(|by| width.max(height).div_ceil(*by) >= ENOUGH_SIDE)
            .unwrap_or(1)
    }

    /// Decodes the picture, not turned yet, with [`Self::orientation`] to apply.
    pub(super) fn decode(&self) -> Result<DynamicImage, PictureError> {
        let mut decoder = Decoder::new(&self.stream[..]);
        if let Some(transform) = self.transform {
            decoder.set_color_transform(transform);
        }
        let side = |pixels: u16| u32::from(pixels).div_ceil(self.shrink()) as u16;
        decoder
            .scale(side(self.frame.width), side(self.frame.height))
            .map_err(reason)?;
        let pixels = decoder.decode().map_err(reason)?;
        let info = decoder
            .info()
            .ok_or_else(|| refused("it has no picture in it"))?;
        let (width, height) = (info.width.into(), info.height.into());
        let picture = match info.pixel_format {
            PixelFormat::L8 => {
                GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
            }
            PixelFormat::RGB24 => {
                RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
            }
            PixelFormat::CMYK32 => {
                RgbImage::from_raw(width, height, self.mix(&pixels)).map(DynamicImage::ImageRgb8)
            }
            PixelFormat::L16 => None,
        };
        picture.ok_or_else(misfit)
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Red, green and blue of the decoder's CMYK values, which say how much ink there is if the file's say how much is missing.
    fn mix(&self, pixels: &[u8]) -> Vec<u8> {
        let (pixels, _) = pixels.as_chunks::<4>();
        pixels
            .iter()
            .flat_map(|ink| {
                let [cyan, magenta, yellow, black] =
                    ink.map(|ink| if self.is_inverted { 255 - ink } else { ink });
                [cyan, magenta, yellow]
                    .map(|paper| (u16::from(paper) * u16::from(black)).div_ceil(255).min(255) as u8)
            })
            .collect()
    }
}

impl Frame {
    /// Reads a start-of-frame segment.
    fn parse(marker: u8, body: &[u8]) -> Result<Self, PictureError> {
        let kind = match marker {
            0xc0..=0xc2 => None,
            0xc3 => Some("lossless JPEG"),
            0xc5..=0xc7 | 0xcd..=0xcf => Some("hierarchical JPEG"),
            _ => Some("JPEG with arithmetic coding"),
        };
        if let Some(kind) = kind {
            return Err(unsupported(kind));
        }
        let [precision, h1, h0, w1, w0, count, components @ ..] = body else {
            return Err(cut());
        };
        if *precision != 8 {
            return Err(unsupported(&format!("{precision}-bit JPEG")));
        }
        let height = u16::from_be_bytes([*h1, *h0]);
        if height == 0 {
            return Err(unsupported("JPEG whose height follows the picture (DNL)"));
        }
        let components: Vec<_> = components
            .chunks_exact(3)
            .take((*count).into())
            .map(|component| Component {
                id: component[0],
                sampling: (component[1] >> 4, component[1] & 15),
                complete: 0,
            })
            .collect();
        if !matches!(components.len(), 1 | 3 | 4) || components.len() != usize::from(*count) {
            return Err(unsupported(&format!("JPEG with {count} colour components")));
        }
        if components
            .iter()
            .any(|it| !(1..=4).contains(&it.sampling.0) || !(1..=4).contains(&it.sampling.1))
        {
            return Err(refused("its sampling factors are not from 1 to 4"));
        }
        Ok(Self {
            is_progressive: marker == 0xc2,
            width: u16::from_be_bytes([*w1, *w0]),
            height,
            components,
        })
    }

    /// Samples of all components, in whole minimum coded units.
    fn samples(&self) -> u64 {
        let most = |side: fn(&Component) -> u8| self.components.iter().map(side).max().unwrap_or(1);
        let units = |pixels: u16, most: u8| u64::from(pixels.div_ceil(8 * u16::from(most)));
        let units = units(self.width, most(|it| it.sampling.0))
            * units(self.height, most(|it| it.sampling.1));
        let blocks: u64 = self
            .components
            .iter()
            .map(|it| u64::from(it.sampling.0) * u64::from(it.sampling.1))
            .sum();
        units * blocks * 64
    }

    /// Notes what a scan brings.
    fn add_scan(&mut self, header: &[u8]) -> Result<(), PictureError> {
        let [count, rest @ ..] = header else {
            return Err(cut());
        };
        let count = usize::from(*count);
        let Some([first, last, approximation, ..]) = rest.get(2 * count..) else {
            return Err(cut());
        };
        let brought = match (self.is_progressive, approximation & 15) {
            (false, _) => u64::MAX,
            (true, 0) => (*first..=*last.min(&63)).fold(0, |brought, index| brought | 1 << index),
            // A later scan brings the bits that lack.
            (true, _) => 0,
        };
        for selector in rest.chunks_exact(2).take(count) {
            for component in &mut self.components {
                if component.id == selector[0] {
                    if !self.is_progressive && component.complete != 0 {
                        return Err(refused("it is damaged: it has two scans of one component"));
                    }
                    component.complete |= brought;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing of the picture can follow.
    fn is_complete(&self) -> bool {
        self.components.iter().all(|it| it.complete == u64::MAX)
    }

    /// Whether each component has its first coefficient, the mean of each block. The standard demands no more.
    fn is_sketched(&self) -> bool {
        self.components.iter().all(|it| it.complete & 1 == 1)
    }
}

/// Goes over a file once.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    stream: Vec<u8>,
    frame: Option<Frame>,
    scans: usize,
    orientation: Orientation,
    is_jfif: bool,
    adobe_transform: Option<u8>,
}

impl Walk<'_> {
    /// Walks to the end of the picture: the end marker, or the last byte without which it would not be whole.
    fn run(&mut self) -> Result<(), PictureError> {
        loop {
            let marker = self.next_marker();
            let is_whole = self.frame.as_ref().is_some_and(Frame::is_complete);
            match marker {
                Some(END_OF_IMAGE) => {
                    if !self.frame.as_ref().is_some_and(Frame::is_sketched) {
                        return Err(cut());
                    }
                    break;
                }
                _ if is_whole => break,
                None => return Err(cut()),
                // Another picture begins.
                Some(START_OF_IMAGE) if self.frame.is_some() => return Err(cut()),
                Some(START_OF_IMAGE | 0x01 | 0xd0..=0xd7) => {}
                Some(marker) => self.segment(marker)?,
            }
        }
        self.stream.extend([0xff, END_OF_IMAGE]);
        Ok(())
    }

    /// The next marker. As all readers do, this passes over bytes that belong to nothing.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|byte| *byte == 0xff)?;
            let rest = &self.bytes[self.at..];
            let fill = rest.iter().position(|byte| *byte != 0xff)?;
            self.at += fill + 1;
            if rest[fill] != 0 {
                return Some(rest[fill]);
            }
        }
    }

    /// Reads a segment with a length, and what follows it if it begins a scan.
    fn segment(&mut self, marker: u8) -> Result<(), PictureError> {
        let rest = &self.bytes[self.at..];
        let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let body = rest.get(2..length).ok_or_else(cut)?;
        self.at += length;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                // Another picture begins in what ought to be a part of this one.
                if self.frame.is_some() {
                    return Err(cut());
                }
                self.frame = Some(Frame::parse(marker, body)?);
            }
            0xe0 if body.starts_with(b"JFIF\0") => self.is_jfif = true,
            // What EXIF says first counts.
            0xe1 if self.orientation == NoTransforms => {
                if let Some(exif) = body.strip_prefix(b"Exif\0\0") {
                    self.orientation = Orientation::from_exif_chunk(exif).unwrap_or(NoTransforms);
                }
            }
            0xee => {
                if let Some(adobe) = body.strip_prefix(b"Adobe") {
                    self.adobe_transform = adobe.get(6).copied();
                }
            }
            _ => {}
        }
        // The decoder has no use for what programs keep beside the picture.
        if !matches!(marker, 0xe0..=0xef | 0xfe) {
            self.stream.extend([0xff, marker]);
            self.stream.extend(&rest[..length]);
        }
        if marker == START_OF_SCAN {
            let frame = self
                .frame
                .as_mut()
                .ok_or_else(|| refused("a scan precedes the size of the picture"))?;
            frame.add_scan(body)?;
            self.scans += 1;
            if self.scans > MAX_SCANS {
                return Err(refused(&format!("it has more than {MAX_SCANS} scans")));
            }
            self.scan_data();
        }
        Ok(())
    }

    /// Copies the data of a scan, up to the next marker that does not belong to it.
    fn scan_data(&mut self) {
        let rest = &self.bytes[self.at..];
        let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
        let data = match rest.windows(2).position(ends) {
            Some(end) => &rest[..end],
            None => without_padding(rest),
        };
        self.at += data.len();
        self.stream.extend(data);
        self.stream.extend(NO_CODE);
    }
}

/// The data of a scan that goes on to the end of the file, without the bytes that fill what was never written: recorders
/// reserve space, and flash memory reads as ones.
fn without_padding(data: &[u8]) -> &[u8] {
    let ends_with = |filling: u8| {
        data.iter()
            .rev()
            .take_while(|byte| **byte == filling)
            .count()
    };
    // The last byte of the picture may be a zero, and one follows each FF.
    &data[..data.len() - ends_with(0xff).max(ends_with(0).saturating_sub(2))]
}

/// What the components are, by the rules of libjpeg, which everybody's files are made for.
pub(super) fn transform(ids: &[u8], is_jfif: bool, adobe: Option<u8>) -> Option<ColorTransform> {
    Some(match (ids, adobe) {
        ([_], _) => return None,
        ([_, _, _], _) if is_jfif => ColorTransform::YCbCr,
        ([_, _, _], Some(0)) | ([b'R', b'G', b'B'], None) => ColorTransform::RGB,
        ([_, _, _], _) => ColorTransform::YCbCr,
        (_, Some(2)) => ColorTransform::YCCK,
        _ => ColorTransform::CMYK,
    })
}

fn reason(error: jpeg_decoder::Error) -> PictureError {
    match error {
        jpeg_decoder::Error::Format(what) => refused(&format!("it is cut off or damaged: {what}")),
        // The stream has an end, which is not where it is read.
        jpeg_decoder::Error::Io(_) => cut(),
        error => refused(&error.to_string()),
    }
}

fn unsupported(what: &str) -> PictureError {
    refused(&format!("{what} is not supported"))
}
