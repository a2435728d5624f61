//! The index of AVI files: RIFF chunks, of which `strh` and `strf` describe the streams and `00dc` and the like are frames.
//!
//! No library reads AVI with H.264 in it. The lists that hold the chunks have sizes, which are wrong where a recorder died or
//! a program changed a header; the chunks follow each other all the same. So does the walk over them, which needs neither
//! these sizes nor the index that may follow the frames.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use super::{
    Frame, MAX_FRAMES, Rotation, Showing, Video, VideoError, codec_name, damaged,
    h264::{Configuration, Fault},
    limit, millis,
};

/// Chunks of the longest file: sound comes at most about as often as frames.
const MAX_CHUNKS: usize = 3 * MAX_FRAMES;

/// Bytes of a stream header (`strh`) up to and including its length.
const STREAM_HEADER_BYTES: usize = 36;

/// Bytes of a stream format (`strf`) of video: a BITMAPINFOHEADER. What the codec wants to be known follows it.
const BITMAP_HEADER_BYTES: usize = 40;

/// The most bytes that a codec may want to be known.
const MAX_CODEC_BYTES: usize = 1 << 16;

pub(super) fn open(file: &mut File, length: u64) -> Result<Video, VideoError> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Reader {
        file: BufReader::new(file),
        at: 0,
        length,
        streams: 0,
        video: None,
        is_video_stream: false,
        configuration: None,
        count: 0,
        frames: Vec::new(),
        showings: Vec::new(),
    };
    let is_whole = reader.walk()?;
    let stream = reader.video.ok_or(VideoError::NoVideo)?;
    let missing = (stream.frames as usize).saturating_sub(reader.count);
    // Headers may be wrong by a few frames.
    if missing > if is_whole { reader.count / 10 } else { 0 } {
        return Err(damaged(format!(
            "it is cut off: of {} frames {} are there",
            stream.frames, reader.count
        )));
    }
    let configuration = reader
        .configuration
        .ok_or_else(|| damaged("its video stream has no format (`strf`)"))?;
    Ok(Video {
        format: "AVI (Audio Video Interleaved)",
        duration_millis: stream.time(reader.count)?,
        rotation: Rotation::None,
        configurations: vec![Ok(configuration)],
        frames: reader.frames,
        showings: reader.showings,
    })
}

/// The first video stream: `rate` frames in `scale` seconds.
struct Stream {
    number: usize,
    scale: u32,
    rate: u32,
    /// How many frames it has; 0 if its recording was not finished.
    frames: u32,
}

impl Stream {
    /// Milliseconds that so many frames take.
    fn time(&self, frames: usize) -> Result<u64, VideoError> {
        millis(frames as u64 * u64::from(self.scale), self.rate.into())
    }
}

struct Reader<'a> {
    file: BufReader<&'a mut File>,
    at: u64,
    length: u64,
    streams: usize,
    video: Option<Stream>,
    /// Whether the stream header read last is that of [`Self::video`].
    is_video_stream: bool,
    configuration: Option<Configuration>,
    /// Frames so far, with those without bytes, which say that the one before is shown longer.
    count: usize,
    frames: Vec<Frame>,
    showings: Vec<Showing>,
}

impl Reader<'_> {
    /// Goes over all chunks, and tells whether the last one is whole.
    fn walk(&mut self) -> Result<bool, VideoError> {
        let (mut at, mut is_padded) = (0, false);
        for count in 0.. {
            if count > MAX_CHUNKS {
                return Err(limit("it has more chunks than six hours of video have"));
            }
            if self.length.saturating_sub(at) < 8 {
                break;
            }
            let [a, b, c, d, size @ ..] = self.read::<8>(at)?;
            let name = [a, b, c, d];
            if !name.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                // Chunks start at even places, but some programs do not know.
                if is_padded {
                    (at, is_padded) = (at - 1, false);
                    continue;
                }
                break;
            }
            if matches!(&name, b"RIFF" | b"LIST") {
                (at, is_padded) = (at + 12, false);
                continue;
            }
            let bytes = u32::from_le_bytes(size);
            let end = at + 8 + u64::from(bytes);
            if end > self.length {
                return Ok(false);
            }
            self.read_chunk(name, at + 8, bytes)?;
            is_padded = bytes % 2 == 1;
            at = end + u64::from(is_padded);
        }
        Ok(true)
    }

    fn read_chunk(&mut self, name: [u8; 4], at: u64, bytes: u32) -> Result<(), VideoError> {
        match &name {
            b"strh" => self.read_stream_header(at, bytes),
            b"strf" if self.is_video_stream => self.read_stream_format(at, bytes),
            // `00dc` is a frame of stream 0, `00db` one that ought to be uncompressed.
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd', b'c' | b'b'] => {
                let number = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
                match &self.video {
                    Some(stream) if stream.number == number => self.add_frame(at, bytes),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn add_frame(&mut self, at: u64, bytes: u32) -> Result<(), VideoError> {
        if self.count == MAX_FRAMES {
            return Err(limit(format!("it has more than {MAX_FRAMES} frames")));
        }
        if let Some(stream) = self.video.as_ref().filter(|_| bytes > 0) {
            self.showings.push(Showing {
                millis: stream.time(self.count)?,
                frame: self.frames.len(),
            });
            self.frames.push(Frame {
                offset: at,
                bytes,
                // Only the index at the end tells, and it may be wrong.
                is_sync: false,
                configuration: 0,
            });
        }
        self.count += 1;
        Ok(())
    }

    fn read_stream_header(&mut self, at: u64, bytes: u32) -> Result<(), VideoError> {
        if (bytes as usize) < STREAM_HEADER_BYTES {
            return Err(damaged("a stream header (`strh`) is too short"));
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
                frames: number(32),
            });
        }
        self.streams += 1;
        Ok(())
    }

    fn read_stream_format(&mut self, at: u64, bytes: u32) -> Result<(), VideoError> {
        self.is_video_stream = false;
        if bytes < 20 {
            return Err(damaged("a stream format (`strf`) is too short"));
        }
        let codec = self.read::<4>(at + 16)?;
        if !["h264", "x264", "avc1"]
            .iter()
            .any(|known| codec.eq_ignore_ascii_case(known.as_bytes()))
        {
            return Err(Fault::Codec(codec_name(codec)).into());
        }
        let mut known = vec![
            0;
            (bytes as usize)
                .saturating_sub(BITMAP_HEADER_BYTES)
                .min(MAX_CODEC_BYTES)
        ];
        self.seek(at + BITMAP_HEADER_BYTES as u64)?;
        self.read_into(&mut known)?;
        // Either as MP4 has it, or as the frames themselves do.
        self.configuration = Some(if known.first() == Some(&1) {
            Configuration::parse(&known)?
        } else {
            Configuration::of_stream(&known)?
        });
        Ok(())
    }

    fn read<const N: usize>(&mut self, at: u64) -> Result<[u8; N], VideoError> {
        let mut bytes = [0; N];
        self.seek(at)?;
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    fn seek(&mut self, at: u64) -> Result<(), VideoError> {
        // Relative, because an absolute seek would empty the buffer.
        self.file
            .seek_relative(at.cast_signed().wrapping_sub(self.at.cast_signed()))?;
        self.at = at;
        Ok(())
    }

    fn read_into(&mut self, bytes: &mut [u8]) -> Result<(), VideoError> {
        self.file
            .read_exact(bytes)
            .map_err(|_| damaged("it ends in the middle of a chunk"))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
