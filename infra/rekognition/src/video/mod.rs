//! Videos: which frames to look at, and those frames as pictures.
//!
//! [`open`] reads a file's index: [`mp4`] for MP4 and MOV, [`avi`] for AVI. [`Video::sample`] then decodes the file with
//! [`h264`] and shows about two frames a second, upright and in RGB ([`colour`]). Everything that a file says of itself
//! is checked against a limit before memory or time is spent on it. The libraries that parse and decode may still panic
//! on a hostile file, so a caller gives each video a thread of its own.

mod avi;
mod colour;
mod h264;
mod mp4;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use image::RgbImage;
use serde::Serialize;

use colour::Rotation;
use h264::{ColourRange, Decoder, Framing};

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

/// Why a video cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// Not a known container, or a damaged one.
    #[error("the file is not a readable MP4, MOV or AVI file: {0}")]
    Container(String),
    /// Compressed in a way that cannot be decoded.
    #[error("the video is compressed with {0}; only H.264 can be decoded")]
    Codec(String),
    /// Larger than is allowed.
    #[error("the video exceeds a limit: {0}")]
    Limit(String),
    /// A frame is damaged, or uses a part of H.264 that the decoder does not have.
    #[error("the frame at {millis} ms cannot be decoded: {reason}")]
    Frame {
        /// From the start of the video.
        millis: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The index names no frames, or none that decode to a picture.
    #[error("the video has no frames")]
    Empty,
    /// The file cannot be read.
    #[error("reading the video failed: {0}")]
    Read(#[from] io::Error),
}

/// What GetLabelDetection tells of a video, as the type `VideoMetadata` has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    codec: &'static str,
    /// Length.
    pub duration_millis: u64,
    format: &'static str,
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
            codec: "h264",
            duration_millis,
            format: "QuickTime / MOV",
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
    framing: Framing,
    /// Sequence and picture parameter sets that are in the index instead of the frames.
    parameter_sets: Vec<Vec<u8>>,
    /// In the order in which they are decoded.
    frames: Vec<Frame>,
}

/// Where a compressed frame is, and when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    offset: u64,
    bytes: u32,
    millis: u64,
}

/// Reads the index of a video.
///
/// The file is the caller's own copy: parts of its index that do not concern the pictures are overwritten.
///
/// # Errors
/// The file is not an MP4, MOV or AVI with H.264, is damaged, or exceeds a limit.
pub fn open(file: &mut File) -> Result<Video, VideoError> {
    let length = file.seek(SeekFrom::End(0))?;
    if length > MAX_FILE_BYTES {
        return Err(limit(format!(
            "it has {length} bytes, not {MAX_FILE_BYTES}"
        )));
    }
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(12).read_to_end(&mut start)?;
    let video = if start.starts_with(b"RIFF") && start.ends_with(b"AVI ") {
        avi::open(file, length)?
    } else {
        mp4::open(file, length)?
    };
    if video.frames.is_empty() {
        return Err(VideoError::Empty);
    }
    if video.duration_millis > MAX_DURATION_MILLIS {
        return Err(limit(format!(
            "it is {} s long, not up to six hours",
            video.duration_millis / 1000
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
            return Err(VideoError::Container(
                "it ends before its last frame".to_owned(),
            ));
        }
    }
    Ok(video)
}

impl Video {
    /// Decodes the video and shows about two frames a second, with the milliseconds from its start. Frames come in the
    /// order in which they are decoded, which may differ from the order of their times.
    ///
    /// # Errors
    /// A frame cannot be decoded, is too large, or all of them take too long.
    pub fn sample(
        &self,
        file: &mut File,
        mut show: impl FnMut(u64, &RgbImage),
    ) -> Result<Metadata, VideoError> {
        let started = Instant::now();
        let wanted = self.wanted();
        let mut decoder = Decoder::new(self.framing);
        for set in &self.parameter_sets {
            decoder
                .configure(set)
                .map_err(|reason| VideoError::Frame { millis: 0, reason })?;
        }
        let (mut bytes, mut size) = (Vec::new(), None);
        for (frame, wanted) in self.frames.iter().zip(wanted) {
            if started.elapsed() > TIME_LIMIT {
                return Err(limit(format!(
                    "decoding it takes more than {} s",
                    TIME_LIMIT.as_secs()
                )));
            }
            bytes.resize(frame.bytes as usize, 0);
            file.seek(SeekFrom::Start(frame.offset))?;
            file.read_exact(&mut bytes)?;
            let decoded = decoder
                .decode(&bytes, wanted)
                .map_err(|reason| VideoError::Frame {
                    millis: frame.millis,
                    reason,
                })?;
            if let Some(picture) = decoded.filter(|_| wanted) {
                size = Some((picture.width, picture.height));
                let picture = colour::to_rgb(&picture, decoder.colour()).ok_or_else(|| {
                    VideoError::Frame {
                        millis: frame.millis,
                        reason: "its planes do not have the size of the picture".to_owned(),
                    }
                })?;
                show(frame.millis, &self.rotation.apply(picture));
            }
        }
        let (frame_width, frame_height) = size.ok_or(VideoError::Empty)?;
        Ok(Metadata {
            codec: "h264",
            duration_millis: self.duration_millis,
            format: self.format,
            frame_rate: (self.frames.len() as f64 * 1000.0 / self.duration_millis.max(1) as f64)
                as f32,
            frame_height,
            frame_width,
            color_range: decoder.colour().range,
        })
    }

    /// For each frame whether it is looked at: the first one that is shown in each interval.
    fn wanted(&self) -> Vec<bool> {
        let interval = SAMPLING_MILLIS.max(self.duration_millis.div_ceil(MAX_SAMPLED_FRAMES));
        let mut by_time: Vec<usize> = (0..self.frames.len()).collect();
        by_time.sort_by_key(|index| self.frames[*index].millis);
        let (mut wanted, mut next) = (vec![false; self.frames.len()], 0);
        for index in by_time {
            let millis = self.frames[index].millis;
            if millis >= next {
                wanted[index] = true;
                next = (millis / interval + 1) * interval;
            }
        }
        wanted
    }
}

fn limit(what: impl Into<String>) -> VideoError {
    VideoError::Limit(what.into())
}

/// Converts ticks of a clock with so many ticks a second.
fn millis(ticks: u64, ticks_a_second: u64) -> Result<u64, VideoError> {
    u128::from(ticks)
        .checked_mul(1000)
        .and_then(|ticks| ticks.checked_div(ticks_a_second.into()))
        .and_then(|millis| u64::try_from(millis).ok())
        .ok_or_else(|| VideoError::Container("its clock does not run".to_owned()))
}

#[cfg(test)]
mod tests;
