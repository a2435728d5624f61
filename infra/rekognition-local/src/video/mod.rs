//! Videos: which frames to look at, and those frames as pictures.
//!
//! [`open`] reads a file's index: [`mp4`] for MP4 and MOV, [`avi`] for AVI. [`Video::sample`] then decodes the file with
//! [`h264`] and shows about two frames a second, upright and in RGB ([`colour`]). Everything that a file says of itself
//! is checked against a limit before memory or time is spent on it.

mod avi;
mod colour;
mod h264;
mod mp4;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use image::RgbImage;
use serde::{Deserialize, Serialize};

use colour::Rotation;
use h264::{ColourRange, Configuration, Decoder, Fault};

/// Bytes of the largest video, from "Guidelines and quotas in Amazon Rekognition".
pub const MAX_FILE_BYTES: u64 = 10 << 30;

/// Length of the longest video in milliseconds, six hours, from the same page.
const MAX_DURATION_MILLIS: u64 = 6 * 3600 * 1000;

/// Frames of the longest video: six hours at 60 a second.
const MAX_FRAMES: usize = 6 * 3600 * 60;

/// Bytes of the largest compressed frame: more than an uncompressed one of the largest size has.
const MAX_FRAME_BYTES: u32 = 16 << 20;

/// Milliseconds between the frames that are looked at.
const SAMPLING_MILLIS: u64 = 500;

/// The most frames that are looked at: of a video longer than an hour, less than two a second.
const MAX_SAMPLED_FRAMES: u64 = 7200;

/// How long one video may take. It bounds what a small file that decodes to many large frames can cost.
const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// Of how many frames one at least must be decoded. Of a film with less than that, the rest may show something else.
const MIN_DECODED: usize = 10;

/// Why a video cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// Not a known container, or a damaged one.
    #[error("the file is not a readable MP4, MOV or AVI file: {0}")]
    Container(String),
    /// Compressed with something else than H.264.
    #[error("the video is compressed with {0}; only H.264 can be decoded")]
    Codec(String),
    /// A kind of H.264 or of file that cannot be decoded here.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// Larger than AWS allows.
    #[error("the video exceeds a limit of Amazon Rekognition: {0}")]
    Limit(String),
    /// Larger than is allowed here.
    #[error("the video exceeds a limit that the local Rekognition has and Amazon's does not: {0}")]
    LocalLimit(String),
    /// Too many frames are damaged or missing.
    #[error("{decoded} of {all} frames can be decoded; frame {first} cannot: {reason}")]
    Frames {
        /// Frames that can be decoded.
        decoded: usize,
        /// Frames in the file.
        all: usize,
        /// The first that cannot, counted from 1 in the order of the file.
        first: usize,
        /// Why.
        reason: String,
    },
    /// Nothing but sound, say.
    #[error("the file has no video")]
    NoVideo,
    /// The index names no frames, or none that are shown.
    #[error("the video has no frames")]
    Empty,
    /// The file cannot be read.
    #[error("reading the video failed: {0}")]
    Read(#[from] io::Error),
}

impl From<Fault> for VideoError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Codec(name) => Self::Codec(name),
            Fault::Unsupported(what) => Self::Unsupported(what),
            Fault::Damaged(reason) => Self::Container(reason),
        }
    }
}

/// What GetLabelDetection tells of a video, as the type `VideoMetadata` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    codec: Cow<'static, str>,
    /// Length.
    pub duration_millis: u64,
    format: Cow<'static, str>,
    frame_rate: f32,
    frame_height: usize,
    frame_width: usize,
    color_range: ColourRange,
}

#[cfg(test)]
impl Metadata {
    /// Of some video of this length.
    pub(crate) fn of_test(duration_millis: u64) -> Self {
        Self {
            codec: Cow::Borrowed("h264"),
            duration_millis,
            format: Cow::Borrowed("QuickTime / MOV"),
            frame_rate: 25.0,
            frame_height: 96,
            frame_width: 160,
            color_range: ColourRange::Limited,
        }
    }
}

/// A video whose index has been read.
#[derive(Debug)]
pub struct Video {
    format: &'static str,
    duration_millis: u64,
    rotation: Rotation,
    /// How frames are decoded, or why not. Most videos have one for all frames.
    configurations: Vec<Result<Configuration, Fault>>,
    /// In the order in which they are decoded.
    frames: Vec<Frame>,
    /// In the order of their times.
    showings: Vec<Showing>,
}

/// Where a compressed frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    offset: u64,
    bytes: u32,
    /// Whether the file says that decoding can begin here.
    is_sync: bool,
    /// Number of its configuration.
    configuration: usize,
}

/// When a frame is shown. One may be shown several times or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Showing {
    millis: u64,
    /// Number of the frame.
    frame: usize,
}

/// Reads the index of a video.
///
/// # Errors
/// The file is not an MP4, MOV or AVI with H.264, is damaged, or exceeds a limit.
pub fn open(file: &mut File) -> Result<Video, VideoError> {
    let length = file.seek(SeekFrom::End(0))?;
    if length > MAX_FILE_BYTES {
        return Err(VideoError::Limit(format!(
            "it has {length} bytes, not up to {MAX_FILE_BYTES}"
        )));
    }
    let start = start(file)?;
    let video = if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"AVI ") {
        avi::open(file, length)?
    } else {
        mp4::open(file, length)?
    };
    if video.frames.is_empty() || video.showings.is_empty() {
        return Err(VideoError::Empty);
    }
    let last = video.showings.last().map_or(0, |it| it.millis);
    let duration = video.duration_millis.max(last);
    if duration > MAX_DURATION_MILLIS {
        return Err(VideoError::Limit(format!(
            "it is {} s long, not up to six hours",
            duration / 1000
        )));
    }
    for frame in &video.frames {
        if frame.bytes > MAX_FRAME_BYTES {
            return Err(limit(format!(
                "a compressed frame has {} bytes, not {MAX_FRAME_BYTES}",
                frame.bytes
            )));
        }
        if frame
            .offset
            .checked_add(frame.bytes.into())
            .is_none_or(|end| end > length)
        {
            return Err(damaged("it is cut off: it ends before its last frame"));
        }
    }
    Ok(video)
}

impl Video {
    /// Decodes the video and shows about two frames a second, with the milliseconds from its start. Frames come in the
    /// order in which they are decoded, which may differ from the order of their times.
    ///
    /// A frame that cannot be decoded is left out, and so are those that refer to it. Another of the same half second takes
    /// its place if there is one.
    ///
    /// # Errors
    /// Too few frames can be decoded, one is too large, or all of them take too long.
    pub fn sample(
        &self,
        file: &mut File,
        mut show: impl FnMut(u64, &RgbImage),
    ) -> Result<Metadata, VideoError> {
        let started = Instant::now();
        let mut moments = Moments::new(&self.showings, self.frames.len(), self.duration_millis);
        let (mut decoder, mut configuration) = (Decoder::new(), None);
        let (mut bytes, mut first) = (Vec::new(), None);
        let (mut decoded, mut losses) = (0, Losses::default());
        for (index, frame) in self.frames.iter().enumerate() {
            if started.elapsed() > TIME_LIMIT {
                return Err(limit(format!(
                    "decoding it takes more than {} s",
                    TIME_LIMIT.as_secs()
                )));
            }
            if configuration != Some(frame.configuration) {
                configuration = Some(frame.configuration);
                decoder.configure(self.configurations.get(frame.configuration));
            }
            bytes.resize(frame.bytes as usize, 0);
            file.seek(SeekFrom::Start(frame.offset))?;
            file.read_exact(&mut bytes)?;
            match decoder.decode(&bytes, frame.is_sync, moments.want(index)) {
                Ok(picture) => {
                    decoded += 1;
                    let Some(picture) = picture else { continue };
                    let times = moments.shown(index);
                    if times.is_empty() {
                        continue;
                    }
                    let colour = decoder.colour();
                    let Some(rgb) = colour::to_rgb(&picture, colour) else {
                        continue;
                    };
                    first.get_or_insert((picture.width, picture.height, colour.range));
                    let upright = self.rotation.apply(rgb);
                    for millis in times {
                        show(millis, &upright);
                    }
                }
                Err(fault) => {
                    moments.missed(index);
                    losses.add(index, fault);
                }
            }
        }
        let (frame_width, frame_height, color_range) = match first {
            Some(first) if decoded >= self.frames.len().div_ceil(MIN_DECODED) => first,
            _ => return Err(losses.error(decoded, self.frames.len())),
        };
        if let Some((index, fault)) = losses.first {
            tracing::warn!(
                "{} of {} frames cannot be decoded; the first is frame {}: {fault}",
                losses.count,
                self.frames.len(),
                index + 1
            );
        }
        Ok(Metadata {
            codec: Cow::Borrowed("h264"),
            duration_millis: self.duration_millis,
            format: Cow::Borrowed(self.format),
            frame_rate: (self.showings.len() as f64 * 1000.0 / self.duration_millis.max(1) as f64)
                as f32,
            frame_height,
            frame_width,
            color_range,
        })
    }
}

/// Frames that could not be decoded.
#[derive(Default)]
struct Losses {
    count: usize,
    first: Option<(usize, Fault)>,
}

impl Losses {
    fn add(&mut self, index: usize, fault: Fault) {
        self.count += 1;
        self.first.get_or_insert((index, fault));
    }

    /// Why a video is given up of which only so many frames can be decoded.
    fn error(self, decoded: usize, all: usize) -> VideoError {
        match self.first {
            None => VideoError::Empty,
            Some((index, Fault::Damaged(reason))) => VideoError::Frames {
                decoded,
                all,
                first: index + 1,
                reason,
            },
            Some((_, fault)) => fault.into(),
        }
    }
}

/// The times at which the video is looked at: the first that a frame is shown in each half second, or less often in a
/// long video.
struct Moments {
    interval: u64,
    /// In the order of the frames.
    showings: Vec<Showing>,
    /// From where on in [`Self::showings`] each frame is; one more at the end.
    places: Vec<usize>,
    intervals: Vec<Interval>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interval {
    /// No frame begins in it.
    Empty,
    /// The frame that is shown first in it is looked at.
    First(Showing),
    /// That frame cannot be decoded; the next best is looked at.
    Any,
    Done,
}

impl Moments {
    /// `showings` must be in the order of their times.
    fn new(showings: &[Showing], frames: usize, duration_millis: u64) -> Self {
        let interval = SAMPLING_MILLIS.max(duration_millis.div_ceil(MAX_SAMPLED_FRAMES));
        let mut intervals = Vec::new();
        for showing in showings {
            let number = (showing.millis / interval) as usize;
            if number >= intervals.len() {
                intervals.resize(number, Interval::Empty);
                intervals.push(Interval::First(*showing));
            }
        }
        let mut showings = showings.to_vec();
        showings.sort_by_key(|it| it.frame);
        let mut places = Vec::with_capacity(frames + 1);
        for frame in 0..=frames {
            places.push(showings.partition_point(|it| it.frame < frame));
        }
        Self {
            interval,
            showings,
            places,
            intervals,
        }
    }

    /// Whether a frame is looked at.
    fn want(&self, frame: usize) -> bool {
        self.wanted(frame).next().is_some()
    }

    /// The showings of a frame at which it is looked at, with the numbers of their intervals.
    fn wanted(&self, frame: usize) -> impl Iterator<Item = (usize, Showing)> {
        let showings = &self.showings[self.places[frame]..self.places[frame + 1]];
        showings.iter().filter_map(|showing| {
            let number = (showing.millis / self.interval) as usize;
            match self.intervals[number] {
                Interval::First(first) => (first == *showing).then_some((number, *showing)),
                Interval::Any => Some((number, *showing)),
                Interval::Empty | Interval::Done => None,
            }
        })
    }

    /// The times at which a frame that was decoded is looked at.
    fn shown(&mut self, frame: usize) -> Vec<u64> {
        self.settle(frame, Interval::Done)
    }

    /// Notes that a frame could not be decoded.
    fn missed(&mut self, frame: usize) {
        self.settle(frame, Interval::Any);
    }

    fn settle(&mut self, frame: usize, state: Interval) -> Vec<u64> {
        let wanted: Vec<_> = self.wanted(frame).collect();
        let mut times = Vec::new();
        for (number, showing) in wanted {
            // A frame may be shown twice within an interval.
            if self.intervals[number] != state {
                self.intervals[number] = state;
                times.push(showing.millis);
            }
        }
        times
    }
}

/// The first bytes of a file.
fn start(file: &mut File) -> Result<Vec<u8>, VideoError> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(1024).read_to_end(&mut start)?;
    Ok(start)
}

/// Says what a file is that is neither MP4, MOV nor AVI.
fn other_format(file: &mut File) -> Result<String, VideoError> {
    let start = start(file)?;
    let is_transport_stream =
        start.first() == Some(&b'G') && start.get(188).is_none_or(|byte| *byte == b'G');
    let name = match &start[..] {
        [] => return Ok("the file is empty".to_owned()),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "WebM or Matroska",
        [b'F', b'L', b'V', 1, ..] => "Flash Video (FLV)",
        [0x30, 0x26, 0xb2, 0x75, ..] => "Windows Media (ASF)",
        [b'O', b'g', b'g', b'S', ..] => "Ogg",
        [0, 0, 1, 0xba, ..] => "an MPEG program stream",
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => "a stream of frames without an index",
        [0xff, 0xd8, 0xff, ..] => "a JPEG image",
        [0x89, b'P', b'N', b'G', ..] => "a PNG image",
        [b'G', b'I', b'F', b'8', ..] => "a GIF image",
        [b'R', b'I', b'F', b'F', ..] => "RIFF, but not AVI",
        _ if is_transport_stream => "an MPEG transport stream",
        text if str::from_utf8(text).is_ok() => "text",
        _ => return Ok("its first bytes belong to no known format".to_owned()),
    };
    Ok(format!("it is {name}"))
}

/// What people call the codec of a sample description or of a stream in AVI.
fn codec_name(code: [u8; 4]) -> String {
    let name = match &code.map(|byte| byte.to_ascii_lowercase()) {
        b"hvc1" | b"hev1" | b"hevc" | b"h265" | b"x265" => "H.265/HEVC",
        b"dvh1" | b"dvhe" | b"dva1" | b"dvav" => "Dolby Vision",
        b"vvc1" | b"vvi1" => "H.266/VVC",
        b"av01" | b"av1 " => "AV1",
        b"vp08" | b"vp80" => "VP8",
        b"vp09" | b"vp90" => "VP9",
        b"mp4v" | b"fmp4" | b"xvid" | b"divx" | b"dx50" => "MPEG-4 Visual",
        b"mpg1" | b"m1v1" => "MPEG-1",
        b"mpg2" | b"m2v1" | b"mpeg" => "MPEG-2",
        b"jpeg" | b"mjpg" | b"mjpa" | b"mjpb" => "Motion JPEG",
        b"png " | b"mpng" => "PNG",
        b"s263" | b"h263" => "H.263",
        b"apcn" | b"apch" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "Apple ProRes",
        b"avdh" | b"avdn" => "Avid DNxHD",
        b"svq1" | b"svq3" => "Sorenson Video",
        b"dvc " | b"dvcp" | b"dvsd" => "DV",
        _ => return format!("`{}`", code.escape_ascii()),
    };
    format!("{name} (`{}`)", code.escape_ascii())
}

fn damaged(what: impl Into<String>) -> VideoError {
    VideoError::Container(what.into())
}

/// A limit of this program.
fn limit(what: impl Into<String>) -> VideoError {
    VideoError::LocalLimit(what.into())
}

/// Converts ticks of a clock with so many ticks a second.
fn millis(ticks: u64, ticks_a_second: u64) -> Result<u64, VideoError> {
    u128::from(ticks)
        .checked_mul(1000)
        .and_then(|ticks| ticks.checked_div(ticks_a_second.into()))
        .and_then(|millis| u64::try_from(millis).ok())
        .ok_or_else(|| damaged("its clock does not run"))
}

#[cfg(test)]
mod tests;
