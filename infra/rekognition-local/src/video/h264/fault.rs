//! Why something cannot be decoded.

use std::fmt;

use rusty_h264_common::bit_reader::OutOfData;
use rusty_h264_decoder::DecodeError;

/// Why a frame, or a whole video, cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video) enum Fault {
    /// It is compressed with something else.
    Codec(String),
    /// It uses a part of H.264 that is not supported.
    Unsupported(String),
    /// It is damaged, or what it refers to is.
    Damaged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(name) => write!(formatter, "it is compressed with {name}"),
            Self::Unsupported(what) => write!(formatter, "{what} is not supported"),
            Self::Damaged(reason) => formatter.write_str(reason),
        }
    }
}

impl Fault {
    pub(super) fn damaged(reason: &str) -> Self {
        Self::Damaged(reason.to_owned())
    }
}

impl From<OutOfData> for Fault {
    fn from(_: OutOfData) -> Self {
        Self::damaged("its data ends in the middle of a header")
    }
}

pub(super) fn reason(error: &DecodeError) -> Fault {
    Fault::Damaged(match error {
        DecodeError::Truncated => "its data is damaged or ends too early".to_owned(),
        DecodeError::MissingParameterSet => "its parameter sets are missing".to_owned(),
        DecodeError::Unsupported(what) => {
            format!("it is damaged or uses a part of H.264 that is not supported ({what})")
        }
        DecodeError::Internal(what) => format!("it makes the decoder fail ({what})"),
    })
}

pub(super) fn unsupported(what: &str) -> Fault {
    Fault::Unsupported(what.to_owned())
}
