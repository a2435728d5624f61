//! From a video's brightness and colour planes to an upright RGB picture.

use image::{RgbImage, imageops};
use rusty_h264_common::YuvFrame;

use super::h264::{Colour, ColourRange};

/// How a picture is turned before it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    None,
    Clockwise,
    HalfTurn,
    Counterclockwise,
}

impl Rotation {
    /// The nearest quarter turn to the upper left part of a track's matrix, row by row: it may also stretch, and be off by
    /// a bit. A mirror is left alone: players differ on it.
    pub(super) fn from_matrix([a, b, c, d]: [i32; 4]) -> Self {
        let [a, b, c, d] = [a, b, c, d].map(i128::from);
        if a * d - b * c <= 0 {
            return Self::None;
        }
        // Of a rotation, the cosine and the sine twice.
        let (cosine, sine) = (a + d, b - c);
        match (cosine.abs() >= sine.abs(), cosine > 0, sine > 0) {
            (true, true, _) => Self::None,
            (true, false, _) => Self::HalfTurn,
            (false, _, true) => Self::Clockwise,
            (false, _, false) => Self::Counterclockwise,
        }
    }

    pub(super) fn apply(self, picture: RgbImage) -> RgbImage {
        match self {
            Self::None => picture,
            Self::Clockwise => imageops::rotate90(&picture),
            Self::HalfTurn => imageops::rotate180(&picture),
            Self::Counterclockwise => imageops::rotate270(&picture),
        }
    }
}

/// Converts a picture; `None` if its planes are too small for it.
pub(super) fn to_rgb(frame: &YuvFrame, colour: Colour) -> Option<RgbImage> {
    let (width, height) = (frame.width, frame.height);
    let mut pixels = Vec::with_capacity(width * height * 3);
    let conversion = Conversion::new(colour);
    for row in 0..height {
        let brightness = frame.y.get(row * width..(row + 1) * width)?;
        // One value for two columns and two rows.
        let half = width / 2;
        let chroma = row / 2 * half..(row / 2 + 1) * half;
        let (blue, red) = (frame.u.get(chroma.clone())?, frame.v.get(chroma)?);
        for ((pair, blue), red) in brightness.chunks_exact(2).zip(blue).zip(red) {
            for value in pair {
                pixels.extend_from_slice(&conversion.apply(*value, *blue, *red));
            }
        }
    }
    RgbImage::from_vec(width.try_into().ok()?, height.try_into().ok()?, pixels)
}

/// The conversion in 1/65536, which is exact enough for eight bits.
struct Conversion {
    black: i32,
    brightness: i32,
    red_of_red: i32,
    green_of_blue: i32,
    green_of_red: i32,
    blue_of_blue: i32,
}

impl Conversion {
    fn new(Colour { range, red, blue }: Colour) -> Self {
        let (black, brightness, chroma) = match range {
            ColourRange::Full => (0, 1.0, 1.0),
            ColourRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let green = 1.0 - red - blue;
        let fixed = |factor: f32| (factor * 65536.0).round() as i32;
        Self {
            black,
            brightness: fixed(brightness),
            red_of_red: fixed(2.0 * (1.0 - red) * chroma),
            green_of_blue: fixed(2.0 * (1.0 - blue) * blue / green * chroma),
            green_of_red: fixed(2.0 * (1.0 - red) * red / green * chroma),
            blue_of_blue: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    fn apply(&self, brightness: u8, blue: u8, red: u8) -> [u8; 3] {
        let brightness = (i32::from(brightness) - self.black) * self.brightness + (1 << 15);
        let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
        [
            brightness + red * self.red_of_red,
            brightness - blue * self.green_of_blue - red * self.green_of_red,
            brightness + blue * self.blue_of_blue,
        ]
        .map(|value| (value >> 16).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BT601_FULL: Colour = Colour {
        range: ColourRange::Full,
        red: 0.299,
        blue: 0.114,
    };
    const BT709_LIMITED: Colour = Colour {
        range: ColourRange::Limited,
        red: 0.2126,
        blue: 0.0722,
    };

    fn near(colour: Colour, yuv: [u8; 3], rgb: [u8; 3]) {
        let [y, u, v] = yuv;
        let converted = Conversion::new(colour).apply(y, u, v);
        let is_near = converted.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(is_near, "{yuv:?} became {converted:?}, not {rgb:?}");
    }

    #[test]
    fn primary_colours_come_out_as_the_standards_say() {
        for (yuv, rgb) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([76, 85, 255], [254, 0, 0]),
        ] {
            near(BT601_FULL, yuv, rgb);
        }
        for (yuv, rgb) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([63, 102, 240], [255, 0, 0]),
            ([173, 42, 26], [0, 255, 0]),
            ([32, 240, 118], [0, 0, 255]),
        ] {
            near(BT709_LIMITED, yuv, rgb);
        }
    }

    #[test]
    fn a_picture_with_too_small_planes_is_none() {
        let frame = YuvFrame {
            width: 4,
            height: 2,
            y: vec![255; 8],
            u: vec![128; 2],
            v: vec![128; 2],
        };
        let picture = to_rgb(&frame, BT601_FULL).unwrap();
        assert_eq!(
            (picture.dimensions(), picture.into_raw()),
            ((4, 2), vec![255; 24])
        );
        for broken in [
            YuvFrame {
                y: vec![255; 7],
                ..frame.clone()
            },
            YuvFrame {
                v: vec![],
                ..frame.clone()
            },
            YuvFrame { width: 3, ..frame },
        ] {
            assert_eq!(to_rgb(&broken, BT601_FULL), None);
        }
    }

    #[test]
    fn a_picture_is_turned_as_the_track_says() {
        let one = 1 << 16;
        let picture = RgbImage::from_fn(2, 1, |x, _| image::Rgb([x as u8; 3]));
        for (matrix, expected) in [
            ([one, 0, 0, one], [0, 1]),
            ([-one, 0, 0, -one], [1, 0]),
            ([0, one, -one, 0], [0, 1]),
            ([0, -one, one, 0], [1, 0]),
        ] {
            let turned = Rotation::from_matrix(matrix).apply(picture.clone());
            let shades: Vec<u8> = turned.pixels().map(|pixel| pixel[0]).collect();
            assert_eq!(shades, expected, "{matrix:?}");
        }
        let turned = Rotation::from_matrix([0, one, -one, 0]).apply(picture);
        assert_eq!(turned.dimensions(), (1, 2));
    }
}
