use ::png::{BitDepth, ColorType, Encoder};
use proptest::prelude::*;

use super::*;

/// Files of `tests/pictures`: left half red, right half blue.
macro_rules! pictures {
    ($($name:literal),*) => {
        [$(($name, &include_bytes!(concat!("../../tests/pictures/", $name, ".jpg"))[..])),*]
    };
}

const PLAIN: &[u8] = include_bytes!("../../tests/pictures/plain.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/pictures/progressive.jpg");
const APART: &[u8] = include_bytes!("../../tests/pictures/apart-420.jpg");

/// The marker of the end, and that of a scan.
const END: [u8; 2] = [0xff, 0xd9];
const SCAN: [u8; 2] = [0xff, 0xda];

fn is_near(picture: &RgbImage, (x, y): (u32, u32), colour: [u8; 3]) -> bool {
    let pixel = picture.get_pixel(x, y).0;
    pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 10)
}

/// That the picture shows red on the left and blue on the right, up to its edges.
fn shows_halves(name: &str, bytes: &[u8]) {
    let picture = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(picture.dimensions(), (160, 90), "{name}");
    for y in [0, 45, 89] {
        for (x, colour) in [
            (0, [250, 0, 0]),
            (60, [250, 0, 0]),
            (100, [0, 0, 250]),
            (159, [0, 0, 250]),
        ] {
            assert!(
                is_near(&picture, (x, y), colour),
                "{name}: {:?} at {x}, {y}",
                picture.get_pixel(x, y)
            );
        }
    }
}

/// That a picture is refused, and why.
fn refused(bytes: &[u8]) -> String {
    match decode(bytes) {
        Err(PictureError::Format(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is decoded"),
    }
}

fn without_end(jpeg: &[u8]) -> &[u8] {
    jpeg.strip_suffix(&END).unwrap()
}

/// Where the data of the first scan begins.
fn data_of_scan(jpeg: &[u8]) -> usize {
    let at = jpeg.windows(2).position(|pair| pair == SCAN).unwrap() + 2;
    at + usize::from(u16::from_be_bytes([jpeg[at], jpeg[at + 1]]))
}

/// The JPEG with a segment behind its first bytes.
fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, body, &jpeg[2..]].concat()
}

/// EXIF: a TIFF header, then one directory with the single entry 0x0112 (orientation), a short.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

#[test]
fn every_kind_of_jpeg_shows_the_same() {
    for (name, bytes) in pictures![
        "plain",
        "restart",
        "progressive",
        "progressive-restart",
        "rgb",
        "apart-420",
        "apart-444",
        "apart-mixed",
        "apart-two",
        "sketch",
        "sampling-1x2",
        "sampling-4x1",
        "sampling-1x4",
        "sampling-4x2",
        "sampling-3x1",
        "cmyk"
    ] {
        shows_halves(name, bytes);
    }
    let grey = decode(include_bytes!("../../tests/pictures/grey.jpg")).unwrap();
    assert!(is_near(&grey, (10, 45), [75; 3]) && is_near(&grey, (150, 45), [28; 3]));
}

#[test]
fn what_is_behind_the_picture_is_no_part_of_it() {
    for jpeg in [PLAIN, PROGRESSIVE, APART] {
        for (name, tail) in [
            ("eight bytes", &b"DHAV\0\0\0\0"[..]),
            (
                "the start of a scan",
                b"\0\0\x18ftypmp42\xff\xda\0\x0c\x03\x01",
            ),
            (
                "a frame of another size",
                b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0",
            ),
            ("another picture", PROGRESSIVE),
            ("the start of another picture", &PLAIN[..400]),
            ("zeros", &[0; 5000]),
        ] {
            shows_halves(name, &[jpeg, tail].concat());
        }
    }
}

#[test]
fn the_end_may_be_missing_or_preceded_by_other_bytes() {
    for jpeg in [PLAIN, PROGRESSIVE, APART] {
        let whole = without_end(jpeg);
        for (name, end) in [
            ("nothing", &b""[..]),
            ("half a marker", b"\xff"),
            ("a reserved sector", &[0; 512]),
            ("erased memory", &[0xff; 512]),
            ("fill bytes", b"\xff\xff\xff\xff\xd9"),
            ("two bytes", b"\x12\x34\xff\xd9"),
            ("a restart", b"\xff\xd0\xff\xd9"),
        ] {
            shows_halves(name, &[whole, end].concat());
        }
        // What a phone writes behind the picture instead of its end.
        if jpeg == PLAIN {
            shows_halves(
                "a trailer",
                &[whole, b"\x00\x00\x01\x0a\xff\xa8SEFH\x6a\0\0\0SEFT"].concat(),
            );
        }
    }
}

#[test]
fn a_picture_that_is_cut_off_is_refused_whatever_follows() {
    for jpeg in [
        PLAIN,
        APART,
        include_bytes!("../../tests/pictures/restart.jpg"),
    ] {
        let start = data_of_scan(jpeg);
        let thumbnail = [b"Exif\0\0", PLAIN].concat();
        for cut in (start..jpeg.len() - 40).step_by(7) {
            for tail in [&b""[..], &END, &[0; 512], &[0xff; 512], PLAIN] {
                for whole in [jpeg, &with_segment(jpeg, 0xe1, &thumbnail)] {
                    let bytes = [&whole[..whole.len() - jpeg.len() + cut], tail].concat();
                    let reason = decode(&bytes).map(drop).unwrap_err().to_string();
                    assert!(
                        ["cut off", "ends in the middle", "damaged"]
                            .iter()
                            .any(|known| reason.contains(known)),
                        "{cut}: {reason}"
                    );
                }
            }
        }
    }
    // Of a progressive picture the last bits may be missing where the file has an end.
    for cut in 2..PROGRESSIVE.len() - 2 {
        refused(&PROGRESSIVE[..cut]);
    }
}

#[test]
fn a_jpeg_that_cannot_be_decoded_is_told_why() {
    let arithmetic = refused(include_bytes!("../../tests/pictures/arithmetic.jpg"));
    assert_eq!(arithmetic, "JPEG with arithmetic coding is not supported");
    let frame = |place: usize, value: u8| {
        let mut bytes = PLAIN.to_vec();
        let at = bytes
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        bytes[at + place] = value;
        bytes
    };
    assert_eq!(refused(&frame(4, 12)), "12-bit JPEG is not supported");
    assert_eq!(refused(&frame(1, 0xc3)), "lossless JPEG is not supported");
    assert!(refused(&frame(6, 0)).contains("DNL"));
    assert!(refused(&[&PLAIN[..2], &END].concat()).contains("ends in the middle"));
    // The first scan, with only the means of blocks, again and again.
    let start = PROGRESSIVE
        .windows(2)
        .position(|pair| pair == SCAN)
        .unwrap();
    let data = data_of_scan(PROGRESSIVE);
    let is_marker = |pair: &[u8]| pair[0] == 0xff && pair[1] != 0;
    let end = data + PROGRESSIVE[data..].windows(2).position(is_marker).unwrap();
    let scans = PROGRESSIVE[start..end].repeat(101);
    let many = [&PROGRESSIVE[..start], &scans, &END].concat();
    assert_eq!(refused(&many), "it has more than 100 scans");
}

#[test]
fn a_jpeg_is_decoded_upright() {
    for marker in [0xe1, 0xe2] {
        let turned = decode(&with_segment(PLAIN, marker, &exif(6))).unwrap();
        if marker == 0xe2 {
            assert_eq!(turned.dimensions(), (160, 90));
            continue;
        }
        // The camera was turned; the left half belongs at the top.
        assert_eq!(turned.dimensions(), (90, 160));
        assert!(is_near(&turned, (45, 10), [250, 0, 0]));
        assert!(is_near(&turned, (45, 150), [0, 0, 250]));
    }
    // Other segments of the same kind may come first.
    let with_xmp = with_segment(
        &with_segment(PLAIN, 0xe1, &exif(6)),
        0xe1,
        b"http://ns.adobe.com/xap/1.0/\0<x/>",
    );
    assert_eq!(decode(&with_xmp).unwrap().dimensions(), (90, 160));
}

#[test]
fn colours_are_what_libjpeg_takes_them_for() {
    use jpeg_decoder::ColorTransform as Transform;
    let transform = |ids: &[u8], is_jfif, adobe| super::jpeg::transform(ids, is_jfif, adobe);
    assert_eq!(transform(&[1], true, None), None);
    for (ids, is_jfif, adobe, expected) in [
        (&[1, 2, 3][..], true, None, Transform::YCbCr),
        (&[1, 2, 3], false, None, Transform::YCbCr),
        (&[1, 2, 3], false, Some(0), Transform::RGB),
        (&[1, 2, 3], true, Some(0), Transform::YCbCr),
        (&[1, 2, 3], false, Some(1), Transform::YCbCr),
        (b"RGB", false, None, Transform::RGB),
        (b"RGB", true, None, Transform::YCbCr),
        (&[0, 1, 2], false, None, Transform::YCbCr),
        (&[1, 2, 3, 4], false, Some(2), Transform::YCCK),
        (&[1, 2, 3, 4], false, Some(0), Transform::CMYK),
        (&[1, 2, 3, 4], false, None, Transform::CMYK),
    ] {
        assert_eq!(
            transform(ids, is_jfif, adobe),
            Some(expected),
            "{ids:?} {adobe:?}"
        );
    }
}

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
    encode(
        picture.dimensions(),
        ColorType::Rgb,
        BitDepth::Eight,
        picture,
    )
}

fn encode(
    (width, height): (u32, u32),
    color: ColorType,
    depth: BitDepth,
    samples: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn a_png_of_any_depth_shows_what_can_be_seen() {
    let deep: Vec<u8> = halves(160, 90).iter().flat_map(|it| [*it, 7]).collect();
    shows_halves(
        "16 bits",
        &encode((160, 90), ColorType::Rgb, BitDepth::Sixteen, &deep),
    );
    // Noise that is transparent.
    let mut seed = 1_u32;
    let hidden: Vec<u8> = (0..160 * 90)
        .flat_map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = seed.to_be_bytes();
            [a, b, c, 0]
        })
        .collect();
    let picture = decode(&encode(
        (160, 90),
        ColorType::Rgba,
        BitDepth::Eight,
        &hidden,
    ));
    assert!(picture.unwrap().pixels().all(|it| it.0 == [255; 3]));
    let grey = encode(
        (160, 90),
        ColorType::Grayscale,
        BitDepth::One,
        &[0xff; 20 * 90],
    );
    assert!(decode(&grey).unwrap().pixels().all(|it| it.0 == [255; 3]));
}

#[test]
fn a_png_needs_no_end_and_may_have_more() {
    let whole = png(&halves(160, 90));
    let without_end = &whole[..whole.len() - 12];
    for end in [&b""[..], b"\0\0\0\0IE", &whole[whole.len() - 12..], b"more"] {
        assert_eq!(
            decode(&[without_end, end].concat()).unwrap(),
            halves(160, 90),
            "{end:?}"
        );
    }
    let mut apple = whole.clone();
    apple.splice(8..8, *b"\0\0\0\x04CgBI\x50\0\x20\x06\x2b\xd5\xb3\x7f");
    assert!(refused(&apple).contains("CgBI"));
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
    let crc = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(matches!(
        decode(&bytes),
        Err(PictureError::Dimensions {
            width: 20_000,
            height: 80
        })
    ));
}

/// A JPEG that announces another size, and whose data does not matter.
fn sized(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let at = bytes
        .windows(2)
        .position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2]))
        .unwrap();
    bytes[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    bytes[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn memory_is_known_before_decoding() {
    let memory = |bytes: &[u8]| Encoded::open(bytes).map(|it| it.memory_bytes());
    assert_eq!(memory(&png(&halves(100, 80))).unwrap(), 100 * 80 * 3);
    // Samples of two by two pixels, in units of 16, and pixels of three bytes.
    let samples = 160 * 96 * 3 / 2;
    let pixels = 160 * 90 * 3;
    assert_eq!(memory(PLAIN).unwrap(), samples + pixels);
    assert_eq!(memory(PROGRESSIVE).unwrap(), 3 * samples + pixels);
    // The decoder reduces what is very large.
    let large = memory(&sized(PLAIN, 8000, 8000)).unwrap();
    assert_eq!(large, (8000 * 8000 * 3 / 2 + 8000 * 8000 * 3) / 4);
    // All sizes that AWS allows can be decoded, but for some that printers make.
    assert!(memory(&sized(PLAIN, 10_000, 10_000)).is_ok());
    assert!(memory(&sized(PROGRESSIVE, 10_000, 10_000)).is_ok());
}

#[test]
fn a_very_large_picture_is_reduced_in_its_proportions_and_upright() {
    let picture = decode(&png(&halves(4096, 100))).unwrap();
    assert_eq!(picture.dimensions(), (2048, 50));
    assert_eq!(
        decode(&png(&halves(2048, 100))).unwrap().dimensions(),
        (2048, 100)
    );
}

#[test]
fn other_formats_are_named() {
    for (bytes, reason) in [
        (&b""[..], "the file is empty"),
        (b"not an image", "it is text"),
        (b"GIF89a\x01\0\x01\0\0\0\0;", "it is GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "it is WebP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avif", "it is AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "it is a video"),
        (b"\x80\x81\x82", "no known format"),
        (&[0xff, 0xd8, 0xff], "ends in the middle"),
    ] {
        assert!(refused(bytes).contains(reason), "{}", refused(bytes));
    }
}

proptest! {
    #[test]
    fn a_png_is_whole_or_an_error(cut in 1_usize..2000) {
        let png = png(&halves(120, 90));
        if let Ok(picture) = decode(&png[..png.len().saturating_sub(cut)]) {
            prop_assert_eq!(picture, halves(120, 90));
        }
    }

    #[test]
    fn a_damaged_picture_does_no_harm(place in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..4_usize) {
        let png = png(&halves(120, 90));
        let mut bytes = [&png, PLAIN, PROGRESSIVE, APART][which].to_vec();
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
