//! The headers of a frame's slices.

use rusty_h264_common::{BitReader, nal::emulation_unprevent};

use super::fault::{Fault, unsupported};
use super::parameter_sets::ParameterSets;
use super::sequence::Sequence;

/// Bytes within which what is read of a slice's header ends: five numbers of at most 63 bits.
const SLICE_HEADER_BYTES: usize = 64;

/// What the headers of a frame's slices say.
pub(super) struct Header {
    /// Whether nothing before it is referred to, by it or by any frame after it.
    pub(super) is_idr: bool,
    /// Whether it refers to no other frame.
    pub(super) is_intra: bool,
    /// Whether it may refer to frames that are shown later.
    pub(super) is_bidirectional: bool,
    /// Whether others may refer to it.
    pub(super) is_reference: bool,
    /// Whether it is announced that what follows it can be decoded.
    pub(super) is_recovery_point: bool,
    /// `frame_num`.
    pub(super) number: u32,
    pub(super) sequence: Sequence,
}

impl Header {
    /// Clause 7.3.3 of the standard.
    pub(super) fn parse(header: u8, payload: &[u8], sets: &ParameterSets) -> Result<Self, Fault> {
        let start = emulation_unprevent(&payload[..payload.len().min(SLICE_HEADER_BYTES)]);
        let mut reader = BitReader::new(&start);
        reader.read_ue()?; // first macroblock
        let kind = reader.read_ue()? % 5;
        let sequence = sets
            .pictures
            .get(&reader.read_ue()?)
            .and_then(|(sequence, _)| sets.sequences.get(sequence))
            .map(|(sequence, _)| *sequence)
            .ok_or_else(|| Fault::damaged("its parameter sets are missing"))?;
        let number = reader.read_bits(sequence.number_bits)?;
        if sequence.may_be_interlaced && reader.read_bit()? {
            return Err(unsupported("interlaced H.264"));
        }
        let is_bidirectional = kind == 1;
        if is_bidirectional && sequence.has_order_cycle {
            return Err(unsupported(
                "H.264 with B-frames and picture order count type 1",
            ));
        }
        Ok(Self {
            is_idr: header & 31 == 5,
            is_intra: kind == 2,
            is_bidirectional,
            is_reference: header & 0x60 != 0,
            is_recovery_point: false,
            number,
            sequence,
        })
    }

    /// This frame with one more slice.
    pub(super) fn with(self, slice: &Self) -> Self {
        Self {
            is_intra: self.is_intra && slice.is_intra,
            is_bidirectional: self.is_bidirectional || slice.is_bidirectional,
            is_reference: self.is_reference || slice.is_reference,
            ..self
        }
    }
}
