//! The order of one object's events.

use std::fmt;

/// Position of an S3 event among the events of the same key.
///
/// S3 writes it as a hexadecimal text of varying length. AWS's rule for two of
/// them: pad the shorter on the right with zeros, then compare as text. Dropping
/// the zeros at the right gives the same order without knowing the other's length
/// and makes equal positions equal texts, so that is the form kept here. As hexadecimal
/// digits sort alike in ASCII and in UTF-8, `derive(Ord)`, DynamoDB's `<` on
/// strings and AWS's rule agree. Sequencers of different keys mean nothing to
/// each other.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequencer(String);

/// A text that is not a sequencer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sequencer {0:?} is not a hexadecimal number")]
pub struct SequencerError(String);

impl Sequencer {
    /// Reads the `sequencer` of a notification, or one that was stored.
    pub fn parse(text: &str) -> Result<Self, SequencerError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(SequencerError(text.into()));
        }
        let digits = text.trim_end_matches('0').to_ascii_uppercase();
        // Nothing but zeros comes before every other position, and so does "0",
        // which spares DynamoDB an empty string.
        Ok(Self(if digits.is_empty() {
            "0".into()
        } else {
            digits
        }))
    }

    /// The form to store and compare.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// AWS's rule, word for word.
    fn compare_padded(left: &str, right: &str) -> std::cmp::Ordering {
        let width = left.len().max(right.len());
        let pad = |text: &str| format!("{text:0<width$}").to_ascii_uppercase();
        pad(left).cmp(&pad(right))
    }

    proptest! {
        #[test]
        fn order_is_that_of_padded_texts(left in "[0-9a-fA-F]{1,24}", right in "[0-9a-fA-F]{1,24}") {
            let (a, b) = (Sequencer::parse(&left).unwrap(), Sequencer::parse(&right).unwrap());
            prop_assert_eq!(a.cmp(&b), compare_padded(&left, &right));
        }

        #[test]
        fn stored_form_reads_back(text in "[0-9a-fA-F]{1,24}") {
            let sequencer = Sequencer::parse(&text).unwrap();
            prop_assert_eq!(Sequencer::parse(sequencer.as_str()).unwrap(), sequencer);
        }
    }

    #[test]
    fn length_does_not_decide() {
        let parse = |text| Sequencer::parse(text).unwrap();
        assert_eq!(parse("0055AED6DCD90281E500"), parse("0055aed6dcd90281e5"));
        assert!(parse("0055AED6DCD90281E5") < parse("0055AED6DCD90281E501"));
        assert!(parse("1") > parse("0FFFFFFFF"));
        assert!(parse("000") < parse("00000001"));
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", " ", "0x1F", "Happy Sequencer", "１"] {
            assert_eq!(Sequencer::parse(text), Err(SequencerError(text.into())));
        }
    }
}
