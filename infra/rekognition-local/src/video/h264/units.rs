//! The units of a frame.

use super::fault::Fault;

pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What separates the units of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each is preceded by its length in so many bytes, from 1 to 4.
    Length(usize),
    /// Each is preceded by a start code.
    StartCodes,
}

impl Framing {
    /// Splits a unit off.
    pub(super) fn next_unit<'a>(self, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        match self {
            _ if rest.is_empty() => Ok(None),
            Self::Length(size) => {
                let (length, after) = rest
                    .split_at_checked(size)
                    .ok_or_else(|| Fault::damaged("it ends in the middle of a unit"))?;
                let length = length
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                let (unit, after) = after
                    .split_at_checked(length)
                    .ok_or_else(|| Fault::damaged("it ends in the middle of a unit"))?;
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

/// Whether supplemental information says that what follows can be decoded from here on: clause D.1.8 of the standard.
pub(super) fn announces_recovery(information: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let number = |rest: &mut &[u8]| {
        let mut number = 0;
        while let Some((byte, after)) = rest.split_first() {
            *rest = after;
            number += usize::from(*byte);
            if *byte != 255 {
                return Some(number);
            }
        }
        None
    };
    let mut rest = information;
    while let Some((kind, length)) = number(&mut rest).zip(number(&mut rest)) {
        if kind == RECOVERY_POINT {
            return true;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(framing: Framing, mut frame: &[u8]) -> Result<Vec<&[u8]>, Fault> {
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

    #[test]
    fn a_recovery_point_is_found_among_other_information() {
        assert!(announces_recovery(&[6, 1, 0x80]));
        assert!(announces_recovery(&[5, 3, 1, 2, 3, 6, 1, 0x80]));
        let long = [&[5, 255, 1][..], &[6; 256], &[6, 1, 0x80]].concat();
        assert!(announces_recovery(&long));
        for none in [&[][..], &[5], &[5, 3, 1, 2, 6], &[255; 9], &[5, 2, 6, 1]] {
            assert!(!announces_recovery(none), "{none:?}");
        }
    }
}
