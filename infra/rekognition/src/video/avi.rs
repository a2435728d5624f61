//! The index of AVI files: RIFF lists, of which `hdrl` describes the streams and `movi` holds the frames.
//!
//! No library reads AVI with H.264 in it. The index that may follow the frames is not used: walking over the frames
//! themselves takes as long as their number, and needs no table to be right.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    ops::Range,
};

use super::{Frame, Framing, MAX_FRAMES, Rotation, Video, VideoError, limit, millis};

/// Chunks of the longest file: sound comes at most about as often as frames.
const MAX_CHUNKS: usize = 3 * MAX_FRAMES;

/// Lists inside lists: RIFF, `movi`, `rec `.
const MAX_DEPTH: usize = 4;

/// Bytes of a stream header (`strh`) up to and including its length.
const STREAM_HEADER_BYTES: usize = 36;

pub(super) fn open(file: &mut File, length: u64) -> Result<Video, VideoError> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Reader {
        file: BufReader::new(file),
        at: 0,
        chunks: 0,
        streams: 0,
        video: None,
        is_video_stream: false,
        places: Vec::new(),
    };
    reader.read_list(0..length, 0)?;
    let Stream { scale, rate, .. } = reader.video.ok_or(VideoError::Empty)?;
    let frames = reader
        .places
        .iter()
        .enumerate()
        .map(|(index, (offset, bytes))| {
            Ok(Frame {
                offset: *offset,
                bytes: *bytes,
                millis: millis(index as u64 * u64::from(scale), rate.into())?,
            })
        });
    Ok(Video {
        format: "AVI (Audio Video Interleaved)",
        duration_millis: millis(reader.places.len() as u64 * u64::from(scale), rate.into())?,
        rotation: Rotation::None,
        framing: Framing::StartCodes,
        parameter_sets: Vec::new(),
        frames: frames.collect::<Result<_, VideoError>>()?,
    })
}

/// The first video stream: `rate` frames in `scale` seconds.
struct Stream {
    number: usize,
    scale: u32,
    rate: u32,
}

struct Reader<'a> {
    file: BufReader<&'a mut File>,
    at: u64,
    chunks: usize,
    streams: usize,
    video: Option<Stream>,
    /// Whether the stream header read last is that of [`Self::video`].
    is_video_stream: bool,
    places: Vec<(u64, u32)>,
}

impl Reader<'_> {
    fn read_list(&mut self, within: Range<u64>, depth: usize) -> Result<(), VideoError> {
        let mut at = within.start;
        while within.end - at >= 8 {
            self.chunks += 1;
            if self.chunks > MAX_CHUNKS || depth > MAX_DEPTH {
                return Err(limit("its chunks are too many or too deep"));
            }
            let [a, b, c, d, size @ ..] = self.read::<8>(at)?;
            let (name, bytes) = ([a, b, c, d], u32::from_le_bytes(size));
            let body = at + 8..at + 8 + u64::from(bytes);
            let is_list = matches!(&name, b"RIFF" | b"LIST");
            if body.end > within.end {
                return Err(VideoError::Container(format!(
                    "the chunk `{}` at byte {at} does not fit, it is cut off or damaged",
                    name.escape_ascii()
                )));
            }
            if is_list && bytes >= 4 {
                self.read_list(body.start + 4..body.end, depth + 1)?;
            } else {
                self.read_chunk(name, body.start, bytes)?;
            }
            // Chunks start at even places.
            at = (body.end + u64::from(bytes) % 2).min(within.end);
        }
        Ok(())
    }

    fn read_chunk(&mut self, name: [u8; 4], at: u64, bytes: u32) -> Result<(), VideoError> {
        match &name {
            b"strh" => self.read_stream_header(at, bytes)?,
            b"strf" if self.is_video_stream => {
                if bytes < 20 {
                    return Err(VideoError::Container(
                        "a stream format is too short".to_owned(),
                    ));
                }
                let codec = self.read::<4>(at + 16)?;
                if !["h264", "x264", "avc1"]
                    .iter()
                    .any(|known| codec.eq_ignore_ascii_case(known.as_bytes()))
                {
                    return Err(VideoError::Codec(format!("`{}`", codec.escape_ascii())));
                }
                self.is_video_stream = false;
            }
            // `00dc` is a frame of stream 0, `00db` one that ought to be uncompressed. An empty one repeats the last.
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd', b'c' | b'b'] => {
                let number = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
                if self
                    .video
                    .as_ref()
                    .is_some_and(|stream| stream.number == number)
                {
                    self.places.push((at, bytes));
                    if self.places.len() > MAX_FRAMES {
                        return Err(limit(format!("it has more than {MAX_FRAMES} frames")));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_stream_header(&mut self, at: u64, bytes: u32) -> Result<(), VideoError> {
        if (bytes as usize) < STREAM_HEADER_BYTES {
            return Err(VideoError::Container(
                "a stream header is too short".to_owned(),
            ));
        }
        let header = self.read::<STREAM_HEADER_BYTES>(at)?;
        let number = |place: usize| {
            header[place..]
                .first_chunk()
                .map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        self.is_video_stream = header.starts_with(b"vids") && self.video.is_none();
        if self.is_video_stream {
            self.video = Some(Stream {
                number: self.streams,
                scale: number(20),
                rate: number(24),
            });
        }
        self.streams += 1;
        Ok(())
    }

    fn read<const N: usize>(&mut self, at: u64) -> Result<[u8; N], VideoError> {
        // Relative, because an absolute seek would empty the buffer.
        self.file
            .seek_relative(at.cast_signed().wrapping_sub(self.at.cast_signed()))?;
        let mut bytes = [0; N];
        self.file
            .read_exact(&mut bytes)
            .map_err(|_| VideoError::Container("it ends in the middle".to_owned()))?;
        self.at = at + N as u64;
        Ok(bytes)
    }
}
