//! The parameter sets of a video, which are in its index or in its frames.

use std::collections::BTreeMap;

use rusty_h264_common::{BitReader, NalUnitType, nal::emulation_unprevent};

use super::fault::{Fault, unsupported};
use super::sequence::Sequence;
use super::units::Framing;

/// The greatest numbers of parameter sets, from clauses 7.4.2.1.1 and 7.4.2.2.
const MAX_SEQUENCE: u32 = 31;
const MAX_PICTURE: u32 = 255;

/// What must be known of a video before its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video) struct Configuration {
    pub(super) framing: Framing,
    /// Sequence and picture parameter sets that are not in the frames.
    pub(super) parameter_sets: Vec<Vec<u8>>,
}

impl Configuration {
    /// Reads the record `AVCDecoderConfigurationRecord` of ISO/IEC 14496-15.
    pub(in crate::video) fn parse(record: &[u8]) -> Result<Self, Fault> {
        let cut = || Fault::damaged("the description of its H.264 (`avcC`) is cut off");
        let [_, _, _, _, length, count, rest @ ..] = record else {
            return Err(cut());
        };
        let (mut rest, mut parameter_sets) = (rest, Vec::new());
        let mut take = |rest: &mut &[u8], count: u8| {
            for _ in 0..count {
                let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
                let length = u16::from_be_bytes(*length).into();
                let (set, after) = after.split_at_checked(length).ok_or_else(cut)?;
                parameter_sets.push(set.to_vec());
                *rest = after;
            }
            Ok::<_, Fault>(())
        };
        take(&mut rest, count & 31)?;
        if let Some((count, mut rest)) = rest.split_first() {
            take(&mut rest, *count)?;
        }
        Self::new(Framing::Length(usize::from(length & 3) + 1), parameter_sets)
    }

    /// Reads parameter sets with start codes, of which there may be none: then they are in the frames.
    pub(in crate::video) fn of_stream(mut sets: &[u8]) -> Result<Self, Fault> {
        let mut parameter_sets = Vec::new();
        while let Some(set) = Framing::StartCodes.next_unit(&mut sets)? {
            parameter_sets.push(set.to_vec());
        }
        Self::new(Framing::StartCodes, parameter_sets)
    }

    fn new(framing: Framing, parameter_sets: Vec<Vec<u8>>) -> Result<Self, Fault> {
        let mut sets = ParameterSets::default();
        for set in &parameter_sets {
            sets.add(set)?;
        }
        Ok(Self {
            framing,
            parameter_sets,
        })
    }
}

/// The parameter sets that slices refer to by their numbers.
#[derive(Default)]
pub(super) struct ParameterSets {
    pub(super) sequences: BTreeMap<u32, (Sequence, Vec<u8>)>,
    /// The numbers of their sequences, and the sets themselves.
    pub(super) pictures: BTreeMap<u32, (u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Takes in a unit, and tells whether it is a parameter set.
    pub(super) fn add(&mut self, unit: &[u8]) -> Result<bool, Fault> {
        let Some((header, payload)) = unit.split_first() else {
            return Ok(false);
        };
        match NalUnitType::from_id(*header) {
            NalUnitType::Sps => {
                let (number, sequence) = Sequence::parse(&emulation_unprevent(payload))?;
                sequence.check()?;
                if number > MAX_SEQUENCE {
                    return Err(Fault::damaged("its sequence parameter sets are damaged"));
                }
                self.sequences.insert(number, (sequence, unit.to_vec()));
            }
            NalUnitType::Pps => {
                let payload = emulation_unprevent(payload);
                let mut reader = BitReader::new(&payload);
                let (number, sequence) = (reader.read_ue()?, reader.read_ue()?);
                reader.skip_bits(2)?; // entropy coding, order of fields
                if number > MAX_PICTURE {
                    return Err(Fault::damaged("its picture parameter sets are damaged"));
                }
                if reader.read_ue()? > 0 {
                    return Err(unsupported("H.264 in slice groups (FMO)"));
                }
                self.pictures.insert(number, (sequence, unit.to_vec()));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn units(&self) -> impl Iterator<Item = &[u8]> {
        let sequences = self.sequences.values().map(|(_, unit)| &**unit);
        sequences.chain(self.pictures.values().map(|(_, unit)| &**unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_cut_off_is_an_error() {
        let whole = [1, 66, 0, 30, 0xff, 0xe0, 0];
        assert!(Configuration::parse(&whole).is_ok());
        for record in [&whole[..5], &[1, 66, 0, 30, 0xff, 0xe1, 0, 9, 0x67], &[]] {
            assert!(
                matches!(Configuration::parse(record), Err(Fault::Damaged(_))),
                "{record:?}"
            );
        }
    }
}
