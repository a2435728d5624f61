//! H.264: from compressed frames to pictures.

use rusty_h264_common::{
    BitReader, NalUnitType, YuvFrame, bit_reader::OutOfData, nal::emulation_unprevent,
};
use serde::Serialize;

/// Macroblocks of the largest picture: 4096 × 2304, the most that level 5.1 allows.
const MAX_MACROBLOCKS: u64 = 36_864;

/// Pictures that others may refer to, from clause A.3 of the standard.
const MAX_REFERENCES: u32 = 16;

/// Units of one frame: a slice for each row of macroblocks of the tallest picture many times over.
const MAX_UNITS: usize = 16_384;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What separates the units of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// Each is preceded by its length in so many bytes, from 1 to 4.
    Length(usize),
    /// Each is preceded by a start code.
    StartCodes,
}

/// Which numbers black and white are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ColourRange {
    /// 0 and 255.
    Full,
    /// 16 and 235.
    Limited,
}

/// How a picture's three planes become red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colour {
    pub(super) range: ColourRange,
    /// What red and blue contribute to brightness.
    pub(super) red: f32,
    pub(super) blue: f32,
}

impl Colour {
    const BT601: (f32, f32) = (0.299, 0.114);
    const BT709: (f32, f32) = (0.2126, 0.0722);
    const BT2020: (f32, f32) = (0.2627, 0.0593);

    fn new(is_full: bool, (red, blue): (f32, f32)) -> Self {
        let range = if is_full {
            ColourRange::Full
        } else {
            ColourRange::Limited
        };
        Self { range, red, blue }
    }
}

/// Decodes the frames of one video.
pub(super) struct Decoder {
    decoder: rusty_h264_decoder::Decoder,
    framing: Framing,
    colour: Colour,
    /// The frame with start codes, which the library asks for.
    stream: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            decoder: rusty_h264_decoder::Decoder::new(),
            framing,
            colour: Colour::new(false, Colour::BT601),
            stream: Vec::new(),
        }
    }

    /// The colours of the pictures decoded last.
    pub(super) fn colour(&self) -> Colour {
        self.colour
    }

    /// Takes in a parameter set that is not part of a frame.
    pub(super) fn configure(&mut self, unit: &[u8]) -> Result<(), String> {
        self.stream.clear();
        self.add(unit)?;
        self.decode_stream().map(drop)
    }

    /// Decodes a frame. One to which no other frame refers is decoded only if it is wanted.
    pub(super) fn decode(
        &mut self,
        frame: &[u8],
        wanted: bool,
    ) -> Result<Option<YuvFrame>, String> {
        self.stream.clear();
        let (mut is_reference, mut units) = (false, 0);
        let mut rest = frame;
        while let Some(unit) = self.framing.next_unit(&mut rest)? {
            units += 1;
            if units > MAX_UNITS {
                return Err(format!("it has more than {MAX_UNITS} units"));
            }
            is_reference |= unit.first().is_some_and(|header| header & 0x60 != 0);
            self.add(unit)?;
        }
        if is_reference || wanted {
            self.decode_stream()
        } else {
            Ok(None)
        }
    }

    fn decode_stream(&mut self) -> Result<Option<YuvFrame>, String> {
        self.decoder
            .decode(&self.stream)
            .map_err(|error| error.to_string())
    }

    fn add(&mut self, unit: &[u8]) -> Result<(), String> {
        let Some((header, payload)) = unit.split_first() else {
            return Ok(());
        };
        if NalUnitType::from_id(*header) == NalUnitType::Sps {
            let sequence = Sequence::parse(&emulation_unprevent(payload))
                .map_err(|OutOfData| "its sequence parameter set is too short".to_owned())?;
            self.colour = sequence.check()?;
        }
        self.stream.extend_from_slice(&START_CODE);
        self.stream.extend_from_slice(unit);
        Ok(())
    }
}

impl Framing {
    /// Splits a unit off.
    fn next_unit<'a>(self, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, String> {
        match self {
            _ if rest.is_empty() => Ok(None),
            Self::Length(size) => {
                let (length, after) = rest
                    .split_at_checked(size)
                    .ok_or("it ends in the middle of a length")?;
                let length = length
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                let (unit, after) = after
                    .split_at_checked(length)
                    .ok_or("a unit is longer than the frame")?;
                *rest = after;
                Ok(Some(unit))
            }
            Self::StartCodes => {
                let code =
                    |bytes: &[u8]| bytes.windows(3).position(|three| *three == START_CODE[1..]);
                let Some(start) = code(rest) else {
                    *rest = &[];
                    return Ok(None);
                };
                let after = &rest[start + 3..];
                let end = code(after).unwrap_or(after.len());
                *rest = &after[end..];
                Ok(Some(&after[..end]))
            }
        }
    }
}

/// What a sequence parameter set says that matters before anything is decoded, or that the library leaves out.
struct Sequence {
    macroblocks: u64,
    height: u64,
    references: u32,
    /// Whether the range is full, if it is said.
    is_full: Option<bool>,
    /// Number of the matrix in table E-5 of the standard, if it is said.
    matrix: Option<u32>,
}

impl Sequence {
    /// Clauses 7.3.2.1.1 and E.1.1 of the standard.
    fn parse(payload: &[u8]) -> Result<Self, OutOfData> {
        let mut reader = BitReader::new(payload);
        let profile = reader.read_bits(8)?;
        reader.skip_bits(16)?; // constraints and level
        reader.read_ue()?; // id
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            let chroma_format = reader.read_ue()?;
            if chroma_format == 3 {
                reader.read_bit()?; // separate planes
            }
            reader.read_ue()?; // bits of brightness
            reader.read_ue()?; // bits of colour
            reader.read_bit()?; // transform bypass
            if reader.read_bit()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if reader.read_bit()? {
                        skip_scaling_list(&mut reader, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        reader.read_ue()?; // frame number bits
        match reader.read_ue()? {
            0 => drop(reader.read_ue()?), // picture order bits
            1 => {
                reader.read_bit()?;
                reader.read_se()?;
                reader.read_se()?;
                for _ in 0..reader.read_ue()?.min(255) {
                    reader.read_se()?;
                }
            }
            _ => {}
        }
        let references = reader.read_ue()?;
        reader.read_bit()?; // gaps
        let width = u64::from(reader.read_ue()?) + 1;
        let height = u64::from(reader.read_ue()?) + 1;
        if !reader.read_bit()? {
            reader.read_bit()?; // fields
        }
        reader.read_bit()?; // direct inference
        if reader.read_bit()? {
            for _ in 0..4 {
                reader.read_ue()?; // cropping
            }
        }
        let (mut is_full, mut matrix) = (None, None);
        if reader.read_bit()? {
            if reader.read_bit()? && reader.read_bits(8)? == 255 {
                reader.skip_bits(32)?; // aspect ratio
            }
            if reader.read_bit()? {
                reader.read_bit()?; // overscan
            }
            if reader.read_bit()? {
                reader.skip_bits(3)?; // PAL, NTSC
                is_full = Some(reader.read_bit()?);
                if reader.read_bit()? {
                    reader.skip_bits(16)?; // primaries and transfer
                    matrix = Some(reader.read_bits(8)?);
                }
            }
        }
        Ok(Self {
            macroblocks: width * height,
            height,
            references,
            is_full,
            matrix,
        })
    }

    fn check(&self) -> Result<Colour, String> {
        if self.macroblocks > MAX_MACROBLOCKS {
            return Err(format!(
                "its pictures have {} macroblocks of 16 x 16 pixels, not up to {MAX_MACROBLOCKS}",
                self.macroblocks
            ));
        }
        if self.references > MAX_REFERENCES {
            return Err(format!(
                "it refers to {} pictures, not up to {MAX_REFERENCES}",
                self.references
            ));
        }
        let matrix = match self.matrix {
            Some(1) => Colour::BT709,
            Some(9 | 10) => Colour::BT2020,
            Some(4..=7) => Colour::BT601,
            // Unsaid: high definition usually has the newer matrix.
            _ if self.height * 16 >= 720 => Colour::BT709,
            _ => Colour::BT601,
        };
        Ok(Colour::new(self.is_full.unwrap_or(false), matrix))
    }
}

/// Clause 7.3.2.1.1.1.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: usize) -> Result<(), OutOfData> {
    let mut next = 8;
    for _ in 0..size {
        if next != 0 {
            next = (next + reader.read_se()?) & 0xff;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(framing: Framing, mut frame: &[u8]) -> Result<Vec<&[u8]>, String> {
        let mut units = Vec::new();
        while let Some(unit) = framing.next_unit(&mut frame)? {
            units.push(unit);
        }
        Ok(units)
    }

    #[test]
    fn units_are_told_apart_by_length_or_start_code() {
        let by_length = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let expected: [&[u8]; 3] = [&[7, 8], &[], &[9]];
        assert_eq!(units(Framing::Length(4), &by_length).unwrap(), expected);
        let by_start_code = [0, 0, 0, 1, 7, 8, 0, 0, 1, 9];
        let expected: [&[u8]; 2] = [&[7, 8], &[9]];
        assert_eq!(
            units(Framing::StartCodes, &by_start_code).unwrap(),
            expected
        );
        assert!(units(Framing::StartCodes, &[1, 2, 3]).unwrap().is_empty());
    }

    #[test]
    fn a_length_beyond_the_frame_is_an_error() {
        for frame in [&[0, 0, 0][..], &[0, 0, 0, 2, 7], &[0xff; 9]] {
            assert!(units(Framing::Length(4), frame).is_err(), "{frame:?}");
        }
    }

    fn sequence() -> Sequence {
        Sequence {
            macroblocks: 80 * 45,
            height: 45,
            references: 4,
            is_full: None,
            matrix: None,
        }
    }

    #[test]
    fn colours_are_as_said_or_as_usual() {
        assert_eq!(
            sequence().check().unwrap(),
            Colour::new(false, Colour::BT709)
        );
        let small = Sequence {
            height: 30,
            ..sequence()
        };
        assert_eq!(small.check().unwrap(), Colour::new(false, Colour::BT601));
        let said = Sequence {
            is_full: Some(true),
            matrix: Some(6),
            ..sequence()
        };
        assert_eq!(said.check().unwrap(), Colour::new(true, Colour::BT601));
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        for sequence in [
            Sequence {
                macroblocks: MAX_MACROBLOCKS + 1,
                ..sequence()
            },
            Sequence {
                references: MAX_REFERENCES + 1,
                ..sequence()
            },
        ] {
            assert!(sequence.check().is_err());
        }
    }
}
