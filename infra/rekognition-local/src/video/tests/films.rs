//! The index of MP4 files.

use super::film::{Film, atom, entry, track};
use super::*;

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
