use std::{io::Write, panic, sync::Mutex, thread};

use proptest::prelude::*;

use super::*;

const PLAIN: &[u8] = include_bytes!("../../tests/videos/plain.mp4");
const FRAGMENTED: &[u8] = include_bytes!("../../tests/videos/fragmented.mp4");
const AVI: &[u8] = include_bytes!("../../tests/videos/plain.avi");

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

fn is_near(picture: &RgbImage, (x, y): (u32, u32), colour: [u8; 3]) -> bool {
    let pixel = picture.get_pixel(x, y).0;
    pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 4)
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

#[test]
fn every_container_gives_the_same_pictures_twice_a_second() {
    for (name, bytes) in [
        ("plain", PLAIN),
        ("fragmented", FRAGMENTED),
        ("sound", include_bytes!("../../tests/videos/sound.mov")),
        ("full", include_bytes!("../../tests/videos/full.mp4")),
        ("avi", AVI),
    ] {
        let (metadata, frames) = sample(bytes).unwrap();
        let times: Vec<_> = frames.iter().map(|(millis, _)| *millis).collect();
        assert_eq!(times, [0, 500, 1000], "{name}");
        for (millis, picture) in &frames {
            assert_eq!(picture.dimensions(), (160, 96), "{name}");
            assert!(
                is_near(picture, (20, 48), RED) && is_near(picture, (140, 48), BLUE),
                "{name} at {millis} ms has {:?} and {:?}",
                picture.get_pixel(20, 48),
                picture.get_pixel(140, 48)
            );
        }
        let is_full = name == "full";
        let expected = Metadata {
            codec: "h264",
            duration_millis: 1200,
            format: if name == "avi" {
                "AVI (Audio Video Interleaved)"
            } else {
                "QuickTime / MOV"
            },
            frame_rate: 10.0,
            frame_height: 96,
            frame_width: 160,
            color_range: if is_full {
                ColourRange::Full
            } else {
                ColourRange::Limited
            },
        };
        assert_eq!(metadata, expected, "{name}");
    }
}

#[test]
fn a_video_is_upright() {
    let (metadata, frames) = sample(include_bytes!("../../tests/videos/turned.mp4")).unwrap();
    let (_, picture) = &frames[0];
    assert_eq!(picture.dimensions(), (96, 160));
    assert!(is_near(picture, (48, 20), RED) && is_near(picture, (48, 140), BLUE));
    assert_eq!((metadata.frame_width, metadata.frame_height), (160, 96));
}

#[test]
fn other_codecs_are_named() {
    for (bytes, codec) in [
        (&include_bytes!("../../tests/videos/h265.mp4")[..], "H.265"),
        (include_bytes!("../../tests/videos/mpeg4.avi"), "FMP4"),
    ] {
        let refused = sample(bytes).unwrap_err();
        assert!(matches!(refused, VideoError::Codec(_)), "{refused}");
        assert!(refused.to_string().contains(codec), "{refused}");
    }
}

#[test]
fn what_is_no_video_is_refused() {
    for bytes in [
        &b""[..],
        b"not a video at all",
        b"RIFF\x04\0\0\0AVI ",
        b"RIFF\xff\xff\xff\xffAVI LIST",
        b"\0\0\0\x14ftypisom\0\0\0\0isom",
        b"\0\0\0\x08free\0\0\0\x08moov",
    ] {
        let refused = sample(bytes).unwrap_err();
        assert!(
            matches!(refused, VideoError::Container(_) | VideoError::Empty),
            "{}: {refused}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_video_cut_off_anywhere_is_an_error() {
    for bytes in [PLAIN, FRAGMENTED, AVI] {
        let (_, whole) = sample(bytes).unwrap();
        for end in (0..bytes.len()).step_by(7) {
            // Where only the index at the end is missing, all frames may still be there; never are there others.
            let cut = bytes[..end].to_vec();
            if let Some(Ok((_, frames))) = contained(move || sample(&cut)) {
                assert!(
                    frames.iter().all(|frame| whole.contains(frame)),
                    "{end} of {}",
                    bytes.len()
                );
            }
        }
    }
}

/// What a thread returns, or `None` if it panics, as a job's may.
fn contained<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    /// Tests run in parallel, and there is one hook for all of them.
    static QUIET: Mutex<()> = Mutex::new(());
    let _quiet = QUIET.lock();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = thread::spawn(run).join().ok();
    panic::set_hook(hook);
    result
}

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

#[test]
fn announced_numbers_are_checked_before_memory_is_taken() {
    // Every sample has one byte, and there are four thousand million of them.
    let mut samples = with_number(PLAIN, b"stsz", 4, 1);
    samples = with_number(&samples, b"stsz", 8, u32::MAX);
    let fragment = with_number(FRAGMENTED, b"trun", 4, u32::MAX);
    for bytes in [samples, fragment] {
        let refused = sample(&bytes).unwrap_err();
        assert!(matches!(refused, VideoError::Limit(_)), "{refused}");
    }
    let long = with_number(PLAIN, b"mdhd", 16, u32::MAX);
    assert!(matches!(sample(&long).unwrap_err(), VideoError::Limit(_)));
    let clock = with_number(PLAIN, b"mdhd", 12, 0);
    assert!(matches!(
        sample(&clock).unwrap_err(),
        VideoError::Container(_)
    ));
}

#[test]
fn many_samples_of_sound_are_no_matter() {
    let sound = include_bytes!("../../tests/videos/sound.mov");
    let count = sound.windows(4).rposition(|four| four == b"stsz").unwrap() + 4 + 8;
    let mut bytes = sound.to_vec();
    bytes[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(sample(&bytes).unwrap().1.len(), 3);
}

#[test]
fn a_long_video_is_sampled_less_often() {
    let video = |minutes: u64| Video {
        format: "",
        duration_millis: minutes * 60_000,
        rotation: Rotation::None,
        framing: Framing::StartCodes,
        parameter_sets: vec![],
        frames: (0..minutes * 600)
            .map(|index| Frame {
                offset: 0,
                bytes: 0,
                millis: index * 100,
            })
            .collect(),
    };
    let wanted = |minutes| {
        video(minutes)
            .wanted()
            .into_iter()
            .filter(|wanted| *wanted)
            .count()
    };
    assert_eq!(wanted(1), 120);
    assert_eq!(wanted(60), 7200);
    assert_eq!(wanted(360), 7200);
}

#[test]
fn frames_are_chosen_by_the_time_they_are_shown() {
    let frame = |millis| Frame {
        offset: 0,
        bytes: 0,
        millis,
    };
    let video = Video {
        format: "",
        duration_millis: 1600,
        rotation: Rotation::None,
        framing: Framing::StartCodes,
        parameter_sets: vec![],
        // Decoded in another order than shown, and with a gap.
        frames: [0, 480, 520, 500, 1600].map(frame).to_vec(),
    };
    assert_eq!(video.wanted(), [true, false, false, true, true]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_does_no_harm(which in 0..3_usize, places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = [PLAIN, FRAGMENTED, AVI][which].to_vec();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        // Any outcome is right that is one.
        let _ = contained(move || sample(&bytes).map(drop));
    }
}
