mod film;

use std::io::Write;

use proptest::prelude::*;

use super::*;
use film::{Film, atom, entry, track};

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

fn showings(times: impl IntoIterator<Item = u64>) -> Vec<Showing> {
    let mut showings: Vec<_> = times
        .into_iter()
        .enumerate()
        .map(|(frame, millis)| Showing { millis, frame })
        .collect();
    showings.sort_by_key(|it| it.millis);
    showings
}

#[test]
fn a_long_video_is_sampled_less_often() {
    let wanted = |minutes: u64| {
        let frames = (minutes * 600) as usize;
        let times = showings((0..minutes * 600).map(|index| index * 100));
        let moments = Moments::new(&times, frames, minutes * 60_000);
        (0..frames).filter(|frame| moments.want(*frame)).count()
    };
    assert_eq!(wanted(1), 120);
    assert_eq!(wanted(60), 7200);
    assert_eq!(wanted(360), 7200);
}

#[test]
fn frames_are_chosen_by_the_time_they_are_shown() {
    // Decoded in another order than shown, and with a gap.
    let times = showings([0, 480, 520, 500, 1600]);
    let mut moments = Moments::new(&times, 5, 1700);
    let wanted: Vec<_> = (0..5).map(|frame| moments.want(frame)).collect();
    assert_eq!(wanted, [true, false, false, true, true]);
    // The next of the same half second takes the place of one that cannot be decoded.
    moments.missed(0);
    assert_eq!(moments.shown(1), [480]);
    assert!(moments.shown(2).is_empty());
    moments.missed(3);
    moments.missed(4);
    assert!(!moments.want(1));
}

#[test]
fn a_frame_may_be_shown_more_than_once() {
    let times: Vec<_> = [0, 100, 700, 1000]
        .map(|millis| Showing { millis, frame: 0 })
        .to_vec();
    assert_eq!(Moments::new(&times, 1, 1100).shown(0), [0, 700, 1000]);
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

#[test]
fn what_programs_write_differently_does_not_matter() {
    let film = film();
    shows_the_same("plain", &film.plain());
    let hvc1 = track(3, b"vide", &entry(b"hvc1", &[]));
    let sound = track(2, b"soun", &atom(b"mp4a", &[&[0; 28]]));
    let cover = track(1, b"vide", &entry(b"jpeg", &[]));
    let empty = track(4, b"vide", &entry(b"avc1", &configuration()));
    let untyped = Film {
        has_type: false,
        ..film.clone()
    };
    for (name, film) in [
        ("no type", untyped),
        (
            "compact sizes",
            Film {
                has_compact_sizes: true,
                ..film.clone()
            },
        ),
        (
            "zeros behind lists",
            Film {
                ends_with_zeros: true,
                ..film.clone()
            },
        ),
        (
            "zeros in the description",
            Film {
                descriptions: vec![entry(b"avc1", &[&configuration()[..], &[0; 4]].concat())],
                ..film.clone()
            },
        ),
        (
            "boxes before the configuration",
            Film {
                descriptions: vec![entry(
                    b"avc1",
                    &[atom(b"colr", &[b"nclc\0\x01\0\x01\0\x01"]), configuration()].concat(),
                )],
                ..film.clone()
            },
        ),
        (
            "length 0",
            Film {
                media_duration: 0,
                ..film.clone()
            },
        ),
        (
            "unknown length",
            Film {
                media_duration: u32::MAX,
                ..film.clone()
            },
        ),
        (
            "avc3",
            Film {
                descriptions: vec![entry(b"avc3", &configuration())],
                ..film.clone()
            },
        ),
        (
            "a cover first",
            Film {
                tracks_before: vec![cover.clone()],
                ..film.clone()
            },
        ),
        (
            "other tracks first",
            Film {
                tracks_before: vec![hvc1, sound, empty],
                ..film.clone()
            },
        ),
        (
            "disabled",
            Film {
                is_enabled: false,
                tracks_before: vec![cover],
                ..film.clone()
            },
        ),
        (
            "an edit of all",
            Film {
                edits: vec![(720, 0)],
                ..film.clone()
            },
        ),
        (
            "an edit to the end",
            Film {
                edits: vec![(0, 0)],
                ..film.clone()
            },
        ),
        (
            "a movie clock of its own",
            Film {
                edits: vec![(120_000, 0)],
                movie_clock: 100_000,
                ..film.clone()
            },
        ),
        (
            "stretched",
            Film {
                matrix: [2 << 16, 0, 0, 1 << 15],
                ..film.clone()
            },
        ),
    ] {
        shows_the_same(name, &film.plain());
        shows_the_same(name, &film.fragmented(6, false));
    }
    for (name, tail) in [
        ("five bytes", &b"\x01\x02\x03\x04\x05"[..]),
        ("text", b"a mark of the camera that made it"),
        ("zeros", &[0; 64]),
        ("a box that is cut off", b"\0\0\x10\0uuid1234"),
    ] {
        shows_the_same(name, &[&film.plain()[..], tail].concat());
        shows_the_same(name, &[&film.fragmented(4, true)[..], tail].concat());
    }
}

#[test]
fn parameter_sets_may_be_in_the_frames() {
    let mut film = film();
    let record = configuration();
    // Length of a set, then the set, twice, with a count before each.
    let (mut sets, mut at) = (Vec::new(), 8 + 5);
    for _ in 0..2 {
        let count = record[at] & 31;
        at += 1;
        for _ in 0..count {
            let size = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
            sets.extend(u32::try_from(size).unwrap().to_be_bytes());
            sets.extend(&record[at + 2..at + 2 + size]);
            at += 2 + size;
        }
    }
    for index in [0, 6] {
        film.frames[index].0 = [&sets[..], &film.frames[index].0].concat();
    }
    let without = atom(b"avcC", &[&record[8..13], &[0xe0, 0]]);
    film.descriptions = vec![entry(b"avc3", &without)];
    shows_the_same("avc3", &film.plain());
}

#[test]
fn fragments_are_read_however_they_say_where_their_frames_are() {
    let mut film = film();
    for (frames, is_terse) in [(12, false), (12, true), (6, false), (4, true), (1, true)] {
        shows_the_same("fragments", &film.fragmented(frames, is_terse));
    }
    // All are shown earlier than they are decoded.
    for shift in &mut film.shifts {
        *shift -= 50_000;
    }
    shows_the_same("negative", &film.fragmented(6, false));
    shows_the_same("negative, plain", &film.plain());
    // The recorder dies within the last fragment.
    let whole = film.fragmented(6, false);
    let (metadata, frames) = sample(&whole[..whole.len() - 20]).unwrap();
    assert!(
        frames.len() >= 2 && metadata.duration_millis >= 600 && metadata.duration_millis < 1200
    );
}

#[test]
fn an_edit_list_hides_what_was_trimmed_away() {
    let film = Film {
        edits: vec![(360, 600)],
        ..film()
    };
    for bytes in [film.plain(), film.fragmented(6, true)] {
        let (metadata, frames) = sample(&bytes).unwrap();
        let times: Vec<_> = frames.iter().map(|(millis, _)| *millis).collect();
        assert_eq!((metadata.duration_millis, times), (600, vec![0, 500]));
    }
}

#[test]
fn each_frame_is_decoded_by_its_own_description() {
    let full = include_bytes!("../../../tests/videos/full.mp4");
    let at = body(full, b"avcC");
    let size = u32::from_be_bytes(full[at - 8..at - 4].try_into().unwrap()) as usize;
    let mut file = copy(full);
    let others = open(&mut file).unwrap().frames;
    let mut film = film();
    film.descriptions
        .push(entry(b"avc1", &full[at - 8..at - 8 + size]));
    film.descriptions.push(entry(b"hvc1", &[]));
    for frame in &others {
        let at = frame.offset as usize;
        film.frames
            .push((full[at..at + frame.bytes as usize].to_vec(), 2));
    }
    film.frames.push((vec![0; 20], 3));
    film.frames.push((vec![0; 20], 9));
    film.shifts = [film.shifts.clone(), film.shifts.clone(), vec![0, 0]].concat();
    film.sync = None;
    let (metadata, frames) = sample(&film.plain()).unwrap();
    assert_eq!((metadata.duration_millis, frames.len()), (2600, 5));
    for (millis, picture) in &frames {
        shows_halves(*millis, picture);
    }
}

#[test]
fn decoding_goes_on_at_the_next_key_frame() {
    let film = film();
    let without = |frames: &[usize]| {
        let mut film = film.clone();
        for frame in frames {
            // A unit of a kind that means nothing.
            film.frames[*frame].0 = vec![0, 0, 0, 1, 0x1f];
        }
        film
    };
    let times = |film: &Film| -> Vec<u64> {
        let (_, frames) = sample(&film.plain()).unwrap();
        for (millis, picture) in &frames {
            shows_halves(*millis, picture);
        }
        frames.iter().map(|(millis, _)| *millis).collect()
    };
    // The first key frame: only the second group can be decoded.
    assert_eq!(times(&without(&[0])), [600, 1000]);
    // A frame to which others refer, and one that must be decoded itself.
    let mut damaged = film.clone();
    let half = damaged.frames[1].0.len() / 2;
    damaged.frames[1].0.truncate(half);
    assert_eq!(times(&damaged), [0, 600, 1000]);
    // The film begins in the middle of a group.
    let mut cut = film.clone();
    cut.frames.drain(..2);
    cut.shifts.drain(..2);
    cut.sync = Some(vec![5]);
    assert!(times(&cut).len() >= 2);
    // Nothing can be decoded, and it is told why.
    let refused = refusal(&without(&[0, 6]).plain()).to_string();
    assert!(
        refused.contains("of 12 frames can be decoded; frame 2 cannot: it refers to frames"),
        "{refused}"
    );
}

#[test]
fn an_open_group_begins_with_frames_that_are_left_out() {
    let open_group = include_bytes!("../../../tests/videos/open.mp4");
    let (_, whole) = sample(open_group).unwrap();
    let mut file = copy(open_group);
    let video = open(&mut file).unwrap();
    // Only from the second group on, whose first frames in time refer to the first group.
    let mut bytes = open_group.to_vec();
    for frame in &video.frames[..5] {
        let at = frame.offset as usize;
        let size = frame.bytes - 4;
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
        bytes[at + 4..at + frame.bytes as usize].fill(0x1f);
    }
    let (_, frames) = sample(&bytes).unwrap();
    assert!(!frames.is_empty());
    for (millis, picture) in &frames {
        assert!(*millis >= 500, "{millis}");
        shows_halves(*millis, picture);
    }
    assert!(whole.len() > frames.len());
}

#[test]
fn kinds_of_h264_that_cannot_be_decoded_are_named() {
    for (bytes, kind) in [
        (
            &include_bytes!("../../../tests/videos/high10.mp4")[..],
            "10-bit H.264",
        ),
        (
            include_bytes!("../../../tests/videos/422.mp4"),
            "4:2:2 H.264",
        ),
        (
            include_bytes!("../../../tests/videos/444.mp4"),
            "4:4:4 H.264",
        ),
        (
            include_bytes!("../../../tests/videos/interlaced.mp4"),
            "interlaced H.264 (MBAFF)",
        ),
    ] {
        let refused = refusal(bytes).to_string();
        assert_eq!(refused, format!("{kind} is not supported"));
    }
}

#[test]
fn a_file_without_a_film_is_told_so() {
    let film = film();
    let only = |tracks: Vec<Vec<u8>>| {
        let mut bytes = Film {
            tracks_before: tracks,
            ..film.clone()
        }
        .plain();
        // Not of video any more.
        let at = bytes.windows(4).rposition(|four| four == b"vide").unwrap();
        bytes[at..at + 4].copy_from_slice(b"meta");
        refusal(&bytes).to_string()
    };
    assert_eq!(only(vec![]), "the file has no video");
    let hvc1 = track(3, b"vide", &entry(b"hvc1", &[]));
    let cover = track(1, b"vide", &entry(b"jpeg", &[]));
    assert!(only(vec![cover, hvc1]).contains("H.265/HEVC (`hvc1`); only H.264"));
    let encrypted = track(3, b"vide", &entry(b"encv", &[]));
    assert_eq!(only(vec![encrypted]), "an encrypted video is not supported");
    let empty = track(4, b"vide", &entry(b"avc1", &configuration()));
    assert_eq!(only(vec![empty]), "the video has no frames");
    let mut bytes = film.plain();
    bytes.truncate(body(&bytes, b"moov") - 8);
    assert!(refusal(&bytes).to_string().contains("no index (`moov`)"));
}

#[test]
fn tables_that_disagree_are_an_error() {
    let bytes = film().plain();
    for (name, place, number, reason) in [
        (b"stts", 8, 3, "`stts` knows fewer frames"),
        (b"ctts", 8, 0, "`ctts` knows fewer frames"),
        (b"stco", 4, 3, "`stco` knows fewer frames"),
        (b"stsz", 8, 1000, "`stsz` is too short"),
        (b"stsc", 4, 1000, "`stsc` is too short"),
    ] {
        let refused = refusal(&with_number(&bytes, name, place, number)).to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    for name in [b"stts", b"stsz", b"stsc", b"stco", b"stsd"] {
        let mut bytes = bytes.clone();
        let at = body(&bytes, name);
        bytes[at - 4..at].copy_from_slice(b"free");
        let refused = refusal(&bytes).to_string();
        assert!(
            refused.contains(&format!("no `{}`", name.escape_ascii())),
            "{refused}"
        );
    }
}

/// The sizes of the lists of an AVI file.
fn with_sizes(bytes: &[u8], change: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for name in [&b"RIFF"[..], b"LIST"] {
        let found: Vec<_> = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, four)| *four == name)
            .map(|(at, _)| at)
            .collect();
        for at in found {
            if name == b"RIFF" || &bytes[at + 8..at + 12] == b"movi" {
                let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
                bytes[at + 4..at + 8].copy_from_slice(&change(size).to_le_bytes());
            }
        }
    }
    bytes
}

#[test]
fn an_avi_may_be_unfinished_but_not_cut() {
    let (_, whole) = sample(AVI).unwrap();
    for (name, sizes) in [
        ("0", with_sizes(AVI, |_| 0)),
        ("short", with_sizes(AVI, |size| size - 70)),
        ("long", with_sizes(AVI, |size| size + 8)),
        ("all ones", with_sizes(AVI, |_| u32::MAX)),
    ] {
        assert!(sample(&sizes).unwrap().1 == whole, "{name}");
    }
    assert!(
        sample(&[AVI, b"\x01\x02\x03\x04\x05\x06\x07\x08\x09"].concat())
            .unwrap()
            .1
            == whole
    );
    let index = AVI.windows(4).position(|four| four == b"idx1").unwrap();
    let last = AVI[..index]
        .windows(4)
        .rposition(|four| four == b"00dc")
        .unwrap();
    let refused = refusal(&AVI[..last + 10]).to_string();
    assert!(refused.contains("cut off: of 12 frames"), "{refused}");
    // A recorder that died has not written how many frames there are either.
    let mut unfinished = with_sizes(&AVI[..last + 10], |_| 0);
    let header = unfinished
        .windows(4)
        .position(|four| four == b"strh")
        .unwrap()
        + 8;
    unfinished[header + 32..header + 36].fill(0);
    assert!(sample(&unfinished).unwrap().1.len() >= 2);
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
