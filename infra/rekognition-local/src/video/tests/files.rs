//! Files: what they are, and what is refused.

use proptest::prelude::*;

use super::*;

#[test]
fn every_container_gives_the_same_pictures_twice_a_second() {
    for (name, bytes) in [
        ("plain", PLAIN),
        ("fragmented", FRAGMENTED),
        ("sound", include_bytes!("../../../tests/videos/sound.mov")),
        ("full", include_bytes!("../../../tests/videos/full.mp4")),
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
            codec: "h264".into(),
            duration_millis: 1200,
            format: if name == "avi" {
                "AVI (Audio Video Interleaved)"
            } else {
                "QuickTime / MOV"
            }
            .into(),
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
    let (metadata, frames) = sample(include_bytes!("../../../tests/videos/turned.mp4")).unwrap();
    let (_, picture) = &frames[0];
    assert_eq!(picture.dimensions(), (96, 160));
    assert!(is_near(picture, (48, 20), RED) && is_near(picture, (48, 140), BLUE));
    assert_eq!((metadata.frame_width, metadata.frame_height), (160, 96));
}

#[test]
fn other_codecs_are_named() {
    for (bytes, codec) in [
        (
            &include_bytes!("../../../tests/videos/h265.mp4")[..],
            "H.265",
        ),
        (include_bytes!("../../../tests/videos/mpeg4.avi"), "FMP4"),
    ] {
        let refused = refusal(bytes);
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
        let refused = refusal(bytes);
        assert!(
            matches!(refused, VideoError::Container(_) | VideoError::NoVideo),
            "{}: {refused}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_video_cut_off_anywhere_is_an_error() {
    for bytes in [PLAIN, FRAGMENTED, AVI] {
        for end in (0..bytes.len()).step_by(7) {
            // Where only the end is missing, or a fragment, frames may still be there, and as they were.
            if let Ok((metadata, frames)) = sample(&bytes[..end]) {
                assert!(metadata.duration_millis <= 1200);
                for (millis, picture) in &frames {
                    shows_halves(*millis, picture);
                }
            }
        }
    }
}

#[test]
fn announced_numbers_are_checked_before_memory_is_taken() {
    // Every sample has one byte, and there are four thousand million of them.
    let mut samples = with_number(PLAIN, b"stsz", 4, 1);
    samples = with_number(&samples, b"stsz", 8, u32::MAX);
    let fragment = with_number(FRAGMENTED, b"trun", 4, u32::MAX);
    for bytes in [samples, fragment] {
        let refused = refusal(&bytes);
        assert!(matches!(refused, VideoError::LocalLimit(_)), "{refused}");
    }
    let long = with_number(&film().plain(), b"stts", 12, u32::MAX);
    assert!(matches!(refusal(&long), VideoError::Limit(_)));
    let clock = with_number(PLAIN, b"mdhd", 12, 0);
    assert!(matches!(refusal(&clock), VideoError::Container(_)));
}

#[test]
fn many_samples_of_sound_are_no_matter() {
    let sound = include_bytes!("../../../tests/videos/sound.mov");
    let count = sound.windows(4).rposition(|four| four == b"stsz").unwrap() + 4 + 8;
    let mut bytes = sound.to_vec();
    bytes[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(sample(&bytes).unwrap().1.len(), 3);
}

#[test]
fn other_containers_are_named() {
    for (bytes, name) in [
        (&b"\x1a\x45\xdf\xa3more"[..], "WebM or Matroska"),
        (b"FLV\x01\x05", "Flash Video"),
        (b"OggS\0", "Ogg"),
        (
            &[&b"G"[..], &[0; 187], b"G"].concat(),
            "MPEG transport stream",
        ),
        (b"RIFF\0\0\0\0WAVE", "RIFF, but not AVI"),
        (b"\0\0\0\x01\x67\x42", "a stream of frames"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"<!DOCTYPE html>", "text"),
        (b"", "empty"),
    ] {
        let refused = refusal(bytes).to_string();
        assert!(refused.contains(name), "{refused}");
    }
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
        let _ = sample(&bytes).map(drop);
    }
}
