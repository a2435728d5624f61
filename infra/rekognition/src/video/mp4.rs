//! The index of MP4 and MOV files, plain or fragmented.
//!
//! The library builds a table of all samples of all tracks from counts that a file of a few hundred bytes can set to four
//! thousand million, and from sound that has a sample for every few bytes. So all tracks but the video are taken out of the
//! index first, and what the rest announces is counted.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use re_mp4::{Mp4, StsdBoxContent};

use super::{Frame, Framing, MAX_FRAMES, Rotation, Video, VideoError, limit, millis};

/// Bytes of the largest index. Six hours of 60 frames a second take 25 MB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Boxes of the largest index. Six hours in fragments of one second take 150 000.
const MAX_BOXES: usize = 400_000;

pub(super) fn open(file: &mut File, length: u64) -> Result<Video, VideoError> {
    Index::new(file).prepare(length)?;
    file.seek(SeekFrom::Start(0))?;
    let mp4 = Mp4::read(BufReader::new(&*file), length).map_err(damaged)?;
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
    let frames = track.samples.iter().map(|sample| {
        Ok(Frame {
            offset: sample.offset,
            bytes: u32::try_from(sample.size)
                .map_err(|_| limit("a compressed frame has more than 4 GB"))?,
            millis: millis(
                sample.composition_timestamp.max(0).cast_unsigned(),
                track.timescale,
            )?,
        })
    });
    let matrix = &trak.tkhd.matrix;
    Ok(Video {
        // What AWS calls both.
        format: "QuickTime / MOV",
        duration_millis: millis(track.duration, track.timescale)?,
        rotation: Rotation::from_matrix([matrix.a, matrix.b, matrix.c, matrix.d]),
        framing: Framing::Length(usize::from(avc.length_size_minus_one) + 1),
        parameter_sets: sets.map(|set| set.bytes.clone()).collect(),
        frames: frames.collect::<Result<_, VideoError>>()?,
    })
}

fn damaged(what: impl ToString) -> VideoError {
    VideoError::Container(what.to_string())
}

/// A box: a length, a name, and what is in it.
struct Atom {
    name: [u8; 4],
    name_offset: u64,
    body: Range<u64>,
}

/// Walks over the boxes of an index, counting.
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

    /// Takes out all tracks but the first video track.
    fn prepare(&mut self, length: u64) -> Result<(), VideoError> {
        let top = self.boxes(0..length)?;
        if !top
            .iter()
            .any(|atom| matches!(&atom.name, b"ftyp" | b"moov"))
        {
            return Err(damaged("its first bytes belong to no known format"));
        }
        for atom in top
            .iter()
            .filter(|atom| !matches!(&atom.name, b"mdat" | b"free"))
        {
            // The library skips what it does not know; counting that, too, keeps the rule simple.
            self.bytes += atom.body.end - atom.body.start;
            if self.bytes > MAX_INDEX_BYTES {
                return Err(limit(format!(
                    "its index has more than {} MB",
                    MAX_INDEX_BYTES >> 20
                )));
            }
        }
        for atom in top.iter().filter(|atom| &atom.name == b"moov") {
            for track in self.boxes(atom.body.clone())? {
                if &track.name == b"trak" && !self.keep_track(&track)? {
                    self.take_out(&track)?;
                }
            }
        }
        for atom in top.iter().filter(|atom| &atom.name == b"moof") {
            for fragment in self.boxes(atom.body.clone())? {
                if &fragment.name == b"traf" && !self.keep_fragment(&fragment)? {
                    self.take_out(&fragment)?;
                }
            }
        }
        Ok(())
    }

    /// Whether this is the first video track; if so, its frames are counted.
    fn keep_track(&mut self, track: &Atom) -> Result<bool, VideoError> {
        let (mut id, mut is_video, mut frames) = (None, false, 0);
        for atom in self.boxes(track.body.clone())? {
            match &atom.name {
                b"tkhd" => {
                    let version = self.number(&atom, 0)? >> 24;
                    id = Some(self.number(&atom, if version == 1 { 20 } else { 12 })?);
                }
                b"mdia" => {
                    for atom in self.boxes(atom.body)? {
                        match &atom.name {
                            b"hdlr" => {
                                is_video = self.number(&atom, 8)? == u32::from_be_bytes(*b"vide")
                            }
                            b"minf" => frames += self.sample_count(&atom)?,
                            _ => {}
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
        self.count(frames)?;
        Ok(true)
    }

    /// The samples that a track's sample table announces.
    fn sample_count(&mut self, media_information: &Atom) -> Result<usize, VideoError> {
        let mut frames = 0;
        for table in self.boxes(media_information.body.clone())? {
            if &table.name == b"stbl" {
                for atom in self.boxes(table.body)? {
                    if &atom.name == b"stsz" {
                        frames += self.number(&atom, 8)? as usize;
                    }
                }
            }
        }
        Ok(frames)
    }

    /// Whether a fragment is one of the video track; if so, its frames are counted.
    fn keep_fragment(&mut self, fragment: &Atom) -> Result<bool, VideoError> {
        let (mut id, mut frames) = (None, 0);
        for atom in self.boxes(fragment.body.clone())? {
            match &atom.name {
                b"tfhd" => id = Some(self.number(&atom, 4)?),
                b"trun" => frames += self.number(&atom, 4)? as usize,
                _ => {}
            }
        }
        if id.is_none() || id != self.video_track {
            return Ok(false);
        }
        self.count(frames)?;
        Ok(true)
    }

    fn count(&mut self, frames: usize) -> Result<(), VideoError> {
        self.frames += frames;
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
        while within.end - at >= 8 {
            self.boxes += 1;
            if self.boxes > MAX_BOXES {
                return Err(limit(format!("its index has more than {MAX_BOXES} boxes")));
            }
            let mut header = [0; 8];
            self.read(at, &mut header)?;
            let [a, b, c, d, name @ ..] = header;
            let (size, header_bytes) = match u32::from_be_bytes([a, b, c, d]) {
                // To the end of the file, where the library ends, too.
                0 => break,
                1 => {
                    let mut size = [0; 8];
                    self.read(at + 8, &mut size)?;
                    (u64::from_be_bytes(size), 16)
                }
                size => (size.into(), 8),
            };
            if size < header_bytes || size > within.end - at {
                return Err(damaged(format!(
                    "the box `{}` at byte {at} does not fit",
                    name.escape_ascii()
                )));
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
            return Err(damaged(format!(
                "the box `{}` is too short",
                atom.name.escape_ascii()
            )));
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
