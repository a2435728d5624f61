//! The index of MP4 and MOV files, plain or fragmented.
//!
//! It is read into memory and nothing of it is believed: tables must hold what they announce, and what is announced without
//! a table has a limit. Where files in the wild leave the standards and players do not mind, this does not mind either.
//! Names of boxes are those of ISO/IEC 14496-12 and 14496-15.

mod boxes;
mod samples;
mod timeline;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

use super::{
    Frame, Rotation, Video, VideoError, codec_name, damaged,
    h264::{Configuration, Fault},
    limit,
};
use boxes::Box;
use samples::{Defaults, Fragment, Sample};
use timeline::{Clocks, Edit};

/// Bytes of the largest index. Six hours of 60 frames a second take 25 MB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Boxes that a file may have beside each other. Six hours in fragments of one second take 150 000.
const MAX_BOXES: usize = 400_000;

/// With what files begin.
const FIRST_BOXES: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot", b"udta",
    b"uuid", b"sidx",
];

/// Bytes before the descriptions in `stsd`, and before the boxes in the description of a video (`VisualSampleEntry`).
const BEFORE_DESCRIPTIONS: usize = 8;
const BEFORE_CONFIGURATION: usize = 78;

pub(super) fn open(file: &mut File, length: u64) -> Result<Video, VideoError> {
    let index = Index::read(file, length)?;
    let movie = Box {
        name: *b"moov",
        body: &index.movie,
    };
    if movie.child(b"cmov").is_some() {
        return Err(damaged("a compressed index (`cmov`) is not supported"));
    }
    let header = Header::read(&movie)?;
    let defaults = match movie.child(b"mvex") {
        Some(extends) => extends
            .children(0)
            .filter(|it| &it.name == b"trex")
            .map(|it| Defaults::read(&it))
            .collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    let (track, mut samples) = index.video_track(&movie, &defaults)?;
    if !index.fragments.is_empty() {
        // A recorder that died has written the rest of its last fragment nowhere.
        samples.retain(|it| it.offset.saturating_add(it.bytes.into()) <= length);
    }
    let clocks = Clocks {
        movie: header.clock,
        track: track.clock,
    };
    let (showings, duration_millis) = timeline::showings(&samples, &track.edits, clocks)?;
    let frames = samples.iter().map(|sample| Frame {
        offset: sample.offset,
        bytes: sample.bytes,
        is_sync: sample.is_sync,
        configuration: sample.description,
    });
    Ok(Video {
        // What AWS calls both.
        format: "QuickTime / MOV",
        duration_millis,
        rotation: Rotation::from_matrix(product(track.matrix, header.matrix)),
        frames: frames.collect(),
        configurations: track.descriptions,
        showings,
    })
}

/// The parts of a file that say what is in it.
struct Index {
    movie: Vec<u8>,
    fragments: Vec<Fragment>,
}

impl Index {
    /// Goes over the boxes of a file. Where no box can begin, programs have left bytes behind: what came before is the film.
    fn read(file: &mut File, length: u64) -> Result<Self, VideoError> {
        let (mut movie, mut fragments) = (None, Vec::new());
        let (mut at, mut bytes, mut begins_with_box) = (0_u64, 0_u64, false);
        for count in 0.. {
            if count > MAX_BOXES {
                return Err(limit(format!("it has more than {MAX_BOXES} boxes")));
            }
            let Some((name, body)) = next_box(file, at, length)? else {
                break;
            };
            begins_with_box |= count == 0 && FIRST_BOXES.contains(&&name);
            let is_index = matches!(&name, b"moov" | b"moof");
            if is_index {
                if body.end > length {
                    if movie.is_none() {
                        return Err(damaged("it is cut off in the middle of its index (`moov`)"));
                    }
                    break;
                }
                bytes += body.end - body.start;
                if bytes > MAX_INDEX_BYTES {
                    return Err(limit(format!(
                        "its index has more than {} MB",
                        MAX_INDEX_BYTES >> 20
                    )));
                }
                let content = read(file, &body)?;
                match &name {
                    b"moof" => fragments.push(Fragment {
                        offset: at,
                        body: content,
                    }),
                    _ if movie.is_none() => movie = Some(content),
                    _ => {}
                }
            }
            at = body.end;
        }
        match movie {
            Some(movie) => Ok(Self { movie, fragments }),
            None if !begins_with_box => Err(damaged(super::other_format(file)?)),
            None => Err(damaged(
                "it has no index (`moov`); the file is cut off, or its recording was never finished",
            )),
        }
    }

    /// The track that is looked at, with its samples: the first that can be decoded and has any, rather one that is enabled
    /// and no still picture. Others may be covers, depth maps or the same film for other players.
    fn video_track(
        &self,
        movie: &Box<'_>,
        defaults: &[Defaults],
    ) -> Result<(Track, Vec<Sample>), VideoError> {
        let mut refusal = None;
        let mut tracks = Vec::new();
        for origin in movie.children(0).filter(|it| &it.name == b"trak") {
            match Track::read(&origin) {
                Ok(Some(track)) => tracks.push((track, origin)),
                Ok(None) => {}
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        tracks.sort_by_key(|(track, _)| (track.is_still(), !track.is_enabled));
        for (track, origin) in tracks {
            let outcome = if track.descriptions.iter().any(Result::is_ok) {
                self.samples(&origin, &track, defaults)
            } else {
                Err(track.refusal())
            };
            match outcome {
                Ok(samples) if samples.is_empty() => refusal = refusal.or(Some(VideoError::Empty)),
                Ok(samples) => return Ok((track, samples)),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or(VideoError::NoVideo))
    }

    fn samples(
        &self,
        origin: &Box<'_>,
        track: &Track,
        defaults: &[Defaults],
    ) -> Result<Vec<Sample>, VideoError> {
        let tables = origin
            .required(b"mdia")?
            .required(b"minf")?
            .required(b"stbl")?;
        let mut samples = samples::from_tables(&tables)?;
        let mut decode_time = samples.iter().map(|it| i64::from(it.duration)).sum();
        for fragment in &self.fragments {
            samples::add_fragment(&mut samples, fragment, track.id, defaults, &mut decode_time)?;
        }
        // A sample without bytes says that the one before is shown longer.
        samples.retain(|it| it.bytes > 0);
        Ok(samples)
    }
}

/// A name, and where in the file what is in the box lies. It may go on beyond the end of the file.
type Place = ([u8; 4], Range<u64>);

/// The box at a place; `None` if none can begin there.
fn next_box(file: &mut File, at: u64, length: u64) -> Result<Option<Place>, VideoError> {
    let left = length.saturating_sub(at);
    if left < 8 {
        return Ok(None);
    }
    let header = read(file, &(at..at + left.min(16)))?;
    let Some(([a, b, c, d, name @ ..], long)) = header.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let (size, header) = match u32::from_be_bytes([*a, *b, *c, *d]) {
        // The last box may go on to the end of the file.
        0 => (left, 8),
        1 => match long.first_chunk() {
            Some(size) => (u64::from_be_bytes(*size), 16),
            None => return Ok(None),
        },
        size => (size.into(), 8),
    };
    let is_name = name
        .iter()
        .all(|byte| (b' '..=b'~').contains(byte) || *byte >= 0xa0);
    Ok(match at.checked_add(size) {
        Some(end) if size >= header && is_name => Some((*name, at + header..end)),
        _ => None,
    })
}

fn read(file: &mut File, range: &Range<u64>) -> Result<Vec<u8>, VideoError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(range.start))?;
    file.take(range.end - range.start).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The upper left part of a matrix that turns pictures, row by row, in 1/65536.
type Matrix = [i32; 4];

/// What the box `mvhd` says of the film.
struct Header {
    clock: u64,
    matrix: Matrix,
}

impl Header {
    fn read(movie: &Box<'_>) -> Result<Self, VideoError> {
        let mut fields = movie.required(b"mvhd")?.fields();
        let (version, _) = fields.version_and_flags()?;
        fields.take(if version == 0 { 8 } else { 16 })?; // creation and modification
        let clock = fields.u32()?.into();
        fields.long(version)?; // duration
        fields.take(16)?; // rate, volume and reserved
        Ok(Self {
            clock,
            matrix: matrix(&mut fields)?,
        })
    }
}

/// What a box `trak` says of a track with pictures.
struct Track {
    id: u32,
    is_enabled: bool,
    matrix: Matrix,
    clock: u64,
    edits: Vec<Edit>,
    descriptions: Vec<Result<Configuration, Fault>>,
}

impl Track {
    /// Reads a track; `None` if it holds no pictures.
    fn read(track: &Box<'_>) -> Result<Option<Self>, VideoError> {
        let media = track.required(b"mdia")?;
        let mut fields = media.required(b"hdlr")?.fields();
        fields.take(8)?; // version, flags and what QuickTime calls the component's type
        if fields.take(4)? != b"vide" {
            return Ok(None);
        }
        let mut fields = track.required(b"tkhd")?.fields();
        let (version, flags) = fields.version_and_flags()?;
        fields.take(if version == 0 { 8 } else { 16 })?; // creation and modification
        let id = fields.u32()?;
        fields.take(4)?;
        fields.long(version)?; // duration
        fields.take(16)?; // reserved, layer, group and volume
        let matrix = matrix(&mut fields)?;
        let mut fields = media.required(b"mdhd")?.fields();
        let (version, _) = fields.version_and_flags()?;
        fields.take(if version == 0 { 8 } else { 16 })?;
        Ok(Some(Self {
            id,
            is_enabled: flags & 1 == 1,
            matrix,
            clock: fields.u32()?.into(),
            edits: timeline::edits(track)?,
            descriptions: media
                .required(b"minf")?
                .required(b"stbl")?
                .required(b"stsd")?
                .children(BEFORE_DESCRIPTIONS)
                .map(|it| describe(&it))
                .collect(),
        }))
    }

    /// Whether this is a picture that players show beside the film, such as a cover.
    fn is_still(&self) -> bool {
        self.descriptions
            .iter()
            .all(|it| matches!(it, Err(Fault::Codec(name)) if name.starts_with("Motion JPEG") || name.starts_with("PNG")))
    }

    /// Why none of the descriptions can be decoded.
    fn refusal(&self) -> VideoError {
        match self.descriptions.first() {
            Some(Err(fault)) => fault.clone().into(),
            _ => damaged("its index does not describe the video (`stsd`)"),
        }
    }
}

/// How the frames of a description are decoded, or why they cannot be.
fn describe(description: &Box<'_>) -> Result<Configuration, Fault> {
    match &description.name {
        b"avc1" | b"avc3" => match description
            .children(BEFORE_CONFIGURATION)
            .find(|it| &it.name == b"avcC")
        {
            Some(record) => Configuration::parse(record.body),
            None => Err(Fault::Damaged(
                "its index does not describe the H.264 video (`avcC`)".to_owned(),
            )),
        },
        b"encv" => Err(Fault::Unsupported("an encrypted video".to_owned())),
        name => Err(Fault::Codec(codec_name(*name))),
    }
}

fn matrix(fields: &mut boxes::Fields<'_>) -> Result<Matrix, VideoError> {
    let mut row = || {
        let (a, b) = (fields.i32()?, fields.i32()?);
        fields.take(4)?;
        Ok::<_, VideoError>([a, b])
    };
    let ([a, b], [c, d]) = (row()?, row()?);
    Ok([a, b, c, d])
}

/// One matrix after the other. Programs that know no matrix of the film leave zeros.
fn product(first: Matrix, then: Matrix) -> Matrix {
    if then == [0; 4] {
        return first;
    }
    let [a, b, c, d] = first.map(i64::from);
    let [e, f, g, h] = then.map(i64::from);
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h].map(|it| (it >> 16) as i32)
}
