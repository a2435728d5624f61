//! Builds MP4 and MOV files, with what programs and cameras do differently.

/// A film of frames that others encoded.
#[derive(Clone)]
pub(super) struct Film {
    /// Compressed frames in the order of decoding, and the number of the description of each, from 1.
    pub(super) frames: Vec<(Vec<u8>, u32)>,
    /// By how many ticks each is shown later than it is decoded.
    pub(super) shifts: Vec<i32>,
    pub(super) descriptions: Vec<Vec<u8>>,
    /// Numbers of the frames at which decoding can begin, from 1.
    pub(super) sync: Option<Vec<u32>>,
    /// Duration and start of each edit.
    pub(super) edits: Vec<(u32, i32)>,
    pub(super) matrix: [i32; 4],
    pub(super) media_duration: u32,
    pub(super) movie_clock: u32,
    pub(super) has_type: bool,
    pub(super) has_compact_sizes: bool,
    pub(super) is_enabled: bool,
    /// Whether `stbl`, `mdia`, `trak` and `moov` end with four zeros.
    pub(super) ends_with_zeros: bool,
    /// Tracks before that of the film.
    pub(super) tracks_before: Vec<Vec<u8>>,
}

/// Ticks a second, and of each frame.
pub(super) const CLOCK: u32 = 1000;
pub(super) const FRAME: u32 = 100;

pub(super) fn atom(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes(), &name[..], &body].concat()
}

pub(super) fn numbers<const N: usize>(numbers: [u32; N]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
}

/// A sample entry of video without boxes.
pub(super) fn entry(name: &[u8; 4], boxes: &[u8]) -> Vec<u8> {
    atom(name, &[&[0; 78], boxes])
}

/// A track without frames.
pub(super) fn track(id: u32, handler: &[u8; 4], description: &[u8]) -> Vec<u8> {
    let tables = [
        atom(b"stsd", &[&numbers([0, 1]), description]),
        atom(b"stts", &[&numbers([0, 0])]),
        atom(b"stsc", &[&numbers([0, 0])]),
        atom(b"stsz", &[&numbers([0, 0, 0])]),
        atom(b"stco", &[&numbers([0, 0])]),
    ];
    let media = [
        atom(b"mdhd", &[&numbers([0, 0, 0, 8000, 0, 0])]),
        atom(b"hdlr", &[&numbers([0, 0]), handler, &[0; 13]]),
        atom(b"minf", &[&atom(b"stbl", &[&tables.concat()])]),
    ];
    let one = 1 << 16;
    let header = [
        numbers([1, 0, 0, id, 0, 0, 0, 0, 0, 0]),
        numbers([one, 0, 0, 0, one, 0, 0, 0, 1 << 30, 0, 0]),
    ];
    atom(
        b"trak",
        &[
            &atom(b"tkhd", &[&header.concat()]),
            &atom(b"mdia", &[&media.concat()]),
        ],
    )
}

impl Film {
    const ID: u32 = 7;

    fn end(&self) -> &'static [u8] {
        if self.ends_with_zeros { &[0; 4] } else { &[] }
    }

    fn header(&self) -> Vec<u8> {
        match self.has_type {
            true => atom(b"ftyp", &[b"isom\0\0\0\0isom"]),
            false => atom(b"wide", &[]),
        }
    }

    fn movie(&self, tables: &[u8], more: &[u8]) -> Vec<u8> {
        let one = 1 << 16;
        let matrix = self.matrix.map(i32::cast_unsigned);
        let [a, b, c, d] = matrix;
        let header = atom(
            b"mvhd",
            &[
                &numbers([0, 0, 0, self.movie_clock, 0, one, 0, 0, 0]),
                &numbers([one, 0, 0, 0, one, 0, 0, 0, 1 << 30]),
                &[0; 28],
            ],
        );
        let track_header = atom(
            b"tkhd",
            &[
                &numbers([u32::from(self.is_enabled), 0, 0, Self::ID, 0, 0, 0, 0, 0, 0]),
                &numbers([a, b, 0, c, d, 0, 0, 0, 1 << 30, 0, 0]),
            ],
        );
        let edits = if self.edits.is_empty() {
            Vec::new()
        } else {
            let lines = self
                .edits
                .iter()
                .flat_map(|(duration, start)| numbers([*duration, start.cast_unsigned(), 1 << 16]));
            let count = u32::try_from(self.edits.len()).unwrap();
            let list = [numbers([0, count]), lines.collect()].concat();
            atom(b"edts", &[&atom(b"elst", &[&list])])
        };
        let media = [
            atom(
                b"mdhd",
                &[&numbers([0, 0, 0, CLOCK, self.media_duration, 0])],
            ),
            atom(b"hdlr", &[&numbers([0, 0]), b"vide", &[0; 13]]),
            atom(b"minf", &[tables]),
            self.end().to_vec(),
        ]
        .concat();
        let track = atom(
            b"trak",
            &[&track_header, &edits, &atom(b"mdia", &[&media]), self.end()],
        );
        let before = self.tracks_before.concat();
        atom(b"moov", &[&header, &before, &track, more, self.end()])
    }

    fn descriptions(&self) -> Vec<u8> {
        let count = u32::try_from(self.descriptions.len()).unwrap();
        atom(
            b"stsd",
            &[&numbers([0, count]), &self.descriptions.concat()],
        )
    }

    /// All frames behind each other, then the index. A frame is a chunk.
    pub(super) fn plain(&self) -> Vec<u8> {
        let mut file = self.header();
        let data: Vec<u8> = self
            .frames
            .iter()
            .flat_map(|(bytes, _)| bytes.clone())
            .collect();
        let mut at = u32::try_from(file.len() + 8).unwrap();
        file.extend(atom(b"mdat", &[&data]));
        let count = u32::try_from(self.frames.len()).unwrap();
        let (mut places, mut sizes, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (bytes, description)) in (1..).zip(&self.frames) {
            let size = u32::try_from(bytes.len()).unwrap();
            places.extend(at.to_be_bytes());
            if self.has_compact_sizes {
                sizes.extend(u16::try_from(size).unwrap().to_be_bytes());
            } else {
                sizes.extend(size.to_be_bytes());
            }
            chunks.extend(numbers([index, 1, *description]));
            at += size;
        }
        let sizes = if self.has_compact_sizes {
            atom(b"stz2", &[&numbers([0, 16, count]), &sizes])
        } else {
            atom(b"stsz", &[&numbers([0, 0, count]), &sizes])
        };
        let shifts = self
            .shifts
            .iter()
            .flat_map(|it| numbers([1, it.cast_unsigned()]));
        let shift_count = u32::try_from(self.shifts.len()).unwrap();
        let sync = self.sync.as_ref().map_or_else(Vec::new, |sync| {
            let count = u32::try_from(sync.len()).unwrap();
            let entries: Vec<u8> = sync.iter().flat_map(|it| it.to_be_bytes()).collect();
            atom(b"stss", &[&numbers([0, count]), &entries])
        });
        let tables = [
            self.descriptions(),
            atom(b"stts", &[&numbers([0, 1, count, FRAME])]),
            atom(
                b"ctts",
                &[&numbers([0, shift_count]), &shifts.collect::<Vec<_>>()],
            ),
            sync,
            atom(b"stsc", &[&numbers([0, count]), &chunks]),
            sizes,
            atom(b"stco", &[&numbers([0, count]), &places]),
            self.end().to_vec(),
        ]
        .concat();
        file.extend(self.movie(&atom(b"stbl", &[&tables]), &[]));
        file
    }

    /// The index without frames, then fragments of so many frames. In each, the first half of the frames is a run of its
    /// own, with sound between the two. With `is_terse`, the places of the data are left to be found out, and the sound is
    /// before the film.
    pub(super) fn fragmented(&self, frames: usize, is_terse: bool) -> Vec<u8> {
        let tables = [
            self.descriptions(),
            atom(b"stts", &[&numbers([0, 0])]),
            atom(b"stsc", &[&numbers([0, 0])]),
            atom(b"stsz", &[&numbers([0, 0, 0])]),
            atom(b"stco", &[&numbers([0, 0])]),
        ]
        .concat();
        let defaults = atom(b"trex", &[&numbers([0, Self::ID, 1, FRAME, 0, 0x1_0000])]);
        let of_sound = atom(b"trex", &[&numbers([0, 2, 1, 100, 10, 0])]);
        let extends = atom(b"mvex", &[&of_sound, &defaults]);
        let mut file = self.header();
        file.extend(self.movie(&atom(b"stbl", &[&tables]), &extends));
        for (number, group) in self.frames.chunks(frames).enumerate() {
            let shifts = &self.shifts[number * frames..][..group.len()];
            let time = u32::try_from(number * frames).unwrap() * FRAME + 900_000;
            let half = group.len().div_ceil(2);
            let run = |part: std::ops::Range<usize>, offset: Option<u32>| {
                let count = u32::try_from(part.len()).unwrap();
                let flags = 0x0100_0a00 | u32::from(offset.is_some());
                let mut body = numbers([flags, count]);
                body.extend(offset.iter().flat_map(|it| it.to_be_bytes()));
                for index in part {
                    let size = u32::try_from(group[index].0.len()).unwrap();
                    body.extend(numbers([size, shifts[index].cast_unsigned()]));
                }
                atom(b"trun", &[&body])
            };
            let bytes = |part: &[(Vec<u8>, u32)]| -> Vec<u8> {
                part.iter().flat_map(|(bytes, _)| bytes.clone()).collect()
            };
            let sound = vec![0x55; 30];
            let fragment = |first: u32, second: u32| {
                let time = atom(b"tfdt", &[&numbers([0, time])]);
                let sound = atom(
                    b"traf",
                    &[
                        &atom(b"tfhd", &[&numbers([0, 2])]),
                        // Three samples of the default size.
                        &atom(
                            b"trun",
                            &[&numbers([0x1, 3, if is_terse { first } else { 0 }])],
                        ),
                    ],
                );
                let parts = if is_terse {
                    [
                        sound,
                        atom(
                            b"traf",
                            &[
                                &atom(b"tfhd", &[&numbers([0, Self::ID])]),
                                &time,
                                &run(0..half, None),
                                &run(half..group.len(), None),
                            ],
                        ),
                    ]
                } else {
                    [
                        atom(
                            b"traf",
                            &[
                                &atom(b"tfhd", &[&numbers([0x2_0000, Self::ID])]),
                                &time,
                                &run(0..half, Some(first)),
                                &run(half..group.len(), Some(second)),
                            ],
                        ),
                        sound,
                    ]
                };
                let header = atom(b"mfhd", &[&numbers([0, 1])]);
                atom(b"moof", &[&header, &parts.concat()])
            };
            let start = u32::try_from(fragment(0, 0).len() + 8).unwrap();
            let first = bytes(&group[..half]);
            let second = start + u32::try_from(first.len() + sound.len()).unwrap();
            file.extend(fragment(start, second));
            let rest = bytes(&group[half..]);
            file.extend(if is_terse {
                atom(b"mdat", &[&sound, &first, &rest])
            } else {
                atom(b"mdat", &[&first, &sound, &rest])
            });
        }
        file
    }
}
