//! The index of AVI files.

use super::*;

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
