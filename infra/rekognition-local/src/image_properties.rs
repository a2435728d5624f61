//! The feature IMAGE_PROPERTIES: dominant colours and quality of a picture, its foreground and its background.
//!
//! The API reference says what the numbers mean, not how they are computed. Here a colour is the nearest of CSS's named
//! ones, as it is in Rekognition's published responses; brightness is the mean and contrast the standard deviation of the
//! luma, and sharpness the strength of its fine detail. The numbers can be compared with each other, not with AWS's.

use std::sync::LazyLock;

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::RgbImage;
use serde::Serialize;

use crate::labels::BoundingBox;

/// The most pixels a side of the reduced picture that everything is computed from.
const MAX_SIDE: u32 = 256;

/// Percent of the pixels that a colour must have to dominate.
const MIN_PIXEL_PERCENT: f32 = 1.0;

/// The deviation of the Laplacian, in steps of luma, that is half sharp: that of a photo which is a little out of focus.
const HALF_SHARP: f32 = 10.0;

/// What a response says about a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageProperties {
    quality: Quality,
    dominant_colors: Vec<DominantColor>,
    /// Left out, as is the background, where no thing stands out or one fills the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    foreground: Option<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<Region>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    quality: Quality,
    dominant_colors: Vec<DominantColor>,
}

/// Each from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Quality {
    brightness: f32,
    sharpness: f32,
    /// Rekognition tells that of the whole picture only.
    #[serde(skip_serializing_if = "Option::is_none")]
    contrast: Option<f32>,
}

/// A colour that many pixels have.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DominantColor {
    red: u8,
    green: u8,
    blue: u8,
    hex_code: &'static str,
    #[serde(rename = "CSSColor")]
    css_color: &'static str,
    simplified_color: &'static str,
    pixel_percent: f32,
}

/// One of CSS's named colours.
struct NamedColor {
    name: &'static str,
    code: &'static str,
    simplified: &'static str,
    rgb: [u8; 3],
    oklab: [f32; 3],
}

static NAMED_COLORS: LazyLock<Vec<NamedColor>> =
    LazyLock::new(|| parse(include_str!("../data/colors.tsv")));

fn parse(table: &'static str) -> Vec<NamedColor> {
    let rows = table.lines().filter(|line| !line.starts_with("# "));
    rows.filter_map(|line| {
        let mut columns = line.split('\t');
        let (name, code, simplified) = (columns.next()?, columns.next()?, columns.next()?);
        let [_, red, green, blue] = u32::from_str_radix(code.strip_prefix('#')?, 16)
            .ok()?
            .to_be_bytes();
        let rgb = [red, green, blue];
        Some(NamedColor {
            name,
            code,
            simplified,
            rgb,
            oklab: oklab(rgb),
        })
    })
    .collect()
}

/// Björn Ottosson's colour space, in which distances are as people see them.
fn oklab(rgb: [u8; 3]) -> [f32; 3] {
    let [red, green, blue] = rgb.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let l = (0.412_221_46 * red + 0.536_332_55 * green + 0.051_445_995 * blue).cbrt();
    let m = (0.211_903_5 * red + 0.680_699_5 * green + 0.107_396_96 * blue).cbrt();
    let s = (0.088_302_46 * red + 0.281_718_85 * green + 0.629_978_7 * blue).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

/// A picture reduced to what its properties are computed from.
pub struct Palette {
    width: usize,
    height: usize,
    /// For each pixel, the nearest named colour.
    colors: Vec<usize>,
    /// For each pixel, from 0 to 255.
    lumas: Vec<f32>,
}

impl Palette {
    /// Reduces a picture.
    #[must_use]
    pub fn new(picture: &RgbImage) -> Self {
        let (width, height, pixels) = reduce(picture);
        let (pixels, _) = pixels.as_chunks::<3>();
        Self {
            width,
            height,
            colors: pixels.iter().map(|pixel| nearest(*pixel)).collect(),
            lumas: pixels
                .iter()
                .map(|pixel| {
                    let [red, green, blue] = pixel.map(f32::from);
                    0.299 * red + 0.587 * green + 0.114 * blue
                })
                .collect(),
        }
    }

    /// The properties of a picture in whose foreground these things are.
    #[must_use]
    pub fn properties(&self, foreground: &[BoundingBox], max_colors: usize) -> ImageProperties {
        let all: Vec<usize> = (0..self.colors.len()).collect();
        let (front, back): (Vec<usize>, Vec<usize>) = all.iter().partition(|pixel| {
            foreground
                .iter()
                .any(|bounds| self.is_inside(**pixel, *bounds))
        });
        let region = |pixels: &[usize]| {
            (!front.is_empty() && !back.is_empty()).then(|| Region {
                quality: self.quality(pixels),
                dominant_colors: self.colors_of(pixels, max_colors),
            })
        };
        let contrast =
            Some((deviation(all.iter().map(|pixel| self.lumas[*pixel])) / 1.275).min(100.0));
        ImageProperties {
            quality: Quality {
                contrast,
                ..self.quality(&all)
            },
            dominant_colors: self.colors_of(&all, max_colors),
            foreground: region(&front),
            background: region(&back),
        }
    }

    /// The dominant colours of a part of the picture, the most frequent first.
    #[must_use]
    pub fn dominant_colors(&self, bounds: BoundingBox, max_colors: usize) -> Vec<DominantColor> {
        let inside: Vec<usize> = (0..self.colors.len())
            .filter(|pixel| self.is_inside(*pixel, bounds))
            .collect();
        self.colors_of(&inside, max_colors)
    }

    fn is_inside(&self, pixel: usize, bounds: BoundingBox) -> bool {
        let x = ((pixel % self.width) as f32 + 0.5) / self.width as f32;
        let y = ((pixel / self.width) as f32 + 0.5) / self.height as f32;
        (bounds.left..bounds.left + bounds.width).contains(&x)
            && (bounds.top..bounds.top + bounds.height).contains(&y)
    }

    fn colors_of(&self, pixels: &[usize], max_colors: usize) -> Vec<DominantColor> {
        let mut counts = vec![0_usize; NAMED_COLORS.len()];
        for pixel in pixels {
            counts[self.colors[*pixel]] += 1;
        }
        let mut colors: Vec<_> = NAMED_COLORS
            .iter()
            .zip(counts)
            .map(|(color, count)| (color, 100.0 * count as f32 / pixels.len() as f32))
            .filter(|(_, percent)| *percent >= MIN_PIXEL_PERCENT)
            .collect();
        colors.sort_by(|a, b| b.1.total_cmp(&a.1));
        let colors = colors.into_iter().take(max_colors);
        colors
            .map(|(color, pixel_percent)| DominantColor {
                red: color.rgb[0],
                green: color.rgb[1],
                blue: color.rgb[2],
                hex_code: color.code,
                css_color: color.name,
                simplified_color: color.simplified,
                pixel_percent,
            })
            .collect()
    }

    /// The quality of some pixels, without their contrast.
    fn quality(&self, pixels: &[usize]) -> Quality {
        let lumas = pixels.iter().map(|pixel| self.lumas[*pixel]);
        let detail = deviation(pixels.iter().filter_map(|pixel| self.laplacian(*pixel)));
        Quality {
            brightness: (mean(lumas) / 2.55).min(100.0),
            sharpness: 100.0 * detail / (detail + HALF_SHARP),
            contrast: None,
        }
    }

    /// How a pixel's luma differs from those around it. The sides of the picture have not all of them.
    fn laplacian(&self, pixel: usize) -> Option<f32> {
        let (x, y) = (pixel % self.width, pixel / self.width);
        let has_neighbours = x > 0 && y > 0 && x + 1 < self.width && y + 1 < self.height;
        has_neighbours.then(|| {
            let around = [pixel - 1, pixel + 1, pixel - self.width, pixel + self.width];
            around.map(|at| self.lumas[at]).iter().sum::<f32>() - 4.0 * self.lumas[pixel]
        })
    }
}

/// Width, height and pixels of the picture, not larger than [`MAX_SIDE`].
#[expect(clippy::expect_used, reason = "the picture has the pixels it says")]
fn reduce(picture: &RgbImage) -> (usize, usize, Vec<u8>) {
    let (width, height) = picture.dimensions();
    let longer = width.max(height).max(MAX_SIDE);
    let reduced =
        |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longer)).max(1) as u32;
    let (to_width, to_height) = (reduced(width), reduced(height));
    let source =
        ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).expect("a whole picture");
    let mut image = Image::new(to_width, to_height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    Resizer::new()
        .resize(&source, &mut image, &options)
        .expect("equal pixel types");
    (to_width as usize, to_height as usize, image.into_vec())
}

fn nearest(rgb: [u8; 3]) -> usize {
    let [l, a, b] = oklab(rgb);
    let distance = |color: &NamedColor| {
        let [other_l, other_a, other_b] = color.oklab;
        (l - other_l).powi(2) + (a - other_a).powi(2) + (b - other_b).powi(2)
    };
    let mut nearest = (0, f32::INFINITY);
    for (index, color) in NAMED_COLORS.iter().enumerate() {
        let distance = distance(color);
        if distance < nearest.1 {
            nearest = (index, distance);
        }
    }
    nearest.0
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0_f64, 0.0_f64), |(sum, count), value| {
        (sum + f64::from(value), count + 1.0)
    });
    if count > 0.0 {
        (sum / count) as f32
    } else {
        0.0
    }
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let mean = mean(values.clone());
    self::mean(values.map(|value| (value - mean).powi(2))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVERYTHING: BoundingBox = BoundingBox {
        left: 0.0,
        top: 0.0,
        width: 1.0,
        height: 1.0,
    };
    const LEFT_HALF: BoundingBox = BoundingBox {
        width: 0.5,
        ..EVERYTHING
    };

    /// Left half red, right half navy.
    fn halves() -> RgbImage {
        RgbImage::from_fn(200, 100, |x, _| {
            image::Rgb(if x < 100 { [255, 0, 0] } else { [0, 0, 128] })
        })
    }

    #[test]
    fn the_table_has_each_colour_once_and_twelve_simplified_ones() {
        let mut simplified: Vec<_> = NAMED_COLORS.iter().map(|color| color.simplified).collect();
        simplified.sort_unstable();
        simplified.dedup();
        assert_eq!((NAMED_COLORS.len(), simplified.len()), (138, 12));
        for (index, color) in NAMED_COLORS.iter().enumerate() {
            assert_eq!(nearest(color.rgb), index, "{}", color.name);
        }
    }

    #[test]
    fn properties_have_the_members_of_the_reference() {
        let properties = Palette::new(&halves()).properties(&[LEFT_HALF], 10);
        let color = |name: &str, code: &str, simplified: &str, rgb: [u8; 3], percent: f32| {
            json!({
                "Red": rgb[0], "Green": rgb[1], "Blue": rgb[2], "HexCode": code,
                "CSSColor": name, "SimplifiedColor": simplified, "PixelPercent": percent,
            })
        };
        let (red, navy) = (
            |percent| color("red", "#ff0000", "red", [255, 0, 0], percent),
            |percent| color("navy", "#000080", "blue", [0, 0, 128], percent),
        );
        let json = serde_json::to_value(&properties).unwrap();
        assert_eq!(json["DominantColors"], json!([navy(50.0), red(50.0)]));
        assert_eq!(json["Foreground"]["DominantColors"], json!([red(100.0)]));
        assert_eq!(json["Background"]["DominantColors"], json!([navy(100.0)]));
        let brightness =
            |region: &serde_json::Value| region["Quality"]["Brightness"].as_f64().unwrap();
        assert!(brightness(&json["Foreground"]) > brightness(&json));
        assert!(brightness(&json) > brightness(&json["Background"]));
        assert!(json["Quality"]["Contrast"].is_number());
        assert!(json["Foreground"]["Quality"]["Contrast"].is_null());
    }

    #[test]
    fn without_foreground_or_background_there_is_neither() {
        let palette = Palette::new(&halves());
        for foreground in [vec![], vec![EVERYTHING]] {
            let properties = palette.properties(&foreground, 10);
            assert!(properties.foreground.is_none() && properties.background.is_none());
        }
    }

    #[test]
    fn as_many_colours_as_wanted_of_a_part() {
        let palette = Palette::new(&halves());
        let names = |bounds, most| {
            let colors = palette.dominant_colors(bounds, most);
            colors
                .iter()
                .map(|color| color.css_color)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(LEFT_HALF, 10), ["red"]);
        assert_eq!(names(EVERYTHING, 1), ["navy"]);
        assert!(names(EVERYTHING, 0).is_empty());
    }

    #[test]
    fn blur_is_less_sharp_and_grey_has_no_contrast() {
        let sharp = RgbImage::from_fn(200, 200, |x, y| {
            image::Rgb([if (x / 4 + y / 4) % 2 == 0 { 200 } else { 50 }; 3])
        });
        let blurred = image::imageops::blur(&sharp, 3.0);
        let quality = |picture: &RgbImage| Palette::new(picture).properties(&[], 10).quality;
        assert!(quality(&sharp).sharpness > 70.0 && quality(&blurred).sharpness < 40.0);
        assert!(quality(&sharp).contrast > quality(&blurred).contrast);
        let grey = quality(&RgbImage::from_pixel(90, 4000, image::Rgb([128; 3])));
        assert_eq!((grey.sharpness, grey.contrast), (0.0, Some(0.0)));
        assert!((grey.brightness - 50.2).abs() < 0.1);
    }
}
