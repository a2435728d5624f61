//! What a sequence parameter set says: sizes, numbers and colours.

use rusty_h264_common::{BitReader, bit_reader::OutOfData};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Macroblocks of the largest picture: 4096 × 2304, the most that level 5.1 allows.
const MAX_MACROBLOCKS: u64 = 36_864;

/// Pictures that others may refer to, from clause A.3 of the standard.
const MAX_REFERENCES: u32 = 16;

/// Bits of the greatest number of a frame, from clause 7.4.2.1.1.
const MAX_NUMBER_BITS: u32 = 16;

/// Which numbers black and white are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::video) enum ColourRange {
    /// 0 and 255.
    Full,
    /// 16 and 235.
    Limited,
}

/// How a picture's three planes become red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::video) struct Colour {
    pub(in crate::video) range: ColourRange,
    /// What red and blue contribute to brightness.
    pub(in crate::video) red: f32,
    pub(in crate::video) blue: f32,
}

impl Colour {
    pub(super) const BT601: (f32, f32) = (0.299, 0.114);
    const BT709: (f32, f32) = (0.2126, 0.0722);
    const BT2020: (f32, f32) = (0.2627, 0.0593);

    pub(super) fn new(is_full: bool, (red, blue): (f32, f32)) -> Self {
        let range = if is_full {
            ColourRange::Full
        } else {
            ColourRange::Limited
        };
        Self { range, red, blue }
    }
}

/// What a sequence parameter set says that matters before anything is decoded, or that the library leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sequence {
    pub(super) chroma_format: u32,
    /// Bits of brightness and colour.
    pub(super) depth: u32,
    /// Bits of a frame's number.
    pub(super) number_bits: u32,
    /// Whether numbers may be left out.
    pub(super) has_gaps: bool,
    /// Whether the order of frames comes from a cycle: picture order count type 1.
    pub(super) has_order_cycle: bool,
    pub(super) macroblocks: u64,
    pub(super) height: u64,
    pub(super) references: u32,
    /// Whether a frame may be coded as two fields.
    pub(super) may_be_interlaced: bool,
    /// Whether each pair of macroblocks may be.
    pub(super) is_adaptive: bool,
    /// Whether the range is full, if it is said.
    pub(super) is_full: Option<bool>,
    /// Number of the matrix in table E-5 of the standard, if it is said.
    pub(super) matrix: Option<u32>,
}

impl Sequence {
    /// The number of the set and what it says: clause 7.3.2.1.1 of the standard.
    pub(super) fn parse(payload: &[u8]) -> Result<(u32, Self), Fault> {
        let mut reader = BitReader::new(payload);
        let profile = reader.read_bits(8)?;
        reader.skip_bits(16)?; // constraints and level
        let number = reader.read_ue()?;
        let (mut chroma_format, mut depth) = (1, 8);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma_format = reader.read_ue()?;
            if chroma_format == 3 {
                reader.read_bit()?; // separate planes
            }
            depth = 8 + reader.read_ue()?.max(reader.read_ue()?).min(255);
            reader.read_bit()?; // transform bypass
            if reader.read_bit()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if reader.read_bit()? {
                        skip_scaling_list(&mut reader, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let number_bits = reader.read_ue()?.saturating_add(4);
        let order = reader.read_ue()?;
        match order {
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
        let has_gaps = reader.read_bit()?;
        let width = u64::from(reader.read_ue()?) + 1;
        let height = u64::from(reader.read_ue()?) + 1;
        let may_be_interlaced = !reader.read_bit()?;
        let is_adaptive = may_be_interlaced && reader.read_bit()?;
        // Of interlaced video, the height is that of a field.
        let height = if may_be_interlaced {
            2 * height
        } else {
            height
        };
        reader.read_bit()?; // direct inference
        if reader.read_bit()? {
            for _ in 0..4 {
                reader.read_ue()?; // cropping
            }
        }
        // Some encoders cut the rest off, which only says how colours are meant.
        let (is_full, matrix) = colours(&mut reader).unwrap_or_default();
        let sequence = Self {
            chroma_format,
            depth,
            number_bits,
            has_gaps,
            has_order_cycle: order == 1,
            macroblocks: width * height,
            height,
            references,
            may_be_interlaced,
            is_adaptive,
            is_full,
            matrix,
        };
        Ok((number, sequence))
    }

    /// Whether the pictures are of a kind and size that can be decoded.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let kind = match self {
            Self { depth: 9.., .. } => format!("{}-bit H.264", self.depth),
            Self {
                chroma_format: 0, ..
            } => "monochrome (4:0:0) H.264".to_owned(),
            Self {
                chroma_format: 2, ..
            } => "4:2:2 H.264".to_owned(),
            Self {
                chroma_format: 3, ..
            } => "4:4:4 H.264".to_owned(),
            Self {
                is_adaptive: true, ..
            } => "interlaced H.264 (MBAFF)".to_owned(),
            _ => return self.check_size(),
        };
        Err(Fault::Unsupported(kind))
    }

    fn check_size(&self) -> Result<(), Fault> {
        let too_large = if self.macroblocks > MAX_MACROBLOCKS {
            format!(
                "H.264 whose frames have more than {MAX_MACROBLOCKS} macroblocks, as many as 4096 x 2304 pixels,"
            )
        } else if self.references > MAX_REFERENCES {
            format!(
                "H.264 that refers to {} frames, not up to {MAX_REFERENCES},",
                self.references
            )
        } else if self.number_bits > MAX_NUMBER_BITS {
            return Err(Fault::damaged("its sequence parameter sets are damaged"));
        } else {
            return Ok(());
        };
        Err(Fault::Unsupported(too_large))
    }

    pub(super) fn colour(&self) -> Colour {
        let matrix = match self.matrix {
            Some(1) => Colour::BT709,
            Some(9 | 10) => Colour::BT2020,
            Some(4..=7) => Colour::BT601,
            // Unsaid: high definition usually has the newer matrix.
            _ if self.height * 16 >= 720 => Colour::BT709,
            _ => Colour::BT601,
        };
        Colour::new(self.is_full.unwrap_or(false), matrix)
    }
}

/// Clause E.1.1: whether the range is full, and the number of the matrix.
fn colours(reader: &mut BitReader<'_>) -> Result<(Option<bool>, Option<u32>), OutOfData> {
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
    Ok((is_full, matrix))
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

    fn sequence() -> Sequence {
        Sequence {
            chroma_format: 1,
            depth: 8,
            number_bits: 4,
            has_gaps: false,
            has_order_cycle: false,
            macroblocks: 80 * 45,
            height: 45,
            references: 4,
            may_be_interlaced: false,
            is_adaptive: false,
            is_full: None,
            matrix: None,
        }
    }

    #[test]
    fn colours_are_as_said_or_as_usual() {
        assert_eq!(sequence().colour(), Colour::new(false, Colour::BT709));
        let small = Sequence {
            height: 30,
            ..sequence()
        };
        assert_eq!(small.colour(), Colour::new(false, Colour::BT601));
        let said = Sequence {
            is_full: Some(true),
            matrix: Some(6),
            ..sequence()
        };
        assert_eq!(said.colour(), Colour::new(true, Colour::BT601));
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        assert_eq!(sequence().check(), Ok(()));
        for (sequence, name) in [
            (
                Sequence {
                    depth: 10,
                    ..sequence()
                },
                "10-bit",
            ),
            (
                Sequence {
                    chroma_format: 0,
                    ..sequence()
                },
                "4:0:0",
            ),
            (
                Sequence {
                    chroma_format: 2,
                    ..sequence()
                },
                "4:2:2",
            ),
            (
                Sequence {
                    chroma_format: 3,
                    ..sequence()
                },
                "4:4:4",
            ),
            (
                Sequence {
                    is_adaptive: true,
                    ..sequence()
                },
                "interlaced",
            ),
            (
                Sequence {
                    macroblocks: MAX_MACROBLOCKS + 1,
                    ..sequence()
                },
                "4096 x 2304",
            ),
            (
                Sequence {
                    references: MAX_REFERENCES + 1,
                    ..sequence()
                },
                "17 frames",
            ),
        ] {
            match sequence.check() {
                Err(Fault::Unsupported(what)) => assert!(what.contains(name), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
