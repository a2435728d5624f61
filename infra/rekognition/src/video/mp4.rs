//! The index of MP4 and MOV files, plain or fragmented.
//!
//! The library trusts the index. It builds a table of all samples of all tracks from counts that a file of a few hundred
//! bytes can set to four thousand million, and from sound that has a sample for every few bytes; some boxes of no length
//! keep it busy for ever. So what does not concern the pictures is taken out of the index first, and of the rest all boxes
//! are measured and all samples counted.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use re_mp4::{Mp4, Sample, StsdBoxContent};

use super::{Frame, Framing, MAX_FRAMES, Rotation, Video, VideoError, limit, millis};

/// Bytes of the largest index. Six hours of 60 frames a second take 25 MB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Boxes of the largest index. Six hours in fragments of one second take 150 000.
const MAX_BOXES: usize = 400_000;

pub(super) fn open(file: &mut File, length: u64) -> Result<Video, VideoError> {
    Index::new(file).prepare(length)?;
    file.seek(SeekFrom::Start(0))?;
    let mp4 =
        Mp4::read(BufReader::new(&*file), length).map_err(|error| damaged(error.to_string()))?;
    let track = mp4.tracks().values().next().ok_or(VideoError::Empty)?;
    let trak = track.trak(&mp4);
    let avc = match &trak.mdia.minf.stbl.stsd.contents {
        StsdBoxContent::Avc1(avc) => &avc.avcc.contents,
        StsdBoxContent::Av01(_) => return Err(VideoError::Codec("AV1".to_owned())),
        StsdBoxContent::Hvc1(_) | StsdBoxContent::Hev1(_) => {
            return Err(VideoError::Codec("H.265".to_owned()));
        }
        StsdBoxContent::Vp08(_) => return Err(VideoError::Codec("VP8".to_owned())),
        StsdBoxContent::Vp09(_) => return Err(VideoError::Codec("VP9".to_owned())),
        StsdBoxContent::Unknown(name) => {
            return Err(VideoError::Codec(format!(
                "`{}`",
                name.value.escape_ascii()
            )));
        }
        other @ (StsdBoxContent::Mp4a(_) | StsdBoxContent::Tx3g(_)) => {
            return Err(damaged(format!("its video track holds {other:?}")));
        }
    };
    let sets = avc
        .sequence_parameter_sets
        .iter()
        .chain(&avc.picture_parameter_sets);
    // Fragments may begin later than at zero, and their durations are not in the index.
    let shown = |sample: &Sample| sample.composition_timestamp;
    let first = track.samples.iter().map(shown).min().unwrap_or(0);
    let since_first = |time: i64| time.saturating_sub(first).max(0).cast_unsigned();
    let duration = match trak.mdia.mdhd.duration {
        0 => {
            let ends = track
                .samples
                .iter()
                .map(|sample| shown(sample).saturating_add_unsigned(sample.duration));
            since_first(ends.max().unwrap_or(first))
        }
        duration => duration,
    };
    let frames = track.samples.iter().map(|sample| {
        Ok(Frame {
            offset: sample.offset,
            bytes: u32::try_from(sample.size)
                .map_err(|_| limit("a compressed frame has more than 4 GB"))?,
            millis: millis(since_first(shown(sample)), track.timescale)?,
        })
    });
    let matrix = &trak.tkhd.matrix;
    Ok(Video {
        // What AWS calls both.
        format: "QuickTime / MOV",
        duration_millis: millis(duration, track.timescale)?,
        rotation: Rotation::from_matrix([matrix.a, matrix.b, matrix.c, matrix.d]),
        framing: Framing::Length(usize::from(avc.length_size_minus_one) + 1),
        parameter_sets: sets.map(|set| set.bytes.clone()).collect(),
        frames: frames.collect::<Result<_, VideoError>>()?,
    })
}

fn damaged(what: impl Into<String>) -> VideoError {
    VideoError::Container(what.into())
}

/// A box: a length, a name, and what is in it.
struct Atom {
    name: [u8; 4],
    name_offset: u64,
    body: Range<u64>,
}

/// The boxes that are left in a box of the index, and how many bytes come before them; `None` if it holds no boxes.
fn contents(name: [u8; 4]) -> Option<(u64, &'static [&'static [u8; 4]])> {
    Some(match &name {
        b"moov" => (0, &[b"mvhd", b"trak", b"mvex"]),
        b"trak" => (0, &[b"tkhd", b"mdia"]),
        b"mdia" => (0, &[b"mdhd", b"hdlr", b"minf"]),
        b"minf" => (0, &[b"vmhd", b"dinf", b"stbl"]),
        b"dinf" => (0, &[b"dref"]),
        b"dref" => (8, &[b"url "]),
        b"stbl" => (
            0,
            &[
                b"stsd", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"co64",
            ],
        ),
        b"mvex" => (0, &[b"trex"]),
        b"moof" => (0, &[b"mfhd", b"traf"]),
        b"traf" => (0, &[b"tfhd", b"tfdt", b"trun"]),
        _ => return None,
    })
}

/// Bytes before the description of the video in its box `stsd`.
const BEFORE_DESCRIPTION: u64 = 8;

/// Bytes before the boxes in the description of a video, from `VisualSampleEntry` in ISO/IEC 14496-12.
const BEFORE_CONFIGURATION: u64 = 78;

/// Walks over the boxes of an index.
struct Index<'a> {
    file: &'a mut File,
    boxes: usize,
    bytes: u64,
    frames: usize,
    video_track: Option<u32>,
}

impl<'a> Index<'a> {
    fn new(file: &'a mut File) -> Self {
        Self {
            file,
            boxes: 0,
            bytes: 0,
            frames: 0,
            video_track: None,
        }
    }

    /// Takes out everything but the first video track.
    fn prepare(&mut self, length: u64) -> Result<(), VideoError> {
        let top = self.boxes(0..length)?;
        if !top
            .iter()
            .any(|atom| matches!(&atom.name, b"ftyp" | b"moov"))
        {
            return Err(damaged("its first bytes belong to no known format"));
        }
        for atom in &top {
            if matches!(&atom.name, b"ftyp" | b"moov" | b"moof") {
                self.bytes += atom.body.end - atom.body.start;
            } else if &atom.name != b"mdat" {
                self.take_out(atom)?;
            }
        }
        if self.bytes > MAX_INDEX_BYTES {
            return Err(limit(format!(
                "its index has more than {} MB",
                MAX_INDEX_BYTES >> 20
            )));
        }
        for name in [b"moov", b"moof"] {
            for atom in top.iter().filter(|atom| &atom.name == name) {
                self.prune(atom)?;
            }
        }
        Ok(())
    }

    /// Measures what is in a box, and takes out what is not needed.
    fn prune(&mut self, atom: &Atom) -> Result<(), VideoError> {
        match &atom.name {
            b"stsd" => return self.measure_description(atom),
            b"stsz" => return self.count(atom, 8),
            b"trun" => return self.count(atom, 4),
            _ => {}
        }
        let Some((before, wanted)) = contents(atom.name) else {
            return Ok(());
        };
        let start = atom.body.start + before;
        if start > atom.body.end {
            return Err(atom.too_short());
        }
        for inner in self.boxes(start..atom.body.end)? {
            let is_wanted = wanted.contains(&&inner.name)
                && match &inner.name {
                    b"trak" => self.is_the_video(&inner)?,
                    b"traf" => self.is_of_the_video(&inner)?,
                    _ => true,
                };
            if is_wanted {
                self.prune(&inner)?;
            } else {
                self.take_out(&inner)?;
            }
        }
        Ok(())
    }

    /// Measures the boxes of an H.264 configuration. Other descriptions are only asked for their names.
    fn measure_description(&mut self, table: &Atom) -> Result<(), VideoError> {
        let start = table.body.start + BEFORE_DESCRIPTION;
        if start > table.body.end {
            return Err(table.too_short());
        }
        for description in self.boxes(start..table.body.end)? {
            let start = description.body.start + BEFORE_CONFIGURATION;
            if &description.name != b"avc1" {
                continue;
            }
            if start > description.body.end {
                return Err(description.too_short());
            }
            self.boxes(start..description.body.end)?;
        }
        Ok(())
    }

    /// Whether this is the first track with pictures.
    fn is_the_video(&mut self, track: &Atom) -> Result<bool, VideoError> {
        let (mut id, mut is_video) = (None, false);
        for atom in self.boxes(track.body.clone())? {
            match &atom.name {
                b"tkhd" => {
                    let version = self.number(&atom, 0)? >> 24;
                    id = Some(self.number(&atom, if version == 1 { 20 } else { 12 })?);
                }
                b"mdia" => {
                    for atom in self.boxes(atom.body)? {
                        if &atom.name == b"hdlr" {
                            is_video = self.number(&atom, 8)? == u32::from_be_bytes(*b"vide");
                        }
                    }
                }
                _ => {}
            }
        }
        if !is_video || id.is_none() || self.video_track.is_some() {
            return Ok(false);
        }
        self.video_track = id;
        Ok(true)
    }

    /// Whether a fragment is one of the track with the pictures.
    fn is_of_the_video(&mut self, fragment: &Atom) -> Result<bool, VideoError> {
        let mut id = None;
        for atom in self.boxes(fragment.body.clone())? {
            if &atom.name == b"tfhd" {
                id = Some(self.number(&atom, 4)?);
            }
        }
        Ok(id.is_some() && id == self.video_track)
    }

    /// Counts the samples that a box announces.
    fn count(&mut self, atom: &Atom, place: u64) -> Result<(), VideoError> {
        self.frames += self.number(atom, place)? as usize;
        if self.frames > MAX_FRAMES {
            return Err(limit(format!(
                "it has {} frames, not up to {MAX_FRAMES}",
                self.frames
            )));
        }
        Ok(())
    }

    /// The boxes that follow each other in a part of the file.
    fn boxes(&mut self, within: Range<u64>) -> Result<Vec<Atom>, VideoError> {
        let (mut atoms, mut at) = (Vec::new(), within.start);
        while at < within.end {
            self.boxes += 1;
            if self.boxes > MAX_BOXES {
                return Err(limit(format!("its index has more than {MAX_BOXES} boxes")));
            }
            let left = within.end - at;
            let misfit = || {
                damaged(format!(
                    "the box at byte {at} does not fit, it is cut off or damaged"
                ))
            };
            if left < 8 {
                return Err(misfit());
            }
            let mut header = [0; 8];
            self.read(at, &mut header)?;
            let [a, b, c, d, name @ ..] = header;
            let (size, header_bytes) = match u32::from_be_bytes([a, b, c, d]) {
                1 if left >= 16 => {
                    let mut size = [0; 8];
                    self.read(at + 8, &mut size)?;
                    (u64::from_be_bytes(size), 16)
                }
                // The last box of a file may go on to its end. The library ends there, too.
                0 if within.start == 0 => (left, 8),
                size => (size.into(), 8),
            };
            if size < header_bytes || size > left {
                return Err(misfit());
            }
            atoms.push(Atom {
                name,
                name_offset: at + 4,
                body: at + header_bytes..at + size,
            });
            at += size;
        }
        Ok(atoms)
    }

    /// Four bytes of a box.
    fn number(&mut self, atom: &Atom, place: u64) -> Result<u32, VideoError> {
        let mut bytes = [0; 4];
        if atom.body.end - atom.body.start < place + 4 {
            return Err(atom.too_short());
        }
        self.read(atom.body.start + place, &mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), VideoError> {
        self.file.seek(SeekFrom::Start(at))?;
        // The length of the file says that there is enough.
        Ok(self.file.read_exact(bytes)?)
    }

    fn take_out(&mut self, atom: &Atom) -> Result<(), VideoError> {
        self.file.seek(SeekFrom::Start(atom.name_offset))?;
        Ok(self.file.write_all(b"free")?)
    }
}

impl Atom {
    fn too_short(&self) -> VideoError {
        damaged(format!(
            "the box `{}` is too short",
            self.name.escape_ascii()
        ))
    }
}
