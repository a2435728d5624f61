mod avis;
mod files;
mod film;
mod films;
mod moments;

use std::io::Write;

use super::*;
use film::{Film, entry};

const PLAIN: &[u8] = include_bytes!("../../../tests/videos/plain.mp4");
const FRAGMENTED: &[u8] = include_bytes!("../../../tests/videos/fragmented.mp4");
const AVI: &[u8] = include_bytes!("../../../tests/videos/plain.avi");

fn copy(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The metadata, and the times and frames in the order of the times.
fn sample(bytes: &[u8]) -> Result<(Metadata, Vec<(u64, RgbImage)>), VideoError> {
    let mut file = copy(bytes);
    let mut frames = Vec::new();
    let metadata = open(&mut file)?.sample(&mut file, |millis, picture| {
        frames.push((millis, picture.clone()));
    })?;
    frames.sort_by_key(|(millis, _)| *millis);
    Ok((metadata, frames))
}

/// Why a video is refused.
fn refusal(bytes: &[u8]) -> VideoError {
    match sample(bytes) {
        Err(error) => error,
        Ok((metadata, frames)) => panic!("{} frames of {metadata:?}", frames.len()),
    }
}

fn is_near(picture: &RgbImage, (x, y): (u32, u32), colour: [u8; 3]) -> bool {
    let pixel = picture.get_pixel(x, y).0;
    pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 4)
}

fn shows_halves(millis: u64, picture: &RgbImage) {
    assert!(
        is_near(picture, (20, 48), RED) && is_near(picture, (140, 48), BLUE),
        "at {millis} ms it has {:?} and {:?}",
        picture.get_pixel(20, 48),
        picture.get_pixel(140, 48)
    );
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// The place of a box's body, by its name.
fn body(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|four| four == name).unwrap() + 4
}

fn with_number(bytes: &[u8], name: &[u8; 4], place: usize, number: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = body(&bytes, name) + place;
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The frames of [`PLAIN`], in two groups of six that can be decoded apart.
fn film() -> Film {
    let mut file = copy(PLAIN);
    let video = open(&mut file).unwrap();
    let frames = video.frames.iter().map(|frame| {
        let at = frame.offset as usize;
        (PLAIN[at..at + frame.bytes as usize].to_vec(), 1)
    });
    let mut shifts = vec![0; video.frames.len()];
    for showing in &video.showings {
        let decoded = showing.frame as i32 * 100;
        shifts[showing.frame] = showing.millis as i32 - decoded;
    }
    Film {
        frames: frames.collect(),
        shifts,
        descriptions: vec![entry(b"avc1", &configuration())],
        sync: Some(vec![1, 7]),
        edits: vec![],
        matrix: [1 << 16, 0, 0, 1 << 16],
        media_duration: 1200,
        movie_clock: 600,
        has_type: true,
        has_compact_sizes: false,
        is_enabled: true,
        ends_with_zeros: false,
        tracks_before: vec![],
    }
}

/// The box `avcC` of [`PLAIN`].
fn configuration() -> Vec<u8> {
    let at = body(PLAIN, b"avcC");
    let size = u32::from_be_bytes(PLAIN[at - 8..at - 4].try_into().unwrap());
    PLAIN[at - 8..at - 8 + size as usize].to_vec()
}

/// That a video shows what [`PLAIN`] does.
fn shows_the_same(name: &str, bytes: &[u8]) {
    let (expected_metadata, expected) = sample(PLAIN).unwrap();
    let (metadata, frames) = sample(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(metadata, expected_metadata, "{name}");
    assert!(frames == expected, "{name}");
}
